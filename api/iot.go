package api

import (
	"context"
	"encoding/base64"
	"net/url"
	"strings"
	"sync"

	"strait"
	"strait/authz"
	"strait/identity"
	"strait/identity/ca"
	"strait/rule"
)

// IoT returns the table of IoT's control plane (iot-control-plane.md).
// endpoint returns the host that devices connect to, by kind of endpoint.
func IoT(d *identity.Directory, a *ca.Authority, rules *rule.Engine, auth *authz.Authorizer, endpoint func(kind string) string) Service {
	k := iotDesk{d, a, rules, auth, endpoint, new(sync.Mutex)}
	s := Service{Name: "iot", Scopes: []string{"iot", "execute-api"}, Protocol: "rest-json"}
	s.Operations = append(s.Operations, k.things()...)
	s.Operations = append(s.Operations, k.certificates()...)
	s.Operations = append(s.Operations, k.policies()...)
	s.Operations = append(s.Operations, k.aliases()...)
	s.Operations = append(s.Operations, k.topicRules()...)
	s.Operations = append(s.Operations, k.destinations()...)
	s.Operations = append(s.Operations, k.simulations()...)
	s.Operations = append(s.Operations,
		op("DescribeEndpoint", "GET /endpoint", on[endpointInput]("iot:DescribeEndpoint", "*"), k.describeEndpoint),
		op("ListTagsForResource", "GET /tags", k.mayListTags, k.listTags),
	)
	return s
}

type iotDesk struct {
	directory  *identity.Directory
	authority  *ca.Authority
	rules      *rule.Engine
	authorizer *authz.Authorizer
	endpoint   func(kind string) string
	changing   *sync.Mutex
}

// on makes the asks of an operation whose resource does not depend on its
// input. An empty resource is "*".
func on[In any](action strait.Action, resource strait.ARN) func(context.Context, View, *Caller, *In) ([]Ask, error) {
	return func(context.Context, View, *Caller, *In) ([]Ask, error) { return ask(action, resource), nil }
}

// resourced is an input that names an IoT resource such as "thing/x".
type resourced interface{ resource() string }

// onIoT makes the asks of an operation on one IoT resource.
func onIoT[In any, P interface {
	*In
	resourced
}](action strait.Action) func(context.Context, View, *Caller, *In) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *In) ([]Ask, error) {
		return ask(action, v.Place().IoT(P(in).resource())), nil
	}
}

// onARN makes the asks of an operation on what an ARN of the input names.
func onARN[In any, P interface {
	*In
	target() strait.ARN
}](action strait.Action) func(context.Context, View, *Caller, *In) ([]Ask, error) {
	return func(_ context.Context, _ View, _ *Caller, in *In) ([]Ask, error) {
		return ask(action, P(in).target()), nil
	}
}

type endpointInput struct {
	Type string `aws:"query,endpointType"`
}

type endpointOutput struct {
	Address string `json:"endpointAddress"`
}

func (k iotDesk) describeEndpoint(_ context.Context, _ Call, in *endpointInput) (*endpointOutput, error) {
	switch in.Type {
	case "", "iot:Data", "iot:Data-ATS", "iot:CredentialProvider", "iot:Jobs":
		return &endpointOutput{k.endpoint(in.Type)}, nil
	}
	return nil, strait.Errorf(strait.Invalid, "request", "The endpoint type %q is not offered here.", in.Type)
}

type iotTagsInput struct {
	Resource strait.ARN `aws:"query,resourceArn"`
}

type iotTagsOutput struct {
	Tags []tag `json:"tags"`
}

func (k iotDesk) mayListTags(_ context.Context, _ View, _ *Caller, in *iotTagsInput) ([]Ask, error) {
	return ask("iot:ListTagsForResource", in.Resource), nil
}

// listTags: IoT resources carry no tags yet, and TagResource is not offered.
func (k iotDesk) listTags(context.Context, Call, *iotTagsInput) (*iotTagsOutput, error) {
	return &iotTagsOutput{[]tag{}}, nil
}

// page cuts items after the name that token stands for. Tokens are standard
// base64, as clients demand of markers.
func page[T any](items []T, name func(T) string, token string, limit *int) ([]T, string, error) {
	n := 25
	if limit != nil {
		n = *limit
	}
	if n < 1 || n > 250 {
		return nil, "", strait.Errorf(strait.Invalid, "request", "The page size must be between 1 and 250.")
	}
	start := 0
	if token != "" {
		after, err := base64.StdEncoding.DecodeString(token)
		if err != nil {
			return nil, "", strait.Errorf(strait.Invalid, "request", "The marker or nextToken is invalid.")
		}
		for start < len(items) && name(items[start]) <= string(after) {
			start++
		}
	}
	items = items[start:]
	if len(items) <= n {
		return items, "", nil
	}
	return items[:n], base64.StdEncoding.EncodeToString([]byte(name(items[n-1]))), nil
}

// unescaped decodes a header or path value that an SDK has percent-encoded.
func unescaped(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

type attributePayload struct {
	Attributes map[string]string `json:"attributes"`
	Merge      bool              `json:"merge"`
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
	return []Operation{
		op("CreateThing", "POST /things/{thingName}", onIoT[createThingInput]("iot:CreateThing"), k.createThing),
		op("DescribeThing", "GET /things/{thingName}", onIoT[thingInput]("iot:DescribeThing"), k.describeThing),
		op("UpdateThing", "PATCH /things/{thingName}", onIoT[updateThingInput]("iot:UpdateThing"), k.updateThing),
		op("DeleteThing", "DELETE /things/{thingName}", onIoT[deleteThingInput]("iot:DeleteThing"), k.deleteThing),
		op("ListThings", "GET /things", on[listThingsInput]("iot:ListThings", "*"), k.listThings),
		op("AttachThingPrincipal", "PUT /things/{thingName}/principals", onIoT[thingPrincipalInput]("iot:AttachThingPrincipal"), k.attachThing),
		op("DetachThingPrincipal", "DELETE /things/{thingName}/principals", onIoT[thingPrincipalInput]("iot:DetachThingPrincipal"), k.detachThing),
		op("ListThingPrincipals", "GET /things/{thingName}/principals", onIoT[thingInput]("iot:ListThingPrincipals"), k.thingPrincipals),
		op("ListPrincipalThings", "GET /principals/things", on[principalInput]("iot:ListPrincipalThings", "*"), k.principalThings),
	}
}

func (k iotDesk) createThing(ctx context.Context, _ Call, in *createThingInput) (*createThingOutput, error) {
	if in.Type != "" || in.BillingGroup != "" {
		return nil, strait.Errorf(strait.Unsupported, "request", "Thing types and billing groups are not offered yet.")
	}
	t, err := k.directory.CreateThing(ctx, identity.Thing{Name: in.Thing, Attributes: in.Attributes.Attributes})
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
	Attributes map[string]string `json:"attributes"`
	Version    int64             `json:"version"`
}

func (k iotDesk) describeThing(_ context.Context, _ Call, in *thingInput) (*describeThingOutput, error) {
	t, err := k.directory.Thing(in.Thing)
	if err != nil {
		return nil, err
	}
	return &describeThingOutput{t.Name, t.Name, t.ID, t.ARN(k.directory.Place()), orEmpty(t.Attributes), t.Version}, nil
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
}

func (in *updateThingInput) resource() string { return "thing/" + in.Thing }

func conflictingVersion(want *int64, have int64) error {
	if want != nil && *want != have {
		return strait.Errorf(strait.Conflict, "version", "The expected version %d does not match version %d.", *want, have)
	}
	return nil
}

func (k iotDesk) updateThing(ctx context.Context, _ Call, in *updateThingInput) (*Nothing, error) {
	if in.Type != "" {
		return nil, strait.Errorf(strait.Unsupported, "request", "Thing types are not offered yet.")
	}
	return nil, k.directory.ChangeThing(ctx, in.Thing, func(t *identity.Thing) error {
		if err := conflictingVersion(in.Expected, t.Version); err != nil || in.Attributes == nil {
			return err
		}
		if !in.Attributes.Merge {
			t.Attributes = in.Attributes.Attributes
			return nil
		}
		if t.Attributes == nil {
			t.Attributes = map[string]string{}
		}
		for name, v := range in.Attributes.Attributes {
			if v == "" {
				delete(t.Attributes, name)
				continue
			}
			t.Attributes[name] = v
		}
		return nil
	})
}

type deleteThingInput struct {
	Thing    string `aws:"path,thingName" json:"-"`
	Expected *int64 `aws:"query,expectedVersion" json:"-"`
}

func (in *deleteThingInput) resource() string { return "thing/" + in.Thing }

func (k iotDesk) deleteThing(ctx context.Context, _ Call, in *deleteThingInput) (*Nothing, error) {
	if t, err := k.directory.Thing(in.Thing); err == nil {
		if err := conflictingVersion(in.Expected, t.Version); err != nil {
			return nil, err
		}
	}
	return nil, k.directory.DeleteThing(ctx, in.Thing)
}

type listThingsInput struct {
	Token          string `aws:"query,nextToken"`
	Limit          *int   `aws:"query,maxResults"`
	AttributeName  string `aws:"query,attributeName"`
	AttributeValue string `aws:"query,attributeValue"`
	Type           string `aws:"query,thingTypeName"`
}

type listedThing struct {
	Name       string            `json:"thingName"`
	ARN        strait.ARN        `json:"thingArn"`
	Attributes map[string]string `json:"attributes"`
	Version    int64             `json:"version"`
}

type listThingsOutput struct {
	Things []listedThing `json:"things"`
	Token  string        `json:"nextToken,omitempty"`
}

func (k iotDesk) listThings(_ context.Context, _ Call, in *listThingsInput) (*listThingsOutput, error) {
	var found []*identity.Thing
	for _, t := range k.directory.Things() {
		if in.Type == "" && (in.AttributeName == "" || t.Attributes[in.AttributeName] == in.AttributeValue) {
			found = append(found, t)
		}
	}
	ts, token, err := page(found, func(t *identity.Thing) string { return t.Name }, in.Token, in.Limit)
	out := &listThingsOutput{Things: []listedThing{}, Token: token}
	for _, t := range ts {
		out.Things = append(out.Things, listedThing{t.Name, t.ARN(k.directory.Place()), orEmpty(t.Attributes), t.Version})
	}
	return out, err
}

type thingPrincipalInput struct {
	Thing     string     `aws:"path,thingName" json:"-"`
	Principal strait.ARN `aws:"header,X-Amzn-Principal" json:"-"`
	Type      string     `aws:"query,thingPrincipalType" json:"-"`
}

func (in *thingPrincipalInput) resource() string { return "thing/" + in.Thing }

func (k iotDesk) attachThing(ctx context.Context, _ Call, in *thingPrincipalInput) (*Nothing, error) {
	if in.Type != "" && in.Type != "NON_EXCLUSIVE_THING" {
		return nil, strait.Errorf(strait.Unsupported, "request", "Exclusive attachments are not offered yet.")
	}
	return nil, k.directory.AttachThing(ctx, in.Thing, in.Principal)
}

func (k iotDesk) detachThing(ctx context.Context, _ Call, in *thingPrincipalInput) (*Nothing, error) {
	return nil, k.directory.DetachThing(ctx, in.Thing, in.Principal)
}

type principalsOutput struct {
	Principals []strait.ARN `json:"principals"`
}

func (k iotDesk) thingPrincipals(_ context.Context, _ Call, in *thingInput) (*principalsOutput, error) {
	t, err := k.directory.Thing(in.Thing)
	if err != nil {
		return nil, err
	}
	return &principalsOutput{append([]strait.ARN{}, t.Principals...)}, nil
}

type principalInput struct {
	Principal strait.ARN `aws:"header,X-Amzn-Principal"`
}

type principalThingsOutput struct {
	Things []string `json:"things"`
}

func (k iotDesk) principalThings(_ context.Context, _ Call, in *principalInput) (*principalThingsOutput, error) {
	if k.directory.CertificateByARN(in.Principal) == nil {
		return nil, strait.Errorf(strait.NotFound, "certificate", "The principal %s does not exist.", in.Principal)
	}
	return &principalThingsOutput{append([]string{}, k.directory.ThingsOf(in.Principal)...)}, nil
}
