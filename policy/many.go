package policy

import (
	"slices"
	"strings"
)

// mostReasons is how many statements of a layer are told of whole. Of a layer
// with more, those that matched are told of, and of those that missed the ones
// that came nearest: nobody reads a thousand reasons, and to write them takes
// longer than to decide.
const mostReasons = 48

// nearCondition is how near a statement came that only a condition kept from
// matching: nearer than any that missed on its resource.
const nearCondition = 1 << 30

// A crowd is a layer of more statements than are told of whole.
type crowd struct {
	kept  [mostReasons]candidate
	n     int // of kept
	least int // where in kept the one is that came least near
	about int // Allows about the action, or for somebody else, that missed
}

// A candidate is an Allow that missed.
type candidate struct {
	near, at int // at is where its reason stands among all
	doc      *Document
	st       *statement
}

// offer keeps the candidate if it came nearer than another that is kept. Of
// equal ones the first stays.
func (c *crowd) offer(o candidate) {
	c.about++
	if c.n < len(c.kept) {
		c.kept[c.n] = o
		c.n++
	} else if o.near > c.kept[c.least].near {
		// The order of statements is kept, for who reads them.
		copy(c.kept[c.least:], c.kept[c.least+1:])
		c.kept[c.n-1] = o
	} else {
		return
	}
	for i := range c.kept[:c.n] {
		if c.kept[i].near <= c.kept[c.least].near {
			c.least = i
		}
	}
}

// tooFar tells, from one comparison, that a statement came no nearer than all
// that are kept: most do not, of a thousand.
func (c *crowd) tooFar(st *statement, resource string) bool {
	if c.n < len(c.kept) || st.deny || len(st.resources) != 1 || st.resources[0].fixed == nil {
		return false
	}
	n := c.kept[c.least].near
	if n >= nearCondition {
		return true
	}
	n = (n-1)&(1<<16-1) + 1 // bytes that it would have to share with the resource
	return n <= len(resource) && !strings.HasPrefix(st.resources[0].shown, resource[:n])
}

// weighCrowd weighs the statements of a large layer. Reasons are appended to d.
func (s *Set) weighCrowd(w *weigher, f shelf, d *Decision) (b bits) {
	var c crowd
	r := w.request
	first := len(d.Reasons)
	at := 0
	var places []int // of the reasons that matched
	for _, doc := range f.docs {
		for _, st := range doc.statements {
			at++
			n := st.named(&r.Principal)
			near := 0
			switch {
			case n == notNamed:
			case !st.coversLower(w.action):
				continue
			case !st.reaches(string(r.Resource), r.Context):
				if c.tooFar(st, string(r.Resource)) {
					c.about++
					continue
				}
				near = st.nearness(string(r.Resource), r.Context)
			case !st.met(r.Context):
				near = nearCondition
			default:
				reason := s.blank(f.layer, doc, st)
				reason.Matched, reason.Miss = true, nil
				if st.hasPrincipal {
					reason.Named = n.String()
				}
				d.Reasons, places = append(d.Reasons, reason), append(places, at)
				b |= bitOf(f.layer, st.deny, n)
				continue
			}
			if !st.deny {
				c.offer(candidate{near, at, doc, st})
			}
		}
	}
	// What came nearest is told of whole now, in its place.
	for _, k := range c.kept[:c.n] {
		reason := s.blank(f.layer, k.doc, k.st)
		w.weigh(k.st, &reason)
		i := first
		for i < first+len(places) && places[i-first] < k.at {
			i++
		}
		d.Reasons, places = slices.Insert(d.Reasons, i, reason), slices.Insert(places, i-first, k.at)
	}
	if more := c.about - c.n; more > 0 {
		if d.Untold == nil {
			d.Untold = map[Layer]int{}
		}
		d.Untold[f.layer] = more
	}
	return b
}

// blank is the reason of a statement before it is weighed.
func (s *Set) blank(layer Layer, doc *Document, st *statement) Reason {
	r := st.blank
	r.Layer = layer
	if s.Via != nil {
		r.Via = s.Via[doc.Name]
	}
	return r
}

// nearness is how near the resource came to one of st's, in the order of
// missResource: the part of the ARN that went wrong, then how much of the
// beginning is right. It writes nothing, so it does not look behind wildcards.
func (st *statement) nearness(resource string, ctx Context) int {
	best := 0
	for _, a := range st.resources {
		same := 0
		if a.fixed != nil {
			same = common(a.shown, resource)
		} else {
			same = a.common(resource, ctx)
		}
		best = max(best, min(strings.Count(resource[:same], ":"), segments-1)<<16+same)
	}
	return 1 + best
}

// common returns how many bytes of text are a's, up to its first wildcard, or
// variable without a value.
func (a *arnTemplate) common(text string, ctx Context) int {
	n := 0
	for i := range a.tokens {
		tok := &a.tokens[i]
		part := tok.text
		if tok.kind == tokenVariable {
			value, f := ctx.variable(*tok)
			if f != filled {
				return n
			}
			part = value
		} else if tok.kind != tokenText {
			return n
		}
		same := common(part, text[n:])
		if n += same; same < len(part) {
			return n
		}
	}
	return n
}
