package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net/netip"
	"sync"
	"time"

	"strait"
	"strait/credential"
	"strait/policy"
)

// A Caller is a principal that has been proven, and what is known about the
// request it makes. It carries no policies: those are looked up when a
// decision is taken, so that a change reaches sessions that exist already.
type Caller struct {
	strait.Principal
	KeyID   string              // the access key used, "" without one
	Session *credential.Session // the opened session of an AssumedRole

	Certificate *x509.Certificate // the device's, when it proved itself with one
	ClientID    string            // of an MQTT connection
	Thing       string            // the thing that it is, or says it is where there is no client id; for traces
	Domain      string            // the server name the client asked for by TLS

	SourceARN strait.ARN // what a Service acts for, such as a topic rule

	IP        netip.Addr
	UserAgent string
	Referer   string
	Signing   Signing // of an S3 request
	Secure    bool    // came over TLS
	Trace     string
	Request   string // the id of the request over HTTP that it makes

}

// Signing is how an S3 request was signed and came, as condition keys tell it.
type Signing struct {
	Type    string    // REST-HEADER, REST-QUERY-STRING or POST; "" when it is not signed
	Version string    // AWS4-HMAC-SHA256 or AWS
	At      time.Time // zero when the signature has no date
	TLS     string    // the version of TLS, such as 1.3; "" without TLS
}

// CertificateID returns the id under which crt is registered: the lower-case
// hex SHA-256 of its DER.
func CertificateID(crt *x509.Certificate) string {
	sum := sha256.Sum256(crt.Raw)
	return hex.EncodeToString(sum[:])
}

// Service returns the caller that the house itself is when a service such as
// "iot.amazonaws.com" acts for the resource source.
func (d *Directory) Service(name string, source strait.ARN, trace string) Caller {
	return Caller{
		Principal: strait.Principal{Kind: strait.Service, ARN: strait.ARN(name), ID: name, Name: name, Account: d.place.Account},
		SourceARN: source, Secure: true, Trace: trace,
	}
}

// ForUser returns the principal of an IAM user.
func (d *Directory) ForUser(u *User) strait.Principal {
	return strait.Principal{Kind: strait.User, ARN: u.ARN(d.place), ID: u.ID, Name: u.Name, Account: d.place.Account}
}

// ForSession returns the principal of a role session.
func (d *Directory) ForSession(s *credential.Session) strait.Principal {
	res := s.RoleARN.Resource()
	name := res[lastSlash(res)+1:]
	return strait.Principal{
		Kind: strait.AssumedRole, ARN: d.place.STS("assumed-role/" + name + "/" + s.Name), RoleARN: s.RoleARN,
		ID: s.RoleID + ":" + s.Name, Name: s.Name, Account: d.place.Account,
	}
}

func lastSlash(s string) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '/' {
			return i
		}
	}
	return -1
}

// ForCertificate returns the principal of a registered certificate.
func (d *Directory) ForCertificate(c *CertificateRecord) strait.Principal {
	return strait.Principal{Kind: strait.Certificate, ARN: c.ARN(d.place), ID: c.ID, Name: c.ID, Account: d.place.Account}
}

// Exists tells whether the principal behind c still exists as the one it was
// when it was proven: the same role or user, an ACTIVE certificate, an active key.
func (d *Directory) Exists(c *Caller) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	switch c.Kind {
	case strait.AssumedRole:
		return d.roleOf(c) != nil
	case strait.Certificate:
		crt := d.certs.get(c.ID)
		return crt != nil && crt.Status == Active
	case strait.User:
		u, k := d.users.get(lower(c.Name)), d.keys.get(c.KeyID)
		return u != nil && u.ID == c.ID && (c.KeyID == "" || k != nil && !k.Inactive)
	}
	return true
}

// roleOf returns the role of an AssumedRole, nil when it was deleted, even if
// another one took its name. The caller holds the tables' lock.
func (d *Directory) roleOf(c *Caller) *Role {
	res := c.RoleARN.Resource()
	r := d.roles.get(lower(res[lastSlash(res)+1:]))
	if r == nil || c.Session == nil || r.ID != c.Session.RoleID {
		return nil
	}
	return r
}

// Policies returns every document that applies to c itself: identity
// policies, boundary, session policies, IoT policies. The policy of the
// resource is added by whoever knows what is asked for.
func (d *Directory) Policies(c *Caller) (policy.Set, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var s policy.Set
	var err error
	switch c.Kind {
	case strait.User:
		u := d.users.get(lower(c.Name))
		if u == nil || u.ID != c.ID {
			return s, nil
		}
		s.Identity, err = d.documents(u.Inline, u.Attached)
		if err == nil && u.Boundary != "" {
			s.HasBoundary = true
			s.Boundary, err = d.documents(nil, []strait.ARN{u.Boundary})
		}
	case strait.AssumedRole:
		s, err = d.sessionPolicies(c)
	case strait.Certificate:
		s, err = d.devicePolicies(c)
	}
	return s, err
}

func (d *Directory) sessionPolicies(c *Caller) (s policy.Set, err error) {
	if r := d.roleOf(c); r != nil {
		if s.Identity, err = d.documents(r.Inline, r.Attached); err != nil {
			return s, err
		}
		if r.Boundary != "" {
			s.HasBoundary = true
			if s.Boundary, err = d.documents(nil, []strait.ARN{r.Boundary}); err != nil {
				return s, err
			}
		}
	}
	if c.Session == nil || c.Session.Policy == "" && len(c.Session.PolicyARNs) == 0 {
		return s, nil
	}
	s.HasSession = true
	if s.Session, err = d.documents(nil, c.Session.PolicyARNs); err != nil {
		return s, err
	}
	if c.Session.Policy != "" {
		p, err := d.sessions.parse(c.Session.Name, c.Session.Policy)
		if err != nil {
			return s, err
		}
		s.Session = append(s.Session, p)
	}
	return s, nil
}

// documents collects inline and managed documents. A managed policy that is
// gone contributes nothing, as with AWS.
func (d *Directory) documents(in Inline, attached []strait.ARN) ([]*policy.Document, error) {
	docs := make([]*Document, 0, len(in)+len(attached))
	for _, n := range sortedKeys(in) {
		docs = append(docs, in[n])
	}
	for _, arn := range attached {
		if p := d.managed.get(string(arn)); p != nil {
			docs = append(docs, p.Versions[p.Default].Document)
		}
	}
	return all(docs...)
}

// Trust returns the trust policy that decides who may take the role arn, and
// nil when there is no such role.
func (d *Directory) Trust(arn strait.ARN) (*policy.Document, error) {
	r := d.RoleByARN(arn)
	if r == nil {
		return nil, nil
	}
	return r.Trust.Kept.Parsed()
}

// A parseCache remembers parsed session policies by their text: the same
// device comes with the same one many times an hour.
type parseCache struct {
	mu sync.Mutex
	m  map[string]*policy.Document
}

func (p *parseCache) parse(session, text string) (*policy.Document, error) {
	return p.parseAs(policy.Session, "session policy of "+session, text)
}

func (p *parseCache) parseAs(kind policy.Kind, name, text string) (*policy.Document, error) {
	key := name + "\x00" + text
	p.mu.Lock()
	doc := p.m[key]
	p.mu.Unlock()
	if doc != nil {
		return doc, nil
	}
	doc, err := policy.Parse(kind, name, text)
	if err != nil {
		return nil, asInvalid("session policy", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.m) >= 4096 || p.m == nil {
		p.m = map[string]*policy.Document{}
	}
	p.m[key] = doc
	return doc, nil
}
