package shadow

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"strait"
	"strait/state"
)

// Config is what an Engine needs.
type Config struct {
	Store state.Store      // keys below "shadow/" are the engine's
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: nothing is logged
	// MaxPending bounds the requests that wait for others of their shadow, and
	// MaxNamed the shadows of one thing. 0: 10,000 and 1,000. AWS names no
	// bounds; these keep one device from filling the house.
	MaxPending, MaxNamed int
}

// An Op is what a Request wants.
type Op int

// Operations on a shadow.
const (
	Get Op = iota
	Update
	Delete
)

// A Request is asked of one shadow.
type Request struct {
	Name     Name
	Op       Op
	Document []byte // of an Update; the others may have a client's token in it
}

// An Answer is what came of a Request. Its bytes are JSON.
type Answer struct {
	Err      error // a *strait.Error; then nothing was changed
	Document []byte
	Token    string // the client's, also when Err is set
	Time     time.Time

	// Of an update: what differs now, nil for nothing, and the shadow before
	// and after it.
	Delta     []byte
	Documents []byte
}

// An Engine keeps shadows. Its methods may be called from many goroutines.
type Engine struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool
	pending int
	lanes   map[Name][]turn // requests under way and waiting, the one under way first
	work    sync.WaitGroup
}

// A turn is a request in its lane.
type turn struct {
	request  Request
	answered func(Answer)
}

// Open returns an engine. It must be closed before its store.
func Open(cfg Config) (*Engine, error) {
	if cfg.Store == nil {
		return nil, errors.New("open shadows: a store is needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxPending <= 0 {
		cfg.MaxPending = 10_000
	}
	if cfg.MaxNamed <= 0 {
		cfg.MaxNamed = 1_000
	}
	e := &Engine{cfg: cfg, lanes: map[Name][]turn{}}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e, nil
}

// Close lets the requests under way be answered; those that wait are refused.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.work.Wait()
	e.cancel()
	return nil
}

// Submit has r answered and returns at once. answered is called once, in another
// goroutine, when what r did is durable, and before any later request for the
// same shadow is looked at: so that what is told of a shadow comes in order of
// its versions. An error means that answered is never called: Limit "shadow
// requests", Unavailable "shadow", or Invalid "name".
func (e *Engine) Submit(r Request, answered func(Answer)) error {
	if err := r.Name.Valid(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return strait.Errorf(strait.Unavailable, "shadow", "the server is going down")
	}
	if e.pending >= e.cfg.MaxPending {
		return strait.Errorf(strait.Limit, "shadow requests", "Too many requests are in flight")
	}
	e.pending++
	lane, busy := e.lanes[r.Name]
	e.lanes[r.Name] = append(lane, turn{r, answered})
	if !busy {
		e.work.Go(func() { e.drive(r.Name) })
	}
	return nil
}

// Do is Submit, and waits. When ctx ends first, the request may be carried out
// nevertheless.
func (e *Engine) Do(ctx context.Context, r Request, answered func(Answer)) (Answer, error) {
	done := make(chan Answer, 1)
	err := e.Submit(r, func(a Answer) {
		if answered != nil {
			answered(a)
		}
		done <- a
	})
	if err != nil {
		return Answer{}, err
	}
	select {
	case a := <-done:
		return a, a.Err
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
}

// drive answers the requests of one lane until it is empty.
func (e *Engine) drive(n Name) {
	e.mu.Lock()
	next := e.lanes[n][0]
	e.mu.Unlock()
	for {
		next.answered(e.answer(next.request))
		e.mu.Lock()
		e.pending--
		lane := e.lanes[n]
		lane[0] = turn{}
		if lane = lane[1:]; len(lane) == 0 {
			delete(e.lanes, n)
			e.mu.Unlock()
			return
		}
		e.lanes[n], next = lane, lane[0]
		e.mu.Unlock()
	}
}

func (e *Engine) answer(r Request) (a Answer) {
	defer func() {
		var s *strait.Error
		if a.Err != nil && !errors.As(a.Err, &s) {
			e.cfg.Log.Error("a shadow could not be served", "thing", r.Name.Thing, "shadow", r.Name.Shadow, "err", a.Err)
			a.Err = &strait.Error{Kind: strait.Internal, Thing: "shadow", Message: "Internal service failure", Err: a.Err}
		}
	}()
	a.Time = e.cfg.Now()
	if r.Op == Update {
		e.update(r, &a)
		return a
	}
	if a.Token, a.Err = tokenOf(r.Document); a.Err != nil {
		return a
	}
	if r.Op == Delete {
		e.remove(r.Name, &a)
		return a
	}
	d, _, err := e.load(r.Name)
	if err == nil && d == nil {
		err = noShadow(r.Name)
	}
	if a.Err = err; err == nil {
		a.Document = encode(d.whole(a.Token, a.Time))
	}
	return a
}

func (e *Engine) update(r Request, a *Answer) {
	// 1. What is wanted, and what there is.
	c, err := readChange(r.Document)
	if a.Token, a.Err = c.token, err; err != nil {
		return
	}
	d, revision, err := e.load(r.Name)
	expect := state.At(revision)
	before := d
	if err == nil && d == nil {
		expect, before, d = state.Absent(), &document{}, &document{}
		if d.Version, err = e.buried(r.Name, a.Time); err == nil {
			err = e.room(r.Name)
		}
	}
	if a.Err = err; err != nil {
		return
	}
	// 2. What comes of it.
	next := revise(a, &c, before, d)
	if a.Err != nil {
		return
	}
	// 3. Keep it.
	writes := []state.Write{{Key: r.Name.live(), Value: encode(next), Expect: expect}}
	if before.Version == 0 {
		writes = append(writes, state.Write{Key: r.Name.gone(), Delete: true})
	}
	if err := e.apply(writes...); err != nil {
		*a = Answer{Token: a.Token, Time: a.Time, Err: err}
	}
}

// revise returns what c makes of d, and fills a with what is told of it. before
// is d, or the empty document for a new shadow, whose version may go on from one
// that was deleted.
func revise(a *Answer, c *change, before, d *document) *document {
	if c.version != nil && *c.version != d.Version {
		a.Err = strait.Errorf(strait.Conflict, "shadow version", "Version conflict")
		return nil
	}
	next, touched := d.apply(c, a.Time.Unix())
	if next.size() > maxState {
		a.Err = tooLarge()
		return nil
	}
	tell(a, c, before, next, touched)
	whole := len(encode(next.whole(strings.Repeat("x", maxToken), a.Time)))
	if max(len(a.Document), len(a.Delta), len(a.Documents), whole) > maxMessage {
		// The times of thousands of small elements: nobody could be told.
		*a = Answer{Token: a.Token, Time: a.Time, Err: tooLarge()}
	}
	return next
}

// tell fills a with what is told of an update.
func tell(a *Answer, c *change, before, next *document, touched object) {
	now := a.Time.Unix()
	a.Document = encode(tokened(object{"state": c.state, "metadata": touched, "version": next.Version, "timestamp": now}, c.token))
	a.Documents = encode(tokened(object{"previous": before.moment(), "current": next.moment(), "timestamp": now}, c.token))
	if diff, times := delta(next.Desired, next.Reported, next.DesiredMeta); len(diff) > 0 {
		a.Delta = encode(tokened(object{"state": diff, "metadata": times, "version": next.Version, "timestamp": now}, c.token))
	}
}

// room refuses a new shadow of a thing that has very many.
func (e *Engine) room(n Name) error {
	if n.Shadow == "" {
		return nil
	}
	classic := Name{Thing: n.Thing}.live() // which begins the keys of the others, and does not count
	facts, err := e.cfg.Store.List(e.ctx, classic, classic, e.cfg.MaxNamed)
	if err == nil && len(facts) >= e.cfg.MaxNamed {
		err = strait.Errorf(strait.Limit, "shadows", "The thing has %d shadows, which is the limit", len(facts))
	}
	return err
}

func (e *Engine) remove(n Name, a *Answer) {
	d, revision, err := e.load(n)
	if err == nil && d == nil {
		err = noShadow(n)
	}
	if a.Err = err; err != nil {
		return
	}
	note, err := json.Marshal(grave{d.Version, a.Time.UTC()})
	if err == nil {
		err = e.apply(state.Write{Key: n.live(), Delete: true, Expect: state.At(revision)}, state.Write{Key: n.gone(), Value: note})
	}
	if a.Err = err; err == nil {
		a.Document = encode(tokened(object{"version": d.Version, "timestamp": a.Time.Unix()}, a.Token))
	}
}

// apply writes. A conflict means that another node was faster.
func (e *Engine) apply(writes ...state.Write) error {
	_, err := e.cfg.Store.Apply(e.ctx, writes...)
	if errors.Is(err, state.ErrConflict) {
		return strait.Errorf(strait.Conflict, "shadow version", "Version conflict")
	}
	return err
}

// List returns up to limit named shadows of thing, sorted, whose names come
// after the given one; more tells whether there are others behind them.
func (e *Engine) List(ctx context.Context, thing, after string, limit int) (names []string, more bool, err error) {
	if err := (Name{Thing: thing, Shadow: after}).Valid(); err != nil {
		return nil, false, err
	}
	prefix := Name{Thing: thing}.live()
	// The classic one is the prefix itself and comes first.
	facts, err := e.cfg.Store.List(ctx, prefix, prefix+after, limit+1)
	if err != nil {
		return nil, false, err
	}
	for _, f := range facts {
		names = append(names, strings.TrimPrefix(f.Key, prefix))
	}
	if len(names) > limit {
		return names[:limit], true, nil
	}
	return names, false, nil
}

// Sweep forgets the versions of what was deleted long ago.
func (e *Engine) Sweep(ctx context.Context) error {
	now := e.cfg.Now()
	for after := ""; ; {
		facts, err := e.cfg.Store.List(ctx, gonePrefix, after, 200)
		if err != nil || len(facts) == 0 {
			return err
		}
		for _, f := range facts {
			after = f.Key
			var g grave
			if json.Unmarshal(f.Value, &g) == nil && now.Sub(g.Deleted) <= remembered {
				continue
			}
			_, err := e.cfg.Store.Apply(ctx, state.Write{Key: f.Key, Delete: true, Expect: state.At(f.Revision)})
			if err != nil && !errors.Is(err, state.ErrConflict) {
				return err
			}
		}
	}
}
