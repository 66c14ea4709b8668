package rule

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"strait"
	"strait/state"
)

// Config is what an Engine needs. Store, Invoker and Place are required.
type Config struct {
	Store   state.Store // keys below "rule/" are the engine's
	Invoker Invoker
	Place   strait.Place
	Actor   Actor            // nil: only functions are offered as actions
	Poster  Poster           // nil: HTTP actions are not offered
	Asker   Asker            // nil: functions that ask outside are not offered
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: nothing is logged
	// Events, unless nil, is told each step, from many goroutines and on the
	// path of publishing: it must not block.
	Events func(Event)
	Retry  Retry
	// MaxPending and MaxPendingBytes bound the runs that are not handed over
	// yet; a run beyond them is refused (Accept). 0: 10,000 and 64 MiB.
	MaxPending int
	// MaxRules is how many rules there may be; 0 means MaxRules. AWS's quota,
	// which can be raised there, is 1,000.
	MaxRules        int
	MaxPendingBytes int64
}

// Retry says how long an action that fails is tried again: after First, then
// after twice as long each time up to Max, at most Attempts times in all
// (after a restart the count begins anew). Zero fields get the defaults of
// 500 ms, 1 minute and 12 attempts, which is about six minutes; AWS says only
// "for a while".
type Retry struct {
	First, Max time.Duration
	Attempts   int
}

// An Engine holds the rules and runs them. Its methods may be called from many
// goroutines.
type Engine struct {
	cfg          Config
	rules        atomic.Pointer[catalog]
	destinations sync.Mutex // held while one is changed
	change       sync.Mutex // held while the rules are changed

	learning sync.Mutex // guards what is known of the rules
	known    map[string]known
	alive    int         // those of them that are not deleted
	stale    atomic.Bool // the catalog is not what is known

	ctx    context.Context // of the engine's own work; ended by Close
	cancel context.CancelFunc
	slots  chan struct{} // one for each round of invocations under way

	batches batches
	jobs    chan func() // of do

	mu       sync.Mutex
	closed   bool
	pending  int
	bytes    int64
	replayed []*run // read by Open, started by Resume
	work     sync.WaitGroup
}

// Open reads the rules and the journal. Runs found in the journal start with
// Resume, because what the Invoker leads to is often built after the engine.
// The engine must be closed before its store.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	// 1. The defaults.
	if cfg.Store == nil || cfg.Invoker == nil || cfg.Place == (strait.Place{}) {
		return nil, errors.New("open rules: a store, an invoker and a place are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Events == nil {
		cfg.Events = func(Event) {}
	}
	cfg.Retry.First = cmp.Or(cfg.Retry.First, 500*time.Millisecond)
	cfg.Retry.Max = cmp.Or(cfg.Retry.Max, time.Minute)
	cfg.Retry.Attempts = cmp.Or(cfg.Retry.Attempts, 12)
	cfg.MaxRules = cmp.Or(cfg.MaxRules, MaxRules)
	cfg.MaxPending = cmp.Or(cfg.MaxPending, 10_000)
	cfg.MaxPendingBytes = cmp.Or(cfg.MaxPendingBytes, 64<<20)

	// 2. What is stored.
	e := &Engine{cfg: cfg, known: make(map[string]known), slots: make(chan struct{}, maxRounds), jobs: make(chan func())}
	e.stale.Store(true)
	from, err := e.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("open rules: %w", err)
	}
	if err := e.loadJournal(ctx); err != nil {
		return nil, fmt.Errorf("open rules: %w", err)
	}

	// 3. Whatever comes.
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.work.Go(func() { e.follow(from) })
	return e, nil
}

// Resume carries out the runs that a former engine had accepted and not handed
// over. Call it once the Invoker can be called; later calls do nothing.
func (e *Engine) Resume() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	for _, r := range e.replayed {
		e.work.Go(func() { e.drive(r) })
	}
	e.replayed = nil
}

// Close stops the engine and waits for what is under way. Runs that are not
// handed over yet stay in the journal.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.cancel()
	e.work.Wait()
	return nil
}

// Accept runs m through every rule that matches it. The runs start at once;
// wait, which may be called more than once and is nil when there is nothing to
// wait for, returns when each of them is durable: handed over, or in the
// journal and tried again after a restart. A run that failed for good counts
// as done, because sending the message again would not help; Config.Events
// and the rule's error action tell of it.
//
// wait fails with ctx's error, or with Unavailable "rule journal" when a run
// could not be made durable or too many are pending: then the message must not
// be acknowledged, and may be sent again.
func (e *Engine) Accept(m Message) (wait func(context.Context) error) {
	defs, seen, basic := e.current().match(m.Topic)
	if len(defs) == 0 {
		if basic != "" {
			e.cfg.Events(Event{Trace: m.Trace, Rule: basic, Topic: m.Topic, Step: NoSuchRule})
		}
		return nil
	}
	if m.Time.IsZero() {
		m.Time = e.cfg.Now()
	}
	in := e.input(&m, seen)
	var runs []*run
	for _, d := range defs {
		if r := e.evaluate(d, &m, in); r != nil {
			runs = append(runs, r)
		}
	}
	if len(runs) == 0 {
		return nil
	}
	for _, r := range runs {
		e.start(r)
	}
	return func(ctx context.Context) error {
		for _, r := range runs {
			select {
			case <-r.safe:
			case <-ctx.Done():
				return ctx.Err()
			}
			if r.unsafe != nil {
				return r.unsafe
			}
		}
		return nil
	}
}

func (e *Engine) input(m *Message, seen string) *Input {
	return &Input{Topic: seen, Payload: m.Payload, ClientID: m.ClientID, Principal: m.Principal,
		Trace: m.Trace, Account: e.cfg.Place.Account, Time: m.Time, Properties: m.Properties}
}

// evaluate makes the run of one rule, nil when there is nothing to run. A rule
// that asks outside is evaluated by its run, because that takes its time.
func (e *Engine) evaluate(d *definition, m *Message, in *Input) *run {
	r := newRun(d, m)
	switch {
	case d.rule.Disabled:
		e.step(r, Disabled, nil)
		return nil
	case d.broken != nil:
		e.step(r, Failed, d.broken)
		return nil
	case !d.asks:
		if !e.apply(d, r, in) {
			return nil
		}
		return r
	}
	kept := *m
	kept.Payload = bytes.Clone(m.Payload)
	r.bytes = int64(len(kept.Payload))
	r.prepare = func(ctx context.Context) bool {
		in := e.input(&kept, in.Topic)
		in.Ask = func(q Question) ([]byte, error) {
			ctx, cancel := context.WithTimeout(ctx, askTimeout)
			defer cancel()
			return e.cfg.Asker.Answer(ctx, d.rule, q, kept.Trace)
		}
		return e.apply(d, r, in)
	}
	return r
}

// apply fills r with what d makes of in; false when there is nothing to run.
func (e *Engine) apply(d *definition, r *run, in *Input) bool {
	// 1. The document.
	document, ok, err := d.stmt.Eval(in)
	if err == nil && !ok {
		e.step(r, WhereFalse, nil)
		return false
	}
	e.step(r, Matched, nil)
	if err != nil {
		e.step(r, Failed, err)
	}
	r.payload = document
	r.entry.Raw = err == nil && d.stmt.whole() && !in.JSON()
	// 2. The actions, each with its templates filled in.
	for i := range d.actions {
		a, wrong := d.actions[i].fill(in, e.cfg.Place)
		if wrong = cmp.Or(err, wrong, r.unfit(&a)); wrong == nil {
			r.entry.Pending = append(r.entry.Pending, a)
			continue
		}
		if err == nil {
			e.tell(r, Failed, &a, wrong)
		}
		r.fail(&a, wrong)
	}
	// 3. The error action, while the message is at hand.
	if d.onError != nil {
		a, wrong := d.onError.fill(in, e.cfg.Place)
		if wrong != nil && len(r.entry.Failures) > 0 {
			e.tell(r, Failed, &a, wrong)
		} else if wrong == nil {
			r.entry.OnError = a
			r.original = bytes.Clone(in.Payload)
		}
	}
	r.bytes = int64(len(r.payload) + len(r.original))
	r.id = newRunID(in.Time)
	return len(r.entry.Pending) > 0 || len(r.entry.Failures) > 0 && !r.entry.OnError.none()
}

func (e *Engine) step(r *run, step Step, err error) {
	e.cfg.Events(Event{Trace: r.entry.Trace, Rule: r.entry.Rule, Topic: r.entry.Topic, Step: step, Err: err})
}
