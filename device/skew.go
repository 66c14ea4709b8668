package device

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"sync"
	"time"
)

// A clock is the device's, corrected by what servers say. Signatures and the
// lives of credentials are judged by it.
type clock struct {
	now func() time.Time

	mu    sync.Mutex
	ahead time.Duration // of the servers' clock
	told  time.Duration // what the last refusal said; valid if heard
	heard bool
}

// Now is the corrected time.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now().Add(c.ahead)
}

// skewTold is a difference that is worth correcting. Signatures are accepted
// when they are less than a quarter of an hour off, or five minutes.
const skewTold = time.Minute

// hear notes the time that a refusal told; only correct believes it.
func (c *clock) hear(server time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told, c.heard = server.Sub(c.now()), true
}

// correct believes what was heard last. It tells by how much the clock was
// wrong, and whether that was worth it.
func (c *clock) correct() (by time.Duration, changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.heard {
		return 0, false
	}
	by = c.told - c.ahead
	if by.Abs() < skewTold {
		return 0, false
	}
	c.ahead = c.told
	return by, true
}

// maxErrorBody is how much of an error is looked through for the time.
const maxErrorBody = 64 << 10

// listen notes the time in an answer that is a refusal: S3 says ServerTime in
// the body, all servers say Date.
func (c *clock) listen(r *http.Response) {
	if r.StatusCode < 400 || r.StatusCode >= 500 {
		return
	}
	if t, err := http.ParseTime(r.Header.Get("Date")); err == nil {
		c.hear(t)
	}
	if r.Body == nil || r.StatusCode != http.StatusForbidden {
		return
	}
	start, err := io.ReadAll(io.LimitReader(r.Body, maxErrorBody))
	r.Body = &replayed{io.MultiReader(bytes.NewReader(start), r.Body), r.Body}
	var said struct{ ServerTime string }
	if err != nil || xml.Unmarshal(start, &said) != nil {
		return
	}
	if t, err := time.Parse(time.RFC3339, said.ServerTime); err == nil {
		c.hear(t)
	}
}

type replayed struct {
	io.Reader
	io.Closer
}
