package api

import (
	"context"
	"slices"
	"sync/atomic"

	"strait"
	"strait/identity"
	"strait/identity/ca"
	"strait/identity/template"
)

// A Provisioner gives devices that come for the first time what a template
// says. Everything it makes it asks for in the corridor, as a session of the
// template's role.
type Provisioner struct {
	Corridor  *Corridor
	IoT       *Service
	Directory *identity.Directory
	Authority *ca.Authority
	// Take returns a session of role for the resource source, if the role
	// trusts iot.amazonaws.com.
	Take func(role, source strait.ARN, trace string) (Caller, error)
	// Invoke runs a function for source and returns what it says.
	Invoke func(ctx context.Context, function, source strait.ARN, payload []byte, trace string) ([]byte, error)

	underWay atomic.Int32 // requests over MQTT
}

// A provisioned device is what came of a plan.
type provisioned struct {
	Certificate *identity.CertificateRecord
	Thing       string
	Resources   map[string]strait.ARN // by their names in the template
}

// do runs one row as c. fill sets the row's input.
func do[In any](ctx context.Context, p *Provisioner, c *Caller, name string, fill func(in *In)) (any, error) {
	return p.Corridor.Serve(ctx, c, p.IoT.Find(name), func(in any) error {
		fill(in.(*In))
		return nil
	})
}

// carryOut makes what the plan says. What exists already is left, replaced or
// refused as the plan says, so that a device that comes again after a failure
// ends where it should. The certificate is switched on last.
func (p *Provisioner) carryOut(ctx context.Context, c *Caller, plan *template.Plan) (*provisioned, error) {
	out := &provisioned{Resources: map[string]strait.ARN{}}
	crt, err := p.certificate(ctx, c, &plan.Certificate)
	if err != nil {
		return nil, err
	}
	at := p.Directory.Place()
	out.Certificate, out.Resources[plan.Names.Certificate] = crt, crt.ARN(at)
	for i, q := range plan.Policies {
		if err := p.policy(ctx, c, q, crt); err != nil {
			return nil, err
		}
		out.Resources[plan.Names.Policies[i]] = at.IoT("policy/" + q.Name)
	}
	if t := plan.Thing; t != nil {
		if err := p.thing(ctx, c, t); err != nil {
			return nil, err
		}
		if _, err := do(ctx, p, c, "AttachThingPrincipal", func(in *thingPrincipalInput) { in.Thing, in.Principal = t.Name, crt.ARN(at) }); err != nil {
			return nil, err
		}
		out.Thing, out.Resources[plan.Names.Thing] = t.Name, at.IoT("thing/"+t.Name)
	}
	return out, p.status(ctx, c, &plan.Certificate, crt)
}

func conflicts(format string, args ...any) error {
	return strait.Errorf(strait.Conflict, "provisioning", format, args...)
}

// certificate finds or makes the certificate; a new one is not yet ACTIVE.
func (p *Provisioner) certificate(ctx context.Context, c *Caller, plan *template.Certificate) (*identity.CertificateRecord, error) {
	id := plan.ID
	switch {
	case plan.Request != "":
		made, err := do(ctx, p, c, "CreateCertificateFromCsr", func(in *createFromCSRInput) { in.CSR = plan.Request })
		if err != nil {
			return nil, err
		}
		id = made.(*createKeysOutput).ID
	case plan.PEM != "":
		crt, err := identity.ParseCertificate(plan.PEM, "certificate")
		if err != nil {
			return nil, err
		}
		id = identity.CertificateID(crt)
		if p.Directory.CertificateByID(id) != nil {
			break
		}
		if _, err := do(ctx, p, c, "RegisterCertificate", func(in *registerByCAInput) { in.PEM, in.CA = plan.PEM, plan.CA }); err != nil {
			return nil, err
		}
	}
	rec := p.Directory.CertificateByID(id)
	if rec == nil {
		return nil, strait.Errorf(strait.NotFound, "certificate", "The certificate %s does not exist.", id)
	}
	if rec.Status == identity.Active && plan.OnStatus == template.Fail {
		return nil, conflicts("The certificate %s is ACTIVE already.", id)
	}
	return rec, nil
}

// status switches the certificate on, or whatever the plan says. One that was
// in use before keeps its status unless the plan replaces it.
func (p *Provisioner) status(ctx context.Context, c *Caller, plan *template.Certificate, crt *identity.CertificateRecord) error {
	fresh := crt.Status == identity.Pending || plan.Request != "" || plan.PEM != "" && crt.Version == 1
	if string(crt.Status) == plan.Status || plan.Status == string(identity.Pending) || !fresh && plan.OnStatus != template.Replace {
		return nil
	}
	_, err := do(ctx, p, c, "UpdateCertificate", func(in *updateCertificateInput) { in.ID, in.Status = crt.ID, plan.Status })
	return err
}

func (p *Provisioner) policy(ctx context.Context, c *Caller, q template.Policy, crt *identity.CertificateRecord) error {
	if q.Document != "" {
		have, err := p.Directory.IoTPolicy(q.Name)
		switch {
		case err != nil:
			if _, err := do(ctx, p, c, "CreatePolicy", func(in *createPolicyInput) { in.Name, in.Document = q.Name, q.Document }); err != nil {
				return err
			}
		case have.Versions[have.Default].Document.Text != q.Document:
			return conflicts("The policy %s exists and says something else.", q.Name)
		}
	}
	_, err := do(ctx, p, c, "AttachPolicy", func(in *attachInput) { in.Name, in.Target = q.Name, crt.ARN(p.Directory.Place()) })
	return err
}

func (p *Provisioner) thing(ctx context.Context, c *Caller, plan *template.Thing) error {
	have, err := p.Directory.Thing(plan.Name)
	if err != nil {
		_, err := do(ctx, p, c, "CreateThing", func(in *createThingInput) {
			in.Thing, in.Type, in.Attributes.Attributes = plan.Name, plan.Type, plan.Attributes
		})
		if err != nil || len(plan.Groups) == 0 {
			return err
		}
		return p.groups(ctx, c, plan.Name, plan.Groups, nil)
	}
	return p.override(ctx, c, plan, have)
}

// override changes a thing that is there already, where the plan says so.
func (p *Provisioner) override(ctx context.Context, c *Caller, plan *template.Thing, have *identity.Thing) error {
	for what, s := range map[string]template.Setting{"attributes": plan.OnAttributes, "type": plan.OnType, "groups": plan.OnGroups} {
		if s == template.Fail {
			return conflicts("The thing %s exists, and the template says to fail about its %s.", have.Name, what)
		}
	}
	change := updateThingInput{Thing: have.Name}
	if s := plan.OnAttributes; plan.Attributes != nil && (s == template.Replace || s == template.Merge) {
		change.Attributes = &attributePayload{plan.Attributes, s == template.Merge}
	}
	if plan.OnType == template.Replace && plan.Type != have.Type {
		change.Type, change.RemoveType = plan.Type, plan.Type == ""
	}
	if change != (updateThingInput{Thing: have.Name}) {
		if _, err := do(ctx, p, c, "UpdateThing", func(in *updateThingInput) { *in = change }); err != nil {
			return err
		}
	}
	if plan.OnGroups != template.Replace {
		return nil
	}
	var now, leave, join []string
	for _, g := range p.Directory.GroupsOf(have) {
		now = append(now, g.Name)
		if !slices.Contains(plan.Groups, g.Name) {
			leave = append(leave, g.Name)
		}
	}
	for _, g := range plan.Groups {
		if !slices.Contains(now, g) {
			join = append(join, g)
		}
	}
	if leave == nil && join == nil {
		return nil
	}
	return p.groups(ctx, c, have.Name, join, leave)
}

func (p *Provisioner) groups(ctx context.Context, c *Caller, thing string, join, leave []string) error {
	_, err := do(ctx, p, c, "UpdateThingGroupsForThing", func(in *regroupInput) { in.Thing, in.Add, in.Remove = thing, join, leave })
	return err
}
