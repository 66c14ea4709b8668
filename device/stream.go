package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"strait"
)

// Parts of a stream: nobody knows how many there will be, so they double after
// every streamStep of them. 10,000 parts then hold more than S3 takes.
const (
	streamPart = 8 << 20
	streamStep = 1000
)

const (
	spoolPrefix = "stream-"
	spoolSuffix = ".strait-stream"
)

// UploadStream sends what r holds until its end, in parts that are spooled in
// the directory spool until the server has them: memory does not grow, and
// the disk holds at most one part more than are under way. Of in it ignores
// File, Body, Size and Journal. What is shorter
// than a part is sent as one object. A stream cannot be read again: when the
// process dies it is lost, and LostStreams tells so. When ctx ends while r is
// waited for, that Read is left alone: do not read from r then.
func (c *Uploader) UploadStream(ctx context.Context, r io.Reader, spool string, in UploadInput) (*UploadOutput, error) {
	in.File, in.Journal, in.Size = "", "", 0
	if in.Patience <= 0 {
		in.Patience = defaultPatience
	}
	if err := in.checkWay(); err != nil {
		return nil, err
	}
	u, err := c.upload(ctx, in)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(spool, spoolPrefix+"*"+spoolSuffix)
	if err != nil {
		return nil, strait.Errorf(strait.Invalid, "spool", "make the spool of the stream: %w", err)
	}
	f.Close()
	if u.journal, err = openJournal(f.Name()); err != nil {
		return nil, err
	}
	s := &stream{upload: u, r: r, base: strings.TrimSuffix(f.Name(), spoolSuffix)}
	stop := u.progress.run()
	defer stop()
	out, err := s.send(ctx)
	if u.journal != nil {
		if removeErr := u.journal.remove(); removeErr != nil {
			u.c.cfg.Log.Warn("the journal of a stream could not be removed", "error", removeErr)
		}
	}
	if err != nil {
		return nil, u.explain("upload", err)
	}
	return out, nil
}

// UploadStream is like Uploader.UploadStream.
func (c *Client) UploadStream(ctx context.Context, r io.Reader, spool string, in UploadInput) (*UploadOutput, error) {
	return c.up.UploadStream(ctx, r, spool, in)
}

// A stream is one upload of what is read once.
type stream struct {
	*upload
	r      io.Reader
	base   string // of the spooled parts' names
	pieces []piece
}

// spooled is a part on disk.
type spooled struct {
	f    *os.File
	size int64
	last bool
}

func (s *spooled) remove() {
	s.f.Close()
	os.Remove(s.f.Name())
}

// next spools one part. Who writes the stream may pause for as long as it
// likes, and must not keep the end of ctx waiting.
func (s *stream) next(ctx context.Context, number int) (*spooled, error) {
	size := max(s.in.PartSize, streamPart) << (number / streamStep)
	f, err := os.OpenFile(fmt.Sprintf("%s.%d", s.base, number), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, strait.Errorf(strait.Invalid, "spool", "spool the stream: %w", err)
	}
	p := &spooled{f: f}
	copied := make(chan error, 1)
	var n int64
	go func() {
		var err error
		n, err = io.CopyN(f, s.r, min(size, maxPart))
		copied <- err
	}()
	select {
	case err = <-copied:
	case <-ctx.Done():
		p.remove()
		return nil, context.Cause(ctx)
	}
	p.size = n
	if p.last = errors.Is(err, io.EOF); p.last {
		err = nil
	}
	if err != nil {
		p.remove()
		return nil, strait.Errorf(strait.Invalid, "stream", "read the stream: %w", err)
	}
	total := s.progress.total.Add(p.size)
	if total > maxObject {
		p.remove()
		return nil, strait.Errorf(strait.TooLarge, "stream", "the stream is longer than S3 takes")
	}
	return p, nil
}

func (s *stream) send(ctx context.Context) (*UploadOutput, error) {
	first, err := s.next(ctx, 0)
	if err != nil {
		return nil, err
	}
	if first.last {
		defer first.remove()
		s.in.Body, s.in.Size = first.f, first.size
		return s.whole(ctx)
	}
	b, err := s.begin(ctx, -1)
	if err != nil {
		first.remove()
		return nil, err
	}
	if err = s.parts(ctx, b, first); err == nil {
		var out *UploadOutput
		if out, err = s.complete(ctx, s.pieces, b); err == nil {
			return out, nil
		}
	}
	s.abort(ctx, b)
	var anew *anewError
	if errors.As(err, &anew) {
		// What was read is gone.
		return nil, strait.Errorf(strait.Conflict, "stream", "upload %s/%s: %s, and a stream cannot be read again: it is lost", s.bucket, s.key, anew.why)
	}
	return nil, err
}

func (s *stream) parts(ctx context.Context, b *begun, now *spooled) error {
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	var offset int64
	for number := 0; ; number++ {
		if err := s.gate.enter(running); err != nil {
			now.remove()
			break
		}
		p := now
		d := partDone{Number: int32(number + 1), Offset: offset, Size: p.size}
		offset += p.size
		s.mu.Lock()
		s.pieces = append(s.pieces, piece{partDone: d})
		s.mu.Unlock()
		workers.Go(func() {
			defer p.remove()
			err := s.part(running, b, &d, p.f, 0)
			s.gate.leave(err == nil)
			if err != nil {
				cancel(err)
				return
			}
			s.mu.Lock()
			s.pieces[d.Number-1] = piece{d, true}
			s.mu.Unlock()
			s.record(func(j *journal) error { return j.write(record{Part: &d}) })
		})
		if p.last {
			break
		}
		var err error
		if now, err = s.next(running, number+1); err != nil {
			cancel(err)
			break
		}
		if now.size == 0 && now.last {
			now.remove() // the part before was the last one
			break
		}
	}
	workers.Wait()
	return context.Cause(running)
}

// LostStreams looks in the directory spool for streams whose process died. Each
// is reported, its upload aborted where that is allowed, and its parts are
// removed from the disk.
func (c *Uploader) LostStreams(ctx context.Context, spool string, say func(Event)) error {
	names, err := filepath.Glob(filepath.Join(spool, spoolPrefix+"*"+spoolSuffix))
	if err != nil {
		return err
	}
	for _, name := range names {
		j, err := openJournal(name)
		if strait.KindOf(err) == strait.Conflict {
			continue // alive
		}
		if err != nil {
			return err
		}
		if b := j.Begin; b != nil && j.Done == nil {
			say(Event{Kind: Lost, Text: fmt.Sprintf("the stream to %s/%s that was begun at %s is lost: its process died, and a stream cannot be read again", b.Bucket, b.Key, b.At.Format(time.RFC3339))})
			u := &upload{c: c, creds: c.grants(CredentialsOptions{}), gate: newGate(1)}
			if u.s3, err = c.storage(u.creds, b.Region, b.Endpoint); err == nil {
				u.abort(ctx, b)
			}
		}
		if j.Begin == nil {
			say(Event{Kind: Lost, Text: "a stream is lost of which nothing was sent: its process died"})
		}
		parts, err := filepath.Glob(strings.TrimSuffix(name, spoolSuffix) + ".*")
		if err != nil {
			return err
		}
		for _, p := range parts {
			if p != name {
				os.Remove(p)
			}
		}
		if err := j.remove(); err != nil {
			return fmt.Errorf("remove the journal of a lost stream: %w", err)
		}
	}
	return nil
}

// Uploader is what the Client sends files with.
func (c *Client) Uploader() *Uploader { return c.up }
