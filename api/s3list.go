package api

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"strconv"
	"strings"

	"strait"
	"strait/authz"
	"strait/object"
	"strait/policy"
)

func (k s3Desk) mayList(_ context.Context, _ View, _ *Caller, in *listObjectsInput) ([]Ask, error) {
	x := policy.Context{}
	if in.Prefix != nil {
		x.Set("s3:prefix", *in.Prefix)
	}
	if in.Delimiter != nil {
		x.Set("s3:delimiter", *in.Delimiter)
	}
	if in.MaxKeys != nil {
		x.Set("s3:max-keys", strconv.Itoa(*in.MaxKeys))
	}
	return askWith("s3:ListBucket", strait.S3(in.Bucket), x), nil
}

type listBucketResult struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  string
	Prefix                string
	Delimiter             string `xml:",omitempty"`
	MaxKeys               int
	EncodingType          string `xml:",omitempty"`
	KeyCount              int
	IsTruncated           bool
	ContinuationToken     string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	StartAfter            string `xml:",omitempty"`
	Contents              []contentXML
	CommonPrefixes        []prefixXML
}

type contentXML struct {
	Key               string
	LastModified      MilliStamp
	ETag              string
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
	Size              int64
	StorageClass      string
	Owner             *owner
}

type prefixXML struct{ Prefix string }

// urlEncoded encodes names as clients ask with encoding-type=url: XML cannot
// carry every key.
func urlEncoded(want string) (func(string) string, error) {
	switch want {
	case "":
		return func(s string) string { return s }, nil
	case "url":
		return awsEscape, nil
	}
	return nil, strait.Errorf(strait.Invalid, "argument", "Invalid Encoding Method specified in Request")
}

// awsEscape percent-encodes all but the unreserved characters and "/".
func awsEscape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// pageSize reads max-keys and its like: 0 to 1000.
func pageSize(n *int, name string) (int, error) {
	switch {
	case n == nil || *n > object.MaxPage:
		return object.MaxPage, nil
	case *n < 0:
		return 0, strait.Errorf(strait.Invalid, "argument", "Argument %s must be an integer between 0 and 2147483647", name)
	}
	return *n, nil
}

func (k s3Desk) listObjects(ctx context.Context, _ Call, in *listObjectsInput) (*document[listBucketResult], error) {
	enc, err := urlEncoded(in.EncodingType)
	if err != nil {
		return nil, err
	}
	limit, err := pageSize(in.MaxKeys, "max-keys")
	if err != nil {
		return nil, err
	}
	after := in.StartAfter
	if in.Token != "" {
		b, err := base64.URLEncoding.DecodeString(in.Token)
		if err != nil {
			return nil, strait.Errorf(strait.Invalid, "argument", "The continuation token provided is incorrect")
		}
		after = string(b)
	}
	out := listBucketResult{
		Name: in.Bucket, Prefix: enc(deref(in.Prefix)), Delimiter: enc(deref(in.Delimiter)), MaxKeys: limit,
		EncodingType: in.EncodingType, ContinuationToken: in.Token, StartAfter: enc(in.StartAfter),
	}
	page, err := k.page(ctx, in.Bucket, object.Query{Prefix: deref(in.Prefix), Delimiter: deref(in.Delimiter), After: after, Limit: limit})
	if err != nil {
		return nil, err
	}
	for _, o := range page.Objects {
		c := contentXML{Key: enc(o.Key), LastModified: MilliStamp(o.Modified), ETag: `"` + o.ETag + `"`, Size: o.Size, StorageClass: "STANDARD",
			ChecksumAlgorithm: o.Checksum.Algorithm, ChecksumType: o.Checksum.Type}
		if in.FetchOwner {
			w := k.owner()
			c.Owner = &w
		}
		out.Contents = append(out.Contents, c)
	}
	for _, p := range page.Prefixes {
		out.CommonPrefixes = append(out.CommonPrefixes, prefixXML{enc(p)})
	}
	out.KeyCount, out.IsTruncated = len(out.Contents)+len(out.CommonPrefixes), page.Truncated
	if page.Truncated {
		out.NextContinuationToken = base64.URLEncoding.EncodeToString([]byte(page.Next))
	}
	return xmlOf(out), nil
}

type listUploadsInput struct {
	Bucket       string `aws:"path,Bucket"`
	Uploads      string `aws:"query,uploads"`
	Prefix       string `aws:"query,prefix"`
	Delimiter    string `aws:"query,delimiter"`
	KeyMarker    string `aws:"query,key-marker"`
	IDMarker     string `aws:"query,upload-id-marker"`
	MaxUploads   *int   `aws:"query,max-uploads"`
	EncodingType string `aws:"query,encoding-type"`
}

func (in *listUploadsInput) bucket() string { return in.Bucket }

type listUploadsResult struct {
	XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListMultipartUploadsResult"`
	Bucket             string
	KeyMarker          string
	UploadIdMarker     string
	NextKeyMarker      string `xml:",omitempty"`
	NextUploadIdMarker string `xml:",omitempty"`
	Prefix             string
	Delimiter          string `xml:",omitempty"`
	EncodingType       string `xml:",omitempty"`
	MaxUploads         int
	IsTruncated        bool
	Upload             []uploadXML
	CommonPrefixes     []prefixXML
}

type uploadXML struct {
	UploadId          string
	Key               string
	Initiated         MilliStamp
	StorageClass      string
	Owner, Initiator  owner
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
}

func (k s3Desk) listUploads(ctx context.Context, _ Call, in *listUploadsInput) (*document[listUploadsResult], error) {
	enc, err := urlEncoded(in.EncodingType)
	if err != nil {
		return nil, err
	}
	limit, err := pageSize(in.MaxUploads, "max-uploads")
	if err != nil {
		return nil, err
	}
	page, err := k.store.Uploads(ctx, in.Bucket, object.UploadQuery{Prefix: in.Prefix, Delimiter: in.Delimiter, AfterKey: in.KeyMarker, AfterID: in.IDMarker, Limit: max(limit, 1)})
	if err != nil {
		return nil, err
	}
	out := listUploadsResult{Bucket: in.Bucket, KeyMarker: enc(in.KeyMarker), UploadIdMarker: in.IDMarker, NextKeyMarker: enc(page.NextKey), NextUploadIdMarker: page.NextID,
		Prefix: enc(in.Prefix), Delimiter: enc(in.Delimiter), EncodingType: in.EncodingType, MaxUploads: limit, IsTruncated: page.Truncated}
	for _, u := range page.Uploads {
		out.Upload = append(out.Upload, uploadXML{UploadId: u.ID, Key: enc(u.Key), Initiated: MilliStamp(u.Initiated), StorageClass: "STANDARD",
			Owner: k.owner(), Initiator: owner{ID: u.Initiator}, ChecksumAlgorithm: u.Algorithm, ChecksumType: u.Type})
	}
	for _, p := range page.Prefixes {
		out.CommonPrefixes = append(out.CommonPrefixes, prefixXML{enc(p)})
	}
	return xmlOf(out), nil
}

type deleteObjectsInput struct {
	Bucket string `aws:"path,Bucket"`
	Mark   string `aws:"query,delete"`
	Delete struct {
		XMLName xml.Name        `xml:"Delete"`
		Object  []deleteItemXML `xml:"Object"`
		Quiet   bool
	} `aws:"xml"`
}

type deleteItemXML struct {
	Key       string
	VersionId string
	ETag      string
	Other     strangers `xml:",any"` // conditions that must not be overlooked
}

type deleteResult struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
	Deleted []deletedXML
	Error   []deleteErrorXML
}

type deletedXML struct{ Key string }

type deleteErrorXML struct{ Key, Code, Message string }

// mayDeleteMany asks for each key by itself: one that is refused is told so,
// the others go.
func (k s3Desk) mayDeleteMany(_ context.Context, _ View, _ *Caller, in *deleteObjectsInput) ([]Ask, error) {
	if n := len(in.Delete.Object); n == 0 || n > 1000 {
		return nil, malformedXML()
	}
	var asks []Ask
	for _, o := range in.Delete.Object {
		if err := o.Other.refused("DeleteObjects"); err != nil {
			return nil, err
		}
		asks = append(asks, deleteAsks(in.Bucket, o.Key, o.VersionId, o.ETag, authz.PerItem)...)
	}
	return asks, nil
}

func (k s3Desk) deleteObjects(ctx context.Context, c Call, in *deleteObjectsInput) (*document[deleteResult], error) {
	if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
		return nil, err
	}
	var out deleteResult
	verdicts := c.Verdicts
	for _, o := range in.Delete.Object {
		mine := len(deleteAsks(in.Bucket, o.Key, o.VersionId, o.ETag, authz.PerItem))
		code, message := k.deleteItem(ctx, c.Caller, in.Bucket, o, verdicts[:mine])
		verdicts = verdicts[mine:]
		switch {
		case code != "":
			out.Error = append(out.Error, deleteErrorXML{o.Key, code, message})
		case !in.Delete.Quiet:
			out.Deleted = append(out.Deleted, deletedXML{o.Key})
		}
	}
	return xmlOf(out), nil
}

// deleteItem deletes one object; code is "" when it is gone.
func (k s3Desk) deleteItem(ctx context.Context, c *Caller, bucket string, o deleteItemXML, verdicts []authz.Verdict) (code, message string) {
	for _, v := range verdicts {
		if !v.Allowed {
			return "AccessDenied", v.Err.Message
		}
	}
	if o.VersionId != "" && o.VersionId != "null" {
		return "NoSuchVersion", "Versions are not kept here."
	}
	switch err := k.remove(ctx, c, bucket, o.Key, o.ETag); {
	case err == nil:
		return "", ""
	case strait.KindOf(err) == strait.Precondition:
		return "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
	case strait.KindOf(err) == strait.NotFound:
		return "NoSuchKey", "The specified key does not exist."
	case strait.KindOf(err) == strait.Invalid:
		return "KeyTooLongError", plainly(err)
	case strait.KindOf(err) == strait.Unavailable:
		return "SlowDown", plainly(err)
	default:
		return "InternalError", plainly(err)
	}
}
