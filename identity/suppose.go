package identity

import (
	"strings"
	"time"

	"strait"
	"strait/credential"
	"strait/policy"
)

// A Supposition describes a caller that nobody has proven to be: for questions
// about what would be decided, never for doing anything.
type Supposition struct {
	// Principal is the ARN of a user, a role (some session of it), a role
	// session, a certificate, a thing (the certificate attached to it) or the
	// root user; the name of a service; or "anonymous".
	Principal string
	// SessionPolicy and SessionPolicyARNs narrow a role's session, as
	// AssumeRole takes them.
	SessionPolicy     string
	SessionPolicyARNs []strait.ARN
	// ClientID is of the MQTT connection; "" takes the name of the only thing
	// that the certificate is attached to.
	ClientID string
	// SourceARN is what a service acts for.
	SourceARN strait.ARN
}

// Suppose returns the caller that s describes, as it would be proven now. It
// fails with kind NotFound for a user, role, certificate or thing that does
// not exist, and Invalid for what is no principal at all.
func (d *Directory) Suppose(s Supposition) (*Caller, error) {
	p, ok := policy.ReadPrincipal(s.Principal, "")
	thing, isThing := strings.CutPrefix(s.Principal, string(d.place.IoT("thing/")))
	narrowed := s.SessionPolicy != "" || len(s.SessionPolicyARNs) > 0
	switch {
	case isThing:
		return d.supposeThing(thing, s)
	case !ok:
		return nil, strait.Errorf(strait.Invalid, "principal",
			"%q is no principal: give the ARN of a user, role, role session, certificate or thing, the name of a service, or anonymous", s.Principal)
	case p.Account != "" && p.Account != d.place.Account:
		return nil, strait.Errorf(strait.NotFound, "principal", "The account %s is not served here.", p.Account)
	case narrowed && p.Kind != strait.AssumedRole:
		return nil, strait.Errorf(strait.Invalid, "principal", "Only a role's session has a session policy, and %s is none.", s.Principal)
	}
	c := &Caller{Principal: p, Secure: true}
	switch p.Kind {
	case strait.User:
		u, err := d.User(p.Name)
		if err != nil {
			return nil, err
		}
		c.Principal = d.ForUser(u)
	case strait.AssumedRole:
		return c, d.supposeSession(c, s)
	case strait.Certificate:
		return c, d.supposeDevice(c, p.ID, s)
	case strait.Service:
		*c = d.Service(string(p.ARN), s.SourceARN, "")
	}
	return c, nil
}

// supposedLife is how long a supposed session has to live.
const supposedLife = time.Hour

func (d *Directory) supposeSession(c *Caller, s Supposition) error {
	res := c.RoleARN.Resource()
	role, err := d.Role(res[lastSlash(res)+1:])
	if err != nil {
		return err
	}
	for _, arn := range s.SessionPolicyARNs {
		if _, err := d.Managed(arn); err != nil {
			return err
		}
	}
	if s.SessionPolicy != "" {
		if _, err := NewDocument(policy.Session, "session policy of "+c.Name, s.SessionPolicy); err != nil {
			return err
		}
	}
	now := d.now()
	c.Session = &credential.Session{
		Kind: strait.AssumedRole, RoleID: role.ID, RoleARN: role.ARN(d.place), Name: c.Name,
		Policy: s.SessionPolicy, PolicyARNs: s.SessionPolicyARNs, Issued: now, Expires: now.Add(supposedLife),
	}
	c.Principal, c.ClientID = d.ForSession(c.Session), s.ClientID
	return nil
}

func (d *Directory) supposeDevice(c *Caller, id string, s Supposition) error {
	rec := d.CertificateByID(id)
	if rec == nil {
		return noCertificate(c.ARN)
	}
	crt, err := rec.X509()
	if err != nil {
		return err
	}
	c.Principal, c.Certificate, c.ClientID = d.ForCertificate(rec), crt, s.ClientID
	if things := d.ThingsOf(c.ARN); c.ClientID == "" && len(things) == 1 {
		c.ClientID = things[0]
	}
	return nil
}

// supposeThing takes the certificate of a thing; the first by id, if it has
// several.
func (d *Directory) supposeThing(name string, s Supposition) (*Caller, error) {
	t, err := d.Thing(name)
	if err != nil {
		return nil, err
	}
	if len(t.Principals) == 0 {
		return nil, strait.Errorf(strait.NotFound, "principal", "No certificate is attached to thing %s.", name)
	}
	first := t.Principals[0]
	for _, p := range t.Principals {
		first = min(first, p)
	}
	s.Principal = string(first)
	if s.ClientID == "" {
		s.ClientID = name
	}
	return d.Suppose(s)
}

// RevisionOf names the version of a managed or IoT policy that doc is, such as
// "v3"; "" for documents that have no versions, or when it is not there any
// more.
func (d *Directory) RevisionOf(doc *policy.Document) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var versions map[string]PolicyVersion
	if arn, ok := strings.CutPrefix(doc.Name, "managed policy "); ok {
		if p := d.managed.get(arn); p != nil {
			versions = p.Versions
		}
	} else if name, ok := strings.CutPrefix(doc.Name, "iot policy "); ok {
		if p := d.policies.get(name); p != nil {
			versions = p.Versions
		}
	}
	for id, v := range versions {
		if parsed, err := v.Document.Parsed(); err == nil && parsed == doc {
			return id
		}
	}
	return ""
}
