package api

import (
	"context"
	"encoding/xml"
	"strings"

	"strait"
	"strait/object"
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
	return k.mayList(ctx, v, c, &listObjectsInput{Bucket: in.Bucket, Prefix: in.Prefix, Delimiter: in.Delimiter, MaxKeys: in.MaxKeys})
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
	enc, err := urlEncoded(in.EncodingType)
	if err != nil {
		return nil, err
	}
	limit, err := pageSize(in.MaxKeys, "max-keys")
	if err != nil {
		return nil, err
	}
	prefix, delimiter := deref(in.Prefix), deref(in.Delimiter)
	out := listBucketOldResult{Name: in.Bucket, Prefix: enc(prefix), Marker: enc(in.Marker), Delimiter: enc(delimiter), MaxKeys: limit, EncodingType: in.EncodingType}
	page, err := k.page(ctx, in.Bucket, object.Query{Prefix: prefix, Delimiter: delimiter, After: in.Marker, Limit: limit})
	if err != nil {
		return nil, err
	}
	out.Contents, out.CommonPrefixes = k.entries(page, enc, true)
	out.IsTruncated = page.Truncated
	// AWS tells it only with a delimiter; without one it is the last key, and
	// clients take that.
	if page.Truncated && delimiter != "" {
		out.NextMarker = enc(page.Next)
	}
	return xmlOf(out), nil
}

// page lists, and lists nothing of an existing bucket when nothing is wanted.
func (k s3Desk) page(ctx context.Context, bucket string, q object.Query) (object.Page, error) {
	if q.Limit == 0 {
		_, err := k.store.Bucket(ctx, bucket)
		return object.Page{}, err
	}
	return k.store.List(ctx, bucket, q)
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
	asks, err := k.mayList(ctx, v, c, &listObjectsInput{Bucket: in.Bucket, Prefix: in.Prefix, Delimiter: in.Delimiter, MaxKeys: in.MaxKeys})
	for i := range asks {
		asks[i].Action = "s3:ListBucketVersions"
	}
	return asks, err
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
	enc, err := urlEncoded(in.EncodingType)
	if err != nil {
		return nil, err
	}
	limit, err := pageSize(in.MaxKeys, "max-keys")
	if err != nil {
		return nil, err
	}
	if in.IDMarker != "" && in.KeyMarker == "" {
		return nil, strait.Errorf(strait.Invalid, "argument", "A version-id marker cannot be specified without a key marker.")
	}
	prefix, delimiter := deref(in.Prefix), deref(in.Delimiter)
	out := listVersionsResult{Name: in.Bucket, Prefix: enc(prefix), KeyMarker: enc(in.KeyMarker), VersionIdMarker: in.IDMarker, Delimiter: enc(delimiter), MaxKeys: limit, EncodingType: in.EncodingType}
	page, err := k.page(ctx, in.Bucket, object.Query{Prefix: prefix, Delimiter: delimiter, After: in.KeyMarker, Limit: limit})
	if err != nil {
		return nil, err
	}
	for _, o := range page.Objects {
		out.Version = append(out.Version, versionXML{Key: enc(o.Key), VersionId: "null", IsLatest: true, LastModified: MilliStamp(o.Modified),
			ETag: `"` + o.ETag + `"`, Size: o.Size, StorageClass: "STANDARD", Owner: k.owner()})
	}
	out.CommonPrefixes = prefixesOf(page.Prefixes, enc)
	if out.IsTruncated = page.Truncated; page.Truncated {
		out.NextKeyMarker = enc(page.Next)
		if !strings.HasSuffix(page.Next, delimiter) || delimiter == "" {
			out.NextVersionIdMarker = "null"
		}
	}
	return xmlOf(out), nil
}
