package rule

import (
	"context"

	"strait"
)

// A program is a rule made ready to run.
type program struct {
	stmt    *Statement
	actions []plan
	onError *plan
	asks    bool // something in it asks outside, so that it takes its time
	wants   []string
}

// A plan is an action and the templates in it, in the order of texts.
type plan struct {
	action    Action
	templates []*Template
}

// Roles returns the roles that r takes, in its actions, its SQL and its
// templates. What cannot be read has none; Create refuses it.
func (r Rule) Roles() []strait.ARN {
	var out []strait.ARN
	if stmt, err := Parse(r.SQL, r.SQLVersion); err == nil {
		out = append(out, stmt.Roles()...)
	}
	all := r.Actions
	if r.ErrorAction != nil {
		all = append(all[:len(all):len(all)], *r.ErrorAction)
	}
	for _, a := range all {
		if role := a.Role(); role != "" {
			out = append(out, role)
		}
		for _, s := range a.texts() {
			if t, err := ParseTemplate(*s, r.SQLVersion); err == nil {
				out = append(out, t.roles...)
			}
		}
	}
	return out
}

// compile reads the SQL and the templates of r.
func (r *Rule) compile(place strait.Place) (*program, error) {
	stmt, err := Parse(r.SQL, r.SQLVersion)
	if err != nil {
		return nil, err
	}
	p := &program{stmt: stmt, asks: stmt.Asks(), wants: stmt.wants}
	calls := stmt.functions
	for i := range r.Actions {
		made, err := r.Actions[i].plan(place, r.SQLVersion)
		if err != nil {
			return nil, err
		}
		p.actions = append(p.actions, made)
		for _, t := range made.templates {
			p.asks = p.asks || t.asks
			p.wants = append(p.wants[:len(p.wants):len(p.wants)], t.wants...)
			calls = append(calls[:len(calls):len(calls)], t.calls...)
		}
	}
	for _, arn := range calls {
		if err := checkFunction(arn, place); err != nil {
			return nil, err
		}
	}
	if r.ErrorAction == nil {
		return p, nil
	}
	made, err := r.ErrorAction.plan(place, r.SQLVersion)
	if err != nil {
		return nil, err
	}
	for _, t := range made.templates {
		if t.asks { // as AWS has it
			return nil, invalidAction("functions that ask outside may not stand in the templates of an error action")
		}
	}
	p.onError = &made
	return p, nil
}

func (a *Action) plan(place strait.Place, version string) (plan, error) {
	if err := a.check(place, false); err != nil {
		return plan{}, err
	}
	p := plan{action: *a}
	for _, s := range a.texts() {
		t, err := ParseTemplate(*s, version)
		if err != nil {
			return plan{}, err
		}
		p.templates = append(p.templates, t)
	}
	return p, nil
}

// fill makes the action for one message.
func (p *plan) fill(in *Input, place strait.Place) (Action, error) {
	a := p.action.clone()
	open := false
	for i, s := range a.texts() {
		if p.templates[i].Plain() {
			continue
		}
		filled, err := p.templates[i].Eval(in)
		if err != nil {
			return p.action, err
		}
		*s, open = filled, true
	}
	if open {
		return a, a.check(place, true)
	}
	return a, nil
}

// An Actor carries out actions that are no functions. It is called from many
// goroutines.
type Actor interface {
	// Act does t in the name of rule, as a session of the action's role, and
	// returns when it is done. Errors and repetitions are as with Invoker.
	Act(ctx context.Context, rule Rule, t Task) error
}

// A Task is an action for one message, its templates filled in.
type Task struct {
	Action  Action
	Payload []byte
	JSON    bool // the payload is JSON
	Trace   string
	Hops    int // how often the message that a republish makes has been republished
}

// An Asker answers the functions of the SQL that ask outside.
type Asker interface {
	// Offers tells whether such questions are answered here: the name of the
	// function, for get_registry_data with its first argument behind a space.
	// A rule that has others is refused.
	Offers(function string) bool
	// Answer returns JSON. An error fails the run; it is not asked again.
	Answer(ctx context.Context, rule Rule, q Question, trace string) ([]byte, error)
}
