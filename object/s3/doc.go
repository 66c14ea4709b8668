// Package s3 keeps objects in another store that speaks S3: AWS, Ceph,
// SeaweedFS, versitygw, another Strait. It implements object.Store.
//
// Names of buckets and keys are passed through as they are, so what was there
// before is there, too, and what is put through Strait is found by everybody
// who uses that store directly. That store knows one caller only, Strait: who
// may do what is decided in front of it, before anybody calls this package.
//
// The package knows names, bytes and sums. It refuses to know who asks and what
// may be asked.
//
// # What is kept here
//
// Beside the other store there are few facts in a state.Store (fact.go): who
// made a bucket, what belongs to an upload under way and cannot be asked of the
// other store (its initiator, its metadata), and for a day what Complete and
// Abort have answered, for being asked again. Losing them loses no object.
//
// # Bodies
//
// A body streams through. Its last bytes are held back until it has come to
// its end and all that was said of it is true (body.go): a body that is not
// what its signature says never becomes an object. One without an announced
// size is written to a file first, for S3 wants to know the size.
//
// Begin at store.go, then put.go.
package s3
