package api

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"strconv"
	"strings"

	"strait"
	"strait/object"
	"strait/policy"
)

type listObjectsInput struct {
	Bucket       string  `aws:"path,Bucket"`
	ListType     string  `aws:"query,list-type"`
	Prefix       *string `aws:"query,prefix"`
	Delimiter    *string `aws:"query,delimiter"`
	MaxKeys      *int    `aws:"query,max-keys"`
	StartAfter   string  `aws:"query,start-after"`
	Token        string  `aws:"query,continuation-token"`
	FetchOwner   bool    `aws:"query,fetch-owner"`
	EncodingType string  `aws:"query,encoding-type"`
}

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
	return nil, badArgument("encoding-type", want, "Invalid Encoding Method specified in Request")
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
		if name == "max-keys" {
			name = "maxKeys" // as AWS says it
		}
		return 0, badArgument(name, strconv.Itoa(*n), "Argument %s must be an integer between 0 and 2147483647", name)
	}
	return *n, nil
}

// entries are those of a page, as both listings of objects have them.
func (k s3Desk) entries(l listed, owned bool) (contents []contentXML, prefixes []prefixXML) {
	var own *owner
	if owned {
		w := k.owner()
		own = &w
	}
	for _, o := range l.Objects {
		contents = append(contents, contentXML{Key: l.enc(o.Key), LastModified: MilliStamp(o.Modified), ETag: `"` + o.ETag + `"`, Size: o.Size, StorageClass: "STANDARD",
			ChecksumAlgorithm: o.Checksum.Algorithm, ChecksumType: o.Checksum.Type, Owner: own})
	}
	return contents, prefixesOf(l.Prefixes, l.enc)
}

func prefixesOf(ps []string, enc func(string) string) (out []prefixXML) {
	for _, p := range ps {
		out = append(out, prefixXML{enc(p)})
	}
	return out
}

// A listed page, as the three listings of objects have it.
type listed struct {
	object.Page
	limit             int
	enc               func(string) string
	prefix, delimiter string // encoded
}

// list reads one page of what in asks for, behind after.
func (k s3Desk) list(ctx context.Context, in *listObjectsInput, after string) (l listed, err error) {
	if l.enc, err = urlEncoded(in.EncodingType); err != nil {
		return l, err
	}
	if l.limit, err = pageSize(in.MaxKeys, "max-keys"); err != nil {
		return l, err
	}
	l.prefix, l.delimiter = l.enc(deref(in.Prefix)), l.enc(deref(in.Delimiter))
	if l.limit == 0 { // nothing of a bucket that must be there
		_, err = k.store.Bucket(ctx, in.Bucket)
		return l, err
	}
	l.Page, err = k.store.List(ctx, in.Bucket, object.Query{Prefix: deref(in.Prefix), Delimiter: deref(in.Delimiter), After: after, Limit: l.limit})
	return l, err
}

func (k s3Desk) listObjects(ctx context.Context, _ Call, in *listObjectsInput) (*document[listBucketResult], error) {
	after := in.StartAfter
	if in.Token != "" {
		b, err := base64.URLEncoding.DecodeString(in.Token)
		if err != nil {
			return nil, badArgument("continuation-token", in.Token, "The continuation token provided is incorrect")
		}
		after = string(b)
	}
	l, err := k.list(ctx, in, after)
	if err != nil {
		return nil, err
	}
	out := listBucketResult{
		Name: in.Bucket, Prefix: l.prefix, Delimiter: l.delimiter, MaxKeys: l.limit, EncodingType: in.EncodingType,
		ContinuationToken: in.Token, StartAfter: l.enc(in.StartAfter), IsTruncated: l.Truncated,
	}
	out.Contents, out.CommonPrefixes = k.entries(l, in.FetchOwner)
	out.KeyCount = len(out.Contents) + len(out.CommonPrefixes)
	if l.Truncated {
		out.NextContinuationToken = base64.URLEncoding.EncodeToString([]byte(l.Next))
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
	out.CommonPrefixes = prefixesOf(page.Prefixes, enc)
	return xmlOf(out), nil
}
