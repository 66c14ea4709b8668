package api

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"strait"
	"strait/identity"
	"strait/schedule"
)

// Events returns the table of EventBridge rules, as far as they are schedules
// (lambda-runtime.md, section 8; botocore events/2015-10-07). There is one bus,
// and nothing comes over it, so that event patterns are refused.
func Events(d *identity.Directory, e *schedule.Engine) Service {
	k := eventsDesk{d, e}
	return Service{
		Name: "events", Scopes: []string{"events"}, Protocol: "json-1.1", Target: "AWSEvents",
		Operations: []Operation{
			op("PutRule", "", k.mayPutRule, k.putRule),
			op("DescribeRule", "", onRule[ruleNameInput]("events:DescribeRule"), k.describeRule),
			op("DeleteRule", "", onRule[ruleNameInput]("events:DeleteRule"), k.deleteRule),
			op("EnableRule", "", onRule[ruleNameInput]("events:EnableRule"), k.enable(true)),
			op("DisableRule", "", onRule[ruleNameInput]("events:DisableRule"), k.enable(false)),
			op("ListRules", "", on[listEventRulesInput]("events:ListRules", "*"), k.listRules),
			op("ListRuleNamesByTarget", "", on[ruleNamesInput]("events:ListRuleNamesByTarget", "*"), k.ruleNames),
			op("PutTargets", "", onRule[putTargetsInput]("events:PutTargets"), k.putTargets),
			op("RemoveTargets", "", onRule[removeTargetsInput]("events:RemoveTargets"), k.removeTargets),
			op("ListTargetsByRule", "", onRule[listTargetsInput]("events:ListTargetsByRule"), k.listTargets),
			op("ListTagsForResource", "", onARN[ruleTagsInput]("events:ListTagsForResource"), k.listTags),
			op("TagResource", "", k.mayTag, k.tag),
			op("UntagResource", "", onARN[ruleTagsInput]("events:UntagResource"), k.untag),
		},
	}
}

type eventsDesk struct {
	directory *identity.Directory
	engine    *schedule.Engine
}

func ruleARN(p strait.Place, name string) strait.ARN {
	return strait.ARN("arn:aws:events:" + p.Region + ":" + p.Account + ":rule/" + name)
}

func ruleKey(name string) schedule.Key {
	return schedule.Key{Family: RuleFamily, Group: "default", Name: name}
}

// aRule is an input that names a rule and maybe a bus.
type aRule interface{ rule() (name, bus string) }

func onRule[In any, P interface {
	*In
	aRule
}](action strait.Action) func(context.Context, View, *Caller, *In) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *In) ([]Ask, error) {
		name, bus := P(in).rule()
		if err := onlyBus(v.Place(), bus); err != nil {
			return nil, err
		}
		return ask(action, ruleARN(v.Place(), name)), nil
	}
}

func onlyBus(p strait.Place, bus string) error {
	if bus == "" || bus == "default" || bus == "arn:aws:events:"+p.Region+":"+p.Account+":event-bus/default" {
		return nil
	}
	return strait.Errorf(strait.NotFound, "bus", "Event bus %s does not exist.", bus)
}

func noEventRule(name string, err error) error {
	if strait.KindOf(err) == strait.NotFound {
		return strait.Errorf(strait.NotFound, "rule", "Rule %s does not exist on EventBus default.", name)
	}
	return err
}

type putEventRuleInput struct {
	Name, EventBusName, ScheduleExpression, EventPattern, State, Description string
	RoleArn                                                                  strait.ARN
	Tags                                                                     []tag
}

func (k eventsDesk) mayPutRule(_ context.Context, v View, _ *Caller, in *putEventRuleInput) ([]Ask, error) {
	if err := onlyBus(v.Place(), in.EventBusName); err != nil {
		return nil, err
	}
	asks := taggedAsk("events:PutRule", ruleARN(v.Place(), in.Name), in.Tags)
	if in.RoleArn != "" {
		asks = append(asks, passRole(in.RoleArn, "events.amazonaws.com"))
	}
	return asks, nil
}

type putEventRuleOutput struct{ RuleArn strait.ARN }

func (k eventsDesk) putRule(ctx context.Context, _ Call, in *putEventRuleInput) (*putEventRuleOutput, error) {
	switch {
	case in.EventPattern != "":
		return nil, scheduleError("Event patterns are not offered here: no events come over the bus. Use ScheduleExpression, or an IoT topic rule for messages.")
	case in.ScheduleExpression == "":
		return nil, scheduleError("Parameter(s) EventPattern or ScheduleExpression must be specified.")
	case in.RoleArn != "":
		return nil, scheduleError("A role of a rule is not offered here: functions are called by their own resource policy.")
	case !oneOf(in.State, "", "ENABLED", "DISABLED"):
		return nil, scheduleError("State is ENABLED or DISABLED.")
	}
	// at() is Scheduler's alone, and a rate's unit must agree with its number.
	if e, err := schedule.Parse(in.ScheduleExpression); err != nil || e.Once() || !e.Agrees() {
		why := "a rule takes cron(...), or rate(...) with the singular for 1 and the plural otherwise"
		if err != nil {
			why = plainly(err)
		}
		return nil, scheduleError("Parameter ScheduleExpression is not valid. (%s)", why)
	}
	tags, err := tagged(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	fill := func(s *schedule.Schedule) error {
		s.Expression, s.Description, s.Disabled, s.FirstAfter = in.ScheduleExpression, in.Description, in.State == "DISABLED", true
		return nil
	}
	err = k.engine.Change(ctx, ruleKey(in.Name), fill) // tags are those of its first PutRule
	if strait.KindOf(err) == strait.NotFound {
		s := schedule.Schedule{Key: ruleKey(in.Name), Tags: tags}
		_ = fill(&s)
		err = k.engine.Create(ctx, s)
	}
	if err != nil {
		return nil, err
	}
	return &putEventRuleOutput{ruleARN(k.directory.Place(), in.Name)}, nil
}

type ruleNameInput struct {
	Name, EventBusName string
	Force              bool
}

func (in *ruleNameInput) rule() (string, string) { return in.Name, in.EventBusName }

type eventRule struct {
	Name               string
	Arn                strait.ARN
	ScheduleExpression string
	State              string
	Description        string `json:",omitempty"`
	EventBusName       string
}

func (k eventsDesk) show(s *schedule.Schedule) *eventRule {
	return &eventRule{s.Name, ruleARN(k.directory.Place(), s.Name), s.Expression, stateOf(s), s.Description, "default"}
}

func (k eventsDesk) describeRule(_ context.Context, _ Call, in *ruleNameInput) (*eventRule, error) {
	s, err := k.engine.Get(ruleKey(in.Name))
	if err != nil {
		return nil, noEventRule(in.Name, err)
	}
	return k.show(&s), nil
}

// errHasTargets is told when a rule that has targets is to be deleted.
var errHasTargets = errors.New("the rule has targets")

func (k eventsDesk) deleteRule(ctx context.Context, _ Call, in *ruleNameInput) (*Nothing, error) {
	s, err := k.engine.Get(ruleKey(in.Name))
	if err == nil && len(s.Targets) > 0 {
		return nil, &strait.Error{Kind: strait.Invalid, Thing: "rule", Message: "Rule can't be deleted since it has targets.", Err: errHasTargets}
	}
	if err == nil {
		err = k.engine.Delete(ctx, ruleKey(in.Name), "")
	}
	if strait.KindOf(err) == strait.NotFound {
		err = nil // as with AWS, there is nothing to complain of
	}
	return nil, err
}

func (k eventsDesk) enable(on bool) func(context.Context, Call, *ruleNameInput) (*Nothing, error) {
	return func(ctx context.Context, _ Call, in *ruleNameInput) (*Nothing, error) {
		return nil, noEventRule(in.Name, k.engine.Change(ctx, ruleKey(in.Name), func(s *schedule.Schedule) error { s.Disabled = !on; return nil }))
	}
}

type listEventRulesInput struct {
	NamePrefix, EventBusName, NextToken string
	Limit                               *int
}

type listEventRulesOutput struct {
	NextToken string `json:",omitempty"`
	Rules     []*eventRule
}

func (k eventsDesk) listRules(_ context.Context, _ Call, in *listEventRulesInput) (*listEventRulesOutput, error) {
	if err := onlyBus(k.directory.Place(), in.EventBusName); err != nil {
		return nil, err
	}
	var chosen []schedule.Schedule
	for _, s := range k.engine.List(RuleFamily, "") {
		if strings.HasPrefix(s.Name, in.NamePrefix) {
			chosen = append(chosen, s)
		}
	}
	chosen, next, err := pageOf(chosen, func(s schedule.Schedule) string { return s.Name }, in.NextToken, in.Limit)
	out := &listEventRulesOutput{NextToken: next, Rules: []*eventRule{}}
	for i := range chosen {
		out.Rules = append(out.Rules, k.show(&chosen[i]))
	}
	return out, err
}

type ruleNamesInput struct {
	TargetArn               strait.ARN
	EventBusName, NextToken string
	Limit                   *int
}

type ruleNamesOutput struct {
	NextToken string `json:",omitempty"`
	RuleNames []string
}

func (k eventsDesk) ruleNames(_ context.Context, _ Call, in *ruleNamesInput) (*ruleNamesOutput, error) {
	names := []string{}
	for _, s := range k.engine.List(RuleFamily, "") {
		for _, t := range s.Targets {
			if t.ARN == in.TargetArn {
				names = append(names, s.Name)
				break
			}
		}
	}
	names, next, err := pageOf(names, func(s string) string { return s }, in.NextToken, in.Limit)
	return &ruleNamesOutput{next, names}, err
}

type ruleTarget struct {
	Id          string
	Arn         strait.ARN
	Input       string       `json:",omitempty"`
	RetryPolicy *retryPolicy `json:",omitempty"`
	RoleArn     strait.ARN   `json:",omitempty"`
	// What is not offered; kept so that it can be refused.
	InputPath        string          `json:",omitempty"`
	InputTransformer json.RawMessage `json:",omitempty"`
	DeadLetterConfig json.RawMessage `json:",omitempty"`
}

type putTargetsInput struct {
	Rule, EventBusName string
	Targets            []ruleTarget
}

func (in *putTargetsInput) rule() (string, string) { return in.Rule, in.EventBusName }

type failedEntry struct{ TargetId, ErrorCode, ErrorMessage string }

type changedTargetsOutput struct {
	FailedEntryCount int
	FailedEntries    []failedEntry
}

func (k eventsDesk) target(t *ruleTarget) (schedule.Target, error) {
	retry, err := t.RetryPolicy.retry()
	switch {
	case err != nil:
	case t.Id == "" || len(t.Id) > 64:
		err = scheduleError("A target has an Id of 1 to 64 characters.")
	case !isFunction(k.directory.Place(), t.Arn):
		err = scheduleError("Parameter %s is not valid. Reason: a target here is a Lambda function of this account and region.", t.Arn)
	case t.InputPath != "" || t.InputTransformer != nil || t.DeadLetterConfig != nil || t.RoleArn != "":
		err = scheduleError("InputPath, InputTransformer, DeadLetterConfig and RoleArn of a target are not offered here.")
	case len(t.Input) > 8192 || t.Input != "" && !json.Valid([]byte(t.Input)):
		err = scheduleError("The Input of a target is JSON of at most 8192 bytes.")
	}
	return schedule.Target{ID: t.Id, ARN: t.Arn, Input: t.Input, Retry: retry}, err
}

// putTargets adds targets, or replaces those of the same Id.
func (k eventsDesk) putTargets(ctx context.Context, _ Call, in *putTargetsInput) (*changedTargetsOutput, error) {
	err := k.engine.Change(ctx, ruleKey(in.Rule), func(s *schedule.Schedule) error {
		for i := range in.Targets {
			t, err := k.target(&in.Targets[i])
			if err != nil {
				return err
			}
			s.Targets = append(withoutTarget(s.Targets, t.ID), t)
		}
		return nil
	})
	return &changedTargetsOutput{FailedEntries: []failedEntry{}}, noEventRule(in.Rule, err)
}

func withoutTarget(targets []schedule.Target, id string) []schedule.Target {
	var out []schedule.Target
	for _, t := range targets {
		if t.ID != id {
			out = append(out, t)
		}
	}
	return out
}

type removeTargetsInput struct {
	Rule, EventBusName string
	Ids                []string
	Force              bool
}

func (in *removeTargetsInput) rule() (string, string) { return in.Rule, in.EventBusName }

func (k eventsDesk) removeTargets(ctx context.Context, _ Call, in *removeTargetsInput) (*changedTargetsOutput, error) {
	err := k.engine.Change(ctx, ruleKey(in.Rule), func(s *schedule.Schedule) error {
		for _, id := range in.Ids {
			s.Targets = withoutTarget(s.Targets, id)
		}
		return nil
	})
	return &changedTargetsOutput{FailedEntries: []failedEntry{}}, noEventRule(in.Rule, err)
}

type listTargetsInput struct {
	Rule, EventBusName, NextToken string
	Limit                         *int
}

func (in *listTargetsInput) rule() (string, string) { return in.Rule, in.EventBusName }

type listTargetsOutput struct {
	NextToken string `json:",omitempty"`
	Targets   []ruleTarget
}

func (k eventsDesk) listTargets(_ context.Context, _ Call, in *listTargetsInput) (*listTargetsOutput, error) {
	s, err := k.engine.Get(ruleKey(in.Rule))
	if err != nil {
		return nil, noEventRule(in.Rule, err)
	}
	out := &listTargetsOutput{Targets: []ruleTarget{}} // five at most: one page
	for _, t := range s.Targets {
		shown := ruleTarget{Id: t.ID, Arn: t.ARN, Input: t.Input}
		if t.Retry != (schedule.Retry{Attempts: defaultAttempts, Age: defaultAge}) {
			shown.RetryPolicy = retryOf(t.Retry)
		}
		out.Targets = append(out.Targets, shown)
	}
	return out, nil
}

type ruleTagsInput struct {
	ResourceARN strait.ARN
	Tags        []tag
	TagKeys     []string
}

func (in *ruleTagsInput) target() strait.ARN { return in.ResourceARN }

func (k eventsDesk) mayTag(_ context.Context, _ View, _ *Caller, in *ruleTagsInput) ([]Ask, error) {
	return taggedAsk("events:TagResource", in.ResourceARN, in.Tags), nil
}

// name is the rule that an ARN names.
func (k eventsDesk) name(arn strait.ARN) string {
	return strings.TrimPrefix(string(arn), string(ruleARN(k.directory.Place(), "")))
}

func (k eventsDesk) listTags(_ context.Context, _ Call, in *ruleTagsInput) (*scheduleTagsOutput, error) {
	s, err := k.engine.Get(ruleKey(k.name(in.ResourceARN)))
	if err != nil {
		return nil, noEventRule(k.name(in.ResourceARN), err)
	}
	return &scheduleTagsOutput{append([]tag{}, tagList(s.Tags)...)}, nil
}

func (k eventsDesk) retag(ctx context.Context, arn strait.ARN, alter func(map[string]string) (map[string]string, error)) error {
	name := k.name(arn)
	return noEventRule(name, k.engine.Change(ctx, ruleKey(name), func(s *schedule.Schedule) (err error) {
		s.Tags, err = alter(s.Tags)
		return err
	}))
}

func (k eventsDesk) tag(ctx context.Context, _ Call, in *ruleTagsInput) (*Nothing, error) {
	return nil, k.retag(ctx, in.ResourceARN, func(old map[string]string) (map[string]string, error) { return tagged(old, in.Tags) })
}

func (k eventsDesk) untag(ctx context.Context, _ Call, in *ruleTagsInput) (*Nothing, error) {
	return nil, k.retag(ctx, in.ResourceARN, func(old map[string]string) (map[string]string, error) {
		for _, key := range in.TagKeys {
			delete(old, key)
		}
		return old, nil
	})
}
