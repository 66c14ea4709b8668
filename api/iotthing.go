package api

import (
	"context"
	"slices"
	"strings"

	"strait"
	"strait/identity"
)

type attributePayload struct {
	Attributes map[string]string `json:"attributes"`
	Merge      bool              `json:"merge,omitempty"`
}

// apply returns what p makes of the attributes of old: all of them anew, or,
// merged, some; then an empty value removes one.
func (p *attributePayload) apply(old map[string]string) map[string]string {
	out := map[string]string{}
	if p == nil {
		return old
	}
	if p.Merge {
		for name, v := range old {
			out[name] = v
		}
	}
	for name, v := range p.Attributes {
		out[name] = v
		if p.Merge && v == "" {
			delete(out, name)
		}
	}
	return out
}

type thingInput struct {
	Thing string `aws:"path,thingName" json:"-"`
}

func (in *thingInput) resource() string { return "thing/" + in.Thing }

type createThingInput struct {
	Thing        string           `aws:"path,thingName" json:"-"`
	Type         string           `json:"thingTypeName"`
	Attributes   attributePayload `json:"attributePayload"`
	BillingGroup string           `json:"billingGroupName"`
}

func (in *createThingInput) resource() string { return "thing/" + in.Thing }

type createThingOutput struct {
	Name string     `json:"thingName"`
	ARN  strait.ARN `json:"thingArn"`
	ID   string     `json:"thingId"`
}

func (k iotDesk) things() []Operation {
	const one = "/things/{thingName}"
	return []Operation{
		op("CreateThing", "POST "+one, onIoT[createThingInput]("iot:CreateThing"), k.createThing),
		op("DescribeThing", "GET "+one, onIoT[thingInput]("iot:DescribeThing"), k.describeThing),
		op("UpdateThing", "PATCH "+one, onIoT[updateThingInput]("iot:UpdateThing"), k.updateThing),
		op("DeleteThing", "DELETE "+one, onIoT[deleteThingInput]("iot:DeleteThing"), k.deleteThing),
		op("ListThings", "GET /things", on[listThingsInput]("iot:ListThings", "*"), k.listThings),
		op("AttachThingPrincipal", "PUT "+one+"/principals", onIoT[thingPrincipalInput]("iot:AttachThingPrincipal"), k.attachThing),
		op("DetachThingPrincipal", "DELETE "+one+"/principals", onIoT[thingPrincipalInput]("iot:DetachThingPrincipal"), k.detachThing),
		op("ListThingPrincipals", "GET "+one+"/principals", onIoT[pagedThingInput]("iot:ListThingPrincipals"), k.thingPrincipals),
		op("ListThingPrincipalsV2", "GET "+one+"/principals-v2", onIoT[pagedThingInput]("iot:ListThingPrincipalsV2"), k.thingPrincipalsV2),
		op("ListPrincipalThings", "GET /principals/things", on[principalInput]("iot:ListPrincipalThings", "*"), k.principalThings),
		op("ListPrincipalThingsV2", "GET /principals/things-v2", on[principalInput]("iot:ListPrincipalThingsV2", "*"), k.principalThingsV2),
	}
}

func (k iotDesk) createThing(ctx context.Context, _ Call, in *createThingInput) (*createThingOutput, error) {
	if in.BillingGroup != "" {
		return nil, strait.Errorf(strait.Unsupported, "request", "Billing groups are not offered here.")
	}
	t, err := k.directory.CreateThing(ctx, identity.Thing{Name: in.Thing, Type: in.Type, Attributes: in.Attributes.Attributes})
	if err != nil {
		return nil, err
	}
	return &createThingOutput{t.Name, t.ARN(k.directory.Place()), t.ID}, nil
}

type describeThingOutput struct {
	ClientID   string            `json:"defaultClientId"`
	Name       string            `json:"thingName"`
	ID         string            `json:"thingId"`
	ARN        strait.ARN        `json:"thingArn"`
	Type       string            `json:"thingTypeName,omitempty"`
	Attributes map[string]string `json:"attributes"`
	Version    int64             `json:"version"`
}

func (k iotDesk) describeThing(_ context.Context, _ Call, in *thingInput) (*describeThingOutput, error) {
	t, err := k.directory.Thing(in.Thing)
	if err != nil {
		return nil, err
	}
	return &describeThingOutput{t.Name, t.Name, t.ID, t.ARN(k.directory.Place()), t.Type, orEmpty(t.Attributes), t.Version}, nil
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

type updateThingInput struct {
	Thing      string            `aws:"path,thingName" json:"-"`
	Type       string            `json:"thingTypeName"`
	Attributes *attributePayload `json:"attributePayload"`
	Expected   *int64            `json:"expectedVersion"`
	RemoveType bool              `json:"removeThingType"`
}

func (in *updateThingInput) resource() string { return "thing/" + in.Thing }

func conflictingVersion(want *int64, have int64) error {
	if want != nil && *want != have {
		return strait.Errorf(strait.Conflict, "version", "The expected version %d does not match version %d.", *want, have)
	}
	return nil
}

func (k iotDesk) updateThing(ctx context.Context, _ Call, in *updateThingInput) (*Nothing, error) {
	if in.RemoveType && in.Type != "" {
		return nil, strait.Errorf(strait.Invalid, "request", "Give a thingTypeName or removeThingType, not both.")
	}
	return nil, k.directory.ChangeThing(ctx, in.Thing, func(t *identity.Thing) error {
		if err := conflictingVersion(in.Expected, t.Version); err != nil {
			return err
		}
		if in.Type != "" || in.RemoveType {
			t.Type = in.Type
		}
		t.Attributes = in.Attributes.apply(t.Attributes)
		return nil
	})
}

type deleteThingInput struct {
	Thing    string `aws:"path,thingName" json:"-"`
	Expected *int64 `aws:"query,expectedVersion" json:"-"`
}

func (in *deleteThingInput) resource() string { return "thing/" + in.Thing }

func (k iotDesk) deleteThing(ctx context.Context, _ Call, in *deleteThingInput) (*Nothing, error) {
	return nil, k.directory.DeleteThing(ctx, in.Thing, func(t *identity.Thing) error { return conflictingVersion(in.Expected, t.Version) })
}

type listThingsInput struct {
	Token          string `aws:"query,nextToken"`
	Limit          *int   `aws:"query,maxResults"`
	AttributeName  string `aws:"query,attributeName"`
	AttributeValue string `aws:"query,attributeValue"`
	Type           string `aws:"query,thingTypeName"`
	Prefix         bool   `aws:"query,usePrefixAttributeValue"`
}

// wants tells whether t passes all filters that are given.
func (in *listThingsInput) wants(t *identity.Thing) bool {
	if in.Type != "" && t.Type != in.Type {
		return false
	}
	if in.AttributeName == "" {
		return true
	}
	v, ok := t.Attributes[in.AttributeName]
	if in.Prefix {
		return ok && strings.HasPrefix(v, in.AttributeValue)
	}
	return ok && v == in.AttributeValue
}

type listedThing struct {
	Name       string            `json:"thingName"`
	Type       string            `json:"thingTypeName,omitempty"`
	ARN        strait.ARN        `json:"thingArn"`
	Attributes map[string]string `json:"attributes"`
	Version    int64             `json:"version"`
}

type listThingsOutput struct {
	Things []listedThing `json:"things"`
	Token  string        `json:"nextToken,omitempty"`
}

func (k iotDesk) listThings(_ context.Context, _ Call, in *listThingsInput) (*listThingsOutput, error) {
	if in.AttributeName == "" && in.AttributeValue != "" {
		return nil, strait.Errorf(strait.Invalid, "request", "An attributeValue needs an attributeName.")
	}
	var found []*identity.Thing
	for _, t := range k.directory.Things() {
		if in.wants(t) {
			found = append(found, t)
		}
	}
	ts, token, err := page(found, func(t *identity.Thing) string { return t.Name }, in.Token, in.Limit)
	out := &listThingsOutput{Things: []listedThing{}, Token: token}
	for _, t := range ts {
		out.Things = append(out.Things, listedThing{t.Name, t.Type, t.ARN(k.directory.Place()), orEmpty(t.Attributes), t.Version})
	}
	return out, err
}

type thingPrincipalInput struct {
	Thing     string     `aws:"path,thingName" json:"-"`
	Principal strait.ARN `aws:"header,X-Amzn-Principal" json:"-"`
	Type      string     `aws:"query,thingPrincipalType" json:"-"`
}

func (in *thingPrincipalInput) resource() string { return "thing/" + in.Thing }

// How a principal is attached to a thing.
const (
	exclusiveThing    = "EXCLUSIVE_THING"
	nonExclusiveThing = "NON_EXCLUSIVE_THING"
)

func checkAttachment(kind string) error {
	switch kind {
	case "", exclusiveThing, nonExclusiveThing:
		return nil
	}
	return strait.Errorf(strait.Invalid, "request", "The thingPrincipalType %q is none: give %s or %s.", kind, exclusiveThing, nonExclusiveThing)
}

func attachment(t *identity.Thing, principal strait.ARN) string {
	if slices.Contains(t.Exclusive, principal) {
		return exclusiveThing
	}
	return nonExclusiveThing
}

func (k iotDesk) attachThing(ctx context.Context, _ Call, in *thingPrincipalInput) (*Nothing, error) {
	if err := checkAttachment(in.Type); err != nil {
		return nil, err
	}
	if err := required("principal", in.Principal); err != nil {
		return nil, err
	}
	return nil, k.directory.AttachThing(ctx, in.Thing, in.Principal, in.Type == exclusiveThing)
}

func (k iotDesk) detachThing(ctx context.Context, _ Call, in *thingPrincipalInput) (*Nothing, error) {
	if err := required("principal", in.Principal); err != nil {
		return nil, err
	}
	return nil, k.directory.DetachThing(ctx, in.Thing, in.Principal)
}

type pagedThingInput struct {
	Thing string `aws:"path,thingName" json:"-"`
	Token string `aws:"query,nextToken" json:"-"`
	Limit *int   `aws:"query,maxResults" json:"-"`
	Type  string `aws:"query,thingPrincipalType" json:"-"`
}

func (in *pagedThingInput) resource() string { return "thing/" + in.Thing }

type principalsOutput struct {
	Principals []strait.ARN `json:"principals"`
	Token      string       `json:"nextToken,omitempty"`
}

func (k iotDesk) pageOfPrincipals(in *pagedThingInput) (*identity.Thing, []strait.ARN, string, error) {
	if err := checkAttachment(in.Type); err != nil {
		return nil, nil, "", err
	}
	t, err := k.directory.Thing(in.Thing)
	if err != nil {
		return nil, nil, "", err
	}
	var found []strait.ARN
	for _, p := range t.Principals {
		if in.Type == "" || attachment(t, p) == in.Type {
			found = append(found, p)
		}
	}
	slices.Sort(found)
	found, token, err := page(found, func(p strait.ARN) string { return string(p) }, in.Token, in.Limit)
	return t, found, token, err
}

func (k iotDesk) thingPrincipals(_ context.Context, _ Call, in *pagedThingInput) (*principalsOutput, error) {
	in.Type = "" // a filter of the second version only
	_, found, token, err := k.pageOfPrincipals(in)
	return &principalsOutput{append([]strait.ARN{}, found...), token}, err
}

type principalObject struct {
	Principal strait.ARN `json:"principal"`
	Type      string     `json:"thingPrincipalType"`
}

type principalsV2Output struct {
	Principals []principalObject `json:"thingPrincipalObjects"`
	Token      string            `json:"nextToken,omitempty"`
}

func (k iotDesk) thingPrincipalsV2(_ context.Context, _ Call, in *pagedThingInput) (*principalsV2Output, error) {
	t, found, token, err := k.pageOfPrincipals(in)
	out := &principalsV2Output{Principals: []principalObject{}, Token: token}
	for _, p := range found {
		out.Principals = append(out.Principals, principalObject{p, attachment(t, p)})
	}
	return out, err
}

type principalInput struct {
	Principal strait.ARN `aws:"header,X-Amzn-Principal"`
	Token     string     `aws:"query,nextToken"`
	Limit     *int       `aws:"query,maxResults"`
	Type      string     `aws:"query,thingPrincipalType"`
}

type thingObject struct {
	Thing string `json:"thingName"`
	Type  string `json:"thingPrincipalType"`
}

func (k iotDesk) pageOfThings(in *principalInput) ([]thingObject, string, error) {
	if err := checkAttachment(in.Type); err != nil {
		return nil, "", err
	}
	if err := required("principal", in.Principal); err != nil {
		return nil, "", err
	}
	if k.directory.CertificateByARN(in.Principal) == nil {
		return nil, "", strait.Errorf(strait.NotFound, "certificate", "The principal %s does not exist.", in.Principal)
	}
	found := []thingObject{}
	for _, name := range k.directory.ThingsOf(in.Principal) {
		t, err := k.directory.Thing(name)
		if err != nil {
			continue // gone since
		}
		if kind := attachment(t, in.Principal); in.Type == "" || kind == in.Type {
			found = append(found, thingObject{name, kind})
		}
	}
	return page(found, func(o thingObject) string { return o.Thing }, in.Token, in.Limit)
}

type principalThingsOutput struct {
	Things []string `json:"things"`
	Token  string   `json:"nextToken,omitempty"`
}

func (k iotDesk) principalThings(_ context.Context, _ Call, in *principalInput) (*principalThingsOutput, error) {
	in.Type = "" // a filter of the second version only
	found, token, err := k.pageOfThings(in)
	out := &principalThingsOutput{Things: []string{}, Token: token}
	for _, o := range found {
		out.Things = append(out.Things, o.Thing)
	}
	return out, err
}

type principalThingsV2Output struct {
	Things []thingObject `json:"principalThingObjects"`
	Token  string        `json:"nextToken,omitempty"`
}

func (k iotDesk) principalThingsV2(_ context.Context, _ Call, in *principalInput) (*principalThingsV2Output, error) {
	found, token, err := k.pageOfThings(in)
	return &principalThingsV2Output{append([]thingObject{}, found...), token}, err
}
