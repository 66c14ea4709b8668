package local

import (
	"context"
	"slices"
	"strings"
	"sync"

	"strait"
	"strait/state"
)

// A batch is one call of Apply on its way through the writer.
type batch struct {
	writes    []state.Write // sorted by key
	size      int
	taken     bool // guarded by the queue's mutex, as is cancelled
	cancelled bool
	done      chan struct{} // closed when revision and err are set
	revision  state.Revision
	err       error
}

// Apply is documented at state.Store. An error of ctx means that nothing was
// or will be changed; once the writer has taken the batch up, ctx is no longer
// listened to. Without writes Apply returns the present revision.
//
// When the disk fails or is full the error is a strait.Error of kind
// Unavailable and thing "disk": nothing was changed as far as anyone can see.
// Should the machine lose power before the next batch succeeds, such a batch
// may turn out to be there, whole, after all.
func (s *Store) Apply(ctx context.Context, writes ...state.Write) (state.Revision, error) {
	b, err := newBatch(writes)
	if err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := s.queue.push(b); err != nil {
		return 0, err
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		if s.queue.cancel(b) {
			return 0, ctx.Err()
		}
		<-b.done
	}
	return b.revision, b.err
}

// newBatch checks the limits and copies the writes, since the values outlive
// the call.
func newBatch(writes []state.Write) (*batch, error) {
	b := &batch{writes: slices.Clone(writes), done: make(chan struct{})}
	for i := range b.writes {
		w := &b.writes[i]
		if w.Key == "" {
			return nil, strait.Errorf(strait.Invalid, "key", "a key must have at least one byte")
		}
		if w.Delete {
			w.Value = nil
		}
		b.size += len(w.Key) + len(w.Value)
		if len(w.Key) > state.MaxKey || b.size > state.MaxBatch {
			return nil, state.ErrTooLarge
		}
	}
	for i := range b.writes {
		w := &b.writes[i]
		w.Key = strings.Clone(w.Key) // it may be a part of something large
		if !w.Delete {
			w.Value = append(make([]byte, 0, len(w.Value)), w.Value...) // never nil, which would be NULL
		}
	}
	slices.SortFunc(b.writes, func(a, b state.Write) int { return strings.Compare(a.Key, b.Key) })
	for i := 1; i < len(b.writes); i++ {
		if b.writes[i].Key == b.writes[i-1].Key {
			return nil, strait.Errorf(strait.Invalid, "batch", "the key %q occurs twice in a batch", b.writes[i].Key)
		}
	}
	return b, nil
}

// A queue holds the batches that wait for the writer. It has no limit of its
// own: there is one entry for each caller that is waiting in Apply.
type queue struct {
	mu      sync.Mutex
	waiting []*batch
	closed  bool
	wake    chan struct{}
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

func (q *queue) push(b *batch) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return state.ErrClosed
	}
	q.waiting = append(q.waiting, b)
	q.signal()
	return nil
}

// cancel takes b back, unless the writer has it already.
func (q *queue) cancel(b *batch) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	b.cancelled = !b.taken
	return b.cancelled
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Limits of one transaction: what is gathered beyond them waits for the next.
const (
	maxGroup      = 512
	maxGroupBytes = 4 << 20
)

// take waits for batches and returns those that fit into one transaction, in
// the order in which they came; nil when the queue is closed and empty.
func (q *queue) take() []*batch {
	for {
		if group, ended := q.takeNow(); len(group) > 0 || ended {
			return group
		}
		<-q.wake
	}
}

func (q *queue) takeNow() (group []*batch, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for _, b := range q.waiting {
		if len(group) == maxGroup || size > maxGroupBytes {
			break
		}
		n++
		if b.cancelled {
			continue
		}
		b.taken = true
		size += b.size
		group = append(group, b)
	}
	q.waiting = slices.Delete(q.waiting, 0, n)
	return group, q.closed && len(q.waiting) == 0
}
