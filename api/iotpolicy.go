package api

import (
	"context"
	"sort"
	"strconv"
	"time"

	"strait"
	"strait/identity"
)

func (k iotDesk) policies() []Operation {
	const one, versions = "/policies/{policyName}", "/policies/{policyName}/version"
	return []Operation{
		op("CreatePolicy", "POST "+one, k.mayCreatePolicy, k.createPolicy),
		op("GetPolicy", "GET "+one, onIoT[policyInput]("iot:GetPolicy"), k.getPolicy),
		op("ListPolicies", "GET /policies", on[markerInput]("iot:ListPolicies", "*"), k.listPolicies),
		op("DeletePolicy", "DELETE "+one, onIoT[policyInput]("iot:DeletePolicy"), k.deletePolicy),
		op("CreatePolicyVersion", "POST "+versions, onIoT[createVersionInput]("iot:CreatePolicyVersion"), k.createVersion),
		op("GetPolicyVersion", "GET "+versions+"/{policyVersionId}", onIoT[versionInput]("iot:GetPolicyVersion"), k.getVersion),
		op("ListPolicyVersions", "GET "+versions, onIoT[policyInput]("iot:ListPolicyVersions"), k.listVersions),
		op("SetDefaultPolicyVersion", "PATCH "+versions+"/{policyVersionId}", onIoT[versionInput]("iot:SetDefaultPolicyVersion"), k.setDefault),
		op("DeletePolicyVersion", "DELETE "+versions+"/{policyVersionId}", onIoT[versionInput]("iot:DeletePolicyVersion"), k.deleteVersion),
		op("AttachPolicy", "PUT /target-policies/{policyName}", onARN[attachInput]("iot:AttachPolicy"), k.attachPolicy),
		op("DetachPolicy", "POST /target-policies/{policyName}", onARN[attachInput]("iot:DetachPolicy"), k.detachPolicy),
		op("ListAttachedPolicies", "POST /attached-policies/{target+}", onARN[attachedInput]("iot:ListAttachedPolicies"), k.listAttached),
		op("ListTargetsForPolicy", "POST /policy-targets/{policyName}", onIoT[targetsInput]("iot:ListTargetsForPolicy"), k.listTargets),
		op("GetEffectivePolicies", "POST /effective-policies", k.mayGetEffective, k.getEffective),
		// The older forms, which tools still use.
		op("AttachPrincipalPolicy", "PUT /principal-policies/{policyName}", onARN[principalPolicyInput]("iot:AttachPrincipalPolicy"), k.attachPrincipalPolicy),
		op("DetachPrincipalPolicy", "DELETE /principal-policies/{policyName}", onARN[principalPolicyInput]("iot:DetachPrincipalPolicy"), k.detachPrincipalPolicy),
		op("ListPrincipalPolicies", "GET /principal-policies", onARN[principalPoliciesInput]("iot:ListPrincipalPolicies"), k.principalPolicies),
		op("ListPolicyPrincipals", "GET /policy-principals", onIoT[policyPrincipalsInput]("iot:ListPolicyPrincipals"), k.policyPrincipals),
	}
}

type policyInput struct {
	Name string `aws:"path,policyName"`
}

func (in *policyInput) resource() string { return "policy/" + in.Name }

type createPolicyInput struct {
	Name     string `aws:"path,policyName" json:"-"`
	Document string `json:"policyDocument"`
	Tags     []tag  `json:"tags"`
}

func (k iotDesk) mayCreatePolicy(_ context.Context, v View, _ *Caller, in *createPolicyInput) ([]Ask, error) {
	return taggedAsk("iot:CreatePolicy", v.Place().IoT("policy/"+in.Name), in.Tags), nil
}

type createPolicyOutput struct {
	Name     string     `json:"policyName"`
	ARN      strait.ARN `json:"policyArn"`
	Document string     `json:"policyDocument"`
	Version  string     `json:"policyVersionId"`
}

func (k iotDesk) createPolicy(ctx context.Context, _ Call, in *createPolicyInput) (*createPolicyOutput, error) {
	p, err := k.directory.CreateIoTPolicy(ctx, in.Name, in.Document, tagsOf(in.Tags)...)
	if err != nil {
		return nil, err
	}
	return &createPolicyOutput{p.Name, p.ARN(k.directory.Place()), in.Document, p.Default}, nil
}

type getIoTPolicyOutput struct {
	Name       string     `json:"policyName"`
	ARN        strait.ARN `json:"policyArn"`
	Document   string     `json:"policyDocument"`
	Default    string     `json:"defaultVersionId"`
	Created    Epoch      `json:"creationDate"`
	Modified   Epoch      `json:"lastModifiedDate"`
	Generation string     `json:"generationId"`
}

func (k iotDesk) getPolicy(_ context.Context, _ Call, in *policyInput) (*getIoTPolicyOutput, error) {
	p, err := k.directory.IoTPolicy(in.Name)
	if err != nil {
		return nil, err
	}
	return &getIoTPolicyOutput{p.Name, p.ARN(k.directory.Place()), p.Versions[p.Default].Document.Text, p.Default, Epoch(p.Created), Epoch(p.Modified), p.Generation}, nil
}

type listedPolicy struct {
	Name string     `json:"policyName"`
	ARN  strait.ARN `json:"policyArn"`
}

type listPoliciesOutput struct {
	Policies []listedPolicy `json:"policies"`
	Marker   string         `json:"nextMarker,omitempty"`
}

// listed is a page of policies, by name.
func (k iotDesk) listed(ps []*identity.IoTPolicy, marker string, size *int) (*listPoliciesOutput, error) {
	ps, next, err := page(ps, func(p *identity.IoTPolicy) string { return p.Name }, marker, size)
	return k.namePolicies(ps, next), err
}

func (k iotDesk) namePolicies(ps []*identity.IoTPolicy, next string) *listPoliciesOutput {
	out := &listPoliciesOutput{Policies: []listedPolicy{}, Marker: next}
	for _, p := range ps {
		out.Policies = append(out.Policies, listedPolicy{p.Name, p.ARN(k.directory.Place())})
	}
	return out
}

func (k iotDesk) listPolicies(_ context.Context, _ Call, in *markerInput) (*listPoliciesOutput, error) {
	ps, next, err := pageMade(in, k.directory.IoTPolicies(), func(p *identity.IoTPolicy) (time.Time, string) { return p.Created, p.Name })
	return k.namePolicies(ps, next), err
}

func (k iotDesk) deletePolicy(ctx context.Context, _ Call, in *policyInput) (*Nothing, error) {
	return nil, k.directory.DeleteIoTPolicy(ctx, in.Name)
}

type createVersionInput struct {
	Name     string `aws:"path,policyName" json:"-"`
	Default  bool   `aws:"query,setAsDefault" json:"-"`
	Document string `json:"policyDocument"`
}

func (in *createVersionInput) resource() string { return "policy/" + in.Name }

type createVersionOutput struct {
	ARN      strait.ARN `json:"policyArn"`
	Document string     `json:"policyDocument"`
	Version  string     `json:"policyVersionId"`
	Default  bool       `json:"isDefaultVersion"`
}

func (k iotDesk) createVersion(ctx context.Context, _ Call, in *createVersionInput) (*createVersionOutput, error) {
	v, err := k.directory.AddIoTVersion(ctx, in.Name, in.Document, in.Default)
	if err != nil {
		return nil, err
	}
	return &createVersionOutput{k.directory.Place().IoT("policy/" + in.Name), in.Document, v.ID, in.Default}, nil
}

type versionInput struct {
	Name    string `aws:"path,policyName"`
	Version string `aws:"path,policyVersionId"`
}

func (in *versionInput) resource() string { return "policy/" + in.Name }

func noVersion(in *versionInput) error {
	return strait.Errorf(strait.NotFound, "iot policy", "Version %s of policy %s not found", in.Version, in.Name)
}

type getVersionOutput struct {
	ARN        strait.ARN `json:"policyArn"`
	Name       string     `json:"policyName"`
	Document   string     `json:"policyDocument"`
	Version    string     `json:"policyVersionId"`
	Default    bool       `json:"isDefaultVersion"`
	Created    Epoch      `json:"creationDate"`
	Modified   Epoch      `json:"lastModifiedDate"`
	Generation string     `json:"generationId"`
}

func (k iotDesk) getVersion(_ context.Context, _ Call, in *versionInput) (*getVersionOutput, error) {
	p, err := k.directory.IoTPolicy(in.Name)
	if err != nil {
		return nil, err
	}
	v, ok := p.Versions[in.Version]
	if !ok {
		return nil, noVersion(in)
	}
	return &getVersionOutput{p.ARN(k.directory.Place()), p.Name, v.Document.Text, v.ID, v.ID == p.Default, Epoch(v.Created), Epoch(v.Created), p.Generation}, nil
}

type listedVersion struct {
	ID      string `json:"versionId"`
	Default bool   `json:"isDefaultVersion"`
	Created Epoch  `json:"createDate"`
}

type listVersionsOutputIoT struct {
	Versions []listedVersion `json:"policyVersions"`
}

func (k iotDesk) listVersions(_ context.Context, _ Call, in *policyInput) (*listVersionsOutputIoT, error) {
	p, err := k.directory.IoTPolicy(in.Name)
	if err != nil {
		return nil, err
	}
	out := &listVersionsOutputIoT{}
	for _, v := range p.Versions {
		out.Versions = append(out.Versions, listedVersion{v.ID, v.ID == p.Default, Epoch(v.Created)})
	}
	sort.Slice(out.Versions, func(i, j int) bool {
		a, _ := strconv.Atoi(out.Versions[i].ID)
		b, _ := strconv.Atoi(out.Versions[j].ID)
		return a > b
	})
	return out, nil
}

func (k iotDesk) setDefault(ctx context.Context, _ Call, in *versionInput) (*Nothing, error) {
	return nil, k.directory.ChangeIoTPolicy(ctx, in.Name, func(p *identity.IoTPolicy) error {
		if _, ok := p.Versions[in.Version]; !ok {
			return noVersion(in)
		}
		p.Default = in.Version
		return nil
	})
}

func (k iotDesk) deleteVersion(ctx context.Context, _ Call, in *versionInput) (*Nothing, error) {
	return nil, k.directory.ChangeIoTPolicy(ctx, in.Name, func(p *identity.IoTPolicy) error {
		if _, ok := p.Versions[in.Version]; !ok {
			return noVersion(in)
		}
		if p.Default == in.Version {
			return strait.Errorf(strait.Conflict, "deletion", "Cannot delete the default version of a policy (policyVersionId=%s)", in.Version)
		}
		delete(p.Versions, in.Version)
		return nil
	})
}
