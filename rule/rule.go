package rule

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"strait"
)

// Limits of rules. Rules, actions and the name are the quotas of AWS IoT Core;
// the length of SQL and of a whole rule are guards of our own.
const (
	MaxRules   = 1000
	MaxActions = 10
	MaxName    = 128
	MaxSQL     = 16 * 1024  // bytes of a statement
	MaxRule    = 128 * 1024 // bytes of a whole rule as stored
)

// A Rule says which messages start which actions.
type Rule struct {
	Name        string // 1 to MaxName of letters, digits and '_'; unique
	SQL         string // see Parse; kept as written
	Description string
	SQLVersion  string // "2015-10-08" (also when given as ""), "2016-03-23", "beta"
	Disabled    bool   // a disabled rule matches and never runs
	Actions     []Action
	ErrorAction *Action   // started once for a run of which an action failed for good
	Created     time.Time // set by Create, kept by Replace

	// Raw is the JSON object that the caller sent, with members that are not
	// known here, or nil. The engine stores it and gives it back untouched, so
	// where it names a word that is a field above, the field is right and
	// Raw may be stale (Disable does not alter it).
	Raw json.RawMessage

	// Filter is the topic filter of SQL's FROM, "" when it has none. It is set
	// on every rule the engine returns and ignored on what it is given.
	Filter string `json:"-"`
}

// An Action is what a rule starts: exactly one member is set.
type Action struct {
	Lambda    *Lambda    `json:",omitempty"`
	Republish *Republish `json:",omitempty"` // refused by Create: not offered yet
}

// A Lambda action invokes a function asynchronously with the rule's document.
type Lambda struct {
	FunctionARN strait.ARN // of this place, a qualifier allowed
}

// A Republish action would publish the rule's document on another topic.
type Republish struct {
	RoleARN strait.ARN
	Topic   string
	QoS     int
}

// check refuses what could not be run, and sets the defaults. It returns the
// compiled statement.
func (r *Rule) check(place strait.Place) (*Statement, error) {
	// 1. The words.
	if err := checkName(r.Name); err != nil {
		return nil, err
	}
	if r.SQLVersion == "" {
		r.SQLVersion = Version2015
	}
	stmt, err := Parse(r.SQL, r.SQLVersion)
	if err != nil {
		return nil, err
	}
	if stmt.Asks() {
		return nil, strait.Errorf(strait.Invalid, "sql", "functions that ask outside (aws_lambda, get_thing_shadow, get_registry_data) are not offered yet")
	}
	// 2. The actions.
	if len(r.Actions) > MaxActions {
		return nil, strait.Errorf(strait.Invalid, "action", "a rule has at most %d actions, this one has %d", MaxActions, len(r.Actions))
	}
	for i := range r.Actions {
		if err := r.Actions[i].check(place); err != nil {
			return nil, err
		}
	}
	if r.ErrorAction != nil {
		if err := r.ErrorAction.check(place); err != nil {
			return nil, err
		}
	}
	// 3. The rest.
	if r.Raw != nil && (!json.Valid(r.Raw) || !bytes.HasPrefix(bytes.TrimLeft(r.Raw, " \t\r\n"), []byte("{"))) {
		return nil, strait.Errorf(strait.Invalid, "rule", "a rule is given as a JSON object")
	}
	return stmt, nil
}

func checkName(name string) error {
	ok := name != "" && len(name) <= MaxName
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	if !ok {
		return strait.Errorf(strait.Invalid, "rule name", "a rule's name is 1 to %d letters, digits and underscores", MaxName)
	}
	return nil
}

func (a *Action) check(place strait.Place) error {
	switch {
	case a.Republish != nil && a.Lambda == nil:
		return strait.Errorf(strait.Invalid, "action", "the republish action is not offered yet; offered is lambda")
	case a.Republish != nil || a.Lambda == nil:
		return strait.Errorf(strait.Invalid, "action", "an action has exactly one member, and it is lambda; other actions are not offered yet")
	}
	arn := a.Lambda.FunctionARN
	if strings.Contains(string(arn), "${") {
		return strait.Errorf(strait.Invalid, "action", "substitution templates are not offered yet; give the functionArn in full")
	}
	p, err := arn.Parse()
	name, found := strings.CutPrefix(p.Resource, "function:")
	if err != nil || p.Service != "lambda" || !found || name == "" || len(arn) > 300 {
		return strait.Errorf(strait.Invalid, "action", "functionArn is not the ARN of a function: want arn:aws:lambda:%s:%s:function:NAME", place.Region, place.Account)
	}
	if p.Region != place.Region || p.Account != place.Account {
		return strait.Errorf(strait.Invalid, "action", "functionArn is of region %q and account %q; a rule here invokes functions of %s, %s only", p.Region, p.Account, place.Region, place.Account)
	}
	return nil
}

// clone returns a copy that shares nothing that a caller could change.
func (r Rule) clone() Rule {
	r.Actions = cloneActions(r.Actions)
	if r.ErrorAction != nil {
		a := cloneActions([]Action{*r.ErrorAction})[0]
		r.ErrorAction = &a
	}
	r.Raw = bytes.Clone(r.Raw)
	return r
}

func cloneActions(in []Action) []Action {
	out := make([]Action, len(in))
	for i, a := range in {
		if a.Lambda != nil {
			l := *a.Lambda
			out[i].Lambda = &l
		}
		if a.Republish != nil {
			p := *a.Republish
			out[i].Republish = &p
		}
	}
	return out
}
