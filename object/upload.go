package object

import "time"

// UploadOptions are fixed when an upload begins.
type UploadOptions struct {
	Meta Meta
	// Algorithm is computed for every part and for the whole; "" for whatever
	// the home takes by itself, of which parts do not tell.
	Algorithm string
	// Type is Composite or FullObject; "" is the algorithm's default.
	Type string
	// Initiator says who began it; kept and given back only.
	Initiator string
}

// An Upload is a multipart upload under way.
type Upload struct {
	Bucket, Key string
	ID          string // the home's own; opaque
	Meta        Meta
	Algorithm   string
	Type        string // filled in when Algorithm is not ""
	Initiator   string
	Initiated   time.Time // UTC, whole milliseconds
}

// A Part is one stored part of an upload.
type Part struct {
	Number   int
	Size     int64
	ETag     string // hex MD5, no quotes
	Checksum Checksum
	Modified time.Time // UTC, whole milliseconds
}

// A CompletePart names a part that goes into the object.
type CompletePart struct {
	Number int
	ETag   string // must be the part's; no quotes
	// Checksum is base64 and must be the part's; "" is allowed unless the
	// upload is Composite. Algorithm is its algorithm, "" for the upload's; of
	// an upload without one, checksums that the home has not kept are not judged.
	Checksum, Algorithm string
}

// CompleteOptions are what the caller expects of the whole.
type CompleteOptions struct {
	Checksum string // of the whole, as in Checksum.Value; "" for none
	// Algorithm is that of Checksum, "" for the upload's. As with parts, it is
	// not judged where the upload has none and the home another.
	Algorithm string
	Type      string // must be the upload's when not ""
	// Size must be the object's when not -1; the zero value expects an empty
	// object.
	Size        int64
	IfNoneMatch bool   // as in PutOptions, judged here and not at CreateUpload
	IfMatch     string // as in PutOptions
	// Also is not called when the upload was completed before.
	Also Also
}

// A PartPage is one page of an upload's parts, sorted by number.
type PartPage struct {
	Upload    Upload
	Parts     []Part
	Next      int // the after of the next page; 0 when not Truncated
	Truncated bool
}

// An UploadQuery selects a page of the open uploads of a bucket, sorted by key
// and then by age. Prefix, Delimiter and Limit are as in Query.
type UploadQuery struct {
	Prefix, Delimiter string
	// AfterKey begins behind a key (or an entry of Prefixes); with AfterID,
	// behind that upload of the key.
	AfterKey, AfterID string
	Limit             int
}

// An UploadPage is one answer to an UploadQuery.
type UploadPage struct {
	Uploads         []Upload
	Prefixes        []string
	NextKey, NextID string // AfterKey and AfterID of the next page
	Truncated       bool
}
