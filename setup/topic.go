package setup

import (
	"context"
	"fmt"
	"strings"

	"strait"
)

// A TopicInput says what a topic-scoped connection is to be allowed.
type TopicInput struct {
	Topic          string // required; a topic, not a filter
	Role           string // default "sts-sample-role"
	TrustPrincipal string // ARN of who may assume the role, or an account; default the caller's account
	DryRun         bool
	Log            func(step, detail string)
}

// A TopicResult is the role, and how to take it for the topic alone.
type TopicResult struct {
	RoleARN       strait.ARN
	SessionPolicy string   // for AssumeRole's Policy
	Command       string   // the AssumeRole, for a shell with the AWS CLI
	Changed       []string // as in Result
}

// iotFullAccess is wide on purpose: the session policy is what narrows.
const iotFullAccess = "arn:aws:iam::aws:policy/AWSIoTFullAccess"

// Topic makes the role whose sessions connect to IoT, and the session policy
// that narrows one of them to the topic. As all of setup, it may be run again.
func Topic(ctx context.Context, s *Session, in TopicInput) (TopicResult, error) {
	if in.Role == "" {
		in.Role = "sts-sample-role"
	}
	if err := checkRole(in.Role); err != nil {
		return TopicResult{}, err
	}
	if err := checkTopic(in.Topic); err != nil {
		return TopicResult{}, err
	}
	if in.TrustPrincipal != "" && !principal.MatchString(in.TrustPrincipal) {
		return TopicResult{}, fmt.Errorf("%q cannot be trusted: give the ARN of a user or role, or an account", in.TrustPrincipal)
	}
	r, err := newRun(ctx, s, in.DryRun, 0, in.Log)
	if err != nil {
		return TopicResult{}, err
	}
	switch {
	case in.TrustPrincipal == "":
		in.TrustPrincipal = string(r.place.IAM("root"))
	case len(in.TrustPrincipal) == 12:
		in.TrustPrincipal = "arn:aws:iam::" + in.TrustPrincipal + ":root" // as IAM shows it
	}
	arn, made, err := r.role(ctx, "role", in.Role, trustDocument("AWS", in.TrustPrincipal), "For MQTT connections that are narrowed to one topic")
	if err == nil {
		err = r.attach(ctx, "role", in.Role, made, iotFullAccess)
	}
	if err != nil {
		return TopicResult{Changed: r.changed}, err
	}
	policy := topicDocument(in.Topic)
	return TopicResult{RoleARN: arn, SessionPolicy: policy, Command: assumeCommand(s, arn, policy), Changed: r.changed}, nil
}

// topicDocument lets any client connect, and use the one topic.
func topicDocument(topic string) string {
	return document(
		statement{Action: []string{"iot:Connect"}, Resource: []strait.ARN{"*"}},
		statement{Action: []string{"iot:Publish", "iot:Receive"}, Resource: []strait.ARN{strait.ARN("arn:aws:iot:*:*:topic/" + topic)}},
		statement{Action: []string{"iot:Subscribe"}, Resource: []strait.ARN{strait.ARN("arn:aws:iot:*:*:topicfilter/" + topic)}},
	)
}

func assumeCommand(s *Session, role strait.ARN, policy string) string {
	c := "aws sts assume-role --role-arn " + Quote(string(role)) + " --role-session-name topic-client --policy " + Quote(policy)
	if s.Endpoint != "" {
		c += " --endpoint-url " + Quote(s.Endpoint) // older CLIs do not know AWS_ENDPOINT_URL
	}
	return c
}

// Quote writes s so that a POSIX shell takes it as one word.
func Quote(s string) string {
	plain := s != ""
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("%+,-./:=@_", c) >= 0:
		default:
			plain = false
		}
	}
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
