package dir

import (
	"context"
	"errors"

	"strait"
	"strait/object"
	"strait/state"
)

// CreateBucket implements object.Store.
func (s *Store) CreateBucket(ctx context.Context, name, owner string) error {
	if err := object.ValidBucket(name); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.calls.Done()
	b := object.Bucket{Name: name, Created: s.clock(), Owner: owner}
	_, err := s.facts.Apply(ctx, state.Write{Key: bucketKey(name), Value: encodeBucket(b), Expect: state.Absent()})
	if errors.Is(err, state.ErrConflict) {
		return strait.Errorf(strait.Exists, "bucket", "the bucket exists already")
	}
	return err
}

// Bucket implements object.Store.
func (s *Store) Bucket(ctx context.Context, name string) (object.Bucket, error) {
	var f state.Fact
	ok := object.ValidBucket(name) == nil // else it may not even be a key
	if ok {
		var err error
		if f, ok, err = s.get(ctx, bucketKey(name)); err != nil {
			return object.Bucket{}, err
		}
	}
	if !ok {
		return object.Bucket{}, strait.Errorf(strait.NotFound, "bucket", "the specified bucket does not exist")
	}
	return decodeBucket(name, f.Value)
}

// Buckets implements object.Store.
func (s *Store) Buckets(ctx context.Context) (all []object.Bucket, err error) {
	err = s.each(ctx, bucketPrefix, func(f state.Fact) error {
		b, err := decodeBucket(f.Key[len(bucketPrefix):], f.Value)
		all = append(all, b)
		return err
	})
	return all, err
}

// DeleteBucket implements object.Store. A crash in the middle may leave the
// bucket with some of its uploads aborted.
func (s *Store) DeleteBucket(ctx context.Context, name string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.calls.Done()
	if _, err := s.Bucket(ctx, name); err != nil {
		return err
	}
	for {
		if err := s.empty(ctx, name); err != nil {
			return err
		}
		if _, err := s.abortAll(ctx, uploadsOf(name), func(upload) bool { return true }); err != nil {
			return err
		}
		gone, err := s.dropBucket(ctx, name)
		if gone || err != nil {
			return err
		}
	}
}

// dropBucket deletes the bucket unless an upload has begun meanwhile.
func (s *Store) dropBucket(ctx context.Context, name string) (gone bool, err error) {
	s.bucketGate.Lock()
	defer s.bucketGate.Unlock()
	if err := s.empty(ctx, name); err != nil {
		return false, err
	}
	if open, err := s.facts.List(ctx, uploadsOf(name), "", 1); err != nil || len(open) > 0 {
		return false, err
	}
	_, err = s.facts.Apply(ctx, state.Write{Key: bucketKey(name), Delete: true})
	return err == nil, err
}

// empty refuses a bucket that holds objects.
func (s *Store) empty(ctx context.Context, name string) error {
	facts, err := s.facts.List(ctx, objectsOf(name), "", 1)
	if err == nil && len(facts) > 0 {
		err = strait.Errorf(strait.Conflict, "bucket not empty", "the bucket you tried to delete is not empty")
	}
	return err
}
