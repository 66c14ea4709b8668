package api

import (
	"context"

	"strait"
	"strait/authz"
	"strait/identity"
	"strait/policy"
)

// Bounds of what a supposition may hold.
const (
	maxContextKeys   = 200
	maxContextValues = 1000
)

// simulateDecisionInput asks what would be decided. Principal is as
// identity.Supposition has it.
type simulateDecisionInput struct {
	Principal         string              `json:"principal"`
	Action            strait.Action       `json:"action"`
	Resource          strait.ARN          `json:"resource"` // "" is "*"
	Context           map[string][]string `json:"context"`
	SessionPolicy     string              `json:"sessionPolicy"`
	SessionPolicyARNs []strait.ARN        `json:"sessionPolicyArns"`
	ClientID          string              `json:"clientId"`
}

// maySimulate: what would be decided about a principal tells about its
// policies, so it is asked for that principal.
func (k straitDesk) maySimulate(_ context.Context, _ View, _ *Caller, in *simulateDecisionInput) ([]Ask, error) {
	if in.Principal == "" || len(in.Principal) > 2048 {
		return nil, strait.Errorf(strait.Invalid, "principal", "principal must be given, with 2048 characters at the most.")
	}
	about := strait.ARN(in.Principal)
	if _, err := about.Parse(); err != nil {
		about = k.arn("principal/" + in.Principal)
	}
	return ask("strait:SimulateDecision", about), nil
}

func (k straitDesk) simulateDecision(_ context.Context, _ Call, in *simulateDecisionInput) (*Told, error) {
	if err := checkQuestion(in.Action, in.Resource); err != nil {
		return nil, err
	}
	x, err := contextOf(in.Context)
	if err != nil {
		return nil, err
	}
	s := identity.Supposition{
		Principal: in.Principal, SessionPolicy: in.SessionPolicy, SessionPolicyARNs: in.SessionPolicyARNs, ClientID: in.ClientID,
	}
	if v := x.Get("aws:SourceArn"); len(v) == 1 {
		s.SourceARN = strait.ARN(v[0])
	}
	if v := x.Get("iot:ClientId"); s.ClientID == "" && len(v) == 1 {
		s.ClientID = v[0]
	}
	c, err := k.directory.Suppose(s)
	if err != nil {
		return nil, err
	}
	if in.Resource == "" {
		in.Resource = "*"
	}
	r, err := k.authorizer.Simulate(c, Ask{Action: in.Action, Resource: in.Resource, Context: x})
	if err != nil {
		return nil, err
	}
	return authz.Tell(r, k.directory, true), nil
}

// checkQuestion judges an action and a resource that nobody has asked for yet.
func checkQuestion(action strait.Action, resource strait.ARN) error {
	if !isAction(string(action)) {
		return strait.Errorf(strait.Invalid, "parameter", "%q is no action: want vendor:Name, such as s3:PutObject", action)
	}
	if resource == "" || resource == "*" {
		return nil
	}
	if _, err := resource.Parse(); err != nil || len(resource) > 2048 {
		return strait.Errorf(strait.Invalid, "parameter", "%q is no resource: want an ARN of 2048 characters at the most, or *", resource)
	}
	return nil
}

// isAction tells whether s is one action, without wildcards.
func isAction(s string) bool {
	colon := 0
	for i, c := range []byte(s) {
		switch {
		case c == ':' && colon == 0 && i > 0:
			colon = i
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return colon > 0 && colon < len(s)-1 && len(s) <= 128
}

func contextOf(given map[string][]string) (policy.Context, error) {
	x, n := policy.Context{}, 0
	for key, values := range given {
		if x.Get(key) != nil {
			return nil, strait.Errorf(strait.Invalid, "parameter", "The context key %s is given twice.", key)
		}
		n += len(values)
		x.Set(key, values...)
	}
	if len(given) > maxContextKeys || n > maxContextValues {
		return nil, strait.Errorf(strait.Invalid, "parameter", "A context has at most %d keys and %d values.", maxContextKeys, maxContextValues)
	}
	return x, nil
}
