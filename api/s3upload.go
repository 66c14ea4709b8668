package api

import (
	"context"
	"encoding/xml"
	"errors"
	"strconv"
	"strings"

	"strait"
	"strait/object"
)

// This file is multipart uploads but for their parts, which are put as objects are.

type createUploadInput struct {
	Bucket  string `aws:"path,Bucket"`
	Key     string `aws:"path,Key"`
	Uploads string `aws:"query,uploads"`
	metaHeaders
	Algorithm string `aws:"header,X-Amz-Checksum-Algorithm"`
	Type      string `aws:"header,X-Amz-Checksum-Type"`
	extras
	Tagging string `aws:"header,X-Amz-Tagging"`
}

func (k s3Desk) mayCreateUpload(_ context.Context, _ View, _ *Caller, in *createUploadInput) ([]Ask, error) {
	if err := k.offered(in.extras); err != nil {
		return nil, err
	}
	x := writeContext(in.extras, "", "")
	return withTagging(askWith("s3:PutObject", strait.S3(in.Bucket+"/"+in.Key), x), in.Tagging)
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
	Encrypted string          `aws:"header,x-amz-server-side-encryption"`
	XML       *initiateResult `aws:"xml"`
}

func (k s3Desk) createUpload(ctx context.Context, c Call, in *createUploadInput) (*createUploadOutput, error) {
	tags, err := parseTagging(in.Tagging)
	if err != nil {
		return nil, err
	}
	meta := in.meta()
	meta.Tags = tags
	if err := checksumType(in.Type); err != nil {
		return nil, err
	}
	if in.Type != "" && in.Algorithm == "" {
		return nil, strait.Errorf(strait.Invalid, "request", "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
	}
	u, err := k.store.CreateUpload(ctx, in.Bucket, in.Key, object.UploadOptions{
		Meta:      meta,
		Algorithm: strings.ToUpper(in.Algorithm), Type: strings.ToUpper(in.Type), Initiator: string(c.Caller.ARN),
	})
	if err != nil {
		return nil, err
	}
	return &createUploadOutput{u.Algorithm, u.Type, k.encryption(), &initiateResult{Bucket: u.Bucket, Key: u.Key, UploadId: u.ID}}, nil
}

func checksumType(s string) error {
	if t := strings.ToUpper(s); t == "" || t == object.Composite || t == object.FullObject {
		return nil
	}
	return strait.Errorf(strait.Invalid, "request", "Value for x-amz-checksum-type header is invalid.")
}

type completeUploadInput struct {
	Host     string `aws:"header,Host"`
	Bucket   string `aws:"path,Bucket"`
	Key      string `aws:"path,Key"`
	UploadID string `aws:"query,uploadId"`
	sumHeaders
	Type        string `aws:"header,X-Amz-Checksum-Type"`
	Size        *int64 `aws:"header,X-Amz-Mp-Object-Size"`
	IfMatch     string `aws:"header,If-Match"`
	IfNoneMatch string `aws:"header,If-None-Match"`
	Upload      struct {
		Part []struct {
			PartNumber *int
			ETag       *string
			checksumXML
		}
	} `aws:"xml"`
}

func (k s3Desk) mayComplete(_ context.Context, _ View, _ *Caller, in *completeUploadInput) ([]Ask, error) {
	x := writeContext(extras{}, in.IfMatch, in.IfNoneMatch)
	return askWith("s3:PutObject", strait.S3(in.Bucket+"/"+in.Key), x), nil
}

// parts reads the list of parts.
func (in *completeUploadInput) parts() ([]object.CompletePart, error) {
	if len(in.Upload.Part) == 0 || len(in.Upload.Part) > object.MaxParts {
		return nil, malformedXML()
	}
	parts := make([]object.CompletePart, len(in.Upload.Part))
	for i, p := range in.Upload.Part {
		if p.PartNumber == nil || p.ETag == nil {
			return nil, malformedXML()
		}
		if *p.PartNumber < 1 {
			return nil, badArgument("PartNumber", strconv.Itoa(*p.PartNumber), "PartNumber must be >= 1")
		}
		algorithm, sum, err := p.one()
		if err != nil {
			return nil, err
		}
		parts[i] = object.CompletePart{Number: *p.PartNumber, ETag: strings.Trim(*p.ETag, `"`), Checksum: sum, Algorithm: algorithm}
	}
	return parts, nil
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
	Encryption string          `aws:"header,x-amz-server-side-encryption"`
	XML        *completeResult `aws:"xml"`
}

func (k s3Desk) completeUpload(ctx context.Context, c Call, in *completeUploadInput) (*completeOutput, error) {
	parts, err := in.parts()
	if err != nil {
		return nil, err
	}
	if err := checksumType(in.Type); err != nil {
		return nil, err
	}
	o := object.CompleteOptions{Type: strings.ToUpper(in.Type), Size: -1}
	if in.Size != nil {
		if o.Size = *in.Size; o.Size < 0 {
			return nil, strait.Errorf(strait.Invalid, "request", "Value for x-amz-mp-object-size header is less than zero: '%d'", o.Size)
		}
	}
	if o.IfMatch, o.IfNoneMatch, err = writeConditions(in.IfMatch, in.IfNoneMatch); err != nil {
		return nil, err
	}
	if o.Algorithm, o.Checksum, err = in.sumHeaders.one(true); err != nil {
		return nil, err
	}
	if o.Also, err = k.note(ctx, c.Caller, "ObjectCreated:CompleteMultipartUpload", in.Bucket, in.Key); err != nil {
		return nil, err
	}
	info, err := k.store.Complete(ctx, in.Bucket, in.Key, in.UploadID, parts, o)
	var e *strait.Error
	if errors.As(err, &e) && e.Kind == strait.Invalid && e.Thing == "object size" {
		err = strait.Errorf(strait.Invalid, "request", "The provided 'x-amz-mp-object-size' header value %d does not match what was computed.", o.Size)
	}
	if err != nil {
		return nil, err
	}
	out := completeResult{Location: location(c.Caller, in.Host, in.Bucket, in.Key), Bucket: in.Bucket, Key: in.Key, ETag: `"` + info.ETag + `"`, ChecksumType: info.Checksum.Type}
	out.checksumXML = checksumOf(info.Checksum)
	return &completeOutput{k.expiration(ctx, info), k.encryption(), &out}, nil
}

// location is the URL of an object as the caller has addressed its bucket.
func location(c *Caller, host, bucket, key string) string {
	path := "/" + awsEscape(key)
	if !strings.HasPrefix(strings.ToLower(host), bucket+".") {
		path = "/" + bucket + path
	}
	if c.Secure {
		return "https://" + host + path
	}
	return "http://" + host + path
}

type uploadInput struct {
	Bucket   string `aws:"path,Bucket"`
	Key      string `aws:"path,Key"`
	UploadID string `aws:"query,uploadId"`
	IfTime   string `aws:"header,X-Amz-If-Match-Initiated-Time"`
}

func (in *uploadInput) object() (string, string) { return in.Bucket, in.Key }

func (k s3Desk) abortUpload(ctx context.Context, _ Call, in *uploadInput) (*Nothing, error) {
	if in.IfTime != "" { // of directory buckets; overlooked, it would abort what was not meant
		return nil, notOfferedHeader("x-amz-if-match-initiated-time")
	}
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
