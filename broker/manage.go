package broker

import (
	"cmp"
	"context"
	"slices"
	"time"

	"strait"
)

// This file is for those who look after clients from the outside.

// An Info is what is known of the session of one client id.
type Info struct {
	Connected  bool
	Persistent bool          // it outlives its connection
	Expiry     time.Duration // by how much, at most; 0 when it does not
	Left       time.Time     // when its client left; zero while it is connected
}

// Session tells about the session of clientID, connected or kept; ok is false
// when there is none.
func (b *Broker) Session(clientID string) (info Info, ok bool) {
	x := b.box(clientID)
	if x == nil {
		return Info{}, false
	}
	x.rd.Lock()
	defer x.rd.Unlock()
	info = Info{Connected: x.owner != nil, Persistent: x.persistent}
	if x.persistent {
		info.Expiry = b.expiry(x)
	}
	if !info.Connected {
		info.Left = x.left
	}
	return info, true
}

// Subscriptions returns what the session of clientID, connected or kept, is
// subscribed to, sorted by filter; ok is false when there is no session.
func (b *Broker) Subscriptions(clientID string) (list []Subscription, ok bool) {
	x := b.box(clientID)
	if x == nil {
		return nil, false
	}
	list = x.subscriptions()
	slices.SortFunc(list, func(a, b Subscription) int { return cmp.Compare(a.Filter, b.Filter) })
	return list, true
}

// A Removal says how a session is ended from outside.
type Removal struct {
	NoWill bool  // its will is not published
	Forget bool  // nothing is kept of a persistent session, connected or not
	Cause  error // what Session.Cause shall return; nil stands for ErrKicked
}

// Remove ends the connection of clientID from the server's side, and what is
// kept for it if r says so. When it returns, what it changed is durable. The
// error is strait.NotFound ("client") when there is nothing to end, or
// strait.Unavailable.
func (b *Broker) Remove(ctx context.Context, clientID string, r Removal) error {
	if r.Cause == nil {
		r.Cause = ErrKicked
	}
	lock := b.stripe(clientID)
	lock.Lock()
	x := b.box(clientID)
	var will *Message
	var ended bool
	var last *flush
	if x != nil {
		will, ended = b.end(x, nil, EndCause{Clean: r.NoWill, Err: r.Cause})
		if r.Forget && b.box(clientID) == x {
			last, ended = b.forget(x), true
		}
	}
	lock.Unlock()
	b.publishWill(will)
	if !ended {
		return notConnected(clientID)
	}
	return last.wait(ctx)
}

func notConnected(clientID string) error {
	return strait.Errorf(strait.NotFound, "client", "the client %s is not connected", clientID)
}

// Direct hands m to the client called clientID alone, whether it has
// subscribed or not. It is kept nowhere: no rule sees it, and a client that is
// away does not get it later. With QoS 1 Direct returns when the client has
// acknowledged m, with QoS 0 when it goes on the wire.
//
// The error is as for Publish, or strait.NotFound ("client") when the client
// is not connected or leaves, strait.Denied ("receive") when it may not
// receive m, strait.Limit ("queue") when it has too much waiting, or ctx's.
func (b *Broker) Direct(ctx context.Context, clientID string, m *Message) error {
	if err := b.check(m); err != nil {
		return err
	}
	x := b.box(clientID)
	if x == nil {
		return notConnected(clientID)
	}
	x.rd.Lock()
	s := x.owner
	x.rd.Unlock()
	if s == nil {
		return notConnected(clientID)
	}
	if m.Time.IsZero() {
		m.Time = b.c.Now()
	}
	m.direct = make(chan error, 1)
	_, wake, fits := x.append(m, m.QoS, false, false, &b.c.Limits)
	if !fits {
		return strait.Errorf(strait.Limit, "queue", "the client %s has too many messages waiting", clientID)
	}
	wake.ring(nil)
	b.published.Add(1)
	select {
	case err := <-m.direct:
		return err
	case <-s.done:
		// It may have been acknowledged just before.
		select {
		case err := <-m.direct:
			return err
		default:
		}
		return notConnected(clientID)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errNotReceived is what becomes of a direct message that the receiver may not have.
var errNotReceived = strait.Errorf(strait.Denied, "receive", "the client may not receive messages of this topic")

// tell ends the wait of Direct, if m was sent by it.
func (m *Message) tell(err error) {
	if m.direct == nil {
		return
	}
	select {
	case m.direct <- err:
	default:
	}
}

// subscriptions returns what x is subscribed to, in no order.
func (x *mailbox) subscriptions() []Subscription {
	x.rd.Lock()
	defer x.rd.Unlock()
	list := make([]Subscription, 0, len(x.subs))
	for filter, o := range x.subs {
		list = append(list, Subscription{Filter: filter, QoS: o.qos(), NoLocal: o&noLocal != 0, RetainAsPublished: o&retainAsPublished != 0})
	}
	return list
}
