package dir

import (
	"context"
	"encoding/hex"
	"errors"
	"io"

	"strait"
	"strait/object"
	"strait/state"
)

// Put implements object.Store.
func (s *Store) Put(ctx context.Context, bucket, key string, r io.Reader, o object.PutOptions) (object.Info, error) {
	// 1. All that can be refused without reading.
	if err := object.ValidKey(key); err != nil {
		return object.Info{}, err
	}
	if err := o.Meta.Valid(); err != nil {
		return object.Info{}, err
	}
	if err := s.enter(); err != nil {
		return object.Info{}, err
	}
	defer s.calls.Done()
	c := condition{o.IfNoneMatch, o.IfMatch}
	if err := s.early(ctx, bucket, key, c); err != nil {
		return object.Info{}, err
	}

	// 2. The bytes, durable.
	b, err := s.receive(ctx, r, o)
	if err != nil {
		return object.Info{}, err
	}
	if err := b.keep(); err != nil {
		b.discard()
		return object.Info{}, err
	}

	// 3. The name.
	m := &manifest{version: b.seed, size: b.size, etag: hex.EncodeToString(b.md5[:]), modified: s.clock(),
		meta: o.Meta, checksum: b.checksum, extents: b.extents}
	for {
		err = s.place(ctx, bucket, key, m, c, o.Also)
		if !errors.Is(err, state.ErrConflict) {
			break
		}
	}
	if err != nil {
		if !s.named(ctx, bucket, key, m.version) {
			b.discard()
		}
		return object.Info{}, err
	}
	return m.info(bucket, key), nil
}

// A condition must hold for the object that is there, or not, for another to
// take its place.
type condition struct {
	ifNoneMatch bool
	ifMatch     string
}

// old is what is under an object's name before a change.
type old struct {
	there    bool
	revision state.Revision
	manifest manifest
	damaged  bool // manifest is empty
}

func (o old) expect() state.Expect {
	if o.there {
		return state.At(o.revision)
	}
	return state.Absent()
}

// early refuses what would be refused at the end anyway.
func (s *Store) early(ctx context.Context, bucket, key string, c condition) (err error) {
	if c == (condition{}) { // looking for a new name is not cheap
		_, err = s.Bucket(ctx, bucket)
	} else {
		_, err = s.present(ctx, bucket, key, c)
	}
	return err
}

// present returns what is there, unless the bucket is missing or c fails.
func (s *Store) present(ctx context.Context, bucket, key string, c condition) (o old, err error) {
	if _, err := s.Bucket(ctx, bucket); err != nil {
		return o, err
	}
	f, ok, err := s.get(ctx, objectKey(bucket, key))
	if err != nil {
		return o, err
	}
	if ok {
		o.there, o.revision = true, f.Revision
		// A record that cannot be read may still be overwritten; its space
		// stays lost.
		o.manifest, err = decodeManifest(f.Value)
		o.damaged = err != nil
	}
	switch {
	case c.ifNoneMatch && ok:
		return o, strait.Errorf(strait.Precondition, "if-none-match", "there is such an object already")
	case c.ifMatch != "" && !ok:
		return o, noKey()
	case c.ifMatch != "" && o.manifest.etag != c.ifMatch:
		return o, strait.Errorf(strait.Precondition, "if-match", "the object has another ETag")
	}
	return o, nil
}

// place puts m under its name, together with more writes, if c holds. With
// state.ErrConflict something has changed meanwhile and it may be tried again.
func (s *Store) place(ctx context.Context, bucket, key string, m *manifest, c condition, also object.Also, more ...state.Write) error {
	s.bucketGate.RLock()
	defer s.bucketGate.RUnlock()
	o, err := s.present(ctx, bucket, key, c)
	if err != nil {
		return err
	}
	w := state.Write{Key: objectKey(bucket, key), Value: m.encode(), Expect: o.expect()}
	more = append(more, also.Writes(m.info(bucket, key))...)
	// From here on the caller's going away must not make the outcome unclear.
	if _, err := s.facts.Apply(context.WithoutCancel(ctx), append(more, w)...); err != nil {
		return err
	}
	if o.there && !o.damaged {
		s.doom(o.manifest)
	}
	return nil
}

// named tells, after a failed Apply, whether the version may be there after
// all; then its bytes must stay.
func (s *Store) named(ctx context.Context, bucket, key string, version id) bool {
	f, ok, err := s.get(context.WithoutCancel(ctx), objectKey(bucket, key))
	if err != nil {
		return true
	}
	if !ok {
		return false
	}
	m, err := decodeManifest(f.Value)
	return err != nil || m.version == version
}

// Head implements object.Store.
func (s *Store) Head(ctx context.Context, bucket, key string) (object.Info, error) {
	m, err := s.manifest(ctx, bucket, key)
	if err != nil {
		return object.Info{}, err
	}
	return m.info(bucket, key), nil
}

func (s *Store) manifest(ctx context.Context, bucket, key string) (manifest, error) {
	if err := object.ValidKey(key); err != nil {
		return manifest{}, err
	}
	if _, err := s.Bucket(ctx, bucket); err != nil {
		return manifest{}, err
	}
	f, ok, err := s.get(ctx, objectKey(bucket, key))
	if err != nil {
		return manifest{}, err
	}
	if !ok {
		return manifest{}, noKey()
	}
	m, err := decodeManifest(f.Value)
	if err != nil {
		return manifest{}, damaged(err)
	}
	return m, nil
}

// SetTags implements object.Store.
func (s *Store) SetTags(ctx context.Context, bucket, key string, tags map[string]string) error {
	if err := object.ValidKey(key); err != nil {
		return err
	}
	if err := object.ValidTags(tags); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.calls.Done()
	for {
		o, err := s.present(ctx, bucket, key, condition{})
		switch {
		case err != nil:
			return err
		case !o.there:
			return noKey()
		case o.damaged:
			return damaged(errRecord)
		}
		o.manifest.meta.Tags = tags
		w := state.Write{Key: objectKey(bucket, key), Value: o.manifest.encode(), Expect: o.expect()}
		if _, err = s.facts.Apply(context.WithoutCancel(ctx), w); !errors.Is(err, state.ErrConflict) {
			return err
		}
	}
}

// Delete implements object.Store.
func (s *Store) Delete(ctx context.Context, bucket, key string, c object.DeleteOptions) error {
	if err := object.ValidKey(key); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.calls.Done()
	for {
		o, err := s.present(ctx, bucket, key, condition{})
		if err == nil {
			err = o.mayGo(c)
		}
		if err != nil || !o.there {
			return err
		}
		w := state.Write{Key: objectKey(bucket, key), Delete: true, Expect: o.expect()}
		_, err = s.facts.Apply(context.WithoutCancel(ctx), append(c.Also.Writes(o.manifest.info(bucket, key)), w)...)
		if errors.Is(err, state.ErrConflict) {
			continue
		}
		if err == nil && !o.damaged {
			s.doom(o.manifest)
		}
		return err
	}
}

// mayGo tells whether what is there may be deleted.
func (o old) mayGo(c object.DeleteOptions) error {
	switch {
	case !c.Modified.IsZero() && (!o.there || !o.manifest.modified.Equal(c.Modified)):
		return strait.Errorf(strait.Precondition, "modified", "the object was modified meanwhile")
	case c.IfMatch == "" || c.IfMatch == "*" && o.there:
		return nil
	case c.IfMatch == "*":
		return strait.Errorf(strait.Precondition, "if-match", "there is no such object")
	case !o.there:
		return noKey()
	case o.manifest.etag != c.IfMatch:
		return strait.Errorf(strait.Precondition, "if-match", "the object has another ETag")
	}
	return nil
}

func noKey() error {
	return strait.Errorf(strait.NotFound, "key", "the specified key does not exist")
}

// damaged makes an error for the caller that tells the cause to the log only.
func damaged(err error) error {
	return &strait.Error{Kind: strait.Internal, Thing: "damaged object", Message: "the object is damaged and cannot be read", Err: err}
}
