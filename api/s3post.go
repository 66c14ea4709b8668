package api

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"strait"
	"strait/object"
)

// A Form is the fields of a POST form that stand before its file.
type Form struct {
	Fields   map[string]string // by lower-case name
	FileName string            // what the file's part says of itself
}

type postObjectInput struct {
	Host   string   `aws:"header,Host"`
	Bucket string   `aws:"path,Bucket"`
	Form   *Form    `aws:"form"`
	Body   *Payload `aws:"payload"`

	put    putObjectInput // what the fields say, as a PutObject would
	limits postLimits
}

// mayPost holds the form to the policy that was signed with it, and asks for
// the signer what a PutObject asks.
func (k s3Desk) mayPost(ctx context.Context, v View, c *Caller, in *postObjectInput) ([]Ask, error) {
	if in.Form == nil {
		return nil, strait.Errorf(strait.Precondition, "form", "Bucket POST must be of the enclosure-type multipart/form-data")
	}
	f := in.Form.Fields
	// 1. The key, with the file's name in its place.
	key := strings.ReplaceAll(f["key"], "${filename}", in.Form.FileName)
	if key == "" {
		return nil, strait.Errorf(strait.Invalid, "argument", "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.")
	}
	if err := object.ValidKey(key); err != nil {
		return nil, err
	}
	f["key"] = key
	// 2. The policy. An anonymous form may be without; one that is there holds.
	if text := f["policy"]; text != "" || c.Kind != strait.Anonymous {
		p, err := parsePostPolicy(text)
		if err != nil {
			return nil, err
		}
		if in.limits, err = p.check(in.Bucket, f, k.now()); err != nil {
			return nil, err
		}
	}
	// 3. The rest is a PutObject.
	tags, err := formTags(f["tagging"])
	if err != nil {
		return nil, err
	}
	in.put = putObjectInput{event: "ObjectCreated:Post", Bucket: in.Bucket, Key: key,
		metaHeaders: metaHeaders{ContentType: f["content-type"], ContentEncoding: f["content-encoding"], ContentDisposition: f["content-disposition"],
			ContentLanguage: f["content-language"], CacheControl: f["cache-control"], Expires: f["expires"], User: underPrefix(f, "x-amz-meta-")},
		sumHeaders: sumHeaders{underPrefix(f, "x-amz-checksum-")}, Algorithm: f["x-amz-checksum-algorithm"],
		IfMatch: f["if-match"], IfNoneMatch: f["if-none-match"], Tagging: tags,
		extras: extras{ACL: or(f["acl"], f["x-amz-acl"]), Grants: underPrefix(f, "x-amz-grant-"), Lock: underPrefix(f, "x-amz-object-lock-"), Redirect: f["x-amz-website-redirect-location"],
			StorageClass: f["x-amz-storage-class"], Encryption: f["x-amz-server-side-encryption"], Keys: underPrefix(f, "x-amz-server-side-encryption-")}}
	if sum, ok := f["content-md5"]; ok {
		in.put.MD5 = &sum
	}
	return k.mayPut(ctx, v, c, &in.put)
}

func underPrefix(f map[string]string, prefix string) map[string]string {
	var m map[string]string
	for name, v := range f {
		if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
			if m == nil {
				m = map[string]string{}
			}
			m[rest] = v
		}
	}
	return m
}

// formTags turns a form's tags, which are XML, into those of a header.
func formTags(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	var x tagsXML
	if xml.Unmarshal([]byte(text), &x) != nil {
		return "", malformedXML()
	}
	tags, err := x.tags(maxObjectTags)
	q := url.Values{}
	for k, v := range tags {
		q.Set(k, v)
	}
	return q.Encode(), err
}

type postObjectOutput struct {
	Status   int           `aws:"status"`
	Location string        `aws:"header,Location"`
	ETag     string        `aws:"header,ETag"`
	XML      *postResponse `aws:"xml"`
}

type postResponse struct {
	XMLName  xml.Name `xml:"PostResponse"`
	Location string
	Bucket   string
	Key      string
	ETag     string
}

func (k s3Desk) postObject(ctx context.Context, c Call, in *postObjectInput) (*postObjectOutput, error) {
	in.put.Body = &Payload{Reader: &between{r: in.Body, limits: in.limits}, Size: -1, Trailer: in.Body.Trailer}
	put, err := k.putObject(ctx, c, &in.put)
	if err != nil {
		return nil, err
	}
	location := location(c.Caller, in.Host, in.Bucket, in.put.Key)
	out := &postObjectOutput{Status: http.StatusNoContent, Location: location, ETag: put.ETag}
	f := in.Form.Fields
	if u, err := url.Parse(or(f["success_action_redirect"], f["redirect"])); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		q := u.Query()
		q.Set("bucket", in.Bucket)
		q.Set("key", in.put.Key)
		q.Set("etag", put.ETag)
		u.RawQuery = q.Encode()
		out.Status, out.Location = http.StatusSeeOther, u.String()
		return out, nil
	}
	switch f["success_action_status"] {
	case "200":
		out.Status = http.StatusOK
	case "201":
		out.Status = http.StatusCreated
		out.XML = &postResponse{Location: location, Bucket: in.Bucket, Key: in.put.Key, ETag: put.ETag}
	}
	return out, nil
}

// between fails a file that is smaller or larger than the policy allows, before
// it becomes visible.
type between struct {
	r      io.Reader
	limits postLimits
	n      int64
}

// Read passes on what the file holds.
func (b *between) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	switch {
	case !b.limits.set:
	case b.n > b.limits.most:
		return 0, &strait.Error{Kind: strait.TooLarge, Thing: "object", Message: "Your proposed upload exceeds the maximum allowed size",
			Detail: map[string]string{"MaxSizeAllowed": strconv.FormatInt(b.limits.most, 10)}}
	case err == io.EOF && b.n < b.limits.least:
		return 0, &strait.Error{Kind: strait.Invalid, Thing: "part size", Message: "Your proposed upload is smaller than the minimum allowed size",
			Detail: map[string]string{"ProposedSize": strconv.FormatInt(b.n, 10), "MinSizeAllowed": strconv.FormatInt(b.limits.least, 10)}}
	}
	return n, err
}

// decodePolicy takes the base64 that a form carries.
func decodePolicy(text string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, strait.Errorf(strait.Invalid, "post policy", "Invalid Policy: Invalid Base64 Encoding")
	}
	return b, nil
}
