package api

import (
	"context"
	"slices"
	"strings"

	"strait"
	"strait/identity"
	"strait/policy"
)

func (k iamDesk) policies() []Operation {
	return []Operation{
		op("CreatePolicy", "", k.mayCreatePolicy, k.createPolicy),
		op("GetPolicy", "", k.onPolicy("iam:GetPolicy"), k.getPolicy),
		op("DeletePolicy", "", k.onPolicy("iam:DeletePolicy"), k.deletePolicy),
		op("ListPolicies", "", k.mayListPolicies, k.listPolicies),
		op("ListEntitiesForPolicy", "", k.mayListEntities, k.listEntities),
		op("TagPolicy", "", k.mayTagPolicy, k.tagPolicy),
		op("UntagPolicy", "", k.mayUntagPolicy, k.untagPolicy),
		op("ListPolicyTags", "", k.onPolicy("iam:ListPolicyTags"), k.listPolicyTags),
	}
}

// A managedPolicy as answers show it; lists leave out description and tags.
type managedPolicy struct {
	PolicyName                    string
	PolicyId                      string
	Arn                           strait.ARN
	Path                          string
	DefaultVersionId              string
	AttachmentCount               int
	PermissionsBoundaryUsageCount int
	IsAttachable                  bool
	Description                   string       `xml:",omitempty"`
	CreateDate                    *Stamp       `xml:",omitempty"`
	UpdateDate                    *Stamp       `xml:",omitempty"`
	Tags                          members[tag] `xml:",omitempty"`
}

func showPolicy(p *identity.ManagedPolicy, u identity.Uses, whole bool) managedPolicy {
	out := managedPolicy{
		PolicyName: p.Name, PolicyId: p.ID, Arn: p.ARN, Path: p.Path, DefaultVersionId: p.Default,
		AttachmentCount: u.Attached, PermissionsBoundaryUsageCount: u.Boundaries, IsAttachable: true,
		CreateDate: stamp(p.Created), UpdateDate: stamp(p.Updated),
	}
	if whole {
		out.Description, out.Tags = p.Description, tagList(p.Tags)
	}
	return out
}

type managedPolicyOutput struct{ Policy managedPolicy }

type createManagedInput struct {
	PolicyName     string
	PolicyDocument string
	Path           string
	Description    *string
	Tags           []tag
}

func (k iamDesk) mayCreatePolicy(_ context.Context, v View, _ *Caller, in *createManagedInput) ([]Ask, error) {
	if err := identity.CheckName("policyName", in.PolicyName, 128); err != nil {
		return nil, err
	}
	path, err := identity.CheckPath(in.Path)
	if err != nil {
		return nil, err
	}
	if err := checkDocument("PolicyDocument", in.PolicyDocument); err != nil {
		return nil, err
	}
	if err := checkDescription(in.Description); err != nil {
		return nil, err
	}
	return askCreate("Policy", v.Place().IAM("policy"+path+in.PolicyName), "", in.Tags)
}

func (k iamDesk) createPolicy(ctx context.Context, _ Call, in *createManagedInput) (*managedPolicyOutput, error) {
	p := identity.ManagedPolicy{Name: in.PolicyName, Path: in.Path}
	if in.Description != nil {
		p.Description = *in.Description
	}
	var err error
	if p.Tags, err = tagged(nil, in.Tags); err != nil {
		return nil, err
	}
	made, err := k.directory.CreateManaged(ctx, p, in.PolicyDocument)
	if err != nil {
		return nil, err
	}
	return &managedPolicyOutput{showPolicy(made, identity.Uses{}, true)}, nil
}

type managedPolicyInput struct {
	PolicyArn strait.ARN
	Marker    string
	MaxItems  *int
}

func (k iamDesk) onPolicy(action strait.Action) func(context.Context, View, *Caller, *managedPolicyInput) ([]Ask, error) {
	return func(_ context.Context, _ View, _ *Caller, in *managedPolicyInput) ([]Ask, error) {
		return k.askPolicy(action, in.PolicyArn, policy.Context{})
	}
}

// askPolicy asks for action on a managed policy.
func (k iamDesk) askPolicy(action strait.Action, arn strait.ARN, x policy.Context) ([]Ask, error) {
	if err := checkPolicyARN("PolicyArn", arn); err != nil {
		return nil, err
	}
	return askWith(action, arn, x), nil
}

func (k iamDesk) getPolicy(_ context.Context, _ Call, in *managedPolicyInput) (*managedPolicyOutput, error) {
	p, err := k.directory.Managed(in.PolicyArn)
	if err != nil {
		return nil, err
	}
	return &managedPolicyOutput{showPolicy(p, k.directory.Uses()[p.ARN], true)}, nil
}

func (k iamDesk) deletePolicy(ctx context.Context, _ Call, in *managedPolicyInput) (*Nothing, error) {
	return nil, k.directory.DeleteManaged(ctx, in.PolicyArn)
}

type listManagedInput struct {
	Scope             string
	OnlyAttached      bool
	PathPrefix        string
	PolicyUsageFilter string
	Marker            string
	MaxItems          *int
}

type listManagedOutput struct {
	Policies    members[managedPolicy]
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func (k iamDesk) mayListPolicies(_ context.Context, v View, _ *Caller, in *listManagedInput) ([]Ask, error) {
	if err := checkPrefix(in.PathPrefix); err != nil {
		return nil, err
	}
	if err := checkOneOf("scope", in.Scope, "All", "AWS", "Local"); err != nil {
		return nil, err
	}
	if err := checkOneOf("policyUsageFilter", in.PolicyUsageFilter, usages...); err != nil {
		return nil, err
	}
	return ask("iam:ListPolicies", below(v.Place(), "policy", in.PathPrefix)), nil
}

var usages = []string{"PermissionsPolicy", "PermissionsBoundary"}

func (k iamDesk) listPolicies(_ context.Context, _ Call, in *listManagedInput) (*listManagedOutput, error) {
	uses := k.directory.Uses()
	all := slices.DeleteFunc(k.directory.ManagedPolicies(), func(p *identity.ManagedPolicy) bool { return !in.wants(p, uses[p.ARN]) })
	all, next, err := cut(pager{in.Marker, in.MaxItems}, all, func(p *identity.ManagedPolicy) string { return string(p.ARN) })
	if err != nil {
		return nil, err
	}
	out := &listManagedOutput{IsTruncated: next != "", Marker: next}
	for _, p := range all {
		out.Policies = append(out.Policies, showPolicy(p, uses[p.ARN], false))
	}
	return out, nil
}

func (in *listManagedInput) wants(p *identity.ManagedPolicy, u identity.Uses) bool {
	switch {
	case !strings.HasPrefix(p.Path, in.PathPrefix),
		in.Scope == "AWS" && !p.Builtin,
		in.Scope == "Local" && p.Builtin,
		in.PolicyUsageFilter == "PermissionsBoundary" && u.Boundaries == 0,
		in.PolicyUsageFilter == "PermissionsPolicy" && u.Attached == 0,
		in.OnlyAttached && u.Attached == 0 && u.Boundaries == 0:
		return false
	}
	return true
}

type listEntitiesInput struct {
	PolicyArn         strait.ARN
	EntityFilter      string
	PathPrefix        string
	PolicyUsageFilter string
	Marker            string
	MaxItems          *int
}

type policyRole struct{ RoleName, RoleId string }
type policyUser struct{ UserName, UserId string }

type listEntitiesOutput struct {
	PolicyGroups members[Nothing]
	PolicyUsers  members[policyUser]
	PolicyRoles  members[policyRole]
	IsTruncated  bool
	Marker       string `xml:",omitempty"`
}

func (k iamDesk) mayListEntities(_ context.Context, _ View, _ *Caller, in *listEntitiesInput) ([]Ask, error) {
	if err := checkPrefix(in.PathPrefix); err != nil {
		return nil, err
	}
	if err := checkOneOf("entityFilter", in.EntityFilter, "User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"); err != nil {
		return nil, err
	}
	if err := checkOneOf("policyUsageFilter", in.PolicyUsageFilter, usages...); err != nil {
		return nil, err
	}
	return k.askPolicy("iam:ListEntitiesForPolicy", in.PolicyArn, policy.Context{})
}

// entity is a user or role that uses a policy.
type entity struct{ kind, name, id string }

func (in *listEntitiesInput) wants(kind, path string, attached []strait.ARN, boundary strait.ARN) bool {
	used := slices.Contains(attached, in.PolicyArn) && in.PolicyUsageFilter != "PermissionsBoundary" ||
		boundary == in.PolicyArn && in.PolicyUsageFilter != "PermissionsPolicy"
	return used && (in.EntityFilter == "" || in.EntityFilter == kind) && strings.HasPrefix(path, in.PathPrefix)
}

func (k iamDesk) listEntities(_ context.Context, _ Call, in *listEntitiesInput) (*listEntitiesOutput, error) {
	if _, err := k.directory.Managed(in.PolicyArn); err != nil {
		return nil, err
	}
	var all []entity
	for _, u := range k.directory.Users() {
		if in.wants("User", u.Path, u.Attached, u.Boundary) {
			all = append(all, entity{"User", u.Name, u.ID})
		}
	}
	for _, r := range k.directory.Roles() {
		if in.wants("Role", r.Path, r.Attached, r.Boundary) {
			all = append(all, entity{"Role", r.Name, r.ID})
		}
	}
	all, next, err := cut(pager{in.Marker, in.MaxItems}, all, func(e entity) string { return e.kind + "/" + strings.ToLower(e.name) })
	if err != nil {
		return nil, err
	}
	out := &listEntitiesOutput{IsTruncated: next != "", Marker: next}
	for _, e := range all {
		if e.kind == "Role" {
			out.PolicyRoles = append(out.PolicyRoles, policyRole{e.name, e.id})
		} else {
			out.PolicyUsers = append(out.PolicyUsers, policyUser{e.name, e.id})
		}
	}
	return out, nil
}

type policyTagsInput struct {
	PolicyArn strait.ARN
	Tags      []tag
	TagKeys   []string
}

func (k iamDesk) mayTagPolicy(_ context.Context, _ View, _ *Caller, in *policyTagsInput) ([]Ask, error) {
	if len(in.Tags) == 0 {
		return nil, missing("Tags")
	}
	if _, err := tagged(nil, in.Tags); err != nil {
		return nil, err
	}
	x := policy.Context{}
	setRequestTags(x, in.Tags)
	return k.askPolicy("iam:TagPolicy", in.PolicyArn, x)
}

func (k iamDesk) tagPolicy(ctx context.Context, _ Call, in *policyTagsInput) (*Nothing, error) {
	return nil, k.directory.TagManaged(ctx, in.PolicyArn, func(old map[string]string) (map[string]string, error) { return tagged(old, in.Tags) })
}

func (k iamDesk) mayUntagPolicy(_ context.Context, _ View, _ *Caller, in *policyTagsInput) ([]Ask, error) {
	if len(in.TagKeys) == 0 {
		return nil, missing("TagKeys")
	}
	x := policy.Context{}
	x.Set("aws:TagKeys", in.TagKeys...)
	return k.askPolicy("iam:UntagPolicy", in.PolicyArn, x)
}

func (k iamDesk) untagPolicy(ctx context.Context, _ Call, in *policyTagsInput) (*Nothing, error) {
	return nil, k.directory.TagManaged(ctx, in.PolicyArn, func(old map[string]string) (map[string]string, error) {
		return identity.Untagged(old, in.TagKeys), nil
	})
}

func (k iamDesk) listPolicyTags(_ context.Context, _ Call, in *managedPolicyInput) (*iamTagsOutput, error) {
	p, err := k.directory.Managed(in.PolicyArn)
	if err != nil {
		return nil, err
	}
	return cutTags(pager{in.Marker, in.MaxItems}, p.Tags)
}
