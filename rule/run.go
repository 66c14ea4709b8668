package rule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"strait"
)

const (
	// maxRounds is how many runs call the Invoker at the same time.
	maxRounds = 64
	// grace is how long a run may take to be handed over before it is written
	// to the journal. Handing over is one durable write elsewhere, so that most
	// runs need no write here at all: an unfinished one that is not in the
	// journal is not acknowledged either.
	grace = 20 * time.Millisecond
	// invokeTimeout bounds one call of the Invoker or Actor, saveTimeout one write.
	invokeTimeout = 30 * time.Second
	// askTimeout bounds one question of a function of the SQL; AWS says so of
	// aws_lambda.
	askTimeout  = 2 * time.Second
	saveTimeout = 10 * time.Second
)

// A run is one message at one rule. Only its own goroutine (drive) touches it,
// but for safe and unsafe.
type run struct {
	id       string // its key in the journal
	entry    entry
	payload  []byte // what the actions get
	original []byte // what was published; kept for the error action only
	bytes    int64  // counted against MaxPendingBytes

	saved bool // the journal has it, as it is but for actions done meanwhile

	// prepare, unless nil, evaluates the rule first: it may take seconds.
	prepare func(context.Context) bool

	safe   chan struct{} // closed when the run is durable, or cannot be made so
	unsafe error         // why not; written before safe is closed
	told   bool          // safe is closed
}

// entry is what the journal knows of a run, beside its payloads.
type entry struct {
	Rule     string
	Trace    string
	Topic    string
	ClientID string
	Hops     int      `json:",omitempty"`
	Raw      bool     `json:",omitempty"` // the payload is the published one, and no JSON
	Pending  []Action // actions that are not done yet
	OnError  Action   // the error action, none when there is none or it is due already
	Failures []failure
	Reported bool // the payload is the error action's, Pending is the error action
}

// A failure is an element of the error action's document.
type failure struct {
	FailedAction   string `json:"failedAction"`
	FailedResource string `json:"failedResource"`
	ErrorMessage   string `json:"errorMessage"`
}

// newRun makes the run of d for m, with nothing to do yet.
func newRun(d *definition, m *Message) *run {
	return &run{safe: make(chan struct{}),
		entry: entry{Rule: d.rule.Name, Trace: m.Trace, Topic: m.Topic, ClientID: m.ClientID, Hops: m.Hops}}
}

// MaxHops bounds how often a message may be republished by rules: two rules
// that feed each other must come to an end (AWS has no bound).
const MaxHops = 8

// unfit tells why a cannot be done with the payload of r.
func (r *run) unfit(a *Action) error {
	switch {
	case a.Lambda != nil && r.entry.Raw && len(r.payload) > 0:
		return strait.Errorf(strait.Invalid, "payload", "the payload is not JSON, and a function takes nothing else; select encode(*, 'base64') AS data")
	case a.Republish != nil && r.entry.Hops >= MaxHops:
		return strait.Errorf(strait.Invalid, "action", "the message has been republished %d times; rules that feed each other end here", MaxHops)
	}
	return nil
}

func (r *run) fail(a *Action, err error) {
	message := "the action failed" // causes are for the log, not for a function
	var told *strait.Error
	if errors.As(err, &told) {
		message = told.Message
	}
	r.entry.Failures = append(r.entry.Failures, failure{a.Kind(), a.Target(), message})
}

// settle answers those who wait for r, once.
func (r *run) settle(err error) {
	if !r.told {
		r.told, r.unsafe = true, err
		close(r.safe)
	}
}

// start sends r on its way, unless too much is on its way already.
func (e *Engine) start(r *run) {
	e.mu.Lock()
	full := e.pending >= e.cfg.MaxPending || e.bytes+r.bytes > e.cfg.MaxPendingBytes
	if !e.closed && !full {
		e.pending++
		e.bytes += r.bytes
		e.work.Go(func() { e.drive(r) })
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	err := strait.Errorf(strait.Unavailable, "rule journal", "too many rule actions are waiting to be handed over; try again later")
	if !full {
		err = strait.Errorf(strait.Unavailable, "rule journal", "the rules engine is closing; try again later")
	}
	e.tell(r, Dropped, nil, err)
	r.settle(err)
}

// drive carries r out to its end, or until the engine is closed.
func (e *Engine) drive(r *run) {
	defer e.release(r)
	if !e.prepared(r) {
		return
	}
	for attempt := 1; ; attempt++ {
		// 1. Hand over what is pending.
		e.round(r, attempt == e.cfg.Retry.Attempts)
		if e.finished(r) {
			return
		}
		// 2. All tried for good, some in vain: the error action is what is left.
		due := len(r.entry.Pending) == 0
		if due {
			r.report(e.cfg.Now())
			attempt, r.saved = 0, false
		}
		// 3. Keep it. If that fails the publisher is told, and we try on
		// nevertheless: the message may come again, which is allowed.
		if !r.saved {
			r.settle(e.save(r))
		}
		if !due {
			sleep(e.ctx, e.backoff(attempt))
		}
		if e.ctx.Err() != nil {
			return
		}
	}
}

// prepared evaluates a run that asks outside; false when it is over.
func (e *Engine) prepared(r *run) bool {
	if r.prepare == nil {
		return true
	}
	select {
	case e.slots <- struct{}{}:
	case <-e.ctx.Done():
		return false // unsafe, so the message comes again
	}
	counted := r.bytes
	more := r.prepare(e.ctx)
	<-e.slots
	e.mu.Lock()
	e.bytes += r.bytes - counted
	e.mu.Unlock()
	if e.ctx.Err() != nil {
		return false
	}
	if !more {
		r.settle(nil)
	}
	return more
}

// finished ends r when nothing is left to do.
func (e *Engine) finished(r *run) bool {
	if len(r.entry.Pending) > 0 || len(r.entry.Failures) > 0 && !r.entry.OnError.none() {
		return false
	}
	if r.saved {
		e.forget(r)
	}
	r.settle(nil)
	return true
}

// report turns r into the run of its error action.
func (r *run) report(now time.Time) {
	r.payload = errorDocument(r)
	r.original = nil
	r.entry.Pending = []Action{r.entry.OnError}
	r.entry.OnError, r.entry.Reported, r.entry.Failures, r.entry.Raw = Action{}, true, nil, false
}

// errorDocument is what an error action gets [DG Error handling].
func errorDocument(r *run) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	// Strings, bytes and slices of them cannot fail to be encoded.
	_ = enc.Encode(struct {
		RuleName string    `json:"ruleName"`
		Topic    string    `json:"topic"`
		Trace    string    `json:"cloudwatchTraceId"`
		ClientID string    `json:"clientId"`
		Payload  []byte    `json:"base64OriginalPayload"`
		Failures []failure `json:"failures"`
	}{r.entry.Rule, r.entry.Topic, r.entry.Trace, r.entry.ClientID, append([]byte{}, r.original...), r.entry.Failures})
	return bytes.TrimRight(buf.Bytes(), "\n")
}

// round calls the Invoker once for each pending function, all at the same
// time, and takes in the results. When that takes long, r is saved meanwhile.
func (e *Engine) round(r *run, last bool) {
	if len(r.entry.Pending) == 0 {
		return
	}
	results := make([]error, len(r.entry.Pending))
	done := make(chan struct{})
	e.do(func() {
		defer close(done)
		select {
		case e.slots <- struct{}{}:
			defer func() { <-e.slots }()
			e.invoke(r, results)
		case <-e.ctx.Done():
			for i := range results {
				results[i] = e.ctx.Err()
			}
		}
	})
	if !r.saved {
		slow := time.NewTimer(grace)
		select {
		case <-done:
		case <-slow.C:
			if e.save(r) == nil { // otherwise there is still hope in the round
				r.settle(nil)
			}
		}
		slow.Stop()
	}
	<-done
	e.conclude(r, results, last)
}

// idleHand is how long a goroutine of do waits for more to do.
const idleHand = 5 * time.Second

// do runs fn in another goroutine, if there is one that has run others: what an
// action leads to is deep, and its stack has grown already. Growing it anew for
// each message was an eighth of what a message costs.
func (e *Engine) do(fn func()) {
	select {
	case e.jobs <- fn:
	default:
		go e.hand(fn)
	}
}

func (e *Engine) hand(fn func()) {
	idle := time.NewTimer(idleHand)
	defer idle.Stop()
	for {
		fn()
		idle.Reset(idleHand)
		select {
		case fn = <-e.jobs:
		case <-idle.C:
			return
		case <-e.ctx.Done():
			return
		}
	}
}

// invoke fills results; it only reads r.
func (e *Engine) invoke(r *run, results []error) {
	rule, err := e.Get(r.entry.Rule)
	if err != nil {
		for i := range results {
			results[i] = errDeleted
		}
		return
	}
	ctx, cancel := context.WithTimeout(e.ctx, invokeTimeout)
	defer cancel()
	if len(r.entry.Pending) == 1 { // most rules have one
		results[0] = e.act(ctx, rule, r, r.entry.Pending[0])
		return
	}
	var wg sync.WaitGroup
	for i, a := range r.entry.Pending {
		wg.Go(func() { results[i] = e.act(ctx, rule, r, a) })
	}
	wg.Wait()
}

func (e *Engine) act(ctx context.Context, rule Rule, r *run, a Action) error {
	if a.HTTP != nil {
		if err := e.permitted(ctx, a.HTTP); err != nil {
			return err
		}
	}
	if a.Lambda == nil {
		t := Task{Action: a, Payload: r.payload, JSON: !r.entry.Raw, Trace: r.entry.Trace, Hops: r.entry.Hops + 1}
		if a.HTTP != nil {
			return e.gather(ctx, rule, r, t)
		}
		return e.cfg.Actor.Act(ctx, rule, t)
	}
	payload := r.payload
	if r.entry.Raw { // an empty one, see unfit
		payload = []byte("{}")
	}
	return e.cfg.Invoker.Invoke(ctx, rule, a.Lambda.FunctionARN, payload, r.entry.Trace)
}

var errDeleted = strait.Errorf(strait.NotFound, "rule", "the rule was deleted before its actions were handed over")

// conclude takes in what one round brought.
func (e *Engine) conclude(r *run, results []error, last bool) {
	var left []Action
	for i, a := range r.entry.Pending {
		err := results[i]
		switch {
		case err == nil && a.Lambda != nil:
			e.tell(r, Invoked, &a, nil)
		case err == nil:
			e.tell(r, Done, &a, nil)
		case e.ctx.Err() != nil: // closing; the journal keeps it
			left = append(left, a)
		case errors.Is(err, errDeleted):
			e.tell(r, Dropped, &a, err)
			r.entry.OnError = Action{}
		case last || final(err):
			e.tell(r, Failed, &a, err)
			r.fail(&a, err)
		default:
			e.tell(r, Retrying, &a, err)
			left = append(left, a)
		}
	}
	if r.entry.Reported {
		r.entry.Failures = nil // there is no error action for error actions
	}
	r.entry.Pending = left
}

// final tells whether asking again is of no use.
func final(err error) bool {
	switch strait.KindOf(err) {
	case strait.Invalid, strait.Denied, strait.NotFound, strait.TooLarge, strait.Unsupported:
		return true
	}
	return false
}

func (e *Engine) tell(r *run, step Step, a *Action, err error) {
	ev := Event{Trace: r.entry.Trace, Rule: r.entry.Rule, Topic: r.entry.Topic, Step: step, Err: err}
	if a != nil {
		ev.Action = a.Kind() + " " + a.Target()
		if a.Lambda != nil {
			ev.Function = a.Lambda.FunctionARN
		}
	}
	e.cfg.Events(ev)
	if step == Failed || step == Dropped {
		e.cfg.Log.Warn("a rule's action was not carried out", "rule", r.entry.Rule, "trace", r.entry.Trace, "action", ev.Action, "step", string(step), "err", err)
	}
}

// release ends what start began.
func (e *Engine) release(r *run) {
	r.settle(strait.Errorf(strait.Unavailable, "rule journal", "the rules engine is closing; try again later"))
	e.mu.Lock()
	e.pending--
	e.bytes -= r.bytes
	e.mu.Unlock()
}

func (e *Engine) backoff(attempt int) time.Duration {
	d := e.cfg.Retry.First
	for ; attempt > 1 && d < e.cfg.Retry.Max; attempt-- {
		d *= 2
	}
	return min(d, e.cfg.Retry.Max)
}

// sleep waits for d or until ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
