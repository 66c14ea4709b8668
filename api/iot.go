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
// endpoint returns the host that devices connect to, by kind of endpoint; p
// carries RegisterThing out.
func IoT(d *identity.Directory, a *ca.Authority, rules *rule.Engine, auth *authz.Authorizer, p *Provisioner, endpoint func(kind string) string) Service {
	k := iotDesk{d, a, rules, auth, p, endpoint, new(sync.Mutex)}
	s := Service{Name: "iot", Scopes: []string{"iot", "execute-api"}, Protocol: "rest-json"}
	s.Operations = append(s.Operations, k.things()...)
	s.Operations = append(s.Operations, k.thingGroups()...)
	s.Operations = append(s.Operations, k.thingTypes()...)
	s.Operations = append(s.Operations, k.certificates()...)
	s.Operations = append(s.Operations, k.policies()...)
	s.Operations = append(s.Operations, k.aliases()...)
	s.Operations = append(s.Operations, k.authorities()...)
	s.Operations = append(s.Operations, k.provisioning()...)
	s.Operations = append(s.Operations, k.topicRules()...)
	s.Operations = append(s.Operations, k.destinations()...)
	s.Operations = append(s.Operations, k.simulations()...)
	s.Operations = append(s.Operations, k.tagging()...)
	s.Operations = append(s.Operations,
		op("DescribeEndpoint", "GET /endpoint", on[endpointInput]("iot:DescribeEndpoint", "*"), k.describeEndpoint),
	)
	return s
}

type iotDesk struct {
	directory   *identity.Directory
	authority   *ca.Authority
	rules       *rule.Engine
	authorizer  *authz.Authorizer
	provisioner *Provisioner
	endpoint    func(kind string) string
	changing    *sync.Mutex
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
