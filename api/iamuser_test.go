package api_test

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func TestIAMUsers(t *testing.T) {
	h, ctx := startIAM(t), context.Background()
	me, err := h.GetUser(ctx, &iam.GetUserInput{})
	h.must("GetUser", err)
	if *me.User.UserName != "admin" || *me.User.Arn != "arn:aws:iam::123456789012:user/admin" {
		t.Errorf("GetUser without a name: %+v", me.User)
	}
	alice := h.asUser("alice", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GetUser","iam:*AccessKey*"],"Resource":"arn:aws:iam::*:user/${aws:username}"}]}`)
	me, err = alice.GetUser(ctx, &iam.GetUserInput{})
	h.must("GetUser", err)
	if *me.User.UserName != "alice" {
		t.Errorf("GetUser of alice: %+v", me.User)
	}
	_, err = alice.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("admin")})
	h.fails("GetUser of another user", err, "AccessDenied", "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: iam:GetUser on resource: arn:aws:iam::123456789012:user/admin because no identity-based policy allows the iam:GetUser action")

	// She rolls her own key.
	second, err := alice.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{})
	h.must("CreateAccessKey", err)
	_, err = alice.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{})
	h.fails("a third key", err, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
	keys, err := alice.ListAccessKeys(ctx, &iam.ListAccessKeysInput{})
	h.must("ListAccessKeys", err)
	if len(keys.AccessKeyMetadata) != 2 {
		t.Errorf("ListAccessKeys: %+v", keys.AccessKeyMetadata)
	}
	_, err = alice.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("admin")})
	h.fails("a key for another user", err, "AccessDenied", "iam:CreateAccessKey on resource: arn:aws:iam::123456789012:user/admin")
	next := h.as(*second.AccessKey.AccessKeyId, *second.AccessKey.SecretAccessKey, "")
	for _, k := range keys.AccessKeyMetadata {
		if *k.AccessKeyId != *second.AccessKey.AccessKeyId {
			_, err = next.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{AccessKeyId: k.AccessKeyId, Status: types.StatusTypeInactive})
			h.must("UpdateAccessKey", err)
			_, err = alice.GetUser(ctx, &iam.GetUserInput{})
			h.fails("an inactive key", err, "InvalidClientTokenId", "")
			used, err := next.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: k.AccessKeyId})
			h.must("GetAccessKeyLastUsed", err)
			if *used.UserName != "alice" || *used.AccessKeyLastUsed.Region != "N/A" || used.AccessKeyLastUsed.LastUsedDate != nil {
				t.Errorf("GetAccessKeyLastUsed: %+v", used.AccessKeyLastUsed)
			}
			_, err = next.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{AccessKeyId: k.AccessKeyId})
			h.must("DeleteAccessKey", err)
			_, err = next.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{AccessKeyId: k.AccessKeyId})
			h.fails("DeleteAccessKey again", err, "NoSuchEntity", "The Access Key with id "+*k.AccessKeyId+" cannot be found")
		}
	}

	name := aws.String("alice")
	_, err = h.DeleteUser(ctx, &iam.DeleteUserInput{UserName: name})
	h.fails("delete a user with policies", err, "DeleteConflict", "must delete policies first")
	_, err = h.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: name, PolicyName: aws.String("none")})
	h.fails("DeleteUserPolicy", err, "NoSuchEntity", "The user policy with name none cannot be found.")
	_, err = h.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: name, PolicyName: aws.String("p")})
	h.must("DeleteUserPolicy", err)
	_, err = h.DeleteUser(ctx, &iam.DeleteUserInput{UserName: name})
	h.fails("delete a user with a key", err, "DeleteConflict", "Cannot delete entity, must delete access keys first.")
	_, err = h.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: name, AccessKeyId: second.AccessKey.AccessKeyId})
	h.must("DeleteAccessKey", err)

	// What Terraform asks before it deletes a user.
	_, err = h.ListGroupsForUser(ctx, &iam.ListGroupsForUserInput{UserName: name})
	h.must("ListGroupsForUser", err)
	_, err = h.ListMFADevices(ctx, &iam.ListMFADevicesInput{UserName: name})
	h.must("ListMFADevices", err)
	_, err = h.ListVirtualMFADevices(ctx, &iam.ListVirtualMFADevicesInput{})
	h.must("ListVirtualMFADevices", err)
	_, err = h.ListSSHPublicKeys(ctx, &iam.ListSSHPublicKeysInput{UserName: name})
	h.must("ListSSHPublicKeys", err)
	_, err = h.ListSigningCertificates(ctx, &iam.ListSigningCertificatesInput{UserName: name})
	h.must("ListSigningCertificates", err)
	_, err = h.ListServiceSpecificCredentials(ctx, &iam.ListServiceSpecificCredentialsInput{UserName: name})
	h.must("ListServiceSpecificCredentials", err)
	_, err = h.DeleteLoginProfile(ctx, &iam.DeleteLoginProfileInput{UserName: name})
	h.fails("DeleteLoginProfile", err, "NoSuchEntity", "alice")
	_, err = h.DeleteUser(ctx, &iam.DeleteUserInput{UserName: name})
	h.must("DeleteUser", err)
	list, err := h.ListUsers(ctx, &iam.ListUsersInput{})
	h.must("ListUsers", err)
	if len(list.Users) != 1 || *list.Users[0].UserName != "admin" {
		t.Errorf("ListUsers: %+v", list.Users)
	}
}

// A role's session has no user: it must say whom it means.
func TestIAMSession(t *testing.T) {
	h, ctx := startIAM(t), context.Background()
	trust := strings.Replace(iamLambdaTrust, `"Service":"lambda.amazonaws.com"`, `"AWS":"arn:aws:iam::123456789012:root"`, 1)
	r, err := h.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("ops"), AssumeRolePolicyDocument: &trust})
	h.must("CreateRole", err)
	_, err = h.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("ops"), PolicyArn: aws.String("arn:aws:iam::aws:policy/IAMFullAccess")})
	h.must("AttachRolePolicy", err)
	admin, err := h.Options().Credentials.Retrieve(ctx)
	h.must("credentials", err)
	got, err := sts.NewFromConfig(h.config(admin.AccessKeyID, admin.SecretAccessKey, "")).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: r.Role.Arn, RoleSessionName: aws.String("s1")})
	h.must("AssumeRole", err)
	c := got.Credentials
	ops := h.as(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	_, err = ops.GetUser(ctx, &iam.GetUserInput{})
	h.fails("GetUser of a session", err, "ValidationError", "Must specify userName when calling with non-User credentials")
	_, err = ops.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("admin")})
	h.must("GetUser with a name", err)

	// The role is deleted: the session is nobody's.
	_, err = h.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: aws.String("ops"), PolicyArn: aws.String("arn:aws:iam::aws:policy/IAMFullAccess")})
	h.must("DetachRolePolicy", err)
	_, err = h.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("ops")})
	h.must("DeleteRole", err)
	_, err = ops.ListUsers(ctx, &iam.ListUsersInput{})
	h.fails("a session of a deleted role", err, "InvalidClientTokenId", "The security token included in the request is invalid")
}

// Attack: Mallory may make roles, but only bounded ones, may attach nothing
// but one policy, and may not touch the roles of others. She tries to get more.
func TestIAMDelegation(t *testing.T) {
	h, ctx := startIAM(t), context.Background()
	const limit, harmless, admin = "arn:aws:iam::aws:policy/AWSIoTDataAccess", "arn:aws:iam::aws:policy/AWSIoTFullAccess", "arn:aws:iam::aws:policy/AdministratorAccess"
	mallory := h.asUser("mallory", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["iam:CreateRole","iam:PutRolePolicy","iam:PutRolePermissionsBoundary"],"Resource":"arn:aws:iam::*:role/m/*","Condition":{"StringEquals":{"iam:PermissionsBoundary":"`+limit+`"}}},
		{"Effect":"Allow","Action":"iam:AttachRolePolicy","Resource":"arn:aws:iam::*:role/m/*","Condition":{"ArnEquals":{"iam:PolicyARN":"`+harmless+`"}}},
		{"Effect":"Allow","Action":"iam:TagRole","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/owner":"mallory"}}}]}`)
	create := func(name, path, boundary string, tags ...types.Tag) error {
		in := &iam.CreateRoleInput{RoleName: &name, Path: &path, AssumeRolePolicyDocument: aws.String(iamLambdaTrust), Tags: tags}
		if boundary != "" {
			in.PermissionsBoundary = &boundary
		}
		_, err := mallory.CreateRole(ctx, in)
		return err
	}
	h.fails("a role without a boundary", create("r", "/m/", ""), "AccessDenied", "iam:CreateRole on resource: arn:aws:iam::123456789012:role/m/r")
	h.fails("a role with another boundary", create("r", "/m/", admin), "AccessDenied", "iam:CreateRole")
	h.fails("a role below another path", create("r", "/x/", limit), "AccessDenied", "iam:CreateRole")
	h.fails("a tagged role, without the right to tag", create("r", "/m/", limit, types.Tag{Key: aws.String("a"), Value: aws.String("b")}), "AccessDenied", "iam:TagRole")
	h.must("a bounded role", create("r", "/m/", limit))

	attach := func(role, arn string) error {
		_, err := mallory.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &role, PolicyArn: &arn})
		return err
	}
	h.must("attach the harmless policy", attach("r", harmless))
	h.fails("attach another policy", attach("r", admin), "AccessDenied", "iam:AttachRolePolicy on resource: arn:aws:iam::123456789012:role/m/r")

	_, err := h.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("ops"), AssumeRolePolicyDocument: aws.String(iamLambdaTrust)})
	h.must("CreateRole", err)
	h.fails("attach to a role of others", attach("ops", harmless), "AccessDenied", "role/ops")
	h.fails("attach to a role of others by another case", attach("OPS", harmless), "AccessDenied", "role/ops")
	h.fails("attach to a role that does not exist", attach("none", harmless), "AccessDenied", "role/none")

	put := func(role string) error {
		_, err := mallory.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &role, PolicyName: aws.String("p"), PolicyDocument: aws.String(oddText)})
		return err
	}
	h.must("write a policy of the bounded role", put("r"))
	_, err = mallory.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: aws.String("r")})
	h.fails("remove the boundary", err, "AccessDenied", "iam:DeleteRolePermissionsBoundary")
	_, err = mallory.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: aws.String("r"), PermissionsBoundary: aws.String(admin)})
	h.fails("widen the boundary", err, "AccessDenied", "iam:PutRolePermissionsBoundary")
	_, err = h.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: aws.String("r")})
	h.must("the admin removes the boundary", err)
	h.fails("write a policy of a role that is bounded no more", put("r"), "AccessDenied", "iam:PutRolePolicy")

	tag := func() error {
		_, err := mallory.TagRole(ctx, &iam.TagRoleInput{RoleName: aws.String("ops"), Tags: []types.Tag{{Key: aws.String("owner"), Value: aws.String("mallory")}}})
		return err
	}
	h.fails("tag a role that is not hers as hers", tag(), "AccessDenied", "iam:TagRole")
	_, err = h.TagRole(ctx, &iam.TagRoleInput{RoleName: aws.String("ops"), Tags: []types.Tag{{Key: aws.String("owner"), Value: aws.String("mallory")}}})
	h.must("the admin tags it", err)
	h.must("tag a role that is hers", tag())
	_, err = mallory.ListRoles(ctx, &iam.ListRolesInput{})
	h.fails("list roles", err, "AccessDenied", "iam:ListRoles on resource: arn:aws:iam::123456789012:role/")
}

// Whoever renames Bob to Robert needs the permission on both, and Bob's key is
// Robert's at once.
func TestIAMUserRenamed(t *testing.T) {
	h, ctx := startIAM(t), context.Background()
	bob := h.asUser("bob", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":["arn:aws:iam::*:user/bob","arn:aws:iam::*:user/team/${aws:username}"]},{"Effect":"Allow","Action":"iam:GetUser","Resource":"*"}]}`)
	rename := func(name, path string) error {
		in := &iam.UpdateUserInput{UserName: aws.String("bob"), NewUserName: aws.String(name)}
		if path != "" {
			in.NewPath = aws.String(path)
		}
		_, err := bob.UpdateUser(ctx, in)
		return err
	}
	h.fails("to a name that is not permitted", rename("robert", ""), "AccessDenied", "iam:UpdateUser on resource: arn:aws:iam::123456789012:user/robert")
	h.fails("to a path that is not permitted", rename("bob", "/people/"), "AccessDenied", "iam:UpdateUser on resource: arn:aws:iam::123456789012:user/people/bob")
	h.must("UpdateUser", rename("bob", "/team/"))
	me, err := bob.GetUser(ctx, &iam.GetUserInput{})
	h.must("GetUser", err)
	if *me.User.Arn != "arn:aws:iam::123456789012:user/team/bob" {
		t.Errorf("after the move: %s", *me.User.Arn)
	}
	_, err = h.UpdateUser(ctx, &iam.UpdateUserInput{UserName: aws.String("bob"), NewUserName: aws.String("robert")})
	h.must("UpdateUser by admin", err)
	me, err = bob.GetUser(ctx, &iam.GetUserInput{})
	h.must("GetUser", err)
	if *me.User.Arn != "arn:aws:iam::123456789012:user/team/robert" {
		t.Errorf("after the new name: %s", *me.User.Arn)
	}
}
