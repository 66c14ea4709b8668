package dir

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"hash"
	"io"
	"sync"

	"strait"
	"strait/object"
	"strait/object/md5lanes"
)

// A body is bytes in segments that no record names yet. It ends with keep, or
// with discard.
type body struct {
	segments *segments
	seed     id
	size     int64
	digest   *md5lanes.Digest
	md5      [16]byte // once it is kept
	checksum object.Checksum
	extents  []extent

	held    []*segment // taken and not yet dropped
	current *segment   // the one being appended to, also in held
	early   sync.WaitGroup
}

// receive stores what r yields, checked against o, and leaves nothing behind
// when it fails. Nothing is durable before keep.
func (s *Store) receive(ctx context.Context, r io.Reader, o object.PutOptions) (*body, error) {
	if o.Size > object.MaxBody {
		return nil, tooLarge()
	}
	if len(o.MD5) != 0 && len(o.MD5) != md5.Size {
		return nil, strait.Errorf(strait.Invalid, "digest", "an MD5 has %d bytes, not %d", md5.Size, len(o.MD5))
	}
	if o.Algorithm == "" {
		o.Algorithm = object.CRC64NVME // as AWS does; beside the MD5 it costs next to nothing
		o.Want = unnamed(o.Want)
	}
	sum, err := object.NewHash(o.Algorithm)
	if err != nil {
		return nil, err
	}
	b := &body{segments: s.segments, seed: newID(s.now()), digest: s.digests.Open()}
	whole := false
	defer func() {
		if !whole { // r may panic, too
			b.discard()
		}
	}()
	if err := s.copyBody(ctx, b, r, o, sum); err != nil {
		return nil, err
	}
	whole = true
	return b, nil
}

// unnamed refuses a checksum that comes without its algorithm.
func unnamed(want func() (string, error)) func() (string, error) {
	if want == nil {
		return nil
	}
	return func() (string, error) {
		v, err := want()
		if err == nil && v != "" {
			err = strait.Errorf(strait.Invalid, "checksum algorithm", "a checksum was given without its algorithm")
		}
		return "", err
	}
}

// copyBody reads r to its end and judges what came.
func (s *Store) copyBody(ctx context.Context, b *body, r io.Reader, o object.PutOptions, sum hash.Hash) error {
	// 1. The bytes, a block at a time.
	for index, more := int64(0), true; more; index++ {
		end, err := s.copyBlock(ctx, b, r, o, sum, index)
		if err != nil {
			return err
		}
		more = !end
	}
	if b.size < o.Size {
		return strait.Errorf(strait.Invalid, "incomplete body", "the body has %d bytes, not the %d that were announced", b.size, o.Size)
	}

	// 2. What the caller said they are.
	if len(o.MD5) != 0 {
		if sum := b.digest.Sum(); !bytes.Equal(o.MD5, sum[:]) {
			return strait.Errorf(strait.Invalid, "digest", "the MD5 you specified did not match what was received")
		}
	}
	b.checksum = object.Checksum{Algorithm: o.Algorithm, Type: object.FullObject, Value: base64.StdEncoding.EncodeToString(sum.Sum(nil))}
	if o.Want != nil {
		want, err := o.Want()
		if err != nil {
			return err
		}
		if want != "" && want != b.checksum.Value {
			return strait.Errorf(strait.Invalid, "digest", "The %s you specified did not match the calculated checksum.", o.Algorithm)
		}
	}

	// 3. Others may go on appending where this body ends.
	b.leave(false)
	return nil
}

// copyBlock reads and stores block index of a body; end tells that it is the last.
func (s *Store) copyBlock(ctx context.Context, b *body, r io.Reader, o object.PutOptions, sum hash.Hash, index int64) (end bool, err error) {
	frame := s.frames.Get().(*[]byte)
	defer func() {
		if frame != nil {
			s.frames.Put(frame)
		}
	}()
	data, end, err := fill(r, (*frame)[:blockSize])
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return false, err
	}
	if b.size += int64(len(data)); b.size > object.MaxBody {
		return false, tooLarge()
	}
	if o.Size >= 0 && b.size > o.Size {
		return false, strait.Errorf(strait.Invalid, "incomplete body", "the body has more than the %d bytes that were announced", o.Size)
	}
	if len(data) == 0 {
		return true, nil
	}
	sum.Write(data)
	if err := b.append(len(data), sealBlock(b.seed, index, data)); err != nil {
		return false, diskError(err)
	}
	b.digest.Add(frame, len(data))
	frame = nil // the digest's
	return end, nil
}

// fill reads until data is full or r has ended. An error other than io.EOF is
// returned as it is; that includes io.ErrUnexpectedEOF, a body broken off.
func fill(r io.Reader, data []byte) (filled []byte, end bool, err error) {
	n, idle := 0, 0
	for n < len(data) {
		m, err := r.Read(data[n:])
		n += m
		if err == io.EOF {
			return data[:n], true, nil
		}
		if err != nil {
			return nil, false, err
		}
		if m > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			return nil, false, io.ErrNoProgress
		}
	}
	return data[:n], false, nil
}

// append writes frame, which holds n bytes of the body, where there is room.
func (b *body) append(n int, frame []byte) error {
	s := b.segments
	if g := b.current; g != nil && g.end+int64(len(frame)) > s.size {
		b.leave(true)
		// Begin now, so that less is left to wait for at the end. keep asks
		// again and hears of a failure.
		b.early.Go(func() { s.flush(g) })
	}
	if b.current == nil {
		g, err := s.take()
		if err != nil {
			return err
		}
		if g.end > 0 && g.end+int64(len(frame)) > s.size {
			s.giveBack(g, 0, true)
			s.drop(g)
			return b.append(n, frame) // the next one may be as full, but they are few
		}
		b.held = append(b.held, g)
		b.current = g
		b.extents = append(b.extents, extent{segment: g.number, offset: g.end})
	}
	if err := b.current.append(frame); err != nil {
		return err
	}
	s.hurry(b.current)
	b.extents[len(b.extents)-1].length += int64(n)
	return nil
}

// leave ends the extent in the current segment.
func (b *body) leave(seal bool) {
	if b.current != nil {
		b.segments.giveBack(b.current, inFile(b.extents[len(b.extents)-1].length), seal)
		b.current = nil
	}
}

// keep makes the bytes durable. The body's extents live on; if no record comes
// to name them, discard.
func (b *body) keep() (err error) {
	b.early.Wait()
	for _, g := range b.held {
		if e := b.segments.flush(g); e != nil {
			err = e
		}
	}
	b.drop()
	// Only now: those that waited for the same fsync have their sums made side
	// by side.
	b.md5 = b.digest.Sum()
	b.digest.Close()
	return diskError(err)
}

// discard gives the space back.
func (b *body) discard() {
	b.early.Wait()
	b.digest.Close()
	if g := b.current; g != nil {
		last := len(b.extents) - 1
		// If it cannot be cut, what lies behind must not be built upon.
		bad := g.cut(b.extents[last].offset) != nil
		b.extents = b.extents[:last]
		b.segments.giveBack(g, 0, bad)
		b.current = nil
	}
	b.drop()
	b.segments.free(b.extents)
	b.extents = nil
}

func (b *body) drop() {
	for _, g := range b.held {
		b.segments.drop(g)
	}
	b.held = nil
}

func tooLarge() error {
	return strait.Errorf(strait.TooLarge, "object", "your proposed upload exceeds the maximum allowed size of %d bytes", int64(object.MaxBody))
}
