package authz

import (
	"container/list"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"strait"
	"strait/identity"
	"strait/policy"
)

// A Use is that somebody needed an action on a resource: the samples of what
// is allowed, of which the Recorder keeps no record each time.
type Use struct {
	Action   strait.Action `json:"action"`
	Resource strait.ARN    `json:"resource"`
	Refused  bool          `json:"refused,omitempty"` // asked for, and not allowed
	Last     time.Time     `json:"last"`              // to the minute

	request policy.Request
	kept    time.Time // when it was last given to the log
}

// Request is the use as a question, without condition keys.
func (u Use) Request() policy.Request { return u.request }

// Bounds of what is remembered: of one thing, role or user, and of all. Who has
// not been seen for longest is forgotten for others.
const (
	maxUses   = 1024
	allUses   = 64 << 10
	useMoment = time.Minute
)

// uses holds what everyone needed.
type uses struct {
	seed  maphash.Seed // random, so that nobody can choose topics that hide each other
	mu    sync.Mutex
	total int
	by    map[string]*list.Element // of *user, by who
	order list.List                // of *user, seen last at the back

	logged   bool      // they are kept on disk, too
	pending  []keptUse // still to be written there
	overflow bool      // more than that
}

type user struct {
	who  string
	what map[use]*Use
	full bool // something was left out
}

type use struct {
	action   strait.Action
	resource strait.ARN
	refused  bool
}

// whoseUse says on whose account a use is: a thing (or the client id of
// a connection that is none), a role or a user.
func whoseUse(c *identity.Caller) string {
	switch c.Kind {
	case strait.Certificate:
		if name := thingOf(c); name != "" {
			return "thing/" + name
		}
	case strait.AssumedRole:
		return string(c.RoleARN)
	case strait.User:
		return string(c.ARN)
	}
	return ""
}

func (u *uses) note(c *identity.Caller, action strait.Action, resource strait.ARN, refused bool, now time.Time) {
	who := whoseUse(c)
	if who == "" {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	one := u.add(who, Use{Action: action, Resource: resource, Refused: refused, Last: now,
		request: policy.Request{Principal: c.Principal, Action: action, Resource: resource}})
	if one != nil {
		u.keep(who, one, now)
	}
}

// add remembers one use, or that it was there again; nil when there is no room
// for it. mu is held.
func (u *uses) add(who string, now Use) *Use {
	if u.by == nil {
		u.by = map[string]*list.Element{}
	}
	el := u.by[who]
	if el == nil {
		el = u.order.PushBack(&user{who: who, what: map[use]*Use{}})
		u.by[who] = el
	}
	u.order.MoveToBack(el)
	one := el.Value.(*user)
	key := use{now.Action, now.Resource, now.Refused}
	if have := one.what[key]; have != nil {
		have.Last = now.Last
		return have
	}
	if len(one.what) >= maxUses {
		one.full = true
		return nil
	}
	if u.total++; u.total > allUses {
		oldest := u.order.Remove(u.order.Front()).(*user)
		delete(u.by, oldest.who)
		u.total -= len(oldest.what)
	}
	one.what[key] = &now
	return &now
}

// Uses returns what "thing/T", or a role or user by its ARN, needed since a
// moment, in no order; whole is false when there was more than is remembered.
func (r *Recorder) Uses(who string, since time.Time) (out []Use, whole bool) {
	r.used.mu.Lock()
	defer r.used.mu.Unlock()
	el := r.used.by[who]
	if el == nil {
		return nil, true
	}
	one := el.Value.(*user)
	for _, u := range one.what {
		if !u.Last.Before(since.Truncate(useMoment)) {
			out = append(out, *u)
		}
	}
	return out, !one.full && len(one.what) < maxUses // a restart forgets full
}

// A sieve lets a use through when it is new on this connection, or was not
// seen for a while: on the way of every message nothing else is affordable.
// It forgets, so that some come again; it never keeps one back for long.
type sieve struct{ seen [16]atomic.Uint64 }

func (s *sieve) passes(seed maphash.Seed, action strait.Action, resource strait.ARN, now time.Time) bool {
	// The length and the end tell actions of messages apart, and cost nothing.
	h := uint64(len(action))
	if n := len(action); n > 0 {
		h = h<<8 | uint64(action[n-1])
	}
	h = maphash.String(seed, string(resource)) ^ (h<<32|uint64(now.Unix()/int64(useMoment/time.Second)))*0x9e3779b97f4a7c15
	place := &s.seen[h%uint64(len(s.seen))]
	if place.Load() == h {
		return false
	}
	place.Store(h)
	return true
}
