package broker

import (
	"context"
	"errors"
	"strings"
	"time"

	"strait"
)

// Causes of the end of a session, to be told apart with errors.Is.
var (
	ErrTakenOver = errors.New("the same client id has connected again")
	ErrKicked    = errors.New("the session was ended by the server")
	ErrEnded     = errors.New("the session has ended")
	ErrClosed    = errors.New("the broker is closed")
)

// SessionOptions are what a client says when it connects.
type SessionOptions struct {
	// Clean: forget what was kept for the client id, keep nothing afterwards.
	Clean bool
	// Will is published when the session ends otherwise than by a clean End,
	// with the client id as its Publisher. It is kept in memory only: it is
	// not published when the broker's process is killed.
	Will *Message
	// V5 tells that the client speaks MQTT 5. Then Clean says only what is
	// forgotten now, and Expiry how long the session outlives its connection:
	// 0 for not at all, at most Limits.SessionExpiry. A session of one version
	// is never resumed by a client of the other.
	V5     bool
	Expiry time.Duration
	// Receive is how many QoS 1 messages the client takes unacknowledged, if
	// that is less than Limits.InFlight; 0 when it did not say.
	Receive int
	// Wake is called when there may be something for Session.Take after it
	// returned nothing, so that nobody has to wait in Session.Next; also before
	// Connect has returned, and when the session ends. It is not called for what
	// an Ack makes possible. It must not block. here says that the goroutine of
	// the caller has time: what is to be done may be done in it, if that cannot
	// block either. nil when Next is used.
	Wake func(here bool)
}

// persistent tells whether something is kept when the client has gone.
func (o *SessionOptions) persistent() bool {
	if o.V5 {
		return o.Expiry > 0
	}
	return !o.Clean
}

// An EndCause says how a connection ended.
type EndCause struct {
	Clean bool  // the client said goodbye (DISCONNECT): its will is not published
	Err   error // what Session.Cause shall return; nil stands for ErrEnded
}

// A Session is one connection of a client. When it has ended, every method
// but End returns its cause. Next must not be called by two goroutines at
// once; everything else may be called at any time.
type Session struct {
	b     *Broker
	box   *mailbox
	will  *Message
	alarm *alarm // there may be something for Next, or Take

	window int    // QoS 1 messages that may be in flight
	replay replay // of what was queued before
	held   bool   // nothing is taken until a SUBSCRIBE is answered; box.rd guards it

	done  chan struct{}
	cause error // set before done is closed
}

// ClientID returns the client id.
func (s *Session) ClientID() string { return s.box.id }

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Cause returns why the session has ended, nil while it has not.
func (s *Session) Cause() error {
	select {
	case <-s.done:
		return s.cause
	default:
		return nil
	}
}

// End ends the session; its Next returns. What is kept for a persistent
// session stays until it expires; of any other nothing is left. Unless
// cause.Clean, the will is published before End returns. A second End does
// nothing. It does not wait for the store: after a crash right now the session
// counts as having left when the broker was opened again.
func (s *Session) End(_ context.Context, cause EndCause) { s.end(cause) }

func (s *Session) end(cause EndCause) bool {
	if s.Cause() != nil {
		return false
	}
	lock := s.b.stripe(s.box.id)
	lock.Lock()
	will, ended := s.b.end(s.box, s, cause)
	lock.Unlock()
	s.b.publishWill(will)
	return ended
}

// SetExpiry changes how long a session of MQTT 5 outlives its connection, at
// most Limits.SessionExpiry; 0 ends it with the connection.
func (s *Session) SetExpiry(d time.Duration) {
	s.box.rd.Lock()
	defer s.box.rd.Unlock()
	if s.box.owner == s {
		s.box.expiry = min(d, s.b.c.Limits.SessionExpiry)
	}
}

// Subscribe adds subscriptions, or changes the options of those there are. They
// take effect before it returns and, in a persistent session, are durable
// then. For each filter without wildcard the topic's retained message is
// queued, also when the subscription is not new, unless Retained says otherwise.
// If there are such messages and later is not nil, nothing is taken of the
// session any more until the caller has called later, which it does when it
// has answered: MQTT allows a message before the SUBACK, but few expect it.
//
// refused is nil when all were granted; otherwise it has one error for each
// that was not: strait.Invalid ("topic filter", "qos") or strait.Limit
// ("subscriptions", "shared subscriptions"). The others are granted all the
// same. err is the session's cause, or strait.Unavailable.
func (s *Session) Subscribe(ctx context.Context, subs []Subscription, later *Wakes) (refused []error, err error) {
	x := s.box
	var flushes []*flush
	var exact []Subscription

	x.rd.Lock()
	if x.owner != s {
		x.rd.Unlock()
		return nil, s.Cause()
	}
	changed := false
	for i, sub := range subs {
		_, had := x.subs[sub.Filter]
		new, err := s.subscribe(sub)
		if err != nil {
			if refused == nil {
				refused = make([]error, len(subs))
			}
			refused[i] = err
			continue
		}
		changed = changed || new
		if !wild(sub.Filter) && !strings.HasPrefix(sub.Filter, sharePrefix) && (sub.Retained == Always || sub.Retained == IfNew && !had) {
			exact = append(exact, sub)
		}
	}
	if x.persistent && changed {
		flushes = append(flushes, s.b.journal.set(x.record()))
	}
	x.rd.Unlock()

	for _, sub := range exact {
		f, err := s.kept(ctx, sub, later)
		if err != nil {
			return refused, err
		}
		if f != nil {
			flushes = append(flushes, f)
		}
	}
	return refused, waitAll(ctx, flushes)
}

// subscribe grants one subscription; rd is held. changed is false when it was there already.
func (s *Session) subscribe(sub Subscription) (changed bool, err error) {
	x := s.box
	if err := ValidFilter(sub.Filter); err != nil {
		return false, err
	}
	if sub.QoS > 1 {
		return false, strait.Errorf(strait.Invalid, "qos", "QoS %d is not offered; use 0 or 1", sub.QoS)
	}
	options, had := x.subs[sub.Filter]
	if had && options == sub.options() {
		return false, nil
	}
	if sub.NoLocal && strings.HasPrefix(sub.Filter, sharePrefix) {
		return false, strait.Errorf(strait.Invalid, "topic filter", "a shared subscription must not ask for No Local") // MQTT 5, 3.8.3.1
	}
	if limit := s.b.c.Limits.Subscriptions; !had && len(x.subs) >= limit {
		return false, strait.Errorf(strait.Limit, "subscriptions", "a connection may have %d subscriptions", limit)
	}
	filter := strings.Clone(sub.Filter)
	if err := s.b.tree.add(filter, x, sub.options(), had); err != nil {
		return false, err
	}
	x.subs[filter] = sub.options()
	return true, nil
}

// kept queues the retained message of an exact filter.
func (s *Session) kept(ctx context.Context, sub Subscription, later *Wakes) (*flush, error) {
	m, err := s.b.retained.get(ctx, sub.Filter, s.b.c.Now())
	if err != nil || m == nil {
		return nil, err
	}
	if later != nil {
		s.hold(later)
	}
	qos := min(m.QoS, sub.QoS)
	st, wake, fits := s.box.append(m, qos, true, false, &s.b.c.Limits)
	wake.ring(nil)
	if !fits {
		s.b.drop(s.box, m, qos)
	}
	if st == nil {
		return nil, nil
	}
	return s.b.journal.put(st), nil
}

// hold has nothing taken until later is called.
func (s *Session) hold(later *Wakes) {
	s.box.rd.Lock()
	defer s.box.rd.Unlock()
	if s.held {
		return
	}
	s.held = true
	*later = append(*later, func(here bool) {
		s.box.rd.Lock()
		s.held = false
		s.box.rd.Unlock()
		s.alarm.call(here)
	})
}

// Unsubscribe ends subscriptions; what is queued because of them stays. A
// filter that was not subscribed to is no error. In a persistent session it is
// durable when it returns.
func (s *Session) Unsubscribe(ctx context.Context, filters []string) error {
	x := s.box
	x.rd.Lock()
	if x.owner != s {
		x.rd.Unlock()
		return s.Cause()
	}
	changed := false
	for _, filter := range filters {
		if _, had := x.subs[filter]; had {
			delete(x.subs, filter)
			s.b.tree.remove(filter, x)
			changed = true
		}
	}
	var flushes []*flush
	if x.persistent && changed {
		flushes = append(flushes, s.b.journal.set(x.record()))
	}
	x.rd.Unlock()
	return waitAll(ctx, flushes)
}

// Subscriptions returns what the session is subscribed to, in no order.
func (s *Session) Subscriptions() []Subscription {
	return s.box.subscriptions()
}

// Ack says that the client has the message delivered with packetID. An id that
// is not in flight is ignored. The message is taken off the store soon; after
// a crash right now it comes again.
func (s *Session) Ack(_ context.Context, packetID uint16) error {
	x := s.box
	x.rd.Lock()
	defer x.rd.Unlock()
	if x.owner != s {
		return s.Cause()
	}
	sl, ok := x.inflight[packetID]
	if !ok {
		return nil
	}
	delete(x.inflight, packetID)
	if sl.stored != nil {
		s.b.journal.remove(sl.stored)
	} else if sl.msg != nil {
		sl.msg.tell(nil)
	}
	var f freed
	f.add(x, sl)
	x.free(f)
	if len(x.inflight) == s.window-1 {
		if c := s.alarm.c; c != nil {
			poke(c) // Next may be waiting for room in the window
		}
	}
	return nil
}

func waitAll(ctx context.Context, flushes []*flush) error {
	for _, f := range flushes {
		if err := f.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}
