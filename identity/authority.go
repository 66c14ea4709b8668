package identity

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"time"

	"strait"
)

// A CARecord is a registered certificate authority: one whose certificates are
// taken for devices' (iot-control-plane.md, section 4). Its ID is made like a
// certificate's.
type CARecord struct {
	ID                  string
	PEM                 string
	Status              CertificateStatus // ACTIVE or INACTIVE
	Mode                string            // DEFAULT or SNI_ONLY
	AutoRegistration    bool              // certificates of strangers are registered as they come
	Registration        Registration
	Created, Modified   time.Time
	NotBefore, NotAfter time.Time
	Version             int
	Subject             []byte // raw, by which issuers are found
}

// A Registration says what devices of an authority get that come for the first
// time: a template's name, or a template itself with a role.
type Registration struct {
	Template string
	Body     string
	Role     strait.ARN
}

// maxSameSubject is AWS's quota.
const maxSameSubject = 10

// ARN names c.
func (c *CARecord) ARN(p strait.Place) strait.ARN { return p.IoT("cacert/" + c.ID) }

func badCertificate(format string, args ...any) error {
	return strait.Errorf(strait.Invalid, "certificate", format, args...)
}

// ParseCertificate reads one certificate in PEM; what names it in the error.
func ParseCertificate(text, what string) (*x509.Certificate, error) {
	b, _ := pem.Decode([]byte(text))
	if b == nil || b.Type != "CERTIFICATE" {
		return nil, badCertificate("The %s is not a certificate in PEM.", what)
	}
	crt, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		return nil, badCertificate("The %s cannot be read.", what)
	}
	return crt, nil
}

// X509 parses the authority's certificate.
func (c *CARecord) X509() (*x509.Certificate, error) {
	return ParseCertificate(c.PEM, "CA certificate")
}

// RegistrationCode returns the code that proves possession of a CA's key. It
// is made once and stays until it is deleted.
func (d *Directory) RegistrationCode(ctx context.Context) (string, error) {
	if c := read(d, &d.codes, "code"); c != nil {
		return c.Code, nil
	}
	out := new(registrationCode)
	err := d.update(ctx, func(x *tx) error {
		if c := d.codes.get("code"); c != nil {
			*out = *c
			return nil
		}
		var b [32]byte
		if _, err := rand.Read(b[:]); err != nil {
			return err
		}
		out.Code = hex.EncodeToString(b[:])
		return put(x, &d.codes, "code", out)
	})
	return out.Code, err
}

type registrationCode struct{ Code string }

// DeleteRegistrationCode removes the code; the next is another one.
func (d *Directory) DeleteRegistrationCode(ctx context.Context) error {
	return d.update(ctx, func(x *tx) error {
		remove(x, &d.codes, "code")
		return nil
	})
}

// RegisterCA adds an authority whose PEM, Status, Mode, AutoRegistration and
// Registration are given. In DEFAULT mode proof is a certificate that the
// authority signed for the registration code; in SNI_ONLY mode there is none.
// The authority gets tags.
func (d *Directory) RegisterCA(ctx context.Context, c CARecord, proof string, tags []Tag) (*CARecord, error) {
	crt, err := c.X509()
	if err != nil {
		return nil, err
	}
	now := d.now().UTC()
	switch {
	case !crt.BasicConstraintsValid || !crt.IsCA:
		return nil, badCertificate("The CA certificate is not one of an authority (basicConstraints CA:TRUE is missing).")
	case now.Before(crt.NotBefore) || now.After(crt.NotAfter):
		return nil, badCertificate("The CA certificate is not valid now.")
	}
	if err := d.proven(&c, crt, proof); err != nil {
		return nil, err
	}
	c.ID, c.Subject = CertificateID(crt), crt.RawSubject
	c.Created, c.Modified, c.NotBefore, c.NotAfter, c.Version = now, now, crt.NotBefore, crt.NotAfter, 1
	return &c, d.update(ctx, func(x *tx) error {
		if d.authorities.get(c.ID) != nil {
			return &strait.Error{Kind: strait.Exists, Thing: "certificate", Message: "The CA certificate is already registered.",
				Detail: map[string]string{"resourceId": c.ID, "resourceArn": string(c.ARN(d.place))}}
		}
		same := 0
		for _, r := range d.authorities.rows {
			if bytes.Equal(r.value.Subject, c.Subject) {
				same++
			}
		}
		if same >= maxSameSubject {
			return strait.Errorf(strait.Limit, "certificate", "An account has at most %d CA certificates with the same subject.", maxSameSubject)
		}
		if err := d.tag(x, c.ARN(d.place), tags); err != nil {
			return err
		}
		return put(x, &d.authorities, c.ID, &c)
	})
}

func (d *Directory) proven(c *CARecord, authority *x509.Certificate, proof string) error {
	if c.Mode == "SNI_ONLY" {
		if proof != "" {
			return strait.Errorf(strait.Invalid, "request", "A verification certificate must not be given in the mode SNI_ONLY.")
		}
		return nil
	}
	c.Mode = "DEFAULT"
	code := read(d, &d.codes, "code")
	if proof == "" || code == nil {
		return strait.Errorf(strait.Invalid, "registration code", "A verification certificate is needed: one for the common name that GetRegistrationCode returns, signed by the CA.")
	}
	crt, err := ParseCertificate(proof, "verification certificate")
	if err != nil {
		return err
	}
	if err := crt.CheckSignatureFrom(authority); err != nil {
		return badCertificate("The verification certificate is not signed by the CA certificate.")
	}
	if crt.Subject.CommonName != code.Code {
		return strait.Errorf(strait.Invalid, "registration code", "The common name of the verification certificate is not the registration code.")
	}
	return nil
}

// CA returns the authority of that id.
func (d *Directory) CA(id string) (*CARecord, error) {
	if c := read(d, &d.authorities, id); c != nil {
		return c, nil
	}
	return nil, strait.Errorf(strait.NotFound, "certificate", "The CA certificate %s does not exist.", id)
}

// CAs returns all authorities by id.
func (d *Directory) CAs() []*CARecord { return list(d, &d.authorities) }

// ChangeCA applies fn to a copy of the authority's record.
func (d *Directory) ChangeCA(ctx context.Context, id string, fn func(c *CARecord) error) error {
	return d.update(ctx, func(x *tx) error {
		old := d.authorities.get(id)
		if old == nil {
			return strait.Errorf(strait.NotFound, "certificate", "The CA certificate %s does not exist.", id)
		}
		c := *old
		if err := fn(&c); err != nil {
			return err
		}
		c.Modified = d.now().UTC()
		c.Version++
		return put(x, &d.authorities, id, &c)
	})
}

// DeleteCA removes an authority that is INACTIVE. Its certificates stay.
func (d *Directory) DeleteCA(ctx context.Context, id string) error {
	return d.update(ctx, func(x *tx) error {
		c := d.authorities.get(id)
		if c == nil {
			return strait.Errorf(strait.NotFound, "certificate", "The CA certificate %s does not exist.", id)
		}
		if c.Status != Inactive {
			return strait.Errorf(strait.Conflict, "certificate state", "The CA certificate must be INACTIVE before deletion.")
		}
		d.untagAll(x, c.ARN(d.place))
		remove(x, &d.authorities, id)
		return nil
	})
}

// IssuersOf returns the registered authorities that signed crt, by subject and
// signature; usually none or one.
func (d *Directory) IssuersOf(crt *x509.Certificate) []*CARecord {
	d.mu.RLock()
	var named []*CARecord
	for _, c := range d.authorities.rows {
		if bytes.Equal(c.value.Subject, crt.RawIssuer) {
			named = append(named, c.value)
		}
	}
	d.mu.RUnlock()
	var out []*CARecord
	for _, c := range named {
		if authority, err := c.X509(); err == nil && crt.CheckSignatureFrom(authority) == nil {
			out = append(out, c)
		}
	}
	return out
}
