package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"strait"
	"strait/policy"
)

// AttachIoTPolicy attaches a policy to a certificate or a thing group.
func (d *Directory) AttachIoTPolicy(ctx context.Context, name string, target strait.ARN) error {
	return d.changeAttachment(ctx, name, target, func(have []string, most int) ([]string, error) {
		switch {
		case slices.Contains(have, name):
			return have, nil
		case len(have) >= most:
			return nil, strait.Errorf(strait.Limit, "attachment", "The maximum number of policies attached to the target %s is %d.", target, most)
		}
		return append(slices.Clone(have), name), nil
	})
}

// DetachIoTPolicy detaches a policy from a certificate or a thing group.
func (d *Directory) DetachIoTPolicy(ctx context.Context, name string, target strait.ARN) error {
	return d.changeAttachment(ctx, name, target, func(have []string, _ int) ([]string, error) {
		return slices.DeleteFunc(slices.Clone(have), func(n string) bool { return n == name }), nil
	})
}

// maxPolicies is how many policies a certificate may have.
const maxPolicies = 10

func noTarget(target strait.ARN) error {
	return strait.Errorf(strait.NotFound, "target", "The target %s does not exist; policies are attached to certificates and thing groups.", target)
}

func (d *Directory) changeAttachment(ctx context.Context, name string, target strait.ARN, fn func(have []string, most int) ([]string, error)) error {
	return d.update(ctx, func(x *tx) error {
		if d.policies.get(name) == nil {
			return noIoTPolicy(name)
		}
		if old := d.groupByARN(target); old != nil {
			g := *old
			var err error
			if g.Policies, err = fn(old.Policies, maxGroupPolicies); err != nil || slices.Equal(g.Policies, old.Policies) {
				return err
			}
			return put(x, &d.groups, g.Name, &g)
		}
		old := d.certificateByARN(target)
		if old == nil {
			return noTarget(target)
		}
		c := *old
		var err error
		if c.Policies, err = fn(old.Policies, maxPolicies); err != nil || slices.Equal(c.Policies, old.Policies) {
			return err
		}
		return put(x, &d.certs, c.ID, &c)
	})
}

func (d *Directory) groupByARN(arn strait.ARN) *ThingGroup {
	g := d.groups.get(strings.TrimPrefix(arn.Resource(), "thinggroup/"))
	if g == nil || g.ARN(d.place) != arn {
		return nil
	}
	return g
}

// ThingGroupByARN returns the group, or nil.
func (d *Directory) ThingGroupByARN(arn strait.ARN) *ThingGroup {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.groupByARN(arn)
}

// TargetsOf returns the certificates and thing groups a policy is attached to.
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
	for _, g := range d.groups.sorted() {
		if slices.Contains(g.Policies, name) {
			out = append(out, g.ARN(d.place))
		}
	}
	return out
}

// An Applied is an IoT policy that counts, and why.
type Applied struct {
	Name  string
	Group string // the thing group that it is attached to; "" for the certificate itself
}

// AppliedTo returns the IoT policies that count for a device: those of its
// certificate, then those of the thing groups of the thing that the connection
// is, when the certificate is attached to that thing, and of the groups above
// them (iot-policies.md, section 6). Each is named once.
func (d *Directory) AppliedTo(c *Caller) []Applied {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.appliedTo(c)
}

func (d *Directory) appliedTo(c *Caller) []Applied {
	var out []Applied
	crt := d.certs.get(c.ID)
	if crt == nil {
		return nil
	}
	for _, n := range crt.Policies {
		out = append(out, Applied{Name: n})
	}
	if t, attached := d.thingFor(c); t != nil && attached {
		for _, g := range d.groupsOf(t) {
			out = d.withGroup(out, g)
		}
	}
	return out
}

// withGroup adds what g and the groups above it bring to list.
func (d *Directory) withGroup(list []Applied, g *ThingGroup) []Applied {
	for _, g := range d.lineage(g) {
		for _, n := range g.Policies {
			if !slices.ContainsFunc(list, func(a Applied) bool { return a.Name == n }) {
				list = append(list, Applied{n, g.Name})
			}
		}
	}
	return list
}

// GroupPolicies returns the policies that the thing groups of t bring.
func (d *Directory) GroupPolicies(t *Thing) (out []Applied) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, g := range d.groupsOf(t) {
		out = d.withGroup(out, g)
	}
	return out
}

// AttachedTo returns the policies attached to a certificate or thing group.
// Recursive adds what comes from thing groups: for a group those of the groups
// above it, for a certificate those of the groups of all things that it is
// attached to.
func (d *Directory) AttachedTo(target strait.ARN, recursive bool) ([]Applied, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var out []Applied
	if g := d.groupByARN(target); g != nil {
		if recursive {
			return d.withGroup(nil, g), nil
		}
		for _, n := range g.Policies {
			out = append(out, Applied{n, g.Name})
		}
		return out, nil
	}
	c := d.certificateByARN(target)
	if c == nil {
		return nil, noTarget(target)
	}
	for _, n := range c.Policies {
		out = append(out, Applied{Name: n})
	}
	if recursive {
		for _, name := range d.thingsOf(target) {
			for _, g := range d.groupsOf(d.things.get(name)) {
				out = d.withGroup(out, g)
			}
		}
	}
	return out, nil
}

// devicePolicies is Policies for a certificate.
func (d *Directory) devicePolicies(c *Caller) (s policy.Set, err error) {
	for _, a := range d.appliedTo(c) {
		p := d.policies.get(a.Name)
		if p == nil {
			continue
		}
		docs, err := all(p.Versions[p.Default].Document)
		if err != nil {
			return s, err
		}
		s.IoT = append(s.IoT, docs...)
		if a.Group != "" {
			if s.Via == nil {
				s.Via = map[string]string{}
			}
			s.Via[docs[0].Name] = "thing group " + a.Group
		}
	}
	if crt := d.certs.get(c.ID); crt != nil && crt.Claim != "" {
		doc, err := d.sessions.parseAs(policy.IoT, "claim for "+crt.Claim, claimDocument(d.place, crt.Claim))
		if err != nil {
			return s, err
		}
		s.IoT = append(s.IoT, doc)
	}
	s.Aside = d.aside(c)
	return s, nil
}

// claimDocument is what a certificate of CreateProvisioningClaim may do: ask
// for a certificate of its own, and be provisioned by its template.
func claimDocument(p strait.Place, template string) string {
	var topics, filters []string
	for _, t := range []string{"$aws/certificates/create/json", "$aws/certificates/create-from-csr/json", "$aws/provisioning-templates/" + template + "/provision/json"} {
		topics = append(topics, string(p.IoT("topic/"+t)), string(p.IoT("topic/"+t+"/*")))
		filters = append(filters, string(p.IoT("topicfilter/"+t+"/*")))
	}
	doc, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{
		map[string]any{"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"},
		map[string]any{"Effect": "Allow", "Action": []string{"iot:Publish", "iot:Receive"}, "Resource": topics},
		map[string]any{"Effect": "Allow", "Action": "iot:Subscribe", "Resource": filters},
	}})
	if err != nil {
		panic(err) // strings only
	}
	return string(doc)
}

// manyThings is from how many things on a certificate is one that many devices
// share; then it is not said which groups do not count.
const manyThings = 16

// aside says which thing groups have policies that do not count for this
// connection, and why; "" when there are none. It is for who wonders.
func (d *Directory) aside(c *Caller) string {
	is, attached := d.thingFor(c)
	if is != nil && !attached {
		if groups := d.policyGroups(is); len(groups) > 0 {
			return fmt.Sprintf("The policies of %s do not count: the certificate is not attached to thing %s", groups, is.Name)
		}
	}
	if attached || len(d.attached[c.ARN]) > manyThings {
		return ""
	}
	for _, name := range d.thingsOf(c.ARN) {
		groups := d.policyGroups(d.things.get(name))
		switch {
		case len(groups) == 0:
		case c.ClientID == "":
			return fmt.Sprintf("The policies of %s do not count: they do on MQTT connections only", groups)
		default:
			return fmt.Sprintf("The policies of %s do not count: the client id is %q, not the name of the thing %s, and the certificate is not attached to it exclusively", groups, c.ClientID, name)
		}
	}
	return ""
}

// policyGroups names the groups that bring policies to t, in words.
func (d *Directory) policyGroups(t *Thing) string {
	var names []string
	for _, g := range d.groupsOf(t) {
		for _, a := range d.withGroup(nil, g) {
			if n := "thing group " + a.Group; !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return strings.Join(names, ", ")
}
