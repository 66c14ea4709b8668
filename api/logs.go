package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"strait"
	"strait/identity"
	"strait/logs"
)

// Logs returns the table of CloudWatch Logs: what functions and rules need to
// write, and what people need to read [botocore logs/2014-03-28].
func Logs(d *identity.Directory, e *logs.Engine) Service {
	k := logsDesk{d, e}
	return Service{
		Name: "logs", Scopes: []string{"logs"}, Protocol: "json-1.1", Target: "Logs_20140328",
		Operations: []Operation{
			op("CreateLogGroup", "", onLogs[createLogGroupInput]("logs:CreateLogGroup"), k.createGroup),
			op("DeleteLogGroup", "", onLogs[logGroupInput]("logs:DeleteLogGroup"), k.deleteGroup),
			op("DescribeLogGroups", "", k.mayDescribe, k.describeGroups),
			op("PutRetentionPolicy", "", onLogs[retentionInput]("logs:PutRetentionPolicy"), k.putRetention),
			op("DeleteRetentionPolicy", "", onLogs[logGroupInput]("logs:DeleteRetentionPolicy"), k.deleteRetention),
			op("CreateLogStream", "", onLogs[logStreamInput]("logs:CreateLogStream"), k.createStream),
			op("DeleteLogStream", "", onLogs[logStreamInput]("logs:DeleteLogStream"), k.deleteStream),
			op("DescribeLogStreams", "", onLogs[describeStreamsInput]("logs:DescribeLogStreams"), k.describeStreams),
			op("PutLogEvents", "", k.mayPut, k.putEvents),
			op("GetLogEvents", "", onLogs[getEventsInput]("logs:GetLogEvents"), k.getEvents),
			op("FilterLogEvents", "", onLogs[filterEventsInput]("logs:FilterLogEvents"), k.filterEvents),
			op("ListTagsForResource", "", onLogs[logTagsInput]("logs:ListTagsForResource"), k.listTags),
			op("TagResource", "", onLogs[logTagInput]("logs:TagResource"), k.tag),
			op("UntagResource", "", onLogs[logUntagInput]("logs:UntagResource"), k.untag),
		},
	}
}

type logsDesk struct {
	directory *identity.Directory
	engine    *logs.Engine
}

// logged is an input that names a group, and maybe a stream.
type logged interface {
	logs() (group, stream string)
}

// onLogs makes the asks of an operation on a group or a stream. AWS's refusals
// name both in one form, "log-group:NAME:log-stream:", the stream empty where
// there is none: so a policy for "log-group:NAME:*" covers both.
func onLogs[In any, P interface {
	*In
	logged
}](action strait.Action) func(context.Context, View, *Caller, *In) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *In) ([]Ask, error) {
		group, stream := P(in).logs()
		return ask(action, logARN(v, group, stream)), nil
	}
}

func logARN(v View, group, stream string) strait.ARN {
	return logGroupARN(v.Place(), group) + strait.ARN(":log-stream:"+stream)
}

func logGroupARN(p strait.Place, group string) strait.ARN {
	return strait.ARN("arn:aws:logs:" + p.Region + ":" + p.Account + ":log-group:" + group)
}

// groupOf takes a name or an identifier, which may be an ARN.
func groupOf(name, identifier string) string {
	if name != "" || identifier == "" {
		return name
	}
	if p, err := strait.ARN(identifier).Parse(); err == nil {
		identifier = strings.TrimSuffix(strings.TrimPrefix(p.Resource, "log-group:"), ":*")
	}
	return identifier
}

func milli(t time.Time) int64 { return t.UnixMilli() }

type logGroupInput struct {
	LogGroupName string `json:"logGroupName"`
}

func (in *logGroupInput) logs() (string, string) { return in.LogGroupName, "" }

type createLogGroupInput struct {
	logGroupInput
	Class  string            `json:"logGroupClass"`
	KMS    string            `json:"kmsKeyId"`
	Tags   map[string]string `json:"tags"`
	Delete bool              `json:"deletionProtectionEnabled"`
}

func (k logsDesk) createGroup(ctx context.Context, _ Call, in *createLogGroupInput) (*Nothing, error) {
	if in.Class != "" && in.Class != "STANDARD" || in.KMS != "" || in.Delete {
		return nil, strait.Errorf(strait.Unsupported, "log group", "Log groups of other classes than STANDARD, with a key of their own or protected from deletion are not offered here.")
	}
	return nil, k.engine.Create(ctx, in.LogGroupName, in.Tags)
}

func (k logsDesk) deleteGroup(ctx context.Context, _ Call, in *logGroupInput) (*Nothing, error) {
	return nil, k.engine.Delete(ctx, in.LogGroupName)
}

type describeGroupsInput struct {
	Prefix      string   `json:"logGroupNamePrefix"`
	Pattern     string   `json:"logGroupNamePattern"`
	Identifiers []string `json:"logGroupIdentifiers"`
	Class       string   `json:"logGroupClass"`
	Token       string   `json:"nextToken"`
	Limit       *int     `json:"limit"`
}

// drop tells whether the request asks for other groups than g.
func (in *describeGroupsInput) drop(g logs.Group) bool {
	return in.Class != "" && in.Class != "STANDARD" ||
		len(in.Identifiers) > 0 && !slices.ContainsFunc(in.Identifiers, func(id string) bool { return groupOf("", id) == g.Name })
}

func (k logsDesk) mayDescribe(_ context.Context, v View, _ *Caller, in *describeGroupsInput) ([]Ask, error) {
	return ask("logs:DescribeLogGroups", logARN(v, in.Prefix, "")), nil
}

type describedGroup struct {
	Name      string     `json:"logGroupName"`
	Created   int64      `json:"creationTime"`
	Retention int        `json:"retentionInDays,omitempty"`
	Filters   int        `json:"metricFilterCount"`
	ARN       strait.ARN `json:"arn"`
	Bytes     int64      `json:"storedBytes"`
	GroupARN  strait.ARN `json:"logGroupArn"`
	Class     string     `json:"logGroupClass"`
}

type describeGroupsOutput struct {
	Groups []describedGroup `json:"logGroups"`
	Token  string           `json:"nextToken,omitempty"`
}

func (k logsDesk) describeGroups(_ context.Context, _ Call, in *describeGroupsInput) (*describeGroupsOutput, error) {
	if in.Prefix != "" && in.Pattern != "" {
		return nil, strait.Errorf(strait.Invalid, "request", "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	all, err := k.engine.List(in.Prefix, in.Pattern)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, in.drop)
	some, token, err := logPage(all, func(g logs.Group) string { return g.Name }, in.Token, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &describeGroupsOutput{Groups: []describedGroup{}, Token: token}
	for _, g := range some {
		arn := logGroupARN(k.directory.Place(), g.Name)
		out.Groups = append(out.Groups, describedGroup{g.Name, milli(g.Created), g.Retention, 0, arn + ":*", g.Bytes, arn, "STANDARD"})
	}
	return out, nil
}

// logPage cuts a page of at most 50.
func logPage[T any](items []T, name func(T) string, token string, limit *int) ([]T, string, error) {
	n := 50
	if limit != nil {
		n = *limit
	}
	if n < 1 || n > 50 {
		return nil, "", strait.Errorf(strait.Invalid, "request", "1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value between 1 and 50", n)
	}
	return page(items, name, token, &n)
}

type retentionInput struct {
	logGroupInput
	Days int `json:"retentionInDays"`
}

func (k logsDesk) putRetention(ctx context.Context, _ Call, in *retentionInput) (*Nothing, error) {
	if in.Days == 0 {
		return nil, strait.Errorf(strait.Invalid, "request", "1 validation error detected: Value null at 'retentionInDays' failed to satisfy constraint: Member must not be null")
	}
	return nil, k.engine.Retain(ctx, in.LogGroupName, in.Days)
}

func (k logsDesk) deleteRetention(ctx context.Context, _ Call, in *logGroupInput) (*Nothing, error) {
	return nil, k.engine.Retain(ctx, in.LogGroupName, 0)
}

type logStreamInput struct {
	logGroupInput
	Stream string `json:"logStreamName"`
}

func (in *logStreamInput) logs() (string, string) { return in.LogGroupName, in.Stream }

func (k logsDesk) createStream(_ context.Context, _ Call, in *logStreamInput) (*Nothing, error) {
	return nil, k.engine.CreateStream(in.LogGroupName, in.Stream)
}

func (k logsDesk) deleteStream(_ context.Context, _ Call, in *logStreamInput) (*Nothing, error) {
	return nil, k.engine.DeleteStream(in.LogGroupName, in.Stream)
}

type describeStreamsInput struct {
	logGroupInput
	Identifier string `json:"logGroupIdentifier"`
	Prefix     string `json:"logStreamNamePrefix"`
	OrderBy    string `json:"orderBy"`
	Descending bool   `json:"descending"`
	Token      string `json:"nextToken"`
	Limit      *int   `json:"limit"`
}

func (in *describeStreamsInput) logs() (string, string) {
	return groupOf(in.LogGroupName, in.Identifier), in.Prefix
}

type describedStream struct {
	Name     string     `json:"logStreamName"`
	Created  int64      `json:"creationTime"`
	First    int64      `json:"firstEventTimestamp,omitempty"`
	Last     int64      `json:"lastEventTimestamp,omitempty"`
	Ingested int64      `json:"lastIngestionTime,omitempty"`
	Token    string     `json:"uploadSequenceToken"`
	ARN      strait.ARN `json:"arn"`
	Bytes    int64      `json:"storedBytes"`
}

type describeStreamsOutput struct {
	Streams []describedStream `json:"logStreams"`
	Token   string            `json:"nextToken,omitempty"`
}

func (k logsDesk) describeStreams(_ context.Context, _ Call, in *describeStreamsInput) (*describeStreamsOutput, error) {
	group := groupOf(in.LogGroupName, in.Identifier)
	byTime := in.OrderBy == "LastEventTime"
	if byTime && in.Prefix != "" {
		return nil, strait.Errorf(strait.Invalid, "request", "Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	all, err := k.engine.Streams(group, in.Prefix)
	if err != nil {
		return nil, err
	}
	if byTime {
		slices.SortStableFunc(all, func(a, b logs.Stream) int { return a.Last.Compare(b.Last) })
	}
	if in.Descending {
		slices.Reverse(all)
	}
	// The order may be any, so a token is the place of the page.
	place := map[string]string{}
	for i, s := range all {
		place[s.Name] = string(rune(0x10000 + i))
	}
	some, token, err := logPage(all, func(s logs.Stream) string { return place[s.Name] }, in.Token, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &describeStreamsOutput{Streams: []describedStream{}, Token: token}
	for _, s := range some {
		d := describedStream{Name: s.Name, Created: milli(s.Created), Token: "0", ARN: logGroupARN(k.directory.Place(), group) + strait.ARN(":log-stream:"+s.Name)}
		if !s.Ingested.IsZero() {
			d.First, d.Last, d.Ingested = milli(s.First), milli(s.Last), milli(s.Ingested)
		}
		out.Streams = append(out.Streams, d)
	}
	return out, nil
}

type logTagsInput struct {
	ARN strait.ARN `json:"resourceArn"`
}

func (in *logTagsInput) logs() (string, string) { return groupOf("", string(in.ARN)), "" }

type logTagsOutput struct {
	Tags map[string]string `json:"tags"`
}

func (k logsDesk) listTags(_ context.Context, _ Call, in *logTagsInput) (*logTagsOutput, error) {
	g, err := k.engine.Get(groupOf("", string(in.ARN)))
	return &logTagsOutput{orEmpty(g.Tags)}, err
}

type logTagInput struct {
	logTagsInput
	Tags map[string]string `json:"tags"`
}

func (k logsDesk) tag(ctx context.Context, _ Call, in *logTagInput) (*Nothing, error) {
	return nil, k.engine.Tag(ctx, groupOf("", string(in.ARN)), func(t map[string]string) {
		for key, v := range in.Tags {
			t[key] = v
		}
	})
}

type logUntagInput struct {
	logTagsInput
	Keys []string `json:"tagKeys"`
}

func (k logsDesk) untag(ctx context.Context, _ Call, in *logUntagInput) (*Nothing, error) {
	return nil, k.engine.Tag(ctx, groupOf("", string(in.ARN)), func(t map[string]string) {
		for _, key := range in.Keys {
			delete(t, key)
		}
	})
}
