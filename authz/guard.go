package authz

import (
	"sync/atomic"
	"time"

	"strait"
	"strait/identity"
	"strait/policy"
)

// A Guard answers for one connection what Ask would answer, from policies
// that were prepared once. It is prepared anew whenever the directory has
// changed, so that a change holds from the next check on. Its methods may be
// called from many goroutines.
type Guard struct {
	a        *Authorizer
	caller   identity.Caller
	current  atomic.Pointer[prepared]
	deadline time.Time
	sieve    sieve
}

// prepared is what holds as long as the directory stays at epoch.
type prepared struct {
	epoch  uint64
	set    policy.Set
	guard  *policy.Guard
	gone   bool
	broken error // a policy could not be read: nothing is allowed
}

// maxWebSocket is the longest life of a connection that was signed for
// (iot-mqtt.md, section 4.2).
const maxWebSocket = 24 * time.Hour

// Guard returns a guard for the connection of c that began at now.
func (a *Authorizer) Guard(c identity.Caller) *Guard {
	g := &Guard{a: a, caller: c}
	now := a.Now()
	switch {
	case c.Session != nil:
		g.deadline = now.Add(maxWebSocket)
		if c.Session.Expires.Before(g.deadline) {
			g.deadline = c.Session.Expires
		}
	case c.Certificate != nil:
		g.deadline = c.Certificate.NotAfter
	default:
		g.deadline = now.Add(maxWebSocket)
	}
	return g
}

// Deadline is when the connection must end: its credentials expire, its
// certificate does, or it has lived for as long as one may.
func (g *Guard) Deadline() time.Time { return g.deadline }

// Caller returns whose guard this is.
func (g *Guard) Caller() *identity.Caller { return &g.caller }

// Alive tells whether the principal still exists: an ACTIVE certificate, the
// same role.
func (g *Guard) Alive() bool { return g.a.Directory.Exists(&g.caller) }

func (g *Guard) prepare() *prepared {
	epoch := g.a.Directory.Epoch()
	if p := g.current.Load(); p != nil && p.epoch == epoch {
		return p
	}
	p := &prepared{epoch: epoch}
	if p.set, p.gone, p.broken = g.a.standing(&g.caller); p.broken == nil {
		p.guard = p.set.Guard(policy.Request{Principal: g.caller.Principal, Context: g.a.Directory.Context(&g.caller, g.a.Now())})
	}
	g.current.Store(p)
	return p
}

// Check tells whether the caller may do action to resource, and records what
// it refuses. traced says that the request belongs to a trace worth keeping;
// then what is allowed is recorded, too. x holds condition keys of this
// request only, and may be nil.
func (g *Guard) Check(operation string, action strait.Action, resource strait.ARN, trace string, traced bool, x policy.Context) error {
	p := g.prepare()
	if p.broken != nil {
		return unreadable(p.broken)
	}
	now := g.a.Now()
	allowed := p.guard.Check(action, resource, now, x)
	if allowed && !traced {
		g.a.Recorder.allowed.Add(1)
		if g.sieve.passes(g.a.Recorder.used.seed, action, resource, now) {
			g.a.Recorder.used.note(&g.caller, action, resource, false, now)
		}
		return nil
	}
	again := refused{p, trace, operation, action, resource}
	if !allowed && x == nil {
		// Who asks the same again within the second gets the same answer.
		if err := g.a.Recorder.again(again); err != nil {
			return err
		}
	}
	r := p.guard.Request(action, resource, now, x)
	d := p.set.Decide(r)
	if p.gone {
		d.Note = gone
	}
	c, parent := g.caller, ""
	switch {
	case trace != "" && trace != c.Trace:
		c.Trace, parent = trace, c.Trace
	case c.Session != nil && c.Session.Trace != c.Trace:
		parent = c.Session.Trace
	}
	id := g.a.Recorder.decision(&c, parent, operation, Ask{Action: action, Resource: resource, Context: x}, p.set, r, d)
	if allowed && d.Allowed() {
		return nil
	}
	err := refusal(&c, r, d, id)
	if !allowed && x == nil {
		g.a.Recorder.answer(again, id, err)
	}
	return err
}
