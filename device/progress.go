package device

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// progress adds up what is on the wire. It counts in the HTTP transport, where
// a repeated attempt begins anew, and not where files are read.
type progress struct {
	fn    func(done, total int64)
	total int64
	done  atomic.Int64
}

// often is how often Progress is called.
const often = 200 * time.Millisecond

// run reports until the returned function is called, and then once more.
func (p *progress) run() func() {
	if p.fn == nil {
		return func() {}
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(often)
		defer t.Stop()
		for {
			select {
			case <-stop:
				p.fn(min(p.done.Load(), p.total), p.total)
				return
			case <-t.C:
				p.fn(min(p.done.Load(), p.total), p.total)
			}
		}
	})
	return func() { close(stop); wg.Wait() }
}

type counterKey struct{}

// A counter is what of one body is on the wire.
type counter struct {
	p    *progress
	size int64
	sent int64 // by the attempt under way; guarded by mu
	mu   sync.Mutex
}

// count lets requests under ctx be counted: each has a body of size bytes.
func (p *progress) count(ctx context.Context, size int64) context.Context {
	return context.WithValue(ctx, counterKey{}, &counter{p: p, size: size})
}

func (k *counter) restart() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.p.done.Add(-k.sent)
	k.sent = 0
}

func (k *counter) add(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sent += int64(n)
	k.p.done.Add(int64(n))
}

// counting is an http.RoundTripper that counts bodies.
type counting struct{ next *http.Transport }

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	k, ok := r.Context().Value(counterKey{}).(*counter)
	if !ok || r.Body == nil || r.Body == http.NoBody {
		return c.next.RoundTrip(r)
	}
	k.restart()
	r = r.Clone(r.Context())
	r.Body = &countedBody{r.Body, k}
	r.GetBody = nil // would not be counted; the SDK repeats by itself
	return c.next.RoundTrip(r)
}

// CloseIdleConnections is called by http.Client.CloseIdleConnections.
func (c counting) CloseIdleConnections() { c.next.CloseIdleConnections() }

type countedBody struct {
	io.ReadCloser
	k *counter
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.k.add(n)
	return n, err
}
