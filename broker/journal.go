package broker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"strait"
	"strait/state"
)

// A journal makes changes durable in the order in which they were made. It
// gathers them while the store is busy and applies all of them next; a message
// that is acknowledged before its turn is never written at all.
//
// A flush is applied as several batches when it is larger than a batch may be;
// each key occurs in it once, so the batches do not depend on each other.
type journal struct {
	store state.Store
	log   *slog.Logger
	// settled is told, in the journal's goroutine, which puts were applied or failed.
	settled func([]*stored)
	timed   func(time.Duration) // may be nil

	waiting atomic.Int64 // bytes of pending, to be read without mu

	mu      sync.Mutex
	pending *flush
	flying  *flush // being applied, or nil
	closed  bool
	wake    chan struct{} // capacity 1
	stopped chan struct{}
}

// A flush is what is applied together. done is closed when it is; err is set before.
type flush struct {
	changes []change
	keyed   map[string]int // index in changes of what is no put
	bytes   int
	done    chan struct{}
	err     error
}

// A change is either a put of a queued message or a write of a fact.
type change struct {
	put   *stored
	msg   *Message // of put; kept here because put forgets it when acknowledged
	write state.Write
}

// A stored is a QoS 1 message in the queue of a persistent session.
type stored struct {
	box      *mailbox
	seq      uint64
	size     int
	retained bool
	msg      atomic.Pointer[Message] // nil: in the store only
	state    atomic.Uint32           // written with journal.mu held
}

// States of a stored. From fresh or waiting it can be cancelled; after that it
// must be removed.
const (
	fresh     uint32 = iota // in a queue, the journal has not heard of it
	waiting                 // in the journal's pending flush
	taken                   // being applied
	durable                 // in the store
	failed                  // could not be applied, and will not be
	cancelled               // taken back before it was applied
)

const (
	// journalRoom is how many bytes may wait for the store before publishers
	// are made to wait, too.
	journalRoom = 4 << 20
	// changeOverhead is what a change counts beside its value.
	changeOverhead = 128
	journalRetry   = time.Second
)

func newJournal(store state.Store, log *slog.Logger, settled func([]*stored), timed func(time.Duration)) *journal {
	j := &journal{
		store: store, log: log, settled: settled, timed: timed,
		pending: newFlush(), wake: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	go j.run()
	return j
}

func newFlush() *flush {
	return &flush{keyed: make(map[string]int), done: make(chan struct{})}
}

// wait returns when f has been applied, with its error. A nil flush is for
// what needs no store.
func (f *flush) wait(ctx context.Context) error {
	if f == nil {
		return nil
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// put adds messages, all to one flush, which it returns.
func (j *journal) put(puts ...*stored) *flush {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return refusedFlush()
	}
	for _, p := range puts {
		if p.state.Load() != fresh {
			continue // delivered and acknowledged meanwhile
		}
		p.state.Store(waiting)
		j.pending.changes = append(j.pending.changes, change{put: p, msg: p.msg.Load()})
		j.pending.bytes += p.size + changeOverhead
	}
	return j.signal()
}

// remove takes messages off the store, or sees to it that they never get there.
func (j *journal) remove(puts ...*stored) *flush {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return refusedFlush()
	}
	for _, p := range puts {
		switch p.state.Load() {
		case fresh, waiting:
			p.state.Store(cancelled)
		case taken, durable:
			j.pending.set(state.Write{Key: queueKey(p.box.number, p.seq), Delete: true})
		}
	}
	return j.signal()
}

// set writes facts; the last value of a key is what is applied.
func (j *journal) set(writes ...state.Write) *flush {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return refusedFlush()
	}
	for _, w := range writes {
		j.pending.set(w)
	}
	return j.signal()
}

func (f *flush) set(w state.Write) {
	if i, ok := f.keyed[w.Key]; ok {
		f.changes[i].write = w
		return
	}
	f.keyed[w.Key] = len(f.changes)
	f.changes = append(f.changes, change{write: w})
	f.bytes += len(w.Value) + changeOverhead
}

// signal wakes the goroutine and returns the pending flush; mu is held.
func (j *journal) signal() *flush {
	j.waiting.Store(int64(j.pending.bytes))
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return j.pending
}

// refusedFlush is what a closed journal answers, since nobody will apply more.
func refusedFlush() *flush {
	f := &flush{done: make(chan struct{}), err: ErrClosed}
	close(f.done)
	return f
}

// room waits until the store has caught up enough to take more. It is asked
// before a message is queued anywhere.
func (j *journal) room(ctx context.Context) error {
	for j.waiting.Load() > journalRoom {
		j.mu.Lock()
		f := j.flying
		j.mu.Unlock()
		if f == nil {
			return nil // it is taken at this moment
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// close applies what is pending and stops.
func (j *journal) close(ctx context.Context) error {
	j.mu.Lock()
	j.closed = true
	last := j.pending
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default:
	}
	select {
	case <-j.stopped:
		return last.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run applies flush after flush until the journal is closed.
func (j *journal) run() {
	defer close(j.stopped)
	retry := time.NewTimer(0)
	retry.Stop()
	defer retry.Stop()
	for {
		select {
		case <-j.wake:
		case <-retry.C:
		}
		j.mu.Lock()
		f, closed := j.pending, j.closed
		j.pending, j.flying = newFlush(), f
		j.waiting.Store(0)
		for _, c := range f.changes {
			if c.put != nil && c.put.state.Load() == waiting {
				c.put.state.Store(taken)
			}
		}
		j.mu.Unlock()
		again := j.apply(f)
		j.mu.Lock()
		j.flying = nil
		for _, w := range again {
			if _, newer := j.pending.keyed[w.Key]; !newer {
				j.pending.set(w)
			}
		}
		j.mu.Unlock()
		if len(again) > 0 {
			retry.Reset(journalRetry)
		}
		close(f.done)
		if closed {
			return
		}
	}
}

// apply writes f in batches. Puts that fail are given up, since their
// publishers are told; facts that fail are returned, to be tried again.
func (j *journal) apply(f *flush) (again []state.Write) {
	var batch []state.Write
	var puts, settled []*stored
	bytes := 0
	send := func() {
		if len(batch) == 0 {
			return
		}
		begin := time.Now()
		_, err := j.store.Apply(context.Background(), batch...)
		if j.timed != nil {
			j.timed(time.Since(begin))
		}
		outcome := durable
		if err != nil {
			outcome = failed
			f.err = unavailable(err)
			j.log.Error("broker cannot store messages", "changes", len(batch), "err", err)
			for _, w := range batch[:len(batch)-len(puts)] {
				again = append(again, w)
			}
		}
		j.mu.Lock()
		for _, p := range puts {
			p.state.Store(outcome)
		}
		j.mu.Unlock()
		settled = append(settled, puts...)
		batch, puts, bytes = batch[:0], puts[:0], 0
	}
	add := func(w state.Write) {
		n := len(w.Key) + len(w.Value)
		if bytes+n > state.MaxBatch || len(batch) == maxBatchWrites {
			send()
		}
		batch = append(batch, w)
		bytes += n
	}
	// Facts first in their own batches, so that a batch is either all facts
	// or, after its facts, all puts: that is what send relies on.
	for _, c := range f.changes {
		if c.put == nil {
			add(c.write)
		}
	}
	for _, c := range f.changes {
		if p := c.put; p != nil && p.state.Load() == taken {
			add(state.Write{Key: queueKey(p.box.number, p.seq), Value: encodeMessage(c.msg, p.retained)})
			puts = append(puts, p)
		}
	}
	send()
	if len(settled) > 0 {
		j.settled(settled)
	}
	return again
}

// maxBatchWrites keeps one batch from holding up other rooms for long.
const maxBatchWrites = 2048

// unavailable says in plain words that the store failed; who gave up is told so.
func unavailable(err error) error {
	if errors.Is(err, state.ErrClosed) {
		return ErrClosed
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &strait.Error{Kind: strait.Unavailable, Thing: "disk", Message: "messages cannot be stored or read just now; try again", Err: err}
}
