package schedule

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"strait"
	"strait/state"
)

// Config is what an Engine needs. Store and Invoker are required.
type Config struct {
	Store   state.Store // keys below "schedule/" are the engine's
	Invoker Invoker
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: nothing is logged
	// Events, unless nil, is told of every call that was given up; it must not
	// block.
	Events func(Due, error)
	// Backoff is the pause before another try of a call that failed n times;
	// nil: 1 s, doubled each time up to 5 minutes.
	Backoff func(n int) time.Duration
	// Max bounds the schedules, MaxDue the calls that are not over. 0: 100,000
	// and 10,000.
	Max, MaxDue int
}

// An Invoker calls targets. An error of kind Unavailable, Limit, Conflict or
// Internal means that the call is tried again; any other that it is not.
type Invoker interface {
	Invoke(ctx context.Context, d Due) error
}

// A Due is one call of one target.
type Due struct {
	ID       string // the same for each try
	Schedule Key
	Target   Target
	Time     time.Time // when it was due
	Attempt  int       // tries that failed already
}

// An Engine keeps schedules and calls their targets when they are due.
//
// What is due is written down first, then begun, so that it is called at least
// once: a crash in between makes that it is called after the restart. What fell
// due while nobody ran, or while the clock jumped, is made up for once: of a
// schedule that was due several times the last time counts, the others are
// passed over; and what is older than the target's Retry.Age is not called.
//
// Its methods may be called from many goroutines.
type Engine struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{}
	work   sync.WaitGroup

	change    sync.Mutex  // held while something is written about schedules
	deletions []*deletion // oldest first; guarded by change

	mu     sync.Mutex
	items  map[Key]*item
	groups map[string]*Group
	due    map[string]*call
	calls  sync.WaitGroup
	closed bool
}

// An item is a schedule and where it stands.
type item struct {
	Schedule
	plan
	last  time.Time // up to which all that was due has been written down
	next  time.Time // when it is due; zero: never
	start time.Time // next and what the window adds
}

// A call is a Due on its way.
type call struct {
	Due
	At      time.Time // of the next try
	running bool
}

const (
	itemPrefix = "schedule/item/"
	lastPrefix = "schedule/last/"
	duePrefix  = "schedule/due/"
)

func (k Key) path() string { return k.Family + "/" + k.Group + "/" + k.Name }

// Open reads what is stored. Nothing is called before Start.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	if cfg.Store == nil || cfg.Invoker == nil {
		return nil, errors.New("open schedules: a store and an invoker are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Events == nil {
		cfg.Events = func(Due, error) {}
	}
	if cfg.Backoff == nil {
		cfg.Backoff = func(n int) time.Duration { return min(time.Second<<min(n-1, 10), 5*time.Minute) }
	}
	cfg.Max, cfg.MaxDue = cmp.Or(cfg.Max, 100_000), cmp.Or(cfg.MaxDue, 10_000)
	e := &Engine{cfg: cfg, wake: make(chan struct{}, 1), items: map[Key]*item{}, groups: map[string]*Group{}, due: map[string]*call{}}
	if err := e.load(ctx); err != nil {
		return nil, fmt.Errorf("open schedules: %w", err)
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e, nil
}

// Start begins to call what is due. It is called once.
func (e *Engine) Start() { e.work.Go(e.run) }

// Close lets the calls under way end; what is not over is called again after
// the next Open.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.cancel()
	e.work.Wait()
	e.calls.Wait()
	return nil
}

func (e *Engine) load(ctx context.Context) error {
	paths := map[string]*item{}
	for _, part := range []struct {
		prefix string
		read   func(f state.Fact) error
	}{
		{groupPrefix, func(f state.Fact) error {
			g := &Group{}
			err := json.Unmarshal(f.Value, g)
			e.groups[g.Name] = g
			return err
		}},
		{itemPrefix, func(f state.Fact) (err error) {
			i := &item{}
			if err = json.Unmarshal(f.Value, &i.Schedule); err == nil {
				i.plan, err = i.check()
			}
			e.items[i.Key], paths[i.path()] = i, i
			return err
		}},
		{lastPrefix, func(f state.Fact) error {
			if i := paths[strings.TrimPrefix(f.Key, lastPrefix)]; i != nil {
				return i.last.UnmarshalText(f.Value)
			}
			return nil
		}},
		{deletedPrefix, func(f state.Fact) error {
			d := &deletion{}
			err := json.Unmarshal(f.Value, d)
			e.deletions = append(e.deletions, d)
			return err
		}},
		{duePrefix, func(f state.Fact) error {
			c := &call{}
			err := json.Unmarshal(f.Value, c)
			e.due[c.ID] = c
			return err
		}},
	} {
		for after := ""; ; {
			facts, err := e.cfg.Store.List(ctx, part.prefix, after, 500)
			if err != nil {
				return err
			}
			if len(facts) == 0 {
				break
			}
			for _, f := range facts {
				after = f.Key
				if err := part.read(f); err != nil {
					return fmt.Errorf("the fact %q is damaged: %w", f.Key, err)
				}
			}
		}
	}
	e.sortDeletions()
	now := e.cfg.Now()
	for _, i := range e.items {
		i.aim(now)
	}
	return nil
}

func storeError(err error) error {
	if errors.Is(err, state.ErrConflict) {
		return strait.Errorf(strait.Conflict, "schedule", "the schedule has changed meanwhile; try again")
	}
	return err
}
