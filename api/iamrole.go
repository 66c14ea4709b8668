package api

import (
	"context"
	"strings"
	"time"

	"strait"
	"strait/identity"
	"strait/policy"
)

func (k iamDesk) roles() []Operation {
	return []Operation{
		op("CreateRole", "", k.mayCreateRole, k.createRole),
		op("GetRole", "", k.onRole("iam:GetRole"), k.getRole),
		op("DeleteRole", "", k.onRole("iam:DeleteRole"), k.deleteRole),
		op("UpdateRole", "", k.mayUpdateRole("iam:UpdateRole"), k.updateRole),
		op("UpdateRoleDescription", "", k.mayUpdateRole("iam:UpdateRoleDescription"), k.updateRoleDescription),
		op("UpdateAssumeRolePolicy", "", k.maySetTrust, k.setTrust),
		op("ListRoles", "", k.mayListRoles, k.listRoles),
		op("ListInstanceProfilesForRole", "", k.mayListInstanceProfiles, k.listInstanceProfiles),
		op("RemoveRoleFromInstanceProfile", "", k.mayRemoveFromInstanceProfile, k.removeFromInstanceProfile),
	}
}

// A role as answers show it; lists leave out what GetRole alone has.
type role struct {
	Path                     string
	RoleName                 string
	RoleId                   string
	Arn                      strait.ARN
	CreateDate               Stamp
	AssumeRolePolicyDocument string
	Description              string       `xml:",omitempty"`
	MaxSessionDuration       int          `xml:",omitempty"`
	PermissionsBoundary      *boundary    `xml:",omitempty"`
	Tags                     members[tag] `xml:",omitempty"`
	RoleLastUsed             *emptyResult `xml:",omitempty"`
}

func (k iamDesk) show(r *identity.Role, whole bool) role {
	out := role{
		Path: r.Path, RoleName: r.Name, RoleId: r.ID, Arn: r.ARN(k.directory.Place()), CreateDate: Stamp(r.Created),
		AssumeRolePolicyDocument: encodeDocument(k.directory.TrustText(r.Trust)),
		Description:              r.Description, MaxSessionDuration: int(r.MaxSession / time.Second),
	}
	if whole {
		out.PermissionsBoundary, out.Tags, out.RoleLastUsed = boundaryOf(r.Boundary), tagList(r.Tags), &emptyResult{}
	}
	return out
}

type roleOutput struct{ Role role }

type createRoleInput struct {
	RoleName                 string
	AssumeRolePolicyDocument string
	Path                     string
	Description              *string
	MaxSessionDuration       *int
	PermissionsBoundary      strait.ARN
	Tags                     []tag
}

func (k iamDesk) mayCreateRole(_ context.Context, v View, _ *Caller, in *createRoleInput) ([]Ask, error) {
	if err := identity.CheckName("roleName", in.RoleName, 64); err != nil {
		return nil, err
	}
	path, err := identity.CheckPath(in.Path)
	if err != nil {
		return nil, err
	}
	if err := checkDocument("AssumeRolePolicyDocument", in.AssumeRolePolicyDocument); err != nil {
		return nil, err
	}
	if err := checkDescription(in.Description); err != nil {
		return nil, err
	}
	if err := checkMaxSession(in.MaxSessionDuration); err != nil {
		return nil, err
	}
	return askCreate("Role", v.Place().IAM("role"+path+in.RoleName), in.PermissionsBoundary, in.Tags)
}

// askCreate is what creating a role or user needs: the right to create it
// and, when it comes with tags, the right to tag it.
func askCreate(kind string, arn, limit strait.ARN, tags []tag) ([]Ask, error) {
	x := policy.Context{}
	if limit != "" {
		if err := checkPolicyARN("PermissionsBoundary", limit); err != nil {
			return nil, err
		}
		x.Set("iam:PermissionsBoundary", string(limit))
	}
	if _, err := tagged(nil, tags); err != nil {
		return nil, err
	}
	setRequestTags(x, tags)
	asks := askWith(strait.Action("iam:Create"+kind), arn, x)
	if len(tags) > 0 {
		asks = append(asks, Ask{Action: strait.Action("iam:Tag" + kind), Resource: arn, Context: x})
	}
	return asks, nil
}

func checkMaxSession(seconds *int) error {
	if seconds == nil {
		return nil
	}
	return identity.CheckMaxSession(time.Duration(min(*seconds, 1<<20)) * time.Second)
}

func (k iamDesk) createRole(ctx context.Context, _ Call, in *createRoleInput) (*roleOutput, error) {
	r := identity.Role{Name: in.RoleName, Path: in.Path, Boundary: in.PermissionsBoundary}
	if in.Description != nil {
		r.Description = *in.Description
	}
	if in.MaxSessionDuration != nil {
		r.MaxSession = time.Duration(*in.MaxSessionDuration) * time.Second
	}
	var err error
	if r.Tags, err = tagged(nil, in.Tags); err != nil {
		return nil, err
	}
	made, err := k.directory.CreateRole(ctx, r, in.AssumeRolePolicyDocument)
	if err != nil {
		return nil, err
	}
	out := k.show(made, true)
	out.MaxSessionDuration, out.RoleLastUsed = 0, nil // which GetRole tells
	return &roleOutput{out}, nil
}

type roleInput struct{ RoleName string }

func (k iamDesk) onRole(action strait.Action) func(context.Context, View, *Caller, *roleInput) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *roleInput) ([]Ask, error) {
		return askRole(v, action, in.RoleName)
	}
}

// askRole asks for action on the role called name. A role that does not exist
// is asked for without a path: only whoever may act on it learns that.
func askRole(v View, action strait.Action, name string) ([]Ask, error) {
	if err := identity.CheckName("roleName", name, 64); err != nil {
		return nil, err
	}
	r, err := v.Role(name)
	if err != nil {
		return ask(action, v.Place().IAM("role/"+name)), nil
	}
	return askWith(action, r.ARN(v.Place()), policy.Context{}), nil
}

func (k iamDesk) getRole(_ context.Context, _ Call, in *roleInput) (*roleOutput, error) {
	r, err := k.directory.Role(in.RoleName)
	if err != nil {
		return nil, err
	}
	return &roleOutput{k.show(r, true)}, nil
}

func (k iamDesk) deleteRole(ctx context.Context, _ Call, in *roleInput) (*Nothing, error) {
	return nil, k.directory.DeleteRole(ctx, in.RoleName)
}

type updateRoleInput struct {
	RoleName           string
	Description        *string
	MaxSessionDuration *int
}

func (k iamDesk) mayUpdateRole(action strait.Action) func(context.Context, View, *Caller, *updateRoleInput) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *updateRoleInput) ([]Ask, error) {
		if err := checkDescription(in.Description); err != nil {
			return nil, err
		}
		if err := checkMaxSession(in.MaxSessionDuration); err != nil {
			return nil, err
		}
		return askRole(v, action, in.RoleName)
	}
}

func (k iamDesk) updateRole(ctx context.Context, _ Call, in *updateRoleInput) (*emptyResult, error) {
	return &emptyResult{}, k.directory.ChangeRole(ctx, in.RoleName, func(r *identity.Role) error {
		if in.Description != nil {
			r.Description = *in.Description
		}
		if in.MaxSessionDuration != nil {
			r.MaxSession = time.Duration(*in.MaxSessionDuration) * time.Second
		}
		return nil
	})
}

func (k iamDesk) updateRoleDescription(ctx context.Context, c Call, in *updateRoleInput) (*roleOutput, error) {
	if in.Description == nil {
		return nil, missing("Description")
	}
	in.MaxSessionDuration = nil // not a parameter of this operation
	if _, err := k.updateRole(ctx, c, in); err != nil {
		return nil, err
	}
	return k.getRole(ctx, c, &roleInput{in.RoleName})
}

type setTrustInput struct{ RoleName, PolicyDocument string }

func (k iamDesk) maySetTrust(_ context.Context, v View, _ *Caller, in *setTrustInput) ([]Ask, error) {
	if err := checkDocument("PolicyDocument", in.PolicyDocument); err != nil {
		return nil, err
	}
	return askRole(v, "iam:UpdateAssumeRolePolicy", in.RoleName)
}

func (k iamDesk) setTrust(ctx context.Context, _ Call, in *setTrustInput) (*Nothing, error) {
	return nil, k.directory.SetTrust(ctx, in.RoleName, in.PolicyDocument)
}

// entitiesInput asks for a list of users or roles.
type entitiesInput struct {
	PathPrefix string
	Marker     string
	MaxItems   *int
}

type listRolesOutput struct {
	Roles       members[role]
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func (k iamDesk) mayListRoles(_ context.Context, v View, _ *Caller, in *entitiesInput) ([]Ask, error) {
	return ask("iam:ListRoles", below(v.Place(), "role", in.PathPrefix)), checkPrefix(in.PathPrefix)
}

func (k iamDesk) listRoles(_ context.Context, _ Call, in *entitiesInput) (*listRolesOutput, error) {
	var all []*identity.Role
	for _, r := range k.directory.Roles() {
		if strings.HasPrefix(r.Path, in.PathPrefix) {
			all = append(all, r)
		}
	}
	all, next, err := cut(pager{in.Marker, in.MaxItems}, all, func(r *identity.Role) string { return strings.ToLower(r.Name) })
	if err != nil {
		return nil, err
	}
	out := &listRolesOutput{IsTruncated: next != "", Marker: next}
	for _, r := range all {
		out.Roles = append(out.Roles, k.show(r, false))
	}
	return out, nil
}

// There are no instance profiles; these two are here because Terraform asks
// before it deletes a role.

type roleListInput struct {
	RoleName string
	Marker   string
	MaxItems *int
}

type listInstanceProfilesOutput struct {
	InstanceProfiles members[Nothing]
	IsTruncated      bool
}

func (k iamDesk) mayListInstanceProfiles(_ context.Context, v View, _ *Caller, in *roleListInput) ([]Ask, error) {
	return askRole(v, "iam:ListInstanceProfilesForRole", in.RoleName)
}

func (k iamDesk) listInstanceProfiles(_ context.Context, _ Call, in *roleListInput) (*listInstanceProfilesOutput, error) {
	_, err := k.directory.Role(in.RoleName)
	return &listInstanceProfilesOutput{}, err
}

type instanceProfileInput struct{ InstanceProfileName, RoleName string }

func (k iamDesk) mayRemoveFromInstanceProfile(_ context.Context, v View, _ *Caller, in *instanceProfileInput) ([]Ask, error) {
	if err := identity.CheckName("instanceProfileName", in.InstanceProfileName, 128); err != nil {
		return nil, err
	}
	if err := identity.CheckName("roleName", in.RoleName, 64); err != nil {
		return nil, err
	}
	return ask("iam:RemoveRoleFromInstanceProfile", v.Place().IAM("instance-profile/"+in.InstanceProfileName)), nil
}

func (k iamDesk) removeFromInstanceProfile(_ context.Context, _ Call, in *instanceProfileInput) (*Nothing, error) {
	return nil, strait.Errorf(strait.NotFound, "instance profile", "Instance Profile %s cannot be found.", in.InstanceProfileName)
}
