package policy

import (
	"slices"
	"strconv"
	"time"

	"strait"
)

// The keys that a Guard does not hold fixed.
const (
	currentTime = "aws:currenttime"
	epochTime   = "aws:epochtime"
)

func isTimeKey(key string) bool { return key == currentTime || key == epochTime }

// A Guard is a Set specialised for one connection: principal and context are
// filled in once, statements that can never match are gone, and what is left
// is a match on an action and a resource. It never changes and may be used by
// many goroutines; when a policy changes, make a new one.
//
// Its verdict is always that of Set.Decide with the base request's principal
// and context, extra's keys set over them, and aws:CurrentTime and
// aws:EpochTime set to now. now is between the years 1971 and 9999.
type Guard struct {
	set   Set
	base  Request
	court court
	rules []rule
	known []shortlist
	// slow: a statement uses the time in a way that only Decide understands
	slow  bool
	marks []time.Time // when a condition on the time may change, sorted
}

// A shortlist is the rules about one action, each as often as it has
// resources, so that most are told by a look at a text.
type shortlist struct {
	action strait.Action
	rows   []row
}

// A row is a rule for one of its resources.
type row struct {
	quick quick
	adds  bits
	plain bool // quick tells all: there is nothing else to look at
	rule  *rule
}

// A rule is a statement of which nothing is left to evaluate but the action,
// the resource and the time.
type rule struct {
	adds        bits
	st          *statement
	anyResource bool
	notResource bool
	resources   []arnGlob
	times       []*condition
}

// Guard specialises s for the principal and context of base; its Action and
// Resource are not used.
func (s Set) Guard(base Request) *Guard {
	ctx := make(Context, len(base.Context)+2)
	for k, v := range base.Context {
		ctx.Set(k, slices.Clone(v)...)
	}
	base.Context = ctx
	g := &Guard{set: s, base: base, court: s.court(base.Principal.Kind, "")}
	for _, shelf := range s.shelves(g.court.mode) {
		for _, doc := range shelf.docs {
			for _, st := range doc.statements {
				g.add(shelf.layer, st)
			}
		}
	}
	slices.SortFunc(g.marks, time.Time.Compare)
	for _, action := range [...]strait.Action{"iot:Publish", "iot:Receive", "iot:Subscribe", "iot:RetainPublish", "iot:Connect"} {
		list := shortlist{action: action}
		for i := range g.rules {
			if r := &g.rules[i]; r.st.covers(string(action)) {
				list.rows = r.rows(list.rows)
			}
		}
		g.known = append(g.known, list)
	}
	return g
}

// add specialises one statement, or leaves it out when it can never match.
func (g *Guard) add(layer Layer, st *statement) {
	n := st.named(&g.base.Principal)
	if n == notNamed {
		return
	}
	r := rule{adds: bitOf(layer, st.deny, n), st: st, anyResource: st.anyResource, notResource: st.notResource}
	// 1. conditions: all that do not speak of the time are settled here
	for i := range st.conditions {
		c := &st.conditions[i]
		switch {
		case c.onlyTime():
			r.times = append(r.times, c)
		case c.usesTime():
			g.slow = true
		default:
			if ok, _ := c.holds(g.base.Context, st.deny); !ok {
				return
			}
		}
	}
	// 2. resources: variables are filled in
	unsure := false
	for _, a := range st.resources {
		if names(a.tokens, isTimeKey) {
			g.slow = true
		}
		glob, f := a.fill(g.base.Context, st.deny && !st.notResource)
		if f != filled {
			unsure = true
			continue
		}
		r.resources = append(r.resources, glob)
	}
	switch {
	case st.notResource && unsure && !st.deny:
		return
	case st.notResource && unsure:
		r.anyResource = true
	case !st.notResource && !st.anyResource && len(r.resources) == 0:
		return
	}
	// 3. remember when the time may change the verdict
	for _, c := range r.times {
		for i := range c.values {
			mark := time.Unix(c.values[i].date.Unix(), 0)
			g.marks = append(g.marks, mark, mark.Add(time.Second))
		}
	}
	g.rules = append(g.rules, r)
}

// Check tells whether action on resource is allowed at now. extra adds to the
// keys of the base context or replaces them; without it nothing is allocated.
func (g *Guard) Check(action strait.Action, resource strait.ARN, now time.Time, extra Context) bool {
	if g.slow || len(extra) > 0 {
		return g.Decide(action, resource, now, extra).Allowed()
	}
	for i := range g.known {
		if g.known[i].action == action {
			return g.court.allows(weighRows(g.known[i].rows, string(resource), now))
		}
	}
	if takesRole(action) { // another mode than that of the connection
		return g.Decide(action, resource, now, nil).Allowed()
	}
	return g.court.allows(weighAll(g.rules, string(action), string(resource), now))
}

// rows appends those of r to list.
func (r *rule) rows(list []row) []row {
	if r.notResource || r.anyResource {
		q := quick{}
		if r.anyResource {
			q.how = quickAll
		}
		return append(list, row{q, r.adds, r.anyResource && len(r.times) == 0, r})
	}
	for i := range r.resources {
		q := r.resources[i].quick
		list = append(list, row{q, r.adds, q.how != quickNot && len(r.times) == 0, r})
	}
	return list
}

// weighRows adds up the rules of rows that match.
func weighRows(rows []row, resource string, now time.Time) bits {
	var b bits
	for i := range rows {
		r := &rows[i]
		if b&r.adds != 0 {
			continue
		}
		if ok, sure := r.quick.match(resource); sure && !ok {
			continue
		}
		if r.plain || r.rule.matches(resource, now) {
			b |= r.adds
		}
	}
	return b
}

// weighAll adds up the rules that match.
func weighAll(rules []rule, action, resource string, now time.Time) bits {
	var b bits
	for i := range rules {
		r := &rules[i]
		if b&r.adds == 0 && r.st.covers(action) && r.matches(resource, now) {
			b |= r.adds
		}
	}
	return b
}

func (r *rule) matches(resource string, now time.Time) bool {
	if !r.anyResource && r.reaches(resource) == r.notResource {
		return false
	}
	for _, c := range r.times {
		if !c.holdsAt(now) {
			return false
		}
	}
	return true
}

func (r *rule) reaches(resource string) bool {
	for i := range r.resources {
		if r.resources[i].match(resource) {
			return true
		}
	}
	return false
}

// Decide is Check with the reasons.
func (g *Guard) Decide(action strait.Action, resource strait.ARN, now time.Time, extra Context) Decision {
	return g.set.Decide(g.Request(action, resource, now, extra))
}

// Request is the whole question that Decide answers, for Explain and Because.
func (g *Guard) Request(action strait.Action, resource strait.ARN, now time.Time, extra Context) Request {
	ctx := make(Context, len(g.base.Context)+len(extra)+2)
	for k, v := range g.base.Context {
		ctx[k] = v
	}
	for k, v := range extra {
		ctx.Set(k, v...)
	}
	ctx.SetTime(now)
	return Request{g.base.Principal, action, resource, ctx}
}

// Until returns when a verdict of Check with no extra, taken at now, may
// change by itself; the zero time means never. A verdict may be kept so long.
func (g *Guard) Until(now time.Time) time.Time {
	if g.slow {
		return time.Unix(now.Unix()+1, 0)
	}
	for _, m := range g.marks {
		if m.After(now) {
			return m
		}
	}
	return time.Time{}
}

// SetTime sets aws:CurrentTime and aws:EpochTime, to the second.
func (c Context) SetTime(now time.Time) {
	c[currentTime] = []string{now.UTC().Format("2006-01-02T15:04:05Z")}
	c[epochTime] = []string{strconv.FormatInt(now.Unix(), 10)}
}

// onlyTime tells whether c compares the time of the request with dates.
func (c *condition) onlyTime() bool { return c.family == familyDate && isTimeKey(c.lower) }

// usesTime tells whether c depends on the time of the request at all.
func (c *condition) usesTime() bool {
	if isTimeKey(c.lower) {
		return true
	}
	for i := range c.values {
		if names(c.values[i].tokens, isTimeKey) {
			return true
		}
	}
	return false
}
