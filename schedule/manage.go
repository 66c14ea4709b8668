package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"strait"
	"strait/state"
)

const groupPrefix = "schedule/group/"

func noSchedule(k Key) error {
	return strait.Errorf(strait.NotFound, "schedule", "Schedule %s does not exist.", k.Name)
}

// Create adds s. It fails with Exists "schedule", NotFound "group", Limit
// "schedules", Invalid "schedule" or "expression", TooLarge "schedule".
func (e *Engine) Create(ctx context.Context, s Schedule) error {
	e.change.Lock()
	defer e.change.Unlock()
	s.Created = e.cfg.Now().UTC()
	s.Modified, s.Begun = s.Created, s.Created
	e.mu.Lock()
	old, exists := e.items[s.Key]
	full := len(e.items) >= e.cfg.Max
	_, grouped := e.groups[s.Group]
	e.mu.Unlock()
	switch {
	case exists && s.repeats(&old.Schedule):
		return nil
	case exists:
		return strait.Errorf(strait.Exists, "schedule", "Schedule %s already exists.", s.Name)
	case full:
		return strait.Errorf(strait.Limit, "schedules", "There are %d schedules, which is the limit.", e.cfg.Max)
	case !grouped && s.Group != defaultGroup:
		return noGroup(s.Group)
	}
	return e.keep(ctx, &item{Schedule: s}, state.Absent())
}

// repeats tells whether s is what old was created from, asked for again because
// the answer was lost.
func (s *Schedule) repeats(old *Schedule) bool {
	if s.Token == "" || s.Token != old.Token {
		return false
	}
	a, b := *s, *old
	for _, x := range []*Schedule{&a, &b} {
		x.Created, x.Modified, x.Begun = time.Time{}, time.Time{}, time.Time{}
	}
	return reflect.DeepEqual(a, b)
}

// Change replaces the schedule k by what alter makes of it. A change of when it
// is due begins it anew; enabling it does not make up for what it missed. It
// fails as Create does, with NotFound "schedule" for Exists.
func (e *Engine) Change(ctx context.Context, k Key, alter func(*Schedule) error) error {
	e.change.Lock()
	defer e.change.Unlock()
	e.mu.Lock()
	old := e.items[k]
	if old == nil {
		e.mu.Unlock()
		return noSchedule(k)
	}
	next := &item{Schedule: old.clone(), last: old.last}
	e.mu.Unlock()
	if err := alter(&next.Schedule); err != nil {
		return err
	}
	now := e.cfg.Now().UTC()
	next.Key, next.Created, next.Begun, next.Modified = k, old.Created, old.Begun, now
	switch s := &next.Schedule; {
	case s.Expression != old.Expression || s.Zone != old.Zone || !s.Start.Equal(old.Start) || s.FirstAfter != old.FirstAfter:
		next.Begun, next.last = now, time.Time{}
	case old.Disabled && !s.Disabled:
		next.last = now
	}
	return e.keep(ctx, next, state.Present())
}

// keep writes an item, and takes it for the one of its key.
func (e *Engine) keep(ctx context.Context, i *item, expect state.Expect) (err error) {
	if i.plan, err = i.check(); err != nil {
		return err
	}
	value, err := json.Marshal(i.Schedule)
	if err != nil {
		return err
	}
	writes := []state.Write{{Key: itemPrefix + i.path(), Value: value, Expect: expect}}
	last := state.Write{Key: lastPrefix + i.path(), Delete: i.last.IsZero()}
	if !last.Delete {
		if last.Value, err = i.last.MarshalText(); err != nil {
			return err
		}
	}
	if _, err := e.cfg.Store.Apply(ctx, append(writes, last)...); errors.Is(err, state.ErrTooLarge) {
		return strait.Errorf(strait.TooLarge, "schedule", "the inputs of the targets are too large together")
	} else if err != nil {
		return storeError(err)
	}
	e.mu.Lock()
	i.aim(e.cfg.Now())
	e.items[i.Key] = i
	e.mu.Unlock()
	e.Wake()
	return nil
}

func (s *Schedule) clone() Schedule {
	c := *s
	c.Targets, c.Tags = slices.Clone(s.Targets), maps.Clone(s.Tags)
	return c
}

// Get returns the schedule, or NotFound "schedule".
func (e *Engine) Get(k Key) (Schedule, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := e.items[k]
	if i == nil {
		return Schedule{}, noSchedule(k)
	}
	return i.clone(), nil
}

// List returns the schedules of a family, of one group unless that is "",
// sorted by group and name.
func (e *Engine) List(family, group string) []Schedule {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Schedule
	for k, i := range e.items {
		if k.Family == family && (group == "" || k.Group == group) {
			out = append(out, i.clone())
		}
	}
	slices.SortFunc(out, func(a, b Schedule) int { return strings.Compare(a.path(), b.path()) })
	return out
}

// Delete removes a schedule, and its calls that have not begun; NotFound
// "schedule" when there is none. A token, unless "", names the request: for an
// hour, the same one again does nothing.
func (e *Engine) Delete(ctx context.Context, k Key, token string) error {
	e.change.Lock()
	defer e.change.Unlock()
	if e.deleted(k.path(), token) {
		return nil
	}
	return e.remove(ctx, k, token)
}

func (e *Engine) remove(ctx context.Context, k Key, token string) error {
	e.mu.Lock()
	_, ok := e.items[k]
	writes := []state.Write{{Key: itemPrefix + k.path(), Delete: true}, {Key: lastPrefix + k.path(), Delete: true}}
	var calls []string
	for id, c := range e.due {
		if c.Schedule == k && !c.running && len(calls) < 1000 {
			calls = append(calls, id)
			writes = append(writes, state.Write{Key: duePrefix + id, Delete: true})
		}
	}
	e.mu.Unlock()
	if !ok {
		return noSchedule(k)
	}
	notes, noted := e.note(k.path(), token)
	if _, err := e.cfg.Store.Apply(ctx, append(writes, notes...)...); err != nil {
		return storeError(err)
	}
	noted()
	e.mu.Lock()
	delete(e.items, k)
	for _, id := range calls {
		delete(e.due, id)
	}
	e.mu.Unlock()
	return nil
}

// A Group holds schedules.
type Group struct {
	Name              string
	Tags              map[string]string `json:",omitempty"`
	Token             string            `json:",omitempty"` // as a Schedule's
	Created, Modified time.Time
}

func noGroup(name string) error {
	return strait.Errorf(strait.NotFound, "group", "Schedule group %s does not exist.", name)
}

// maxGroups is AWS's [Scheduler quotas].
const maxGroups = 500

// CreateGroup adds g; Exists, Limit or Invalid "group".
func (e *Engine) CreateGroup(ctx context.Context, g Group) error {
	if !validName(g.Name) {
		return strait.Errorf(strait.Invalid, "group", "a name has 1 to 64 letters, digits, and - _ .")
	}
	e.change.Lock()
	defer e.change.Unlock()
	e.mu.Lock()
	old, exists := e.groups[g.Name]
	full := len(e.groups) >= maxGroups
	e.mu.Unlock()
	switch {
	case exists && g.Token != "" && g.Token == old.Token && maps.Equal(g.Tags, old.Tags):
		return nil // once more, because the answer was lost
	case exists, g.Name == defaultGroup:
		return strait.Errorf(strait.Exists, "group", "Schedule group %s already exists.", g.Name)
	case full:
		return strait.Errorf(strait.Limit, "groups", "There are %d schedule groups, which is the limit.", maxGroups)
	}
	g.Created = e.cfg.Now().UTC()
	g.Modified = g.Created
	return e.keepGroup(ctx, &g)
}

func (e *Engine) keepGroup(ctx context.Context, g *Group) error {
	value, err := json.Marshal(g)
	if err != nil {
		return err
	}
	if _, err := e.cfg.Store.Apply(ctx, state.Write{Key: groupPrefix + g.Name, Value: value}); err != nil {
		return storeError(err)
	}
	e.mu.Lock()
	e.groups[g.Name] = g
	e.mu.Unlock()
	return nil
}

// TagGroup sets the tags that alter makes of those that there are.
func (e *Engine) TagGroup(ctx context.Context, name string, alter func(map[string]string) (map[string]string, error)) error {
	e.change.Lock()
	defer e.change.Unlock()
	g, err := e.Group(name)
	if err != nil {
		return err
	}
	if g.Tags, err = alter(maps.Clone(g.Tags)); err != nil {
		return err
	}
	g.Modified = e.cfg.Now().UTC()
	return e.keepGroup(ctx, &g)
}

// Group returns a group; "default" is always there.
func (e *Engine) Group(name string) (Group, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if g := e.groups[name]; g != nil {
		return *g, nil
	}
	if name == defaultGroup {
		return Group{Name: name}, nil
	}
	return Group{}, noGroup(name)
}

// Groups returns all groups, sorted by name.
func (e *Engine) Groups() []Group {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := []Group{}
	if e.groups[defaultGroup] == nil {
		out = append(out, Group{Name: defaultGroup})
	}
	for _, g := range e.groups {
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// DeleteGroup removes a group and the schedules of family in it; token is as in
// Delete.
func (e *Engine) DeleteGroup(ctx context.Context, family, name, token string) error {
	e.change.Lock()
	defer e.change.Unlock()
	what := "group/" + name
	if e.deleted(what, token) {
		return nil
	}
	if _, err := e.Group(name); err != nil {
		return err
	}
	if name == defaultGroup {
		return strait.Errorf(strait.Invalid, "group", "The default schedule group cannot be deleted.")
	}
	for _, s := range e.List(family, name) {
		if err := e.remove(ctx, s.Key, ""); err != nil {
			return err
		}
	}
	notes, noted := e.note(what, token)
	if _, err := e.cfg.Store.Apply(ctx, append(notes, state.Write{Key: groupPrefix + name, Delete: true})...); err != nil {
		return storeError(err)
	}
	noted()
	e.mu.Lock()
	delete(e.groups, name)
	e.mu.Unlock()
	return nil
}
