package setup

import (
	"context"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"

	"strait"
)

// thingPolicy makes the IoT policy of the things, or its next version.
func (r *run) thingPolicy(ctx context.Context, step, name string) (strait.ARN, error) {
	want := thingDocument(r.place)
	arn := r.place.IoT("policy/" + name)
	out, err := r.s.IoT.GetPolicy(ctx, &iot.GetPolicyInput{PolicyName: &name})
	switch {
	case missing(err):
		return arn, r.change(ctx, step, "create policy "+name, want, func(ctx context.Context) error {
			_, err := r.s.IoT.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: &name, PolicyDocument: &want})
			return err
		})
	case err != nil:
		return "", failed(step, "look at policy "+name, err)
	case same(aws.ToString(out.PolicyDocument), want):
		r.fine(step, "policy "+name)
		return arn, nil
	}
	return arn, r.change(ctx, step, "change policy "+name, want, func(ctx context.Context) error {
		in := &iot.CreatePolicyVersionInput{PolicyName: &name, PolicyDocument: &want, SetAsDefault: true}
		_, err := r.s.IoT.CreatePolicyVersion(ctx, in)
		if !is(err, "VersionsLimitExceededException") {
			return err
		}
		if err := r.dropOldest(ctx, name); err != nil {
			return err
		}
		_, err = r.s.IoT.CreatePolicyVersion(ctx, in)
		return err
	})
}

// dropOldest makes room for one more of the five versions a policy may have.
func (r *run) dropOldest(ctx context.Context, name string) error {
	out, err := r.s.IoT.ListPolicyVersions(ctx, &iot.ListPolicyVersionsInput{PolicyName: &name})
	if err != nil {
		return err
	}
	oldest := ""
	for _, v := range out.PolicyVersions {
		id := aws.ToString(v.VersionId)
		if !v.IsDefaultVersion && (oldest == "" || number(id) < number(oldest)) {
			oldest = id
		}
	}
	if oldest == "" {
		return nil
	}
	_, err = r.s.IoT.DeletePolicyVersion(ctx, &iot.DeletePolicyVersionInput{PolicyName: &name, PolicyVersionId: &oldest})
	return err
}

func number(version string) int {
	n, _ := strconv.Atoi(version)
	return n
}

// equip attaches the policy to every certificate that the thing has.
func (r *run) equip(ctx context.Context, step, thing, policy string) error {
	found := 0
	pages := iot.NewListThingPrincipalsPaginator(r.s.IoT, &iot.ListThingPrincipalsInput{ThingName: &thing})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if missing(err) {
			break
		}
		if err != nil {
			return failed(step, "list the certificates of thing "+thing, err)
		}
		for _, principal := range page.Principals {
			if !strings.HasPrefix(strait.ARN(principal).Resource(), "cert/") {
				continue
			}
			found++
			if err := r.attachPolicy(ctx, step, "the certificate of thing "+thing, policy, principal); err != nil {
				return err
			}
		}
	}
	if found == 0 {
		r.log(step, "thing "+thing+" has no certificate yet: strait thing create "+thing+" --out DIR")
	}
	return nil
}

// attachPolicy attaches an IoT policy to a certificate, called what.
func (r *run) attachPolicy(ctx context.Context, step, what, policy, certificate string) error {
	pages := iot.NewListAttachedPoliciesPaginator(r.s.IoT, &iot.ListAttachedPoliciesInput{Target: &certificate})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return failed(step, "list the policies of "+what, err)
		}
		for _, p := range page.Policies {
			if aws.ToString(p.PolicyName) == policy {
				r.fine(step, "policy "+policy+" on "+what)
				return nil
			}
		}
	}
	return r.change(ctx, step, "attach policy "+policy+" to "+what, "", func(ctx context.Context) error {
		_, err := r.s.IoT.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: &policy, Target: &certificate})
		return err
	})
}
