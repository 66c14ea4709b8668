package dir

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"

	"strait"
	"strait/object"
	"strait/state"
)

// Complete implements object.Store. All parts, and everything that is checked
// of them, are in their records; the batch only names them.
func (s *Store) Complete(ctx context.Context, bucket, key, id string, parts []object.CompletePart, o object.CompleteOptions) (object.Info, error) {
	if err := inOrder(parts); err != nil {
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

// inOrder judges the list of parts by itself.
func inOrder(parts []object.CompletePart) error {
	if len(parts) == 0 {
		return strait.Errorf(strait.Invalid, "part", "at least one part must be named")
	}
	last := 0
	for _, p := range parts {
		if p.Number < 1 || p.Number > object.MaxParts {
			return noPart(p.Number)
		}
		if p.Number <= last {
			return strait.Errorf(strait.Invalid, "part order", "the list of parts was not in ascending order of part numbers")
		}
		last = p.Number
	}
	return nil
}

func noPart(number int) error {
	err := strait.Errorf(strait.Invalid, "part", "part %d could not be found, or its ETag or checksum is another one", number)
	err.Detail = map[string]string{"PartNumber": strconv.Itoa(number)}
	return err
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
func (s *Store) stored(ctx context.Context, v id) (map[int]part, error) {
	parts := map[int]part{}
	err := s.each(ctx, partsOf(v), func(f state.Fact) error {
		_, number, ok := splitPartKey(f.Key)
		p, err := decodePart(f.Value)
		if err != nil || !ok {
			return damaged(errRecord)
		}
		p.extents = nil // not needed here
		parts[number] = p
		return nil
	})
	return parts, err
}

// assemble makes the manifest of the named parts, without its time.
func assemble(u opened, stored map[int]part, parts []object.CompletePart, o object.CompleteOptions) (*manifest, error) {
	if o.Type != "" && o.Type != u.typ {
		return nil, strait.Errorf(strait.Invalid, "checksum type", "the upload's checksum type is %q, not %.20q", u.typ, o.Type)
	}
	// 1. Every part is the one that the caller means.
	for _, c := range parts {
		p, ok := stored[c.Number]
		if !ok || hex.EncodeToString(p.md5[:]) != c.ETag || c.Checksum != "" && c.Checksum != p.checksum.Value {
			return nil, noPart(c.Number)
		}
	}
	m := &manifest{version: u.id, meta: u.meta}
	for i, c := range parts {
		if p := stored[c.Number]; p.size < object.MinPart && i < len(parts)-1 {
			return nil, tooSmall(c, p.size)
		}
		m.add(c.Number, stored[c.Number].size)
	}
	if o.Size >= 0 && o.Size != m.size {
		return nil, strait.Errorf(strait.Invalid, "object size", "the object has %d bytes, not the %d that were announced", m.size, o.Size)
	}

	// 2. The sums of the whole.
	digest := md5.New()
	for _, c := range parts {
		p := stored[c.Number]
		digest.Write(p.md5[:])
	}
	m.etag = hex.EncodeToString(digest.Sum(nil)) + "-" + strconv.Itoa(len(parts))
	if u.algorithm != "" {
		j, err := object.NewJoiner(u.algorithm, u.typ)
		if err != nil {
			return nil, err
		}
		for _, c := range parts {
			if err := j.Add(stored[c.Number].checksum.Value, stored[c.Number].size); err != nil {
				return nil, damaged(err) // we computed it ourselves
			}
		}
		m.checksum = j.Sum()
	}
	if o.Checksum != "" && o.Checksum != m.checksum.Value {
		return nil, strait.Errorf(strait.Invalid, "digest", "the checksum you specified did not match the calculated checksum")
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

func tooSmall(c object.CompletePart, size int64) error {
	err := strait.Errorf(strait.Invalid, "part size", "part %d is smaller than the minimum allowed size", c.Number)
	err.Detail = map[string]string{
		"ProposedSize":   strconv.FormatInt(size, 10),
		"MinSizeAllowed": strconv.Itoa(object.MinPart),
		"PartNumber":     strconv.Itoa(c.Number),
		"ETag":           c.ETag,
	}
	return err
}
