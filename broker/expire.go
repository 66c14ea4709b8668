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
//
// It also gives up what connected clients do not acknowledge (Limits.Retry).
func (b *Broker) Expire(ctx context.Context) (n int, err error) {
	b.minute.Store(b.c.Now().Unix() / 60)
	b.mu.RLock()
	var late, here []*mailbox
	for _, x := range b.boxes {
		if x.online.Load() {
			here = append(here, x)
		} else {
			late = append(late, x)
		}
	}
	b.mu.RUnlock()
	for _, x := range here {
		b.giveUp(x)
	}

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

// giveUp lets go of messages that were sent too long ago and are not
// acknowledged: they do not come again. Of MQTT 3.1.1 their places in the window
// are free then; a client of MQTT 5 counts them until it has acknowledged them
// (Receive Maximum), and so do we.
func (b *Broker) giveUp(x *mailbox) {
	limit := b.c.Limits.Retry
	if x.v5 {
		limit = b.c.Limits.Retry5
	}
	var done freed
	lost := 0
	x.rd.Lock()
	for id, s := range x.inflight {
		if s.stored == nil && s.msg == nil || time.Duration(uint16(b.minute.Load())-s.minute)*time.Minute < limit {
			continue
		}
		lost++
		if s.stored != nil {
			b.journal.remove(s.stored)
		}
		done.add(x, s)
		if x.v5 {
			x.inflight[id] = slot{qos: 1}
		} else {
			delete(x.inflight, id)
		}
	}
	owner := x.owner
	x.rd.Unlock()
	x.free(done)
	if lost == 0 {
		return
	}
	b.dropped.Add(uint64(lost))
	b.c.Log.Warn("gave up messages that a client does not acknowledge", "client", x.id, "messages", lost, "after", limit)
	if owner != nil {
		owner.alarm.ring(nil)
	}
}
