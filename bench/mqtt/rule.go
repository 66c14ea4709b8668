package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

// viaRule measures messages that come only by way of a topic rule: its SQL, its
// role, the republished message.
func viaRule(qos byte) func(context.Context, *world, *server, int, time.Duration) (result, error) {
	var once sync.Once
	var failed error
	f := &flow{pubs: 50, fan: 1, qos: qos, rate: 20, in: "rule" + string('0'+rune(qos)), via: "via" + string('0'+rune(qos))}
	return func(ctx context.Context, w *world, s *server, size int, d time.Duration) (result, error) {
		once.Do(func() { failed = makeRule(ctx, s, f) })
		if failed != nil {
			return result{}, failed
		}
		return f.run(ctx, w, s, size, d)
	}
}

func makeRule(ctx context.Context, s *server, f *flow) error {
	session, err := s.house.Session(ctx)
	if err != nil {
		return err
	}
	const name = "bench-rule"
	_, err = session.IAM.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String(name), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"iot.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	if exists := (interface{ ErrorCode() string })(nil); err != nil && !(errors.As(err, &exists) && exists.ErrorCode() == "EntityAlreadyExists") {
		return err
	}
	if _, err = session.IAM.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String(name), PolicyName: aws.String("publish"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":"*"}]}`)}); err != nil {
		return err
	}
	role, err := session.IAM.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(name)})
	if err != nil {
		return err
	}
	_, err = session.IoT.CreateTopicRule(ctx, &iot.CreateTopicRuleInput{RuleName: aws.String("bench_" + f.in), TopicRulePayload: &types.TopicRulePayload{
		Sql: aws.String("SELECT * FROM 'b/+/" + f.in + "'"), AwsIotSqlVersion: aws.String("2016-03-23"),
		Actions: []types.Action{{Republish: &types.RepublishAction{RoleArn: role.Role.Arn, Topic: aws.String("b/" + f.via + "/${topic(2)}"), Qos: aws.Int32(int32(f.qos))}}},
	}})
	return err
}
