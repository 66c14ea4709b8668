package links_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	iottypes "github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"strait/vend"
)

// This file takes links away, each by the calls that an operator of AWS would
// make, and puts them back.

// without returns a policy document without the action, in the statements
// that allow it; "" when no statement is left.
func (h *house) without(document, action string) string {
	h.t.Helper()
	var doc struct {
		Version   string
		Statement []map[string]any
	}
	h.must(json.Unmarshal([]byte(document), &doc))
	found := false
	doc.Statement = slices.DeleteFunc(doc.Statement, func(s map[string]any) bool {
		switch a := s["Action"].(type) {
		case string:
			found = found || a == action
			return a == action
		case []any:
			left := slices.DeleteFunc(slices.Clone(a), func(x any) bool { return x == action })
			found = found || len(left) < len(a)
			s["Action"] = left
			return len(left) == 0
		}
		return false
	})
	if !found {
		h.t.Fatalf("no statement allows %s by itself: %s", action, document)
	}
	if len(doc.Statement) == 0 {
		return ""
	}
	b, err := json.Marshal(doc)
	h.must(err)
	return string(b)
}

func (h *house) unescaped(document *string) string {
	h.t.Helper()
	s, err := url.PathUnescape(aws.ToString(document))
	h.must(err)
	return s
}

// --- the device

func (h *house) certificateInactive() func() {
	set := func(status iottypes.CertificateStatus) {
		_, err := h.admin.IoT.UpdateCertificate(h.ctx, &iot.UpdateCertificateInput{CertificateId: &h.certificate, NewStatus: status})
		h.must(err)
	}
	set(iottypes.CertificateStatusInactive)
	return func() { set(iottypes.CertificateStatusActive) }
}

func (h *house) policyDetached() func() {
	target := string(h.place.IoT("cert/" + h.certificate))
	_, err := h.admin.IoT.DetachPolicy(h.ctx, &iot.DetachPolicyInput{PolicyName: aws.String(thingPolicy), Target: &target})
	h.must(err)
	return func() {
		_, err := h.admin.IoT.AttachPolicy(h.ctx, &iot.AttachPolicyInput{PolicyName: aws.String(thingPolicy), Target: &target})
		h.must(err)
	}
}

// device takes an action out of the things' policy: a new version of it.
func device(action string) func(*house) func() {
	return func(h *house) func() {
		name := aws.String(thingPolicy)
		old, err := h.admin.IoT.GetPolicy(h.ctx, &iot.GetPolicyInput{PolicyName: name})
		h.must(err)
		doc := h.without(aws.ToString(old.PolicyDocument), action)
		made, err := h.admin.IoT.CreatePolicyVersion(h.ctx, &iot.CreatePolicyVersionInput{PolicyName: name, PolicyDocument: &doc, SetAsDefault: true})
		h.must(err)
		return func() {
			_, err := h.admin.IoT.SetDefaultPolicyVersion(h.ctx, &iot.SetDefaultPolicyVersionInput{PolicyName: name, PolicyVersionId: old.DefaultVersionId})
			h.must(err)
			_, err = h.admin.IoT.DeletePolicyVersion(h.ctx, &iot.DeletePolicyVersionInput{PolicyName: name, PolicyVersionId: made.PolicyVersionId})
			h.must(err)
		}
	}
}

// --- the rule and the function

func (h *house) ruleDisabled() func() {
	_, err := h.admin.IoT.DisableTopicRule(h.ctx, &iot.DisableTopicRuleInput{RuleName: aws.String(ruleName)})
	h.must(err)
	return func() {
		_, err := h.admin.IoT.EnableTopicRule(h.ctx, &iot.EnableTopicRuleInput{RuleName: aws.String(ruleName)})
		h.must(err)
	}
}

const permissionID = "the-rule"

// allowRule lets IoT invoke the function; what is "" is left out.
func (h *house) allowRule(sourceArn, sourceAccount string) {
	h.t.Helper()
	in := &lambda.AddPermissionInput{FunctionName: aws.String(functionName), StatementId: aws.String(permissionID),
		Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("iot.amazonaws.com")}
	if sourceArn != "" {
		in.SourceArn = &sourceArn
	}
	if sourceAccount != "" {
		in.SourceAccount = &sourceAccount
	}
	_, err := h.admin.Lambda.AddPermission(h.ctx, in)
	h.must(err)
}

// forbidRule removes every permission of the function.
func (h *house) forbidRule() {
	h.t.Helper()
	out, err := h.admin.Lambda.GetPolicy(h.ctx, &lambda.GetPolicyInput{FunctionName: aws.String(functionName)})
	h.must(err)
	var doc struct{ Statement []struct{ Sid string } }
	h.must(json.Unmarshal([]byte(aws.ToString(out.Policy)), &doc))
	for _, s := range doc.Statement {
		_, err := h.admin.Lambda.RemovePermission(h.ctx, &lambda.RemovePermissionInput{FunctionName: aws.String(functionName), StatementId: &s.Sid})
		h.must(err)
	}
}

func (h *house) permissionRemoved() func() {
	h.forbidRule()
	return func() { h.allowRule(h.rule(ruleName), h.place.Account) }
}

// otherPermission replaces the function's permission.
func (h *house) otherPermission(sourceArn, sourceAccount string) func() {
	h.t.Helper()
	h.forbidRule()
	h.allowRule(sourceArn, sourceAccount)
	return func() {
		h.forbidRule()
		h.allowRule(h.rule(ruleName), h.place.Account)
	}
}

func (h *house) rule(name string) string { return string(h.place.IoT("rule/" + name)) }

func (h *house) permissionForOtherRule() func() {
	return h.otherPermission(h.rule("another_rule"), h.place.Account)
}

func (h *house) permissionForOtherAccount() func() {
	return h.otherPermission(h.rule(ruleName), "210987654321")
}

func (h *house) permissionWithoutArn() func() { return h.otherPermission("", h.place.Account) }

func (h *house) permissionWithoutAccount() func() { return h.otherPermission(h.rule(ruleName), "") }

// sessionForOtherBucket lets the function narrow to another bucket's objects.
func (h *house) sessionForOtherBucket() func() {
	name := aws.String(functionName)
	old, err := h.admin.Lambda.GetFunctionConfiguration(h.ctx, &lambda.GetFunctionConfigurationInput{FunctionName: name})
	h.must(err)
	set := func(bucket string) {
		variables := map[string]string{}
		for k, v := range old.Environment.Variables {
			variables[k] = v
		}
		variables[vend.EnvBucket] = bucket
		_, err := h.admin.Lambda.UpdateFunctionConfiguration(h.ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: name,
			Environment: &types.Environment{Variables: variables}})
		h.must(err)
	}
	set("another-bucket")
	return func() { set(bucket) }
}

// --- IAM

// nobodysTrust names a service that has nothing to do with either pattern.
const nobodysTrust = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}`

func trustOf(role, document string) func(*house) func() {
	return func(h *house) func() {
		out, err := h.admin.IAM.GetRole(h.ctx, &iam.GetRoleInput{RoleName: &role})
		h.must(err)
		set := func(doc string) {
			_, err := h.admin.IAM.UpdateAssumeRolePolicy(h.ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &role, PolicyDocument: &doc})
			h.must(err)
		}
		before := h.unescaped(out.Role.AssumeRolePolicyDocument)
		set(document)
		return func() { set(before) }
	}
}

// functionRoleDistrusts takes Lambda out of the trust of a role that a function
// has already: to give it to one would be refused at once.
func (h *house) functionRoleDistrusts() func() {
	restore := trustOf(functionRole, nobodysTrust)(h)
	h.wired = true
	return func() {
		h.wired = false
		restore()
	}
}

func detached(role, policy string) func(*house) func() {
	return func(h *house) func() {
		_, err := h.admin.IAM.DetachRolePolicy(h.ctx, &iam.DetachRolePolicyInput{RoleName: &role, PolicyArn: &policy})
		h.must(err)
		return func() {
			_, err := h.admin.IAM.AttachRolePolicy(h.ctx, &iam.AttachRolePolicyInput{RoleName: &role, PolicyArn: &policy})
			h.must(err)
		}
	}
}

// roleWithout takes an action out of the role's own policies.
func roleWithout(role, action string) func(*house) func() {
	return func(h *house) func() {
		list, err := h.admin.IAM.ListRolePolicies(h.ctx, &iam.ListRolePoliciesInput{RoleName: &role})
		h.must(err)
		for _, name := range list.PolicyNames {
			out, err := h.admin.IAM.GetRolePolicy(h.ctx, &iam.GetRolePolicyInput{RoleName: &role, PolicyName: &name})
			h.must(err)
			before := h.unescaped(out.PolicyDocument)
			if !strings.Contains(before, `"`+action+`"`) {
				continue
			}
			set := func(doc string) {
				_, err := h.admin.IAM.PutRolePolicy(h.ctx, &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: &doc})
				h.must(err)
			}
			if after := h.without(before, action); after != "" {
				set(after)
			} else {
				_, err := h.admin.IAM.DeleteRolePolicy(h.ctx, &iam.DeleteRolePolicyInput{RoleName: &role, PolicyName: &name})
				h.must(err)
			}
			return func() { set(before) }
		}
		h.t.Fatalf("no policy of role %s allows %s", role, action)
		return nil
	}
}

// userWithout takes an action out of the user's policy, which is called after
// the user.
func userWithout(user, action string) func(*house) func() {
	return func(h *house) func() {
		out, err := h.admin.IAM.GetUserPolicy(h.ctx, &iam.GetUserPolicyInput{UserName: &user, PolicyName: &user})
		h.must(err)
		before := h.unescaped(out.PolicyDocument)
		set := func(doc string) {
			_, err := h.admin.IAM.PutUserPolicy(h.ctx, &iam.PutUserPolicyInput{UserName: &user, PolicyName: &user, PolicyDocument: &doc})
			h.must(err)
		}
		if after := h.without(before, action); after != "" {
			set(after)
		} else {
			_, err := h.admin.IAM.DeleteUserPolicy(h.ctx, &iam.DeleteUserPolicyInput{UserName: &user, PolicyName: &user})
			h.must(err)
		}
		return func() { set(before) }
	}
}

func (h *house) operatorWithoutPassRole() func() { return userWithout(operator, "iam:PassRole")(h) }

// session takes an action out of the session policy that the client asks for.
func session(action string) func(*house) func() {
	return func(h *house) func() {
		before := h.sessionPolicy
		h.sessionPolicy = h.without(before, action)
		return func() { h.sessionPolicy = before }
	}
}
