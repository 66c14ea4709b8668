package policy

import (
	"strings"

	"strait"
)

// Decide weighs every statement of every document that counts for this caller
// and answers. It never stops early, so that the reasons are whole (of a large
// layer, those that matter: see mostReasons). A layer
// that the mode of the caller does not know (IoT policies of a user, say) is
// not looked at.
//
//	certificate              IoT policies only
//	service, anonymous       resource policies only
//	taking on a role         trust policy, then the caller's own (§6.1)
//	root                     allowed, unless a resource policy denies
//	user, role session       the formula at court.allows
//
// A root user cannot take on a role, as in AWS.
func (s Set) Decide(r Request) Decision {
	var d Decision
	var b bits
	c := s.court(r.Principal.Kind, r.Action)
	shelves := s.shelves(c.mode)
	count := 0
	for _, shelf := range shelves {
		count += min(shelf.statements(), mostReasons+4)
	}
	w := weigher{request: &r, action: lowered(string(r.Action))}
	if count > 0 {
		d.Reasons = make([]Reason, 0, count)
	}
	for _, shelf := range shelves {
		if shelf.statements() > mostReasons {
			b |= s.weighCrowd(&w, shelf, &d)
			continue
		}
		for _, doc := range shelf.docs {
			for _, st := range doc.statements {
				d.Reasons = append(d.Reasons, s.blank(shelf.layer, doc, st))
				reason := &d.Reasons[len(d.Reasons)-1]
				if !st.hasPrincipal && !st.coversLower(w.action) {
					continue // blank is the whole of it
				}
				if n := w.weigh(st, reason); reason.Matched {
					b |= bitOf(shelf.layer, st.deny, n)
				}
			}
		}
	}
	d.conclude(c, b)
	d.Note = note(c.mode, r.Principal.Kind)
	return d
}

func (d *Decision) conclude(c court, b bits) {
	if c.allows(b) {
		d.Effect, d.Layer = Allow, c.granter(b)
		return
	}
	var explicit int
	d.Refused, explicit = c.refusals(b)
	if explicit > 0 {
		d.Effect = ExplicitDeny
	}
	d.Layer = d.Refused[0]
}

func note(m mode, who strait.PrincipalKind) string {
	switch {
	case m == modeNobody:
		return "the kind of the caller is not known, so no policy applies to it"
	case m == modeTrustNever && who == strait.Root:
		return "the root user cannot assume a role; use an IAM user or another role"
	case m == modeTrustNever:
		return "only a user, a role session or a service can assume a role"
	case m == modeOutside && who == strait.Anonymous:
		return "the request is not signed, so only a resource policy could allow it"
	}
	return ""
}

// A weigher weighs the statements of one request.
type weigher struct {
	request *Request
	action  string // in lower case
}

// weigh says in reason, which is st's blank one, whether st matches and, if
// not, where it fails first.
func (w *weigher) weigh(st *statement, reason *Reason) naming {
	r := w.request
	n := st.named(&r.Principal)
	switch {
	case n == notNamed:
		reason.Miss = st.missPrincipal(&r.Principal)
	case !st.coversLower(w.action):
	case !st.reaches(string(r.Resource), r.Context):
		reason.Miss = st.missResource(string(r.Resource), r.Context)
	default:
		reason.Miss = st.missCondition(r.Context)
	}
	reason.Matched = reason.Miss == nil
	if reason.Matched && st.hasPrincipal {
		reason.Named = n.String()
	}
	return n
}

// covers tells whether the statement is about the action.
func (st *statement) covers(action string) bool {
	for _, a := range st.actions {
		if foldMatch(a, action) {
			return !st.notAction
		}
	}
	return st.notAction
}

// reaches tells whether the statement is about the resource. A variable that
// cannot be filled in makes its pattern match nothing; in NotResource that
// would allow everything, so there an Allow misses and a Deny hits.
func (st *statement) reaches(resource string, ctx Context) bool {
	if st.anyResource {
		return true
	}
	hit, unsure := false, false
	for _, a := range st.resources {
		ok, f := a.matches(resource, ctx, st.deny && !st.notResource)
		unsure = unsure || f != filled
		hit = hit || ok
	}
	switch {
	case !st.notResource:
		return hit
	case unsure:
		return st.deny
	}
	return !hit
}

func (st *statement) missPrincipal(who *strait.Principal) *Miss {
	m := &Miss{Part: "principal", Want: st.wantPrincipal, Found: string(who.ARN)}
	if who.Kind == strait.Anonymous {
		m.Found = "an anonymous caller"
	}
	for _, p := range st.principals {
		if p.kind == principalID && who.Kind != strait.Service {
			m.Note = p.value + " is the unique id of a user or role that is not the caller; " +
				"if it was deleted and made again under the same name, it has a new id"
		}
	}
	return m
}

// missResource describes the pattern that came nearest: the one that failed in
// the latest part of the ARN and, within it, has most of its beginning right.
func (st *statement) missResource(resource string, ctx Context) *Miss {
	m := &Miss{Part: "resource", Found: resource}
	best := -1
	for _, a := range st.resources {
		text, notes := a.shown, []string(nil)
		segment := 0
		if a.fixed != nil {
			segment = a.fixed.miss(resource)
		} else {
			text, notes = a.show(ctx)
			segment = a.missed(resource)
		}
		near := segment<<16 + common(text, resource)
		if near > best {
			best = near
			m.Want, m.Segment, m.Note = text, segment, strings.Join(notes, "; ")
		}
	}
	if !isARN(resource) {
		m.Segment = 0
	}
	if st.notResource {
		m.Want, m.Segment = "anything but "+m.Want, 0
	}
	return m
}

// common returns how many bytes two texts share at their beginning.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && n < 1<<15 && a[n] == b[n] {
		n++
	}
	return n
}

// missCondition returns the first condition that does not hold, or nil.
func (st *statement) missCondition(ctx Context) *Miss {
	for i := range st.conditions {
		c := &st.conditions[i]
		if ok, why := c.holds(ctx, st.deny); !ok {
			return c.miss(ctx, why)
		}
	}
	return nil
}
