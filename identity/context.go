package identity

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"sort"
	"strconv"
	"strings"
	"time"

	"strait"
	"strait/policy"
)

func lower(s string) string { return strings.ToLower(s) }

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// Context returns the condition keys that hold for every request of c at now
// (iam-evaluation.md, section 5; iot-policies.md, section 5). Keys of a
// single operation are added by that operation.
func (d *Directory) Context(c *Caller, now time.Time) policy.Context {
	x := facts{make(policy.Context, 24), make([]string, 0, 24)}
	x.set("aws:currenttime", now.UTC().Format(time.RFC3339))
	x.set("aws:epochtime", strconv.FormatInt(now.Unix(), 10))
	x.set("aws:securetransport", strconv.FormatBool(c.Secure))
	x.set("aws:requestedregion", d.place.Region)
	x.set("aws:viaawsservice", "false")
	if c.IP.IsValid() {
		x.set("aws:sourceip", c.IP.Unmap().WithZone("").String())
	}
	if c.UserAgent != "" {
		x.set("aws:useragent", c.UserAgent)
	}
	if c.Referer != "" {
		x.set("aws:referer", c.Referer)
	}
	c.Signing.set(&x, now)
	switch c.Kind {
	case strait.Service:
		if c.SourceARN != "" {
			x.set("aws:sourcearn", string(c.SourceARN))
			x.set("aws:sourceaccount", d.place.Account)
		}
		return x.Context
	case strait.Anonymous, "":
		return x.Context
	}
	x.set("aws:principalaccount", c.Account)
	x.set("aws:principaltype", string(c.Kind))
	x.set("aws:userid", c.ID)
	switch c.Kind {
	case strait.User:
		x.set("aws:principalarn", string(c.ARN))
		x.set("aws:username", c.Name)
		if u := read(d, &d.users, lower(c.Name)); u != nil {
			setTags(x.Context, u.Tags)
		}
	case strait.AssumedRole:
		d.sessionContext(&x, c)
	case strait.Certificate:
		d.certificateContext(x.Context, c)
	default:
		x.set("aws:principalarn", string(c.ARN))
	}
	if c.ClientID != "" {
		x.set("iot:clientid", c.ClientID)
	}
	if c.Domain != "" {
		x.set("iot:domainname", c.Domain)
	}
	return x.Context
}

func (s *Signing) set(x *facts, now time.Time) {
	if s.TLS != "" {
		x.set("s3:tlsversion", s.TLS)
	}
	if s.Type == "" {
		return
	}
	x.set("s3:authtype", s.Type)
	x.set("s3:signatureversion", s.Version)
	if !s.At.IsZero() {
		x.set("s3:signatureage", strconv.FormatInt(max(0, now.Sub(s.At).Milliseconds()), 10))
	}
}

// facts are a Context in the making. Its single values lie in one row, and its
// keys are written in lower case: every request of HTTP makes one.
type facts struct {
	policy.Context
	row []string
}

func (f *facts) set(key, value string) {
	f.row = append(f.row, value)
	f.Context[key] = f.row[len(f.row)-1 : len(f.row) : len(f.row)]
}

func setTags(x policy.Context, tags map[string]string) {
	for k, v := range tags {
		x.Set("aws:PrincipalTag/"+k, v)
	}
}

func (d *Directory) sessionContext(x *facts, c *Caller) {
	x.set("aws:principalarn", string(c.RoleARN))
	if r := d.RoleByARN(c.RoleARN); r != nil {
		setTags(x.Context, r.Tags)
	}
	s := c.Session
	if s == nil {
		return
	}
	setTags(x.Context, s.Tags)
	x.set("aws:tokenissuetime", s.Issued.UTC().Format(time.RFC3339))
	x.set("aws:multifactorauthpresent", "false")
	if s.SourceIdentity != "" {
		x.set("aws:sourceidentity", s.SourceIdentity)
	}
	for k, v := range s.Context {
		x.Set(k, v)
	}
}

// certificateContext adds the keys of a device.
func (d *Directory) certificateContext(x policy.Context, c *Caller) {
	if t, attached := d.ThingFor(c); t != nil {
		x.Set("iot:Connection.Thing.ThingName", t.Name)
		if t.Type != "" {
			x.Set("iot:Connection.Thing.ThingTypeName", t.Type)
		}
		for k, v := range t.Attributes {
			x.Set("iot:Connection.Thing.Attributes["+k+"]", v)
		}
		x.Set("iot:Connection.Thing.IsAttached", strconv.FormatBool(attached))
	}
	if c.Certificate != nil {
		certificateKeys(x, c.Certificate)
	}
}

var subjectFields = []struct {
	name string
	oid  asn1.ObjectIdentifier
}{
	{"DistinguishedNameQualifier", asn1.ObjectIdentifier{2, 5, 4, 46}},
	{"Country", asn1.ObjectIdentifier{2, 5, 4, 6}},
	{"Organization", asn1.ObjectIdentifier{2, 5, 4, 10}},
	{"OrganizationalUnit", asn1.ObjectIdentifier{2, 5, 4, 11}},
	{"State", asn1.ObjectIdentifier{2, 5, 4, 8}},
	{"CommonName", asn1.ObjectIdentifier{2, 5, 4, 3}},
	{"SerialNumber", asn1.ObjectIdentifier{2, 5, 4, 5}},
	{"Title", asn1.ObjectIdentifier{2, 5, 4, 12}},
	{"Surname", asn1.ObjectIdentifier{2, 5, 4, 4}},
	{"GivenName", asn1.ObjectIdentifier{2, 5, 4, 42}},
	{"Initials", asn1.ObjectIdentifier{2, 5, 4, 43}},
	{"Pseudonym", asn1.ObjectIdentifier{2, 5, 4, 65}},
	{"GenerationQualifier", asn1.ObjectIdentifier{2, 5, 4, 44}},
}

func certificateKeys(x policy.Context, crt *x509.Certificate) {
	var available []string
	add := func(name string, values []string) {
		// AWS offers five values of a field at most, of 1,024 characters at most.
		if len(values) > 5 {
			values = values[:5]
		}
		for i, v := range values {
			if len(v) > 1024 {
				continue
			}
			if i == 0 {
				x.Set(name, v)
				available = append(available, name)
			}
			x.Set(name+"."+strconv.Itoa(i), v)
		}
		if len(values) > 0 {
			x.Set(name+".List", values...)
		}
	}
	names := func(prefix string, n pkix.Name) {
		for _, f := range subjectFields {
			var values []string
			for _, a := range n.Names {
				if s, ok := a.Value.(string); ok && a.Type.Equal(f.oid) {
					values = append(values, s)
				}
			}
			add(prefix+f.name, values)
		}
	}
	names("iot:Certificate.Subject.", crt.Subject)
	names("iot:Certificate.Issuer.", crt.Issuer)
	add("iot:Certificate.Subject.AlternativeName.RFC822Name", crt.EmailAddresses)
	add("iot:Certificate.Subject.AlternativeName.DNSName", crt.DNSNames)
	var uris, ips []string
	for _, u := range crt.URIs {
		uris = append(uris, u.String())
	}
	for _, ip := range crt.IPAddresses {
		ips = append(ips, ip.String())
	}
	add("iot:Certificate.Subject.AlternativeName.UniformResourceIdentifier", uris)
	add("iot:Certificate.Subject.AlternativeName.IPAddress", ips)
	x.Set("iot:Certificate.SerialNumber", crt.SerialNumber.Text(16))
	x.Set("iot:Certificate.AvailableKeys", available...)
}
