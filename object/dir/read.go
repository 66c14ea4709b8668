package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"sync"

	"strait"
	"strait/object"
)

// Get implements object.Store.
func (s *Store) Get(ctx context.Context, bucket, key string) (object.Info, object.Reader, error) {
	if err := s.enter(); err != nil {
		return object.Info{}, nil, err
	}
	defer s.calls.Done()
	for {
		m, err := s.manifest(ctx, bucket, key)
		if err != nil {
			return object.Info{}, nil, err
		}
		// Pin, then look again: what is still there now can only be doomed
		// by someone who will see the pin.
		s.pin(m.version)
		again, err := s.manifest(ctx, bucket, key)
		if err == nil && again.version == m.version {
			return m.info(bucket, key), s.newReader(m), nil
		}
		s.unpin(m.version)
	}
}

// A reader reads one version. A piece of it, the whole of a single Put or one
// part, is a body with a seed of its own.
type reader struct {
	store    *Store
	manifest manifest
	starts   []int64 // where each run begins
	pos      int64   // of Read and Seek

	mu     sync.Mutex // guards the rest: ReadAt may be called from many goroutines
	closed bool
	number int // of the part in piece
	piece  piece
	index  int64   // of the block in data, counted in the piece
	data   []byte  // nil when no block is at hand
	frame  *[]byte // what data lies in
	file   *handle
	fresh  bool // open files anew, to see whether they are there
}

type piece struct {
	start, size int64
	seed        id
	extents     []extent
}

func (s *Store) newReader(m manifest) *reader {
	r := &reader{store: s, manifest: m, frame: s.frames.Get().(*[]byte)}
	if len(m.runs) == 0 {
		r.piece = piece{0, m.size, m.version, m.extents}
	}
	var start int64
	for _, run := range m.runs {
		r.starts = append(r.starts, start)
		start += int64(run.count) * run.size
	}
	return r
}

func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.some(p, r.pos)
	r.pos += int64(n)
	return n, err
}

func (r *reader) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 {
		return 0, errors.New("read object: negative offset")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for n < len(p) && err == nil {
		var m int
		m, err = r.some(p[n:], offset+int64(n))
		n += m
	}
	return n, err
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.manifest.size
	default:
		return 0, errors.New("seek object: unknown whence")
	}
	if offset < 0 {
		return 0, errors.New("seek object: negative position")
	}
	r.pos = offset
	return offset, nil
}

func (r *reader) Part(n int) (offset, size int64, err error) {
	if len(r.manifest.runs) == 0 && n == 1 {
		return 0, r.manifest.size, nil
	}
	i, k, ok := r.manifest.nth(n)
	if !ok {
		return 0, 0, noPart(n)
	}
	size = r.manifest.runs[i].size
	return r.starts[i] + int64(k)*size, size, nil
}

// PartChecksum implements object.PartSummer.
func (r *reader) PartChecksum(n int) (object.Checksum, error) {
	if len(r.manifest.runs) == 0 && n == 1 {
		return r.manifest.checksum, nil
	}
	i, k, ok := r.manifest.nth(n)
	if !ok {
		return object.Checksum{}, noPart(n)
	}
	p, err := r.store.part(context.Background(), r.manifest.version, r.manifest.runs[i].first+k)
	if err != nil {
		return object.Checksum{}, damaged(err)
	}
	return p.checksum, nil
}

func noPart(n int) error {
	return strait.Errorf(strait.Invalid, "part number", "the object has no part %d", n)
}

func (r *reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.closeSegment()
	r.data = nil
	r.store.frames.Put(r.frame)
	r.frame = nil
	r.store.unpin(r.manifest.version)
	return nil
}

// WriteRange implements object.RangeWriter: a block at a time, out of the
// buffer that it was checked in.
func (r *reader) WriteRange(w io.Writer, offset, size int64) (n int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n < size {
		b, err := r.rest(offset + n)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return n, err
		}
		m, err := w.Write(b[:min(int64(len(b)), size-n)])
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// some reads at least one byte at offset, up to the end of a block.
func (r *reader) some(p []byte, offset int64) (int, error) {
	b, err := r.rest(offset)
	return copy(p, b), err
}

// rest returns what lies from offset to the end of its block, until the next
// call.
func (r *reader) rest(offset int64) ([]byte, error) {
	if r.closed {
		return nil, os.ErrClosed
	}
	if offset >= r.manifest.size {
		return nil, io.EOF
	}
	if err := r.seekPiece(offset); err != nil {
		return nil, damaged(err)
	}
	inside := offset - r.piece.start
	if index := inside / blockSize; r.data == nil || r.index != index {
		if err := r.load(index); err != nil {
			return nil, damaged(err)
		}
	}
	return r.data[inside%blockSize:], nil
}

// seekPiece makes r.piece the one that holds offset, which is inside the object.
func (r *reader) seekPiece(offset int64) error {
	if len(r.manifest.runs) == 0 || r.number > 0 && offset >= r.piece.start && offset < r.piece.start+r.piece.size {
		return nil
	}
	// The last run that begins at or before offset; empty runs before it
	// begin there, too.
	i := sort.Search(len(r.starts), func(i int) bool { return r.starts[i] > offset }) - 1
	run := r.manifest.runs[i]
	k := (offset - r.starts[i]) / run.size
	number := run.first + int(k)
	r.number, r.data = 0, nil
	p, err := r.store.part(context.Background(), r.manifest.version, number)
	if err != nil {
		return err
	}
	if p.size != run.size {
		return fmt.Errorf("part %d has %d bytes, not %d: %w", number, p.size, run.size, errRecord)
	}
	r.number, r.piece = number, piece{r.starts[i] + k*run.size, p.size, p.seed, p.extents}
	return nil
}

// part returns the record of one part.
func (s *Store) part(ctx context.Context, v id, number int) (part, error) {
	f, err := s.facts.Get(ctx, partKey(v, number))
	if err != nil {
		return part{}, fmt.Errorf("part %d: %w", number, err)
	}
	return decodePart(f.Value)
}

// load reads block index of the piece into r.data.
func (r *reader) load(index int64) error {
	r.data = nil
	inside := index * blockSize
	for _, x := range r.piece.extents {
		if inside >= x.length {
			inside -= x.length
			continue
		}
		if err := r.openSegment(x.segment); err != nil {
			return err
		}
		frame := (*r.frame)[:min(blockSize, x.length-inside)+sumSize]
		if _, err := r.file.ReadAt(frame, x.offset+inFile(inside)); err != nil {
			return fmt.Errorf("segment %016x: %w", x.segment, err)
		}
		data, err := openBlock(r.piece.seed, index, frame)
		if err != nil {
			return fmt.Errorf("segment %016x at %d: %w", x.segment, x.offset+inFile(inside), err)
		}
		r.index, r.data = index, data
		return nil
	}
	return errRecord
}

func (r *reader) openSegment(number uint64) error {
	if r.file != nil && r.file.number == number {
		return nil
	}
	r.closeSegment()
	s := r.store.segments
	if r.fresh {
		s.reading.forget(number)
	}
	f, err := s.reading.take(number, s.path(number))
	if err != nil {
		return err
	}
	r.file = f
	return nil
}

func (r *reader) closeSegment() {
	if r.file != nil {
		r.store.segments.reading.giveBack(r.file)
		r.file = nil
	}
}
