package identity

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"strait"
)

// A ThingType says what things of it have in common. Only whether it is
// deprecated can change.
type ThingType struct {
	Name, ID    string
	Description string
	Searchable  []string // names of attributes
	Created     time.Time
	Deprecated  time.Time // zero while it is not
}

// maxSearchable is how many searchable attributes a type may have.
const maxSearchable = 3

func noThingType(name string) error {
	return strait.Errorf(strait.NotFound, "thing type", "Thing type %s cannot be found.", name)
}

// ARN names t.
func (t *ThingType) ARN(p strait.Place) strait.ARN { return p.IoT("thingtype/" + t.Name) }

// CreateThingType adds a type with tags. One that exists with the same
// properties is returned as it is.
func (d *Directory) CreateThingType(ctx context.Context, t ThingType, tags []Tag) (*ThingType, error) {
	if err := checkName("thingTypeName", t.Name); err != nil {
		return nil, err
	}
	switch {
	case len([]rune(t.Description)) > maxDescription:
		return nil, strait.Errorf(strait.Invalid, "request", "A description has at most %d characters.", maxDescription)
	case len(t.Searchable) > maxSearchable:
		return nil, strait.Errorf(strait.Invalid, "request", "A thing type has at most %d searchable attributes.", maxSearchable)
	}
	for _, a := range t.Searchable {
		if !attrNameRE.MatchString(a) {
			return nil, strait.Errorf(strait.Invalid, "request", "Attribute %q is invalid: names consist of [a-zA-Z0-9_.,@/:#-].", a)
		}
	}
	t.ID, t.Created = uuid.NewString(), d.now().UTC()
	out := &t
	return out, d.update(ctx, func(x *tx) error {
		if old := d.types.get(t.Name); old != nil {
			if old.Description == t.Description && slices.Equal(old.Searchable, t.Searchable) {
				*out = *old
				return nil
			}
			return &strait.Error{Kind: strait.Exists, Thing: "thing type",
				Message: "Thing Type " + t.Name + " already exists in current account with different properties",
				Detail:  map[string]string{"resourceId": t.Name, "resourceArn": string(old.ARN(d.place))}}
		}
		if err := d.tag(x, out.ARN(d.place), tags); err != nil {
			return err
		}
		return put(x, &d.types, t.Name, out)
	})
}

// ThingType returns the type called name.
func (d *Directory) ThingType(name string) (*ThingType, error) {
	if t := read(d, &d.types, name); t != nil {
		return t, nil
	}
	return nil, noThingType(name)
}

// ThingTypes returns all types by name.
func (d *Directory) ThingTypes() []*ThingType { return list(d, &d.types) }

// DeprecateThingType says that no thing may take the type from now on, or,
// with undo, that things may again.
func (d *Directory) DeprecateThingType(ctx context.Context, name string, undo bool) error {
	return d.update(ctx, func(x *tx) error {
		old := d.types.get(name)
		if old == nil {
			return noThingType(name)
		}
		if old.Deprecated.IsZero() == undo {
			return nil
		}
		t := *old
		t.Deprecated = time.Time{}
		if !undo {
			t.Deprecated = d.now().UTC()
		}
		return put(x, &d.types, name, &t)
	})
}

// DeleteThingType removes a deprecated type that no thing has. AWS wants five
// minutes to pass after the deprecation, until all its servers know; here all
// know at once.
func (d *Directory) DeleteThingType(ctx context.Context, name string) error {
	return d.update(ctx, func(x *tx) error {
		t := d.types.get(name)
		switch {
		case t == nil:
			return noThingType(name)
		case t.Deprecated.IsZero():
			return strait.Errorf(strait.Invalid, "request", "Cannot delete thing type : %s is not deprecated. Please deprecate the thing type first.", name)
		case d.ofType[name] > 0:
			return strait.Errorf(strait.Invalid, "request", "Cannot delete thing type : %s is still associated with one or more things.", name)
		}
		remove(x, &d.types, name)
		d.untagAll(x, t.ARN(d.place))
		return nil
	})
}
