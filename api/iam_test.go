package api_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"

	"strait"
	"strait/server"
)

// An iamHouse is a running server and its admin's client.
type iamHouse struct {
	*iam.Client
	t   *testing.T
	url string
	ca  *http.Client
}

func startIAM(t *testing.T) *iamHouse {
	t.Helper()
	s, err := server.Start(context.Background(), server.Config{
		Data: t.TempDir(), Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"}, Hosts: []string{"localhost"},
		HTTPS: []string{"127.0.0.1:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	pem, err := os.ReadFile(s.Ready().CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	_, port, _ := strings.Cut(s.Ready().HTTPS[0], ":")
	h := &iamHouse{t: t, url: "https://localhost:" + port, ca: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}}
	t.Cleanup(h.ca.CloseIdleConnections)
	text, err := os.ReadFile(s.Ready().Credentials)
	if err != nil {
		t.Fatal(err)
	}
	var id, secret string
	for line := range strings.Lines(string(text)) {
		switch k, v, _ := strings.Cut(strings.TrimSpace(line), " = "); k {
		case "aws_access_key_id":
			id = v
		case "aws_secret_access_key":
			secret = v
		}
	}
	h.Client = h.as(id, secret, "")
	return h
}

func (h *iamHouse) config(id, secret, token string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &h.url, HTTPClient: h.ca, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, token),
	}
}

func (h *iamHouse) as(id, secret, token string) *iam.Client {
	return iam.NewFromConfig(h.config(id, secret, token))
}

// asUser makes a user with that inline policy and returns a client with its key.
func (h *iamHouse) asUser(name, text string) *iam.Client {
	h.t.Helper()
	ctx := context.Background()
	_, err := h.CreateUser(ctx, &iam.CreateUserInput{UserName: &name})
	h.must("CreateUser", err)
	if text != "" {
		_, err = h.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("p"), PolicyDocument: &text})
		h.must("PutUserPolicy", err)
	}
	k, err := h.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})
	h.must("CreateAccessKey", err)
	return h.as(*k.AccessKey.AccessKeyId, *k.AccessKey.SecretAccessKey, "")
}

func (h *iamHouse) must(what string, err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("%s: %v", what, err)
	}
}

// fails checks the code and the text of an error.
func (h *iamHouse) fails(what string, err error, code, text string) {
	h.t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), text) {
		h.t.Errorf("%s: got %v, want %s and %q", what, err, code, text)
	}
}

const iamLambdaTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

// oddText is a policy whose text shows whether it is kept and encoded well.
const oddText = "{ \"Version\": \"2012-10-17\",\n\t\"Statement\": [{\"Effect\":\"Allow\",\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::a+b %20 <&>é/*\"}]}"

// decoded reads a document as Terraform does, and checks that no + is in it,
// which others would read in another way.
func (h *iamHouse) decoded(s *string) string {
	h.t.Helper()
	if s == nil || strings.ContainsAny(*s, "+ \"") {
		h.t.Fatalf("a document that is not encoded as RFC 3986 says: %v", aws.ToString(s))
	}
	text, err := url.QueryUnescape(*s)
	h.must("decode a document", err)
	return text
}

func TestIAMRoles(t *testing.T) {
	h, ctx := startIAM(t), context.Background()
	name := aws.String("s3-role")
	made, err := h.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: name, AssumeRolePolicyDocument: aws.String(iamLambdaTrust), Path: aws.String("/a/"), Description: aws.String("für\nalle"),
		MaxSessionDuration: aws.Int32(7200), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}},
		PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/AmazonS3FullAccess"),
	})
	h.must("CreateRole", err)
	got, err := h.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("S3-ROLE")})
	h.must("GetRole", err)
	for what, r := range map[string]*types.Role{"CreateRole": made.Role, "GetRole": got.Role} {
		if *r.Arn != "arn:aws:iam::123456789012:role/a/s3-role" || *r.Path != "/a/" || *r.RoleName != "s3-role" || !strings.HasPrefix(*r.RoleId, "AROA") ||
			*r.Description != "für\nalle" || r.CreateDate.IsZero() || len(r.Tags) != 1 || *r.Tags[0].Key != "team" ||
			r.PermissionsBoundary == nil || *r.PermissionsBoundary.PermissionsBoundaryArn != "arn:aws:iam::aws:policy/AmazonS3FullAccess" {
			t.Errorf("%s: %+v", what, r)
		}
		if text := h.decoded(r.AssumeRolePolicyDocument); text != iamLambdaTrust {
			t.Errorf("%s: trust policy %s", what, text)
		}
	}
	if n := got.Role.MaxSessionDuration; n == nil || *n != 7200 || made.Role.MaxSessionDuration != nil || made.Role.RoleLastUsed != nil {
		t.Errorf("GetRole tells the longest session, and CreateRole does not: %+v and %+v", got.Role, made.Role)
	}
	_, err = h.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("S3-Role"), AssumeRolePolicyDocument: aws.String(iamLambdaTrust)})
	h.fails("CreateRole again", err, "EntityAlreadyExists", "Role with name S3-Role already exists.")

	_, err = h.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: name, Description: aws.String("")})
	h.must("UpdateRole", err)
	updated, err := h.UpdateRoleDescription(ctx, &iam.UpdateRoleDescriptionInput{RoleName: name, Description: aws.String("new")})
	h.must("UpdateRoleDescription", err)
	if *updated.Role.Description != "new" || *updated.Role.MaxSessionDuration != 7200 {
		t.Errorf("UpdateRoleDescription: %+v", updated.Role)
	}
	_, err = h.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: name, MaxSessionDuration: aws.Int32(3599)})
	h.fails("UpdateRole with a short session", err, "ValidationError", "3600")
	trust := strings.Replace(iamLambdaTrust, "lambda", "iot", 1)
	_, err = h.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: &trust})
	h.must("UpdateAssumeRolePolicy", err)
	_, err = h.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: aws.String(strings.Replace(iamLambdaTrust, `"Service":"lambda.amazonaws.com"`, `"AWS":"arn:aws:iam::123456789012:role/none"`, 1))})
	h.fails("UpdateAssumeRolePolicy with an unknown role", err, "MalformedPolicyDocument", `Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:role/none"`)
	got, err = h.GetRole(ctx, &iam.GetRoleInput{RoleName: name})
	h.must("GetRole", err)
	if text := h.decoded(got.Role.AssumeRolePolicyDocument); text != trust {
		t.Errorf("the trust policy after an update: %s", text)
	}

	profiles, err := h.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: name})
	h.must("ListInstanceProfilesForRole", err)
	if len(profiles.InstanceProfiles) != 0 || profiles.IsTruncated {
		t.Errorf("ListInstanceProfilesForRole: %+v", profiles)
	}
	_, err = h.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: aws.String("none")})
	h.fails("ListInstanceProfilesForRole", err, "NoSuchEntity", "The role with name none cannot be found.")
	_, err = h.RemoveRoleFromInstanceProfile(ctx, &iam.RemoveRoleFromInstanceProfileInput{RoleName: name, InstanceProfileName: aws.String("ip")})
	h.fails("RemoveRoleFromInstanceProfile", err, "NoSuchEntity", "Instance Profile ip cannot be found.")

	_, err = h.TagRole(ctx, &iam.TagRoleInput{RoleName: name, Tags: []types.Tag{{Key: aws.String("Team"), Value: aws.String("b")}, {Key: aws.String("x"), Value: aws.String("")}}})
	h.must("TagRole", err)
	_, err = h.TagRole(ctx, &iam.TagRoleInput{RoleName: name, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("")}, {Key: aws.String("A"), Value: aws.String("")}}})
	h.fails("TagRole twice the same", err, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
	_, err = h.UntagRole(ctx, &iam.UntagRoleInput{RoleName: name, TagKeys: []string{"X"}})
	h.must("UntagRole", err)
	tags, err := h.ListRoleTags(ctx, &iam.ListRoleTagsInput{RoleName: name})
	h.must("ListRoleTags", err)
	if len(tags.Tags) != 1 || *tags.Tags[0].Key != "Team" || *tags.Tags[0].Value != "b" {
		t.Errorf("ListRoleTags: %+v", tags.Tags)
	}

	_, err = h.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: name})
	h.must("DeleteRolePermissionsBoundary", err)
	_, err = h.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: name, PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/None")})
	h.fails("PutRolePermissionsBoundary", err, "NoSuchEntity", "arn:aws:iam::aws:policy/None does not exist or is not attachable.")
	_, err = h.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	h.must("DeleteRole", err)
	_, err = h.GetRole(ctx, &iam.GetRoleInput{RoleName: name})
	h.fails("GetRole", err, "NoSuchEntity", "The role with name s3-role cannot be found.")
	var none *types.NoSuchEntityException
	if !errors.As(err, &none) {
		t.Errorf("GetRole: the SDK does not know the error %v", err)
	}
}

func TestIAMInputs(t *testing.T) {
	h, ctx := startIAM(t), context.Background()
	_, err := h.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String(strings.Repeat("a", 65)), AssumeRolePolicyDocument: aws.String(iamLambdaTrust)})
	h.fails("a long name", err, "ValidationError", "1 validation error detected: Value at 'roleName' failed to satisfy constraint: Member must have length less than or equal to 64")
	_, err = h.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("a/b"), AssumeRolePolicyDocument: aws.String(iamLambdaTrust)})
	h.fails("a slash in a name", err, "ValidationError", "The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-")
	_, err = h.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("a"), Path: aws.String("x"), AssumeRolePolicyDocument: aws.String(iamLambdaTrust)})
	h.fails("a path", err, "ValidationError", "The specified value for path is invalid. It must begin and end with /")
	_, err = h.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String(""), AssumeRolePolicyDocument: aws.String(iamLambdaTrust)})
	h.fails("no name", err, "MissingParameter", "The request must contain the parameter RoleName.")
	_, err = h.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("a"), AssumeRolePolicyDocument: aws.String("{\"Version\":\"€\"}")})
	h.fails("a letter that no policy may have", err, "ValidationError", "assumeRolePolicyDocument")
	_, err = h.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("a"), AssumeRolePolicyDocument: aws.String("{")})
	h.fails("no JSON", err, "MalformedPolicyDocument", "This policy contains invalid Json")
	_, err = h.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("a"), PolicyDocument: aws.String("{")})
	h.fails("no JSON", err, "MalformedPolicyDocument", "Syntax errors in policy.")
	_, err = h.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: aws.String("arn:aws:iam::123456789012:policy/none")})
	h.fails("no such policy", err, "NoSuchEntity", "Policy arn:aws:iam::123456789012:policy/none was not found.")
	_, err = h.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: aws.String("something that is no ARN at all")})
	h.fails("no ARN", err, "ValidationError", "Invalid ARN:  Could not be parsed!")
	_, err = h.ListRoles(ctx, &iam.ListRolesInput{MaxItems: aws.Int32(1001)})
	h.fails("many items", err, "ValidationError", "'maxItems'")
	_, err = h.ListRoles(ctx, &iam.ListRolesInput{Marker: aws.String("?")})
	h.fails("a wrong marker", err, "ValidationError", "Invalid Marker")
	_, err = h.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("a"), AssumeRolePolicyDocument: aws.String(strings.Replace(iamLambdaTrust, `"Effect"`, `"Sid":"`+strings.Repeat("x", 2048)+`","Effect"`, 1))})
	h.fails("a long trust policy", err, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048")
}

func TestIAMPolicies(t *testing.T) {
	h, ctx := startIAM(t), context.Background()
	made, err := h.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("P"), PolicyDocument: aws.String(oddText), Description: aws.String("")})
	h.must("CreatePolicy", err)
	arn := made.Policy.Arn
	if *arn != "arn:aws:iam::123456789012:policy/P" || *made.Policy.DefaultVersionId != "v1" || !strings.HasPrefix(*made.Policy.PolicyId, "ANPA") || *made.Policy.AttachmentCount != 0 || !made.Policy.IsAttachable {
		t.Errorf("CreatePolicy: %+v", made.Policy)
	}
	version := func(id string) string {
		t.Helper()
		v, err := h.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: arn, VersionId: &id})
		h.must("GetPolicyVersion", err)
		return h.decoded(v.PolicyVersion.Document)
	}
	if got := version("v1"); got != oddText {
		t.Errorf("the document of v1: %q, want %q", got, oddText)
	}
	// As Terraform changes a policy: a new version, then the default.
	for i := 2; i <= 5; i++ {
		v, err := h.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: aws.String(oddText)})
		h.must("CreatePolicyVersion", err)
		if *v.PolicyVersion.VersionId != fmt.Sprint("v", i) || v.PolicyVersion.IsDefaultVersion {
			t.Errorf("CreatePolicyVersion: %+v", v.PolicyVersion)
		}
	}
	_, err = h.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: aws.String(oddText)})
	h.fails("a sixth version", err, "LimitExceeded", "A managed policy can have up to 5 versions.")
	_, err = h.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v5")})
	h.must("SetDefaultPolicyVersion", err)
	_, err = h.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v5")})
	h.fails("delete the default version", err, "DeleteConflict", "Cannot delete the default version of a policy.")
	_, err = h.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v9")})
	h.fails("delete a version that is not there", err, "NoSuchEntity", "version v9 does not exist")
	list, err := h.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: arn})
	h.must("ListPolicyVersions", err)
	if len(list.Versions) != 5 || *list.Versions[0].VersionId != "v5" || !list.Versions[0].IsDefaultVersion || list.Versions[4].IsDefaultVersion {
		t.Errorf("ListPolicyVersions: %+v", list.Versions)
	}

	// Inline and attached policies of a role.
	role := aws.String("R")
	_, err = h.CreateRole(ctx, &iam.CreateRoleInput{RoleName: role, AssumeRolePolicyDocument: aws.String(iamLambdaTrust)})
	h.must("CreateRole", err)
	_, err = h.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: role, PolicyName: aws.String("Inline"), PolicyDocument: aws.String(oddText)})
	h.must("PutRolePolicy", err)
	inline, err := h.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: role, PolicyName: aws.String("Inline")})
	h.must("GetRolePolicy", err)
	if *inline.RoleName != "R" || *inline.PolicyName != "Inline" || h.decoded(inline.PolicyDocument) != oddText {
		t.Errorf("GetRolePolicy: %+v", inline)
	}
	_, err = h.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: role, PolicyName: aws.String("none")})
	h.fails("GetRolePolicy", err, "NoSuchEntity", "The role policy with name none cannot be found.")
	names, err := h.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: role})
	h.must("ListRolePolicies", err)
	if len(names.PolicyNames) != 1 || names.PolicyNames[0] != "Inline" {
		t.Errorf("ListRolePolicies: %v", names.PolicyNames)
	}
	for range 2 {
		_, err = h.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: role, PolicyArn: arn})
		h.must("AttachRolePolicy", err)
	}
	_, err = h.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: role, PolicyArn: aws.String("arn:aws:iam::aws:policy/None")})
	h.fails("attach an unknown policy", err, "NoSuchEntity", "Policy arn:aws:iam::aws:policy/None does not exist or is not attachable.")
	attached, err := h.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: role})
	h.must("ListAttachedRolePolicies", err)
	if len(attached.AttachedPolicies) != 1 || *attached.AttachedPolicies[0].PolicyArn != *arn || *attached.AttachedPolicies[0].PolicyName != "P" {
		t.Errorf("ListAttachedRolePolicies: %+v", attached.AttachedPolicies)
	}
	entities, err := h.ListEntitiesForPolicy(ctx, &iam.ListEntitiesForPolicyInput{PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})
	h.must("ListEntitiesForPolicy", err)
	if len(entities.PolicyUsers) != 1 || *entities.PolicyUsers[0].UserName != "admin" || len(entities.PolicyRoles) != 0 {
		t.Errorf("ListEntitiesForPolicy: %+v", entities)
	}
	local, err := h.ListPolicies(ctx, &iam.ListPoliciesInput{Scope: types.PolicyScopeTypeLocal, OnlyAttached: true})
	h.must("ListPolicies", err)
	if len(local.Policies) != 1 || *local.Policies[0].Arn != *arn || *local.Policies[0].AttachmentCount != 1 {
		t.Errorf("ListPolicies: %+v", local.Policies)
	}
	_, err = h.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: aws.String("arn:aws:iam::aws:policy/AWSIoTFullAccess")})
	h.fails("delete a policy of AWS", err, "AccessDenied", "belongs to AWS")

	// Nothing that is in use goes.
	_, err = h.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: role})
	h.fails("delete a role with policies", err, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
	_, err = h.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: role, PolicyArn: arn})
	h.must("DetachRolePolicy", err)
	_, err = h.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: role, PolicyArn: arn})
	h.fails("detach again", err, "NoSuchEntity", "was not found.")
	_, err = h.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: role})
	h.fails("delete a role with an inline policy", err, "DeleteConflict", "Cannot delete entity, must delete policies first.")
	_, err = h.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: role, PolicyName: aws.String("Inline")})
	h.must("DeleteRolePolicy", err)
	_, err = h.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: role})
	h.must("DeleteRole", err)
	for i := 1; i < 5; i++ {
		_, err = h.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: arn, VersionId: aws.String(fmt.Sprint("v", i))})
		h.must("DeletePolicyVersion", err)
	}
	_, err = h.TagPolicy(ctx, &iam.TagPolicyInput{PolicyArn: arn, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}})
	h.must("TagPolicy", err)
	tags, err := h.ListPolicyTags(ctx, &iam.ListPolicyTagsInput{PolicyArn: arn})
	h.must("ListPolicyTags", err)
	if len(tags.Tags) != 1 {
		t.Errorf("ListPolicyTags: %+v", tags.Tags)
	}
	_, err = h.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: arn})
	h.must("DeletePolicy", err)
}

func TestIAMPaging(t *testing.T) {
	h, ctx := startIAM(t), context.Background()
	want := ""
	for i := range 7 {
		name := fmt.Sprintf("%c-role", 'a'+i)
		_, err := h.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, Path: aws.String("/p/"), AssumeRolePolicyDocument: aws.String(iamLambdaTrust)})
		h.must("CreateRole", err)
		want += name + " "
	}
	got, pages := "", 0
	p := iam.NewListRolesPaginator(h, &iam.ListRolesInput{MaxItems: aws.Int32(3), PathPrefix: aws.String("/p/")})
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		h.must("ListRoles", err)
		pages++
		for _, r := range page.Roles {
			got += *r.RoleName + " "
			if len(r.Tags) != 0 || r.RoleLastUsed != nil {
				t.Errorf("ListRoles tells what only GetRole does: %+v", r)
			}
		}
		// What is deleted between two pages does not upset the rest.
		if pages == 1 {
			_, err = h.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("c-role")})
			h.must("DeleteRole", err)
		}
	}
	if got != want || pages != 3 {
		t.Errorf("%d pages with %q, want 3 with %q", pages, got, want)
	}
	if none, err := h.ListRoles(ctx, &iam.ListRolesInput{PathPrefix: aws.String("/q/")}); err != nil || len(none.Roles) != 0 || none.IsTruncated {
		t.Errorf("ListRoles below another path: %+v, %v", none, err)
	}
}
