package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"strait"
	"strait/state"
)

// prefix is where this room's facts live in the store.
const prefix = "identity/"

// A Directory holds everyone who exists and every policy document. What it
// answers comes from memory; a change is durable in the store before it is
// visible. All methods may be called from many goroutines. The records it
// hands out are shared and must not be changed.
type Directory struct {
	place strait.Place
	store state.Store
	now   func() time.Time

	change sync.Mutex   // held while a change is made, so that changes are checked against what is there
	mu     sync.RWMutex // guards the tables
	epoch  atomic.Uint64

	users     table[User]
	keys      table[AccessKey]
	roles     table[Role]
	managed   table[ManagedPolicy]
	things    table[Thing]
	certs     table[CertificateRecord]
	policies  table[IoTPolicy]
	groups    table[ThingGroup]
	types     table[ThingType]
	tags      table[Tags]
	resources table[ResourcePolicy]
	aliases   table[RoleAlias]
	registry

	authorities table[CARecord]
	codes       table[registrationCode]
	templates   table[ProvisioningTemplate]

	sessions parseCache

	watchMu  sync.Mutex
	watchers []func()
}

// Open reads the directory of the account and region place from store.
func Open(ctx context.Context, store state.Store, place strait.Place, now func() time.Time) (*Directory, error) {
	d := &Directory{place: place, store: store, now: now}
	facts, err := store.List(ctx, prefix, "", 0)
	if err != nil {
		return nil, fmt.Errorf("read the directory: %w", err)
	}
	d.users.init("user")
	d.keys.init("key")
	d.roles.init("role")
	d.managed.init("managed")
	d.things.init("thing")
	d.certs.init("certificate")
	d.policies.init("iotpolicy")
	d.groups.init("thinggroup")
	d.types.init("thingtype")
	d.tags.init("iottag")
	d.registry.init()
	d.things.changed, d.groups.changed = d.thingChanged, d.groupChanged
	d.resources.init("resource")
	d.aliases.init("rolealias")
	d.authorities.init("authority")
	d.codes.init("registration")
	d.templates.init("template")
	loaders := []func(state.Fact) (bool, error){
		d.users.load, d.keys.load, d.roles.load, d.managed.load, d.things.load, d.certs.load, d.policies.load,
		d.groups.load, d.types.load, d.tags.load, d.resources.load, d.aliases.load,
		d.authorities.load, d.codes.load, d.templates.load,
	}
	for _, f := range facts {
		known := false
		for _, load := range loaders {
			ok, err := load(f)
			if err != nil {
				return nil, err
			}
			if ok {
				known = true
				break
			}
		}
		if !known {
			return nil, fmt.Errorf("the directory holds a fact of an unknown kind: %q (written by a newer version?)", f.Key)
		}
	}
	d.loadBuiltins()
	return d, nil
}

// Place returns the account and region whose directory this is.
func (d *Directory) Place() strait.Place { return d.place }

// Epoch grows with every change: what was computed from the directory at an
// epoch holds as long as the epoch is the same.
func (d *Directory) Epoch() uint64 { return d.epoch.Load() }

// OnChange calls fn after every change, in the goroutine that made it.
func (d *Directory) OnChange(fn func()) {
	d.watchMu.Lock()
	defer d.watchMu.Unlock()
	d.watchers = append(d.watchers, fn)
}

// A table is one kind of record, by key, with the revision that wrote it.
type table[T any] struct {
	kind string
	rows map[string]row[T]
	// changed is told of every change of a record; nil for none was, or is.
	changed func(old, now *T)
}

type row[T any] struct {
	value    *T
	revision state.Revision
}

func (t *table[T]) init(kind string) { t.kind, t.rows = kind, map[string]row[T]{} }

func (t *table[T]) key(name string) string { return prefix + t.kind + "/" + name }

func (t *table[T]) load(f state.Fact) (bool, error) {
	p := t.key("")
	if len(f.Key) < len(p) || f.Key[:len(p)] != p {
		return false, nil
	}
	v := new(T)
	if err := json.Unmarshal(f.Value, v); err != nil {
		return true, fmt.Errorf("read %q from the directory: %w", f.Key, err)
	}
	t.set(f.Key[len(p):], row[T]{v, f.Revision})
	return true, nil
}

func (t *table[T]) set(name string, r row[T]) {
	if t.changed != nil {
		t.changed(t.rows[name].value, r.value)
	}
	t.rows[name] = r
}

func (t *table[T]) drop(name string) {
	if t.changed != nil {
		t.changed(t.rows[name].value, nil)
	}
	delete(t.rows, name)
}

func (t *table[T]) get(name string) *T { return t.rows[name].value }

// sorted returns the records in the order of their keys.
func (t *table[T]) sorted() []*T {
	names := make([]string, 0, len(t.rows))
	for n := range t.rows {
		names = append(names, n)
	}
	sort.Strings(names)
	out := make([]*T, len(names))
	for i, n := range names {
		out[i] = t.rows[n].value
	}
	return out
}

// A tx gathers the writes of one change and what to do in memory once they
// are durable.
type tx struct {
	writes []state.Write
	then   []func(state.Revision)
}

func put[T any](x *tx, t *table[T], name string, v *T) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	expect := state.Absent()
	if old, ok := t.rows[name]; ok && old.revision != 0 {
		expect = state.At(old.revision)
	}
	x.writes = append(x.writes, state.Write{Key: t.key(name), Value: b, Expect: expect})
	x.then = append(x.then, func(r state.Revision) { t.set(name, row[T]{v, r}) })
	return nil
}

func remove[T any](x *tx, t *table[T], name string) {
	old, ok := t.rows[name]
	if !ok {
		return
	}
	x.writes = append(x.writes, state.Write{Key: t.key(name), Delete: true, Expect: state.At(old.revision)})
	x.then = append(x.then, func(state.Revision) { t.drop(name) })
}

// update makes one change: fn checks it against what is there and gathers its
// writes; they are durable and visible when update returns nil. fn runs alone.
func (d *Directory) update(ctx context.Context, fn func(x *tx) error) error {
	d.change.Lock()
	defer d.change.Unlock()
	x := &tx{}
	if err := fn(x); err != nil {
		return err
	}
	if len(x.writes) == 0 {
		return nil
	}
	rev, err := d.store.Apply(ctx, x.writes...)
	if err != nil {
		return err
	}
	d.mu.Lock()
	for _, f := range x.then {
		f(rev)
	}
	d.epoch.Add(1)
	d.mu.Unlock()
	d.watchMu.Lock()
	fns := d.watchers
	d.watchMu.Unlock()
	for _, f := range fns {
		f()
	}
	return nil
}

// read returns one record, or nil.
func read[T any](d *Directory, t *table[T], name string) *T {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return t.get(name)
}

// list returns all records in the order of their keys.
func list[T any](d *Directory, t *table[T]) []*T {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return t.sorted()
}
