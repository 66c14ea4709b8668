package broker

import (
	"context"
	"time"
)

// expireEvery is how often Run looks; a session may live that much longer.
// AWS keeps messages up to 30 minutes longer.
const expireEvery = time.Minute

// Run forgets sessions that have expired until ctx is done, then returns its
// error. A session that is resumed after its time is new even without Run.
func (b *Broker) Run(ctx context.Context) error {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		if n, err := b.Expire(ctx); err != nil {
			b.c.Log.Error("cannot forget expired sessions", "err", err)
		} else if n > 0 {
			b.c.Log.Info("forgot expired sessions", "sessions", n)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Expire forgets, with subscriptions and queue, the persistent sessions whose
// clients left longer ago than they may be kept, and returns how many.
func (b *Broker) Expire(ctx context.Context) (n int, err error) {
	b.mu.RLock()
	var late []*mailbox
	for _, x := range b.boxes {
		if !x.online.Load() {
			late = append(late, x)
		}
	}
	b.mu.RUnlock()

	var last *flush
	for _, x := range late {
		if f := b.expire(x); f != nil {
			last = f
			n++
		}
	}
	if last != nil {
		err = last.wait(ctx)
	}
	return n, err
}

// expire forgets x when its time has come; otherwise it returns nil.
func (b *Broker) expire(x *mailbox) *flush {
	lock := b.stripe(x.id)
	lock.Lock()
	defer lock.Unlock()
	if b.box(x.id) != x || !b.expired(x) {
		return nil
	}
	return b.forget(x)
}

// expired tells whether nobody has been connected to x for too long.
func (b *Broker) expired(x *mailbox) bool {
	x.rd.Lock()
	defer x.rd.Unlock()
	return x.persistent && x.owner == nil && !x.left.IsZero() && b.c.Now().Sub(x.left) >= b.expiry(x)
}

// expiry returns how long x outlives its connection; rd is held.
func (b *Broker) expiry(x *mailbox) time.Duration {
	if x.v5 {
		return min(x.expiry, b.c.Limits.SessionExpiry)
	}
	return b.c.Limits.SessionExpiry
}
