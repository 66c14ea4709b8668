// Package authz is where a decision is taken, and written down.
//
// An Authorizer is asked by the corridor (package api) before an operation
// runs: may this caller do this to that? It collects every policy that applies
// from the directory, lets package policy decide, and records the decision
// with its reasons in a Recorder, in one act. For a connection that lives long
// it hands out a Guard, which answers the same from prepared policies.
//
// It knows no protocol and no engine. Begin with Authorizer.Ask.
package authz

import (
	"errors"
	"maps"
	"strings"
	"time"

	"strait"
	"strait/identity"
	"strait/policy"
)

// A Mode says what a refusal of an Ask means for the operation.
type Mode int

// Modes of asking.
const (
	Required Mode = iota // a refusal refuses the operation
	PerItem              // a refusal is the result of one item, such as one key of DeleteObjects
	Answered             // a refusal refuses the operation, which says so in words of its own
	Probing              // the answer only chooses what the operation tells, such as 404 or 403
)

// An Ask is one thing that an operation needs to be allowed.
type Ask struct {
	Action   strait.Action
	Resource strait.ARN
	Context  policy.Context // condition keys of this operation; may be nil
	Mode     Mode
	// As is who is asked about when it is not the caller: a service that the
	// operation makes dependent on a role, which must let it take the role.
	As *identity.Caller
	// Counted is for what happens all the time, such as each line of a log: an
	// allow is counted and sampled, as those of connections are, not recorded.
	Counted bool
}

// A Verdict is the answer to one Ask.
type Verdict struct {
	Allowed bool
	// Err is what to tell the caller when it was refused: Kind Denied,
	// Thing "action", and in Detail the parts of the sentence and DecisionId.
	Err *strait.Error
}

// An Authorizer takes decisions.
type Authorizer struct {
	Directory *identity.Directory
	Recorder  *Recorder
	Log       *Log // what older records are found in; may be nil
	Now       func() time.Time
	// EngineTags returns the tags of a resource that the directory does not
	// hold, such as a function; may be nil.
	EngineTags func(strait.ARN) (map[string]string, error)
}

// Ask answers every ask, in order, and records each decision. The error is
// that of the first refused ask that is Required.
func (a *Authorizer) Ask(c *identity.Caller, operation string, asks ...Ask) ([]Verdict, error) {
	verdicts := make([]Verdict, len(asks))
	var first error
	base, isGone, err := a.standing(c)
	if err != nil {
		return nil, unreadable(err)
	}
	known := a.Directory.Context(c, a.Now())
	for i, ask := range asks {
		var v Verdict
		if ask.As != nil {
			v, err = a.askAs(operation, ask)
		} else {
			v, err = a.decide(c, operation, base, isGone, known, ask)
		}
		if err != nil {
			return nil, err
		}
		verdicts[i] = v
		if !v.Allowed && ask.Mode == Required && first == nil {
			first = v.Err
		}
	}
	return verdicts, first
}

// askAs answers an ask about another than the caller.
func (a *Authorizer) askAs(operation string, ask Ask) (Verdict, error) {
	base, isGone, err := a.standing(ask.As)
	if err != nil {
		return Verdict{}, unreadable(err)
	}
	return a.decide(ask.As, operation, base, isGone, a.Directory.Context(ask.As, a.Now()), ask)
}

// unreadable is what a caller learns when a stored policy cannot be read: it
// could hold a Deny, so nothing is allowed.
func unreadable(err error) error {
	return &strait.Error{Kind: strait.Internal, Thing: "policy", Message: "a policy that applies to this request cannot be read", Err: err}
}

// gone is why no policy counts for a caller that was proven and has been
// deleted or made inactive since.
const gone = "the caller does not exist any more: its role, user, key or certificate was deleted or is not active"

// standing returns the documents that apply to the caller itself. One that is
// gone has none, nor do policies of resources count for it, which could still
// name it.
func (a *Authorizer) standing(c *identity.Caller) (s policy.Set, isGone bool, err error) {
	if !a.Directory.Exists(c) {
		return s, true, nil
	}
	s, err = a.Directory.Policies(c)
	return s, false, err
}

func (a *Authorizer) decide(c *identity.Caller, operation string, set policy.Set, isGone bool, known policy.Context, ask Ask) (Verdict, error) {
	if !isGone {
		var err error
		if set, err = a.withResource(set, ask); err != nil {
			return Verdict{}, unreadable(err)
		}
	}
	x, err := a.about(known, ask)
	if err != nil {
		return Verdict{}, unreadable(err)
	}
	r := policy.Request{Principal: c.Principal, Action: ask.Action, Resource: ask.Resource, Context: x}
	d := set.Decide(r)
	if isGone {
		d.Note = gone
	}
	if ask.Counted && d.Allowed() {
		a.Recorder.allowed.Add(1)
		a.Recorder.used.note(c, ask.Action, ask.Resource, false, a.Now())
		return Verdict{Allowed: true}, nil
	}
	id := a.Recorder.decision(c, "", operation, ask, set, r, d)
	if d.Allowed() {
		return Verdict{Allowed: true}, nil
	}
	return Verdict{Err: refusal(c, r, d, id)}, nil
}

// about returns known with the keys of this ask: those of the operation, and
// the tags of the resource, which no operation has to think of.
func (a *Authorizer) about(known policy.Context, ask Ask) (policy.Context, error) {
	tags := a.Directory.ResourceTags(ask.Resource)
	if tags == nil && a.EngineTags != nil {
		var err error
		if tags, err = a.EngineTags(ask.Resource); err != nil {
			return nil, err
		}
	}
	if len(ask.Context) == 0 && len(tags) == 0 {
		return known, nil
	}
	x := maps.Clone(known)
	iam := strings.HasPrefix(string(ask.Resource), "arn:aws:iam:")
	for k, v := range tags {
		x.Set("aws:ResourceTag/"+k, v)
		if iam {
			x.Set("iam:ResourceTag/"+k, v)
		}
	}
	maps.Copy(x, ask.Context)
	return x, nil
}

// withResource adds the policy of what is asked for: the trust policy of a
// role that is to be assumed, a bucket's policy, a function's permissions.
func (a *Authorizer) withResource(s policy.Set, ask Ask) (policy.Set, error) {
	service, name, _ := strings.Cut(strings.ToLower(string(ask.Action)), ":")
	switch {
	case service == "sts" && (name == "assumerole" || name == "tagsession" || name == "setsourceidentity"):
		s.HasTrust = true
		t, err := a.Directory.Trust(ask.Resource)
		if t != nil {
			s.Trust = []*policy.Document{t}
		}
		return s, err
	case service == "lambda":
		return a.withPolicyOf(s, ask.Resource)
	case service == "s3":
		res := ask.Resource.Resource()
		bucket, _, _ := strings.Cut(res, "/")
		if bucket == "" {
			return s, nil
		}
		return a.withPolicyOf(s, strait.S3(bucket))
	}
	return s, nil
}

func (a *Authorizer) withPolicyOf(s policy.Set, arn strait.ARN) (policy.Set, error) {
	p := a.Directory.ResourcePolicy(arn)
	if p == nil {
		return s, nil
	}
	doc, err := p.Document.Parsed()
	if err != nil {
		return s, err
	}
	s.Resource = []*policy.Document{doc}
	return s, nil
}

// refusal says to the caller what AWS says (iam-evaluation.md, section 9).
func refusal(c *identity.Caller, r policy.Request, d policy.Decision, id string) *strait.Error {
	because := d.Because(r)
	who := string(c.ARN)
	if who == "" {
		who = "anonymous"
	}
	msg := "User: " + who + " is not authorized to perform: " + string(r.Action)
	if r.Resource != "*" && r.Resource != "" {
		msg += " on resource: " + string(r.Resource)
	}
	if because != "" {
		msg += " " + because
	}
	return &strait.Error{Kind: strait.Denied, Thing: "action", Message: msg, Detail: map[string]string{
		"Principal": who, "Action": string(r.Action), "Resource": string(r.Resource), "Because": because, "DecisionId": id,
	}}
}

// IsRefusal returns the id of the decision behind err, when it is one.
func IsRefusal(err error) (id string, ok bool) {
	var e *strait.Error
	if !errors.As(err, &e) || e.Kind != strait.Denied {
		return "", false
	}
	return e.Detail["DecisionId"], true
}
