package function

import (
	"context"
	"sync"
	"time"

	"strait"
)

// A pool holds the environments of one function, busy and idle ones.
type pool struct {
	mu      sync.Mutex
	members map[*environment]*member
	// pending are places taken by environments that are being started, and by runs of a native.
	pending int
	changed chan struct{} // closed and replaced when a place may have become free
	closed  bool
	dying   sync.WaitGroup // environments that were dropped
}

// A member is free when its invocation has been dealt with and its runtime has
// called next again, in whatever order.
type member struct {
	released, back bool
	since          time.Time // of the last release
}

func newPool() *pool {
	return &pool{members: map[*environment]*member{}, changed: make(chan struct{})}
}

func (p *pool) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// acquire takes a free environment of f, or a place to start one (nil). With
// hard, a full pool refuses at once: the limit is the customer's; otherwise
// the limit is this server's, and waiting is better.
func (p *pool) acquire(ctx context.Context, f Function, limit int, hard bool, now time.Time) (*environment, error) {
	patience := time.NewTimer(10 * time.Second)
	defer patience.Stop()
	// A process that has answered comes back for the next event at once, unless
	// the machine is busy.
	soon := time.NewTimer(time.Second)
	defer soon.Stop()
	comingBack := true
	for {
		v, place, waitFor, err := p.try(f, limit, comingBack, now)
		if v != nil || place || err != nil {
			return v, err
		}
		full := waitFor.full
		if full && hard && !waitFor.coming {
			return nil, tooMany(f)
		}
		select {
		case <-waitFor.changed:
		case <-soon.C:
			comingBack = false
			if full && hard {
				return nil, tooMany(f)
			}
		case <-patience.C:
			return nil, tooMany(f)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func tooMany(f Function) error {
	err := strait.Errorf(strait.Limit, "concurrency", "Rate Exceeded.")
	err.Detail = map[string]string{"Reason": "ConcurrentInvocationLimitExceeded"}
	if f.Reserved != nil {
		err.Detail["Reason"] = "ReservedFunctionConcurrentInvocationLimitExceeded"
	}
	return err
}

type waiting struct {
	changed      chan struct{}
	full, coming bool
}

// try looks once. comingBack: rather wait for one that is about to be free
// than start another.
func (p *pool) try(f Function, limit int, comingBack bool, now time.Time) (v *environment, place bool, w waiting, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false, w, errClosed()
	}
	w = waiting{changed: p.changed}
	var other *environment // idle, of another version
	otherComing := false   // one is about to be idle
	for v, m := range p.members {
		switch {
		case v.function.Version != f.Version:
			if m.released && m.back {
				other = v
			}
			otherComing = otherComing || m.released
		case v.function.Revision != f.Revision || !now.Before(v.retire):
			if m.released {
				p.drop(v)
			}
		case m.released && m.back:
			m.released, m.back = false, false
			return v, false, w, nil
		case m.released:
			w.coming = true
		}
	}
	if w.full = len(p.members)+p.pending >= limit; w.full && other != nil {
		p.drop(other) // all versions of a function share its limit
		w = waiting{changed: p.changed, coming: w.coming}
	}
	w.coming = w.coming || w.full && otherComing
	if w.full || comingBack && w.coming {
		return nil, false, w, nil
	}
	p.pending++
	return nil, true, w, nil
}

// drop forgets an environment and ends it. p.mu is held, so the killing is
// done elsewhere: environments lock themselves and then the pool.
func (p *pool) drop(v *environment) {
	delete(p.members, v)
	p.wake()
	p.dying.Go(func() {
		v.kill()
		<-v.dead
	})
}

// join turns a place into a member that is busy. When the pool is closed the
// caller has to end v.
func (p *pool) join(v *environment) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending--
	if p.closed {
		p.wake()
		return errClosed()
	}
	p.members[v] = &member{}
	return nil
}

// giveUp returns a place.
func (p *pool) giveUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending--
	p.wake()
}

// release says that v's invocation has been dealt with.
func (p *pool) release(v *environment, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.members[v]; m != nil {
		m.released, m.since = true, now
		p.wake()
	}
}

// returned says that v's runtime has called next again.
func (p *pool) returned(v *environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.members[v]; m != nil {
		m.back = true
		p.wake()
	}
}

// remove forgets a dead environment.
func (p *pool) remove(v *environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.members[v]; ok {
		delete(p.members, v)
		p.wake()
	}
}

// tend ends environments that are idle for long or whose credentials end, and
// those that do not come back to next.
func (p *pool) tend(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	for v, m := range p.members {
		rest := now.Sub(m.since)
		if m.released && (!now.Before(v.retire) || rest > idleLimit ||
			!m.back && rest > time.Duration(v.function.Timeout)*time.Second) {
			p.drop(v)
		}
	}
}

// retire ends the free environments of a version; busy ones are not used again.
func (p *pool) retire(version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	for v, m := range p.members {
		if m.released && v.function.Version == version {
			p.drop(v)
		}
	}
}

// close ends all environments and waits until nothing is left of them.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	all := make([]*environment, 0, len(p.members))
	for v := range p.members {
		all = append(all, v)
	}
	clear(p.members)
	p.wake()
	p.mu.Unlock()
	for _, v := range all {
		v.kill()
		<-v.dead
	}
	p.dying.Wait()
}
