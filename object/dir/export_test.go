package dir

import (
	"context"
	"os"
	"slices"
)

// WithSync lets a test see, or fail, everything that is made durable; next is
// what would have been called.
func (o Options) WithSync(fn func(f *os.File, next func() error) error) Options {
	o.sync = func(f *os.File) error { return fn(f, func() error { return syncFile(f) }) }
	return o
}

// WithEarly lets a test see what begins to go to the disk before it is synced.
func (o Options) WithEarly(fn func(f *os.File, offset, length int64)) Options {
	o.early = fn
	return o
}

// Durable is false with the build tag nosync.
const Durable = durable

// Recode decodes a record of any kind and encodes it again; ok is false when
// it does not decode.
func Recode(b []byte) (again []byte, ok bool) {
	if m, err := decodeManifest(b); err == nil {
		return m.encode(), true
	}
	if p, err := decodePart(b); err == nil {
		return p.encode(), true
	}
	if u, err := decodeUpload(b); err == nil {
		return u.encode(), true
	}
	if t, err := decodeTombstone(b); err == nil {
		return t.encode(), true
	}
	if v, err := decodeBucket("b", b); err == nil {
		return encodeBucket(v), true
	}
	return nil, false
}

// SkimAgrees tells whether a record is skimmed as it is decoded: refused alike,
// and with the same bytes named.
func SkimAgrees(b []byte) bool {
	m, err := decodeManifest(b)
	k, err2 := skimManifest(b)
	p, err3 := decodePart(b)
	q, err4 := skimPart(b)
	return (err == nil) == (err2 == nil) && (err3 == nil) == (err4 == nil) && m.version == k.version && m.size == k.size &&
		slices.Equal(m.extents, k.extents) && slices.Equal(m.runs, k.runs) && p.seed == q.seed && p.size == q.size && slices.Equal(p.extents, q.extents)
}

// Sweep is what AbortOlder does besides.
func (s *Store) Sweep(ctx context.Context) (int64, error) { return s.sweep(ctx) }
