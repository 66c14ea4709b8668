package identity

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"sort"
	"time"

	"github.com/google/uuid"

	"strait"
)

// A Thing is a device as the registry knows it.
type Thing struct {
	Name, ID, Type string
	Attributes     map[string]string
	Version        int64
	Created        time.Time
	Principals     []strait.ARN // certificates attached to it
	Exclusive      []strait.ARN `json:",omitempty"` // those of them that are attached to nothing else
	// Groups are the ids of the thing groups that it was put into. A group
	// that was deleted leaves its id behind, which then means nothing: a group
	// made again under the same name has another.
	Groups []string `json:",omitempty"`
}

// Quotas of things (iot-control-plane.md, section 2).
const (
	maxAttributes     = 50
	maxAttributesBare = 3 // of a thing without a type
)

var (
	thingRE     = regexp.MustCompile(`^[a-zA-Z0-9:_-]{1,128}$`)
	attrNameRE  = regexp.MustCompile(`^[a-zA-Z0-9_.,@/:#-]{1,128}$`)
	attrValueRE = regexp.MustCompile(`^[a-zA-Z0-9_.,@/:#-]{0,800}$`)
)

// CheckThingName judges the name of a thing: 1 to 128 of [a-zA-Z0-9:_-].
// It is where `*` and `a/../b` end: a name never widens a policy.
func CheckThingName(name string) error { return checkName("thingName", name) }

func checkName(member, name string) error {
	if !thingRE.MatchString(name) {
		return strait.Errorf(strait.Invalid, "request",
			"1 validation error detected: Value at '%s' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9:_-]+ and have 1 to 128 characters", member)
	}
	return nil
}

func checkAttributes(a map[string]string, most int) error {
	if len(a) > most {
		return strait.Errorf(strait.Invalid, "request", "There are %d attributes; at most %d are allowed here (a thing without a thing type has %d).", len(a), most, maxAttributesBare)
	}
	for k, v := range a {
		if !attrNameRE.MatchString(k) || !attrValueRE.MatchString(v) {
			return strait.Errorf(strait.Invalid, "request", "Attribute %q is invalid: names and values consist of [a-zA-Z0-9_.,@/:#-].", k)
		}
	}
	return nil
}

// check judges a thing that is new or changed. A type that it had before stays
// even when it is deprecated by now.
func (d *Directory) checkThing(t *Thing, old string) error {
	most := maxAttributesBare
	if t.Type != "" {
		most = maxAttributes
		typ := d.types.get(t.Type)
		switch {
		case typ == nil:
			return noThingType(t.Type)
		case t.Type != old && !typ.Deprecated.IsZero():
			return strait.Errorf(strait.Invalid, "request", "Can not create new thing with deprecated thing type:%s", t.Type)
		}
	}
	return checkAttributes(t.Attributes, most)
}

func noThing(name string) error {
	return strait.Errorf(strait.NotFound, "thing", "Thing %s cannot be found.", name)
}

// ARN names t.
func (t *Thing) ARN(p strait.Place) strait.ARN { return p.IoT("thing/" + t.Name) }

// CreateThing adds a thing. One that exists with the same type and attributes
// is returned as it is.
func (d *Directory) CreateThing(ctx context.Context, t Thing) (*Thing, error) {
	if err := CheckThingName(t.Name); err != nil {
		return nil, err
	}
	t.ID, t.Version, t.Created = uuid.NewString(), 1, d.now().UTC()
	out := &t
	return out, d.update(ctx, func(x *tx) error {
		if old := d.things.get(t.Name); old != nil {
			if old.Type == t.Type && maps.Equal(old.Attributes, t.Attributes) {
				*out = *old
				return nil
			}
			return &strait.Error{Kind: strait.Exists, Thing: "thing",
				Message: "Thing " + t.Name + " already exists in account with different properties",
				Detail:  map[string]string{"resourceId": t.Name, "resourceArn": string(old.ARN(d.place))}}
		}
		if err := d.checkThing(out, ""); err != nil {
			return err
		}
		return put(x, &d.things, t.Name, out)
	})
}

// Thing returns the thing called name.
func (d *Directory) Thing(name string) (*Thing, error) {
	if t := read(d, &d.things, name); t != nil {
		return t, nil
	}
	return nil, noThing(name)
}

// Things returns all things by name.
func (d *Directory) Things() []*Thing { return list(d, &d.things) }

func (t *Thing) clone() *Thing {
	c := *t
	c.Attributes, c.Principals, c.Exclusive, c.Groups = maps.Clone(t.Attributes), slices.Clone(t.Principals), slices.Clone(t.Exclusive), slices.Clone(t.Groups)
	return &c
}

// ChangeThing applies fn to a copy of the thing and keeps the result under
// the next version.
func (d *Directory) ChangeThing(ctx context.Context, name string, fn func(t *Thing) error) error {
	return d.update(ctx, func(x *tx) error {
		old := d.things.get(name)
		if old == nil {
			return noThing(name)
		}
		t := old.clone()
		if err := fn(t); err != nil {
			return err
		}
		if err := d.checkThing(t, old.Type); err != nil {
			return err
		}
		t.Version++
		return put(x, &d.things, name, t)
	})
}

// DeleteThing removes a thing to which no principal is attached. One that is
// not there is no error, as with AWS. check may look at it first; nil for not.
func (d *Directory) DeleteThing(ctx context.Context, name string, check func(*Thing) error) error {
	return d.update(ctx, func(x *tx) error {
		t := d.things.get(name)
		if t == nil {
			return nil
		}
		if check != nil {
			if err := check(t); err != nil {
				return err
			}
		}
		if len(t.Principals) > 0 {
			return strait.Errorf(strait.Invalid, "request", "Cannot delete. Thing %s is still attached to one or more principals", name)
		}
		remove(x, &d.things, name)
		return nil
	})
}

// AttachThing attaches a certificate to a thing; it may be attached already,
// in the same way. An exclusive attachment is the only one of its certificate.
func (d *Directory) AttachThing(ctx context.Context, thing string, principal strait.ARN, exclusive bool) error {
	return d.update(ctx, func(x *tx) error {
		old := d.things.get(thing)
		if old == nil {
			return noThing(thing)
		}
		if d.certificateByARN(principal) == nil {
			return noCertificate(principal)
		}
		if slices.Contains(old.Principals, principal) {
			if slices.Contains(old.Exclusive, principal) == exclusive {
				return nil
			}
			return strait.Errorf(strait.Invalid, "request", "The principal is attached to thing %s in another way (thingPrincipalType); detach it first.", thing)
		}
		for _, other := range d.thingsOf(principal) {
			if exclusive || slices.Contains(d.things.get(other).Exclusive, principal) {
				return strait.Errorf(strait.Invalid, "request", "The principal is attached to thing %s; an exclusive attachment (EXCLUSIVE_THING) is the only one that a principal has.", other)
			}
		}
		t := old.clone()
		t.Principals = append(t.Principals, principal)
		if exclusive {
			t.Exclusive = append(t.Exclusive, principal)
		}
		return put(x, &d.things, thing, t)
	})
}

// DetachThing is the opposite of AttachThing.
func (d *Directory) DetachThing(ctx context.Context, thing string, principal strait.ARN) error {
	return d.update(ctx, func(x *tx) error {
		old := d.things.get(thing)
		if old == nil {
			return noThing(thing)
		}
		if !slices.Contains(old.Principals, principal) {
			return nil
		}
		t := old.clone()
		is := func(p strait.ARN) bool { return p == principal }
		t.Principals, t.Exclusive = slices.DeleteFunc(t.Principals, is), slices.DeleteFunc(t.Exclusive, is)
		return put(x, &d.things, thing, t)
	})
}

// ThingsOf returns the names of the things a certificate is attached to.
func (d *Directory) ThingsOf(principal strait.ARN) []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.thingsOf(principal)
}

func (d *Directory) thingsOf(principal strait.ARN) []string {
	out := make([]string, 0, len(d.attached[principal]))
	for n := range d.attached[principal] {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// ThingFor returns the thing that a connection is: the one that its
// certificate belongs to exclusively, else the one called like the client id,
// nil when there is none; and whether the certificate is attached to it.
// (iot-policies.md, section 5; without a client id, as over HTTPS, there is
// none.)
func (d *Directory) ThingFor(c *Caller) (t *Thing, attached bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.thingFor(c)
}

// ExclusiveThingFor returns the name of the thing that the certificate of a
// connection belongs to exclusively, "" when there is none.
func (d *Directory) ExclusiveThingFor(c *Caller) string {
	if t, _ := d.ThingFor(c); t != nil && slices.Contains(t.Exclusive, c.ARN) {
		return t.Name
	}
	return ""
}

func (d *Directory) thingFor(c *Caller) (t *Thing, attached bool) {
	if c.Kind != strait.Certificate || c.ClientID == "" {
		return nil, false
	}
	if only := d.attached[c.ARN]; len(only) == 1 {
		for name := range only {
			if t := d.things.get(name); slices.Contains(t.Exclusive, c.ARN) {
				return t, true
			}
		}
	}
	t = d.things.get(c.ClientID)
	return t, t != nil && slices.Contains(t.Principals, c.ARN)
}
