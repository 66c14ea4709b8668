package credential

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	keyFile     = "master-key"
	keyFileMax  = 1 << 20 // bytes we are willing to read of it
	masterBytes = 32
)

// A keyring is the master keys of one directory. It never changes: a rotation
// makes another.
type keyring struct {
	Version int         `json:"version"`
	Keys    []masterKey `json:"keys"` // by number; the last one issues
}

// A masterKey is never used by itself; derive makes what seals and what signs.
type masterKey struct {
	Number  uint64    `json:"number"` // stands in the header of its tokens; never used again
	Made    time.Time `json:"made"`
	Retired time.Time `json:"retired,omitzero"` // when another took its place
	Key     []byte    `json:"key"`
	derived *derived
}

// last is the key that issues.
func (k *keyring) last() *masterKey { return &k.Keys[len(k.Keys)-1] }

// find returns the key with that number, unless it has been dropped or has
// outlived every token that it made.
func (k *keyring) find(number uint64, now time.Time) *masterKey {
	for i := range k.Keys {
		if k.Keys[i].Number == number && !k.Keys[i].over(now) {
			return &k.Keys[i]
		}
	}
	return nil
}

func (m *masterKey) over(now time.Time) bool {
	return !m.Retired.IsZero() && now.After(m.Retired.Add(MaxLifetime))
}

// rotated returns k with a new key that issues.
func (k *keyring) rotated(emergency bool, now time.Time) (*keyring, error) {
	next := &keyring{Version: 1}
	number := uint64(1)
	for _, old := range k.Keys {
		number = old.Number + 1
		if old.Retired.IsZero() {
			old.Retired = now.UTC()
		}
		if !emergency && !old.over(now) {
			next.Keys = append(next.Keys, old)
		}
	}
	fresh := masterKey{Number: number, Made: now.UTC(), Key: make([]byte, masterBytes)}
	if _, err := rand.Read(fresh.Key); err != nil {
		return nil, err
	}
	next.Keys = append(next.Keys, fresh)
	return next, next.derive()
}

func (k *keyring) derive() (err error) {
	for i := range k.Keys {
		if k.Keys[i].derived, err = derive(k.Keys[i].Key); err != nil {
			return err
		}
	}
	return nil
}

// load reads dir/master-key; fs.ErrNotExist when there is none.
func load(dir string) (*keyring, error) {
	name := filepath.Join(dir, keyFile)
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s holds master keys and may be read by others (mode %04o): run chmod 600 on it, and rotate if others can have read it", name, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, keyFileMax))
	if err != nil {
		return nil, err
	}
	k := new(keyring)
	// The decoder's error could quote the text, which is secret.
	if json.Unmarshal(text, k) != nil {
		return nil, fmt.Errorf("%s is damaged: restore it, or remove it and end every session", name)
	}
	if err := k.check(); err != nil {
		return nil, fmt.Errorf("%s is damaged (%w): restore it, or remove it and end every session", name, err)
	}
	return k, k.derive()
}

func (k *keyring) check() error {
	if k.Version != 1 {
		return fmt.Errorf("version %d is not known", k.Version)
	}
	if len(k.Keys) == 0 {
		return errors.New("no keys")
	}
	for _, m := range k.Keys {
		if len(m.Key) != masterBytes || m.Number == 0 {
			return fmt.Errorf("key %d is not %d bytes", m.Number, masterBytes)
		}
	}
	if !slices.IsSortedFunc(k.Keys, func(a, b masterKey) int {
		if a.Number < b.Number {
			return -1
		}
		return 1 // equal numbers are out of order, too
	}) {
		return errors.New("key numbers do not rise")
	}
	if !k.last().Retired.IsZero() {
		return errors.New("no key in use")
	}
	return nil
}

// save writes k so that the file is whole at every moment and durable when save
// returns. With fresh it fails with fs.ErrExist when there is a file already.
func (k *keyring) save(dir string, fresh bool) (err error) {
	text, err := json.MarshalIndent(k, "", " ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+keyFile+"-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	name := filepath.Join(dir, keyFile)
	if fresh {
		err = os.Link(f.Name(), name) // unlike rename it never replaces
	} else {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// loadOrMake returns the keyring of dir, made when there is none. When two
// processes make one at once, both return the same.
func loadOrMake(dir string, now time.Time) (*keyring, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	k, err := load(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if k, err = new(keyring).rotated(false, now); err != nil {
		return nil, err
	}
	err = k.save(dir, true)
	if errors.Is(err, fs.ErrExist) {
		return load(dir)
	}
	return k, err
}
