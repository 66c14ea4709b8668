package api

import (
	"context"
	"sort"

	"strait"
	"strait/identity"
)

type attachInput struct {
	Name   string     `aws:"path,policyName" json:"-"`
	Target strait.ARN `json:"target"`
}

func (in *attachInput) target() strait.ARN { return in.Target }

func (k iotDesk) attachPolicy(ctx context.Context, _ Call, in *attachInput) (*Nothing, error) {
	return nil, k.directory.AttachIoTPolicy(ctx, in.Name, in.Target)
}

// detachPolicy: AWS has no error for a policy that is not there, and
// InvalidRequestException for a target; Terraform relies on both.
func (k iotDesk) detachPolicy(ctx context.Context, _ Call, in *attachInput) (*Nothing, error) {
	if err := required("target", in.Target); err != nil {
		return nil, err
	}
	if _, err := k.directory.AttachedTo(in.Target, false); strait.KindOf(err) == strait.NotFound {
		return nil, strait.Errorf(strait.Invalid, "request", "Invalid Target: %s does not exist.", in.Target)
	}
	err := k.directory.DetachIoTPolicy(ctx, in.Name, in.Target)
	if strait.KindOf(err) == strait.NotFound {
		return nil, nil
	}
	return nil, err
}

// required is how AWS says that a member is not there.
func required[T ~string](member string, value T) error {
	if value != "" {
		return nil
	}
	return strait.Errorf(strait.Invalid, "request", "1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", member)
}

type attachedInput struct {
	Target    strait.ARN `aws:"path,target"`
	Marker    string     `aws:"query,marker"`
	Size      *int       `aws:"query,pageSize"`
	Recursive bool       `aws:"query,recursive"`
}

func (in *attachedInput) target() strait.ARN { return strait.ARN(unescaped(string(in.Target))) }

// attached lists the policies of applied, by name.
func (k iotDesk) attached(applied []identity.Applied) (ps []*identity.IoTPolicy) {
	for _, a := range applied {
		if p, err := k.directory.IoTPolicy(a.Name); err == nil {
			ps = append(ps, p)
		}
	}
	sort.Slice(ps, func(i, j int) bool { return ps[i].Name < ps[j].Name })
	return ps
}

func (k iotDesk) listAttached(_ context.Context, _ Call, in *attachedInput) (*listPoliciesOutput, error) {
	applied, err := k.directory.AttachedTo(in.target(), in.Recursive)
	if err != nil {
		return nil, err
	}
	return k.listed(k.attached(applied), in.Marker, in.Size)
}

type targetsInput struct {
	Name   string `aws:"path,policyName"`
	Marker string `aws:"query,marker"`
	Size   *int   `aws:"query,pageSize"`
}

func (in *targetsInput) resource() string { return "policy/" + in.Name }

type targetsOutput struct {
	Targets []strait.ARN `json:"targets"`
	Marker  string       `json:"nextMarker,omitempty"`
}

func (k iotDesk) listTargets(_ context.Context, _ Call, in *targetsInput) (*targetsOutput, error) {
	if _, err := k.directory.IoTPolicy(in.Name); err != nil {
		return nil, err
	}
	ts, next, err := page(k.directory.TargetsOf(in.Name), func(a strait.ARN) string { return string(a) }, in.Marker, in.Size)
	return &targetsOutput{append([]strait.ARN{}, ts...), next}, err
}

type principalPolicyInput struct {
	Name      string     `aws:"path,policyName" json:"-"`
	Principal strait.ARN `aws:"header,X-Amzn-Iot-Principal" json:"-"`
}

func (in *principalPolicyInput) target() strait.ARN { return in.Principal }

func (k iotDesk) attachPrincipalPolicy(ctx context.Context, _ Call, in *principalPolicyInput) (*Nothing, error) {
	if err := required("principal", in.Principal); err != nil {
		return nil, err
	}
	return nil, k.directory.AttachIoTPolicy(ctx, in.Name, in.Principal)
}

func (k iotDesk) detachPrincipalPolicy(ctx context.Context, _ Call, in *principalPolicyInput) (*Nothing, error) {
	if err := required("principal", in.Principal); err != nil {
		return nil, err
	}
	return nil, k.directory.DetachIoTPolicy(ctx, in.Name, in.Principal)
}

type principalPoliciesInput struct {
	Principal strait.ARN `aws:"header,X-Amzn-Iot-Principal"`
	Marker    string     `aws:"query,marker"`
	Size      *int       `aws:"query,pageSize"`
}

func (in *principalPoliciesInput) target() strait.ARN { return in.Principal }

func (k iotDesk) principalPolicies(_ context.Context, _ Call, in *principalPoliciesInput) (*listPoliciesOutput, error) {
	if err := required("principal", in.Principal); err != nil {
		return nil, err
	}
	applied, err := k.directory.AttachedTo(in.Principal, false)
	if err != nil {
		return nil, err
	}
	return k.listed(k.attached(applied), in.Marker, in.Size)
}

type policyPrincipalsInput struct {
	Name   string `aws:"header,X-Amzn-Iot-Policy"`
	Marker string `aws:"query,marker"`
	Size   *int   `aws:"query,pageSize"`
}

func (in *policyPrincipalsInput) resource() string { return "policy/" + in.Name }

type policyPrincipalsOutput struct {
	Principals []strait.ARN `json:"principals"`
	Marker     string       `json:"nextMarker,omitempty"`
}

// policyPrincipals knows certificates only: thing groups came with the newer form.
func (k iotDesk) policyPrincipals(_ context.Context, _ Call, in *policyPrincipalsInput) (*policyPrincipalsOutput, error) {
	if err := required("policyName", in.Name); err != nil {
		return nil, err
	}
	if _, err := k.directory.IoTPolicy(in.Name); err != nil {
		return nil, err
	}
	var found []strait.ARN
	for _, t := range k.directory.TargetsOf(in.Name) {
		if k.directory.CertificateByARN(t) != nil {
			found = append(found, t)
		}
	}
	found, next, err := page(found, func(a strait.ARN) string { return string(a) }, in.Marker, in.Size)
	return &policyPrincipalsOutput{append([]strait.ARN{}, found...), next}, err
}

// An effectiveInput asks which policies count for a certificate, for a thing,
// or for the certificate when it connects as the thing.
type effectiveInput struct {
	Thing     string     `aws:"query,thingName" json:"-"`
	Principal strait.ARN `json:"principal"`
	Pool      string     `json:"cognitoIdentityPoolId"`
}

func (k iotDesk) mayGetEffective(_ context.Context, _ View, _ *Caller, in *effectiveInput) ([]Ask, error) {
	switch {
	case in.Pool != "":
		return nil, strait.Errorf(strait.Unsupported, "request", "Cognito identities are not offered here.")
	case in.Principal == "" && in.Thing == "":
		return nil, strait.Errorf(strait.Invalid, "request", "Give a principal, the ARN of a certificate, or a thingName.")
	case in.Principal == "":
		return ask("iot:GetEffectivePolicies", "*"), nil
	}
	return ask("iot:GetEffectivePolicies", in.Principal), nil
}

type effectivePolicy struct {
	Name     string     `json:"policyName"`
	ARN      strait.ARN `json:"policyArn"`
	Document string     `json:"policyDocument"`
}

type effectiveOutput struct {
	Policies []effectivePolicy `json:"effectivePolicies"`
}

func (k iotDesk) getEffective(_ context.Context, _ Call, in *effectiveInput) (*effectiveOutput, error) {
	applied, err := k.effective(in)
	if err != nil {
		return nil, err
	}
	out := &effectiveOutput{Policies: []effectivePolicy{}}
	for _, p := range k.attached(applied) {
		out.Policies = append(out.Policies, effectivePolicy{p.Name, p.ARN(k.directory.Place()), p.Versions[p.Default].Document.Text})
	}
	return out, nil
}

func (k iotDesk) effective(in *effectiveInput) ([]identity.Applied, error) {
	if in.Thing == "" {
		c := k.directory.CertificateByARN(in.Principal)
		if c == nil {
			return nil, strait.Errorf(strait.NotFound, "certificate", "The certificate %s does not exist.", in.Principal)
		}
		return k.directory.AppliedTo(&Caller{Principal: k.directory.ForCertificate(c)}), nil
	}
	t, err := k.directory.Thing(in.Thing)
	switch {
	case err != nil:
		return nil, err
	case in.Principal == "":
		return k.directory.GroupPolicies(t), nil
	}
	c, err := k.directory.Suppose(identity.Supposition{Principal: string(in.Principal), ClientID: in.Thing})
	if err != nil {
		return nil, err
	}
	return k.directory.AppliedTo(c), nil
}
