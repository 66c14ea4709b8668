package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	iottypes "github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"strait/bench/house"
	"strait/setup"
	"strait/vend"
)

func setUp(ctx context.Context, s *setup.Session, h *house.House, bootstrap string, native bool) (c tls.Certificate, err error) {
	a, r := h.Account, h.Region
	step := func(what string, e error) {
		if e != nil && err == nil {
			err = fmt.Errorf("%s: %w", what, e)
		}
	}
	_, e := s.S3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("bucket"), CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(r)}})
	step("bucket", e)
	role := func(name, trust, policy string) {
		_, e := s.IAM.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
		step(name, e)
		_, e = s.IAM.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("p"), PolicyDocument: &policy})
		step(name, e)
	}
	role("create-token", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:`+r+`:`+a+`:topic/*/token/res"},{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::`+a+`:role/s3-role"}]}`)
	role("s3-role", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+a+`:role/create-token"},"Action":"sts:AssumeRole"}}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject","s3:AbortMultipartUpload"],"Resource":"arn:aws:s3:::bucket/*"}]}`)
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	bin, e := os.ReadFile(bootstrap)
	step("bootstrap", e)
	hd := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	hd.SetMode(0o755)
	f, _ := z.CreateHeader(hd)
	f.Write(bin)
	if native {
		f, _ = z.Create("strait-native")
		f.Write([]byte("vend " + vend.Version))
	}
	z.Close()
	fn, e := s.Lambda.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: aws.String("create-token"), Role: aws.String("arn:aws:iam::" + a + ":role/create-token"),
		Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Timeout: aws.Int32(10), Code: &lambdatypes.FunctionCode{ZipFile: buf.Bytes()},
		Environment: &lambdatypes.Environment{Variables: map[string]string{vend.EnvRole: "arn:aws:iam::" + a + ":role/s3-role", vend.EnvBucket: "bucket"}}})
	step("function", e)
	if err != nil {
		return c, err
	}
	_, e = s.Lambda.AddPermission(ctx, &lambda.AddPermissionInput{FunctionName: aws.String("create-token"), StatementId: aws.String("rule"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("iot.amazonaws.com"), SourceArn: aws.String("arn:aws:iot:" + r + ":" + a + ":rule/create_token"), SourceAccount: &a})
	step("permission", e)
	_, e = s.IoT.CreateTopicRule(ctx, &iot.CreateTopicRuleInput{RuleName: aws.String("create_token"), TopicRulePayload: &iottypes.TopicRulePayload{
		Sql: aws.String("SELECT topic(1) AS name, clientToken, purpose, duration FROM '+/token/req'"), AwsIotSqlVersion: aws.String("2016-03-23"),
		Actions: []iottypes.Action{{Lambda: &iottypes.LambdaAction{FunctionArn: fn.FunctionArn}}}}})
	step("rule", e)
	if err != nil {
		return c, err
	}
	arn := "arn:aws:iot:" + r + ":" + a + ":"
	c, e = certify(ctx, s, "device", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"`+arn+`client/device00"},{"Effect":"Allow","Action":"iot:Publish","Resource":"`+arn+`topic/device00/token/req"},{"Effect":"Allow","Action":"iot:Subscribe","Resource":"`+arn+`topicfilter/device00/token/res"},{"Effect":"Allow","Action":"iot:Receive","Resource":"`+arn+`topic/device00/token/res"}]}`)
	step("certificate", e)
	return c, err
}
