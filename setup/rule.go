package setup

import (
	"context"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"strait"
)

// tokenSQL takes the name from the topic, never from the payload. What a
// payload does not have is Undefined and left out.
const (
	tokenSQL        = "SELECT topic(1) AS name, clientToken, purpose, duration FROM '+/token/req'"
	tokenSQLVersion = "2016-03-23"
)

// rule makes the rule that calls the function for every token request.
func (r *run) rule(ctx context.Context, step, name string, function strait.ARN) error {
	want := types.TopicRulePayload{
		Sql: aws.String(tokenSQL), AwsIotSqlVersion: aws.String(tokenSQLVersion), RuleDisabled: aws.Bool(false),
		Description: aws.String("Asks for a device's upload credentials (strait setup upload)"),
		Actions:     []types.Action{{Lambda: &types.LambdaAction{FunctionArn: aws.String(string(function))}}},
	}
	have, err := r.lookAtRule(ctx, name)
	switch {
	case err != nil:
		return failed(step, "look at rule "+name, err)
	case have == nil:
		return r.change(ctx, step, "create rule "+name+": "+tokenSQL, "", func(ctx context.Context) error {
			_, err := r.s.IoT.CreateTopicRule(ctx, &iot.CreateTopicRuleInput{RuleName: &name, TopicRulePayload: &want})
			return err
		})
	case aws.ToString(have.Sql) == tokenSQL && aws.ToString(have.AwsIotSqlVersion) == tokenSQLVersion && !aws.ToBool(have.RuleDisabled) &&
		reflect.DeepEqual(have.Actions, want.Actions):
		r.fine(step, "rule "+name)
		return nil
	}
	want.ErrorAction = have.ErrorAction // not ours to drop
	return r.change(ctx, step, "replace rule "+name+": "+tokenSQL, "", func(ctx context.Context) error {
		_, err := r.s.IoT.ReplaceTopicRule(ctx, &iot.ReplaceTopicRuleInput{RuleName: &name, TopicRulePayload: &want})
		return err
	})
}

// lookAtRule returns nil for a rule that does not exist. GetTopicRule refuses
// that in the words of a denial, so that the list has to tell.
func (r *run) lookAtRule(ctx context.Context, name string) (*types.TopicRule, error) {
	out, refused := r.s.IoT.GetTopicRule(ctx, &iot.GetTopicRuleInput{RuleName: &name})
	switch {
	case refused == nil:
		return out.Rule, nil
	case !is(refused, "UnauthorizedException") && !missing(refused):
		return nil, refused
	}
	pages := iot.NewListTopicRulesPaginator(r.s.IoT, &iot.ListTopicRulesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, rule := range page.Rules {
			if aws.ToString(rule.RuleName) == name {
				return nil, refused
			}
		}
	}
	return nil, nil
}
