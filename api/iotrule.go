package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"sort"
	"strings"

	"strait"
	"strait/identity"
	"strait/rule"
)

func (k iotDesk) topicRules() []Operation {
	const one = "/rules/{ruleName}"
	return []Operation{
		op("CreateTopicRule", "POST "+one, k.mayMakeRule("iot:CreateTopicRule"), k.createRule),
		op("ReplaceTopicRule", "PATCH "+one, k.mayMakeRule("iot:ReplaceTopicRule"), k.replaceRule),
		op("GetTopicRule", "GET "+one, onIoT[ruleInput]("iot:GetTopicRule"), k.getRule),
		op("ListTopicRules", "GET /rules", on[listRulesInput]("iot:ListTopicRules", "*"), k.listRules),
		op("EnableTopicRule", "POST "+one+"/enable", onIoT[ruleInput]("iot:EnableTopicRule"), k.enableRule),
		op("DisableTopicRule", "POST "+one+"/disable", onIoT[ruleInput]("iot:DisableTopicRule"), k.disableRule),
		op("DeleteTopicRule", "DELETE "+one, onIoT[ruleInput]("iot:DeleteTopicRule"), k.deleteRule),
	}
}

type ruleInput struct {
	Name string `aws:"path,ruleName"`
}

func (in *ruleInput) resource() string { return "rule/" + in.Name }

// putRuleInput keeps the payload as it came, so that members that are not
// known here are given back by GetTopicRule.
type putRuleInput struct {
	Name string `aws:"path,ruleName"`
	Tags string `aws:"header,X-Amz-Tagging"` // of CreateTopicRule: k=v&k2=v2
	Raw  []byte `aws:"payload"`
}

func (in *putRuleInput) resource() string { return "rule/" + in.Name }

type rulePayload struct {
	SQL         string       `json:"sql"`
	Description string       `json:"description"`
	Actions     []ruleAction `json:"actions"`
	Disabled    bool         `json:"ruleDisabled"`
	Version     string       `json:"awsIotSqlVersion"`
	ErrorAction ruleAction   `json:"errorAction"`
}

// payload reads the document; CLI and SDKs send the payload itself as body.
func (in *putRuleInput) payload() (rulePayload, error) {
	var p rulePayload
	if err := json.Unmarshal(in.Raw, &p); err != nil {
		return p, strait.Errorf(strait.Invalid, "request", "The topic rule payload cannot be read: it is not valid JSON, or a member has the wrong type.")
	}
	if p.SQL == "" {
		return p, strait.Errorf(strait.Invalid, "request", "1 validation error detected: Value null at 'topicRulePayload.sql' failed to satisfy constraint: Member must not be null")
	}
	return p, nil
}

// mayMakeRule: whoever makes a rule hands it the roles of its actions.
func (k iotDesk) mayMakeRule(action strait.Action) func(context.Context, View, *Caller, *putRuleInput) ([]Ask, error) {
	return func(_ context.Context, v View, c *Caller, in *putRuleInput) ([]Ask, error) {
		roles, err := in.roles()
		if err != nil {
			return nil, err
		}
		tags, err := headerTags(in.Tags)
		if err != nil {
			return nil, err
		}
		arn := v.Place().IoT(in.resource())
		asks := taggedAsk(action, arn, tags)
		for _, role := range roles {
			asks = append(asks, passRole(role, "iot.amazonaws.com"), takes(v, "iot.amazonaws.com", role, arn, c.Trace))
		}
		return asks, nil
	}
}

// roles returns what the rule's actions, the functions of its SQL and its
// templates take. What cannot be read has none, and is refused later.
func (in *putRuleInput) roles() ([]strait.ARN, error) {
	p, err := in.payload()
	if err != nil {
		return nil, err
	}
	var out []strait.ARN
	for _, a := range append(p.Actions, p.ErrorAction) {
		out = append(out, a.roles()...)
	}
	if r, err := in.rule(); err == nil {
		out = append(out, r.Roles()...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// checkRoles: IoT must be able to take every role of a rule, as AWS has it
// when the rule is made.
func (k iotDesk) checkRoles(c Call, in *putRuleInput, r rule.Rule) error {
	if err := k.rules.Judge(r); err != nil {
		return err
	}
	roles, err := in.roles()
	if err != nil {
		return err
	}
	for _, role := range roles {
		if err := taken(k.directory, c, role); err != nil {
			return strait.Errorf(strait.Invalid, "request", "iot.amazonaws.com is unable to perform: sts:AssumeRole on resource: %s (%s)", role, plainly(err))
		}
	}
	return nil
}

func (in *putRuleInput) rule() (rule.Rule, error) {
	p, err := in.payload()
	if err != nil {
		return rule.Rule{}, err
	}
	r := rule.Rule{Name: in.Name, SQL: p.SQL, Description: p.Description, SQLVersion: p.Version, Disabled: p.Disabled, Raw: in.Raw}
	for _, a := range p.Actions {
		act, err := a.action()
		if err != nil {
			return r, err
		}
		r.Actions = append(r.Actions, act)
	}
	if len(p.ErrorAction) > 0 {
		act, err := p.ErrorAction.action()
		if err != nil {
			return r, err
		}
		r.ErrorAction = &act
	}
	return r, nil
}

func (k iotDesk) createRule(ctx context.Context, c Call, in *putRuleInput) (*Nothing, error) {
	r, err := in.rule()
	if err != nil {
		return nil, err
	}
	tags, err := headerTags(in.Tags)
	if err != nil {
		return nil, err
	}
	if err := identity.CheckTags(tagsOf(tags)); err != nil {
		return nil, err
	}
	if err := k.checkRoles(c, in, r); err != nil {
		return nil, err
	}
	if err := k.rules.Create(ctx, r); err != nil {
		return nil, err
	}
	return nil, k.directory.TagIoT(ctx, k.directory.Place().IoT(in.resource()), tagsOf(tags))
}

// headerTags reads tags as a header brings them.
func headerTags(s string) ([]tag, error) {
	var out []tag
	for part := range strings.SplitSeq(s, "&") {
		key, value, _ := strings.Cut(part, "=")
		key, bad := url.QueryUnescape(key)
		value, worse := url.QueryUnescape(value)
		if bad != nil || worse != nil {
			return nil, strait.Errorf(strait.Invalid, "request", "The header x-amz-tagging cannot be read: want k=v&k2=v2.")
		}
		if part != "" {
			out = append(out, tag{key, value})
		}
	}
	return out, nil
}

func (k iotDesk) replaceRule(ctx context.Context, c Call, in *putRuleInput) (*Nothing, error) {
	r, err := in.rule()
	if err != nil {
		return nil, err
	}
	if err := k.checkRoles(c, in, r); err != nil {
		return nil, err
	}
	return nil, k.rules.Replace(ctx, r)
}

type getRuleOutput struct {
	ARN  strait.ARN      `json:"ruleArn"`
	Rule json.RawMessage `json:"rule"`
}

func (k iotDesk) getRule(_ context.Context, _ Call, in *ruleInput) (*getRuleOutput, error) {
	r, err := k.rules.Get(in.Name)
	if strait.KindOf(err) == strait.NotFound {
		// AWS does not tell a missing rule from a forbidden one.
		return nil, strait.Errorf(strait.NotFound, "rule", "Access to topic rule '%s' was denied", in.Name)
	}
	if err != nil {
		return nil, err
	}
	doc := map[string]any{}
	if len(r.Raw) > 0 {
		if err := json.Unmarshal(r.Raw, &doc); err != nil {
			return nil, err
		}
	}
	doc["ruleName"], doc["sql"], doc["ruleDisabled"], doc["createdAt"], doc["awsIotSqlVersion"] = r.Name, r.SQL, r.Disabled, Epoch(r.Created), r.SQLVersion
	if doc["actions"] == nil {
		doc["actions"] = []any{}
	}
	raw, err := json.Marshal(doc)
	return &getRuleOutput{k.directory.Place().IoT("rule/" + r.Name), raw}, err
}

type listRulesInput struct {
	Token    string `aws:"query,nextToken"`
	Limit    *int   `aws:"query,maxResults"`
	Topic    string `aws:"query,topic"`
	Disabled *bool  `aws:"query,ruleDisabled"`
}

type listedRule struct {
	ARN      strait.ARN `json:"ruleArn"`
	Name     string     `json:"ruleName"`
	Pattern  string     `json:"topicPattern"`
	Created  Epoch      `json:"createdAt"`
	Disabled bool       `json:"ruleDisabled"`
}

type listRulesOutput struct {
	Rules []listedRule `json:"rules"`
	Token string       `json:"nextToken,omitempty"`
}

func (k iotDesk) listRules(_ context.Context, _ Call, in *listRulesInput) (*listRulesOutput, error) {
	all := k.rules.List()
	if in.Topic != "" {
		all = k.rules.Matching(in.Topic)
	}
	var found []rule.Rule
	for _, r := range all {
		if in.Disabled == nil || *in.Disabled == r.Disabled {
			found = append(found, r)
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Name < found[j].Name })
	rs, token, err := page(found, func(r rule.Rule) string { return r.Name }, in.Token, in.Limit)
	out := &listRulesOutput{Rules: []listedRule{}, Token: token}
	for _, r := range rs {
		out.Rules = append(out.Rules, listedRule{k.directory.Place().IoT("rule/" + r.Name), r.Name, r.Filter, Epoch(r.Created), r.Disabled})
	}
	return out, err
}

func (k iotDesk) enableRule(ctx context.Context, _ Call, in *ruleInput) (*Nothing, error) {
	return nil, k.rules.Enable(ctx, in.Name)
}

func (k iotDesk) disableRule(ctx context.Context, _ Call, in *ruleInput) (*Nothing, error) {
	return nil, k.rules.Disable(ctx, in.Name)
}

func (k iotDesk) deleteRule(ctx context.Context, _ Call, in *ruleInput) (*Nothing, error) {
	// The tags go first: a rule made again under this name must not have them.
	if err := k.directory.UntagIoT(ctx, k.directory.Place().IoT(in.resource()), nil); err != nil {
		return nil, err
	}
	return nil, k.rules.Delete(ctx, in.Name)
}

// OfThing reads the input of an operation on the thing called name, for rules
// that ask for it.
func OfThing(name string) func(in any) error {
	return func(in any) error {
		in.(*thingInput).Thing = name
		return nil
	}
}

// PutBytes reads an object of PutObject that is at hand already, for rules
// that store one.
func PutBytes(bucket, key, contentType string, body []byte) func(in any) error {
	return func(in any) error {
		i := in.(*putObjectInput)
		i.Bucket, i.Key, i.ContentType = bucket, key, contentType
		i.Body = &Payload{Reader: bytes.NewReader(body), Size: int64(len(body)), Trailer: func() map[string]string { return nil }}
		return nil
	}
}
