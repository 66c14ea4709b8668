package function

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"strait"
	"strait/state"
)

const (
	queueKey    = "function/q/" // + request id: an item
	payloadKey  = "function/p/" // + request id + "/" + number: a part of its payload
	payloadPart = 384 << 10     // bytes, so that a batch holds one
	maxAttempts = 3
)

// An item is a queued event. Its payload is stored beside it, in parts: a
// batch of the store is smaller than a payload may be.
type item struct {
	ID        string
	Function  string
	Qualifier string `json:",omitempty"`
	Trace     string `json:",omitempty"`
	Parts     int
	Created   time.Time
	Due       time.Time
	Attempt   int // that failed already
	Delays    int `json:",omitempty"` // throttles and system errors so far
	Hops      int `json:",omitempty"` // events that led to this one, by destinations

	fresh *fresh // until the first attempt is over; nil after a restart
}

// A queue runs events, which are stored unless they are over soon. An item is in waiting until it is due, then in
// ready until its function has room, then running; its fact goes when it is done.
type queue struct {
	engine *Engine

	mu      sync.Mutex
	waiting dueHeap
	ready   map[string][]*item
	running map[string]int
	count   int
	wake    chan struct{}
}

func newQueue(e *Engine) *queue {
	return &queue{engine: e, ready: map[string][]*item{}, running: map[string]int{}, wake: make(chan struct{}, 1)}
}

// Enqueue starts an event and returns its request id when the event is durable
// or over; the function is run again after failures (Config.Backoff), at least
// once. When it returns an error nothing is queued, but one run may have begun.
func (e *Engine) Enqueue(ctx context.Context, name string, payload []byte, trace string) (requestID string, err error) {
	return e.Queue(ctx, name, Request{Payload: payload, Trace: trace}, 0)
}

// Queue is Enqueue for any qualifier. hops counts the events that led to this
// one by destinations (Sender).
func (e *Engine) Queue(ctx context.Context, name string, req Request, hops int) (requestID string, err error) {
	if _, err := e.Resolve(ctx, name, req.Qualifier); err != nil {
		return "", err
	}
	payload, err := checkPayload(req.Payload, MaxAsync)
	if err != nil {
		return "", err
	}
	return e.queue.put(ctx, &item{Function: name, Qualifier: req.Qualifier, Trace: req.Trace, Hops: hops}, payload)
}

func (q *queue) put(ctx context.Context, it *item, payload []byte) (string, error) {
	q.mu.Lock()
	full := q.count >= MaxQueue
	if !full {
		q.count++
	}
	q.mu.Unlock()
	if full {
		return "", strait.Errorf(strait.Limit, "queue", "too many asynchronous events are waiting; try again later")
	}
	now := q.engine.cfg.Now().UTC()
	f := &fresh{payload: payload, ran: make(chan struct{}), settled: make(chan struct{})}
	it.ID, it.Created, it.Due, it.fresh = newID(), now, now, f
	id, record := it.ID, *it // later changes of it are the runner's
	q.add(it)
	// From here on the item is in the queue, which counts it down.
	defer close(f.settled)
	if f.over() {
		return id, nil
	}
	if err := q.store(ctx, &record, payload); err != nil {
		return "", fmt.Errorf("queue an event of function %s: %w", record.Function, err)
	}
	q.mu.Lock()
	it.Parts, f.payload, f.kept = record.Parts, nil, true
	q.mu.Unlock()
	return id, nil
}

func (q *queue) add(it *item) {
	q.mu.Lock()
	heap.Push(&q.waiting, it)
	q.mu.Unlock()
	q.nudge()
}

func (q *queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run hands due items to their functions, until the engine closes.
func (q *queue) run() {
	for {
		next := q.dispatch()
		timer := time.NewTimer(next)
		select {
		case <-q.engine.ctx.Done():
			timer.Stop()
			return
		case <-q.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// dispatch starts what can be started and returns when to look again.
func (q *queue) dispatch() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.engine.cfg.Now()
	for len(q.waiting) > 0 && !q.waiting[0].Due.After(now) {
		it := heap.Pop(&q.waiting).(*item)
		q.ready[it.Function] = append(q.ready[it.Function], it)
	}
	for name, list := range q.ready {
		limit := q.limit(name)
		for len(list) > 0 && q.running[name] < limit {
			it := list[0]
			list = list[1:]
			q.running[name]++
			q.engine.tasks.Go(func() { q.perform(it) })
		}
		if q.ready[name] = list; len(list) == 0 {
			delete(q.ready, name)
		}
	}
	if len(q.waiting) == 0 {
		return time.Hour
	}
	return max(q.waiting[0].Due.Sub(now), time.Millisecond)
}

// limit is how many events of a function run at a time. One is tried even when
// the function is switched off: that it is throttled has to be seen.
func (q *queue) limit(name string) int {
	if f, err := q.engine.Get(q.engine.ctx, name); err == nil && f.Reserved != nil {
		return max(1, *f.Reserved)
	}
	return q.engine.cfg.MaxEnvironments
}

// perform makes one attempt and decides what comes after it.
func (q *queue) perform(it *item) {
	e := q.engine
	again := false
	a, err := q.attempt(it)
	if err == nil {
		it.Attempt++
		if lost := q.deliver(it, a, succeeded); lost != nil {
			q.drop(it, lost.Error())
		}
	}
	kept := it.settle(err == nil)
	switch {
	case !kept:
		err = nil // it is over, or who queued it was told that it is not
	case err == nil:
		err = q.erase(it)
	case e.ctx.Err() != nil:
		err = nil // still stored: the next engine's
	default:
		again, err = q.later(it, a, err)
	}
	if err != nil {
		// The fact stays: at least once. It is tried again with the next start.
		e.cfg.Log.Error("the queue of functions cannot be written", "function", it.Function, "request", it.ID, "error", err)
	}
	q.mu.Lock()
	if q.running[it.Function]--; q.running[it.Function] == 0 {
		delete(q.running, it.Function)
	}
	if again {
		heap.Push(&q.waiting, it)
	} else {
		q.count--
	}
	q.mu.Unlock()
	if again && q.orphan(it) {
		// It was deleted while this event was in no list, where forget looks.
		if err := q.forget(e.ctx, it.Function); err != nil {
			e.cfg.Log.Error("the events of a deleted function are left", "function", it.Function, "error", err)
		}
	}
	q.nudge()
}

// orphan tells whether the item's function does not exist any more.
func (q *queue) orphan(it *item) bool {
	_, err := q.engine.Get(q.engine.ctx, it.Function)
	return strait.KindOf(err) == strait.NotFound
}

// errFunction says that the function itself failed.
var errFunction = errors.New("the function failed")

// errAged says that an event is too old to be run, after the server was away.
var errAged = errors.New("nobody ran it in time")

func (q *queue) attempt(it *item) (a attempt, err error) {
	e := q.engine
	if a.function, err = e.Resolve(e.ctx, it.Function, it.Qualifier); err != nil {
		return a, err
	}
	if a.async, _, err = e.async(e.ctx, it.Function, it.Qualifier); err != nil {
		return a, err
	}
	if a.payload, err = q.payload(e.ctx, it); err != nil {
		return a, err
	}
	if e.cfg.Now().Sub(it.Created) > a.async.age() {
		return a, errAged
	}
	a.result, err = e.invoke(e.ctx, a.function, Request{Payload: a.payload, Trace: it.Trace, RequestID: it.ID, Qualifier: it.Qualifier}, it.Attempt+1)
	if a.ran = err == nil; a.ran && a.result.FunctionError != "" {
		return a, errFunction
	}
	return a, err
}

// later stores when to try again, or gives up.
func (q *queue) later(it *item, a attempt, cause error) (again bool, err error) {
	e := q.engine
	now := e.cfg.Now().UTC()
	why, condition := "", ""
	switch {
	case strait.KindOf(cause) == strait.NotFound || errors.Is(cause, state.ErrNotFound):
		why = "the function does not exist any more"
	case errors.Is(cause, errFunction):
		if it.Attempt++; it.Attempt > a.async.retries() {
			why, condition = fmt.Sprintf("it failed %d times", it.Attempt), exhausted
		} else {
			it.Due = now.Add(e.cfg.Backoff(it.Attempt))
		}
	default:
		// Throttles and our own failures do not count as attempts.
		it.Due = now.Add(min(time.Second<<min(it.Delays, 10), 5*time.Minute))
		it.Delays++
	}
	if age := a.async.age(); why == "" && it.Due.Sub(it.Created) > age {
		why, condition = fmt.Sprintf("it would be older than %s when it is tried again", age), tooOldNow
		if !errors.Is(cause, errFunction) {
			why += ": " + cause.Error()
		}
	}
	if why != "" {
		q.drop(it, "the event was given up: "+why)
		if condition != "" {
			if lost := q.deliver(it, a, condition); lost != nil {
				q.drop(it, lost.Error())
			}
		}
		return false, q.erase(it)
	}
	w, err := it.write()
	if err != nil {
		return true, err
	}
	w.Expect = state.Present() // not when the function was deleted meanwhile
	_, err = e.cfg.Store.Apply(e.ctx, w)
	if errors.Is(err, state.ErrConflict) {
		return false, nil
	}
	return true, err
}

// drop tells that something of it is lost.
func (q *queue) drop(it *item, message string) {
	q.engine.tell(Event{Function: it.Function, RequestID: it.ID, Trace: it.Trace, Kind: "dropped", Message: message, Attempt: max(it.Attempt, 1)})
}

func (q *queue) erase(it *item) error {
	writes := []state.Write{{Key: queueKey + it.ID, Delete: true}}
	for n := range it.Parts {
		writes = append(writes, state.Write{Key: partKey(it.ID, n), Delete: true})
	}
	// Also while the engine closes: what was done need not be done again.
	_, err := q.engine.cfg.Store.Apply(context.WithoutCancel(q.engine.ctx), writes...)
	return err
}

// forget drops the events of a deleted function. Those that run end by themselves.
func (q *queue) forget(ctx context.Context, name string) error {
	q.mu.Lock()
	gone := q.ready[name]
	delete(q.ready, name)
	var kept dueHeap
	for _, it := range q.waiting {
		if it.Function == name {
			gone = append(gone, it)
		} else {
			kept = append(kept, it)
		}
	}
	q.waiting = kept
	heap.Init(&q.waiting)
	q.count -= len(gone)
	q.mu.Unlock()
	var errs []error
	for _, it := range gone {
		if it.settle(false) {
			errs = append(errs, q.erase(it))
		}
	}
	return errors.Join(errs...)
}

// A dueHeap has the item that is due first on top.
type dueHeap []*item

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(a, b int) bool { return h[a].Due.Before(h[b].Due) }
func (h dueHeap) Swap(a, b int)      { h[a], h[b] = h[b], h[a] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(*item)) }
func (h *dueHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	*h = old[:len(old)-1]
	return it
}
