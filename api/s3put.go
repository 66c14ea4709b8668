package api

import (
	"context"
	"encoding/base64"
	"io"
	"slices"
	"strconv"
	"strings"

	"strait"
	"strait/object"
)

// sumHeaders are all headers that begin as those of a checksum do: one that is
// not known must not be overlooked, or the body would pass unchecked.
type sumHeaders struct {
	Sums map[string]string `aws:"headers,X-Amz-Checksum-"`
}

// one returns the algorithm and value that were given; two are a mistake. The
// value of an upload may have the number of its parts behind.
func (h sumHeaders) one(ofUpload bool) (algorithm, value string, err error) {
	var names []string
	for name := range h.Sums {
		if name != "algorithm" && name != "type" && name != "mode" {
			names = append(names, name)
		}
	}
	switch len(names) {
	case 0:
		return "", "", nil
	case 1:
	default:
		return "", "", severalSums()
	}
	name := names[0]
	algorithm, value = strings.ToUpper(name), h.Sums[name]
	if !slices.Contains(object.Algorithms(), algorithm) {
		return "", "", strait.Errorf(strait.Invalid, "request", "The algorithm type you specified in x-amz-checksum- header is invalid.")
	}
	sum, parts, composite := strings.Cut(value, "-")
	if composite && (!ofUpload || parts == "" || strings.Trim(parts, "0123456789") != "") || !isSum(algorithm, sum) {
		return "", "", strait.Errorf(strait.Invalid, "request", "Value for x-amz-checksum-%s header is invalid.", name)
	}
	return algorithm, value, nil
}

func severalSums() error {
	return strait.Errorf(strait.Invalid, "request", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
}

// isSum tells whether value is of as many bytes as a checksum has.
func isSum(algorithm, value string) bool {
	h, err := object.NewHash(algorithm)
	if err != nil {
		return false
	}
	b, err := base64.StdEncoding.DecodeString(value)
	return err == nil && len(b) == h.Size()
}

// checksumXML is the checksum of an object or part in XML: one of them is set.
type checksumXML struct {
	ChecksumCRC32     string `xml:",omitempty"`
	ChecksumCRC32C    string `xml:",omitempty"`
	ChecksumCRC64NVME string `xml:",omitempty"`
	ChecksumSHA1      string `xml:",omitempty"`
	ChecksumSHA256    string `xml:",omitempty"`
	ChecksumSHA512    string `xml:",omitempty"`
	ChecksumMD5       string `xml:",omitempty"`
	ChecksumXXHASH64  string `xml:",omitempty"`
	ChecksumXXHASH3   string `xml:",omitempty"`
	ChecksumXXHASH128 string `xml:",omitempty"`
}

func (x *checksumXML) fields() map[string]*string {
	return map[string]*string{object.CRC32: &x.ChecksumCRC32, object.CRC32C: &x.ChecksumCRC32C, object.CRC64NVME: &x.ChecksumCRC64NVME,
		object.SHA1: &x.ChecksumSHA1, object.SHA256: &x.ChecksumSHA256, object.SHA512: &x.ChecksumSHA512, object.MD5: &x.ChecksumMD5,
		object.XXHASH64: &x.ChecksumXXHASH64, object.XXHASH3: &x.ChecksumXXHASH3, object.XXHASH128: &x.ChecksumXXHASH128}
}

// one returns the checksum that was given of a part.
func (x *checksumXML) one() (algorithm, value string, err error) {
	for a, v := range x.fields() {
		switch {
		case *v == "":
		case algorithm != "" || !isSum(a, *v):
			return "", "", badArgument("Checksum", *v, "Invalid Base64 or multiple checksums present in request")
		default:
			algorithm, value = a, *v
		}
	}
	return algorithm, value, nil
}

func checksumOf(c object.Checksum) (x checksumXML) {
	if f := x.fields()[c.Algorithm]; f != nil {
		*f = c.Value
	}
	return x
}

// badArgument is a parameter or header whose value cannot be.
func badArgument(name, value, format string, args ...any) error {
	err := strait.Errorf(strait.Invalid, "argument", format, args...)
	err.Detail = map[string]string{"ArgumentName": name, "ArgumentValue": value[:min(len(value), 1024)]}
	return err
}

type putObjectInput struct {
	Bucket string `aws:"path,Bucket"`
	Key    string `aws:"path,Key"`
	metaHeaders
	MD5 *string `aws:"header,Content-Md5"`
	sumHeaders
	Algorithm     string `aws:"header,X-Amz-Sdk-Checksum-Algorithm"`
	Trailer       string `aws:"header,X-Amz-Trailer"`
	IfMatch       string `aws:"header,If-Match"`
	IfNoneMatch   string `aws:"header,If-None-Match"`
	ContentSHA256 string `aws:"header,X-Amz-Content-Sha256"`
	extras
	Tagging    string   `aws:"header,X-Amz-Tagging"`
	PartNumber int      `aws:"query,partNumber"`
	UploadID   string   `aws:"query,uploadId"`
	Body       *Payload `aws:"payload"`

	event string // what others are told of it; "" for a PutObject
}

// mayPut asks before a byte of the body is read.
func (k s3Desk) mayPut(_ context.Context, _ View, _ *Caller, in *putObjectInput) ([]Ask, error) {
	if err := k.offered(in.extras); err != nil {
		return nil, err
	}
	x := writeContext(in.extras, in.IfMatch, in.IfNoneMatch)
	if in.ContentSHA256 != "" {
		x.Set("s3:x-amz-content-sha256", in.ContentSHA256)
	}
	return withTagging(askWith("s3:PutObject", strait.S3(in.Bucket+"/"+in.Key), x), in.Tagging)
}

func (k s3Desk) mayPutPart(ctx context.Context, v View, c *Caller, in *putObjectInput) ([]Ask, error) {
	if err := partNumber(in.PartNumber); err != nil {
		return nil, err
	}
	return k.mayPut(ctx, v, c, in)
}

func partNumber(n int) error {
	if n < 1 || n > object.MaxParts {
		return badArgument("partNumber", strconv.Itoa(n), "Part number must be an integer between 1 and %d, inclusive", object.MaxParts)
	}
	return nil
}

// options says to the store what the client said of the body.
func (in *putObjectInput) options() (object.PutOptions, error) {
	o := object.PutOptions{Size: in.Body.Size, Meta: in.meta()}
	var want string
	var err error
	if o.Meta.Tags, err = parseTagging(in.Tagging); err != nil {
		return o, err
	}
	if o.Algorithm, want, err = in.sumHeaders.one(false); err != nil {
		return o, err
	}
	body := in.Body
	if trailer, ok := strings.CutPrefix(strings.ToLower(in.Trailer), "x-amz-checksum-"); ok {
		if o.Algorithm != "" {
			return o, severalSums()
		}
		if o.Algorithm = strings.ToUpper(trailer); !slices.Contains(object.Algorithms(), o.Algorithm) {
			return o, strait.Errorf(strait.Invalid, "request", "The value specified in the x-amz-trailer header is not supported")
		}
		name := "x-amz-checksum-" + trailer
		o.Want = func() (string, error) {
			sum := body.Trailer()[name]
			if !isSum(o.Algorithm, sum) {
				return "", strait.Errorf(strait.Invalid, "request", "Value for %s trailing header is invalid.", name)
			}
			return sum, nil
		}
	} else if o.Algorithm != "" {
		o.Want = func() (string, error) { return want, nil }
	}
	if err := announced(in.Algorithm, o.Algorithm); err != nil {
		return o, err
	}
	if in.MD5 != nil {
		if o.MD5, err = contentMD5(*in.MD5); err != nil {
			return o, err
		}
	}
	o.IfMatch, o.IfNoneMatch, err = writeConditions(in.IfMatch, in.IfNoneMatch)
	return o, err
}

// announced compares x-amz-sdk-checksum-algorithm with what has come.
func announced(algorithm, got string) error {
	a := strings.ToUpper(algorithm)
	switch {
	case a == "" || a == got:
		return nil
	case got == "" && slices.Contains(object.Algorithms(), a):
		return strait.Errorf(strait.Invalid, "request", "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
	}
	return strait.Errorf(strait.Invalid, "request", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
}

type putObjectOutput struct {
	ETag       string            `aws:"header,ETag"`
	Expiration string            `aws:"header,x-amz-expiration"`
	Encryption string            `aws:"header,x-amz-server-side-encryption"`
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
	return &putObjectOutput{`"` + info.ETag + `"`, k.expiration(ctx, info), k.encryption(), sums(info.Checksum)}, nil
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
	o.Meta, o.IfMatch, o.IfNoneMatch, o.Demand = object.Meta{}, "", false, true
	part, err := k.store.PutPart(ctx, in.Bucket, in.Key, in.UploadID, in.PartNumber, in.Body, o)
	if err != nil {
		return nil, aborted(err)
	}
	c := part.Checksum
	c.Type = ""
	return &putObjectOutput{ETag: `"` + part.ETag + `"`, Encryption: k.encryption(), Checksum: sums(c)}, nil
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
