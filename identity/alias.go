package identity

import (
	"context"
	"regexp"
	"strings"
	"time"

	"strait"
)

// A RoleAlias is the name by which devices ask IoT's credentials provider for a
// role, so that the role can change without the devices.
type RoleAlias struct {
	Name              string
	Role              strait.ARN
	Duration          time.Duration // of the credentials; 15 minutes to 12 hours
	Created, Modified time.Time
}

// maxAliases is AWS's quota (iot-control-plane.md, section 9).
const maxAliases = 100

var aliasRE = regexp.MustCompile(`^[\w=,@-]{1,128}$`)

// ARN names a.
func (a *RoleAlias) ARN(p strait.Place) strait.ARN { return p.IoT("rolealias/" + a.Name) }

func (a *RoleAlias) check() error {
	if !aliasRE.MatchString(a.Name) {
		return strait.Errorf(strait.Invalid, "request", "The role alias %q is invalid: 1 to 128 of [A-Za-z0-9_=,@-].", a.Name)
	}
	if p, err := a.Role.Parse(); err != nil || p.Service != "iam" || !strings.HasPrefix(p.Resource, "role/") {
		return strait.Errorf(strait.Invalid, "request", "The role ARN %q is invalid.", a.Role)
	}
	if a.Duration < 15*time.Minute || a.Duration > 12*time.Hour {
		return strait.Errorf(strait.Invalid, "request", "credentialDurationSeconds must be between 900 and 43200.")
	}
	return nil
}

func noAlias(name string) error {
	return strait.Errorf(strait.NotFound, "role alias", "Role alias does not exist: %s", name)
}

// CreateRoleAlias adds a, whose times are set here, with tags.
func (d *Directory) CreateRoleAlias(ctx context.Context, a RoleAlias, tags []Tag) (*RoleAlias, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	a.Created = d.now().UTC()
	a.Modified = a.Created
	return &a, d.update(ctx, func(x *tx) error {
		if d.aliases.get(a.Name) != nil {
			return &strait.Error{Kind: strait.Exists, Thing: "role alias", Message: "Role alias " + a.Name + " already exists",
				Detail: map[string]string{"resourceId": a.Name, "resourceArn": string(a.ARN(d.place))}}
		}
		if len(d.aliases.rows) >= maxAliases {
			return strait.Errorf(strait.Limit, "role alias", "An account has at most %d role aliases.", maxAliases)
		}
		if err := d.tag(x, a.ARN(d.place), tags); err != nil {
			return err
		}
		return put(x, &d.aliases, a.Name, &a)
	})
}

// RoleAlias returns the alias called name; case counts.
func (d *Directory) RoleAlias(name string) (*RoleAlias, error) {
	if a := read(d, &d.aliases, name); a != nil {
		return a, nil
	}
	return nil, noAlias(name)
}

// RoleAliases returns all aliases by name.
func (d *Directory) RoleAliases() []*RoleAlias { return list(d, &d.aliases) }

// ChangeRoleAlias applies fn to a copy of the alias.
func (d *Directory) ChangeRoleAlias(ctx context.Context, name string, fn func(a *RoleAlias)) (*RoleAlias, error) {
	a := new(RoleAlias)
	return a, d.update(ctx, func(x *tx) error {
		old := d.aliases.get(name)
		if old == nil {
			return noAlias(name)
		}
		*a = *old
		fn(a)
		if err := a.check(); err != nil {
			return err
		}
		a.Modified = d.now().UTC()
		return put(x, &d.aliases, name, a)
	})
}

// DeleteRoleAlias removes the alias called name.
func (d *Directory) DeleteRoleAlias(ctx context.Context, name string) error {
	return d.update(ctx, func(x *tx) error {
		a := d.aliases.get(name)
		if a == nil {
			return noAlias(name)
		}
		d.untagAll(x, a.ARN(d.place))
		remove(x, &d.aliases, name)
		return nil
	})
}
