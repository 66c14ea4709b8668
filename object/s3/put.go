package s3

import (
	"context"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"strait"
	"strait/object"
)

// A condition must hold for the object that is there, or not.
type condition struct {
	ifNoneMatch bool
	ifMatch     string
}

func (c condition) headers() (ifMatch, ifNoneMatch *string) {
	if c.ifMatch != "" {
		ifMatch = aws.String(`"` + c.ifMatch + `"`)
	}
	if c.ifNoneMatch {
		ifNoneMatch = aws.String("*")
	}
	return ifMatch, ifNoneMatch
}

// Put implements object.Store. Facts that go with it are kept after the object
// is there: a crash in between leaves the object without them.
func (s *Store) Put(ctx context.Context, bucket, key string, r io.Reader, o object.PutOptions) (object.Info, error) {
	// 1. All that can be refused without reading.
	if err := object.ValidKey(key); err != nil {
		return object.Info{}, err
	}
	if err := validMeta(o.Meta); err != nil {
		return object.Info{}, err
	}
	if err := s.enter(); err != nil {
		return object.Info{}, err
	}
	defer s.calls.Done()
	c := condition{o.IfNoneMatch, o.IfMatch}
	if err := s.exists(ctx, bucket); err != nil {
		return object.Info{}, err
	}

	// 2. The bytes, to the other store.
	b, err := s.receive(ctx, r, o)
	if err != nil {
		return object.Info{}, err
	}
	in := &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: b.sends(), ContentLength: &b.size, Metadata: o.Meta.User,
		ContentType: typeOf(o.Meta), ContentEncoding: some(o.Meta.ContentEncoding), CacheControl: some(o.Meta.CacheControl),
		ContentDisposition: some(o.Meta.ContentDisposition), ContentLanguage: some(o.Meta.ContentLanguage)}
	in.IfMatch, in.IfNoneMatch = c.headers()
	if len(o.Meta.Tags) > 0 {
		in.Tagging = aws.String(queryOf(o.Meta.Tags))
	}
	options := b.options(func(a types.ChecksumAlgorithm) { in.ChecksumAlgorithm = a }, sumFields{&in.ChecksumCRC32, &in.ChecksumCRC32C, &in.ChecksumCRC64NVME, &in.ChecksumSHA1, &in.ChecksumSHA256})
	if b.stream && b.sum == nil {
		// Not every store notices by itself that a body was broken off.
		in.ChecksumAlgorithm = types.ChecksumAlgorithmCrc32
		options = []func(*awss3.Options){streaming}
	}
	out, err := s.remote.PutObject(ctx, in, append(options, expires(o.Meta.Expires))...)
	if e := b.end(); e != nil {
		return object.Info{}, e
	}
	if err != nil {
		return object.Info{}, s.gone(ctx, bucket, key, failure(err, c))
	}

	// 3. What is told of it.
	info := object.Info{Bucket: bucket, Key: key, Size: b.size, ETag: unquote(out.ETag), Modified: s.clock(), Meta: o.Meta}
	if o.Algorithm != "" {
		info.Checksum = object.Checksum{Algorithm: o.Algorithm, Type: object.FullObject, Value: b.value}
	} else { // the other store may have one by itself
		info.Checksum = typed(sumOf(out.ChecksumType, out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME, out.ChecksumSHA1, out.ChecksumSHA256))
	}
	s.apply(ctx, o.Also.Writes(info)...)
	return info, nil
}

// gone forgets a bucket that is no more.
func (s *Store) gone(_ context.Context, bucket, _ string, err error) error {
	if e, ok := err.(*strait.Error); ok && e.Kind == strait.NotFound && e.Thing == "bucket" {
		s.note(bucket, false)
	}
	return err
}

// options are the ways to send a body.
func (b *body) options(algorithm func(types.ChecksumAlgorithm), fields sumFields) []func(*awss3.Options) {
	var all []func(*awss3.Options)
	if b.stream {
		all = append(all, streaming)
		if b.sum != nil {
			algorithm(types.ChecksumAlgorithm(b.o.Algorithm)) // goes behind
		} else {
			all = append(all, unsigned)
		}
		return all
	}
	if b.file != nil {
		all = append(all, unsigned) // spares reading it twice
	}
	if b.sum != nil {
		fields.set(b.o.Algorithm, b.value)
	}
	return all
}

// sumFields are the members of an SDK's shape for checksums, in the order of
// algorithms.
type sumFields [5]**string

var algorithms = [5]string{object.CRC32, object.CRC32C, object.CRC64NVME, object.SHA1, object.SHA256}

func (f sumFields) set(algorithm, value string) {
	for i, a := range algorithms {
		if a == algorithm && value != "" {
			*f[i] = &value
		}
	}
}

// sumOf finds the checksum among those that were answered.
func sumOf(typ types.ChecksumType, values ...*string) object.Checksum {
	for i, v := range values {
		if aws.ToString(v) != "" {
			return object.Checksum{Algorithm: algorithms[i], Type: string(typ), Value: *v}
		}
	}
	return object.Checksum{}
}

// typed fills in the type, which older stores do not say.
func typed(c object.Checksum) object.Checksum {
	if c.Value != "" && c.Type == "" {
		c.Type = object.FullObject
		if strings.Contains(c.Value, "-") {
			c.Type = object.Composite
		}
	}
	return c
}

// Head implements object.Store.
func (s *Store) Head(ctx context.Context, bucket, key string) (object.Info, error) {
	if err := object.ValidKey(key); err != nil {
		return object.Info{}, err
	}
	if s.bucket != "" && bucket != s.bucket || object.ValidBucket(bucket) != nil {
		return object.Info{}, noBucket()
	}
	out, err := s.remote.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if missing(err) {
		s.note(bucket, false)
		if err := s.exists(ctx, bucket); err != nil {
			return object.Info{}, err
		}
		return object.Info{}, noKey()
	}
	if err != nil {
		return object.Info{}, failure(err, condition{})
	}
	info := object.Info{Bucket: bucket, Key: key, Size: aws.ToInt64(out.ContentLength), ETag: unquote(out.ETag),
		Modified: aws.ToTime(out.LastModified).UTC(), Parts: partsIn(unquote(out.ETag)),
		Checksum: sumOf(out.ChecksumType, out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME, out.ChecksumSHA1, out.ChecksumSHA256),
		Meta: object.Meta{ContentType: aws.ToString(out.ContentType), ContentEncoding: aws.ToString(out.ContentEncoding),
			CacheControl: aws.ToString(out.CacheControl), ContentDisposition: aws.ToString(out.ContentDisposition),
			ContentLanguage: aws.ToString(out.ContentLanguage), Expires: aws.ToString(out.ExpiresString)}}
	info.Meta.ContentEncoding = withoutChunked(info.Meta.ContentEncoding)
	if info.Meta.ContentType == noType {
		info.Meta.ContentType = ""
	}
	if len(out.Metadata) > 0 {
		info.Meta.User = out.Metadata
	}
	info.Checksum = typed(info.Checksum)
	if aws.ToInt32(out.TagCount) > 0 {
		info.Meta.Tags, err = s.tags(ctx, bucket, key)
	}
	return info, err
}

// noType is S3's type of an object that was given none. It is sent, for the SDK
// would say something else.
const noType = "binary/octet-stream"

func typeOf(m object.Meta) *string {
	if m.ContentType == "" {
		return aws.String(noType)
	}
	return &m.ContentType
}

// withoutChunked takes off the name of the framing, which some stores keep.
func withoutChunked(encoding string) string {
	if encoding == "aws-chunked" {
		return ""
	}
	return strings.TrimPrefix(encoding, "aws-chunked,")
}

// partsIn reads the number of parts off an ETag.
func partsIn(etag string) int {
	_, n, _ := strings.Cut(etag, "-")
	parts, _ := strconv.Atoi(n)
	return parts
}

func (s *Store) tags(ctx context.Context, bucket, key string) (map[string]string, error) {
	out, err := s.remote.GetObjectTagging(ctx, &awss3.GetObjectTaggingInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, failure(err, condition{})
	}
	tags := map[string]string{}
	for _, t := range out.TagSet {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return tags, nil
}

// SetTags implements object.Store.
func (s *Store) SetTags(ctx context.Context, bucket, key string, tags map[string]string) error {
	if err := object.ValidTags(tags); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.calls.Done()
	if _, err := s.Head(ctx, bucket, key); err != nil {
		return err
	}
	if len(tags) == 0 {
		_, err := s.remote.DeleteObjectTagging(ctx, &awss3.DeleteObjectTaggingInput{Bucket: &bucket, Key: &key})
		return failure(err, condition{})
	}
	set := []types.Tag{}
	for k, v := range tags {
		set = append(set, types.Tag{Key: aws.String(k), Value: aws.String(v)})
	}
	_, err := s.remote.PutObjectTagging(ctx, &awss3.PutObjectTaggingInput{Bucket: &bucket, Key: &key, Tagging: &types.Tagging{TagSet: set}})
	return failure(err, condition{})
}

// Delete implements object.Store. A condition is judged here and again by the
// other store, which must know conditions of deletes.
func (s *Store) Delete(ctx context.Context, bucket, key string, o object.DeleteOptions) error {
	if err := object.ValidKey(key); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.calls.Done()
	if err := s.exists(ctx, bucket); err != nil {
		return err
	}
	in := &awss3.DeleteObjectInput{Bucket: &bucket, Key: &key}
	var info object.Info
	if o.IfMatch != "" || !o.Modified.IsZero() || o.Also != nil {
		var there bool
		var err error
		if info, there, err = s.listed(ctx, bucket, key); err != nil {
			return err
		}
		if err := mayGo(info, there, o); err != nil || !there {
			return err
		}
		if o.IfMatch != "" || !o.Modified.IsZero() {
			in.IfMatch = aws.String(`"` + info.ETag + `"`)
		}
	}
	if _, err := s.remote.DeleteObject(ctx, in); err != nil {
		return s.gone(ctx, bucket, key, failure(err, condition{ifMatch: o.IfMatch}))
	}
	if o.Also != nil {
		s.apply(ctx, o.Also.Writes(info)...)
	}
	return nil
}

// listed finds an object in a listing, which tells its time more exactly than
// HEAD.
func (s *Store) listed(ctx context.Context, bucket, key string) (info object.Info, there bool, err error) {
	page, err := s.List(ctx, bucket, object.Query{Prefix: key, Limit: 1})
	if err != nil || len(page.Objects) == 0 || page.Objects[0].Key != key { // itself is the first with its prefix
		return info, false, err
	}
	return page.Objects[0], true, nil
}

// mayGo tells whether what is there may be deleted.
func mayGo(info object.Info, there bool, o object.DeleteOptions) error {
	// The time may have been learned from HEAD, which knows whole seconds.
	same := info.Modified.Equal(o.Modified) || info.Modified.Truncate(time.Second).Equal(o.Modified)
	switch {
	case !o.Modified.IsZero() && (!there || !same):
		return strait.Errorf(strait.Precondition, "modified", "the object was modified meanwhile")
	case o.IfMatch == "" || o.IfMatch == "*" && there:
		return nil
	case o.IfMatch == "*":
		return strait.Errorf(strait.Precondition, "if-match", "there is no such object")
	case !there:
		return noKey()
	case info.ETag != o.IfMatch:
		return strait.Errorf(strait.Precondition, "if-match", "the object has another ETag")
	}
	return nil
}

// validMeta also refuses what no header can carry.
func validMeta(m object.Meta) error {
	if err := m.Valid(); err != nil {
		return err
	}
	for k, v := range m.User {
		if strings.ContainsAny(k+v, "\x00\r\n") {
			return strait.Errorf(strait.Invalid, "metadata", "the user's metadata must not hold line ends or NUL")
		}
	}
	return nil
}

func queryOf(tags map[string]string) string {
	v := url.Values{}
	for k, t := range tags {
		v.Set(k, t)
	}
	return v.Encode()
}

func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func unquote(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }
