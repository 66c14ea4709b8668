package broker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"

	"strait"
	"strait/state"
)

// Connect begins a session of clientID. An older connection of the same id is
// ended first, with cause ErrTakenOver; its will is published. present tells
// whether a persistent session was found and goes on: its subscriptions hold,
// and what was queued or is unacknowledged comes from Next, oldest first.
//
// When it returns, what it changed is durable. The error is strait.Invalid
// ("client id", or "will"), strait.TooLarge ("will"), strait.Limit
// ("sessions"), strait.Unavailable ("disk") or ErrClosed; then the client is not connected, and an older
// connection may have been ended nevertheless.
func (b *Broker) Connect(ctx context.Context, clientID string, o SessionOptions) (s *Session, present bool, err error) {
	// "$GEN/" begins names that were given by us, never by a client.
	if err := ValidClientID(strings.TrimPrefix(clientID, "$GEN/")); err != nil {
		return nil, false, err
	}
	if o.Will != nil {
		will := *o.Will
		will.Publisher = clientID
		o.Will = &will
		if err := b.check(o.Will); err != nil {
			return nil, false, strait.Errorf(strait.KindOf(err), "will", "the will is refused: %w", err)
		}
	}
	s = &Session{b: b, will: o.Will, done: make(chan struct{}), alarm: newAlarm(o.Wake), window: b.c.Limits.InFlight}
	if o.Receive > 0 {
		s.window = min(s.window, o.Receive)
	}

	lock := b.stripe(clientID)
	lock.Lock()
	old := b.box(clientID)
	var will *Message
	if old != nil {
		will, _ = b.end(old, nil, EndCause{Err: ErrTakenOver})
	}
	present, err = b.connect(ctx, s, clientID, &o)
	lock.Unlock()

	b.publishWill(will)
	if err != nil {
		return nil, false, err
	}
	if b.closed.Load() { // Close may not have seen it
		s.End(ctx, EndCause{Err: ErrClosed})
		return nil, false, ErrClosed
	}
	return s, present, nil
}

// connect gives s a mailbox, the old or a new one; the stripe is held and
// nobody owns the old one.
func (b *Broker) connect(ctx context.Context, s *Session, id string, o *SessionOptions) (present bool, err error) {
	if b.closed.Load() {
		return false, ErrClosed
	}
	x := b.box(id)
	if x != nil && (o.Clean || x.v5 != o.V5 || b.expired(x)) {
		if err := b.forget(x).wait(ctx); err != nil {
			return false, err
		}
		x = nil
	}
	present = x != nil
	if !present {
		x = &mailbox{id: id, persistent: o.persistent(), v5: o.V5, held: &b.held, subs: make(map[string]options)}
		if x.persistent {
			x.number = newNumber()
		}
		if !b.admit(x) {
			return false, strait.Errorf(strait.Limit, "sessions", "there are %d sessions already, which is the limit", b.c.Limits.Sessions)
		}
	}
	s.box = x
	x.rd.Lock()
	x.expiry = min(o.Expiry, b.c.Limits.SessionExpiry)
	x.rd.Unlock()
	if x.persistent {
		if err := b.remember(x, time.Time{}).wait(ctx); err != nil {
			if present {
				b.remember(x, b.c.Now())
			} else {
				b.forget(x)
			}
			return false, err
		}
	}
	x.rd.Lock()
	x.attach(s)
	x.rd.Unlock()
	return present, nil
}

// admit makes x known, unless there are too many already.
func (b *Broker) admit(x *mailbox) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.boxes) >= b.c.Limits.Sessions {
		return false
	}
	b.boxes[x.id] = x
	return true
}

// Kick ends the connection of clientID from the server's side with the given
// cause (nil stands for ErrKicked); its will is published, and what is kept
// for it stays. It returns false when the client is not connected.
func (b *Broker) Kick(clientID string, cause error) bool {
	if cause == nil {
		cause = ErrKicked
	}
	x := b.box(clientID)
	return x != nil && b.endOwner(x, EndCause{Err: cause})
}

// endOwner ends whoever is connected to x.
func (b *Broker) endOwner(x *mailbox, cause EndCause) bool {
	x.rd.Lock()
	s := x.owner
	x.rd.Unlock()
	if s == nil {
		return false
	}
	return s.end(cause)
}

// end takes the mailbox from its owner, who must be s unless s is nil, and
// returns the will that is now to be published, if any, and whether it ended
// someone. The stripe is held.
func (b *Broker) end(x *mailbox, s *Session, cause EndCause) (will *Message, ended bool) {
	x.rd.Lock()
	owner := x.owner
	if owner == nil || s != nil && s != owner {
		x.rd.Unlock()
		return nil, false
	}
	if cause.Err == nil {
		cause.Err = ErrEnded
	}
	owner.cause = cause.Err
	close(owner.done)
	x.detach()
	kept := x.persistent && b.expiry(x) > 0
	x.rd.Unlock()
	owner.alarm.ring(nil)

	if kept {
		b.remember(x, b.c.Now())
	} else {
		b.forget(x)
	}
	if !cause.Clean {
		will = owner.will
	}
	return will, true
}

// publishWill must not be called with a stripe or a mailbox locked.
func (b *Broker) publishWill(will *Message) {
	if will == nil {
		return
	}
	will.Time = time.Time{} // its time is when it is published
	if _, err := b.publish(context.Background(), will, nil); err != nil {
		b.c.Log.Error("a will could not be published", "client", will.Publisher, "topic", will.Topic, "err", err)
	}
}

// remember writes the record of a persistent mailbox; left is when its client
// left, zero while it is connected.
func (b *Broker) remember(x *mailbox, left time.Time) *flush {
	x.rd.Lock()
	defer x.rd.Unlock()
	x.left = left
	return b.journal.set(x.record())
}

// record returns what is to be remembered of x; rd is held.
func (x *mailbox) record() state.Write {
	r := sessionRecord{Number: x.number, Subs: x.subs, V5: x.v5, Expiry: int64(x.expiry / time.Second)}
	if !x.left.IsZero() {
		r.Gone = x.left.UnixMilli()
	}
	return state.Write{Key: sessionPrefix + x.id, Value: r.encode()}
}

// forget removes all that is kept for a mailbox that has no owner. The stripe is held.
func (b *Broker) forget(x *mailbox) *flush {
	b.mu.Lock()
	if b.boxes[x.id] == x {
		delete(b.boxes, x.id)
	}
	b.mu.Unlock()

	x.rd.Lock()
	defer x.rd.Unlock()
	for filter := range x.subs {
		b.tree.remove(filter, x)
	}
	x.subs = nil
	left := x.forget()
	if !x.persistent {
		return nil
	}
	// The record first: what is left of a queue without one is swept on Open.
	f := b.journal.set(state.Write{Key: sessionPrefix + x.id, Delete: true})
	b.journal.remove(left...)
	return f
}

// newNumber returns 16 random hex digits; by chance alone no two sessions that
// ever were in a store share one.
func newNumber() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
