// Package object is the contract for buckets, objects and multipart uploads:
// bytes of any size under exact names, visible wholly or not at all, durable
// when a call returns.
//
// The package knows no wire: no error codes, no XML, no headers, no policies
// and no callers beyond the opaque strings Owner and Initiator. Object/dir
// keeps objects in one directory, object/s3 in another store; every home runs the suite in
// object/objecttest. Begin at Store; the nouns of uploads are in upload.go.
//
// Failures that a caller may be told are *strait.Error. Kinds and things:
//
//	NotFound      "bucket", "key", "upload"
//	Exists        "bucket"
//	Conflict      "bucket not empty"
//	Invalid       "bucket name", "key", "part number", "part", "part order",
//	              "part size", "digest", "incomplete body", "object size",
//	              "checksum algorithm", "checksum type", "part checksum"
//	TooLarge      "object", "metadata", "tags"
//	Precondition  "if-none-match", "if-match", "modified"
//	Unavailable   "disk", "store" (closed, or behind us and not to be reached)
//	Internal      "damaged object"
package object

import (
	"context"
	"io"
	"time"

	"strait/state"
)

// Limits that every home keeps (AWS's, s3-upload.md section 3).
const (
	MaxKey      = 1024    // bytes of a key
	MaxBody     = 5 << 30 // bytes of one Put or one part
	MinPart     = 5 << 20 // bytes of every part but the last, judged at Complete
	MaxParts    = 10000   // part numbers are 1 to MaxParts
	MaxPage     = 1000    // entries of one page of any list
	MaxUserMeta = 2048    // bytes of all names and values of Meta.User
	MaxMeta     = 8192    // bytes of the other fields of Meta together
	MaxTags     = 16384   // bytes of all names and values of Meta.Tags
)

// CompleteAgain is how long a repeated Complete with the same parts gives the
// same answer, and a repeated Abort none.
const CompleteAgain = 24 * time.Hour

// Meta is what is kept beside the bytes and given back unchanged.
type Meta struct {
	ContentType, ContentEncoding, CacheControl   string
	ContentDisposition, ContentLanguage, Expires string
	// User holds the caller's own names and values; nil when there are none.
	User map[string]string
	// Tags are names and values that SetTags may change later; nil when there
	// are none.
	Tags map[string]string
}

// A Bucket holds objects. Owner is whatever CreateBucket was given.
type Bucket struct {
	Name    string
	Created time.Time // UTC, whole milliseconds
	Owner   string
}

// Info is all that is known of an object without reading it.
type Info struct {
	Bucket, Key string
	Size        int64
	ETag        string    // hex MD5, or hex-N of a multipart upload; no quotes
	Modified    time.Time // UTC, whole milliseconds, or seconds
	Meta        Meta
	Checksum    Checksum // zero when none was asked for and the home has none by itself
	Parts       int      // 0 when it was not a multipart upload
}

// PutOptions go with one body: an object's or a part's. Meta, IfNoneMatch and
// IfMatch mean nothing for a part.
type PutOptions struct {
	Meta Meta
	// Algorithm is the checksum to compute and keep, "" for whatever the home
	// takes by itself (as AWS does since the end of 2024: CRC64NVME). For a
	// part, "" means that of the upload, and another one than the upload's is
	// refused.
	Algorithm string
	// Demand refuses a part without an Algorithm where the upload is Composite:
	// the bytes come from a caller who has to say what they are.
	Demand bool
	// Want, when not nil, is called once after the body's io.EOF and before
	// anything becomes visible. It returns the checksum that the caller
	// expects, base64 as in Checksum.Value ("" for none): a trailer is known
	// only then. Its error is passed through unchanged.
	Want func() (base64 string, err error)
	MD5  []byte // 16 bytes that the body must hash to; nil for none
	// Size is the number of bytes announced, -1 when unknown. The zero value
	// announces an empty body.
	Size        int64
	IfNoneMatch bool   // only when there is no such object yet
	IfMatch     string // only when the object has this ETag; "" for no condition
	Also        Also
}

// An Also returns facts that shall be true together with a change of an object:
// of the new one as it is about to become visible, or of the old one as it goes.
// It may be called several times for one change, only the last of them counts;
// it must not block, nor call the Store, and its writes expect nothing. nil is
// for none.
//
// A home that cannot write both at once writes the facts before it returns; it
// says in its own words what a crash in between may lose.
type Also func(Info) []state.Write

// Writes calls a, which may be nil.
func (a Also) Writes(i Info) []state.Write {
	if a == nil {
		return nil
	}
	return a(i)
}

// DeleteOptions say which object may be deleted; the zero value: any.
type DeleteOptions struct {
	// IfMatch: only when the object has this ETag, "*" for any. A missing
	// object then is NotFound "key", for "*" Precondition "if-match".
	IfMatch string
	// Modified: only when that is when it was last modified; otherwise
	// Precondition "modified", for a missing object, too. Zero for no condition.
	Modified time.Time
	Also     Also
}

// A Reader reads one version of an object: the one that was there at Get,
// even if it is overwritten or deleted meanwhile. (A home elsewhere may hold on
// to it from the first Read only, and fail with Unavailable "store" when it is
// gone before; it never gives bytes of another version.) Damaged bytes are never
// given out: Read and ReadAt fail instead. ReadAt may be called from many
// goroutines; Read and Seek from one at a time. Close it: until then the
// version's space is not reclaimed.
type Reader interface {
	io.ReadSeekCloser
	io.ReaderAt
	// Part returns where the n-th part lies, n from 1 to Info.Parts counted
	// in order of part numbers; Invalid "part number" otherwise. An object
	// that was not a multipart upload has one part, itself.
	Part(n int) (offset, size int64, err error)
}

// A RangeWriter is a Reader that can write a stretch of the object without
// copying it first. Few and large writes; none of damaged bytes. It is an
// error when the object ends before.
type RangeWriter interface {
	WriteRange(w io.Writer, offset, size int64) (n int64, err error)
}

// A PartSummer is a Reader that knows the checksums of the object's parts, as
// Part counts them: zero for what has none. They are of the same algorithm as
// Info.Checksum, or of none or another where their sender chose so.
type PartSummer interface {
	PartChecksum(n int) (Checksum, error)
}

// A Query selects a page of a listing. Order is by bytes of the key.
type Query struct {
	Prefix string
	// Delimiter folds all keys that have it after Prefix into one entry of
	// Page.Prefixes, which ends with the first Delimiter.
	Delimiter string
	// After is a key, or an entry of Page.Prefixes, to begin behind. Behind
	// such an entry means behind all keys that it stands for.
	After string
	Limit int // entries of both kinds; 0 or more than MaxPage: MaxPage
}

// A Page is one answer to a Query.
type Page struct {
	Objects  []Info
	Prefixes []string
	// Next is the After of the next page; "" when not Truncated.
	Next      string
	Truncated bool
}

// A Problem is something that Check found wrong.
type Problem struct {
	Bucket, Key string // "" when it is not about one object
	Upload      string // upload id, for a part of an open upload
	Part        int    // part number, 0 when it is not about a part
	Message     string
}

// A Store keeps buckets, objects and uploads. All methods may be called from
// many goroutines. What a method has returned without error is durable and
// seen by every later call; what failed left nothing visible. Between writers
// of one key the last to finish wins. Keys are exact bytes, never normalised:
// "a//b", "a/../b" and "/" are three different objects. See ValidKey and
// ValidBucket for names that are refused.
type Store interface {
	CreateBucket(ctx context.Context, name, owner string) error
	Bucket(ctx context.Context, name string) (Bucket, error)
	Buckets(ctx context.Context) ([]Bucket, error) // sorted by name
	// DeleteBucket refuses while there are objects; open uploads do not
	// count and are aborted.
	DeleteBucket(ctx context.Context, name string) error

	// Put stores what body yields up to io.EOF. Any other error of body
	// aborts and is returned unchanged: a body that checks a signature or a
	// hash returns its error instead of io.EOF.
	Put(ctx context.Context, bucket, key string, body io.Reader, o PutOptions) (Info, error)
	Head(ctx context.Context, bucket, key string) (Info, error)
	Get(ctx context.Context, bucket, key string) (Info, Reader, error)
	// SetTags gives an object other tags, none with nil. Nothing else of it
	// changes, not even Modified.
	SetTags(ctx context.Context, bucket, key string, tags map[string]string) error
	// Delete removes an object; a missing one is no error, unless o has
	// conditions.
	Delete(ctx context.Context, bucket, key string, o DeleteOptions) error
	List(ctx context.Context, bucket string, q Query) (Page, error)

	CreateUpload(ctx context.Context, bucket, key string, o UploadOptions) (Upload, error)
	Upload(ctx context.Context, bucket, key, id string) (Upload, error)
	// PutPart stores a part, in place of an earlier one of that number.
	PutPart(ctx context.Context, bucket, key, id string, number int, body io.Reader, o PutOptions) (Part, error)
	// Complete makes an object of the named parts, in that order, and drops
	// the others and the upload. No bytes are copied. Asking again with the
	// same parts within CompleteAgain gives the same answer.
	Complete(ctx context.Context, bucket, key, id string, parts []CompletePart, o CompleteOptions) (Info, error)
	// Abort drops an upload and its parts; again within CompleteAgain it is
	// no error. A completed upload is NotFound.
	Abort(ctx context.Context, bucket, key, id string) error
	// Parts lists the parts numbered above after; limit as in Query.
	Parts(ctx context.Context, bucket, key, id string, after, limit int) (PartPage, error)
	Uploads(ctx context.Context, bucket string, q UploadQuery) (UploadPage, error)
	// AbortOlder aborts every upload begun before t and returns how many.
	AbortOlder(ctx context.Context, t time.Time) (int, error)

	// Check reads everything and reports what is damaged or missing, one
	// call at a time. Its error is for what kept it from looking.
	Check(ctx context.Context, report func(Problem)) error
	// Close waits for calls under way and releases the store. Readers must
	// be closed before.
	Close() error
}
