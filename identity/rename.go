package identity

import (
	"context"
	"errors"
	"strings"

	"strait"
	"strait/state"
)

// RenameUser gives the user that arn names another name or path; "" keeps what
// it has. Its id, keys, policies, boundary and tags stay, and so does what others
// grant it: trust policies know its id, and policies of resources that name it
// as a principal name it by its new ARN. Policies that name it as a resource are
// not touched, as on AWS. It fails with NotFound, Exists, Limit or Conflict
// "user", the last when arn is not its any more.
func (d *Directory) RenameUser(ctx context.Context, arn strait.ARN, newName, newPath string) error {
	name := arn.Resource()[lastSlash(arn.Resource())+1:]
	err := d.update(ctx, func(x *tx) error {
		// 1. The user under its new name, which may be its own in another case.
		old := d.users.get(strings.ToLower(name))
		switch {
		case old == nil:
			return noUser(name)
		case old.ARN(d.place) != arn:
			return strait.Errorf(strait.Conflict, "user", "The user %s was changed by another request; try again.", name)
		}
		u := *old
		if newName != "" {
			u.Name = newName
		}
		if newPath != "" {
			u.Path = newPath
		}
		from, to := strings.ToLower(old.Name), strings.ToLower(u.Name)
		if from != to {
			if d.users.get(to) != nil {
				return strait.Errorf(strait.Exists, "user", "User with name %s already exists.", newName)
			}
			remove(x, &d.users, from)
		}
		if err := put(x, &d.users, to, &u); err != nil {
			return err
		}
		// 2. What knows it by name or ARN.
		if err := d.renameKeys(x, old.Name, u.Name); err != nil {
			return err
		}
		return d.renamePrincipal(x, old.ARN(d.place), u.ARN(d.place))
	})
	if errors.Is(err, state.ErrTooLarge) {
		return strait.Errorf(strait.Limit, "user", "The policies that name the user %s are too large together to be changed at once.", name)
	}
	return err
}

func (d *Directory) renameKeys(x *tx, from, to string) error {
	for id, row := range d.keys.rows {
		if row.value.User != from || from == to {
			continue
		}
		k := *row.value
		k.User = to
		if err := put(x, &d.keys, id, &k); err != nil {
			return err
		}
	}
	return nil
}

// renamePrincipal puts an ARN in the place of another in the policies of
// resources. They may outgrow their quota by that: what was granted stays.
func (d *Directory) renamePrincipal(x *tx, from, to strait.ARN) error {
	for arn, row := range d.resources.rows {
		p := *row.value
		text, err := rewritePrincipals(p.Document.Text, func(arn string) (string, error) {
			if arn == string(from) {
				return string(to), nil
			}
			return arn, nil
		})
		if err != nil {
			return err
		}
		if text == p.Document.Text {
			continue
		}
		p.Document = &Document{kind: p.Document.kind, name: p.Document.name, Text: text}
		if err := put(x, &d.resources, arn, &p); err != nil {
			return err
		}
	}
	return nil
}
