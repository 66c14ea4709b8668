package identity

import (
	"strings"
	"time"

	"strait"
	"strait/credential"
	"strait/identity/sigv4"
)

// An Authenticator proves callers by what they signed or presented.
type Authenticator struct {
	Directory *Directory
	Issuer    *credential.Issuer
	Now       func() time.Time
	Keys      *sigv4.KeyRing // may be nil
}

// Signed proves the caller of a signed request under the rules o. It fills in
// principal, key and session; what is known about the connection is added by
// the door. Failures are *strait.Error of kind Unauthenticated: "key" for a
// key that is not known or not active, "token" for a token that does not
// belong to it, "expired token", and those of sigv4.Claim.Verify.
func (a *Authenticator) Signed(claim *sigv4.Claim, o sigv4.Options) (Caller, error) {
	o.Keys = a.Keys
	if strings.HasPrefix(claim.AccessKeyID, "ASIA") || claim.Token != "" {
		return a.session(claim, o)
	}
	key := a.Directory.AccessKey(claim.AccessKeyID)
	if key == nil {
		return Caller{}, &strait.Error{Kind: strait.Unauthenticated, Thing: "key", Message: "The security token included in the request is invalid.",
			Detail: map[string]string{"AWSAccessKeyId": claim.AccessKeyID}}
	}
	if err := claim.Verify(key.Secret, o); err != nil {
		return Caller{}, err
	}
	user, err := a.Directory.User(key.User)
	if key.Inactive || err != nil {
		return Caller{}, strait.Errorf(strait.Unauthenticated, "key", "The access key %s is not active.", key.ID)
	}
	return Caller{Principal: a.Directory.ForUser(user), KeyID: key.ID}, nil
}

// session proves a caller by the session that its token carries. Expiry is
// told only to someone who could sign: the signature comes first.
func (a *Authenticator) session(claim *sigv4.Claim, o sigv4.Options) (Caller, error) {
	if claim.Token == "" {
		return Caller{}, strait.Errorf(strait.Unauthenticated, "key",
			"The security token included in the request is invalid: %s is a temporary key and needs its session token.", claim.AccessKeyID)
	}
	s, secret, err := a.Issuer.Open(claim.AccessKeyID, claim.Token)
	if err != nil {
		return Caller{}, err
	}
	if err := claim.Verify(secret, o); err != nil {
		return Caller{}, err
	}
	if !a.Now().Before(s.Expires) {
		return Caller{}, strait.Errorf(strait.Unauthenticated, "expired token", "The security token included in the request is expired")
	}
	c := Caller{Principal: a.Directory.ForSession(&s), KeyID: claim.AccessKeyID, Session: &s, Trace: s.Trace}
	if !a.Directory.Exists(&c) {
		return Caller{}, strait.Errorf(strait.Unauthenticated, "token", "The security token included in the request is invalid: the role of this session was deleted.")
	}
	return c, nil
}
