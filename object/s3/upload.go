package s3

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"io"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"strait"
	"strait/object"
	"strait/state"
)

// maxID is the longest id of an upload that is passed on.
const maxID = 1024

// CreateUpload implements object.Store. The id is the other store's.
func (s *Store) CreateUpload(ctx context.Context, bucket, key string, o object.UploadOptions) (object.Upload, error) {
	typ, err := object.UploadType(o.Algorithm, o.Type)
	if err != nil {
		return object.Upload{}, err
	}
	if o.Algorithm != "" {
		if _, err := newHash(o.Algorithm); err != nil {
			return object.Upload{}, err
		}
	}
	if err := object.ValidKey(key); err != nil {
		return object.Upload{}, err
	}
	if err := validMeta(o.Meta); err != nil {
		return object.Upload{}, err
	}
	if err := s.enter(); err != nil {
		return object.Upload{}, err
	}
	defer s.calls.Done()
	if err := s.exists(ctx, bucket); err != nil {
		return object.Upload{}, err
	}
	in := &awss3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key, Metadata: o.Meta.User, ChecksumAlgorithm: types.ChecksumAlgorithm(o.Algorithm), ChecksumType: types.ChecksumType(typ),
		ContentType: typeOf(o.Meta), ContentEncoding: some(o.Meta.ContentEncoding), CacheControl: some(o.Meta.CacheControl),
		ContentDisposition: some(o.Meta.ContentDisposition), ContentLanguage: some(o.Meta.ContentLanguage)}
	if len(o.Meta.Tags) > 0 {
		in.Tagging = aws.String(queryOf(o.Meta.Tags))
	}
	out, err := s.remote.CreateMultipartUpload(ctx, in, expires(o.Meta.Expires))
	if err != nil {
		return object.Upload{}, s.gone(ctx, bucket, key, failure(err, condition{}))
	}
	u := object.Upload{Bucket: bucket, Key: key, ID: aws.ToString(out.UploadId), Meta: o.Meta, Algorithm: o.Algorithm, Type: typ,
		Initiator: o.Initiator, Initiated: s.clock()}
	if u.ID == "" || len(u.ID) > maxID {
		return object.Upload{}, strait.Errorf(strait.Unavailable, "store", "the store behind this server gave an upload an id of %d bytes", len(u.ID))
	}
	// Without this fact AbortOlder would never find it.
	if _, err := s.facts.Apply(context.WithoutCancel(ctx), write(uploadPrefix+hashOf(bucket, key, u.ID), u)); err != nil {
		s.remote.AbortMultipartUpload(context.WithoutCancel(ctx), &awss3.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: &u.ID})
		return object.Upload{}, err
	}
	return u, nil
}

// Upload implements object.Store.
func (s *Store) Upload(ctx context.Context, bucket, key, id string) (object.Upload, error) {
	if err := object.ValidKey(key); err != nil {
		return object.Upload{}, err
	}
	if s.bucket != "" && bucket != s.bucket || object.ValidBucket(bucket) != nil {
		return object.Upload{}, noBucket()
	}
	if id == "" || len(id) > maxID {
		return object.Upload{}, noUpload()
	}
	u, ok, err := read[object.Upload](ctx, s.facts, uploadPrefix+hashOf(bucket, key, id))
	if ok || err != nil {
		return u, err
	}
	// One that was begun elsewhere.
	out, err := s.remote.ListParts(ctx, &awss3.ListPartsInput{Bucket: &bucket, Key: &key, UploadId: &id, MaxParts: aws.Int32(1)})
	if err != nil {
		return object.Upload{}, failure(err, condition{})
	}
	u = object.Upload{Bucket: bucket, Key: key, ID: id, Algorithm: string(out.ChecksumAlgorithm), Type: string(out.ChecksumType)}
	if out.Initiator != nil {
		u.Initiator = aws.ToString(out.Initiator.ID)
	}
	return u, nil
}

// PutPart implements object.Store.
func (s *Store) PutPart(ctx context.Context, bucket, key, id string, number int, r io.Reader, o object.PutOptions) (object.Part, error) {
	// 1. All that can be refused without reading.
	if number < 1 || number > object.MaxParts {
		return object.Part{}, strait.Errorf(strait.Invalid, "part number", "a part's number is from 1 to %d", object.MaxParts)
	}
	if err := s.enter(); err != nil {
		return object.Part{}, err
	}
	defer s.calls.Done()
	u, err := s.Upload(ctx, bucket, key, id)
	if err != nil {
		return object.Part{}, err
	}
	if o.Algorithm, err = object.PartAlgorithm(u, o); err != nil {
		return object.Part{}, err
	}

	// 2. The bytes.
	b, err := s.receive(ctx, r, o)
	if err != nil {
		return object.Part{}, err
	}
	in := &awss3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: &id, PartNumber: aws.Int32(int32(number)), Body: b.sends(), ContentLength: &b.size}
	options := b.options(func(a types.ChecksumAlgorithm) { in.ChecksumAlgorithm = a }, sumFields{&in.ChecksumCRC32, &in.ChecksumCRC32C, &in.ChecksumCRC64NVME, &in.ChecksumSHA1, &in.ChecksumSHA256})
	out, err := s.remote.UploadPart(ctx, in, options...)
	if e := b.end(); e != nil {
		return object.Part{}, e
	}
	if err != nil {
		return object.Part{}, failure(err, condition{})
	}
	p := object.Part{Number: number, Size: b.size, ETag: unquote(out.ETag), Modified: s.clock()}
	if o.Algorithm != "" {
		p.Checksum = object.Checksum{Algorithm: o.Algorithm, Type: object.FullObject, Value: b.value}
	}
	return p, nil
}

// Parts implements object.Store.
func (s *Store) Parts(ctx context.Context, bucket, key, id string, after, limit int) (object.PartPage, error) {
	u, err := s.Upload(ctx, bucket, key, id)
	if err != nil {
		return object.PartPage{}, err
	}
	page := object.PartPage{Upload: u}
	if after >= object.MaxParts {
		return page, nil
	}
	in := &awss3.ListPartsInput{Bucket: &bucket, Key: &key, UploadId: &id, MaxParts: aws.Int32(int32(pageSize(limit)))}
	if after > 0 {
		in.PartNumberMarker = aws.String(strconv.Itoa(after))
	}
	out, err := s.remote.ListParts(ctx, in)
	if err != nil {
		return object.PartPage{}, failure(err, condition{})
	}
	for _, r := range out.Parts {
		page.Parts = append(page.Parts, object.Part{Number: int(aws.ToInt32(r.PartNumber)), Size: aws.ToInt64(r.Size), ETag: unquote(r.ETag),
			Modified: aws.ToTime(r.LastModified).UTC(),
			Checksum: sumOf(object.FullObject, r.ChecksumCRC32, r.ChecksumCRC32C, r.ChecksumCRC64NVME, r.ChecksumSHA1, r.ChecksumSHA256)})
	}
	if n := len(page.Parts); aws.ToBool(out.IsTruncated) && n > 0 {
		page.Truncated, page.Next = true, page.Parts[n-1].Number
	}
	return page, nil
}

// Complete implements object.Store.
func (s *Store) Complete(ctx context.Context, bucket, key, id string, parts []object.CompletePart, o object.CompleteOptions) (object.Info, error) {
	if err := object.InOrder(parts); err != nil {
		return object.Info{}, err
	}
	if err := s.enter(); err != nil {
		return object.Info{}, err
	}
	defer s.calls.Done()
	list := digestOf(parts)
	if e, ok := s.endedUpload(ctx, bucket, key, id); ok {
		if e.Complete && string(e.Parts) == string(list) {
			return e.Info, nil
		}
		return object.Info{}, noUpload()
	}
	u, err := s.Upload(ctx, bucket, key, id)
	if err != nil {
		return object.Info{}, err
	}
	info, err := s.complete(ctx, u, parts, o)
	if strait.KindOf(err) == strait.NotFound {
		// A crash may have come between the other store's answer and ours.
		if there, e := s.madeOf(ctx, u, parts); e == nil {
			info, err = there, nil
		}
	}
	if err != nil {
		return object.Info{}, err
	}
	h := hashOf(bucket, key, id)
	s.apply(ctx, append(o.Also.Writes(info), erase(uploadPrefix+h),
		write(endedPrefix+h, ended{At: s.clock(), Complete: true, Parts: list, Info: info}))...)
	return info, nil
}

func (s *Store) complete(ctx context.Context, u object.Upload, parts []object.CompletePart, o object.CompleteOptions) (object.Info, error) {
	// 1. Judged here: other stores do not check, or tell, as much.
	stored := map[int]object.Part{}
	for after := 0; ; {
		page, err := s.Parts(ctx, u.Bucket, u.Key, u.ID, after, 0)
		if err != nil {
			return object.Info{}, err
		}
		for _, p := range page.Parts {
			stored[p.Number] = p
		}
		if after = page.Next; !page.Truncated {
			break
		}
	}
	whole, err := object.Assemble(parts, stored, u.Algorithm, u.Type, o)
	if err != nil {
		return object.Info{}, err
	}

	// 2. Done there.
	in := &awss3.CompleteMultipartUploadInput{Bucket: &u.Bucket, Key: &u.Key, UploadId: &u.ID, MultipartUpload: &types.CompletedMultipartUpload{}}
	for _, c := range parts {
		p := types.CompletedPart{PartNumber: aws.Int32(int32(c.Number)), ETag: aws.String(`"` + c.ETag + `"`)}
		if u.Algorithm != "" {
			sumFields{&p.ChecksumCRC32, &p.ChecksumCRC32C, &p.ChecksumCRC64NVME, &p.ChecksumSHA1, &p.ChecksumSHA256}.set(u.Algorithm, stored[c.Number].Checksum.Value)
		}
		in.MultipartUpload.Parts = append(in.MultipartUpload.Parts, p)
	}
	in.ChecksumType = types.ChecksumType(u.Type)
	c := condition{o.IfNoneMatch, o.IfMatch}
	in.IfMatch, in.IfNoneMatch = c.headers()
	out, err := s.remote.CompleteMultipartUpload(ctx, in)
	if err != nil {
		return object.Info{}, failure(err, c)
	}
	if whole.Checksum.Value == "" {
		whole.Checksum = typed(sumOf(out.ChecksumType, out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME, out.ChecksumSHA1, out.ChecksumSHA256))
	}
	return object.Info{Bucket: u.Bucket, Key: u.Key, Size: whole.Size, ETag: unquote(out.ETag), Modified: s.clock(), Meta: u.Meta,
		Checksum: whole.Checksum, Parts: len(parts)}, nil
}

// madeOf returns the object of an upload that this store began and the other
// one does not know any more, if it is made of these parts and not older.
func (s *Store) madeOf(ctx context.Context, u object.Upload, parts []object.CompletePart) (object.Info, error) {
	etag, err := object.UploadETag(parts)
	if err != nil {
		return object.Info{}, err
	}
	info, err := s.Head(ctx, u.Bucket, u.Key)
	if err == nil && (info.ETag != etag || u.Initiated.IsZero() || info.Modified.Before(u.Initiated.Truncate(time.Second))) {
		err = noUpload()
	}
	return info, err
}

// digestOf tells lists of parts apart.
func digestOf(parts []object.CompletePart) []byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(p.Number)))
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p.ETag))))
		h.Write([]byte(p.ETag))
	}
	return h.Sum(nil)
}

// Abort implements object.Store.
func (s *Store) Abort(ctx context.Context, bucket, key, id string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.calls.Done()
	if err := object.ValidKey(key); err != nil {
		return err
	}
	if err := s.exists(ctx, bucket); err != nil {
		return err
	}
	if id == "" || len(id) > maxID {
		return noUpload()
	}
	if e, ok := s.endedUpload(ctx, bucket, key, id); ok {
		if e.Complete {
			return noUpload()
		}
		return nil
	}
	return s.abort(ctx, bucket, key, id)
}

func (s *Store) abort(ctx context.Context, bucket, key, id string) error {
	_, err := s.remote.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: &id})
	h := hashOf(bucket, key, id)
	if err := failure(err, condition{}); err != nil {
		if strait.KindOf(err) == strait.NotFound {
			s.apply(ctx, erase(uploadPrefix+h))
		}
		return err
	}
	s.apply(ctx, erase(uploadPrefix+h), write(endedPrefix+h, ended{At: s.clock()}))
	return nil
}

// AbortOlder implements object.Store. It aborts what was begun through this
// store only: the other one may have users of its own.
func (s *Store) AbortOlder(ctx context.Context, before time.Time) (n int, err error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.calls.Done()
	if err := s.forget(ctx); err != nil {
		return 0, err
	}
	err = s.each(ctx, uploadPrefix, func(f state.Fact) error {
		var u object.Upload
		if json.Unmarshal(f.Value, &u) != nil || !u.Initiated.Before(before) {
			return nil
		}
		err := s.abort(ctx, u.Bucket, u.Key, u.ID)
		if strait.KindOf(err) == strait.NotFound { // ended by itself meanwhile
			return nil
		}
		if err == nil {
			n++
		}
		return err
	})
	return n, err
}
