package api

import (
	"context"
	"encoding/xml"
	"slices"
	"strings"
	"time"

	"strait"
	"strait/authz"
	"strait/object"
)

type attributesInput struct {
	Bucket     string `aws:"path,Bucket"`
	Key        string `aws:"path,Key"`
	Mark       string `aws:"query,attributes"`
	VersionID  string `aws:"query,versionId"`
	Attributes string `aws:"header,X-Amz-Object-Attributes"`
	MaxParts   *int   `aws:"header,X-Amz-Max-Parts"`
	Marker     int    `aws:"header,X-Amz-Part-Number-Marker"`

	tags map[string]string // the object's, which were asked with
}

func (k s3Desk) mayGetAttributes(ctx context.Context, _ View, _ *Caller, in *attributesInput) ([]Ask, error) {
	if err := validVersion(in.VersionID); err != nil {
		return nil, err
	}
	arn := strait.S3(in.Bucket + "/" + in.Key)
	in.tags = k.tagsOf(ctx, in.Bucket, in.Key)
	attributes := strait.Action("s3:GetObjectAttributes")
	if in.VersionID != "" {
		attributes = "s3:GetObjectVersionAttributes"
	}
	return []Ask{{Action: ofVersion("s3:GetObject", in.VersionID), Resource: arn, Context: existingTags(in.tags)},
		{Action: "s3:ListBucket", Resource: strait.S3(in.Bucket), Mode: authz.Probing},
		{Action: attributes, Resource: arn}}, nil
}

type attributesOutput struct {
	LastModified time.Time      `aws:"header,Last-Modified"`
	XML          *attributesXML `aws:"xml"`
}

type attributesXML struct {
	XMLName      xml.Name         `xml:"http://s3.amazonaws.com/doc/2006-03-01/ GetObjectAttributesResponse"`
	ETag         string           `xml:",omitempty"`
	Checksum     *attributesSum   `xml:",omitempty"`
	ObjectParts  *attributesParts `xml:",omitempty"`
	StorageClass string           `xml:",omitempty"`
	ObjectSize   *int64           `xml:",omitempty"`
}

type attributesSum struct {
	checksumXML
	ChecksumType string `xml:",omitempty"`
}

type attributesParts struct {
	PartsCount           int // as the wire has it; SDKs call it TotalPartsCount
	PartNumberMarker     int
	NextPartNumberMarker int
	MaxParts             int
	IsTruncated          bool
	Part                 []attributesPart
}

type attributesPart struct {
	PartNumber int
	Size       int64
	checksumXML
}

var attributeNames = []string{"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}

func (k s3Desk) getAttributes(ctx context.Context, c Call, in *attributesInput) (*attributesOutput, error) {
	if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
		return nil, err
	}
	if in.Attributes == "" {
		return nil, strait.Errorf(strait.Invalid, "request", "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty")
	}
	var want []string
	for _, name := range strings.Split(in.Attributes, ",") {
		if name = strings.TrimSpace(name); !slices.Contains(attributeNames, name) {
			return nil, badArgument("x-amz-object-attributes", in.Attributes, "Invalid attribute name specified.")
		}
		want = append(want, name)
	}
	info, r, err := k.store.Get(ctx, in.Bucket, in.Key)
	if err != nil {
		return nil, unlisted(c, err)
	}
	defer r.Close()
	if err := sameTags(info.Meta.Tags, in.tags); err != nil {
		return nil, err
	}
	out := &attributesOutput{LastModified: info.Modified, XML: &attributesXML{}}
	for _, name := range want {
		switch name {
		case "ETag":
			out.XML.ETag = info.ETag // without quotes here, unlike everywhere else
		case "Checksum":
			if info.Checksum.Value != "" {
				out.XML.Checksum = &attributesSum{checksumOf(info.Checksum), info.Checksum.Type}
			}
		case "StorageClass":
			out.XML.StorageClass = "STANDARD"
		case "ObjectSize":
			out.XML.ObjectSize = &info.Size
		case "ObjectParts":
			if out.XML.ObjectParts, err = partsOf(info, r, in); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// partsOf lists the parts that the object was made of, counted from 1; nil for
// one that was no multipart upload.
func partsOf(info object.Info, r object.Reader, in *attributesInput) (*attributesParts, error) {
	if info.Parts == 0 {
		return nil, nil
	}
	limit, err := pageSize(in.MaxParts, "x-amz-max-parts")
	if err != nil {
		return nil, err
	}
	sums, _ := r.(object.PartSummer)
	out := &attributesParts{PartsCount: info.Parts, PartNumberMarker: in.Marker, MaxParts: limit}
	for n := max(in.Marker, 0) + 1; n <= info.Parts; n++ {
		if len(out.Part) == limit {
			out.IsTruncated = true
			break
		}
		_, size, err := r.Part(n)
		if err != nil {
			return nil, err
		}
		p := attributesPart{PartNumber: n, Size: size}
		if sums != nil {
			sum, err := sums.PartChecksum(n)
			if err != nil {
				return nil, err
			}
			// A sum of another kind says nothing about the whole one.
			if sum.Algorithm == info.Checksum.Algorithm {
				p.checksumXML = checksumOf(sum)
			}
		}
		out.Part = append(out.Part, p)
		out.NextPartNumberMarker = n
	}
	return out, nil
}
