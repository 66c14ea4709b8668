package credential

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
// directory. Its methods may be called from many goroutines; one process at a
// time may rotate.
type Issuer struct {
	dir    string
	now    func() time.Time
	ring   atomic.Pointer[keyring]
	rotate sync.Mutex
	packer packer
}

// Open returns an Issuer with the master keys in the file dir/master-key, which
// it makes when there is none. It refuses a file that others than its owner may
// read, or that is damaged: sessions made with lost keys are lost, too, and
// that must not happen silently.
func Open(dir string, now func() time.Time) (*Issuer, error) {
	ring, err := loadOrMake(dir, now())
	if err != nil {
		return nil, fmt.Errorf("open master keys: %w", err)
	}
	i := &Issuer{dir: dir, now: now}
	i.ring.Store(ring)
	return i, nil
}

// Issue returns credentials that stand for s, and how full policy, policy ARNs
// and tags make the room for them, in percent rounded up (0 when there are none).
// It fails with TooLarge "packed policy" beyond MaxPacked, and with Invalid
// "session" for a session that cannot be: without role, name or end, over
// before it began, or longer than MaxLifetime.
func (i *Issuer) Issue(s Session) (strait.Credentials, int, error) {
	now := i.now()
	if s.Issued.IsZero() {
		s.Issued = now
	}
	s.Expires = s.Expires.UTC().Truncate(time.Second)
	if err := check(s, now); err != nil {
		return strait.Credentials{}, 0, err
	}
	body, packed, err := i.packer.pack(s)
	if errors.Is(err, errPlain) || packed > MaxPacked {
		percent := (max(packed, MaxPacked+1)*100 + MaxPacked - 1) / MaxPacked
		return strait.Credentials{}, percent, strait.Errorf(strait.TooLarge, "packed policy",
			"Packed policy consumes %d%% of allotted space, please use smaller policy.", percent)
	}
	if err != nil {
		return strait.Credentials{}, 0, strait.Errorf(strait.Internal, "session", "pack session: %w", err)
	}
	c, err := i.seal(body)
	if err != nil {
		return strait.Credentials{}, 0, err
	}
	c.Expiration = s.Expires
	return c, (packed*100 + MaxPacked - 1) / MaxPacked, nil
}

func check(s Session, now time.Time) error {
	wrong := func(why string) error {
		return strait.Errorf(strait.Invalid, "session", "The session cannot be: %s.", why)
	}
	switch {
	case s.Kind != strait.AssumedRole:
		return wrong("only roles have sessions")
	case s.RoleID == "" || s.RoleARN == "" || s.Name == "":
		return wrong("it has no role or no name")
	case !s.Expires.After(s.Issued):
		return wrong("it is over before it begins")
	case s.Expires.Sub(s.Issued) > MaxLifetime || s.Expires.After(now.Add(MaxLifetime)):
		// Later than now + MaxLifetime its master key could be gone before it.
		return wrong("it is longer than " + MaxLifetime.String())
	}
	for _, key := range s.Transitive {
		if _, ok := s.Tags[key]; !ok {
			return wrong("a transitive tag is not among its tags")
		}
	}
	return nil
}

func (i *Issuer) seal(body []byte) (strait.Credentials, error) {
	key := i.ring.Load().last()
	id, err := newAccessKeyID()
	if err != nil {
		return strait.Credentials{}, strait.Errorf(strait.Internal, "session", "make access key id: %w", err)
	}
	token, err := key.seal(id, body)
	if err != nil {
		return strait.Credentials{}, strait.Errorf(strait.Internal, "session", "seal session: %w", err)
	}
	if len(token) > MaxToken {
		return strait.Credentials{}, strait.Errorf(strait.Invalid, "session", "The session cannot be: its role, name and context are too long.")
	}
	return strait.Credentials{AccessKeyID: id, SecretAccessKey: key.derived.secretOf(id, token), SessionToken: token}, nil
}

// Open returns the session that accessKeyID and token stand for, and the secret
// that its holder signs with. It fails with Unauthenticated "token" when they
// were not issued together, or their master key has been dropped. It does not
// look whether the session is over: check the signature first, then Session.Expires.
func (i *Issuer) Open(accessKeyID, token string) (s Session, secret string, err error) {
	if !isAccessKeyID(accessKeyID) {
		return Session{}, "", invalid(errors.New("not a temporary access key id"))
	}
	now := i.now()
	ring := i.ring.Load()
	body, key, err := unseal(accessKeyID, token, func(n uint64) *masterKey { return ring.find(n, now) })
	if err != nil {
		return Session{}, "", invalid(err)
	}
	if s, err = i.packer.unpack(body); err != nil {
		return Session{}, "", invalid(err)
	}
	return s, key.derived.secretOf(accessKeyID, token), nil
}

// invalid tells the caller nothing of why; the log gets the cause.
func invalid(cause error) error {
	return &strait.Error{
		Kind: strait.Unauthenticated, Thing: "token",
		Message: "The security token included in the request is invalid.",
		Err:     fmt.Errorf("open token: %w", cause),
	}
}

// Rotate makes a new master key, durable before it is used. Older ones go on
// opening tokens until MaxLifetime has passed; in an emergency they are dropped
// at once, and every session issued so far is over.
func (i *Issuer) Rotate(emergency bool) error {
	i.rotate.Lock()
	defer i.rotate.Unlock()
	next, err := i.ring.Load().rotated(emergency, i.now())
	if err != nil {
		return fmt.Errorf("rotate master keys: %w", err)
	}
	if err := next.save(i.dir, false); err != nil {
		return fmt.Errorf("rotate master keys: %w", err)
	}
	i.ring.Store(next)
	return nil
}

const (
	idPrefix = "ASIA"
	idRandom = 16 // base32 characters, 80 bits
)

func newAccessKeyID() (string, error) {
	raw := make([]byte, idRandom*5/8)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	return idPrefix + base32.StdEncoding.EncodeToString(raw), nil
}

func isAccessKeyID(id string) bool {
	rest, ok := strings.CutPrefix(id, idPrefix)
	return ok && len(rest) == idRandom && !slices.ContainsFunc([]byte(rest), func(c byte) bool {
		return !('A' <= c && c <= 'Z' || '2' <= c && c <= '7')
	})
}
