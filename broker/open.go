package broker

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"strings"
	"time"

	"strait"
	"strait/state"
)

// Open reads what is kept in c.Store and returns a broker that goes on where
// the last one stopped, however that ended. Sessions that were connected then
// count as having left now. Only one Broker may use a store at a time.
func Open(ctx context.Context, c Config) (*Broker, error) {
	if c.Store == nil {
		return nil, strait.Errorf(strait.Internal, "broker", "a broker needs a store")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := c.Limits.complete(); err != nil {
		return nil, err
	}
	b := &Broker{c: c, tree: newTree(), seed: maphash.MakeSeed(), boxes: make(map[string]*mailbox)}
	b.replays.pace = newPace(c.Limits.ReplayAll)
	b.minute.Store(c.Now().Unix() / 60)
	b.journal = newJournal(c.Store, c.Log, settle, c.Stored)
	b.retained = &shelf{store: c.Store, journal: b.journal, limit: c.Limits.Retained, topics: make(map[string]*shelved)}
	if err := b.recover(ctx); err != nil {
		b.journal.close(ctx)
		return nil, fmt.Errorf("open broker: %w", err)
	}
	return b, nil
}

// Close ends all sessions with ErrClosed, publishes their wills, and returns
// when everything is durable. It does not close the store.
func (b *Broker) Close(ctx context.Context) error {
	if b.closed.Swap(true) {
		return nil
	}
	b.mu.RLock()
	boxes := make([]*mailbox, 0, len(b.boxes))
	for _, x := range b.boxes {
		boxes = append(boxes, x)
	}
	b.mu.RUnlock()
	for _, x := range boxes {
		b.endOwner(x, EndCause{Err: ErrClosed})
	}
	return b.journal.close(ctx)
}

// complete fills in defaults and refuses what could not work.
func (l *Limits) complete() error {
	def := func(v *int, d, most int, name string) error {
		if *v == 0 {
			*v = d
		}
		if *v < 0 || *v > most {
			return strait.Errorf(strait.Invalid, "limit", "the limit %s must be 1 to %d", name, most)
		}
		return nil
	}
	for _, err := range []error{
		def(&l.Payload, 128<<10, state.MaxBatch/2, "Payload"),
		def(&l.Subscriptions, 50, 500, "Subscriptions"),
		def(&l.InFlight, 100, 10_000, "InFlight"),
		def(&l.QueueMessages, 20_000, 1<<30, "QueueMessages"),
		def(&l.Retained, 500_000, 1<<30, "Retained"),
		def(&l.Sessions, 500_000, 1<<30, "Sessions"),
	} {
		if err != nil {
			return err
		}
	}
	if l.QueueBytes == 0 {
		l.QueueBytes = 64 << 20
	}
	if l.MemoryBytes == 0 {
		l.MemoryBytes = 16 << 20
	}
	if l.HeldBytes == 0 {
		l.HeldBytes = 1 << 30
	}
	if l.SessionExpiry == 0 {
		l.SessionExpiry = time.Hour
	}
	if l.Retry == 0 {
		l.Retry = time.Hour
	}
	if l.Retry5 == 0 {
		l.Retry5 = 16 * time.Minute
	}
	if most := 30 * 24 * time.Hour; l.Retry < 0 || l.Retry > most || l.Retry5 < 0 || l.Retry5 > most {
		return strait.Errorf(strait.Invalid, "limit", "the limits Retry and Retry5 must be up to %v", most)
	}
	if l.QueueBytes < 0 || l.MemoryBytes < 0 || l.HeldBytes < 0 || l.ReplayRate < 0 || l.SharedReplayRate < 0 || l.ReplayAll < 0 || l.SessionExpiry < 0 {
		return strait.Errorf(strait.Invalid, "limit", "a limit must not be negative")
	}
	return nil
}

// settle is told by the journal which puts are durable and which failed.
func settle(puts []*stored) {
	failures := make(map[*mailbox]bool)
	for _, p := range puts {
		if p.state.Load() == failed {
			failures[p.box] = true
			continue
		}
		p.box.settle(p)
	}
	for x := range failures {
		x.discardFailed()
	}
}

// recover reads sessions, then their queues, then retained messages.
func (b *Broker) recover(ctx context.Context) error {
	numbers := make(map[string]*mailbox)
	err := b.scan(ctx, sessionPrefix, 256, func(f state.Fact) error {
		x, err := b.recoverSession(f)
		if err == nil {
			numbers[x.number] = x
		}
		return err
	})
	if err != nil {
		return err
	}
	// Queued messages are read for their sizes only; bodies stay where they
	// are. 64 of them are 8 MiB at most.
	var orphans []state.Write
	err = b.scan(ctx, queuePrefix, 64, func(f state.Fact) error {
		number, seq, ok := parseQueueKey(f.Key)
		x := numbers[number]
		if !ok || len(f.Value) < 2 {
			return fmt.Errorf("fact %q is not a queued message", f.Key)
		}
		if x == nil { // its session was forgotten just before the end
			orphans = append(orphans, state.Write{Key: f.Key, Delete: true})
			return nil
		}
		x.recoverSlot(seq, f.Value)
		return nil
	})
	if err != nil {
		return err
	}
	err = b.scan(ctx, retainedPrefix, 64, func(f state.Fact) error {
		b.retained.topics[strings.TrimPrefix(f.Key, retainedPrefix)] = &shelved{}
		return nil
	})
	if err != nil {
		return err
	}
	if len(orphans) > 0 {
		return b.journal.set(orphans...).wait(ctx)
	}
	return nil
}

func (b *Broker) recoverSession(f state.Fact) (*mailbox, error) {
	r, err := decodeSession(f.Value)
	if err != nil {
		return nil, fmt.Errorf("fact %q is not a session: %w", f.Key, err)
	}
	x := &mailbox{
		id: strings.TrimPrefix(f.Key, sessionPrefix), number: r.Number, persistent: true, held: &b.held,
		subs: r.Subs, left: b.c.Now(), v5: r.V5, expiry: time.Duration(r.Expiry) * time.Second,
	}
	if x.subs == nil {
		x.subs = make(map[string]options)
	}
	if r.Gone != 0 {
		x.left = time.UnixMilli(r.Gone)
	} else {
		b.journal.set(x.record())
	}
	for filter, o := range x.subs {
		if err := b.tree.add(filter, x, o, false); err != nil {
			return nil, fmt.Errorf("session %q: %w", x.id, err)
		}
	}
	b.boxes[x.id] = x
	return x, nil
}

// recoverSlot appends a message that is in the store already. Whether it was
// on the wire before is not known any more.
func (x *mailbox) recoverSlot(seq uint64, value []byte) {
	st := &stored{box: x, seq: seq, size: len(value), retained: value[1]&flagRetained != 0}
	st.state.Store(durable)
	x.in = append(x.in, slot{stored: st, qos: 1, retained: st.retained})
	x.kept.add(st.size)
	x.seq = seq
}

// scan calls fn for each fact below prefix, page by page.
func (b *Broker) scan(ctx context.Context, prefix string, page int, fn func(state.Fact) error) error {
	after := ""
	for {
		facts, err := b.c.Store.List(ctx, prefix, after, page)
		if err != nil {
			return err
		}
		for _, f := range facts {
			if err := fn(f); err != nil {
				return err
			}
		}
		if len(facts) < page {
			return nil
		}
		after = facts[len(facts)-1].Key
	}
}
