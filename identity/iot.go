package identity

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"strait"
	"strait/policy"
)

// A Thing is a device as the registry knows it.
type Thing struct {
	Name, ID, Type string
	Attributes     map[string]string
	Version        int64
	Created        time.Time
	Principals     []strait.ARN // certificates attached to it
}

// A CertificateStatus is the state of a registered certificate; only an
// ACTIVE one may connect.
type CertificateStatus string

// States of a certificate that Strait knows.
const (
	Active   CertificateStatus = "ACTIVE"
	Inactive CertificateStatus = "INACTIVE"
	Revoked  CertificateStatus = "REVOKED"
)

// A CertificateRecord is a registered certificate. Its ID is the lower-case
// hex SHA-256 of its DER (iot-control-plane.md, section 2).
type CertificateRecord struct {
	ID                  string
	PEM                 string
	Status              CertificateStatus
	Created, Modified   time.Time
	NotBefore, NotAfter time.Time
	Version             int
	Mode                string   // DEFAULT or SNI_ONLY
	Policies            []string // names of IoT policies attached to it
}

// An IoTPolicy is a policy for certificates, with versions "1", "2" ...
type IoTPolicy struct {
	Name              string
	Created, Modified time.Time
	Versions          map[string]PolicyVersion
	Default           string
	Last              int
	Generation        string
}

var (
	thingRE     = regexp.MustCompile(`^[a-zA-Z0-9:_-]{1,128}$`)
	attrNameRE  = regexp.MustCompile(`^[a-zA-Z0-9_.,@/:#-]{1,128}$`)
	attrValueRE = regexp.MustCompile(`^[a-zA-Z0-9_.,@/:#-]{0,800}$`)
	iotPolicyRE = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)
)

// CheckThingName judges the name of a thing: 1 to 128 of [a-zA-Z0-9:_-].
// It is where `*` and `a/../b` end: a name never widens a policy.
func CheckThingName(name string) error {
	if !thingRE.MatchString(name) {
		return strait.Errorf(strait.Invalid, "request",
			"1 validation error detected: Value at 'thingName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9:_-]+ and have 1 to 128 characters")
	}
	return nil
}

func checkAttributes(a map[string]string) error {
	if len(a) > 50 {
		return strait.Errorf(strait.Invalid, "request", "A thing has at most 50 attributes.")
	}
	for k, v := range a {
		if !attrNameRE.MatchString(k) || !attrValueRE.MatchString(v) {
			return strait.Errorf(strait.Invalid, "request", "Attribute %q is invalid: names and values consist of [a-zA-Z0-9_.,@/:#-].", k)
		}
	}
	return nil
}

func noThing(name string) error {
	return strait.Errorf(strait.NotFound, "thing", "Thing %s cannot be found.", name)
}

// ARN names t.
func (t *Thing) ARN(p strait.Place) strait.ARN { return p.IoT("thing/" + t.Name) }

// CreateThing adds a thing. One that exists with the same type and attributes
// is returned as it is.
func (d *Directory) CreateThing(ctx context.Context, t Thing) (*Thing, error) {
	if err := CheckThingName(t.Name); err != nil {
		return nil, err
	}
	if err := checkAttributes(t.Attributes); err != nil {
		return nil, err
	}
	t.ID, t.Version, t.Created = uuid.NewString(), 1, d.now().UTC()
	out := &t
	return out, d.update(ctx, func(x *tx) error {
		if old := d.things.get(t.Name); old != nil {
			if old.Type == t.Type && maps.Equal(old.Attributes, t.Attributes) {
				*out = *old
				return nil
			}
			return &strait.Error{Kind: strait.Exists, Thing: "thing",
				Message: "Thing " + t.Name + " already exists in account with different properties",
				Detail:  map[string]string{"resourceId": t.Name, "resourceArn": string(old.ARN(d.place))}}
		}
		return put(x, &d.things, t.Name, out)
	})
}

// Thing returns the thing called name.
func (d *Directory) Thing(name string) (*Thing, error) {
	if t := read(d, &d.things, name); t != nil {
		return t, nil
	}
	return nil, noThing(name)
}

// Things returns all things by name.
func (d *Directory) Things() []*Thing { return list(d, &d.things) }

// ChangeThing applies fn to a copy of the thing and keeps the result under
// the next version.
func (d *Directory) ChangeThing(ctx context.Context, name string, fn func(t *Thing) error) error {
	return d.update(ctx, func(x *tx) error {
		old := d.things.get(name)
		if old == nil {
			return noThing(name)
		}
		t := *old
		t.Attributes, t.Principals = maps.Clone(t.Attributes), slices.Clone(t.Principals)
		if err := fn(&t); err != nil {
			return err
		}
		if err := checkAttributes(t.Attributes); err != nil {
			return err
		}
		t.Version++
		return put(x, &d.things, name, &t)
	})
}

// DeleteThing removes a thing to which no principal is attached. One that is
// not there is no error, as with AWS.
func (d *Directory) DeleteThing(ctx context.Context, name string) error {
	return d.update(ctx, func(x *tx) error {
		t := d.things.get(name)
		if t == nil {
			return nil
		}
		if len(t.Principals) > 0 {
			return strait.Errorf(strait.Invalid, "request", "Cannot delete thing %s: principals are still attached to it.", name)
		}
		remove(x, &d.things, name)
		return nil
	})
}

// AttachThing attaches a certificate to a thing; it may be attached already.
func (d *Directory) AttachThing(ctx context.Context, thing string, principal strait.ARN) error {
	return d.update(ctx, func(x *tx) error {
		old := d.things.get(thing)
		if old == nil {
			return noThing(thing)
		}
		if d.certificateByARN(principal) == nil {
			return noCertificate(principal)
		}
		if slices.Contains(old.Principals, principal) {
			return nil
		}
		t := *old
		t.Principals = append(slices.Clone(t.Principals), principal)
		return put(x, &d.things, thing, &t)
	})
}

// DetachThing is the opposite of AttachThing.
func (d *Directory) DetachThing(ctx context.Context, thing string, principal strait.ARN) error {
	return d.update(ctx, func(x *tx) error {
		old := d.things.get(thing)
		if old == nil {
			return noThing(thing)
		}
		i := slices.Index(old.Principals, principal)
		if i < 0 {
			return nil
		}
		t := *old
		t.Principals = slices.Delete(slices.Clone(t.Principals), i, i+1)
		return put(x, &d.things, thing, &t)
	})
}

// ThingsOf returns the names of the things a certificate is attached to.
func (d *Directory) ThingsOf(principal strait.ARN) []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.thingsOf(principal)
}

func (d *Directory) thingsOf(principal strait.ARN) []string {
	var out []string
	for n, t := range d.things.rows {
		if slices.Contains(t.value.Principals, principal) {
			out = append(out, n)
		}
	}
	sort.Strings(out)
	return out
}

// ARN names c.
func (c *CertificateRecord) ARN(p strait.Place) strait.ARN { return p.IoT("cert/" + c.ID) }

// X509 parses the certificate itself.
func (c *CertificateRecord) X509() (*x509.Certificate, error) {
	b, _ := pem.Decode([]byte(c.PEM))
	if b == nil {
		return nil, strait.Errorf(strait.Invalid, "certificate", "The certificate is not PEM.")
	}
	return x509.ParseCertificate(b.Bytes)
}

func noCertificate(arn strait.ARN) error {
	return strait.Errorf(strait.NotFound, "certificate", "The certificate %s does not exist.", arn)
}

// RegisterCertificate adds a certificate whose ID, PEM and Status are given.
func (d *Directory) RegisterCertificate(ctx context.Context, c CertificateRecord) (*CertificateRecord, error) {
	crt, err := c.X509()
	if err != nil {
		return nil, strait.Errorf(strait.Invalid, "certificate", "The certificate cannot be read.")
	}
	now := d.now().UTC()
	c.ID = CertificateID(crt)
	c.Created, c.Modified, c.NotBefore, c.NotAfter, c.Version = now, now, crt.NotBefore, crt.NotAfter, 1
	if c.Mode == "" {
		c.Mode = "DEFAULT"
	}
	return &c, d.update(ctx, func(x *tx) error {
		if d.certs.get(c.ID) != nil {
			return &strait.Error{Kind: strait.Exists, Thing: "certificate", Message: "The certificate is already registered.",
				Detail: map[string]string{"resourceId": c.ID, "resourceArn": string(c.ARN(d.place))}}
		}
		return put(x, &d.certs, c.ID, &c)
	})
}

// CertificateByID returns the registered certificate, or nil.
func (d *Directory) CertificateByID(id string) *CertificateRecord { return read(d, &d.certs, id) }

// CertificateByARN returns the registered certificate, or nil.
func (d *Directory) CertificateByARN(arn strait.ARN) *CertificateRecord {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.certificateByARN(arn)
}

func (d *Directory) certificateByARN(arn strait.ARN) *CertificateRecord {
	c := d.certs.get(strings.TrimPrefix(arn.Resource(), "cert/"))
	if c == nil || c.ARN(d.place) != arn {
		return nil
	}
	return c
}

// Certificates returns all certificates by id.
func (d *Directory) Certificates() []*CertificateRecord { return list(d, &d.certs) }

// ChangeCertificate applies fn to a copy of the certificate's record.
func (d *Directory) ChangeCertificate(ctx context.Context, id string, fn func(c *CertificateRecord) error) error {
	return d.update(ctx, func(x *tx) error {
		old := d.certs.get(id)
		if old == nil {
			return noCertificate(d.place.IoT("cert/" + id))
		}
		c := *old
		c.Policies = slices.Clone(c.Policies)
		if err := fn(&c); err != nil {
			return err
		}
		c.Modified = d.now().UTC()
		c.Version++
		return put(x, &d.certs, id, &c)
	})
}

// DeleteCertificate removes a certificate that is not ACTIVE and has nothing
// attached; force overlooks its policies.
func (d *Directory) DeleteCertificate(ctx context.Context, id string, force bool) error {
	return d.update(ctx, func(x *tx) error {
		c := d.certs.get(id)
		arn := d.place.IoT("cert/" + id)
		switch {
		case c == nil:
			return noCertificate(arn)
		case c.Status == Active:
			return strait.Errorf(strait.Conflict, "certificate state", "Certificate must be deactivated (not ACTIVE) before deletion.")
		case len(c.Policies) > 0 && !force:
			return strait.Errorf(strait.Conflict, "deletion", "Certificate policies must be detached before deletion (arn: %s)", arn)
		case len(d.thingsOf(arn)) > 0:
			return strait.Errorf(strait.Conflict, "deletion", "Things must be detached before deletion (arn: %s)", arn)
		}
		remove(x, &d.certs, id)
		return nil
	})
}

func noIoTPolicy(name string) error {
	return strait.Errorf(strait.NotFound, "iot policy", "Policy not found: %s", name)
}

// ARN names p.
func (p *IoTPolicy) ARN(at strait.Place) strait.ARN { return at.IoT("policy/" + p.Name) }

// CreateIoTPolicy adds a policy with text as version 1.
func (d *Directory) CreateIoTPolicy(ctx context.Context, name, text string) (*IoTPolicy, error) {
	if !iotPolicyRE.MatchString(name) {
		return nil, strait.Errorf(strait.Invalid, "request", "The policy name %q is invalid: 1 to 128 of [A-Za-z0-9_+=,.@-].", name)
	}
	doc, err := NewDocument(policy.IoT, "iot policy "+name, text)
	if err != nil {
		return nil, err
	}
	now := d.now().UTC()
	p := &IoTPolicy{Name: name, Created: now, Modified: now, Default: "1", Last: 1, Generation: uuid.NewString(),
		Versions: map[string]PolicyVersion{"1": {"1", doc, now}}}
	return p, d.update(ctx, func(x *tx) error {
		if d.policies.get(name) != nil {
			return &strait.Error{Kind: strait.Exists, Thing: "iot policy", Message: "Policy cannot be created - name already exists (name=" + name + ")",
				Detail: map[string]string{"resourceId": name, "resourceArn": string(p.ARN(d.place))}}
		}
		return put(x, &d.policies, name, p)
	})
}

// IoTPolicy returns the IoT policy called name.
func (d *Directory) IoTPolicy(name string) (*IoTPolicy, error) {
	if p := read(d, &d.policies, name); p != nil {
		return p, nil
	}
	return nil, noIoTPolicy(name)
}

// IoTPolicies returns all IoT policies by name.
func (d *Directory) IoTPolicies() []*IoTPolicy { return list(d, &d.policies) }

// ChangeIoTPolicy applies fn to a copy of the policy.
func (d *Directory) ChangeIoTPolicy(ctx context.Context, name string, fn func(p *IoTPolicy) error) error {
	return d.update(ctx, func(x *tx) error {
		old := d.policies.get(name)
		if old == nil {
			return noIoTPolicy(name)
		}
		p := *old
		p.Versions = maps.Clone(p.Versions)
		if err := fn(&p); err != nil {
			return err
		}
		p.Modified, p.Generation = d.now().UTC(), uuid.NewString()
		return put(x, &d.policies, name, &p)
	})
}

// AddIoTVersion adds text as a new version of an IoT policy.
func (d *Directory) AddIoTVersion(ctx context.Context, name, text string, asDefault bool) (PolicyVersion, error) {
	doc, err := NewDocument(policy.IoT, "iot policy "+name, text)
	if err != nil {
		return PolicyVersion{}, err
	}
	v := PolicyVersion{Document: doc, Created: d.now().UTC()}
	return v, d.ChangeIoTPolicy(ctx, name, func(p *IoTPolicy) error {
		if len(p.Versions) >= maxVersions {
			return strait.Errorf(strait.Limit, "iot policy version", "The policy %s already has the maximum number of versions (%d)", name, maxVersions)
		}
		p.Last++
		v.ID = strconv.Itoa(p.Last)
		p.Versions[v.ID] = v
		if asDefault {
			p.Default = v.ID
		}
		return nil
	})
}

// DeleteIoTPolicy removes a policy attached to nothing, with one version only.
func (d *Directory) DeleteIoTPolicy(ctx context.Context, name string) error {
	return d.update(ctx, func(x *tx) error {
		p := d.policies.get(name)
		switch {
		case p == nil:
			return noIoTPolicy(name)
		case len(p.Versions) > 1:
			return strait.Errorf(strait.Conflict, "deletion", "Cannot delete the policy because it has one or more policy versions attached to it (name=%s)", name)
		case len(d.targetsOf(name)) > 0:
			return strait.Errorf(strait.Conflict, "deletion", "The policy cannot be deleted as the policy is attached to one or more principals (name=%s)", name)
		}
		remove(x, &d.policies, name)
		return nil
	})
}

// AttachIoTPolicy attaches a policy to a certificate.
func (d *Directory) AttachIoTPolicy(ctx context.Context, name string, target strait.ARN) error {
	return d.changeAttachment(ctx, name, target, func(c *CertificateRecord) error {
		if slices.Contains(c.Policies, name) {
			return nil
		}
		if len(c.Policies) >= 10 {
			return strait.Errorf(strait.Limit, "attachment", "A certificate has at most 10 policies.")
		}
		c.Policies = append(c.Policies, name)
		return nil
	})
}

// DetachIoTPolicy detaches a policy from a certificate.
func (d *Directory) DetachIoTPolicy(ctx context.Context, name string, target strait.ARN) error {
	return d.changeAttachment(ctx, name, target, func(c *CertificateRecord) error {
		c.Policies = slices.DeleteFunc(c.Policies, func(n string) bool { return n == name })
		return nil
	})
}

func (d *Directory) changeAttachment(ctx context.Context, name string, target strait.ARN, fn func(*CertificateRecord) error) error {
	return d.update(ctx, func(x *tx) error {
		if d.policies.get(name) == nil {
			return noIoTPolicy(name)
		}
		old := d.certificateByARN(target)
		if old == nil {
			return strait.Errorf(strait.NotFound, "certificate", "The target %s does not exist; policies are attached to certificates.", target)
		}
		c := *old
		c.Policies = slices.Clone(c.Policies)
		if err := fn(&c); err != nil {
			return err
		}
		return put(x, &d.certs, c.ID, &c)
	})
}

// TargetsOf returns the certificates a policy is attached to.
func (d *Directory) TargetsOf(name string) []strait.ARN {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.targetsOf(name)
}

func (d *Directory) targetsOf(name string) []strait.ARN {
	var out []strait.ARN
	for _, c := range d.certs.sorted() {
		if slices.Contains(c.Policies, name) {
			out = append(out, c.ARN(d.place))
		}
	}
	return out
}
