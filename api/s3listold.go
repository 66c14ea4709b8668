package api

import (
	"context"
	"encoding/xml"
	"strings"

	"strait"
)

// This file holds the two older listings, ListObjects and ListObjectVersions.
// Both are the pages of ListObjectsV2 under other names.

type listObjectsOldInput struct {
	Bucket       string  `aws:"path,Bucket"`
	Prefix       *string `aws:"query,prefix"`
	Delimiter    *string `aws:"query,delimiter"`
	MaxKeys      *int    `aws:"query,max-keys"`
	Marker       string  `aws:"query,marker"`
	EncodingType string  `aws:"query,encoding-type"`
}

func (k s3Desk) mayListOld(ctx context.Context, v View, c *Caller, in *listObjectsOldInput) ([]Ask, error) {
	return k.mayList(ctx, v, c, in.asNew())
}

func (in *listObjectsOldInput) asNew() *listObjectsInput {
	return &listObjectsInput{Bucket: in.Bucket, Prefix: in.Prefix, Delimiter: in.Delimiter, MaxKeys: in.MaxKeys, EncodingType: in.EncodingType}
}

type listBucketOldResult struct {
	XMLName        xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name           string
	Prefix         string
	Marker         string
	NextMarker     string `xml:",omitempty"`
	Delimiter      string `xml:",omitempty"`
	MaxKeys        int
	EncodingType   string `xml:",omitempty"`
	IsTruncated    bool
	Contents       []contentXML
	CommonPrefixes []prefixXML
}

func (k s3Desk) listObjectsOld(ctx context.Context, _ Call, in *listObjectsOldInput) (*document[listBucketOldResult], error) {
	l, err := k.list(ctx, in.asNew(), in.Marker)
	if err != nil {
		return nil, err
	}
	out := listBucketOldResult{Name: in.Bucket, Prefix: l.prefix, Marker: l.enc(in.Marker), Delimiter: l.delimiter, MaxKeys: l.limit, EncodingType: in.EncodingType, IsTruncated: l.Truncated}
	out.Contents, out.CommonPrefixes = k.entries(l, true)
	// AWS tells it only with a delimiter; without one it is the last key, and
	// clients take that.
	if l.Truncated && l.delimiter != "" {
		out.NextMarker = l.enc(l.Next)
	}
	return xmlOf(out), nil
}

type listVersionsInput struct {
	Bucket       string  `aws:"path,Bucket"`
	Versions     string  `aws:"query,versions"`
	Prefix       *string `aws:"query,prefix"`
	Delimiter    *string `aws:"query,delimiter"`
	MaxKeys      *int    `aws:"query,max-keys"`
	KeyMarker    string  `aws:"query,key-marker"`
	IDMarker     string  `aws:"query,version-id-marker"`
	EncodingType string  `aws:"query,encoding-type"`
}

func (k s3Desk) mayListVersions(ctx context.Context, v View, c *Caller, in *listVersionsInput) ([]Ask, error) {
	asks, err := k.mayList(ctx, v, c, in.asNew())
	for i := range asks {
		asks[i].Action = "s3:ListBucketVersions"
	}
	return asks, err
}

func (in *listVersionsInput) asNew() *listObjectsInput {
	return &listObjectsInput{Bucket: in.Bucket, Prefix: in.Prefix, Delimiter: in.Delimiter, MaxKeys: in.MaxKeys, EncodingType: in.EncodingType}
}

type listVersionsResult struct {
	XMLName             xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListVersionsResult"`
	Name                string
	Prefix              string
	KeyMarker           string
	VersionIdMarker     string
	NextKeyMarker       string `xml:",omitempty"`
	NextVersionIdMarker string `xml:",omitempty"`
	Delimiter           string `xml:",omitempty"`
	MaxKeys             int
	EncodingType        string `xml:",omitempty"`
	IsTruncated         bool
	Version             []versionXML
	CommonPrefixes      []prefixXML
}

type versionXML struct {
	Key          string
	VersionId    string
	IsLatest     bool
	LastModified MilliStamp
	ETag         string
	Size         int64
	StorageClass string
	Owner        owner
}

// listVersions: every object is the only, unnumbered version of its key, as in
// a bucket of AWS that never had versioning.
func (k s3Desk) listVersions(ctx context.Context, _ Call, in *listVersionsInput) (*document[listVersionsResult], error) {
	if in.IDMarker != "" && in.KeyMarker == "" {
		return nil, strait.Errorf(strait.Invalid, "argument", "A version-id marker cannot be specified without a key marker.")
	}
	l, err := k.list(ctx, in.asNew(), in.KeyMarker)
	if err != nil {
		return nil, err
	}
	out := listVersionsResult{Name: in.Bucket, Prefix: l.prefix, KeyMarker: l.enc(in.KeyMarker), VersionIdMarker: in.IDMarker, Delimiter: l.delimiter, MaxKeys: l.limit, EncodingType: in.EncodingType, IsTruncated: l.Truncated}
	for _, o := range l.Objects {
		out.Version = append(out.Version, versionXML{Key: l.enc(o.Key), VersionId: "null", IsLatest: true, LastModified: MilliStamp(o.Modified),
			ETag: `"` + o.ETag + `"`, Size: o.Size, StorageClass: "STANDARD", Owner: k.owner()})
	}
	out.CommonPrefixes = prefixesOf(l.Prefixes, l.enc)
	if l.Truncated {
		out.NextKeyMarker = l.enc(l.Next)
		if delimiter := deref(in.Delimiter); !strings.HasSuffix(l.Next, delimiter) || delimiter == "" {
			out.NextVersionIdMarker = "null"
		}
	}
	return xmlOf(out), nil
}
