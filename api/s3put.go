package api

import (
	"context"
	"encoding/base64"
	"io"
	"strings"

	"strait"
	"strait/object"
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

// sumHeaders are all headers that begin as those of a checksum do: one that is
// not known must not be overlooked, or the body would pass unchecked.
type sumHeaders struct {
	Sums map[string]string `aws:"headers,X-Amz-Checksum-"`
}

// sumSizes are the bytes of each algorithm's checksum.
var sumSizes = map[string]int{"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}

// one returns the algorithm and value that were given; two are a mistake.
func (h sumHeaders) one() (algorithm, value string, err error) {
	for name, v := range h.Sums {
		size, known := sumSizes[name]
		switch {
		case name == "algorithm" || name == "type" || name == "mode":
			continue
		case !known:
			return "", "", notOfferedHeader("x-amz-checksum-" + name)
		case algorithm != "":
			return "", "", strait.Errorf(strait.Invalid, "request", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		sum, _, _ := strings.Cut(v, "-") // "-N" behind that of an upload
		if b, err := base64.StdEncoding.DecodeString(sum); err != nil || len(b) != size {
			return "", "", strait.Errorf(strait.Invalid, "request", "Value for x-amz-checksum-%s header is invalid.", name)
		}
		algorithm, value = strings.ToUpper(name), v
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
	return k.mayPut(ctx, v, c, in)
}

// options says to the store what the client said of the body.
func (in *putObjectInput) options() (object.PutOptions, error) {
	o := object.PutOptions{Size: in.Body.Size, Meta: in.meta()}
	var want string
	var err error
	if o.Meta.Tags, err = parseTagging(in.Tagging); err != nil {
		return o, err
	}
	if o.Algorithm, want, err = in.sumHeaders.one(); err != nil {
		return o, err
	}
	body := in.Body
	if trailer, ok := strings.CutPrefix(strings.ToLower(in.Trailer), "x-amz-checksum-"); ok && o.Algorithm == "" {
		o.Algorithm = strings.ToUpper(trailer)
		name := "x-amz-checksum-" + trailer
		o.Want = func() (string, error) { return body.Trailer()[name], nil }
	} else if o.Algorithm != "" {
		o.Want = func() (string, error) { return want, nil }
	}
	if announced := strings.ToUpper(in.Algorithm); o.Algorithm == "" {
		o.Algorithm = announced
	} else if announced != "" && announced != o.Algorithm {
		return o, strait.Errorf(strait.Invalid, "request", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
	}
	if in.MD5 != nil {
		if o.MD5, err = base64.StdEncoding.DecodeString(*in.MD5); err != nil || len(o.MD5) != 16 {
			return o, strait.Errorf(strait.Invalid, "malformed digest", "The Content-MD5 you specified was invalid.")
		}
	}
	o.IfMatch, o.IfNoneMatch, err = writeConditions(in.IfMatch, in.IfNoneMatch)
	return o, err
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
	o.Meta, o.IfMatch, o.IfNoneMatch = object.Meta{}, "", false
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
