package rule

import (
	"bytes"
	"encoding/json"
	"time"

	"strait"
)

// Limits of rules. Actions and the name are the quotas of AWS IoT Core; the
// number of rules, the length of SQL and of a whole rule are guards of our own.
const (
	MaxRules   = 20_000
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

// check refuses what could not be run, and sets the defaults.
func (r *Rule) check(place strait.Place) (*program, error) {
	if err := checkName(r.Name); err != nil {
		return nil, err
	}
	if r.SQLVersion == "" {
		r.SQLVersion = Version2015
	}
	if len(r.Actions) > MaxActions {
		return nil, strait.Errorf(strait.Invalid, "action", "a rule has at most %d actions, this one has %d", MaxActions, len(r.Actions))
	}
	p, err := r.compile(place)
	if err != nil {
		return nil, err
	}
	if r.Raw != nil && (!json.Valid(r.Raw) || !bytes.HasPrefix(bytes.TrimLeft(r.Raw, " \t\r\n"), []byte("{"))) {
		return nil, strait.Errorf(strait.Invalid, "rule", "a rule is given as a JSON object")
	}
	return p, nil
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
		out[i] = a.clone()
	}
	return out
}
