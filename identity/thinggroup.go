package identity

import (
	"context"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/google/uuid"

	"strait"
)

// A ThingGroup holds things, and stands below another group or at the top of
// its tree. Its parent is chosen once.
type ThingGroup struct {
	Name, ID    string
	Parent      string // "" at the top
	Description string
	Attributes  map[string]string
	Version     int64
	Created     time.Time
	Policies    []string // names of IoT policies attached to it
}

// Quotas of thing groups (iot-control-plane.md, section 3).
const (
	maxGroupDepth    = 7
	maxGroupChildren = 100
	maxGroupsOfThing = 10
	maxGroupPolicies = 2
	maxDescription   = 2028 // characters
)

func noThingGroup(name string) error {
	return strait.Errorf(strait.NotFound, "thing group", "Thing group %s cannot be found.", name)
}

// ARN names g.
func (g *ThingGroup) ARN(p strait.Place) strait.ARN { return p.IoT("thinggroup/" + g.Name) }

func (g *ThingGroup) check() error {
	if len([]rune(g.Description)) > maxDescription {
		return strait.Errorf(strait.Invalid, "request", "A description has at most %d characters.", maxDescription)
	}
	return checkAttributes(g.Attributes, maxAttributes)
}

// CreateThingGroup adds a group with tags. One that exists with the same
// parent, description and attributes is returned as it is.
func (d *Directory) CreateThingGroup(ctx context.Context, g ThingGroup, tags []Tag) (*ThingGroup, error) {
	if err := checkName("thingGroupName", g.Name); err != nil {
		return nil, err
	}
	if err := g.check(); err != nil {
		return nil, err
	}
	g.ID, g.Version, g.Created = uuid.NewString(), 1, d.now().UTC()
	out := &g
	return out, d.update(ctx, func(x *tx) error {
		if old := d.groups.get(g.Name); old != nil {
			if old.Parent == g.Parent && old.Description == g.Description && maps.Equal(old.Attributes, g.Attributes) {
				*out = *old
				return nil
			}
			return &strait.Error{Kind: strait.Exists, Thing: "thing group",
				Message: "Thing Group " + g.Name + " already exists in current account with different properties",
				Detail:  map[string]string{"resourceId": g.Name, "resourceArn": string(old.ARN(d.place))}}
		}
		if g.Parent != "" {
			parent := d.groups.get(g.Parent)
			switch {
			case parent == nil:
				return strait.Errorf(strait.Invalid, "request", "Parent thing group %s does not exist.", g.Parent)
			case len(d.lineage(parent)) >= maxGroupDepth:
				return strait.Errorf(strait.Invalid, "request", "The thing group %s is %d groups deep already, the most that a hierarchy may be.", g.Parent, maxGroupDepth)
			case len(d.children[g.Parent]) >= maxGroupChildren:
				return strait.Errorf(strait.Invalid, "request", "The thing group %s has %d child groups, the most that one may have.", g.Parent, maxGroupChildren)
			}
		}
		if err := d.tag(x, out.ARN(d.place), tags); err != nil {
			return err
		}
		return put(x, &d.groups, g.Name, out)
	})
}

// ThingGroup returns the group called name.
func (d *Directory) ThingGroup(name string) (*ThingGroup, error) {
	if g := read(d, &d.groups, name); g != nil {
		return g, nil
	}
	return nil, noThingGroup(name)
}

// ThingGroups returns the groups whose names begin with prefix, by name. With
// a parent only those below it: its children, or all of them when recursive.
// Without one and not recursive, those at the top.
func (d *Directory) ThingGroups(parent, prefix string, recursive bool) ([]*ThingGroup, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if parent != "" && d.groups.get(parent) == nil {
		return nil, noThingGroup(parent)
	}
	var out []*ThingGroup
	d.below(parent, recursive, func(g *ThingGroup) {
		if strings.HasPrefix(g.Name, prefix) {
			out = append(out, g)
		}
	})
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// below calls fn for the children of a group, and for theirs.
func (d *Directory) below(parent string, recursive bool, fn func(*ThingGroup)) {
	for name := range d.children[parent] {
		fn(d.groups.get(name))
		if recursive {
			d.below(name, true, fn)
		}
	}
}

// Lineage returns g and the groups above it, up to the top.
func (d *Directory) Lineage(g *ThingGroup) []*ThingGroup {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.lineage(g)
}

func (d *Directory) lineage(g *ThingGroup) (out []*ThingGroup) {
	for g != nil && len(out) <= maxGroupDepth {
		out = append(out, g)
		g = d.groups.get(g.Parent)
	}
	return out
}

// ChangeThingGroup applies fn to a copy of the group and keeps the result
// under the next version, which it returns.
func (d *Directory) ChangeThingGroup(ctx context.Context, name string, fn func(g *ThingGroup) error) (version int64, err error) {
	return version, d.update(ctx, func(x *tx) error {
		old := d.groups.get(name)
		if old == nil {
			return noThingGroup(name)
		}
		g := *old
		g.Attributes = maps.Clone(g.Attributes)
		if err := fn(&g); err != nil {
			return err
		}
		if err := g.check(); err != nil {
			return err
		}
		g.Version++
		version = g.Version
		return put(x, &d.groups, name, &g)
	})
}

// DeleteThingGroup removes a group without children; its things stay, its
// policies do not count any more. One that is not there is no error, as with
// AWS. check may look at it first.
func (d *Directory) DeleteThingGroup(ctx context.Context, name string, check func(*ThingGroup) error) error {
	return d.update(ctx, func(x *tx) error {
		g := d.groups.get(name)
		if g == nil {
			return nil
		}
		if err := check(g); err != nil {
			return err
		}
		if len(d.children[name]) > 0 {
			return strait.Errorf(strait.Invalid, "request", "Cannot delete thing group : %s when there are still child groups attached to it.", name)
		}
		remove(x, &d.groups, name)
		d.untagAll(x, g.ARN(d.place))
		return nil
	})
}

// Regroup puts a thing into groups and takes it out of others, in one step.
// Where it is already, or is not, nothing happens.
func (d *Directory) Regroup(ctx context.Context, thing string, add, remove []string) error {
	return d.update(ctx, func(x *tx) error {
		old := d.things.get(thing)
		if old == nil {
			return noThing(thing)
		}
		t := old.clone()
		t.Groups = slices.DeleteFunc(t.Groups, func(id string) bool { return d.byID[id] == nil })
		for _, name := range remove {
			g := d.groups.get(name)
			if g == nil {
				return noThingGroup(name)
			}
			t.Groups = slices.DeleteFunc(t.Groups, func(id string) bool { return id == g.ID })
		}
		for _, name := range add {
			g := d.groups.get(name)
			if g == nil {
				return noThingGroup(name)
			}
			if err := d.join(t, g); err != nil {
				return err
			}
		}
		if slices.Equal(t.Groups, old.Groups) {
			return nil
		}
		return put(x, &d.things, thing, t)
	})
}

// join puts t into g. It may be in one group of a hierarchy only: the policies
// of two would be inherited twice.
func (d *Directory) join(t *Thing, g *ThingGroup) error {
	if slices.Contains(t.Groups, g.ID) {
		return nil
	}
	if len(t.Groups) >= maxGroupsOfThing {
		return strait.Errorf(strait.Invalid, "request", "The thing %s is in %d thing groups, the most that it may be in.", t.Name, maxGroupsOfThing)
	}
	top := func(g *ThingGroup) string { l := d.lineage(g); return l[len(l)-1].Name }
	for _, id := range t.Groups {
		if have := d.byID[id]; top(have) == top(g) {
			return strait.Errorf(strait.Invalid, "request", "The thing %s is in the thing group %s already, which is of the same hierarchy as %s.", t.Name, have.Name, g.Name)
		}
	}
	t.Groups = append(t.Groups, g.ID)
	return nil
}

// GroupsOf returns the groups a thing was put into, by name.
func (d *Directory) GroupsOf(t *Thing) []*ThingGroup {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.groupsOf(t)
}

func (d *Directory) groupsOf(t *Thing) (out []*ThingGroup) {
	for _, id := range t.Groups {
		if g := d.byID[id]; g != nil {
			out = append(out, g)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// ThingsIn returns the names of the things in a group and, when recursive, in
// the groups below it.
func (d *Directory) ThingsIn(group string, recursive bool) ([]string, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	g := d.groups.get(group)
	if g == nil {
		return nil, noThingGroup(group)
	}
	found := maps.Clone(d.members[g.ID])
	if found == nil {
		found = map[string]bool{}
	}
	if recursive {
		d.below(group, true, func(g *ThingGroup) { maps.Copy(found, d.members[g.ID]) })
	}
	return sortedKeys(found), nil
}
