package api

import (
	"context"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"

	"strait"
	"strait/identity"
	"strait/schedule"
)

// Families of schedules.
const (
	ScheduleFamily = "schedule" // of EventBridge Scheduler
	RuleFamily     = "rule"     // of EventBridge rules
)

// schedulerService is who takes the roles of schedules.
const schedulerService = "scheduler.amazonaws.com"

// Scheduler returns the table of EventBridge Scheduler (lambda-runtime.md,
// section 8; botocore scheduler/2021-06-30). Functions are the targets.
func Scheduler(d *identity.Directory, e *schedule.Engine) Service {
	k := schedulerDesk{d, e}
	const one = "/schedules/{Name}"
	s := Service{Name: "scheduler", Scopes: []string{"scheduler"}, Protocol: "rest-json"}
	s.Operations = append([]Operation{
		op("CreateSchedule", "POST "+one, k.mayPut("scheduler:CreateSchedule"), k.create),
		op("UpdateSchedule", "PUT "+one, k.mayPut("scheduler:UpdateSchedule"), k.update),
		op("GetSchedule", "GET "+one, k.onSchedule("scheduler:GetSchedule"), k.get),
		op("DeleteSchedule", "DELETE "+one, k.mayDelete, k.delete),
		op("ListSchedules", "GET /schedules", on[listSchedulesInput]("scheduler:ListSchedules", "*"), k.list),
	}, k.groups()...)
	return s
}

type schedulerDesk struct {
	directory *identity.Directory
	engine    *schedule.Engine
}

func schedulerARN(p strait.Place, resource string) strait.ARN {
	return strait.ARN("arn:aws:scheduler:" + p.Region + ":" + p.Account + ":" + resource)
}

// ScheduleARN names a schedule.
func ScheduleARN(p strait.Place, k schedule.Key) strait.ARN {
	if k.Family == RuleFamily {
		return ruleARN(p, k.Name)
	}
	return schedulerARN(p, "schedule/"+k.Group+"/"+k.Name)
}

// ScheduleGroupARN names a group. It, and not the schedule, is the source that
// Scheduler names when it takes a role [Scheduler UG Confused deputy].
func ScheduleGroupARN(p strait.Place, group string) strait.ARN {
	return schedulerARN(p, "schedule-group/"+group)
}

func scheduleKey(group, name string) schedule.Key {
	if group == "" {
		group = "default"
	}
	return schedule.Key{Family: ScheduleFamily, Group: group, Name: name}
}

type flexibleWindow struct {
	Mode                   string
	MaximumWindowInMinutes *int `json:",omitempty"`
}

type retryPolicy struct {
	MaximumEventAgeInSeconds *int `json:",omitempty"`
	MaximumRetryAttempts     *int `json:",omitempty"`
}

// AWS's defaults: 185 tries within 24 hours.
const (
	defaultAttempts = 185
	defaultAge      = 24 * time.Hour
)

func (p *retryPolicy) retry() (schedule.Retry, error) {
	r := schedule.Retry{Attempts: defaultAttempts, Age: defaultAge}
	if p == nil {
		return r, nil
	}
	if n := p.MaximumRetryAttempts; n != nil {
		if *n < 0 || *n > defaultAttempts {
			return r, scheduleError("MaximumRetryAttempts must be between 0 and 185.")
		}
		r.Attempts = *n
	}
	if n := p.MaximumEventAgeInSeconds; n != nil {
		if *n < 60 || *n > 86400 {
			return r, scheduleError("MaximumEventAgeInSeconds must be between 60 and 86400.")
		}
		r.Age = time.Duration(*n) * time.Second
	}
	return r, nil
}

func retryOf(r schedule.Retry) *retryPolicy {
	age, attempts := int(r.Age/time.Second), r.Attempts
	return &retryPolicy{&age, &attempts}
}

func scheduleError(text string, args ...any) error {
	return strait.Errorf(strait.Invalid, "schedule", text, args...)
}

// invalidExpression is AWS's sentence, and why.
func invalidExpression(expression string, err error) error {
	why := strings.TrimPrefix(plainly(err), "the schedule expression is not valid: ")
	return scheduleError("Invalid Schedule Expression %.256s. (%s)", expression, why)
}

type scheduleTarget struct {
	Arn         strait.ARN
	RoleArn     strait.ARN
	Input       string       `json:",omitempty"`
	RetryPolicy *retryPolicy `json:",omitempty"`
	// What is not offered.
	DeadLetterConfig            json.RawMessage `json:",omitempty"`
	EcsParameters               json.RawMessage `json:",omitempty"`
	EventBridgeParameters       json.RawMessage `json:",omitempty"`
	KinesisParameters           json.RawMessage `json:",omitempty"`
	SageMakerPipelineParameters json.RawMessage `json:",omitempty"`
	SqsParameters               json.RawMessage `json:",omitempty"`
}

type putScheduleInput struct {
	Name                       string `aws:"path,Name" json:"-"`
	GroupName                  string
	Description                string
	ScheduleExpression         string
	ScheduleExpressionTimezone string
	StartDate, EndDate         *float64
	State                      string
	FlexibleTimeWindow         *flexibleWindow
	Target                     *scheduleTarget
	ActionAfterCompletion      string
	KmsKeyArn                  string
	ClientToken                string
}

// mayPut: whoever makes a schedule hands it the role of its target.
func (k schedulerDesk) mayPut(action strait.Action) func(context.Context, View, *Caller, *putScheduleInput) ([]Ask, error) {
	return func(_ context.Context, v View, c *Caller, in *putScheduleInput) ([]Ask, error) {
		key := scheduleKey(in.GroupName, in.Name)
		asks := ask(action, ScheduleARN(v.Place(), key))
		if in.Target != nil && in.Target.RoleArn != "" {
			role := in.Target.RoleArn
			asks = append(asks, passRole(role, schedulerService), takes(v, schedulerService, role, ScheduleGroupARN(v.Place(), key.Group), c.Trace))
		}
		return asks, nil
	}
}

// fill reads in into s, all but its key.
func (k schedulerDesk) fill(c Call, in *putScheduleInput, s *schedule.Schedule) error {
	// 1. What must be there, and what may not.
	switch t := in.Target; {
	case in.ScheduleExpression == "", t == nil, in.FlexibleTimeWindow == nil:
		return scheduleError("ScheduleExpression, FlexibleTimeWindow and Target are required.")
	case in.KmsKeyArn != "":
		return scheduleError("Customer managed keys (KmsKeyArn) are not offered here.")
	case t.DeadLetterConfig != nil:
		return scheduleError("Dead-letter queues of schedules are not offered here; give the function one.")
	case t.EcsParameters != nil || t.EventBridgeParameters != nil || t.KinesisParameters != nil || t.SageMakerPipelineParameters != nil || t.SqsParameters != nil || !isFunction(k.directory.Place(), t.Arn):
		return scheduleError("The target %s is not offered here: a target is a Lambda function of this account and region.", t.Arn)
	case !oneOf(in.State, "", "ENABLED", "DISABLED"), !oneOf(in.ActionAfterCompletion, "", "NONE", "DELETE"):
		return scheduleError("State is ENABLED or DISABLED, and ActionAfterCompletion NONE or DELETE.")
	case t.Input != "" && !json.Valid([]byte(FillInput(t.Input, schedule.Due{}, ""))):
		return scheduleError("The input of a Lambda function must be JSON.")
	}
	// 2. Times.
	if _, err := schedule.Parse(in.ScheduleExpression); err != nil {
		return invalidExpression(in.ScheduleExpression, err)
	}
	window, err := in.FlexibleTimeWindow.length()
	if err != nil {
		return err
	}
	retry, err := in.Target.RetryPolicy.retry()
	if err != nil {
		return err
	}
	// 3. The role must be Scheduler's to take, as AWS has it when a schedule is made.
	if err := taken(k.directory, c, in.Target.RoleArn); err != nil {
		return scheduleError("The execution role you provide must allow AWS EventBridge Scheduler to assume the role.")
	}
	s.Expression, s.Zone, s.Description = in.ScheduleExpression, in.ScheduleExpressionTimezone, in.Description
	s.Disabled, s.DeleteAfter = in.State == "DISABLED", in.ActionAfterCompletion == "DELETE"
	s.Start, s.End, s.Window = moment(in.StartDate), moment(in.EndDate), window
	s.Targets = []schedule.Target{{ID: "target", ARN: in.Target.Arn, Role: in.Target.RoleArn, Input: in.Target.Input, Retry: retry}}
	return nil
}

func (w *flexibleWindow) length() (time.Duration, error) {
	n := w.MaximumWindowInMinutes
	switch {
	case w.Mode == "OFF" && n == nil:
		return 0, nil
	case w.Mode == "FLEXIBLE" && n != nil && *n >= 1 && *n <= 1440:
		return time.Duration(*n) * time.Minute, nil
	}
	return 0, scheduleError("FlexibleTimeWindow is {Mode: OFF}, or {Mode: FLEXIBLE} with MaximumWindowInMinutes between 1 and 1440.")
}

func moment(seconds *float64) time.Time {
	if seconds == nil || *seconds < 0 || *seconds > 1e11 {
		return time.Time{}
	}
	return time.UnixMilli(int64(*seconds * 1000)).UTC()
}

func oneOf(s string, words ...string) bool {
	for _, w := range words {
		if s == w {
			return true
		}
	}
	return false
}

// isFunction tells whether arn can be a function of this place, maybe with a
// version or alias.
func isFunction(p strait.Place, arn strait.ARN) bool {
	name, ok := strings.CutPrefix(string(arn), string(p.Lambda("")))
	return ok && name != "" && len(name) <= 200 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:$") == ""
}

// FillInput puts what is known of a call in the place of Scheduler's context
// attributes.
func FillInput(input string, d schedule.Due, arn strait.ARN) string {
	return strings.NewReplacer(
		"<aws.scheduler.schedule-arn>", string(arn), "<aws.scheduler.scheduled-time>", d.Time.UTC().Format(time.RFC3339),
		"<aws.scheduler.execution-id>", d.ID, "<aws.scheduler.attempt-number>", strconv.Itoa(d.Attempt+1),
	).Replace(input)
}

type scheduleOutput struct{ ScheduleArn strait.ARN }

func (k schedulerDesk) create(ctx context.Context, c Call, in *putScheduleInput) (*scheduleOutput, error) {
	if err := checkClientToken(in.ClientToken); err != nil {
		return nil, err
	}
	s := schedule.Schedule{Key: scheduleKey(in.GroupName, in.Name), Token: in.ClientToken}
	if err := k.fill(c, in, &s); err != nil {
		return nil, err
	}
	if err := k.engine.Create(ctx, s); err != nil {
		return nil, err
	}
	return &scheduleOutput{ScheduleARN(k.directory.Place(), s.Key)}, nil
}

var clientTokenRE = regexp.MustCompile(`^[a-zA-Z0-9_-]{0,64}$`)

// checkClientToken judges what makes a creation idempotent: SDKs send one with
// each and the same with its retries.
func checkClientToken(token string) error {
	if !clientTokenRE.MatchString(token) {
		return scheduleError("A ClientToken has 1 to 64 letters, digits, - and _.")
	}
	return nil
}

// update replaces everything: what is not said is the default again.
func (k schedulerDesk) update(ctx context.Context, c Call, in *putScheduleInput) (*scheduleOutput, error) {
	key := scheduleKey(in.GroupName, in.Name)
	if err := k.engine.Change(ctx, key, func(s *schedule.Schedule) error { return k.fill(c, in, s) }); err != nil {
		return nil, err
	}
	return &scheduleOutput{ScheduleARN(k.directory.Place(), key)}, nil
}

type scheduleInput struct {
	Name  string `aws:"path,Name"`
	Group string `aws:"query,groupName"`
}

func (k schedulerDesk) onSchedule(action strait.Action) func(context.Context, View, *Caller, *scheduleInput) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *scheduleInput) ([]Ask, error) {
		return ask(action, ScheduleARN(v.Place(), scheduleKey(in.Group, in.Name))), nil
	}
}

type getScheduleOutput struct {
	Arn                        strait.ARN
	GroupName, Name            string
	Description                string `json:",omitempty"`
	ScheduleExpression         string
	ScheduleExpressionTimezone string
	StartDate, EndDate         *Epoch `json:",omitempty"`
	State                      string
	FlexibleTimeWindow         flexibleWindow
	Target                     scheduleTarget
	ActionAfterCompletion      string
	CreationDate               Epoch
	LastModificationDate       Epoch
}

func (k schedulerDesk) get(_ context.Context, _ Call, in *scheduleInput) (*getScheduleOutput, error) {
	s, err := k.engine.Get(scheduleKey(in.Group, in.Name))
	if err != nil {
		return nil, err
	}
	t := s.Targets[0]
	out := &getScheduleOutput{
		Arn: ScheduleARN(k.directory.Place(), s.Key), GroupName: s.Group, Name: s.Name, Description: s.Description,
		ScheduleExpression: s.Expression, ScheduleExpressionTimezone: s.Zone, StartDate: epochOf(s.Start), EndDate: epochOf(s.End),
		State: stateOf(&s), FlexibleTimeWindow: flexibleWindow{Mode: "OFF"}, ActionAfterCompletion: "NONE",
		Target:       scheduleTarget{Arn: t.ARN, RoleArn: t.Role, Input: t.Input, RetryPolicy: retryOf(t.Retry)},
		CreationDate: Epoch(s.Created), LastModificationDate: Epoch(s.Modified),
	}
	if out.ScheduleExpressionTimezone == "" {
		out.ScheduleExpressionTimezone = "UTC"
	}
	if s.Window > 0 {
		minutes := int(s.Window / time.Minute)
		out.FlexibleTimeWindow = flexibleWindow{"FLEXIBLE", &minutes}
	}
	if s.DeleteAfter {
		out.ActionAfterCompletion = "DELETE"
	}
	return out, nil
}

func stateOf(s *schedule.Schedule) string {
	if s.Disabled {
		return "DISABLED"
	}
	return "ENABLED"
}

func epochOf(t time.Time) *Epoch {
	if t.IsZero() {
		return nil
	}
	e := Epoch(t)
	return &e
}

type deleteScheduleInput struct {
	scheduleInput
	ClientToken string `aws:"query,clientToken"`
}

func (k schedulerDesk) mayDelete(ctx context.Context, v View, c *Caller, in *deleteScheduleInput) ([]Ask, error) {
	return k.onSchedule("scheduler:DeleteSchedule")(ctx, v, c, &in.scheduleInput)
}

func (k schedulerDesk) delete(ctx context.Context, _ Call, in *deleteScheduleInput) (*struct{}, error) {
	if err := checkClientToken(in.ClientToken); err != nil {
		return nil, err
	}
	return nil, k.engine.Delete(ctx, scheduleKey(in.Group, in.Name), in.ClientToken)
}

type listSchedulesInput struct {
	Group  string `aws:"query,ScheduleGroup"`
	Prefix string `aws:"query,NamePrefix"`
	State  string `aws:"query,State"`
	Token  string `aws:"query,NextToken"`
	Max    *int   `aws:"query,MaxResults"`
}

type scheduleSummary struct {
	Arn                  strait.ARN
	GroupName, Name      string
	State                string
	Target               struct{ Arn strait.ARN }
	CreationDate         Epoch
	LastModificationDate Epoch
}

type listSchedulesOutput struct {
	NextToken string `json:",omitempty"`
	Schedules []scheduleSummary
}

func (k schedulerDesk) list(_ context.Context, _ Call, in *listSchedulesInput) (*listSchedulesOutput, error) {
	var chosen []schedule.Schedule
	for _, s := range k.engine.List(ScheduleFamily, in.Group) {
		if strings.HasPrefix(s.Name, in.Prefix) && (in.State == "" || in.State == stateOf(&s)) {
			chosen = append(chosen, s)
		}
	}
	chosen, next, err := pageOf(chosen, func(s schedule.Schedule) string { return s.Group + "/" + s.Name }, in.Token, in.Max)
	if err != nil {
		return nil, err
	}
	out := &listSchedulesOutput{NextToken: next, Schedules: []scheduleSummary{}}
	for _, s := range chosen {
		item := scheduleSummary{Arn: ScheduleARN(k.directory.Place(), s.Key), GroupName: s.Group, Name: s.Name, State: stateOf(&s), CreationDate: Epoch(s.Created), LastModificationDate: Epoch(s.Modified)}
		item.Target.Arn = s.Targets[0].ARN
		out.Schedules = append(out.Schedules, item)
	}
	return out, nil
}
