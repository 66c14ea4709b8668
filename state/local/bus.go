package local

import (
	"bytes"
	"context"
	"sync"

	"strait"
	"strait/state"
)

// Limits of what may wait for one subscription.
const (
	maxWaiting      = 65536
	maxWaitingBytes = 16 << 20
)

// A Bus is a state.Bus within one process. Publish never waits for a
// subscriber: each subscription has a queue of its own, emptied in order by a
// goroutine that exists only while something waits. When a queue is full
// (65,536 messages or 16 MiB) this subscription misses the message, all others
// get it, and Publish answers with a strait.Error of kind Unavailable, so that
// no loss is silent.
type Bus struct {
	mu       sync.RWMutex
	subjects map[string]map[*subscription]struct{}
}

var _ state.Bus = (*Bus)(nil)

// NewBus returns a Bus without subscriptions.
func NewBus() *Bus { return &Bus{subjects: map[string]map[*subscription]struct{}{}} }

// Publish is documented at state.Bus. It copies data.
func (b *Bus) Publish(ctx context.Context, subject string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	subs := b.subjects[subject]
	if len(subs) == 0 {
		return nil
	}
	data = bytes.Clone(data)
	full := false
	for s := range subs {
		if !s.push(data) {
			full = true
		}
	}
	if full {
		return strait.Errorf(strait.Unavailable, "bus", "a subscriber of %q does not keep up: the message did not reach it", subject)
	}
	return nil
}

// Subscribe is documented at state.Bus. All subscribers are handed the same
// bytes and must not change them. A call of fn that is under way when cancel is
// called may still finish; what waits behind it is dropped. fn may call cancel.
func (b *Bus) Subscribe(subject string, fn func(data []byte)) (cancel func(), err error) {
	s := &subscription{fn: fn}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subjects[subject] == nil {
		b.subjects[subject] = map[*subscription]struct{}{}
	}
	b.subjects[subject][s] = struct{}{}
	return func() { b.cancel(subject, s) }, nil
}

func (b *Bus) cancel(subject string, s *subscription) {
	s.cancel()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.subjects[subject], s)
	if len(b.subjects[subject]) == 0 {
		delete(b.subjects, subject)
	}
}

// A subscription is a queue of messages for one function.
type subscription struct {
	fn func([]byte)

	mu        sync.Mutex
	waiting   [][]byte
	size      int // bytes of waiting and of what is being handed over
	count     int
	running   bool
	cancelled bool
}

// push adds a message, and tells whether there was room.
func (s *subscription) push(data []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancelled {
		return true
	}
	if s.count >= maxWaiting || s.size+len(data) > maxWaitingBytes {
		return false
	}
	s.waiting = append(s.waiting, data)
	s.size += len(data)
	s.count++
	if !s.running {
		s.running = true
		go s.run()
	}
	return true
}

// run hands messages over until there are none.
func (s *subscription) run() {
	for {
		batch, ok := s.take()
		if !ok {
			return
		}
		for _, data := range batch {
			if !s.begin(data) {
				return
			}
			s.fn(data)
		}
	}
}

func (s *subscription) take() ([][]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 || s.cancelled {
		s.running = false
		return nil, false
	}
	batch := s.waiting
	s.waiting = nil
	return batch, true
}

// begin counts data as handed over, unless the subscription is cancelled.
func (s *subscription) begin(data []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size -= len(data)
	s.count--
	return !s.cancelled
}

func (s *subscription) cancel() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancelled, s.waiting = true, nil
}
