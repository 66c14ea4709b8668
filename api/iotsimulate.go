package api

import (
	"context"
	"slices"
	"strings"

	"strait"
	"strait/identity"
	"strait/policy"
)

// A testInput asks what a certificate's IoT policies would allow
// (iot-policies.md, section 9).
type testInput struct {
	ClientID  string     `aws:"query,clientId" json:"-"`
	Principal strait.ARN `json:"principal"`
	Pool      string     `json:"cognitoIdentityPoolId"`
	Infos     []authInfo `json:"authInfos"`
	Add       []string   `json:"policyNamesToAdd"`
	Skip      []string   `json:"policyNamesToSkip"`
}

type authInfo struct {
	Action    string       `json:"actionType"`
	Resources []strait.ARN `json:"resources"`
}

type authResult struct {
	Info     authInfo     `json:"authInfo"`
	Allowed  testPolicies `json:"allowed"`
	Denied   testDenied   `json:"denied"`
	Decision string       `json:"authDecision"`
	Missing  []string     `json:"missingContextValues"`
}

type testDenied struct {
	Implicit testPolicies `json:"implicitDeny"`
	Explicit testPolicies `json:"explicitDeny"`
}

type testPolicies struct {
	Policies []listedPolicy `json:"policies"`
}

type testOutput struct {
	Results []authResult `json:"authResults"`
}

func (k iotDesk) simulations() []Operation {
	return []Operation{op("TestAuthorization", "POST /test-authorization", k.mayTest, k.testAuthorization)}
}

// maxInfos is AWS's bound of authInfos.
const maxInfos = 10

func (k iotDesk) mayTest(_ context.Context, _ View, _ *Caller, in *testInput) ([]Ask, error) {
	switch {
	case in.Principal == "" && in.Pool != "":
		return nil, strait.Errorf(strait.Unsupported, "parameter", "Cognito identities are not offered here.")
	case in.Principal == "":
		return nil, strait.Errorf(strait.Invalid, "request", "The principal, the ARN of a certificate, is missing.")
	case len(in.Infos) == 0 || len(in.Infos) > maxInfos:
		return nil, strait.Errorf(strait.Invalid, "request", "Give 1 to %d authInfos.", maxInfos)
	}
	return ask("iot:TestAuthorization", in.Principal), nil
}

func (k iotDesk) testAuthorization(_ context.Context, _ Call, in *testInput) (*testOutput, error) {
	if k.directory.CertificateByARN(in.Principal) == nil {
		return nil, strait.Errorf(strait.NotFound, "certificate", "The certificate %s does not exist.", in.Principal)
	}
	c, err := k.directory.Suppose(identity.Supposition{Principal: string(in.Principal), ClientID: in.ClientID})
	if err != nil {
		return nil, err
	}
	var applied, names []string
	for _, a := range k.directory.AppliedTo(c) {
		applied = append(applied, a.Name)
	}
	for _, n := range slices.Concat(applied, in.Add) {
		if !slices.Contains(in.Skip, n) && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	var s policy.Set
	for _, n := range names {
		p, err := k.directory.IoTPolicy(n)
		if err != nil {
			return nil, err
		}
		doc, err := p.Versions[p.Default].Document.Parsed()
		if err != nil {
			return nil, err
		}
		s.IoT = append(s.IoT, doc)
	}
	x := k.directory.Context(c, k.authorizer.Now())
	out := &testOutput{}
	for _, info := range in.Infos {
		r, err := k.test(s, names, c, x, info)
		if err != nil {
			return nil, err
		}
		out.Results = append(out.Results, r)
	}
	return out, nil
}

// test answers one entry: it is allowed when all of its resources are.
func (k iotDesk) test(s policy.Set, names []string, c *Caller, x policy.Context, info authInfo) (authResult, error) {
	res := authResult{Info: info, Decision: "ALLOWED", Missing: missingKeys(x, s.IoT)}
	action, ok := map[string]strait.Action{"PUBLISH": "iot:Publish", "RECEIVE": "iot:Receive", "SUBSCRIBE": "iot:Subscribe", "CONNECT": "iot:Connect"}[info.Action]
	if !ok || len(info.Resources) == 0 {
		return res, strait.Errorf(strait.Invalid, "request", "An authInfo needs an actionType (PUBLISH, RECEIVE, SUBSCRIBE or CONNECT) and resources.")
	}
	for _, p := range []*testPolicies{&res.Allowed, &res.Denied.Implicit, &res.Denied.Explicit} {
		p.Policies = []listedPolicy{}
	}
	allowed, explicit := map[string]bool{}, map[string]bool{}
	for _, resource := range info.Resources {
		if err := checkQuestion(action, resource); err != nil {
			return res, err
		}
		d := s.Decide(policy.Request{Principal: c.Principal, Action: action, Resource: resource, Context: x})
		switch {
		case d.Effect == policy.ExplicitDeny:
			res.Decision = "EXPLICIT_DENY"
		case d.Effect == policy.ImplicitDeny && res.Decision == "ALLOWED":
			res.Decision = "IMPLICIT_DENY"
		}
		for _, reason := range d.Reasons {
			if name := strings.TrimPrefix(reason.Document, "iot policy "); reason.Matched {
				allowed[name] = allowed[name] || reason.Effect == policy.Allow
				explicit[name] = explicit[name] || reason.Effect == policy.ExplicitDeny
			}
		}
	}
	for _, n := range names {
		p := listedPolicy{n, k.directory.Place().IoT("policy/" + n)}
		switch {
		case explicit[n]:
			res.Denied.Explicit.Policies = append(res.Denied.Explicit.Policies, p)
		case allowed[n]:
			res.Allowed.Policies = append(res.Allowed.Policies, p)
		default:
			res.Denied.Implicit.Policies = append(res.Denied.Implicit.Policies, p)
		}
	}
	return res, nil
}
