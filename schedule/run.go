package schedule

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"strait"
	"strait/state"
)

const (
	// look is how often the clock is looked at: it may be moved.
	look = time.Second
	// callTime bounds one try of a call.
	callTime = time.Minute
	// most is how many calls are under way at once.
	most = 32
	// storeTime is what writing may take while the engine closes.
	storeTime = 10 * time.Second
)

// aim works out when i is due next. Of several times that are over, with their
// windows, the last one counts.
func (i *item) aim(now time.Time) {
	i.next, i.start = time.Time{}, time.Time{}
	if i.Disabled {
		return
	}
	next, ok := i.Schedule.next(i.plan, i.last)
	if !ok {
		return
	}
	next = i.latest(next, now.Add(-i.Window))
	i.next, i.start = next, next.Add(i.jitter(next))
}

// latest returns the last time up to until at which i is due, or first when
// there is no later one. It looks back in growing steps, because a schedule
// may have been due a million times since first.
func (i *item) latest(first, until time.Time) time.Time {
	if first.After(until) {
		return first
	}
	for back := time.Minute; ; back *= 2 {
		from := until.Add(-back)
		if from.Before(first) {
			from = first.Add(-1)
		}
		t, ok := i.Schedule.next(i.plan, from)
		if !ok || t.After(until) {
			continue
		}
		for {
			later, more := i.Schedule.next(i.plan, t)
			if !more || later.After(until) {
				return t
			}
			t = later
		}
	}
}

// jitter is how much later than t the call begins: the same after a restart,
// and evenly in the window.
func (i *item) jitter(t time.Time) time.Duration {
	if i.Window <= 0 {
		return 0
	}
	sum := sha256.Sum256([]byte(i.path() + t.UTC().Format(time.RFC3339)))
	return time.Duration(binary.BigEndian.Uint64(sum[:]) % uint64(i.Window))
}

// run watches the clock.
func (e *Engine) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	slots := make(chan struct{}, most)
	soonest, known := time.Time{}, false
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-e.wake:
			known = false
		case <-timer.C:
		}
		now := e.cfg.Now()
		if !known || !soonest.IsZero() && !now.Before(soonest) {
			soonest = e.step(now, slots)
			known = true
		}
		pause := look
		if !soonest.IsZero() {
			pause = min(look, max(soonest.Sub(now), time.Millisecond))
		}
		timer.Reset(pause)
	}
}

// Wake has the engine look at the clock now.
func (e *Engine) Wake() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// step begins all that is due now, and returns when something is due next;
// zero when nothing is.
func (e *Engine) step(now time.Time, slots chan struct{}) (soonest time.Time) {
	later := func(t time.Time) {
		if !t.IsZero() && (soonest.IsZero() || t.Before(soonest)) {
			soonest = t
		}
	}
	// 1. Write down what is due.
	e.mu.Lock()
	var ripe []Key
	for k, i := range e.items {
		if i.start.IsZero() {
			continue
		}
		if i.start.After(now) {
			later(i.start)
			continue
		}
		ripe = append(ripe, k)
	}
	e.mu.Unlock()
	for _, k := range ripe {
		next, err := e.fire(k, now)
		if err != nil && e.ctx.Err() == nil {
			e.cfg.Log.Error("what is due could not be written down; it is tried again", "schedule", k.Name, "group", k.Group, "err", err)
			next = now.Add(look)
		}
		later(next)
	}
	// 2. Call it.
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.due {
		switch {
		case c.running || e.closed:
		case c.At.After(now):
			later(c.At)
		default:
			select {
			case slots <- struct{}{}:
				c.running = true
				e.calls.Go(func() {
					defer e.Wake() // there is room, or another time to wait for
					defer func() { <-slots }()
					e.call(c)
				})
			default: // whoever ends wakes us
			}
		}
	}
	return soonest
}

// fire writes down the calls of one schedule, and until when it was looked at.
func (e *Engine) fire(k Key, now time.Time) (next time.Time, err error) {
	e.change.Lock()
	defer e.change.Unlock()
	e.mu.Lock()
	i := e.items[k]
	if i == nil {
		e.mu.Unlock()
		return next, nil
	}
	i.aim(now)
	if i.start.IsZero() || i.start.After(now) {
		defer e.mu.Unlock()
		return i.start, nil
	}
	at := i.next
	room := e.cfg.MaxDue - len(e.due)
	s := i.Schedule
	e.mu.Unlock()

	var calls []*call
	for _, t := range s.Targets {
		c := &call{Due: Due{ID: callID(&s, at, t.ID), Schedule: k, Target: t, Time: at}, At: now}
		switch {
		case now.Sub(at) > t.Retry.Age && now.Sub(at) > s.Window+time.Minute:
			e.cfg.Events(c.Due, strait.Errorf(strait.Unavailable, "schedule", "it was due at %s, which is too long ago", at.UTC().Format(time.RFC3339)))
		case len(calls) >= room:
			e.cfg.Events(c.Due, strait.Errorf(strait.Limit, "calls", "there are %d calls already that are not over", e.cfg.MaxDue))
		default:
			calls = append(calls, c)
		}
	}
	last, err := at.MarshalText()
	if err != nil {
		return next, err
	}
	writes := []state.Write{{Key: lastPrefix + k.path(), Value: last}}
	// One batch holds one input. The time goes last: a crash before it makes
	// that all are written down again, under the same names.
	for n, c := range calls {
		w, err := c.write()
		if err != nil {
			return next, err
		}
		if n == len(calls)-1 {
			writes = append(writes, w)
		} else if _, err := e.cfg.Store.Apply(e.ctx, w); err != nil {
			return next, err
		}
	}
	if _, err := e.cfg.Store.Apply(e.ctx, writes...); err != nil {
		return next, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range calls {
		if e.due[c.ID] == nil { // else it is on its way already
			e.due[c.ID] = c
		}
	}
	i.last = at
	i.aim(now)
	if i.start.IsZero() && len(calls) == 0 {
		e.work.Go(func() { e.complete(k) })
	}
	return i.start, nil
}

// callID names a call, so that it has the same name when it is written down
// again after a crash.
func callID(s *Schedule, at time.Time, target string) string {
	name := []string{s.path(), s.Begun.UTC().Format(time.RFC3339Nano), at.UTC().Format(time.RFC3339Nano), target}
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(strings.Join(name, "/"))).String()
}

func (c *call) write() (state.Write, error) {
	value, err := json.Marshal(c)
	return state.Write{Key: duePrefix + c.ID, Value: value}, err
}

// call makes one try.
func (e *Engine) call(c *call) {
	ctx, cancel := context.WithTimeout(e.ctx, callTime)
	err := e.cfg.Invoker.Invoke(ctx, c.Due)
	cancel()
	if err != nil && e.ctx.Err() != nil {
		return // it is called again after the restart
	}
	now := e.cfg.Now()
	wait := e.cfg.Backoff(c.Attempt + 1)
	if err != nil && passing(err) && c.Attempt < c.Target.Retry.Attempts && now.Add(wait).Sub(c.Time) <= c.Target.Retry.Age {
		e.again(c, now.Add(wait))
		return
	}
	e.over(c)
	if err != nil {
		e.cfg.Events(c.Due, err)
	}
}

// passing tells whether another try may help.
func passing(err error) bool {
	switch strait.KindOf(err) {
	case strait.Unavailable, strait.Limit, strait.Conflict, strait.Internal:
		return true
	}
	return false
}

func (e *Engine) again(c *call, at time.Time) {
	e.mu.Lock()
	c.Attempt++
	c.At = at
	w, err := c.write()
	e.mu.Unlock()
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), storeTime)
		_, err = e.cfg.Store.Apply(ctx, w)
		cancel()
	}
	if err != nil {
		e.cfg.Log.Error("the tries of a call are not written down; a restart begins to count anew", "schedule", c.Schedule.Name, "err", err)
	}
	e.mu.Lock()
	c.running = false
	e.mu.Unlock()
}

func (e *Engine) over(c *call) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), storeTime)
	defer cancel()
	if _, err := e.cfg.Store.Apply(ctx, state.Write{Key: duePrefix + c.ID, Delete: true}); err != nil {
		e.cfg.Log.Error("a call that is over is still written down", "schedule", c.Schedule.Name, "err", err)
	}
	e.mu.Lock()
	delete(e.due, c.ID)
	e.mu.Unlock()
	e.complete(c.Schedule)
}

// complete deletes a schedule that wants to be deleted after it was due for the
// last time, and has no call left.
func (e *Engine) complete(k Key) {
	e.mu.Lock()
	i := e.items[k]
	gone := i != nil && i.DeleteAfter && !i.Disabled && i.next.IsZero() && !i.last.IsZero()
	for _, c := range e.due {
		gone = gone && c.Schedule != k
	}
	e.mu.Unlock()
	if !gone {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), storeTime)
	defer cancel()
	if err := e.Delete(ctx, k, ""); err != nil {
		e.cfg.Log.Error("a schedule that is over could not be deleted", "schedule", k.Name, "err", err)
	}
}
