package identity

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"strait"
	"strait/policy"
)

// A CertificateStatus is the state of a registered certificate; only an
// ACTIVE one may connect.
type CertificateStatus string

// States of a certificate that Strait knows.
const (
	Active   CertificateStatus = "ACTIVE"
	Inactive CertificateStatus = "INACTIVE"
	Revoked  CertificateStatus = "REVOKED"
	Pending  CertificateStatus = "PENDING_ACTIVATION"
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
	CA                  string   `json:",omitempty"` // id of the registered authority that signed it, "" for ours
	Claim               string   `json:",omitempty"` // the provisioning template that it may claim by, for some minutes
	Owner               *Owner   `json:",omitempty"` // who may provision it while it is PENDING_ACTIVATION
}

// An Owner proves that a certificate was made for it by a token, of which only
// the SHA-256 is kept.
type Owner struct {
	Sum     []byte
	Expires time.Time
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

var iotPolicyRE = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)

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
			return strait.Errorf(strait.Conflict, "certificate state", "Certificate must be deactivated (not ACTIVE) before deletion. Id: %s", id)
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

// CreateIoTPolicy adds a policy with text as version 1, and tags.
func (d *Directory) CreateIoTPolicy(ctx context.Context, name, text string, tags ...Tag) (*IoTPolicy, error) {
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
		if err := d.tag(x, p.ARN(d.place), tags); err != nil {
			return err
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
		d.untagAll(x, p.ARN(d.place))
		return nil
	})
}
