package s3

import (
	"context"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"strait"
	"strait/object"
)

// beyond follows every character: "a/" and beyond is behind all keys that begin
// with "a/", but those in which beyond itself comes next.
const beyond = "\U0010ffff"

// List implements object.Store. Of each object only what a listing tells is
// known: its key, size, ETag and time.
func (s *Store) List(ctx context.Context, bucket string, q object.Query) (page object.Page, err error) {
	if s.bucket != "" && bucket != s.bucket || object.ValidBucket(bucket) != nil {
		return page, noBucket()
	}
	if len(q.Prefix) > object.MaxKey {
		return page, s.exists(ctx, bucket)
	}
	if len(q.Delimiter) > object.MaxKey { // in no key
		q.Delimiter = ""
	}
	limit := pageSize(q.Limit)
	in := &awss3.ListObjectsV2Input{Bucket: &bucket, Prefix: some(q.Prefix), Delimiter: some(q.Delimiter), MaxKeys: aws.Int32(int32(limit)),
		StartAfter: some(behind(q.After, q.Prefix, q.Delimiter)), EncodingType: types.EncodingTypeUrl}
	out, err := s.remote.ListObjectsV2(ctx, in)
	if err != nil {
		return page, failure(err, condition{})
	}
	var d decoder
	for _, c := range out.Contents {
		o := object.Info{Bucket: bucket, Key: d.text(c.Key), Size: aws.ToInt64(c.Size), ETag: unquote(c.ETag), Modified: aws.ToTime(c.LastModified).UTC()}
		o.Parts = partsIn(o.ETag)
		if len(c.ChecksumAlgorithm) > 0 {
			o.Checksum = object.Checksum{Algorithm: string(c.ChecksumAlgorithm[0]), Type: string(c.ChecksumType)}
		}
		page.Objects = append(page.Objects, o)
		page.Next = max(page.Next, o.Key)
	}
	for _, p := range out.CommonPrefixes {
		if name := d.text(p.Prefix); name != q.After {
			page.Prefixes = append(page.Prefixes, name)
			page.Next = max(page.Next, name)
		}
	}
	if d.err != nil {
		return object.Page{}, d.err
	}
	if page.Truncated = aws.ToBool(out.IsTruncated); !page.Truncated {
		page.Next = ""
	} else if page.Next == "" {
		return object.Page{}, strait.Errorf(strait.Unavailable, "store", "the store behind this server gave an empty page of a listing that goes on")
	}
	return page, nil
}

// behind is the key to begin a page behind, so that an entry of prefixes stands
// for all keys that it folds.
func behind(after, prefix, delimiter string) string {
	if after != "" && fold(after, prefix, delimiter) == after {
		return after + beyond
	}
	// What differs further back than the longest key makes no difference.
	return after[:min(len(after), object.MaxKey)]
}

// fold returns the entry that name is folded into, or "" when it is not.
func fold(name, prefix, delimiter string) string {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok || delimiter == "" {
		return ""
	}
	i := strings.Index(rest, delimiter)
	if i < 0 {
		return ""
	}
	return name[:len(prefix)+i+len(delimiter)]
}

func pageSize(limit int) int {
	if limit <= 0 || limit > object.MaxPage {
		return object.MaxPage
	}
	return limit
}

// A decoder undoes encoding-type=url, without which XML could not carry every
// key.
type decoder struct{ err error }

func (d *decoder) text(s *string) string {
	out, err := url.QueryUnescape(aws.ToString(s))
	if err != nil {
		d.err = strait.Errorf(strait.Unavailable, "store", "the store behind this server gave a name that cannot be read: %w", err)
	}
	return out
}

// Uploads implements object.Store.
func (s *Store) Uploads(ctx context.Context, bucket string, q object.UploadQuery) (page object.UploadPage, err error) {
	if s.bucket != "" && bucket != s.bucket || object.ValidBucket(bucket) != nil {
		return page, noBucket()
	}
	if len(q.Prefix) > object.MaxKey {
		return page, s.exists(ctx, bucket)
	}
	if len(q.Delimiter) > object.MaxKey {
		q.Delimiter = ""
	}
	in := &awss3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: some(q.Prefix), Delimiter: some(q.Delimiter),
		MaxUploads: aws.Int32(int32(pageSize(q.Limit))), KeyMarker: some(behind(q.AfterKey, q.Prefix, q.Delimiter)), EncodingType: types.EncodingTypeUrl}
	if q.AfterID != "" && in.KeyMarker != nil && *in.KeyMarker == q.AfterKey && len(q.AfterID) <= maxID {
		in.UploadIdMarker = &q.AfterID
	}
	out, err := s.remote.ListMultipartUploads(ctx, in)
	if err != nil {
		return page, failure(err, condition{})
	}
	var d decoder
	for _, r := range out.Uploads {
		key, id := d.text(r.Key), aws.ToString(r.UploadId)
		u, ok, err := read[object.Upload](ctx, s.facts, uploadPrefix+hashOf(bucket, key, id))
		if err != nil {
			return object.UploadPage{}, err
		}
		if !ok {
			u = object.Upload{Bucket: bucket, Key: key, ID: id, Algorithm: string(r.ChecksumAlgorithm), Type: string(r.ChecksumType),
				Initiated: aws.ToTime(r.Initiated).UTC()}
			if r.Initiator != nil {
				u.Initiator = aws.ToString(r.Initiator.ID)
			}
		}
		page.Uploads = append(page.Uploads, u)
	}
	for _, p := range out.CommonPrefixes {
		if name := d.text(p.Prefix); name != q.AfterKey {
			page.Prefixes = append(page.Prefixes, name)
		}
	}
	if page.Truncated = aws.ToBool(out.IsTruncated); page.Truncated {
		page.NextKey, page.NextID = d.text(out.NextKeyMarker), aws.ToString(out.NextUploadIdMarker)
	}
	return page, d.err
}
