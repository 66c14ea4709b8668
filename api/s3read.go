package api

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"strait"
	"strait/authz"
	"strait/object"
)

type readInput struct {
	Bucket            string `aws:"path,Bucket"`
	Key               string `aws:"path,Key"`
	Range             string `aws:"header,Range"`
	PartNumber        *int   `aws:"query,partNumber"`
	IfMatch           string `aws:"header,If-Match"`
	IfNoneMatch       string `aws:"header,If-None-Match"`
	IfModifiedSince   string `aws:"header,If-Modified-Since"`
	IfUnmodifiedSince string `aws:"header,If-Unmodified-Since"`
	ChecksumMode      string `aws:"header,X-Amz-Checksum-Mode"`
	VersionID         string `aws:"query,versionId"`
	CustomerKey       string `aws:"header,X-Amz-Server-Side-Encryption-Customer-Algorithm"`

	ContentType        string `aws:"query,response-content-type"`
	ContentEncoding    string `aws:"query,response-content-encoding"`
	ContentDisposition string `aws:"query,response-content-disposition"`
	ContentLanguage    string `aws:"query,response-content-language"`
	CacheControl       string `aws:"query,response-cache-control"`
	Expires            string `aws:"query,response-expires"`

	tags map[string]string // the object's, which were asked with
}

// mayGet: whether a missing object is told as such depends on whether the
// caller may list the bucket (s3-upload.md, section 2).
func (k s3Desk) mayGet(ctx context.Context, _ View, c *Caller, in *readInput) ([]Ask, error) {
	overrides := in.ContentType + in.ContentEncoding + in.ContentDisposition + in.ContentLanguage + in.CacheControl + in.Expires
	if overrides != "" && c.Kind == strait.Anonymous {
		return nil, strait.Errorf(strait.Invalid, "request", "Request specific response headers cannot be used for anonymous GET requests.")
	}
	if err := validVersion(in.VersionID); err != nil {
		return nil, err
	}
	if in.PartNumber != nil {
		if err := partNumber(*in.PartNumber); err != nil {
			return nil, err
		}
	}
	if in.CustomerKey != "" {
		return nil, strait.Errorf(strait.Invalid, "request", "The encryption parameters are not applicable to this object.")
	}
	in.tags = k.tagsOf(ctx, in.Bucket, in.Key)
	return append(askWith(ofVersion("s3:GetObject", in.VersionID), strait.S3(in.Bucket+"/"+in.Key), existingTags(in.tags)),
		Ask{Action: "s3:ListBucket", Resource: strait.S3(in.Bucket), Mode: authz.Probing}), nil
}

// unlisted hides from a caller that may not list whether an object is missing.
func unlisted(c Call, err error) error {
	if strait.KindOf(err) == strait.NotFound && len(c.Verdicts) > 1 && !c.Verdicts[1].Allowed {
		return strait.Errorf(strait.Denied, "action", "Access Denied")
	}
	return err
}

// Headers of an object; the payload is nil for HEAD.
type readOutput struct {
	Status             int               `aws:"status"`
	ETag               string            `aws:"header,ETag"`
	LastModified       time.Time         `aws:"header,Last-Modified"`
	AcceptRanges       string            `aws:"header,Accept-Ranges"`
	ContentLength      *int64            `aws:"header,Content-Length"`
	ContentRange       string            `aws:"header,Content-Range"`
	ContentType        string            `aws:"header,Content-Type"`
	ContentEncoding    string            `aws:"header,Content-Encoding"`
	ContentDisposition string            `aws:"header,Content-Disposition"`
	ContentLanguage    string            `aws:"header,Content-Language"`
	CacheControl       string            `aws:"header,Cache-Control"`
	Expires            string            `aws:"header,Expires"`
	Expiration         string            `aws:"header,x-amz-expiration"`
	Encryption         string            `aws:"header,x-amz-server-side-encryption"`
	Parts              *int              `aws:"header,x-amz-mp-parts-count"`
	Tags               *int              `aws:"header,x-amz-tagging-count"`
	Checksum           map[string]string `aws:"headers,x-amz-checksum-"`
	User               map[string]string `aws:"headers,x-amz-meta-"`
	Body               any               `aws:"payload"`
}

func (k s3Desk) headObject(ctx context.Context, c Call, in *readInput) (*readOutput, error) {
	out, err := k.getObject(ctx, c, in)
	if out != nil && out.Body != nil {
		out.Body.(interface{ Close() error }).Close()
		out.Body = nil
	}
	return out, err
}

func (k s3Desk) getObject(ctx context.Context, c Call, in *readInput) (*readOutput, error) {
	info, r, err := k.store.Get(ctx, in.Bucket, in.Key)
	if err != nil {
		return nil, unlisted(c, err)
	}
	var out *readOutput
	if err = sameTags(info.Meta.Tags, in.tags); err == nil {
		out, err = read(info, r, in)
	}
	if err != nil || out.Body == nil { // refused, or not modified
		r.Close()
		return out, err
	}
	out.Expiration, out.Encryption = k.expiration(ctx, info), k.encryption()
	return out, nil
}

func read(info object.Info, r object.Reader, in *readInput) (*readOutput, error) {
	same, err := in.conditions(info)
	if err != nil {
		return nil, err
	}
	m := info.Meta
	if same { // with what a cache brings its copy up to date by (RFC 9110, section 15.4.5)
		return &readOutput{Status: http.StatusNotModified, ETag: `"` + info.ETag + `"`, LastModified: info.Modified,
			CacheControl: or(in.CacheControl, m.CacheControl), Expires: or(in.Expires, m.Expires)}, nil
	}
	out := &readOutput{
		ETag: `"` + info.ETag + `"`, LastModified: info.Modified, AcceptRanges: "bytes", User: m.User,
		ContentType: or(in.ContentType, or(m.ContentType, "binary/octet-stream")), ContentEncoding: or(in.ContentEncoding, m.ContentEncoding),
		ContentDisposition: or(in.ContentDisposition, m.ContentDisposition), ContentLanguage: or(in.ContentLanguage, m.ContentLanguage),
		CacheControl: or(in.CacheControl, m.CacheControl), Expires: or(in.Expires, m.Expires),
	}
	if tags := len(m.Tags); tags > 0 {
		out.Tags = &tags
	}
	from, n := int64(0), info.Size
	switch {
	case in.PartNumber != nil:
		if in.Range != "" {
			return nil, strait.Errorf(strait.Invalid, "request", "Cannot specify both Range header and partNumber query parameter")
		}
		var err error
		if from, n, err = r.Part(*in.PartNumber); err != nil {
			return nil, strait.Errorf(strait.Invalid, "part range", "The requested partnumber is not satisfiable")
		}
		if info.Parts > 0 {
			out.Parts = &info.Parts
		}
		if info.Size > 0 {
			out.Status, out.ContentRange = http.StatusPartialContent, contentRange(from, n, info.Size)
		}
	case in.Range != "":
		f, l, ok, err := parseRange(in.Range, info.Size)
		if err != nil {
			return nil, err
		}
		if ok {
			from, n = f, l
			out.Status, out.ContentRange = http.StatusPartialContent, contentRange(from, n, info.Size)
		}
	}
	// The checksum of the whole must not go with a part: SDKs would verify it.
	sum, err := in.checksum(info, r, n)
	if err != nil {
		return nil, err
	}
	if sum != "" {
		out.Checksum = map[string]string{strings.ToLower(info.Checksum.Algorithm): sum, "type": info.Checksum.Type}
	}
	out.ContentLength = &n
	out.Body = &section{r: r, from: from, left: n}
	return out, nil
}

// checksum is the one of what is read, n bytes: of a part that was asked for by
// its number, or of the whole; "" when there is none or nobody wants it.
func (in *readInput) checksum(info object.Info, r object.Reader, n int64) (string, error) {
	if in.ChecksumMode == "" {
		return "", nil
	}
	parts, ok := r.(object.PartSummer)
	if in.PartNumber != nil && info.Parts > 0 && ok {
		sum, err := parts.PartChecksum(*in.PartNumber)
		// One of another kind than was chosen says nothing here, and CRC64NVME is
		// what S3 adds by itself: of that it tells the whole one only.
		if sum.Algorithm != info.Checksum.Algorithm || sum.Algorithm == object.CRC64NVME {
			sum.Value = ""
		}
		return sum.Value, err
	}
	if n == info.Size {
		return info.Checksum.Value, nil
	}
	return "", nil
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
	a, b, dash := strings.Cut(spec, "-")
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

// conditions judges If-Match and its like (s3-upload.md, section 6); same: the
// client has what it would read.
func (in *readInput) conditions(info object.Info) (same bool, err error) {
	failed := strait.Errorf(strait.Precondition, "condition", "At least one of the pre-conditions you specified did not hold")
	if in.IfMatch != "" {
		if !etagIn(in.IfMatch, info.ETag) {
			return false, failed
		}
	} else if t, err := http.ParseTime(in.IfUnmodifiedSince); err == nil && info.Modified.Truncate(time.Second).After(t) {
		return false, failed
	}
	if in.IfNoneMatch != "" {
		return etagIn(in.IfNoneMatch, info.ETag), nil
	}
	t, err := http.ParseTime(in.IfModifiedSince)
	return err == nil && !info.Modified.Truncate(time.Second).After(t), nil
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
