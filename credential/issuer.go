package credential

import (
	"errors"
	"time"

	"strait"
)

// Limits.
const (
	// MaxLifetime is the longest a session may live, and how long a master
	// key still opens tokens after another has taken its place.
	MaxLifetime = 12 * time.Hour
	// MaxPacked is how many bytes policy, policy ARNs and tags may pack to.
	MaxPacked = 2048
	// MaxToken bounds the characters of a token; Issue makes none longer,
	// and Open reads none.
	MaxToken = 8192
)

// An Issuer issues and opens temporary credentials with the master keys of one
// directory. Its methods may be called from many goroutines.
type Issuer struct{}

// Open returns an Issuer with the master keys in the file dir/master-key, which
// it makes when there is none. It refuses a file that others than its owner may
// read, or that is damaged: sessions made with lost keys are lost, too, and
// that must not happen silently.
func Open(dir string, now func() time.Time) (*Issuer, error) {
	return nil, errors.New("not written yet")
}

// Issue returns credentials that stand for s, and how full policy, policy ARNs
// and tags make the room for them, in percent rounded up (0 when there are none).
// It fails with TooLarge "packed policy" beyond MaxPacked, and with Invalid
// "session" for a session that cannot be: without role, name or end, over
// before it began, or longer than MaxLifetime.
func (i *Issuer) Issue(s Session) (strait.Credentials, int, error) {
	return strait.Credentials{}, 0, errors.New("not written yet")
}

// Open returns the session that accessKeyID and token stand for, and the secret
// that its holder signs with. It fails with Unauthenticated "token" when they
// were not issued together, or their master key has been dropped. It does not
// look at the clock: check the signature first, then Session.Expires.
func (i *Issuer) Open(accessKeyID, token string) (s Session, secret string, err error) {
	return Session{}, "", errors.New("not written yet")
}

// Rotate makes a new master key, durable before it is used. Older ones go on
// opening tokens until MaxLifetime has passed; in an emergency they are dropped
// at once, and every session issued so far is over.
func (i *Issuer) Rotate(emergency bool) error { return errors.New("not written yet") }
