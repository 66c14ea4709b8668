package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"strait"
	"strait/object"
)

// Get implements object.Store. The version is held from the first Read on; if
// it has been overwritten or deleted before that, or between reads at different
// places, they fail with Unavailable "store", and asking again helps.
func (s *Store) Get(ctx context.Context, bucket, key string) (object.Info, object.Reader, error) {
	if err := s.enter(); err != nil {
		return object.Info{}, nil, err
	}
	defer s.calls.Done()
	info, err := s.Head(ctx, bucket, key)
	if err != nil {
		return object.Info{}, nil, err
	}
	return info, &reader{store: s, ctx: context.WithoutCancel(ctx), info: info}, nil
}

var buffers = sync.Pool{New: func() any { b := make([]byte, held); return &b }}

// A reader asks for a range when it is read from: sequential reads share one
// request.
type reader struct {
	store *Store
	ctx   context.Context // for values only: a Reader may outlive the call
	info  object.Info
	pos   int64 // of Read and Seek

	mu     sync.Mutex
	closed bool
	stream io.ReadCloser // nil when there is none
	at     int64         // where stream is
}

// open asks for the bytes from offset on, up to but not including end.
func (r *reader) open(offset, end int64) (io.ReadCloser, error) {
	out, err := r.store.remote.GetObject(r.ctx, &awss3.GetObjectInput{Bucket: &r.info.Bucket, Key: &r.info.Key,
		Range: aws.String(fmt.Sprintf("bytes=%d-%d", offset, end-1)), IfMatch: aws.String(`"` + r.info.ETag + `"`)})
	if err != nil {
		if e := failure(err, condition{}); strait.KindOf(e) != strait.Precondition && strait.KindOf(e) != strait.NotFound {
			return nil, e
		}
		return nil, strait.Errorf(strait.Unavailable, "store", "the object was changed while it was being read; please try again")
	}
	// A store that overlooks the range would give other bytes.
	if want := fmt.Sprintf("bytes %d-%d/", offset, end-1); !strings.HasPrefix(aws.ToString(out.ContentRange), want) && !(offset == 0 && end == r.info.Size && out.ContentRange == nil) {
		out.Body.Close()
		return nil, strait.Errorf(strait.Unavailable, "store", "the store behind this server answered with another range: %.60q", aws.ToString(out.ContentRange))
	}
	return out.Body, nil
}

func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, os.ErrClosed
	}
	if r.pos >= r.info.Size {
		return 0, io.EOF
	}
	if r.stream == nil || r.at != r.pos {
		r.drop()
		b, err := r.open(r.pos, r.info.Size)
		if err != nil {
			return 0, err
		}
		r.stream, r.at = b, r.pos
	}
	n, err := r.stream.Read(p)
	r.pos, r.at = r.pos+int64(n), r.at+int64(n)
	return n, r.short(err, r.pos)
}

// short says of an end that came too early that it is none.
func (r *reader) short(err error, at int64) error {
	if err == io.EOF && at < r.info.Size {
		return strait.Errorf(strait.Unavailable, "store", "the store behind this server broke off: %w", io.ErrUnexpectedEOF)
	}
	if err == io.EOF || err == nil {
		return nil // the next Read says so
	}
	return failure(err, condition{})
}

func (r *reader) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 {
		return 0, errors.New("read object: negative offset")
	}
	r.mu.Lock()
	closed := r.closed
	r.mu.Unlock()
	if closed {
		return 0, os.ErrClosed
	}
	size := min(int64(len(p)), r.info.Size-offset)
	if size > 0 {
		b, err := r.open(offset, offset+size)
		if err != nil {
			return 0, err
		}
		defer b.Close()
		if n, err = io.ReadFull(b, p[:size]); err != nil {
			return n, failure(err, condition{})
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteRange implements object.RangeWriter.
func (r *reader) WriteRange(w io.Writer, offset, size int64) (int64, error) {
	end := min(offset+size, r.info.Size)
	var n int64
	if offset < end {
		b, err := r.open(offset, end)
		if err != nil {
			return 0, err
		}
		defer b.Close()
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		out := &outlet{w: w}
		if n, err = io.CopyBuffer(out, b, *buf); err != nil {
			if out.err != nil {
				return n, out.err
			}
			return n, failure(err, condition{})
		}
	}
	if n < size {
		return n, io.ErrUnexpectedEOF
	}
	return n, nil
}

// An outlet remembers whose failure it was.
type outlet struct {
	w   io.Writer
	err error
}

func (o *outlet) Write(p []byte) (n int, err error) {
	n, o.err = o.w.Write(p)
	return n, o.err
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.info.Size
	default:
		return 0, errors.New("seek object: unknown whence")
	}
	if offset < 0 {
		return 0, errors.New("seek object: negative position")
	}
	r.pos = offset
	return offset, nil
}

// Part implements object.Reader: the other store is asked.
func (r *reader) Part(n int) (offset, size int64, err error) {
	if r.info.Parts == 0 && n == 1 {
		return 0, r.info.Size, nil
	}
	none := strait.Errorf(strait.Invalid, "part number", "the object has no part %d", n)
	if n < 1 || n > r.info.Parts {
		return 0, 0, none
	}
	out, err := r.store.remote.HeadObject(r.ctx, &awss3.HeadObjectInput{Bucket: &r.info.Bucket, Key: &r.info.Key,
		PartNumber: aws.Int32(int32(n)), IfMatch: aws.String(`"` + r.info.ETag + `"`)})
	if err != nil {
		return 0, 0, failure(err, condition{ifMatch: r.info.ETag})
	}
	size = aws.ToInt64(out.ContentLength)
	var last, whole int64
	if _, err := fmt.Sscanf(aws.ToString(out.ContentRange), "bytes %d-%d/%d", &offset, &last, &whole); err == nil {
		return offset, last - offset + 1, nil
	}
	if r.info.Parts == 1 || r.info.Size == 0 {
		return 0, size, nil
	}
	return 0, 0, strait.Errorf(strait.Unsupported, "operation", "the store behind this server does not tell where a part lies")
}

func (r *reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.drop()
	return nil
}

// drop lets go of the stream; what little is left is read, to keep the
// connection.
func (r *reader) drop() {
	if r.stream == nil {
		return
	}
	if r.info.Size-r.at <= held {
		io.CopyN(io.Discard, r.stream, held)
	}
	r.stream.Close()
	r.stream = nil
}
