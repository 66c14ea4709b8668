package identity

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"strait"
)

// An AccessKey is a long-lived key of a user.
type AccessKey struct {
	ID, Secret string
	User       string // the user's name
	Created    time.Time
	Inactive   bool
}

// CreateAccessKey gives user a new key; a user has two at the most.
func (d *Directory) CreateAccessKey(ctx context.Context, user string) (*AccessKey, error) {
	k := &AccessKey{ID: newKeyID(), Secret: newSecret(), Created: d.now().UTC()}
	return k, d.update(ctx, func(x *tx) error {
		u := d.users.get(strings.ToLower(user))
		if u == nil {
			return noUser(user)
		}
		k.User = u.Name
		n := 0
		for _, o := range d.keys.rows {
			if o.value.User == u.Name {
				n++
			}
		}
		if n >= 2 {
			return strait.Errorf(strait.Limit, "access key", "Cannot exceed quota for AccessKeysPerUser: 2")
		}
		return put(x, &d.keys, k.ID, k)
	})
}

// AccessKey returns the key with that id, or nil.
func (d *Directory) AccessKey(id string) *AccessKey { return read(d, &d.keys, id) }

// AccessKeys returns the keys of user by id.
func (d *Directory) AccessKeys(user string) []*AccessKey {
	all := list(d, &d.keys)
	return slices.DeleteFunc(all, func(k *AccessKey) bool { return !strings.EqualFold(k.User, user) })
}

// SetAccessKey makes a key of user active or inactive.
func (d *Directory) SetAccessKey(ctx context.Context, user, id string, inactive bool) error {
	return d.update(ctx, func(x *tx) error {
		k := d.keys.get(id)
		if k == nil || !strings.EqualFold(k.User, user) {
			return NoKey(id)
		}
		c := *k
		c.Inactive = inactive
		return put(x, &d.keys, id, &c)
	})
}

// DeleteAccessKey removes a key of user.
func (d *Directory) DeleteAccessKey(ctx context.Context, user, id string) error {
	return d.update(ctx, func(x *tx) error {
		if k := d.keys.get(id); k == nil || !strings.EqualFold(k.User, user) {
			return NoKey(id)
		}
		remove(x, &d.keys, id)
		return nil
	})
}

// NoKey is the error about an access key that does not exist.
func NoKey(id string) error {
	return strait.Errorf(strait.NotFound, "access key", "The Access Key with id %s cannot be found", id)
}

// newKeyID makes an access key id: AKIA and 16 characters.
func newKeyID() string {
	var b [10]byte
	rand.Read(b[:])
	return "AKIA" + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:])
}

func newSecret() string {
	var b [20]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
