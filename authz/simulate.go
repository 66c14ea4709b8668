package authz

import (
	"strait/identity"
	"strait/policy"
)

// Simulate answers ask for c as Ask would answer it now, and records nothing:
// nobody asked. The Record is as it would be, without id, time and trace. Keys
// in the ask's context take the place of what is known of c.
func (a *Authorizer) Simulate(c *identity.Caller, ask Ask) (*Record, error) {
	set, isGone, err := a.standing(c)
	if err != nil {
		return nil, unreadable(err)
	}
	if !isGone {
		if set, err = a.withResource(set, ask); err != nil {
			return nil, unreadable(err)
		}
	}
	known := a.Directory.Context(c, a.Now())
	x, err := a.about(known, ask)
	if err != nil {
		return nil, unreadable(err)
	}
	r := policy.Request{Principal: c.Principal, Action: ask.Action, Resource: ask.Resource, Context: x}
	d := set.Decide(r)
	if isGone {
		d.Note = gone
	}
	rec := newRecord(c, "", "Simulate", ask, set, r, d)
	rec.Time, rec.Count = a.Now().UTC(), 1
	return rec, nil
}
