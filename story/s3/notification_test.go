package s3_test

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// TestNotificationRefused: a bucket is not pointed at what could not be told of
// it, and what is not offered is said. (Who is told is played by
// story/scripts/p1-arrived.txtar, and in object/notify.)
func TestNotificationRefused(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	b := h.bucket(c, "noted")
	set := func(n types.NotificationConfiguration, skip ...bool) error {
		_, err := c.PutBucketNotificationConfiguration(h.ctx, &s3.PutBucketNotificationConfigurationInput{Bucket: &b, NotificationConfiguration: &n, SkipDestinationValidation: aws.Bool(len(skip) > 0)})
		return err
	}
	fn := h.function("hears")
	to := func(fn string, events ...types.Event) types.LambdaFunctionConfiguration {
		return types.LambdaFunctionConfiguration{LambdaFunctionArn: &fn, Events: events}
	}
	one := func(l types.LambdaFunctionConfiguration) types.NotificationConfiguration {
		return types.NotificationConfiguration{LambdaFunctionConfigurations: []types.LambdaFunctionConfiguration{l}}
	}
	created := one(to(fn, "s3:ObjectCreated:*"))
	refused(t, "a function without permissions", set(created), "InvalidArgument", 400)
	h.permit("hears", "arn:aws:s3:::elsewhere", h.ready.Account)
	refused(t, "permission for another bucket", set(created), "InvalidArgument", 400)
	h.permit("hears", "arn:aws:s3:::noted", "999999999999")
	refused(t, "permission for another account", set(created), "InvalidArgument", 400)
	h.permit("hears", "arn:aws:s3:::noted", h.ready.Account)
	h.must(set(created))
	for what, n := range map[string]types.NotificationConfiguration{
		"no function":  one(to(strings.Replace(fn, "hears", "nobody", 1), "s3:ObjectCreated:*")),
		"no ARN":       one(to("hears nothing", "s3:ObjectCreated:*")),
		"twice":        {LambdaFunctionConfigurations: []types.LambdaFunctionConfiguration{to(fn, "s3:ObjectCreated:*"), to(fn, "s3:ObjectCreated:Put")}},
		"no such rule": one(types.LambdaFunctionConfiguration{LambdaFunctionArn: &fn, Events: []types.Event{"s3:ObjectCreated:*"}, Filter: &types.NotificationConfigurationFilter{Key: &types.S3KeyFilter{FilterRules: []types.FilterRule{{Name: "infix", Value: ptr("x")}}}}}),
		"an odd event": one(to(fn, "ObjectCreated")),
	} {
		refused(t, what, set(n), "InvalidArgument", 400)
	}
	for what, n := range map[string]types.NotificationConfiguration{
		"a queue":       {QueueConfigurations: []types.QueueConfiguration{{QueueArn: ptr("arn:aws:sqs:ap-northeast-1:123456789012:q"), Events: []types.Event{"s3:ObjectCreated:*"}}}},
		"a topic":       {TopicConfigurations: []types.TopicConfiguration{{TopicArn: ptr("arn:aws:sns:ap-northeast-1:123456789012:t"), Events: []types.Event{"s3:ObjectCreated:*"}}}},
		"the event bus": {EventBridgeConfiguration: &types.EventBridgeConfiguration{}},
		"an event":      one(to(fn, "s3:ObjectRestore:*")),
	} {
		refused(t, what, set(n), "NotImplemented", 501)
	}
	// What was set first has stayed; an empty configuration takes it back.
	out, err := c.GetBucketNotificationConfiguration(h.ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: &b})
	h.must(err)
	if l := out.LambdaFunctionConfigurations; len(l) != 1 || *l[0].LambdaFunctionArn != fn || *l[0].Id == "" || l[0].Events[0] != "s3:ObjectCreated:*" {
		t.Errorf("kept: %+v", l)
	}
	h.must(set(types.NotificationConfiguration{}))
	if out, err = c.GetBucketNotificationConfiguration(h.ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: &b}); err != nil || len(out.LambdaFunctionConfigurations) > 0 {
		t.Errorf("taken back: %+v %v", out, err)
	}
	h.must(set(one(to(strings.Replace(fn, "hears", "later", 1), "s3:ObjectCreated:*")), true))
}

// function makes a function that nobody runs here and returns its ARN.
func (h *house) function(name string) string {
	h.t.Helper()
	cfg, err := config.LoadDefaultConfig(h.ctx)
	h.must(err)
	cfg.BaseEndpoint = &h.http
	role, err := iam.NewFromConfig(cfg).CreateRole(h.ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: ptr(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
		"Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}`)})
	h.must(err)
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	w, err := z.Create("main.py")
	h.must(err)
	_, err = w.Write([]byte("def run(event, context): pass\n"))
	h.must(err)
	h.must(z.Close())
	f, err := lambda.NewFromConfig(cfg).CreateFunction(h.ctx, &lambda.CreateFunctionInput{FunctionName: &name, Role: role.Role.Arn, Runtime: lambdatypes.RuntimePython311, Handler: ptr("main.run"),
		Code: &lambdatypes.FunctionCode{ZipFile: code.Bytes()}})
	h.must(err)
	return *f.FunctionArn
}

// permit lets S3 invoke a function for a source.
func (h *house) permit(name, source, account string) {
	h.t.Helper()
	cfg, err := config.LoadDefaultConfig(h.ctx)
	h.must(err)
	cfg.BaseEndpoint = &h.http
	_, err = lambda.NewFromConfig(cfg).AddPermission(h.ctx, &lambda.AddPermissionInput{FunctionName: &name, StatementId: ptr(strings.NewReplacer(":", "_").Replace(source + account)),
		Action: ptr("lambda:InvokeFunction"), Principal: ptr("s3.amazonaws.com"), SourceArn: &source, SourceAccount: &account})
	h.must(err)
}
