package http

import (
	"errors"
	"io"
	"net/http"
	"os"
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
}

func (s *steady) Read(p []byte) (int, error) {
	// Not every ResponseWriter has deadlines (tests' do not); then there is none.
	_ = s.control.SetReadDeadline(time.Now().Add(s.patience))
	n, err := s.ReadCloser.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = strait.Errorf(strait.Invalid, "request timeout", "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.")
	}
	return n, err
}

// copyOut sends a body and gives up on a client that takes nothing.
func (x *exchange) copyOut(from io.Reader) error {
	control := http.NewResponseController(x.w)
	// The deadline is the connection's: it must not outlive this answer.
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	buf := make([]byte, 256<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			_ = control.SetWriteDeadline(time.Now().Add(patience))
			if _, err := x.w.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
