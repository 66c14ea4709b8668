package api

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"strait"
	"strait/object"
	"strait/policy"
)

// checksumHeaders are the headers of a body's checksum.
type checksumHeaders struct {
	CRC32, CRC32C, CRC64NVME, SHA1, SHA256 string
}

// one returns the algorithm and value that were given; two are a mistake.
func (h checksumHeaders) one() (algorithm, value string, err error) {
	for _, c := range []struct{ a, v string }{{"CRC32", h.CRC32}, {"CRC32C", h.CRC32C}, {"CRC64NVME", h.CRC64NVME}, {"SHA1", h.SHA1}, {"SHA256", h.SHA256}} {
		if c.v == "" {
			continue
		}
		if algorithm != "" {
			return "", "", strait.Errorf(strait.Invalid, "request", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		algorithm, value = c.a, c.v
	}
	return algorithm, value, nil
}

// checksumXML is the checksum of an object or part in XML: one of them is set.
type checksumXML struct {
	ChecksumCRC32     string `xml:",omitempty"`
	ChecksumCRC32C    string `xml:",omitempty"`
	ChecksumCRC64NVME string `xml:",omitempty"`
	ChecksumSHA1      string `xml:",omitempty"`
	ChecksumSHA256    string `xml:",omitempty"`
}

func (x checksumXML) values() checksumHeaders {
	return checksumHeaders{x.ChecksumCRC32, x.ChecksumCRC32C, x.ChecksumCRC64NVME, x.ChecksumSHA1, x.ChecksumSHA256}
}

func checksumOf(c object.Checksum) (x checksumXML) {
	switch c.Algorithm {
	case "CRC32":
		x.ChecksumCRC32 = c.Value
	case "CRC32C":
		x.ChecksumCRC32C = c.Value
	case "CRC64NVME":
		x.ChecksumCRC64NVME = c.Value
	case "SHA1":
		x.ChecksumSHA1 = c.Value
	case "SHA256":
		x.ChecksumSHA256 = c.Value
	}
	return x
}

type putObjectInput struct {
	Bucket             string            `aws:"path,Bucket"`
	Key                string            `aws:"path,Key"`
	ContentType        string            `aws:"header,Content-Type"`
	ContentEncoding    string            `aws:"header,Content-Encoding"`
	ContentDisposition string            `aws:"header,Content-Disposition"`
	ContentLanguage    string            `aws:"header,Content-Language"`
	CacheControl       string            `aws:"header,Cache-Control"`
	Expires            string            `aws:"header,Expires"`
	User               map[string]string `aws:"headers,X-Amz-Meta-"`
	MD5                string            `aws:"header,Content-Md5"`
	CRC32              string            `aws:"header,X-Amz-Checksum-Crc32"`
	CRC32C             string            `aws:"header,X-Amz-Checksum-Crc32c"`
	CRC64NVME          string            `aws:"header,X-Amz-Checksum-Crc64nvme"`
	SHA1               string            `aws:"header,X-Amz-Checksum-Sha1"`
	SHA256             string            `aws:"header,X-Amz-Checksum-Sha256"`
	Algorithm          string            `aws:"header,X-Amz-Sdk-Checksum-Algorithm"`
	Trailer            string            `aws:"header,X-Amz-Trailer"`
	IfMatch            string            `aws:"header,If-Match"`
	IfNoneMatch        string            `aws:"header,If-None-Match"`
	ContentSHA256      string            `aws:"header,X-Amz-Content-Sha256"`
	ACL                string            `aws:"header,X-Amz-Acl"`
	Grants             map[string]string `aws:"headers,X-Amz-Grant-"`
	Lock               map[string]string `aws:"headers,X-Amz-Object-Lock-"`
	Redirect           string            `aws:"header,X-Amz-Website-Redirect-Location"`
	StorageClass       string            `aws:"header,X-Amz-Storage-Class"`
	Encryption         string            `aws:"header,X-Amz-Server-Side-Encryption"`
	CustomerKey        string            `aws:"header,X-Amz-Server-Side-Encryption-Customer-Algorithm"`
	Tagging            string            `aws:"header,X-Amz-Tagging"`
	PartNumber         int               `aws:"query,partNumber"`
	UploadID           string            `aws:"query,uploadId"`
	Body               *Payload          `aws:"payload"`

	event string // what others are told of it; "" for a PutObject
}

func (in *putObjectInput) extras() extras {
	return extras{in.ACL, in.Grants, in.Lock, in.Redirect, in.StorageClass, in.Encryption, in.CustomerKey}
}

// mayPut asks before a byte of the body is read.
func (k s3Desk) mayPut(_ context.Context, _ View, _ *Caller, in *putObjectInput) ([]Ask, error) {
	if err := in.extras().offered(); err != nil {
		return nil, err
	}
	x := writeContext(in.extras(), in.IfMatch, in.IfNoneMatch)
	if in.ContentSHA256 != "" {
		x.Set("s3:x-amz-content-sha256", in.ContentSHA256)
	}
	return withTagging(askWith("s3:PutObject", strait.S3(in.Bucket+"/"+in.Key), x), in.Tagging)
}

func (k s3Desk) mayPutPart(ctx context.Context, v View, c *Caller, in *putObjectInput) ([]Ask, error) {
	return k.mayPut(ctx, v, c, in)
}

// options says to the store what the client said of the body.
func (in *putObjectInput) options() (object.PutOptions, error) {
	o := object.PutOptions{Size: in.Body.Size, Meta: object.Meta{
		ContentType: in.ContentType, ContentEncoding: withoutChunked(in.ContentEncoding), CacheControl: in.CacheControl,
		ContentDisposition: in.ContentDisposition, ContentLanguage: in.ContentLanguage, Expires: in.Expires, User: in.User,
	}}
	var want string
	var err error
	if o.Meta.Tags, err = parseTagging(in.Tagging); err != nil {
		return o, err
	}
	if o.Algorithm, want, err = (checksumHeaders{in.CRC32, in.CRC32C, in.CRC64NVME, in.SHA1, in.SHA256}).one(); err != nil {
		return o, err
	}
	body := in.Body
	if trailer, ok := strings.CutPrefix(strings.ToLower(in.Trailer), "x-amz-checksum-"); ok && o.Algorithm == "" {
		o.Algorithm = strings.ToUpper(trailer)
		name := "x-amz-checksum-" + trailer
		o.Want = func() (string, error) { return body.Trailer()[name], nil }
	} else if o.Algorithm != "" {
		o.Want = func() (string, error) { return want, nil }
	} else if in.Algorithm != "" {
		o.Algorithm = strings.ToUpper(in.Algorithm)
	}
	if in.MD5 != "" {
		if o.MD5, err = base64.StdEncoding.DecodeString(in.MD5); err != nil || len(o.MD5) != 16 {
			return o, strait.Errorf(strait.Invalid, "malformed digest", "The Content-MD5 you specified was invalid.")
		}
	}
	o.IfMatch, o.IfNoneMatch, err = writeConditions(in.IfMatch, in.IfNoneMatch)
	return o, err
}

// withoutChunked removes the framing's name from Content-Encoding: it is no
// property of the object.
func withoutChunked(enc string) string {
	if !strings.Contains(enc, "aws-chunked") {
		return enc
	}
	var out []string
	for _, e := range strings.Split(enc, ",") {
		if e = strings.TrimSpace(e); e != "" && e != "aws-chunked" {
			out = append(out, e)
		}
	}
	return strings.Join(out, ",")
}

type putObjectOutput struct {
	ETag       string            `aws:"header,ETag"`
	Expiration string            `aws:"header,x-amz-expiration"`
	Checksum   map[string]string `aws:"headers,x-amz-checksum-"`
}

func sums(c object.Checksum) map[string]string {
	if c.Value == "" {
		return nil
	}
	m := map[string]string{strings.ToLower(c.Algorithm): c.Value}
	if c.Type != "" {
		m["type"] = c.Type
	}
	return m
}

func (k s3Desk) putObject(ctx context.Context, c Call, in *putObjectInput) (*putObjectOutput, error) {
	o, err := in.options()
	if err != nil {
		return nil, err
	}
	if o.Also, err = k.note(ctx, c.Caller, or(in.event, "ObjectCreated:Put"), in.Bucket, in.Key); err != nil {
		return nil, err
	}
	info, err := k.store.Put(ctx, in.Bucket, in.Key, in.Body, o)
	if err != nil {
		return nil, aborted(err)
	}
	return &putObjectOutput{`"` + info.ETag + `"`, k.expiration(ctx, info), sums(info.Checksum)}, nil
}

// aborted says of a body that broke off what S3 says; other errors are told
// as they are.
func aborted(err error) error {
	if _, ok := err.(*strait.Error); ok || strait.KindOf(err) != strait.Internal {
		return err
	}
	return strait.Errorf(strait.Invalid, "incomplete body", "You did not provide the number of bytes specified by the Content-Length HTTP header: %w", err)
}

func (k s3Desk) uploadPart(ctx context.Context, _ Call, in *putObjectInput) (*putObjectOutput, error) {
	o, err := in.options()
	if err != nil {
		return nil, err
	}
	o.Meta, o.IfMatch, o.IfNoneMatch = object.Meta{}, "", false
	part, err := k.store.PutPart(ctx, in.Bucket, in.Key, in.UploadID, in.PartNumber, in.Body, o)
	if err != nil {
		return nil, aborted(err)
	}
	c := part.Checksum
	c.Type = ""
	return &putObjectOutput{ETag: `"` + part.ETag + `"`, Checksum: sums(c)}, nil
}

type createUploadInput struct {
	Bucket             string            `aws:"path,Bucket"`
	Key                string            `aws:"path,Key"`
	Uploads            string            `aws:"query,uploads"`
	ContentType        string            `aws:"header,Content-Type"`
	ContentEncoding    string            `aws:"header,Content-Encoding"`
	ContentDisposition string            `aws:"header,Content-Disposition"`
	ContentLanguage    string            `aws:"header,Content-Language"`
	CacheControl       string            `aws:"header,Cache-Control"`
	Expires            string            `aws:"header,Expires"`
	User               map[string]string `aws:"headers,X-Amz-Meta-"`
	Algorithm          string            `aws:"header,X-Amz-Checksum-Algorithm"`
	Type               string            `aws:"header,X-Amz-Checksum-Type"`
	ACL                string            `aws:"header,X-Amz-Acl"`
	Grants             map[string]string `aws:"headers,X-Amz-Grant-"`
	Lock               map[string]string `aws:"headers,X-Amz-Object-Lock-"`
	Redirect           string            `aws:"header,X-Amz-Website-Redirect-Location"`
	StorageClass       string            `aws:"header,X-Amz-Storage-Class"`
	Encryption         string            `aws:"header,X-Amz-Server-Side-Encryption"`
	CustomerKey        string            `aws:"header,X-Amz-Server-Side-Encryption-Customer-Algorithm"`
	Tagging            string            `aws:"header,X-Amz-Tagging"`
}

func (in *createUploadInput) extras() extras {
	return extras{in.ACL, in.Grants, in.Lock, in.Redirect, in.StorageClass, in.Encryption, in.CustomerKey}
}

func (k s3Desk) mayCreateUpload(_ context.Context, _ View, _ *Caller, in *createUploadInput) ([]Ask, error) {
	if err := in.extras().offered(); err != nil {
		return nil, err
	}
	return withTagging(askWith("s3:PutObject", strait.S3(in.Bucket+"/"+in.Key), writeContext(in.extras(), "", "")), in.Tagging)
}

type initiateResult struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
	Bucket   string
	Key      string
	UploadId string
}

type createUploadOutput struct {
	Algorithm string          `aws:"header,x-amz-checksum-algorithm"`
	Type      string          `aws:"header,x-amz-checksum-type"`
	XML       *initiateResult `aws:"xml"`
}

func (k s3Desk) createUpload(ctx context.Context, c Call, in *createUploadInput) (*createUploadOutput, error) {
	tags, err := parseTagging(in.Tagging)
	if err != nil {
		return nil, err
	}
	u, err := k.store.CreateUpload(ctx, in.Bucket, in.Key, object.UploadOptions{
		Meta: object.Meta{ContentType: in.ContentType, ContentEncoding: withoutChunked(in.ContentEncoding), CacheControl: in.CacheControl,
			ContentDisposition: in.ContentDisposition, ContentLanguage: in.ContentLanguage, Expires: in.Expires, User: in.User, Tags: tags},
		Algorithm: strings.ToUpper(in.Algorithm), Type: strings.ToUpper(in.Type), Initiator: string(c.Caller.ARN),
	})
	if err != nil {
		return nil, err
	}
	return &createUploadOutput{u.Algorithm, u.Type, &initiateResult{Bucket: u.Bucket, Key: u.Key, UploadId: u.ID}}, nil
}

type completeUploadInput struct {
	Bucket      string `aws:"path,Bucket"`
	Key         string `aws:"path,Key"`
	UploadID    string `aws:"query,uploadId"`
	CRC32       string `aws:"header,X-Amz-Checksum-Crc32"`
	CRC32C      string `aws:"header,X-Amz-Checksum-Crc32c"`
	CRC64NVME   string `aws:"header,X-Amz-Checksum-Crc64nvme"`
	SHA1        string `aws:"header,X-Amz-Checksum-Sha1"`
	SHA256      string `aws:"header,X-Amz-Checksum-Sha256"`
	Type        string `aws:"header,X-Amz-Checksum-Type"`
	Size        *int64 `aws:"header,X-Amz-Mp-Object-Size"`
	IfMatch     string `aws:"header,If-Match"`
	IfNoneMatch string `aws:"header,If-None-Match"`
	Upload      struct {
		Part []struct {
			PartNumber int
			ETag       string
			checksumXML
		}
	} `aws:"xml"`
}

func (k s3Desk) mayComplete(_ context.Context, _ View, _ *Caller, in *completeUploadInput) ([]Ask, error) {
	x := policy.Context{}
	if in.IfNoneMatch != "" {
		x.Set("s3:if-none-match", in.IfNoneMatch)
	}
	if in.IfMatch != "" {
		x.Set("s3:if-match", in.IfMatch)
	}
	return askWith("s3:PutObject", strait.S3(in.Bucket+"/"+in.Key), x), nil
}

type completeResult struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
	Location string
	Bucket   string
	Key      string
	ETag     string
	checksumXML
	ChecksumType string `xml:",omitempty"`
}

type completeOutput struct {
	Expiration string          `aws:"header,x-amz-expiration"`
	XML        *completeResult `aws:"xml"`
}

func (k s3Desk) completeUpload(ctx context.Context, c Call, in *completeUploadInput) (*completeOutput, error) {
	if len(in.Upload.Part) == 0 || len(in.Upload.Part) > object.MaxParts {
		return nil, strait.Errorf(strait.Invalid, "xml", "The XML you provided was not well-formed or did not validate against our published schema")
	}
	o := object.CompleteOptions{Type: strings.ToUpper(in.Type), Size: -1}
	if in.Size != nil {
		o.Size = *in.Size
	}
	var err error
	if o.IfMatch, o.IfNoneMatch, err = writeConditions(in.IfMatch, in.IfNoneMatch); err != nil {
		return nil, err
	}
	if _, o.Checksum, err = (checksumHeaders{in.CRC32, in.CRC32C, in.CRC64NVME, in.SHA1, in.SHA256}).one(); err != nil {
		return nil, err
	}
	parts := make([]object.CompletePart, len(in.Upload.Part))
	for i, p := range in.Upload.Part {
		_, sum, err := p.values().one()
		if err != nil {
			return nil, err
		}
		parts[i] = object.CompletePart{Number: p.PartNumber, ETag: strings.Trim(p.ETag, `"`), Checksum: sum}
	}
	if o.Also, err = k.note(ctx, c.Caller, "ObjectCreated:CompleteMultipartUpload", in.Bucket, in.Key); err != nil {
		return nil, err
	}
	info, err := k.store.Complete(ctx, in.Bucket, in.Key, in.UploadID, parts, o)
	if err != nil {
		return nil, err
	}
	out := completeResult{Location: "/" + in.Bucket + "/" + awsEscape(in.Key), Bucket: in.Bucket, Key: in.Key, ETag: `"` + info.ETag + `"`, ChecksumType: info.Checksum.Type}
	out.checksumXML = checksumOf(info.Checksum)
	return &completeOutput{k.expiration(ctx, info), &out}, nil
}

type uploadInput struct {
	Bucket   string `aws:"path,Bucket"`
	Key      string `aws:"path,Key"`
	UploadID string `aws:"query,uploadId"`
}

func (in *uploadInput) object() (string, string) { return in.Bucket, in.Key }

func (k s3Desk) abortUpload(ctx context.Context, _ Call, in *uploadInput) (*Nothing, error) {
	return nil, k.store.Abort(ctx, in.Bucket, in.Key, in.UploadID)
}

type listPartsInput struct {
	Bucket       string `aws:"path,Bucket"`
	Key          string `aws:"path,Key"`
	UploadID     string `aws:"query,uploadId"`
	MaxParts     *int   `aws:"query,max-parts"`
	Marker       int    `aws:"query,part-number-marker"`
	EncodingType string `aws:"query,encoding-type"`
}

func (in *listPartsInput) object() (string, string) { return in.Bucket, in.Key }

type listPartsResult struct {
	XMLName              xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListPartsResult"`
	Bucket               string
	Key                  string
	UploadId             string
	PartNumberMarker     int
	NextPartNumberMarker int
	MaxParts             int
	IsTruncated          bool
	Part                 []partXML
	Initiator, Owner     owner
	StorageClass         string
	ChecksumAlgorithm    string `xml:",omitempty"`
	ChecksumType         string `xml:",omitempty"`
}

type partXML struct {
	PartNumber   int
	LastModified MilliStamp
	ETag         string
	Size         int64
	checksumXML
}

func (k s3Desk) listParts(ctx context.Context, _ Call, in *listPartsInput) (*document[listPartsResult], error) {
	enc, err := urlEncoded(in.EncodingType)
	if err != nil {
		return nil, err
	}
	limit, err := pageSize(in.MaxParts, "max-parts")
	if err != nil {
		return nil, err
	}
	page, err := k.store.Parts(ctx, in.Bucket, in.Key, in.UploadID, in.Marker, max(limit, 1))
	if err != nil {
		return nil, err
	}
	out := listPartsResult{Bucket: in.Bucket, Key: enc(in.Key), UploadId: in.UploadID, PartNumberMarker: in.Marker, NextPartNumberMarker: page.Next, MaxParts: limit,
		IsTruncated: page.Truncated, Initiator: owner{ID: page.Upload.Initiator}, Owner: k.owner(), StorageClass: "STANDARD",
		ChecksumAlgorithm: page.Upload.Algorithm, ChecksumType: page.Upload.Type}
	for _, p := range page.Parts {
		x := partXML{PartNumber: p.Number, LastModified: MilliStamp(p.Modified), ETag: `"` + p.ETag + `"`, Size: p.Size}
		x.checksumXML = checksumOf(p.Checksum)
		out.Part = append(out.Part, x)
	}
	return xmlOf(out), nil
}

// readAll reads a small body whole.
func readAll(p *Payload, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(p, limit+1))
	if err != nil {
		return nil, aborted(err)
	}
	if int64(len(b)) > limit {
		return nil, strait.Errorf(strait.TooLarge, "object", "Your proposed upload exceeds the maximum allowed size")
	}
	return b, nil
}

// section is a part of an object on its way out.
type section struct {
	r    object.Reader
	from int64
	left int64
	set  bool
}

// Read seeks once and then reads on.
func (s *section) Read(p []byte) (int, error) {
	if !s.set {
		if _, err := s.r.Seek(s.from, io.SeekStart); err != nil {
			return 0, err
		}
		s.set = true
	}
	if s.left <= 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > s.left {
		p = p[:s.left]
	}
	n, err := s.r.Read(p)
	s.left -= int64(n)
	if err == io.EOF && s.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// WriteTo spares a copy where the store can.
func (s *section) WriteTo(w io.Writer) (int64, error) {
	direct, ok := s.r.(object.RangeWriter)
	if s.set || !ok {
		return io.Copy(w, struct{ io.Reader }{s})
	}
	n, err := direct.WriteRange(w, s.from, s.left)
	s.set, s.left = true, s.left-n
	return n, err
}

// Close lets the version go.
func (s *section) Close() error { return s.r.Close() }

func contentRange(from, n, size int64) string {
	return "bytes " + strconv.FormatInt(from, 10) + "-" + strconv.FormatInt(from+n-1, 10) + "/" + strconv.FormatInt(size, 10)
}

// parseRange reads a Range of one part; ok is false for what S3 overlooks: other
// units, several parts, what cannot be read (s3-upload.md, section 7).
func parseRange(s string, size int64) (from, n int64, ok bool, err error) {
	spec, found := strings.CutPrefix(s, "bytes=")
	a, b, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !found || !dash || strings.Contains(spec, ",") {
		return 0, 0, false, nil
	}
	out := &strait.Error{Kind: strait.Invalid, Thing: "range", Message: "The requested range is not satisfiable",
		Detail: map[string]string{"ActualObjectSize": strconv.FormatInt(size, 10), "RangeRequested": s}}
	last := size - 1
	if a == "" {
		n, e := strconv.ParseInt(b, 10, 64)
		if e != nil || n < 0 {
			return 0, 0, false, nil
		}
		if n == 0 || size == 0 {
			return 0, 0, false, out
		}
		n = min(n, size)
		return size - n, n, true, nil
	}
	from, e := strconv.ParseInt(a, 10, 64)
	if e != nil || from < 0 {
		return 0, 0, false, nil
	}
	if b != "" {
		l, e := strconv.ParseInt(b, 10, 64)
		if e != nil || l < from {
			return 0, 0, false, nil
		}
		last = min(l, last)
	}
	if from >= size {
		return 0, 0, false, out
	}
	return from, last - from + 1, true, nil
}

// conditions judges If-Match and its like (s3-upload.md, section 6).
func (in *readInput) conditions(info object.Info) error {
	failed := strait.Errorf(strait.Precondition, "condition", "At least one of the pre-conditions you specified did not hold")
	same := strait.Errorf(strait.Precondition, "not modified", "Not Modified")
	if in.IfMatch != "" {
		if !etagIn(in.IfMatch, info.ETag) {
			return failed
		}
	} else if t, err := http.ParseTime(in.IfUnmodifiedSince); err == nil && info.Modified.Truncate(time.Second).After(t) {
		return failed
	}
	if in.IfNoneMatch != "" {
		if etagIn(in.IfNoneMatch, info.ETag) {
			return same
		}
	} else if t, err := http.ParseTime(in.IfModifiedSince); err == nil && !info.Modified.Truncate(time.Second).After(t) {
		return same
	}
	return nil
}

func etagIn(list, etag string) bool {
	for _, e := range strings.Split(list, ",") {
		e = strings.TrimPrefix(strings.TrimSpace(e), "W/")
		if e == "*" || strings.Trim(e, `"`) == etag {
			return true
		}
	}
	return false
}
