package mqtt

import (
	"context"
	"sync"
	"time"
)

// A rate is a bucket of tokens that fills by so many a second, up to what a
// second brings. A nil rate has no limit.
type rate struct {
	mu     sync.Mutex
	second float64
	tokens float64
	filled time.Time
}

func newRate(second int) *rate {
	if second <= 0 {
		return nil
	}
	return &rate{second: float64(second), tokens: float64(second), filled: time.Now()}
}

// take takes n tokens if there are that many.
func (r *rate) take(n int) bool {
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fill()
	if r.tokens < float64(n) {
		return false
	}
	r.tokens -= float64(n)
	return true
}

// owe takes n tokens, also ones that are not there yet, and returns how long it
// takes until they are.
func (r *rate) owe(n int) time.Duration {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fill()
	r.tokens -= float64(n)
	if r.tokens >= 0 {
		return 0
	}
	return time.Duration(-r.tokens / r.second * float64(time.Second))
}

// wait takes n tokens and waits until they are there, or for ctx.
func (r *rate) wait(ctx context.Context, n int) { pause(ctx, r.owe(n)) }

func (r *rate) fill() {
	now := time.Now()
	r.tokens = min(r.second, r.tokens+now.Sub(r.filled).Seconds()*r.second)
	r.filled = now
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
