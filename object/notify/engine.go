package notify

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"strait"
	"strait/object"
	"strait/object/settings"
	"strait/state"
)

// journalPrefix begins the keys of deliveries that are not done, sorted by time.
const journalPrefix = "notify/"

const (
	maxTold     = 16               // deliveries under way at a time
	tellTimeout = 30 * time.Second // of one try
	lastTry     = 24 * time.Hour   // after the event, a delivery is given up
)

// A Teller hands a message over. When it returns nil the message is the other
// side's, durably. An error of kind Denied, NotFound, Invalid, TooLarge or
// Unsupported is final; any other is tried again.
type Teller interface {
	Tell(ctx context.Context, d Delivery) error
}

// Config is what an Engine needs. Facts, Targets and Teller are required.
type Config struct {
	Facts   state.Store // keys below "notify/" are the engine's
	Targets *settings.Kept[Configuration]
	Teller  Teller
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: nothing is logged
	// Failed, unless nil, is told of a delivery that was given up. It must not
	// block.
	Failed func(Delivery, error)
	// First and Max are how long to wait before another try, at first and at
	// most. 0: one second and five minutes.
	First, Max time.Duration
	// MaxPending bounds the deliveries that are not done; beyond it, changes
	// that somebody is to be told of are refused. 0: 10,000.
	MaxPending int
}

// An Engine keeps the journal and empties it.
type Engine struct {
	cfg    Config
	ctx    context.Context // of the engine's own work; ended by Close
	cancel context.CancelFunc
	work   sync.WaitGroup
	slots  chan struct{}

	mu      sync.Mutex
	pending map[string]bool // keys of the journal that are being worked on
	last    int64           // the last sequence number given
}

// Open returns an engine that does nothing yet: whom it tells is often built
// after it. Run starts it. It must be closed before its store.
func Open(cfg Config) *Engine {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Failed == nil {
		cfg.Failed = func(Delivery, error) {}
	}
	cfg.First = cmp.Or(cfg.First, time.Second)
	cfg.Max = cmp.Or(cfg.Max, 5*time.Minute)
	cfg.MaxPending = cmp.Or(cfg.MaxPending, 10_000)
	e := &Engine{cfg: cfg, slots: make(chan struct{}, maxTold), pending: map[string]bool{}}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

// Run starts with what an earlier engine left and goes on with what comes.
func (e *Engine) Run() {
	e.work.Go(func() {
		for e.ctx.Err() == nil {
			if err := e.follow(); err != nil && e.ctx.Err() == nil {
				e.cfg.Log.Error("the journal of notifications cannot be read; trying again", "err", err)
				sleep(e.ctx, e.cfg.First)
			}
		}
	})
}

// Close stops and waits for what is under way. What is not handed over stays
// in the journal.
func (e *Engine) Close() error {
	e.cancel()
	e.work.Wait()
	return nil
}

// follow sends every delivery of the journal on its way, those that are there
// and those that come.
func (e *Engine) follow() error {
	for change, err := range e.cfg.Facts.Watch(e.ctx, journalPrefix, 0) {
		if err != nil {
			return err
		}
		if change.Deleted {
			continue
		}
		e.mu.Lock()
		known := e.pending[change.Key]
		e.pending[change.Key] = true
		e.mu.Unlock()
		if !known {
			e.work.Go(func() { e.drive(change.Fact) })
		}
	}
	return nil
}

// Note returns what must become true together with a change of an object for
// its targets to be told: nil when nobody is. message makes what a target is
// told, of what is known of the object when it changes; sequence grows with
// each change of one object.
func (e *Engine) Note(ctx context.Context, bucket, key, event, trace string, message func(t Target, i object.Info, sequence int64) []byte) (object.Also, error) {
	c, ok, err := e.cfg.Targets.Get(ctx, bucket)
	if err != nil || !ok {
		return nil, err
	}
	var to []Target
	for _, t := range c.Targets {
		if t.hears(event) && t.takes(key) {
			to = append(to, t)
		}
	}
	if len(to) == 0 {
		return nil, nil
	}
	e.mu.Lock()
	full := len(e.pending) >= e.cfg.MaxPending
	e.mu.Unlock()
	if full {
		return nil, strait.Errorf(strait.Unavailable, "notifications", "too many notifications of objects wait to be delivered; try again later")
	}
	return func(i object.Info) []state.Write {
		var ws []state.Write
		for _, t := range to {
			n := e.next()
			// Strings, times and JSON cannot fail to be encoded.
			b, _ := json.Marshal(Delivery{bucket, t.Function, trace, e.cfg.Now().UTC(), message(t, i, n)})
			ws = append(ws, state.Write{Key: fmt.Sprintf("%s%016x-%s", journalPrefix, uint64(n), rand.Text()), Value: b})
		}
		return ws
	}, nil
}

// next returns a number that is greater than all before it, of earlier engines,
// too, unless the clock was set back.
func (e *Engine) next() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last = max(e.last+1, e.cfg.Now().UnixNano())
	return e.last
}

// drive hands a delivery over, however often that must be tried.
func (e *Engine) drive(f state.Fact) {
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.pending, f.Key)
	}()
	var d Delivery
	if err := json.Unmarshal(f.Value, &d); err != nil {
		e.cfg.Log.Error("a notification in the journal cannot be read and is dropped", "key", f.Key, "err", err)
		e.forget(f.Key)
		return
	}
	for wait := e.cfg.First; ; wait = min(2*wait, e.cfg.Max) {
		err := e.tell(d)
		switch {
		case e.ctx.Err() != nil:
			return // perhaps told; again after the next start
		case err == nil:
			e.forget(f.Key)
			return
		case final(err) || e.cfg.Now().Sub(d.Noted) > lastTry:
			e.cfg.Log.Warn("a notification was given up", "bucket", d.Bucket, "function", d.Function, "trace", d.Trace, "err", err)
			e.cfg.Failed(d, err)
			e.forget(f.Key)
			return
		}
		e.cfg.Log.Debug("a notification is tried again", "bucket", d.Bucket, "function", d.Function, "trace", d.Trace, "err", err)
		sleep(e.ctx, wait)
	}
}

func (e *Engine) tell(d Delivery) error {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-e.ctx.Done():
		return e.ctx.Err()
	}
	ctx, cancel := context.WithTimeout(e.ctx, tellTimeout)
	defer cancel()
	return e.cfg.Teller.Tell(ctx, d)
}

// forget takes a delivery out of the journal. If that fails it is done again
// after a restart, which is allowed.
func (e *Engine) forget(key string) {
	if _, err := e.cfg.Facts.Apply(context.WithoutCancel(e.ctx), state.Write{Key: key, Delete: true}); err != nil {
		e.cfg.Log.Error("a notification that was delivered is still in the journal", "key", key, "err", err)
	}
}

// final tells whether trying again is of no use.
func final(err error) bool {
	var e *strait.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Kind {
	case strait.Denied, strait.NotFound, strait.Invalid, strait.TooLarge, strait.Unsupported:
		return true
	}
	return false
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
