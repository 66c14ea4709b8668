package http

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"strait"
)

// patience is how long a client may send or take nothing in the middle of a
// body. There is no limit on the whole: large files take their time.
const patience = 60 * time.Second

// A steady body fails when the client stops sending.
type steady struct {
	io.ReadCloser
	control  *http.ResponseController
	patience time.Duration
	read     atomic.Int64 // bytes
}

func (s *steady) Read(p []byte) (int, error) {
	// Not every ResponseWriter has deadlines (tests' do not); then there is none.
	_ = s.control.SetReadDeadline(time.Now().Add(s.patience))
	n, err := s.ReadCloser.Read(p)
	s.read.Add(int64(n))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = strait.Errorf(strait.Invalid, "request timeout", "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.")
	}
	return n, err
}

// buffers are for bodies that cannot write themselves.
var buffers = sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}

// copyOut sends a head with a body, and gives up on a client that takes
// nothing. The head goes with the first bytes: begun tells whether it has.
func (x *exchange) copyOut(status int, from io.Reader) (begun bool, err error) {
	o := &outlet{w: x.w, control: http.NewResponseController(x.w), status: status}
	o.way, _ = x.r.Context().Value(wayKey{}).(Way)
	// The deadline is the connection's: it must not outlive this answer.
	defer func() { _ = o.control.SetWriteDeadline(time.Time{}) }()
	if w, ok := from.(io.WriterTo); ok {
		_, err = w.WriteTo(o)
	} else {
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		_, err = io.CopyBuffer(o, from, *buf)
	}
	if err == nil && !o.begun {
		_, err = o.Write(nil)
	}
	return o.begun, err
}

// A Way is the connection that answers leave by.
type Way interface {
	// More says that what is written next will be followed by more at once.
	More()
}

type wayKey struct{}

// WithWay returns a context for the requests of a connection.
func WithWay(ctx context.Context, w Way) context.Context { return context.WithValue(ctx, wayKey{}, w) }

// headBuffer is how many bytes net/http keeps before it writes: what is longer
// leaves in two pieces, the head being in the first.
const headBuffer = 4 << 10

// An outlet is the way out of a body.
type outlet struct {
	w       http.ResponseWriter
	control *http.ResponseController
	way     Way // may be nil
	status  int
	begun   bool
}

func (o *outlet) Write(p []byte) (int, error) {
	if !o.begun {
		o.begun = true
		o.w.WriteHeader(o.status)
		if o.way != nil && len(p) > headBuffer {
			o.way.More()
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	_ = o.control.SetWriteDeadline(time.Now().Add(patience))
	return o.w.Write(p)
}
