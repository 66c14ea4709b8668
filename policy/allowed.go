package policy

import (
	"slices"
)

// Allowed is Decide(r).Allowed() without the reasons, for callers that need
// none: it stops at the first Deny that matches and allocates next to nothing.
func (s *Set) Allowed(r Request) bool {
	w := quickWeigher{request: &r, court: s.court(r.Principal.Kind, r.Action)}
	w.action = lowered(string(r.Action))
	for i := range allLayers {
		layer := allLayers[i]
		docs := s.shelf(w.court.mode, layer)
		if len(docs) == 0 {
			continue
		}
		w.layer, w.adds = layer, [2]bits{bitOf(layer, false, namesCaller), bitOf(layer, true, namesCaller)}
		for _, doc := range docs {
			if doc.index == nil {
				w.all(doc.entries)
			} else {
				w.all(doc.index.exact[w.action])
				w.all(doc.index.others)
			}
			if w.bits&anyDeny != 0 {
				return false
			}
		}
	}
	return w.court.allows(w.bits)
}

// An entry is one statement for one of its actions and, where that is simple,
// one of its resources: a first sieve that lies in a row with others.
type entry struct {
	action   actionName
	deny     bool
	resource quick
	st       *statement
}

// A quickWeigher adds up what matches.
type quickWeigher struct {
	request *Request
	court   court
	action  string // in lower case
	layer   Layer
	adds    [2]bits // of an Allow and a Deny that name the caller
	bits    bits
}

func (w *quickWeigher) all(list []entry) {
	resource := string(w.request.Resource)
	for i := range list {
		e := &list[i]
		if e.action.how == quickNot && !e.st.coversLower(w.action) || e.action.how != quickNot && !e.action.match(w.action) {
			continue
		}
		hit, sure := e.resource.match(resource)
		if sure && !hit {
			continue
		}
		add := w.adds[0]
		if e.deny {
			add = w.adds[1]
		}
		if e.st.hasPrincipal {
			n := e.st.named(&w.request.Principal)
			if n == notNamed {
				continue
			}
			add = bitOf(w.layer, e.deny, n)
		}
		if w.bits&add != add && (sure || e.st.reaches(resource, w.request.Context)) && e.st.met(w.request.Context) {
			w.bits |= add
		}
	}
}

// met tells whether all conditions hold.
func (st *statement) met(ctx Context) bool {
	for i := range st.conditions {
		if ok, _ := st.conditions[i].holds(ctx, st.deny); !ok {
			return false
		}
	}
	return true
}

// An index finds the statements about an action. It leaves out none: what is
// not listed under its action is among the others.
type index struct {
	exact  map[string][]entry // by action in lower case
	others []entry            // with wildcards, or NotAction
}

const (
	indexFrom  = 8 // entries from which an index pays
	mostSingle = 4 // resources of a statement that get an entry each
)

func (d *Document) prepare() {
	for _, st := range d.statements {
		d.entries = st.entries(d.entries)
	}
	if len(d.entries) < indexFrom {
		return
	}
	d.index = &index{exact: map[string][]entry{}}
	for _, e := range d.entries {
		if e.action.how == quickExact {
			d.index.exact[e.action.text] = append(d.index.exact[e.action.text], e)
		} else {
			d.index.others = append(d.index.others, e)
		}
	}
	d.entries = nil
}

// entries appends those of st to list.
func (st *statement) entries(list []entry) []entry {
	resources := []quick{{}}
	switch {
	case st.anyResource:
		resources[0].how = quickAll
	case !st.notResource && len(st.resources) <= mostSingle:
		resources = nil
		for _, a := range st.resources {
			q := quick{}
			if a.fixed != nil {
				q = a.fixed.quick
			} else {
				q = a.ends()
			}
			resources = append(resources, q)
		}
	}
	names := st.names
	if st.notAction || slices.ContainsFunc(names, func(n actionName) bool { return n.how == quickNot }) {
		names = []actionName{{}} // one entry that asks the statement, or it would be asked for each
	}
	for _, n := range names {
		for _, q := range resources {
			list = append(list, entry{action: n, deny: st.deny, resource: q, st: st})
		}
	}
	return list
}
