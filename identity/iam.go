package identity

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"strait"
	"strait/policy"
)

// Inline are the policies that live inside a user or role, by policy name.
type Inline map[string]*Document

// A User is a person or program with long-lived access keys.
type User struct {
	Name, Path, ID string
	Created        time.Time
	Inline         Inline
	Attached       []strait.ARN // managed policies
	Boundary       strait.ARN   // "" when there is none
	Tags           map[string]string
}

// A Role is taken for a while by whoever its trust policy names.
type Role struct {
	Name, Path, ID string
	Description    string
	Created        time.Time
	MaxSession     time.Duration
	Trust          *Trust
	Inline         Inline
	Attached       []strait.ARN
	Boundary       strait.ARN
	Tags           map[string]string
}

// A ManagedPolicy is a policy document with versions that users and roles
// refer to by its ARN.
type ManagedPolicy struct {
	ARN              strait.ARN
	Name, Path, ID   string
	Description      string
	Created, Updated time.Time
	Versions         map[string]PolicyVersion // by "v1", "v2" ...
	Default          string
	Last             int  // the number given last; numbers are never used again
	Builtin          bool // one of AWS's own; cannot be changed
	Tags             map[string]string
}

// A PolicyVersion is one text of a policy.
type PolicyVersion struct {
	ID       string
	Document *Document
	Created  time.Time
}

// ARN names u in account.
func (u *User) ARN(p strait.Place) strait.ARN { return p.IAM("user" + u.Path + u.Name) }

// ARN names r in account.
func (r *Role) ARN(p strait.Place) strait.ARN { return p.IAM("role" + r.Path + r.Name) }

var (
	nameRE = regexp.MustCompile(`^[\w+=,.@-]+$`)
	pathRE = regexp.MustCompile(`^/(?:[\x21-\x7e]+/)?$`)
)

// CheckName judges the name of a user, role (64 characters) or policy (128).
// what is the parameter as AWS's texts have it, such as "roleName".
func CheckName(what, name string, most int) error {
	switch {
	case name == "":
		return strait.Errorf(strait.Invalid, "missing parameter", "The request must contain the parameter %s.", strings.ToUpper(what[:1])+what[1:])
	case len(name) > most:
		return strait.Errorf(strait.Invalid, "parameter",
			"1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", what, most)
	case !nameRE.MatchString(name):
		return strait.Errorf(strait.Invalid, "parameter",
			"The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", what)
	}
	return nil
}

// CheckPath judges the path of a user, role or policy and fills in "/".
func CheckPath(path string) (string, error) {
	if path == "" {
		return "/", nil
	}
	if len(path) > 512 || !pathRE.MatchString(path) {
		return "", strait.Errorf(strait.Invalid, "parameter",
			"The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	return path, nil
}

// newID makes a unique id with prefix, such as "AROA" and 17 characters.
func newID(prefix string) string {
	var b [11]byte
	rand.Read(b[:])
	return prefix + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:])[:17]
}

func noUser(name string) error {
	return strait.Errorf(strait.NotFound, "user", "The user with name %s cannot be found.", name)
}

func noRole(name string) error {
	return strait.Errorf(strait.NotFound, "role", "The role with name %s cannot be found.", name)
}

// CreateUser adds u; its id and time of creation are given here.
func (d *Directory) CreateUser(ctx context.Context, u User) (*User, error) {
	if err := CheckName("userName", u.Name, 64); err != nil {
		return nil, err
	}
	path, err := CheckPath(u.Path)
	if err != nil {
		return nil, err
	}
	u.Path, u.ID, u.Created, u.Inline = path, newID("AIDA"), d.now().UTC(), Inline{}
	return &u, d.update(ctx, func(x *tx) error {
		if err := d.CheckBoundary(u.Boundary); err != nil {
			return err
		}
		if d.users.get(strings.ToLower(u.Name)) != nil {
			return strait.Errorf(strait.Exists, "user", "User with name %s already exists.", u.Name)
		}
		return put(x, &d.users, strings.ToLower(u.Name), &u)
	})
}

// User returns the user called name, whatever the case.
func (d *Directory) User(name string) (*User, error) {
	if u := read(d, &d.users, strings.ToLower(name)); u != nil {
		return u, nil
	}
	return nil, noUser(name)
}

// Users returns all users by name.
func (d *Directory) Users() []*User { return list(d, &d.users) }

// ChangeUser applies fn to a copy of the user and keeps the result.
func (d *Directory) ChangeUser(ctx context.Context, name string, fn func(u *User) error) error {
	return d.update(ctx, func(x *tx) error {
		old := d.users.get(strings.ToLower(name))
		if old == nil {
			return noUser(name)
		}
		u := *old
		u.Inline, u.Attached, u.Tags = maps.Clone(u.Inline), slices.Clone(u.Attached), maps.Clone(u.Tags)
		if err := fn(&u); err != nil {
			return err
		}
		return put(x, &d.users, strings.ToLower(name), &u)
	})
}

// DeleteUser removes a user that has neither keys nor policies.
func (d *Directory) DeleteUser(ctx context.Context, name string) error {
	return d.update(ctx, func(x *tx) error {
		u := d.users.get(strings.ToLower(name))
		if u == nil {
			return noUser(name)
		}
		if err := deletable(len(u.Attached), len(u.Inline)); err != nil {
			return err
		}
		for _, k := range d.keys.rows {
			if strings.EqualFold(k.value.User, name) {
				return strait.Errorf(strait.Conflict, "deletion", "Cannot delete entity, must delete access keys first.")
			}
		}
		remove(x, &d.users, strings.ToLower(name))
		return nil
	})
}

func deletable(attached, inline int) error {
	switch {
	case attached > 0:
		return strait.Errorf(strait.Conflict, "deletion", "Cannot delete entity, must detach all policies first.")
	case inline > 0:
		return strait.Errorf(strait.Conflict, "deletion", "Cannot delete entity, must delete policies first.")
	}
	return nil
}

// CreateRole adds r with the trust policy text; id and time are given here.
// MaxSession zero means one hour.
func (d *Directory) CreateRole(ctx context.Context, r Role, trust string) (*Role, error) {
	if err := CheckName("roleName", r.Name, 64); err != nil {
		return nil, err
	}
	path, err := CheckPath(r.Path)
	if err != nil {
		return nil, err
	}
	r.Path, r.ID, r.Created, r.Inline = path, newID("AROA"), d.now().UTC(), Inline{}
	if r.MaxSession == 0 {
		r.MaxSession = time.Hour
	}
	if err := CheckMaxSession(r.MaxSession); err != nil {
		return nil, err
	}
	return &r, d.update(ctx, func(x *tx) error {
		if err := d.CheckBoundary(r.Boundary); err != nil {
			return err
		}
		if d.roles.get(strings.ToLower(r.Name)) != nil {
			return strait.Errorf(strait.Exists, "role", "Role with name %s already exists.", r.Name)
		}
		var err error
		if r.Trust, err = d.newTrust(trust, &r); err != nil {
			return err
		}
		return put(x, &d.roles, strings.ToLower(r.Name), &r)
	})
}

// CheckMaxSession judges a role's longest session: one to twelve hours.
func CheckMaxSession(m time.Duration) error {
	if m < time.Hour || m > 12*time.Hour {
		return strait.Errorf(strait.Invalid, "parameter",
			"1 validation error detected: Value '%d' at 'maxSessionDuration' failed to satisfy constraint: Member must have value between 3600 and 43200", int(m.Seconds()))
	}
	return nil
}

// Role returns the role called name, whatever the case.
func (d *Directory) Role(name string) (*Role, error) {
	if r := read(d, &d.roles, strings.ToLower(name)); r != nil {
		return r, nil
	}
	return nil, noRole(name)
}

// RoleByARN returns the role that arn names exactly, or nil.
func (d *Directory) RoleByARN(arn strait.ARN) *Role {
	res := arn.Resource()
	r := read(d, &d.roles, strings.ToLower(res[strings.LastIndex(res, "/")+1:]))
	if r == nil || r.ARN(d.place) != arn {
		return nil
	}
	return r
}

// Roles returns all roles by name.
func (d *Directory) Roles() []*Role { return list(d, &d.roles) }

// ChangeRole applies fn to a copy of the role and keeps the result.
func (d *Directory) ChangeRole(ctx context.Context, name string, fn func(r *Role) error) error {
	return d.update(ctx, func(x *tx) error {
		old := d.roles.get(strings.ToLower(name))
		if old == nil {
			return noRole(name)
		}
		r := *old
		r.Inline, r.Attached, r.Tags = maps.Clone(r.Inline), slices.Clone(r.Attached), maps.Clone(r.Tags)
		if err := fn(&r); err != nil {
			return err
		}
		return put(x, &d.roles, strings.ToLower(name), &r)
	})
}

// SetTrust replaces the trust policy of a role.
func (d *Directory) SetTrust(ctx context.Context, name, text string) error {
	return d.ChangeRole(ctx, name, func(r *Role) error {
		t, err := d.newTrust(text, r)
		r.Trust = t
		return err
	})
}

// DeleteRole removes a role that has no policies.
func (d *Directory) DeleteRole(ctx context.Context, name string) error {
	return d.update(ctx, func(x *tx) error {
		r := d.roles.get(strings.ToLower(name))
		if r == nil {
			return noRole(name)
		}
		if err := deletable(len(r.Attached), len(r.Inline)); err != nil {
			return err
		}
		remove(x, &d.roles, strings.ToLower(name))
		return nil
	})
}

// NewDocument parses and measures a policy text for kind; name is what
// reasons show of it.
func NewDocument(kind policy.Kind, name, text string) (*Document, error) {
	doc := &Document{kind: kind, name: name, Text: text}
	_, err := doc.Parsed()
	if err != nil {
		return nil, err
	}
	if err := policy.CheckSize(kind, text); err != nil {
		return nil, asInvalid("policy document", err)
	}
	return doc, nil
}

// asInvalid tells why a text is no policy: AWS's sentence, and ours about what
// exactly is wrong.
func asInvalid(thing string, err error) error {
	var known *strait.Error
	if errors.As(err, &known) {
		return err
	}
	message := err.Error()
	var syntax *policy.SyntaxError
	if errors.As(err, &syntax) {
		message = syntax.Message
		if syntax.Hint != "" {
			message += fmt.Sprintf(" (line %d: %s)", syntax.Line, syntax.Hint)
		}
	}
	return &strait.Error{Kind: strait.Invalid, Thing: thing, Message: message}
}
