package policy

import "strings"

// Allowed is Decide(r).Allowed() without the reasons, for callers that need
// none: it stops at the first Deny that matches and allocates next to nothing.
func (s Set) Allowed(r Request) bool {
	c := s.court(r.Principal.Kind, r.Action)
	var b bits
	var buffer [64]byte
	action := lowerInto(buffer[:0], string(r.Action))
	for layer := range allLayers {
		for _, doc := range s.shelf(c.mode, allLayers[layer]) {
			if doc.index == nil {
				for _, st := range doc.statements {
					if b |= st.adds(&r, allLayers[layer], b); b&anyDeny != 0 {
						return false
					}
				}
				continue
			}
			for _, list := range [...][]*statement{doc.index.exact[string(action)], doc.index.others} {
				for _, st := range list {
					if b |= st.adds(&r, allLayers[layer], b); b&anyDeny != 0 {
						return false
					}
				}
			}
		}
	}
	return c.allows(b)
}

// adds returns what st adds to the bits b so far; nothing when it does not
// match or would add nothing new.
func (st *statement) adds(r *Request, layer Layer, b bits) bits {
	if !st.covers(string(r.Action)) {
		return 0
	}
	n := st.named(&r.Principal)
	if n == notNamed {
		return 0
	}
	add := bitOf(layer, st.deny, n)
	if b&add != 0 || !st.reaches(string(r.Resource), r.Context) {
		return 0
	}
	for i := range st.conditions {
		if ok, _ := st.conditions[i].holds(r.Context, st.deny); !ok {
			return 0
		}
	}
	return add
}

// An index finds the statements about an action. It leaves out none: what is
// not listed under its action is among the others.
type index struct {
	exact  map[string][]*statement // by action in lower case
	others []*statement            // with wildcards, or NotAction
}

// indexFrom is the number of statements from which an index pays.
const indexFrom = 8

func (d *Document) prepare() {
	if len(d.statements) < indexFrom {
		return
	}
	d.index = &index{exact: map[string][]*statement{}}
	for _, st := range d.statements {
		if st.notAction || strings.ContainsAny(st.wantAction, "*?") {
			d.index.others = append(d.index.others, st)
			continue
		}
		for _, a := range st.actions {
			key := string(lowerInto(nil, a))
			list := d.index.exact[key]
			if len(list) == 0 || list[len(list)-1] != st { // it may name one twice
				d.index.exact[key] = append(list, st)
			}
		}
	}
}

// lowerInto appends s in lower case, as foldMatch understands it.
func lowerInto(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, lower(s[i]))
	}
	return b
}
