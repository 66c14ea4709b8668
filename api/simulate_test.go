package api_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

func TestSimulatePrincipalPolicy(t *testing.T) {
	h, ctx := startIAM(t), context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	made, err := h.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("alice")})
	must(err)
	_, err = h.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("alice"), PolicyName: aws.String("p"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:PrincipalTag/team}/*"},
		{"Effect":"Allow","Action":["s3:GetObject","sts:AssumeRole"],"Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}},
		{"Effect":"Deny","Action":"s3:DeleteObject","Resource":"*"}]}`)})
	must(err)
	ask := func(more func(*iam.SimulatePrincipalPolicyInput), actions ...string) []iamtypes.EvaluationResult {
		t.Helper()
		in := &iam.SimulatePrincipalPolicyInput{PolicySourceArn: made.User.Arn, ActionNames: actions, ResourceArns: []string{"arn:aws:s3:::b/red/x"}}
		if more != nil {
			more(in)
		}
		out, err := h.SimulatePrincipalPolicy(ctx, in)
		must(err)
		return out.EvaluationResults
	}

	// 1. Nothing known but the policy: what it misses is named.
	got := ask(nil, "s3:PutObject", "s3:DeleteObject")
	if got[0].EvalDecision != "implicitDeny" || got[1].EvalDecision != "explicitDeny" {
		t.Errorf("decisions %v, %v; want implicitDeny, explicitDeny", got[0].EvalDecision, got[1].EvalDecision)
	}
	if want := []string{"aws:PrincipalTag/team", "aws:SecureTransport"}; !reflect.DeepEqual(got[0].MissingContextValues, want) {
		t.Errorf("missing %v, want %v", got[0].MissingContextValues, want)
	}
	m := got[1].MatchedStatements
	if len(m) != 1 || m[0].StartPosition.Line != 4 || m[0].StartPosition.Column != 3 || m[0].EndPosition.Line != 4 {
		t.Errorf("the statement that denies: %+v", m)
	}
	// 2. With the keys it asks for.
	secure := func(in *iam.SimulatePrincipalPolicyInput) {
		in.ContextEntries = []iamtypes.ContextEntry{
			{ContextKeyName: aws.String("aws:SecureTransport"), ContextKeyType: "boolean", ContextKeyValues: []string{"true"}},
			{ContextKeyName: aws.String("aws:PrincipalTag/team"), ContextKeyType: "string", ContextKeyValues: []string{"red"}}}
	}
	if got := ask(secure, "s3:PutObject", "sts:AssumeRole"); got[0].EvalDecision != "allowed" || got[1].EvalDecision != "allowed" {
		t.Errorf("with context: %v, %v; want allowed", got[0].EvalDecision, got[1].EvalDecision)
	}
	// 3. A boundary that does not allow it.
	got = ask(func(in *iam.SimulatePrincipalPolicyInput) {
		secure(in)
		in.PermissionsBoundaryPolicyInputList = []string{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}`}
	}, "s3:PutObject", "s3:GetObject")
	if got[0].EvalDecision != "implicitDeny" || got[0].PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary ||
		got[1].EvalDecision != "allowed" || !got[1].PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary {
		t.Errorf("with a boundary: %+v", got)
	}
	// 4. Policies of nobody.
	custom, err := h.SimulateCustomPolicy(ctx, &iam.SimulateCustomPolicyInput{ActionNames: []string{"iot:Publish"}, ResourceArns: []string{"arn:aws:iot:r:1:topic/a"},
		PolicyInputList: []string{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/a"}}`}})
	must(err)
	if r := custom.EvaluationResults; len(r) != 1 || r[0].EvalDecision != "allowed" || *r[0].MatchedStatements[0].SourcePolicyId != "PolicyInputList.1" {
		t.Errorf("a custom policy: %+v", r)
	}
	keys, err := h.GetContextKeysForPrincipalPolicy(ctx, &iam.GetContextKeysForPrincipalPolicyInput{PolicySourceArn: made.User.Arn})
	must(err)
	if len(keys.ContextKeyNames) != 2 {
		t.Errorf("context keys %v, want two", keys.ContextKeyNames)
	}
}

func TestTestAuthorization(t *testing.T) {
	h, ctx := startIAM(t), context.Background()
	cfg := h.Client.Options()
	c := iot.New(iot.Options{Region: "ap-northeast-1", BaseEndpoint: &h.url, HTTPClient: h.ca, Credentials: cfg.Credentials})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := c.CreateKeysAndCertificate(ctx, &iot.CreateKeysAndCertificateInput{SetAsActive: true})
	must(err)
	for name, doc := range map[string]string{
		"own":   `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"arn:aws:iot:*:*:*/${iot:ClientId}"}}`,
		"thing": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/${iot:Connection.Thing.ThingName}/x"}}`,
		"deny":  `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iot:Receive","Resource":"*"}}`,
	} {
		_, err := c.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: &name, PolicyDocument: &doc})
		must(err)
	}
	for _, name := range []string{"own", "thing"} {
		_, err = c.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: &name, Target: key.CertificateArn})
		must(err)
	}
	arn := func(s string) []string { return []string{"arn:aws:iot:ap-northeast-1:123456789012:" + s} }
	out, err := c.TestAuthorization(ctx, &iot.TestAuthorizationInput{
		Principal: key.CertificateArn, ClientId: aws.String("device00"), PolicyNamesToAdd: []string{"deny"},
		AuthInfos: []types.AuthInfo{
			{ActionType: types.ActionTypeConnect, Resources: arn("client/device00")},
			{ActionType: types.ActionTypePublish, Resources: arn("topic/device01")},
			{ActionType: types.ActionTypeReceive, Resources: arn("topic/device00")},
		}})
	must(err)
	for i, want := range []types.AuthDecision{types.AuthDecisionAllowed, types.AuthDecisionImplicitDeny, types.AuthDecisionExplicitDeny} {
		if got := out.AuthResults[i].AuthDecision; got != want {
			t.Errorf("decision %d is %s, want %s", i, got, want)
		}
	}
	r := out.AuthResults
	if p := r[0].Allowed.Policies; len(p) != 1 || *p[0].PolicyName != "own" {
		t.Errorf("allowed by %+v, want own", p)
	}
	if p := r[2].Denied.ExplicitDeny.Policies; len(p) != 1 || *p[0].PolicyName != "deny" {
		t.Errorf("denied by %+v, want deny", p)
	}
	if m := r[0].MissingContextValues; len(m) != 1 || m[0] != "iot:Connection.Thing.ThingName" {
		t.Errorf("missing %v, want the thing's name", m)
	}
}
