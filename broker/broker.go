package broker

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"strait"
	"strait/state"
)

// Limits bound what a stranger can make the broker hold. A zero field stands
// for its default, which is AWS's where AWS has one.
type Limits struct {
	Payload       int           // bytes of a message; 131,072, at most 262,144
	Subscriptions int           // of one session; 50
	InFlight      int           // QoS 1 messages of a session sent and not acknowledged; 100, at most 10,000
	QueueMessages int           // messages waiting for a session; 20,000
	QueueBytes    int64         // bytes of QoS 1 messages waiting for a persistent session, on disk; 64 MiB
	MemoryBytes   int64         // bytes waiting in memory only: QoS 0, and all of a clean session; 16 MiB
	Retained      int           // retained messages; 500,000
	Sessions      int           // sessions, connected or kept; 500,000
	SessionExpiry time.Duration // how long a persistent session outlives its connection, at most; 1 h
	// Retry and Retry5 are how long a QoS 1 message waits for its PUBACK, in MQTT
	// 3.1.1 and in 5, until it is given up; 1 h and 16 min, at most 30 days.
	Retry, Retry5 time.Duration
	// HeldBytes bounds what waits in memory only for all sessions together;
	// 1 GiB. Above it publishers are slowed, and a session that has more than
	// its small share in memory gets no more.
	HeldBytes int64
	// ReplayRate is how many messages a second a session that is resumed gets
	// of those that were queued before; 0 for as many as it takes.
	ReplayRate int
	// SharedReplayRate is the same for what came by a shared subscription, and
	// ReplayAll for all sessions together.
	SharedReplayRate, ReplayAll int
}

// Config is what a Broker needs.
type Config struct {
	Store  state.Store      // keys below "broker/" belong to the broker
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: nothing is logged
	Limits Limits
	// Matched, when set, is told every accepted message, at once, in the
	// goroutine of its publisher; it must not block. The wait it returns
	// (nil: nothing to wait for) is joined with that of Publish.
	Matched func(m *Message) (wait func(context.Context) error)
	// Dropped, when set, is told every message that a queue had no room for,
	// in the goroutine of the publisher; it must not block.
	Dropped func(Drop)
	// Stored, when set, is told how long each batch of changes took to become
	// durable.
	Stored func(took time.Duration)
}

// A Drop is a message that one subscriber will not get because its queue is full.
type Drop struct {
	ClientID string
	Message  *Message
	QoS      byte
	Total    uint64 // drops of this session so far, this one included
}

// A Broker hands messages from those who publish to those who subscribed. All
// methods may be called from many goroutines.
type Broker struct {
	c        Config
	tree     *tree
	journal  *journal
	retained *shelf
	closed   atomic.Bool

	// stripes serialise connecting and ending of one client id (several ids
	// share a stripe). A stripe is taken before any lock of a mailbox.
	stripes [256]sync.Mutex
	seed    maphash.Seed

	mu    sync.RWMutex
	boxes map[string]*mailbox // by client id

	held   atomic.Int64 // bytes that wait in memory only
	slowed atomic.Int64 // Unix second when a publisher was slowed last

	replays commonPace // of all sessions together

	// minute is Config.Now in Unix minutes, as Expire saw it last; of it slots
	// remember 16 bits, which is 45 days.
	minute atomic.Int64

	published, delivered, dropped atomic.Uint64
}

// Stats counts since Open, except where it says "now".
type Stats struct {
	Sessions  int    // now, connected or not
	Retained  int    // messages now
	Published uint64 // messages accepted
	Delivered uint64 // messages given to Session.Next's callers
	Dropped   uint64 // messages that a queue had no room for
	Held      int64  // bytes that wait in memory only, now
}

// A Depth is what waits in queues, sent and not acknowledged or not sent yet.
type Depth struct {
	Stored, Memory           int   // messages on disk, in memory only
	StoredBytes, MemoryBytes int64 // and their bytes
	Longest                  int   // messages in the longest queue
}

// Depth looks at every queue.
func (b *Broker) Depth() (d Depth) {
	b.mu.RLock()
	boxes := make([]*mailbox, 0, len(b.boxes))
	for _, x := range b.boxes {
		boxes = append(boxes, x)
	}
	b.mu.RUnlock()
	for _, x := range boxes {
		x.mu.Lock()
		kept, memory := x.kept, x.memory
		x.mu.Unlock()
		d.Stored += kept.n
		d.Memory += memory.n
		d.StoredBytes += kept.bytes
		d.MemoryBytes += memory.bytes
		d.Longest = max(d.Longest, kept.n+memory.n)
	}
	return d
}

// Publish hands m to every session subscribed to its topic, keeps it as
// retained message when it says so, and tells Config.Matched. Deliveries start
// before it returns. The broker owns m from then on.
//
// wait returns when the message is durable wherever it must be: in the queue
// of each persistent session that gets it with QoS 1, as retained message, and
// where Matched wants it. A nil wait means that there is nothing to wait for.
// Only after wait returned nil may the message be acknowledged. If it returns
// an error the message may or may not arrive; publish it again.
//
// Publish blocks only while the store is far behind, until ctx is done. The
// error is strait.Invalid or TooLarge for a message that is wrong ("topic",
// "qos", "payload"), strait.Limit ("retained messages") or ErrClosed; then
// nobody got it.
func (b *Broker) Publish(ctx context.Context, m *Message) (wait func(context.Context) error, err error) {
	return b.PublishLater(ctx, m, nil)
}

// PublishLater is Publish, except that those who receive the message are not
// woken but added to later, unless that is nil: the caller wakes them when it
// has published what it has at this moment.
func (b *Broker) PublishLater(ctx context.Context, m *Message, later *Wakes) (wait func(context.Context) error, err error) {
	if err := b.check(m); err != nil {
		return nil, err
	}
	if b.closed.Load() {
		return nil, ErrClosed
	}
	return b.publish(ctx, m, later)
}

func (b *Broker) publish(ctx context.Context, m *Message, later *Wakes) (wait func(context.Context) error, err error) {
	if m.Time.IsZero() {
		m.Time = b.c.Now()
	}
	// 1. Do not run away from the store.
	behind := b.held.Load() > b.c.Limits.HeldBytes
	if later != nil && (behind || b.journal.waiting.Load() > journalRoom) {
		later.call() // nobody waits for us while we wait for them
	}
	if behind {
		if err := b.slow(ctx); err != nil {
			return nil, err
		}
	}
	if m.QoS > 0 || m.Retain {
		if err := b.journal.room(ctx); err != nil {
			return nil, err
		}
	}
	// 2. Keep it.
	var shelved *flush
	if m.Retain {
		if shelved, err = b.retained.set(m); err != nil {
			return nil, err
		}
	}
	// 3. Deliver it.
	var queued *flush
	if puts := b.deliver(m, later); len(puts) > 0 {
		queued = b.journal.put(puts...)
	}
	// 4. Tell the rules.
	var matched func(context.Context) error
	if b.c.Matched != nil {
		matched = b.c.Matched(m)
	}
	b.published.Add(1)
	return join(shelved, queued, matched), nil
}

// slow makes a publisher wait while too much waits in memory, a second at most:
// after that only those who read slowly lose something.
func (b *Broker) slow(ctx context.Context) error {
	const most, look = time.Second, 5 * time.Millisecond
	if now := time.Now().Unix(); b.slowed.Swap(now)+slowedQuiet < now {
		b.c.Log.Warn("publishers are slowed: too much waits in memory for clients that read slowly", "bytes", b.held.Load(), "limit", b.c.Limits.HeldBytes)
	}
	for range most / look {
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return ctx.Err()
		}
		if b.held.Load() <= b.c.Limits.HeldBytes {
			break
		}
	}
	return nil
}

// slowedQuiet is how many seconds publishers must have been at full speed for
// the next slowing to be logged.
const slowedQuiet = 10

// check judges a message before anyone sees it.
func (b *Broker) check(m *Message) error {
	switch err := ValidTopic(m.Topic); {
	case err != nil:
		return err
	case m.QoS > 1:
		return strait.Errorf(strait.Invalid, "qos", "QoS %d is not offered; use 0 or 1", m.QoS)
	case len(m.Payload) > b.c.Limits.Payload:
		return strait.Errorf(strait.TooLarge, "payload", "a message must not be larger than %d bytes", b.c.Limits.Payload)
	case len(m.Publisher) > maxClientID || len(m.Trace) > maxClientID:
		return strait.Errorf(strait.Invalid, "publisher", "a publisher's client id must not be longer than %d bytes", maxClientID)
	}
	return nil
}

// deliver queues m for its subscribers and returns what must be stored.
func (b *Broker) deliver(m *Message, later *Wakes) (puts []*stored) {
	if m.Topic[0] == '$' && strings.HasPrefix(m.Topic, rulePrefix) {
		return nil // Basic Ingest: rules only, nobody subscribes to it
	}
	subs := b.tree.find(m.Topic)
	for i := range subs {
		s := subs[i]
		shared := s.group != nil
		if shared {
			var ok bool
			if s, ok = s.group.pick(m.QoS); !ok {
				continue
			}
		}
		if s.options&noLocal != 0 && m.Publisher == s.box.id {
			continue
		}
		qos := min(m.QoS, s.options.qos())
		st, wake, fits := s.box.append(m, qos, m.Retain && s.options&retainAsPublished != 0, shared, &b.c.Limits)
		wake.ring(later)
		if !fits {
			b.drop(s.box, m, qos)
		}
		if st != nil {
			puts = append(puts, st)
		}
	}
	return puts
}

// drop announces that x had no room for m. The log gets the 1st, 2nd, 4th, 8th
// ... drop of a session, so that it cannot be flooded.
func (b *Broker) drop(x *mailbox, m *Message, qos byte) {
	b.dropped.Add(1)
	total := x.dropped()
	if total&(total-1) == 0 {
		b.c.Log.Warn("queue of a session is full, message dropped", "client", x.id, "topic", m.Topic, "qos", qos, "drops", total)
	}
	if b.c.Dropped != nil {
		b.c.Dropped(Drop{ClientID: x.id, Message: m, QoS: qos, Total: total})
	}
}

// join makes one wait of several, nil when there is nothing to wait for.
func join(shelved, queued *flush, matched func(context.Context) error) func(context.Context) error {
	if shelved == queued {
		shelved = nil // both nil, or the same flush
	}
	switch {
	case shelved == nil && queued == nil:
		return matched
	case shelved == nil && matched == nil:
		return queued.wait
	}
	return func(ctx context.Context) error {
		var err error
		for _, f := range [...]*flush{shelved, queued} {
			if f != nil {
				err = errors.Join(err, f.wait(ctx))
			}
		}
		if matched != nil {
			err = errors.Join(err, matched(ctx))
		}
		return err
	}
}

// Retained returns the retained message of topic, or strait.NotFound,
// "retained message".
func (b *Broker) Retained(ctx context.Context, topic string) (*Message, error) {
	m, err := b.retained.get(ctx, topic, b.c.Now())
	if err == nil && m == nil {
		err = strait.Errorf(strait.NotFound, "retained message", "there is no retained message for topic %q", topic)
	}
	return m, err
}

// ListRetained returns up to limit retained messages whose topics come after
// the given one, sorted by the bytes of their topics. One that was published a
// moment ago and is not durable yet may be missing.
func (b *Broker) ListRetained(ctx context.Context, after string, limit int) ([]*Message, error) {
	return b.retained.list(ctx, after, limit, b.c.Now())
}

// Stats returns the broker's counters.
func (b *Broker) Stats() Stats {
	b.mu.RLock()
	sessions := len(b.boxes)
	b.mu.RUnlock()
	return Stats{
		Sessions: sessions, Retained: b.retained.len(),
		Published: b.published.Load(), Delivered: b.delivered.Load(), Dropped: b.dropped.Load(), Held: b.held.Load(),
	}
}

// Wanted tells whether anybody is subscribed to topic, which must be valid. It
// is for messages that are made only if somebody wants them.
func (b *Broker) Wanted(topic string) bool { return b.tree.wanted(topic) }

// stripe returns the lock that serialises connects and ends of id.
func (b *Broker) stripe(id string) *sync.Mutex {
	return &b.stripes[maphash.String(b.seed, id)%uint64(len(b.stripes))]
}

func (b *Broker) box(id string) *mailbox {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.boxes[id]
}
