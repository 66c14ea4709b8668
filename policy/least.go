package policy

import (
	"slices"
	"strings"

	"strait"
)

// Least returns the least policy of the kind that allows the needed requests:
// JSON, ready to store, or "" when nothing is needed or nothing of it can be
// written as a policy. It allows exactly the actions and resources that were
// recorded, together as they were, for any time and address, and for kinds
// with a Principal exactly those callers (a session's role).
//
// Only where the exact policy would be over the size limit of its kind are
// resources gathered: the folder that holds most of them becomes "folder/*",
// again and again until it fits; never a folder in which an action needed was
// refused, as told by refused. So nothing that was refused is ever allowed
// that is not also needed; the text may then stay too long, which CheckSize
// tells.
func Least(kind Kind, needed []Request, refused ...Request) string {
	grants := gather(kind, needed)
	text := writeGrants(kind, grants)
	for CheckSize(kind, text) != nil {
		if !widen(grants, refused) {
			break
		}
		text = writeGrants(kind, grants)
	}
	return text
}

// A grant is one action (to one principal) and all resources that it is
// needed on, as patterns.
type grant struct {
	who       strait.Principal // of kinds with a Principal
	condition *node            // ties a service to what it calls for
	action    string
	resources []string // sorted, each once
	fixed     []string // folders that must not be gathered
}

func gather(kind Kind, needed []Request) []*grant {
	type key struct{ action, who, bound string }
	byKey := map[key]*grant{}
	var out []*grant
	for _, r := range needed {
		vendor, name, _ := strings.Cut(string(r.Action), ":")
		resource, exact := literalARN(string(r.Resource), true)
		if r.Resource != "*" && (!isARN(string(r.Resource)) || !exact) || vendor == "" || name == "" || strings.ContainsAny(string(r.Action), "*?") {
			continue
		}
		k := key{action: strings.ToLower(string(r.Action))}
		if kind.hasPrincipal() {
			if r.Principal.Kind == strait.Anonymous || r.Principal.Kind == strait.Certificate || r.Principal.ARN == "" {
				continue
			}
			_, k.who = grantee(r.Principal)
		}
		var condition *node
		if kind.Layer() == LayerResource {
			if condition, _ = bind(r, LayerResource); condition != nil {
				k.bound = string(condition.print(nil))
			}
		}
		g := byKey[k]
		if g == nil {
			g = &grant{action: string(r.Action), who: r.Principal, condition: condition}
			byKey[k] = g
			out = append(out, g)
		}
		g.resources = append(g.resources, resource)
	}
	for _, g := range out {
		slices.Sort(g.resources)
		g.resources = slices.Compact(g.resources)
	}
	slices.SortFunc(out, func(a, b *grant) int {
		if n := strings.Compare(string(a.who.ARN), string(b.who.ARN)); n != 0 && kind.hasPrincipal() {
			return n
		}
		return strings.Compare(strings.ToLower(a.action), strings.ToLower(b.action))
	})
	return out
}

// writeGrants puts actions with equal resources into one statement.
func writeGrants(kind Kind, grants []*grant) string {
	type key struct{ who, bound, resources string }
	var order []key
	together := map[key][]*grant{}
	for _, g := range grants {
		k := key{resources: strings.Join(g.resources, "\n")}
		if kind == Trust {
			k.resources = ""
		}
		if kind.hasPrincipal() {
			_, k.who = grantee(g.who)
		}
		if g.condition != nil {
			k.bound = string(g.condition.print(nil))
		}
		if together[k] == nil {
			order = append(order, k)
		}
		together[k] = append(together[k], g)
	}
	if len(order) == 0 {
		return ""
	}
	list := &node{kind: nodeList}
	for _, k := range order {
		group := together[k]
		fields := []member{{key: "Effect", value: textNode("Allow")}}
		if kind.hasPrincipal() {
			how, who := grantee(group[0].who)
			fields = append(fields, member{key: "Principal", value: objectNode(member{key: how, value: textNode(who)})})
		}
		actions := make([]string, 0, len(group))
		for _, g := range group {
			actions = append(actions, g.action)
		}
		fields = append(fields, member{key: "Action", value: textsNode(actions)})
		if kind != Trust {
			fields = append(fields, member{key: "Resource", value: textsNode(group[0].resources)})
		}
		if group[0].condition != nil {
			fields = append(fields, member{key: "Condition", value: group[0].condition})
		}
		list.items = append(list.items, objectNode(fields...))
	}
	doc := objectNode(member{key: "Version", value: textNode("2012-10-17")}, member{key: "Statement", value: list})
	return string(doc.print(nil))
}

// widen gathers the folder that holds most resources of a grant, in all grants
// that have it; false when there is none left.
func widen(grants []*grant, refused []Request) bool {
	best, most := "", 1
	for _, g := range grants {
		for folder, n := range g.folders() {
			if n > most || n == most && len(folder) > len(best) && best != "" || n == most && len(folder) == len(best) && folder < best {
				best, most = folder, n
			}
		}
	}
	if best == "" {
		return false
	}
	pattern := best + "*"
	match := readResource(pattern, true)
	for _, g := range grants {
		if g.folders()[best] == 0 {
			continue
		}
		if g.refusedIn(match, refused) {
			g.fixed = append(g.fixed, best)
			continue
		}
		g.resources = slices.DeleteFunc(g.resources, func(r string) bool { return strings.HasPrefix(r, best) })
		g.resources = append(g.resources, pattern)
		slices.Sort(g.resources)
	}
	return true
}

// folders counts how many resources each folder holds: the text up to and
// with a slash after the first, so that neither a whole bucket's beginning nor
// all topics are ever gathered.
func (g *grant) folders() map[string]int {
	count := map[string]int{}
	for _, r := range g.resources {
		last := len(r) - len(lastPart(r))
		slash := strings.IndexByte(r[last:], '/')
		if slash < 0 {
			continue
		}
		for i := last + slash + 1; i < len(r); i++ {
			if r[i] == '/' && r[i+1:] != "*" && !slices.Contains(g.fixed, r[:i+1]) {
				count[r[:i+1]]++
			}
		}
	}
	return count
}

func (a *arnTemplate) fixedMatch(text string) bool {
	g, f := a.fill(nil, false)
	return f == filled && g.match(text)
}

func (k Kind) hasPrincipal() bool { return k == Trust || k == Bucket || k == Function }

func textsNode(list []string) *node {
	if len(list) == 1 {
		return textNode(list[0])
	}
	n := &node{kind: nodeList}
	for _, s := range list {
		n.items = append(n.items, textNode(s))
	}
	return n
}
