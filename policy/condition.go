package policy

import "strings"

// A condition is one key under one operator; all of a statement must hold.
type condition struct {
	operator
	key    string // as written
	lower  string
	values []value
	line   int
	known  bool // Supplied
}

// A reason for a condition to hold or not that its values alone do not tell.
type because int

const (
	byValue    because = iota
	byAbsence          // the key has no value here
	byKey              // Strait never supplies the key
	byVariable         // Strait never supplies the key of a variable
)

// holds evaluates c for a statement that denies or allows (iam-evaluation §3).
func (c *condition) holds(ctx Context, deny bool) (bool, because) {
	found := ctx.get(c.lower)
	if len(found) == 0 && !c.known {
		return deny, byKey
	}
	if c.family == familyNull {
		return c.null(len(found) == 0), byValue
	}
	if len(found) == 0 {
		return c.absent(), byAbsence
	}
	for _, v := range found {
		good, known := c.satisfied(v, ctx)
		switch {
		case !known:
			return deny, byVariable
		case good && (c.set == forAnyValue || c.set == single && !c.negated):
			return true, byValue
		case !good && (c.set == forAllValues || c.set == single && c.negated):
			return false, byValue
		}
	}
	return c.set == forAllValues || c.set == single && c.negated, byValue
}

// null tells whether one of the values is the truth about absence.
func (c *condition) null(absent bool) bool {
	for i := range c.values {
		switch v := c.values[i].source; {
		case absent && strings.EqualFold(v, "true"), !absent && strings.EqualFold(v, "false"):
			return true
		}
	}
	return false
}

// satisfied compares one value of the request with all that are wanted: one
// must match or, negated, none. Values that cannot be read fail either way.
func (c *condition) satisfied(found string, ctx Context) (good, known bool) {
	good = c.negated
	for i := range c.values {
		switch c.values[i].compare(c.operator, found, ctx) {
		case unknowable:
			return false, false
		case unreadable:
			if c.negated {
				good = false
			}
		case matches:
			good = !c.negated
		}
	}
	return good, true
}

// miss describes why c does not hold.
func (c *condition) miss(ctx Context, why because) *Miss {
	m := &Miss{Part: "condition", Key: c.key, Operator: c.name}
	var want, notes []string
	for i := range c.values {
		text, n := c.values[i].show(ctx)
		want = append(want, text)
		notes = append(notes, n...)
	}
	m.Want = strings.Join(want, ", ")
	m.Found = strings.Join(ctx.get(c.lower), ", ")
	if note := c.note(why); note != "" {
		notes = append([]string{note}, notes...)
	}
	m.Note = strings.Join(notes, "; ")
	return m
}

// note says a reason in words; "" when the values tell.
func (c *condition) note(why because) string {
	switch why {
	case byKey:
		return "Strait never supplies this key, so an Allow that names it never matches and a Deny always does"
	case byVariable:
		return "a variable in it names a key that Strait never supplies"
	case byAbsence:
		return absentHint(c.lower)
	}
	return ""
}
