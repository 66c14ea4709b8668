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
	total atomic.Int64
	done  atomic.Int64
}

// restart begins to count again, for a file of total bytes.
func (p *progress) restart(total int64) {
	p.total.Store(total)
	p.done.Store(0)
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
				p.tell()
				return
			case <-t.C:
				p.tell()
			}
		}
	})
	return func() { close(stop); wg.Wait() }
}

func (p *progress) tell() {
	total := p.total.Load()
	p.fn(max(0, min(p.done.Load(), total)), total)
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

// counting is an http.RoundTripper that counts bodies, keeps to the bandwidth
// and listens to what refusals say of the time.
type counting struct {
	next  *http.Transport
	clock *clock
	limit *limiter
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	k, ok := r.Context().Value(counterKey{}).(*counter)
	if ok && r.Body != nil && r.Body != http.NoBody {
		k.restart()
		ctx := r.Context()
		r = r.Clone(ctx)
		r.Body = &countedBody{r.Body, k, c.limit, ctx}
		r.GetBody = nil // would not be counted; repeating is the uploader's
	}
	answer, err := c.next.RoundTrip(r)
	if err == nil {
		c.clock.listen(answer)
	}
	return answer, err
}

// CloseIdleConnections is called by http.Client.CloseIdleConnections.
func (c counting) CloseIdleConnections() { c.next.CloseIdleConnections() }

type countedBody struct {
	io.ReadCloser
	k     *counter
	limit *limiter
	ctx   context.Context
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:b.limit.most(len(p))])
	if werr := b.limit.wait(b.ctx, n); werr != nil && err == nil {
		err = werr
	}
	b.k.add(n)
	return n, err
}

// A limiter holds all bodies together to a number of bytes a second; nil is
// none. Time that was not used is not saved up for more than a moment.
type limiter struct {
	rate int64
	mu   sync.Mutex
	free time.Time // when the next byte may go
}

func newLimiter(rate int64) *limiter {
	if rate <= 0 {
		return nil
	}
	return &limiter{rate: rate}
}

// most is how many bytes go at once, so that a slow link is not sent in gusts.
func (l *limiter) most(n int) int {
	if l == nil {
		return n
	}
	return min(n, int(max(l.rate/10, 512)))
}

func (l *limiter) wait(ctx context.Context, n int) error {
	if l == nil || n == 0 {
		return nil
	}
	l.mu.Lock()
	if now := time.Now(); l.free.Before(now) {
		l.free = now
	}
	pause := time.Until(l.free)
	l.free = l.free.Add(time.Duration(float64(n) / float64(l.rate) * float64(time.Second)))
	l.mu.Unlock()
	if pause <= 0 {
		return nil
	}
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
