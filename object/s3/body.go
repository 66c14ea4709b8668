package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"hash"
	"io"
	"os"
	"slices"
	"sync"

	"strait"
	"strait/object"
)

const (
	// held is how much of a body is held back. One that fits is sent when all
	// of it is there, and may be sent again.
	held = 256 << 10
	// step is how much is read at once of one that does not.
	step = 64 << 10
)

// A body is on its way to the other store, checked as it goes.
type body struct {
	from io.Reader
	o    object.PutOptions
	sum  hash.Hash // of o.Algorithm; nil without
	md5  hash.Hash // nil when nobody said what it is

	read   int64 // bytes that have come
	size   int64 // bytes of the whole, known before it is sent
	again  io.ReadSeeker
	file   *os.File
	value  string // of the checksum, base64; once all has come
	stream bool

	mu      sync.Mutex // guards the rest: the sender reads from a goroutine of its own
	next    []byte     // held back
	out     []byte     // to be handed out
	spare   []byte     // what out lies in, or nothing any more
	ended   bool       // all has come, and is right
	stopped bool
	err     error // what the body or a check said, unchanged
}

// receive begins to read a body, and reads all of it when it is small or nobody
// said how large it is. The caller calls end.
func (s *Store) receive(ctx context.Context, r io.Reader, o object.PutOptions) (*body, error) {
	if o.Size > object.MaxBody {
		return nil, tooLarge()
	}
	if len(o.MD5) != 0 && len(o.MD5) != md5.Size {
		return nil, strait.Errorf(strait.Invalid, "digest", "an MD5 has %d bytes, not %d", md5.Size, len(o.MD5))
	}
	b := &body{from: r, o: o, size: o.Size}
	if o.Algorithm != "" {
		var err error
		if b.sum, err = newHash(o.Algorithm); err != nil {
			return nil, err
		}
	}
	if len(o.MD5) > 0 {
		b.md5 = md5.New()
	}
	if err := b.begin(ctx, s.spool); err != nil {
		b.end()
		if b.err != nil {
			return nil, b.err
		}
		return nil, err
	}
	return b, nil
}

func (b *body) begin(ctx context.Context, spool string) error {
	n := held
	if b.o.Size >= 0 { // one more, to come to the end
		n = int(min(held, b.o.Size+1))
	}
	var err error
	if b.next, err = b.fill(make([]byte, 0, n), n); err != nil && err != io.EOF {
		return err
	}
	switch {
	case err == io.EOF: // all of it
		b.size, b.again = int64(len(b.next)), bytes.NewReader(b.next)
		return nil
	case b.o.Size >= 0:
		b.stream = true
		return nil
	}
	// A file without a name: whatever happens, it is not left behind.
	if b.file, err = os.CreateTemp(spool, "body-*"); err != nil {
		return diskError(err)
	}
	if err := os.Remove(b.file.Name()); err != nil {
		return err
	}
	for err == nil || err == io.EOF {
		if _, e := b.file.Write(b.next); e != nil {
			return diskError(e)
		}
		if err == io.EOF || ctx.Err() != nil {
			break
		}
		b.next, err = b.fill(b.next[:0], held)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil && err != io.EOF {
		return err
	}
	b.size, b.again = b.read, b.file
	_, err = b.file.Seek(0, io.SeekStart)
	return err
}

// fill reads into p until it has n bytes, and returns io.EOF when the body has
// ended and is right.
func (b *body) fill(p []byte, n int) ([]byte, error) {
	for idle := 0; len(p) < n; {
		m, err := b.from.Read(p[len(p):n])
		chunk := p[len(p) : len(p)+m]
		p = p[:len(p)+m]
		if b.read += int64(m); b.read > object.MaxBody {
			return p, b.fails(tooLarge())
		}
		if b.o.Size >= 0 && b.read > b.o.Size {
			return p, b.fails(strait.Errorf(strait.Invalid, "incomplete body", "the body has more than the %d bytes that were announced", b.o.Size))
		}
		if b.sum != nil {
			b.sum.Write(chunk)
		}
		if b.md5 != nil {
			b.md5.Write(chunk)
		}
		if err == io.EOF {
			if err := b.judge(); err != nil {
				return p, b.fails(err)
			}
			b.ended = true
			return p, io.EOF
		}
		if err != nil {
			return p, b.fails(err)
		}
		if m > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			return p, b.fails(io.ErrNoProgress)
		}
	}
	return p, nil
}

func (b *body) fails(err error) error { b.err = err; return err }

// judge compares what has come with what was said of it.
func (b *body) judge() error {
	if b.read < b.o.Size {
		return strait.Errorf(strait.Invalid, "incomplete body", "the body has %d bytes, not the %d that were announced", b.read, b.o.Size)
	}
	if b.md5 != nil && !bytes.Equal(b.o.MD5, b.md5.Sum(nil)) {
		return strait.Errorf(strait.Invalid, "digest", "the MD5 you specified did not match what was received")
	}
	if b.sum != nil {
		b.value = base64.StdEncoding.EncodeToString(b.sum.Sum(nil))
	}
	if b.o.Want == nil {
		return nil
	}
	want, err := b.o.Want()
	switch {
	case err != nil:
		return err
	case want != "" && b.sum == nil:
		return strait.Errorf(strait.Invalid, "checksum algorithm", "a checksum was given without its algorithm")
	case want != "" && want != b.value:
		return strait.Errorf(strait.Invalid, "digest", "The %s you specified did not match the calculated checksum.", b.o.Algorithm)
	}
	return nil
}

// Read hands a streamed body to the sender, a step behind what has come.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.stopped:
		return 0, os.ErrClosed
	case b.err != nil:
		return 0, b.err
	}
	for len(b.out) == 0 {
		if b.ended && len(b.next) == 0 {
			return 0, io.EOF
		}
		if err := b.turn(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.out)
	b.out = b.out[n:]
	return n, nil
}

// turn lets go of what was held back, as soon as more has come or it was all.
func (b *body) turn() error {
	if b.ended {
		b.out, b.next = b.next, nil
		return nil
	}
	if cap(b.spare) < step {
		b.spare = make([]byte, 0, step)
	}
	more, err := b.fill(b.spare[:0], step)
	if err != nil && err != io.EOF {
		return err
	}
	b.spare, b.out, b.next = b.next, b.next, more
	return nil
}

// sends is what the SDK is given.
func (b *body) sends() io.Reader {
	if b.stream {
		return struct{ io.Reader }{b}
	}
	return b.again
}

// end lets nobody read any more, waiting for a read under way: the body is the
// caller's. It returns what the body itself failed with.
func (b *body) end() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	if b.file != nil {
		b.file.Close()
	}
	return b.err
}

// newHash refuses algorithms that the SDK cannot send behind a stream.
func newHash(algorithm string) (hash.Hash, error) {
	h, err := object.NewHash(algorithm)
	if err == nil && !slices.Contains(algorithms[:], algorithm) {
		err = strait.Errorf(strait.Unsupported, "checksum algorithm", "The checksum algorithm %s is not offered for objects in another store.", algorithm)
	}
	return h, err
}

func tooLarge() error {
	return strait.Errorf(strait.TooLarge, "object", "your proposed upload exceeds the maximum allowed size of %d bytes", int64(object.MaxBody))
}

func diskError(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return strait.Errorf(strait.Unavailable, "disk", "a body of unknown size could not be kept for a while: %w", err)
	}
	return err
}
