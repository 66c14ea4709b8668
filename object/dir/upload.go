package dir

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"strait"
	"strait/object"
	"strait/state"
)

// CreateUpload implements object.Store.
func (s *Store) CreateUpload(ctx context.Context, bucket, key string, o object.UploadOptions) (object.Upload, error) {
	typ, err := object.UploadType(o.Algorithm, o.Type)
	if err != nil {
		return object.Upload{}, err
	}
	if err := object.ValidKey(key); err != nil {
		return object.Upload{}, err
	}
	if err := o.Meta.Valid(); err != nil {
		return object.Upload{}, err
	}
	if err := s.enter(); err != nil {
		return object.Upload{}, err
	}
	defer s.calls.Done()
	s.bucketGate.RLock()
	defer s.bucketGate.RUnlock()
	if _, err := s.Bucket(ctx, bucket); err != nil {
		return object.Upload{}, err
	}
	u := upload{meta: o.Meta, algorithm: o.Algorithm, typ: typ, initiator: o.Initiator, initiated: s.clock()}
	v := newID(u.initiated)
	_, err = s.facts.Apply(ctx, state.Write{Key: uploadKey(bucket, key, v), Value: u.encode(), Expect: state.Absent()})
	if err != nil {
		return object.Upload{}, err
	}
	return u.public(bucket, key, v), nil
}

func (u *upload) public(bucket, key string, v id) object.Upload {
	return object.Upload{Bucket: bucket, Key: key, ID: v.String(), Meta: u.meta, Algorithm: u.algorithm,
		Type: u.typ, Initiator: u.initiator, Initiated: u.initiated}
}

// An opened upload is what a call about one begins with.
type opened struct {
	upload
	id       id
	key      string // of its fact
	revision state.Revision
}

// upload finds an open upload of an existing bucket.
func (s *Store) upload(ctx context.Context, bucket, key, idText string) (u opened, err error) {
	if err := object.ValidKey(key); err != nil {
		return u, err
	}
	if _, err := s.Bucket(ctx, bucket); err != nil {
		return u, err
	}
	v, ok := parseID(idText)
	if !ok {
		return u, noUpload()
	}
	u.id, u.key = v, uploadKey(bucket, key, v)
	f, ok, err := s.get(ctx, u.key)
	if err != nil {
		return u, err
	}
	if !ok {
		return u, noUpload()
	}
	u.revision = f.Revision
	if u.upload, err = decodeUpload(f.Value); err != nil {
		return u, damaged(err)
	}
	return u, nil
}

func noUpload() error {
	return strait.Errorf(strait.NotFound, "upload", "the specified multipart upload does not exist: its id may be invalid, or it has been aborted or completed")
}

// Upload implements object.Store.
func (s *Store) Upload(ctx context.Context, bucket, key, id string) (object.Upload, error) {
	u, err := s.upload(ctx, bucket, key, id)
	if err != nil {
		return object.Upload{}, err
	}
	return u.public(bucket, key, u.id), nil
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
	u, err := s.upload(ctx, bucket, key, id)
	if err != nil {
		return object.Part{}, err
	}
	if o.Algorithm, err = object.PartAlgorithm(u.public(bucket, key, u.id), o); err != nil {
		return object.Part{}, err
	}

	// 2. The bytes, durable.
	b, kept, err := s.receivePart(ctx, u, r, o)
	if err != nil {
		return object.Part{}, err
	}
	if err := b.keep(); err != nil {
		b.discard()
		return object.Part{}, err
	}

	// 3. The record.
	p := &part{seed: b.seed, size: b.size, md5: b.md5, modified: s.clock(), checksum: kept, extents: b.extents}
	if err := s.placePart(ctx, bucket, key, id, number, p); err != nil {
		if !s.namedPart(ctx, u.id, number, p.seed) {
			b.discard()
		}
		return object.Part{}, err
	}
	told := p.told(number, u)
	if o.Algorithm != "" {
		told.Checksum = b.checksum
	}
	return told, nil
}

// receivePart is receive, and returns the checksum to keep: of an upload that
// names no algorithm the home's own, whatever single parts come with.
func (s *Store) receivePart(ctx context.Context, u opened, r io.Reader, o object.PutOptions) (*body, object.Checksum, error) {
	if u.algorithm != "" || o.Algorithm == "" || o.Algorithm == object.CRC64NVME {
		b, err := s.receive(ctx, r, o)
		if err != nil {
			return nil, object.Checksum{}, err
		}
		return b, b.checksum, nil
	}
	sum, err := object.NewHash(object.CRC64NVME)
	if err != nil {
		return nil, object.Checksum{}, err
	}
	b, err := s.receive(ctx, io.TeeReader(r, sum), o)
	kept := object.Checksum{Algorithm: object.CRC64NVME, Type: object.FullObject, Value: base64.StdEncoding.EncodeToString(sum.Sum(nil))}
	return b, kept, err
}

// placePart writes the record of a part, unless the upload is over.
func (s *Store) placePart(ctx context.Context, bucket, key, id string, number int, p *part) error {
	ctx = context.WithoutCancel(ctx) // the outcome must be clear
	for {
		u, err := s.upload(ctx, bucket, key, id)
		if err != nil {
			return err
		}
		before, ok, err := s.get(ctx, partKey(u.id, number))
		if err != nil {
			return err
		}
		writes := []state.Write{
			{Key: partKey(u.id, number), Value: p.encode(), Expect: state.Absent()},
			// Deleting what is not there only makes sure of that: whoever
			// ends the upload leaves a tombstone.
			{Key: tombstoneKey(u.id), Delete: true, Expect: state.Absent()},
		}
		if ok {
			// A Complete that has looked at the earlier part must look again:
			// it expects the upload's revision.
			writes[0].Expect = state.At(before.Revision)
			writes = append(writes, state.Write{Key: u.key, Value: u.encode(), Expect: state.At(u.revision)})
		}
		if _, err = s.facts.Apply(ctx, writes...); errors.Is(err, state.ErrConflict) {
			continue
		}
		if err == nil && ok {
			if was, err := decodePart(before.Value); err == nil {
				s.segments.free(was.extents)
			}
		}
		return err
	}
}

// namedPart is named, for a part.
func (s *Store) namedPart(ctx context.Context, v id, number int, seed id) bool {
	f, ok, err := s.get(context.WithoutCancel(ctx), partKey(v, number))
	if err != nil {
		return true
	}
	if !ok {
		return false
	}
	p, err := decodePart(f.Value)
	return err != nil || p.seed == seed
}

func (p *part) public(number int) object.Part {
	return object.Part{Number: number, Size: p.size, ETag: hex.EncodeToString(p.md5[:]), Checksum: p.checksum, Modified: p.modified}
}

// told is public, without the checksum that nobody has asked for.
func (p *part) told(number int, u opened) object.Part {
	t := p.public(number)
	if u.algorithm == "" {
		t.Checksum = object.Checksum{}
	}
	return t
}

// Parts implements object.Store.
func (s *Store) Parts(ctx context.Context, bucket, key, id string, after, limit int) (object.PartPage, error) {
	u, err := s.upload(ctx, bucket, key, id)
	if err != nil {
		return object.PartPage{}, err
	}
	page := object.PartPage{Upload: u.public(bucket, key, u.id)}
	if after >= object.MaxParts {
		return page, nil
	}
	limit = pageSize(limit)
	facts, err := s.facts.List(ctx, partsOf(u.id), partKey(u.id, max(after, 0)), limit+1)
	if err != nil {
		return object.PartPage{}, err
	}
	if len(facts) > limit {
		facts, page.Truncated = facts[:limit], true
	}
	for _, f := range facts {
		_, number, ok := splitPartKey(f.Key)
		p, err := decodePart(f.Value)
		if err != nil || !ok {
			return object.PartPage{}, damaged(errRecord)
		}
		page.Parts = append(page.Parts, p.told(number, u))
		if page.Truncated {
			page.Next = number
		}
	}
	return page, nil
}

// Abort implements object.Store.
func (s *Store) Abort(ctx context.Context, bucket, key, id string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.calls.Done()
	for {
		u, err := s.upload(ctx, bucket, key, id)
		if strait.KindOf(err) == strait.NotFound && u.key != "" {
			if t, ok := s.tombstone(ctx, bucket, key, u.id); ok && !t.complete {
				return nil
			}
		}
		if err != nil {
			return err
		}
		if err = s.abort(ctx, u, bucket, key); !errors.Is(err, state.ErrConflict) {
			return err
		}
	}
}

// abort ends an upload; state.ErrConflict when it has changed meanwhile.
func (s *Store) abort(ctx context.Context, u opened, bucket, key string) error {
	t := tombstone{at: s.clock(), name: bucket + "\x00" + key}
	_, err := s.facts.Apply(context.WithoutCancel(ctx),
		state.Write{Key: u.key, Delete: true, Expect: state.At(u.revision)},
		state.Write{Key: tombstoneKey(u.id), Value: t.encode(), Expect: state.Absent()})
	if err == nil {
		s.dropParts(u.id, func(int) bool { return true })
	}
	return err
}

// tombstone returns what is left of an upload that has ended not long ago.
func (s *Store) tombstone(ctx context.Context, bucket, key string, v id) (tombstone, bool) {
	f, ok, err := s.get(ctx, tombstoneKey(v))
	if err != nil || !ok {
		return tombstone{}, false
	}
	t, err := decodeTombstone(f.Value)
	ok = err == nil && t.name == bucket+"\x00"+key && s.now().Sub(t.at) < object.CompleteAgain
	return t, ok
}

// AbortOlder implements object.Store. It also forgets what Complete and Abort
// keep for being asked again, once that time is over, and gives back space that
// is dead inside segments.
func (s *Store) AbortOlder(ctx context.Context, before time.Time) (int, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.calls.Done()
	if err := s.forget(ctx); err != nil {
		return 0, err
	}
	n, err := s.abortAll(ctx, uploadPrefix, func(u upload) bool { return u.initiated.Before(before) })
	if err != nil {
		return n, err
	}
	if freed, err := s.sweep(ctx); err != nil {
		return n, err
	} else if freed > 0 {
		s.log.Info("dead space inside segments was given back", "bytes", freed)
	}
	return n, nil
}

// abortAll aborts the uploads below a prefix of facts that which picks.
func (s *Store) abortAll(ctx context.Context, prefix string, which func(upload) bool) (n int, err error) {
	err = s.each(ctx, prefix, func(f state.Fact) error {
		bucket, key, v, ok := splitUploadKey(f.Key)
		d, err := decodeUpload(f.Value)
		if err != nil || !ok {
			return fmt.Errorf("upload %q: %w", f.Key, errRecord)
		}
		if !which(d) {
			return nil
		}
		err = s.Abort(ctx, bucket, key, v.String())
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

// forget deletes tombstones that are old enough.
func (s *Store) forget(ctx context.Context) error {
	var keys []string
	err := s.each(ctx, tombstonePrefix, func(f state.Fact) error {
		t, err := decodeTombstone(f.Value)
		if err != nil || s.now().Sub(t.at) >= object.CompleteAgain {
			keys = append(keys, f.Key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.erase(ctx, keys)
}
