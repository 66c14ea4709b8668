package identity

import "strait"

// A registry is what is worked out from the tables of things and groups: who
// is attached to what, and what is in which group. It is kept as they change.
type registry struct {
	attached map[strait.ARN]map[string]bool // names of things, by certificate
	members  map[string]map[string]bool     // names of things, by the id of their group
	byID     map[string]*ThingGroup         // groups, by id
	children map[string]map[string]bool     // names of groups, by their parent's
	ofType   map[string]int                 // how many things a type has
}

func (r *registry) init() {
	r.attached, r.members = map[strait.ARN]map[string]bool{}, map[string]map[string]bool{}
	r.byID, r.children, r.ofType = map[string]*ThingGroup{}, map[string]map[string]bool{}, map[string]int{}
}

// thingChanged is told of every change of a thing; old or now may be nil.
func (r *registry) thingChanged(old, now *Thing) {
	if old != nil {
		for _, p := range old.Principals {
			drop(r.attached, p, old.Name)
		}
		for _, g := range old.Groups {
			drop(r.members, g, old.Name)
		}
		r.ofType[old.Type]--
	}
	if now != nil {
		for _, p := range now.Principals {
			keep(r.attached, p, now.Name)
		}
		for _, g := range now.Groups {
			keep(r.members, g, now.Name)
		}
		r.ofType[now.Type]++
	}
}

// groupChanged is told of every change of a group; old or now may be nil.
func (r *registry) groupChanged(old, now *ThingGroup) {
	if old != nil {
		delete(r.byID, old.ID)
		drop(r.children, old.Parent, old.Name)
	}
	if now != nil {
		r.byID[now.ID] = now
		keep(r.children, now.Parent, now.Name)
	}
}

func keep[K comparable](m map[K]map[string]bool, key K, name string) {
	if m[key] == nil {
		m[key] = map[string]bool{}
	}
	m[key][name] = true
}

func drop[K comparable](m map[K]map[string]bool, key K, name string) {
	delete(m[key], name)
	if len(m[key]) == 0 {
		delete(m, key)
	}
}
