package template

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
)

// A Plan is what one device is to get.
type Plan struct {
	Thing       *Thing
	Certificate Certificate
	Policies    []Policy
	Device      map[string]any // what the device is told, nil for nothing
	// Names are the resources' own names in the template, by type, for the
	// answer that lists what was made.
	Names Names
}

// Names are how a template calls its resources.
type Names struct {
	Thing, Certificate string
	Policies           []string
}

// A Setting says what happens to a value that an existing resource has.
type Setting string

// Settings; the empty one is Nothing.
const (
	Nothing Setting = "DO_NOTHING"
	Replace Setting = "REPLACE"
	Fail    Setting = "FAIL"
	Merge   Setting = "MERGE"
)

// A Thing is the thing of a Plan.
type Thing struct {
	Name, Type string
	Attributes map[string]string
	Groups     []string

	OnAttributes, OnType, OnGroups Setting
}

// A Certificate is the certificate of a Plan: one that exists already (ID), is
// registered from PEM (and the CA's), or is made from a Request.
type Certificate struct {
	ID, PEM, CA, Request string
	Status               string // ACTIVE when the template does not say
	OnStatus             Setting
}

// A Policy is one that exists (no Document) or is to be made.
type Policy struct{ Name, Document string }

// Plan fills the template in. values are the device's parameters, with AWS's
// own such as AWS::IoT::Certificate::Id; what the template declares and nothing
// gives fails. Values are put in as they are: a template that puts what a
// device says into a policy's resources lets it say "*", with AWS, too.
func (t *Template) Plan(values map[string]string) (*Plan, error) {
	s := &scope{t: t, values: map[string]string{}}
	for n, p := range t.parameters {
		if p.Default != nil {
			s.values[n] = *p.Default
		}
	}
	maps.Copy(s.values, values)
	for _, n := range t.Parameters() {
		if _, ok := s.values[n]; !ok {
			return nil, missing(n)
		}
	}
	p := &Plan{Certificate: Certificate{Status: "ACTIVE"}}
	for _, r := range t.resources {
		v, err := s.value(r.Properties, 0)
		if err != nil {
			return nil, err
		}
		f := fields{name: r.name, m: v.(map[string]any)}
		switch r.Type {
		case thingType:
			p.thing(r, &f)
		case certificateType:
			p.certificate(r, &f)
		case policyType:
			p.policy(r, &f)
		}
		if f.err != nil {
			return nil, f.err
		}
	}
	return p, p.configure(s)
}

func (p *Plan) configure(s *scope) error {
	if s.t.device == nil {
		return nil
	}
	v, err := s.value(s.t.device, 0)
	if err != nil {
		return err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return invalid("DeviceConfiguration is no object")
	}
	if b, err := json.Marshal(m); err != nil || len(b) > MaxValue {
		return wrong("DeviceConfiguration is too large.")
	}
	p.Device = m
	return nil
}

func (p *Plan) thing(r resource, f *fields) {
	p.Names.Thing = r.name
	p.Thing = &Thing{
		Name: f.text("ThingName"), Type: f.text("ThingTypeName"), Attributes: f.texts("AttributePayload"), Groups: f.list("ThingGroups"),
		OnAttributes: Setting(r.Override["AttributePayload"]), OnType: Setting(r.Override["ThingTypeName"]), OnGroups: Setting(r.Override["ThingGroups"]),
	}
	if p.Thing.Name == "" && f.err == nil {
		f.err = invalid("the thing %s has no ThingName", r.name)
	}
}

func (p *Plan) certificate(r resource, f *fields) {
	p.Names.Certificate = r.name
	c := &p.Certificate
	c.ID, c.PEM, c.CA, c.Request = f.text("CertificateId"), f.text("CertificatePem"), f.text("CACertificatePem"), f.text("CertificateSigningRequest")
	c.OnStatus = Setting(r.Override["Status"])
	if s := f.text("Status"); s != "" {
		c.Status = upper(s)
	}
	given := 0
	for _, v := range []string{c.ID, c.PEM, c.Request} {
		if v != "" {
			given++
		}
	}
	switch {
	case f.err != nil:
	case given != 1:
		f.err = invalid("the certificate %s needs one of CertificateId, CertificatePem and CertificateSigningRequest", r.name)
	case c.CA != "" && c.PEM == "":
		f.err = invalid("the certificate %s has a CACertificatePem without a CertificatePem", r.name)
	case !slices.Contains([]string{"ACTIVE", "INACTIVE", "PENDING_ACTIVATION"}, c.Status):
		f.err = invalid("the certificate %s has the status %q", r.name, c.Status)
	}
}

// upper writes Active as ACTIVE: AWS's own examples have either.
func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// policy is one that exists, or a document; without a name a document is
// called like its hash.
func (p *Plan) policy(r resource, f *fields) {
	q := Policy{Name: f.text("PolicyName"), Document: f.document("PolicyDocument")}
	if q.Name == "" && q.Document == "" && f.err == nil {
		f.err = invalid("the policy %s has neither PolicyName nor PolicyDocument", r.name)
	}
	if q.Name == "" {
		sum := sha256.Sum256([]byte(q.Document))
		q.Name = hex.EncodeToString(sum[:])
	}
	p.Policies, p.Names.Policies = append(p.Policies, q), append(p.Names.Policies, r.name)
}

// fields are a resource's evaluated properties; the first wrong one is kept.
type fields struct {
	name string
	m    map[string]any
	err  error
}

func (f *fields) bad(key, want string) {
	if f.err == nil {
		f.err = wrong("The property %s of %s must be %s.", key, f.name, want)
	}
}

func (f *fields) text(key string) string {
	v, ok := f.m[key]
	if !ok {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		f.bad(key, "a string")
	}
	return s
}

func (f *fields) list(key string) []string {
	v, ok := f.m[key]
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		f.bad(key, "a list of strings")
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		s, ok := e.(string)
		if !ok {
			f.bad(key, "a list of strings")
		}
		out = append(out, s)
	}
	return out
}

// texts is an object of strings, or a list of such objects: AWS's examples
// write attributes either way.
func (f *fields) texts(key string) map[string]string {
	v, ok := f.m[key]
	if !ok {
		return nil
	}
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	out := map[string]string{}
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			f.bad(key, "an object of strings")
		}
		for k, v := range m {
			s, ok := text(v)
			if !ok {
				f.bad(key, "an object of strings")
			}
			out[k] = s
		}
	}
	return out
}

// document is a policy: a string of JSON, or the JSON itself.
func (f *fields) document(key string) string {
	switch v := f.m[key].(type) {
	case nil:
		return ""
	case string:
		return v
	case map[string]any:
		b, err := json.Marshal(v)
		if err != nil {
			f.bad(key, "a policy document")
		}
		return string(b)
	}
	f.bad(key, "a policy document")
	return ""
}
