package setup

import (
	"context"
	"fmt"
	"net/url"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"strait"
)

// maxInline is IAM's limit for all inline policies of a role, in characters
// without white space.
const maxInline = 10240

// deadID is what IAM shows in a trust policy in the place of a role or user
// that was deleted; one of the same name made later is somebody else.
var deadID = regexp.MustCompile(`"A(ROA|IDA)[A-Z0-9]{12,}"`)

// roleARN is the ARN of the role, or the one that it will get.
func (r *run) roleARN(ctx context.Context, step, name string) (strait.ARN, error) {
	out, err := r.s.IAM.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	switch {
	case missing(err):
		return r.place.IAM("role/" + name), nil
	case err != nil:
		return "", failed(step, "look at role "+name, err)
	}
	return strait.ARN(aws.ToString(out.Role.Arn)), nil
}

// role makes the role with this trust policy, or sets its trust policy. made
// tells that it is new (so that AWS may not know it everywhere yet).
func (r *run) role(ctx context.Context, step, name, trust, description string) (arn strait.ARN, made bool, err error) {
	out, err := r.s.IAM.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	switch {
	case missing(err):
		arn := r.place.IAM("role/" + name)
		return arn, true, r.change(ctx, step, "create role "+name, trust, func(ctx context.Context) error {
			return r.insist(ctx, unknownPrincipal, func(ctx context.Context) error {
				_, err := r.s.IAM.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust, Description: &description})
				return err
			})
		})
	case err != nil:
		return "", false, failed(step, "look at role "+name, err)
	}
	arn = strait.ARN(aws.ToString(out.Role.Arn))
	have, err := url.PathUnescape(aws.ToString(out.Role.AssumeRolePolicyDocument))
	if err != nil {
		return "", false, failed(step, "read the trust policy of role "+name, err)
	}
	if same(have, trust) {
		r.fine(step, "role "+name)
		return arn, false, nil
	}
	what := "change the trust policy of role " + name
	if deadID.MatchString(have) {
		what = "repair the trust policy of role " + name + ", which names somebody who was deleted"
	}
	return arn, false, r.change(ctx, step, what, trust, func(ctx context.Context) error {
		return r.insist(ctx, unknownPrincipal, func(ctx context.Context) error {
			_, err := r.s.IAM.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: &trust})
			return err
		})
	})
}

// unknownPrincipal is IAM not knowing yet a role that was just made.
func unknownPrincipal(err error) bool {
	return says(err, "MalformedPolicyDocument", "Invalid principal in policy") ||
		says(err, "MalformedPolicyDocumentException", "Invalid principal in policy")
}

// attach attaches a managed policy to a role.
func (r *run) attach(ctx context.Context, step, role string, made bool, policy string) error {
	if !made || !r.dry {
		has, err := r.attached(ctx, role, made, policy)
		if err != nil {
			return failed(step, "list what is attached to role "+role, err)
		}
		if has {
			r.fine(step, policy+" on role "+role)
			return nil
		}
	}
	return r.change(ctx, step, "attach "+policy+" to role "+role, "", func(ctx context.Context) error {
		return r.insist(ctx, soon(made), func(ctx context.Context) error {
			_, err := r.s.IAM.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &role, PolicyArn: &policy})
			return err
		})
	})
}

// soon excuses that something which was just made is not known yet.
func soon(made bool) func(error) bool {
	return func(err error) bool { return made && missing(err) }
}

func (r *run) attached(ctx context.Context, role string, made bool, policy string) (bool, error) {
	found := false
	err := r.insist(ctx, soon(made), func(ctx context.Context) error {
		pages := iam.NewListAttachedRolePoliciesPaginator(r.s.IAM, &iam.ListAttachedRolePoliciesInput{RoleName: &role})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return err
			}
			for _, p := range page.AttachedPolicies {
				found = found || aws.ToString(p.PolicyArn) == policy
			}
		}
		return nil
	})
	return found, err
}

// inline sets an inline policy of a role; want makes it from the one that is
// there, "" when there is none.
func (r *run) inline(ctx context.Context, step, role string, made bool, name string, want func(have string) string) error {
	have := ""
	out, err := r.s.IAM.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &role, PolicyName: &name})
	switch {
	case missing(err):
	case err != nil:
		return failed(step, "look at policy "+name+" of role "+role, err)
	default:
		if have, err = url.PathUnescape(aws.ToString(out.PolicyDocument)); err != nil {
			return failed(step, "read policy "+name+" of role "+role, err)
		}
	}
	doc := want(have)
	if same(have, doc) {
		r.fine(step, "policy "+name+" of role "+role)
		return nil
	}
	if len(doc) > maxInline {
		return fmt.Errorf("%s: the policy of role %s would have %d characters, and IAM takes %d: name no things, so that all are meant", step, role, len(doc), maxInline)
	}
	return r.change(ctx, step, "set policy "+name+" of role "+role, doc, func(ctx context.Context) error {
		return r.insist(ctx, soon(made), func(ctx context.Context) error {
			_, err := r.s.IAM.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: &doc})
			return err
		})
	})
}
