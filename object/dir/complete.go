package dir

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"strait"
	"strait/object"
	"strait/state"
)

// Complete implements object.Store. All parts, and everything that is checked
// of them, are in their records; the batch only names them.
func (s *Store) Complete(ctx context.Context, bucket, key, id string, parts []object.CompletePart, o object.CompleteOptions) (object.Info, error) {
	if err := object.InOrder(parts); err != nil {
		return object.Info{}, err
	}
	if err := s.enter(); err != nil {
		return object.Info{}, err
	}
	defer s.calls.Done()
	list := digestOf(parts)
	for {
		u, err := s.upload(ctx, bucket, key, id)
		if strait.KindOf(err) == strait.NotFound && u.key != "" {
			if t, ok := s.tombstone(ctx, bucket, key, u.id); ok && t.complete && t.parts == list {
				return t.manifest.info(bucket, key), nil
			}
		}
		if err != nil {
			return object.Info{}, err
		}
		stored, err := s.stored(ctx, u.id)
		if err != nil {
			return object.Info{}, err
		}
		m, err := assemble(u, stored, parts, o)
		if err != nil {
			return object.Info{}, err
		}
		m.modified = s.clock()
		t := tombstone{at: m.modified, name: bucket + "\x00" + key, parts: list, complete: true, manifest: *m}
		err = s.place(ctx, bucket, key, m, condition{o.IfNoneMatch, o.IfMatch}, o.Also,
			state.Write{Key: u.key, Delete: true, Expect: state.At(u.revision)},
			state.Write{Key: tombstoneKey(u.id), Value: t.encode(), Expect: state.Absent()})
		if errors.Is(err, state.ErrConflict) {
			continue // a part, the object or the upload has changed: look again
		}
		if err != nil {
			return object.Info{}, err
		}
		if m.parts() < len(stored) {
			s.dropParts(u.id, func(number int) bool { return !m.has(number) })
		}
		return m.info(bucket, key), nil
	}
}

// digestOf tells lists of parts apart.
func digestOf(parts []object.CompletePart) (sum [32]byte) {
	h := sha256.New()
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(p.Number)))
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p.ETag))))
		h.Write([]byte(p.ETag))
	}
	h.Sum(sum[:0])
	return sum
}

// stored returns all parts of an upload by number.
func (s *Store) stored(ctx context.Context, v id) (map[int]object.Part, error) {
	parts := map[int]object.Part{}
	err := s.each(ctx, partsOf(v), func(f state.Fact) error {
		_, number, ok := splitPartKey(f.Key)
		p, err := decodePart(f.Value)
		if err != nil || !ok {
			return damaged(errRecord)
		}
		parts[number] = p.public(number)
		return nil
	})
	return parts, err
}

// assemble makes the manifest of the named parts, without its time.
func assemble(u opened, stored map[int]object.Part, parts []object.CompletePart, o object.CompleteOptions) (*manifest, error) {
	whole, err := object.Assemble(parts, stored, u.algorithm, u.typ, o)
	if err != nil {
		return nil, err
	}
	m := &manifest{version: u.id, meta: u.meta, etag: whole.ETag, checksum: whole.Checksum}
	for _, c := range parts {
		m.add(c.Number, stored[c.Number].Size)
	}
	return m, nil
}

// add puts a part behind what is there.
func (m *manifest) add(number int, size int64) {
	m.size += size
	if n := len(m.runs); n > 0 {
		if r := &m.runs[n-1]; r.size == size && r.first+r.count == number {
			r.count++
			return
		}
	}
	m.runs = append(m.runs, run{number, 1, size})
}
