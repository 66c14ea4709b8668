package policy

import "strings"

// A condition is one key under one operator; all of a statement must hold.
type condition struct {
	operator
	key    string // as written
	lower  string
	values []value
	line   int
}

// A holding says whether a condition holds, and why in words where the values
// alone do not tell.
type holding struct {
	ok   bool
	note string
}

// holds evaluates c for a statement that denies or allows (iam-evaluation §3).
func (c *condition) holds(ctx Context, deny bool) holding {
	found := ctx.get(c.lower)
	if len(found) == 0 && !Supplied(c.lower) {
		return holding{deny, "Strait never supplies this key, so an Allow that names it never matches and a Deny always does"}
	}
	if c.family == familyNull {
		return holding{ok: c.null(len(found) == 0)}
	}
	if len(found) == 0 {
		return holding{c.absent(), absentHint(c.lower)}
	}
	for _, v := range found {
		good, known := c.satisfied(v, ctx)
		switch {
		case !known:
			return holding{deny, "a variable in it names a key that Strait never supplies"}
		case good && (c.set == forAnyValue || c.set == single && !c.negated):
			return holding{ok: true}
		case !good && (c.set == forAllValues || c.set == single && c.negated):
			return holding{}
		}
	}
	return holding{ok: c.set == forAllValues || c.set == single && c.negated}
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

// absent is the answer for a key without a value.
func (c *condition) absent() bool {
	switch {
	case c.ifExists:
		return true
	case c.set == forAllValues:
		return true
	case c.set == forAnyValue:
		return false
	}
	return c.negated
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
func (c *condition) miss(ctx Context, h holding) *Miss {
	m := &Miss{Part: "condition", Key: c.key, Operator: c.name}
	var want, notes []string
	for i := range c.values {
		text, n := c.values[i].show(ctx)
		want = append(want, text)
		notes = append(notes, n...)
	}
	m.Want = strings.Join(want, ", ")
	m.Found = strings.Join(ctx.get(c.lower), ", ")
	if h.note != "" {
		notes = append([]string{h.note}, notes...)
	}
	m.Note = strings.Join(notes, "; ")
	return m
}
