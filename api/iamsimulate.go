package api

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"strait"
	"strait/identity"
	"strait/policy"
)

// simulations are IAM's own: identity policies and boundaries only, of a
// principal or given, against requests that nobody makes. They do not know
// session policies, nor the policies of resources unless given; for those
// there is strait:SimulateDecision.
func (k iamDesk) simulations() []Operation {
	return []Operation{
		op("SimulatePrincipalPolicy", "", k.maySimulatePrincipal, k.simulatePrincipal),
		op("SimulateCustomPolicy", "", on[simulateInput]("iam:SimulateCustomPolicy", "*"), k.simulateCustom),
		op("GetContextKeysForCustomPolicy", "", on[simulateInput]("iam:GetContextKeysForCustomPolicy", "*"), k.contextKeysOfCustom),
		op("GetContextKeysForPrincipalPolicy", "", k.mayGetContextKeys, k.contextKeysOfPrincipal),
	}
}

type contextEntry struct {
	ContextKeyName   string
	ContextKeyType   string
	ContextKeyValues []string
}

type simulateInput struct {
	PolicySourceArn                    strait.ARN
	PolicyInputList                    []string
	PermissionsBoundaryPolicyInputList []string
	ActionNames                        []string
	ResourceArns                       []strait.ARN
	ResourcePolicy                     string
	ResourceOwner                      string
	CallerArn                          string
	ContextEntries                     []contextEntry
	ResourceHandlingOption             string
	MaxItems                           *int
	Marker                             string
}

type position struct{ Line, Column int }

type matchedStatement struct {
	SourcePolicyId   string
	SourcePolicyType string
	StartPosition    position
	EndPosition      position
}

type boundaryDetail struct{ AllowedByPermissionsBoundary bool }

type evaluationResult struct {
	EvalActionName                    string
	EvalResourceName                  strait.ARN
	EvalDecision                      string
	MatchedStatements                 members[matchedStatement]
	MissingContextValues              members[string]
	PermissionsBoundaryDecisionDetail *boundaryDetail `xml:",omitempty"`

	place string // in the order of asking
}

type simulateOutput struct {
	EvaluationResults members[evaluationResult]
	IsTruncated       bool
	Marker            string `xml:",omitempty"`
}

// maxSimulated bounds how many questions one call asks.
const maxSimulated = 1000

func (k iamDesk) maySimulatePrincipal(_ context.Context, _ View, _ *Caller, in *simulateInput) ([]Ask, error) {
	if in.PolicySourceArn == "" {
		return nil, missing("PolicySourceArn")
	}
	return ask("iam:SimulatePrincipalPolicy", in.PolicySourceArn), nil
}

func (k iamDesk) mayGetContextKeys(_ context.Context, _ View, _ *Caller, in *simulateInput) ([]Ask, error) {
	if in.PolicySourceArn == "" {
		return nil, missing("PolicySourceArn")
	}
	return ask("iam:GetContextKeysForPrincipalPolicy", in.PolicySourceArn), nil
}

// source is whose policies are simulated: a user or a role.
func (k iamDesk) source(in *simulateInput) (*Caller, policy.Set, error) {
	c, err := k.directory.Suppose(identity.Supposition{Principal: string(in.PolicySourceArn)})
	if err != nil {
		return nil, policy.Set{}, err
	}
	if p, err := in.PolicySourceArn.Parse(); err != nil || p.Service != "iam" || c.Kind != strait.User && c.Kind != strait.AssumedRole {
		return nil, policy.Set{}, strait.Errorf(strait.Invalid, "input", "Invalid Entity Arn: %s does not clearly define entity type and name.", in.PolicySourceArn)
	}
	s, err := k.directory.Policies(c)
	return c, s, err
}

func (k iamDesk) simulatePrincipal(_ context.Context, _ Call, in *simulateInput) (*simulateOutput, error) {
	c, s, err := k.source(in)
	if err != nil {
		return nil, err
	}
	return k.simulate(c.Principal, s, in)
}

func (k iamDesk) simulateCustom(_ context.Context, _ Call, in *simulateInput) (*simulateOutput, error) {
	if len(in.PolicyInputList) == 0 {
		return nil, missing("PolicyInputList")
	}
	who := strait.Principal{Kind: strait.User, ARN: k.directory.Place().IAM("user/simulated"), Name: "simulated", Account: k.directory.Place().Account}
	if in.CallerArn != "" {
		var ok bool
		if who, ok = policy.ReadPrincipal(in.CallerArn, ""); !ok || who.Kind != strait.User && who.Kind != strait.AssumedRole {
			return nil, strait.Errorf(strait.Invalid, "input", "Invalid Entity Arn: %s does not clearly define entity type and name.", in.CallerArn)
		}
	}
	return k.simulate(who, policy.Set{}, in)
}

// simulate answers every action on every resource.
func (k iamDesk) simulate(who strait.Principal, s policy.Set, in *simulateInput) (*simulateOutput, error) {
	if len(in.ActionNames) == 0 {
		return nil, missing("ActionNames")
	}
	if len(in.ResourceArns) == 0 {
		in.ResourceArns = []strait.ARN{"*"}
	}
	if len(in.ActionNames)*len(in.ResourceArns) > maxSimulated {
		return nil, strait.Errorf(strait.Invalid, "input", "At most %d actions on resources are simulated in one call.", maxSimulated)
	}
	s, err := given(s, in)
	if err != nil {
		return nil, err
	}
	x := policy.Context{}
	x.SetPrincipal(who)
	for _, e := range in.ContextEntries {
		x.Set(e.ContextKeyName, e.ContextKeyValues...)
	}
	var results []evaluationResult
	for _, action := range in.ActionNames {
		for _, resource := range in.ResourceArns {
			if err := checkQuestion(strait.Action(action), resource); err != nil {
				return nil, err
			}
			r := policy.Request{Principal: who, Action: strait.Action(action), Resource: resource, Context: x}
			one, err := k.forAction(s, r, in)
			if err != nil {
				return nil, err
			}
			e := evaluate(one, r)
			e.place = fmt.Sprintf("%04d", len(results))
			results = append(results, e)
		}
	}
	page, next, err := cut(pager{in.Marker, in.MaxItems}, results, func(e evaluationResult) string { return e.place })
	if err != nil {
		return nil, err
	}
	return &simulateOutput{page, next != "", next}, nil
}

// badInput is InvalidInput: the simulators' models have no
// MalformedPolicyDocument.
func badInput(err error) error {
	return &strait.Error{Kind: strait.Invalid, Thing: "input", Message: plainly(err), Err: err}
}

// given adds the policies of the request itself to those of the principal.
func given(s policy.Set, in *simulateInput) (policy.Set, error) {
	for i, text := range in.PolicyInputList {
		d, err := identity.NewDocument(policy.Identity, "PolicyInputList."+strconv.Itoa(i+1), text)
		if err != nil {
			return s, badInput(err)
		}
		doc, err := d.Parsed()
		if err != nil {
			return s, err
		}
		s.Identity = append(s.Identity, doc)
	}
	if len(in.PermissionsBoundaryPolicyInputList) > 1 {
		return s, unfit("permissionsBoundaryPolicyInputList", "Member must have length less than or equal to 1")
	}
	for _, text := range in.PermissionsBoundaryPolicyInputList {
		d, err := identity.NewDocument(policy.Boundary, "PermissionsBoundaryPolicyInputList.1", text)
		if err != nil {
			return s, badInput(err)
		}
		doc, err := d.Parsed()
		if err != nil {
			return s, err
		}
		s.HasBoundary, s.Boundary = true, []*policy.Document{doc}
	}
	return s, nil
}

// forAction adds what depends on the action: the resource's policy in its own
// grammar. IAM's simulator knows no trust policies; without one given, taking
// on a role is judged as if the role trusted the account.
func (k iamDesk) forAction(s policy.Set, r policy.Request, in *simulateInput) (policy.Set, error) {
	kind, text := policy.Bucket, in.ResourcePolicy
	service, name, _ := strings.Cut(strings.ToLower(string(r.Action)), ":")
	switch {
	case service == "lambda":
		kind = policy.Function
	case service == "sts" && (strings.HasPrefix(name, "assumerole") || name == "tagsession" || name == "setsourceidentity"):
		kind = policy.Trust
		if text == "" {
			text = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + k.directory.Place().Account + `"},"Action":"sts:*"}}`
		}
	}
	if text == "" {
		return s, nil
	}
	d, err := identity.NewDocument(kind, "ResourcePolicy", text)
	if err != nil {
		return s, badInput(err)
	}
	doc, err := d.Parsed()
	if kind == policy.Trust {
		s.HasTrust, s.Trust = true, []*policy.Document{doc}
	} else {
		s.Resource = []*policy.Document{doc}
	}
	return s, err
}

func evaluate(s policy.Set, r policy.Request) evaluationResult {
	d := s.Decide(r)
	e := evaluationResult{EvalActionName: string(r.Action), EvalResourceName: r.Resource, EvalDecision: "implicitDeny"}
	switch d.Effect {
	case policy.Allow:
		e.EvalDecision = "allowed"
	case policy.ExplicitDeny:
		e.EvalDecision = "explicitDeny"
	}
	for _, reason := range d.Reasons {
		if reason.Matched && (d.Effect != policy.ExplicitDeny || reason.Effect == policy.ExplicitDeny) {
			id, kind := sourceOf(reason)
			m := matchedStatement{SourcePolicyId: id, SourcePolicyType: kind}
			if doc := documentOf(s, reason); doc != nil {
				m.StartPosition, m.EndPosition = extent(doc.Text(), reason.Statement)
			}
			e.MatchedStatements = append(e.MatchedStatements, m)
		}
	}
	e.MissingContextValues = missingKeys(r.Context, s.Identity, s.Boundary, s.Resource)
	if s.HasBoundary {
		allowed := false
		for _, reason := range d.Reasons {
			if reason.Layer == policy.LayerBoundary && reason.Matched {
				allowed = reason.Effect == policy.Allow
				if !allowed {
					break
				}
			}
		}
		e.PermissionsBoundaryDecisionDetail = &boundaryDetail{allowed}
	}
	return e
}

func documentOf(s policy.Set, r policy.Reason) *policy.Document {
	for _, docs := range [][]*policy.Document{s.Identity, s.Boundary, s.Resource, s.Trust} {
		for _, d := range docs {
			if d.Kind.Layer() == r.Layer && d.Name == r.Document || d.Name == r.Document {
				return d
			}
		}
	}
	return nil
}

// sourceOf names the policy of a reason as IAM does.
func sourceOf(r policy.Reason) (id, kind string) {
	switch {
	case r.Layer == policy.LayerResource || r.Layer == policy.LayerTrust:
		return r.Document, "Resource Policy"
	case strings.HasPrefix(r.Document, "managed policy arn:aws:iam::aws:"):
		return last(r.Document), "AWS Managed Policy"
	case strings.HasPrefix(r.Document, "managed policy "):
		return last(r.Document), "User Managed Policy"
	}
	return r.Document, "IAM Policy"
}

func last(s string) string { return s[strings.LastIndexAny(s, "/ ")+1:] }

type contextKeysOutput struct{ ContextKeyNames members[string] }

func (k iamDesk) contextKeysOfCustom(_ context.Context, _ Call, in *simulateInput) (*contextKeysOutput, error) {
	s, err := given(policy.Set{}, in)
	return &contextKeysOutput{missingKeys(nil, s.Identity)}, err
}

func (k iamDesk) contextKeysOfPrincipal(_ context.Context, _ Call, in *simulateInput) (*contextKeysOutput, error) {
	_, s, err := k.source(in)
	if err == nil {
		s, err = given(s, in)
	}
	return &contextKeysOutput{missingKeys(nil, s.Identity, s.Boundary)}, err
}
