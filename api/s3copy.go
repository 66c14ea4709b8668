package api

import (
	"context"
	"encoding/xml"
	"io"
	"net/url"
	"strconv"
	"strings"

	"strait"
	"strait/authz"
	"strait/object"
	"strait/policy"
)

// A copySource is the object that a copy is made of, as x-amz-copy-source
// names it. The name that is asked for is the name that is read.
type copySource struct {
	bucket, key string
	version     string // as it was named: "" or "null"
}

// parseCopySource reads "/bucket/key" or "bucket/key", percent-encoded, with an
// optional "?versionId=null".
func parseCopySource(s string) (copySource, error) {
	bad := func(why string) (copySource, error) {
		return copySource{}, badArgument("x-amz-copy-source", s, "%s", why)
	}
	path, version, _ := strings.Cut(s, "?")
	version = strings.TrimPrefix(version, "versionId=")
	if err := validVersion(version); err != nil {
		return copySource{}, err
	}
	u, err := url.PathUnescape(path)
	if err != nil {
		return bad("Invalid copy source encoding")
	}
	bucket, key, ok := strings.Cut(strings.TrimPrefix(u, "/"), "/")
	switch {
	case !ok:
		return bad("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	case object.ValidBucket(bucket) != nil:
		return bad("Invalid copy source bucket name")
	case object.ValidKey(key) != nil:
		return bad("Invalid copy source object key")
	}
	return copySource{bucket, key, version}, nil
}

// validVersion takes the only version that an object here has.
func validVersion(id string) error {
	if id == "" || id == "null" {
		return nil
	}
	return badArgument("versionId", id, "Invalid version id specified: versions are not kept here")
}

func (s copySource) arn() strait.ARN { return strait.S3(s.bucket + "/" + s.key) }

// asks are what reading the source needs. A caller that may not list the
// source's bucket does not learn whether the object is there.
func (s copySource) asks(tags map[string]string) []Ask {
	return []Ask{{Action: ofVersion("s3:GetObject", s.version), Resource: s.arn(), Context: existingTags(tags)}, {Action: "s3:ListBucket", Resource: strait.S3(s.bucket), Mode: authz.Probing}}
}

// open returns the source, if the conditions hold for it. verdict is the one on
// listing its bucket.
func (k s3Desk) openSource(ctx context.Context, s copySource, listed authz.Verdict, c copyConditions) (object.Info, object.Reader, error) {
	info, r, err := k.store.Get(ctx, s.bucket, s.key)
	if err != nil {
		if strait.KindOf(err) == strait.NotFound && !listed.Allowed {
			err = strait.Errorf(strait.Denied, "action", "Access Denied")
		}
		return info, nil, err
	}
	if err := c.hold(info); err != nil {
		r.Close()
		return info, nil, err
	}
	return info, r, nil
}

// copyConditions are the x-amz-copy-source-if-* headers.
type copyConditions struct {
	match, noneMatch, modifiedSince, unmodifiedSince string
}

// hold judges them as those of a read, except that what is not modified is a
// failure, too.
func (c copyConditions) hold(info object.Info) error {
	in := readInput{IfMatch: c.match, IfNoneMatch: c.noneMatch, IfModifiedSince: c.modifiedSince, IfUnmodifiedSince: c.unmodifiedSince}
	if same, err := in.conditions(info); same || err != nil {
		return strait.Errorf(strait.Precondition, "condition", "At least one of the pre-conditions you specified did not hold")
	}
	return nil
}

type copyObjectInput struct {
	Bucket             string `aws:"path,Bucket"`
	Key                string `aws:"path,Key"`
	Source             string `aws:"header,X-Amz-Copy-Source"`
	MetadataDirective  string `aws:"header,X-Amz-Metadata-Directive"`
	TaggingDirective   string `aws:"header,X-Amz-Tagging-Directive"`
	SourceIfMatch      string `aws:"header,X-Amz-Copy-Source-If-Match"`
	SourceIfNoneMatch  string `aws:"header,X-Amz-Copy-Source-If-None-Match"`
	SourceIfModified   string `aws:"header,X-Amz-Copy-Source-If-Modified-Since"`
	SourceIfUnmodified string `aws:"header,X-Amz-Copy-Source-If-Unmodified-Since"`
	SourceKey          string `aws:"header,X-Amz-Copy-Source-Server-Side-Encryption-Customer-Algorithm"`
	IfMatch            string `aws:"header,If-Match"`
	IfNoneMatch        string `aws:"header,If-None-Match"`
	metaHeaders
	Algorithm string `aws:"header,X-Amz-Checksum-Algorithm"`
	extras
	Tagging string `aws:"header,X-Amz-Tagging"`

	source copySource
	tags   map[string]string // the source's, which were asked with and may be copied
}

func (in *copyObjectInput) conditions() copyConditions {
	return copyConditions{in.SourceIfMatch, in.SourceIfNoneMatch, in.SourceIfModified, in.SourceIfUnmodified}
}

// directive reads COPY or REPLACE.
func directive(s, name string) (replace bool, err error) {
	switch s {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	}
	return false, badArgument("x-amz-"+name+"-directive", s, "Unknown %s directive.", name)
}

// mayCopy asks for both ends.
func (k s3Desk) mayCopy(ctx context.Context, _ View, _ *Caller, in *copyObjectInput) (_ []Ask, err error) {
	if err := k.offered(in.extras); err != nil {
		return nil, err
	}
	if in.SourceKey != "" {
		return nil, notOfferedHeader("x-amz-copy-source-server-side-encryption-customer-algorithm")
	}
	if in.source, err = parseCopySource(in.Source); err != nil {
		return nil, err
	}
	x := writeContext(in.extras, in.IfMatch, in.IfNoneMatch)
	x.Set("s3:x-amz-copy-source", "/"+in.source.bucket+"/"+in.source.key)
	x.Set("s3:x-amz-metadata-directive", or(in.MetadataDirective, "COPY"))
	in.tags = k.tagsOf(ctx, in.source.bucket, in.source.key)
	asks := append(askWith("s3:PutObject", strait.S3(in.Bucket+"/"+in.Key), x), in.source.asks(in.tags)...)
	return k.withTags(asks, in)
}

// withTags adds what the tags of the copy need: new ones may be given, those
// of the source read and given.
func (k s3Desk) withTags(asks []Ask, in *copyObjectInput) ([]Ask, error) {
	replace, err := directive(in.TaggingDirective, "tagging")
	switch {
	case err != nil:
		return nil, err
	case replace:
		return withTagging(asks, in.Tagging)
	case in.Tagging != "":
		return nil, badArgument("x-amz-tagging", in.Tagging, "x-amz-tagging needs the tagging directive REPLACE.")
	case len(in.tags) == 0:
		return asks, nil
	}
	give := Ask{Action: "s3:PutObjectTagging", Resource: asks[0].Resource, Context: policy.Context{}}
	tagContext(give.Context, in.tags)
	read := strait.Action("s3:GetObjectTagging")
	if in.source.version != "" {
		read = "s3:GetObjectVersionTagging"
	}
	return append(asks, Ask{Action: read, Resource: in.source.arn(), Context: existingTags(in.tags)}, give), nil
}

type copyObjectResult struct {
	XMLName      xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyObjectResult"`
	ETag         string
	LastModified MilliStamp
	checksumXML
	ChecksumType string `xml:",omitempty"`
}

type copyObjectOutput struct {
	Expiration string            `aws:"header,x-amz-expiration"`
	Encryption string            `aws:"header,x-amz-server-side-encryption"`
	XML        *copyObjectResult `aws:"xml"`
}

func (k s3Desk) copyObject(ctx context.Context, c Call, in *copyObjectInput) (*copyObjectOutput, error) {
	replace, err := directive(in.MetadataDirective, "metadata")
	if err != nil {
		return nil, err
	}
	if !replace && in.TaggingDirective != "REPLACE" && in.source.bucket == in.Bucket && in.source.key == in.Key && in.StorageClass == "" && in.Encryption == "" {
		return nil, strait.Errorf(strait.Invalid, "request", "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	info, r, err := k.openSource(ctx, in.source, c.Verdicts[2], in.conditions())
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := sameTags(info.Meta.Tags, in.tags); err != nil {
		return nil, err
	}
	if info.Size > object.MaxBody {
		return nil, strait.Errorf(strait.Invalid, "request", "The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(object.MaxBody))
	}
	o := object.PutOptions{Meta: info.Meta, Size: info.Size, Algorithm: or(strings.ToUpper(in.Algorithm), info.Checksum.Algorithm)}
	given := in.meta()
	if err := given.Valid(); err != nil { // also when it is overlooked
		return nil, err
	}
	if replace {
		o.Meta = given
	}
	if in.TaggingDirective == "REPLACE" {
		if o.Meta.Tags, err = parseTagging(in.Tagging); err != nil {
			return nil, err
		}
	} else {
		o.Meta.Tags = info.Meta.Tags
	}
	if o.IfMatch, o.IfNoneMatch, err = writeConditions(in.IfMatch, in.IfNoneMatch); err != nil {
		return nil, err
	}
	if o.Also, err = k.note(ctx, c.Caller, "ObjectCreated:Copy", in.Bucket, in.Key); err != nil {
		return nil, err
	}
	made, err := k.store.Put(ctx, in.Bucket, in.Key, r, o)
	if err != nil {
		return nil, err
	}
	out := copyObjectResult{ETag: `"` + made.ETag + `"`, LastModified: MilliStamp(made.Modified), ChecksumType: made.Checksum.Type}
	out.checksumXML = checksumOf(made.Checksum)
	return &copyObjectOutput{k.expiration(ctx, made), k.encryption(), &out}, nil
}

type copyPartInput struct {
	Bucket             string `aws:"path,Bucket"`
	Key                string `aws:"path,Key"`
	PartNumber         int    `aws:"query,partNumber"`
	UploadID           string `aws:"query,uploadId"`
	Source             string `aws:"header,X-Amz-Copy-Source"`
	Range              string `aws:"header,X-Amz-Copy-Source-Range"`
	SourceIfMatch      string `aws:"header,X-Amz-Copy-Source-If-Match"`
	SourceIfNoneMatch  string `aws:"header,X-Amz-Copy-Source-If-None-Match"`
	SourceIfModified   string `aws:"header,X-Amz-Copy-Source-If-Modified-Since"`
	SourceIfUnmodified string `aws:"header,X-Amz-Copy-Source-If-Unmodified-Since"`
	SourceKey          string `aws:"header,X-Amz-Copy-Source-Server-Side-Encryption-Customer-Algorithm"`
	CustomerKey        string `aws:"header,X-Amz-Server-Side-Encryption-Customer-Algorithm"`

	source copySource
	tags   map[string]string // the source's, which were asked with
}

func (k s3Desk) mayCopyPart(ctx context.Context, _ View, _ *Caller, in *copyPartInput) (_ []Ask, err error) {
	if err := partNumber(in.PartNumber); err != nil {
		return nil, err
	}
	if in.CustomerKey+in.SourceKey != "" {
		return nil, notOfferedHeader("x-amz-server-side-encryption-customer-algorithm")
	}
	if in.source, err = parseCopySource(in.Source); err != nil {
		return nil, err
	}
	x := policy.Context{}
	x.Set("s3:x-amz-copy-source", "/"+in.source.bucket+"/"+in.source.key)
	in.tags = k.tagsOf(ctx, in.source.bucket, in.source.key)
	return append(askWith("s3:PutObject", strait.S3(in.Bucket+"/"+in.Key), x), in.source.asks(in.tags)...), nil
}

type copyPartResult struct {
	XMLName      xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyPartResult"`
	ETag         string
	LastModified MilliStamp
	checksumXML
}

func (k s3Desk) copyPart(ctx context.Context, c Call, in *copyPartInput) (*document[copyPartResult], error) {
	info, r, err := k.openSource(ctx, in.source, c.Verdicts[2],
		copyConditions{in.SourceIfMatch, in.SourceIfNoneMatch, in.SourceIfModified, in.SourceIfUnmodified})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := sameTags(info.Meta.Tags, in.tags); err != nil {
		return nil, err
	}
	from, n, err := parseCopyRange(in.Range, info.Size)
	if err != nil {
		return nil, err
	}
	if n > object.MaxBody {
		return nil, strait.Errorf(strait.Invalid, "request", "The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(object.MaxBody))
	}
	part, err := k.store.PutPart(ctx, in.Bucket, in.Key, in.UploadID, in.PartNumber, io.NewSectionReader(r, from, n), object.PutOptions{Size: n})
	if err != nil {
		return nil, err
	}
	out := copyPartResult{ETag: `"` + part.ETag + `"`, LastModified: MilliStamp(part.Modified)}
	out.checksumXML = checksumOf(part.Checksum)
	return xmlOf(out), nil
}

// parseCopyRange reads x-amz-copy-source-range, which unlike Range must name
// both ends, inside the source.
func parseCopyRange(s string, size int64) (from, n int64, err error) {
	if s == "" {
		return 0, size, nil
	}
	spec, ok := strings.CutPrefix(s, "bytes=")
	a, b, dash := strings.Cut(spec, "-")
	from, e1 := strconv.ParseInt(a, 10, 64)
	last, e2 := strconv.ParseInt(b, 10, 64)
	if !ok || !dash || e1 != nil || e2 != nil || from < 0 || last < from || strings.ContainsAny(spec, "+ ") {
		return 0, 0, badArgument("x-amz-copy-source-range", s, "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
	}
	if last >= size {
		return 0, 0, badArgument("x-amz-copy-source-range", s, "Range specified is not valid for source object of size: %d", size)
	}
	return from, last - from + 1, nil
}
