package s3

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"strait"
	"strait/object"
)

// CreateBucket implements object.Store. It makes the bucket in the other store.
func (s *Store) CreateBucket(ctx context.Context, name, owner string) error {
	if err := object.ValidBucket(name); err != nil {
		return err
	}
	if s.bucket != "" && name != s.bucket {
		return strait.Errorf(strait.Unsupported, "operation", "this server keeps all objects in one bucket of another store, %q; no other can be made", s.bucket)
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.calls.Done()
	// A store in us-east-1 may say of a bucket that is there that it was made.
	if _, err := s.Bucket(ctx, name); err == nil {
		return strait.Errorf(strait.Exists, "bucket", "the bucket exists already")
	}
	in := &awss3.CreateBucketInput{Bucket: &name}
	if region := s.remote.Options().Region; region != "us-east-1" {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}
	}
	if _, err := s.remote.CreateBucket(ctx, in); err != nil {
		return failure(err, condition{})
	}
	s.note(name, true)
	s.apply(ctx, write(bucketPrefix+name, object.Bucket{Name: name, Created: s.clock(), Owner: owner}))
	return nil
}

// Bucket implements object.Store. Of a bucket that was not made through this
// store the owner is not known.
func (s *Store) Bucket(ctx context.Context, name string) (object.Bucket, error) {
	if object.ValidBucket(name) != nil || s.bucket != "" && name != s.bucket {
		return object.Bucket{}, noBucket()
	}
	_, err := s.remote.HeadBucket(ctx, &awss3.HeadBucketInput{Bucket: &name})
	s.note(name, err == nil)
	if missing(err) {
		return object.Bucket{}, noBucket()
	}
	if err != nil {
		return object.Bucket{}, failure(err, condition{})
	}
	return s.own(ctx, name, time.Time{})
}

// own adds what is kept here of a bucket.
func (s *Store) own(ctx context.Context, name string, created time.Time) (object.Bucket, error) {
	b, ok, err := read[object.Bucket](ctx, s.facts, bucketPrefix+name)
	if !ok {
		b = object.Bucket{Name: name, Created: created.UTC().Truncate(time.Millisecond)}
	}
	return b, err
}

// Buckets implements object.Store.
func (s *Store) Buckets(ctx context.Context) (all []object.Bucket, err error) {
	if s.bucket != "" {
		b, err := s.Bucket(ctx, s.bucket)
		if strait.KindOf(err) == strait.NotFound {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return []object.Bucket{b}, nil
	}
	in := &awss3.ListBucketsInput{}
	for {
		page, err := s.remote.ListBuckets(ctx, in)
		if err != nil {
			return nil, failure(err, condition{})
		}
		for _, r := range page.Buckets {
			b, err := s.own(ctx, aws.ToString(r.Name), aws.ToTime(r.CreationDate))
			if err != nil {
				return nil, err
			}
			all = append(all, b)
		}
		if in.ContinuationToken = page.ContinuationToken; aws.ToString(page.ContinuationToken) == "" {
			slices.SortFunc(all, func(a, b object.Bucket) int { return cmp.Compare(a.Name, b.Name) })
			return all, nil
		}
	}
}

// DeleteBucket implements object.Store. Open uploads are aborted first, for not
// every store lets a bucket go that has some.
func (s *Store) DeleteBucket(ctx context.Context, name string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.calls.Done()
	if _, err := s.Bucket(ctx, name); err != nil {
		return err
	}
	page, err := s.List(ctx, name, object.Query{Limit: 1})
	if err != nil {
		return err
	}
	if len(page.Objects) > 0 {
		return strait.Errorf(strait.Conflict, "bucket not empty", "%s", told["BucketNotEmpty"].text)
	}
	for q := (object.UploadQuery{}); ; {
		open, err := s.Uploads(ctx, name, q)
		if err != nil {
			return err
		}
		for _, u := range open.Uploads {
			if err := s.abort(ctx, name, u.Key, u.ID); err != nil && strait.KindOf(err) != strait.NotFound {
				return err
			}
		}
		if !open.Truncated {
			break
		}
		q.AfterKey, q.AfterID = open.NextKey, open.NextID
	}
	if _, err := s.remote.DeleteBucket(ctx, &awss3.DeleteBucketInput{Bucket: &name}); err != nil {
		return failure(err, condition{})
	}
	s.note(name, false)
	s.apply(ctx, erase(bucketPrefix+name))
	return nil
}
