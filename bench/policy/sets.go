package main

import (
	"fmt"
	"strings"
)

// A statement is one rule, in words that all three languages have.
type statement struct {
	deny      bool
	notAction bool
	actions   []string // may hold * in the name
	resources []string // patterns; ${key} is filled in for the peers
	when      []when
}

// A when is a condition: key op one of values.
type when struct {
	op, key string // op: StringEquals, StringLike, Bool
	values  []string
}

// A set is the documents of up to three layers, and requests with the answers
// that every engine must give.
type set struct {
	name              string
	device            bool // a certificate with IoT policies
	identity, session []statement
	context           map[string]string
	requests          []request
}

type request struct {
	action, resource string
	want             bool
}

func (s set) statements() int { return len(s.identity) + len(s.session) }

const (
	iot = "arn:aws:iot:ap-northeast-1:123456789012:"
	s3  = "arn:aws:s3:::"
)

func allow(actions, resources string, ws ...when) statement {
	return statement{actions: strings.Fields(actions), resources: strings.Fields(resources), when: ws}
}

func deny(actions, resources string, ws ...when) statement {
	s := allow(actions, resources, ws...)
	s.deny = true
	return s
}

// sets are ten that people have.
func sets() []set {
	return []set{
		{name: "device of P1", device: true, context: map[string]string{"iot:ClientId": "device00", "aws:SourceIp": "10.0.0.1"},
			identity: []statement{
				allow("iot:Connect", iot+"client/${iot:ClientId}"),
				allow("iot:Publish", iot+"topic/${iot:ClientId}/token/req"),
				allow("iot:Subscribe", iot+"topicfilter/${iot:ClientId}/token/res"),
				allow("iot:Receive", iot+"topic/${iot:ClientId}/token/res"),
			},
			requests: []request{{"iot:Publish", iot + "topic/device00/token/req", true}, {"iot:Publish", iot + "topic/device01/token/req", false},
				{"iot:Receive", iot + "topic/device00/token/res", true}, {"iot:Subscribe", iot + "topicfilter/device00/#", false}}},
		{name: "upload of P1 (session)",
			identity: []statement{allow("s3:PutObject s3:AbortMultipartUpload", s3+"uploads/*")},
			session:  []statement{allow("s3:PutObject s3:AbortMultipartUpload", s3+"uploads/device00/*")},
			requests: []request{{"s3:PutObject", s3 + "uploads/device00/2026/03/01/a.bin", true}, {"s3:PutObject", s3 + "uploads/device01/a.bin", false},
				{"s3:GetObject", s3 + "uploads/device00/a.bin", false}}},
		{name: "topic of P2 (session)",
			identity: []statement{allow("iot:* iotjobsdata:*", "*")},
			session: []statement{allow("iot:Connect", "*"), allow("iot:Publish iot:Receive", "arn:aws:iot:*:*:topic/test"),
				allow("iot:Subscribe", "arn:aws:iot:*:*:topicfilter/test")},
			requests: []request{{"iot:Receive", iot + "topic/test", true}, {"iot:Receive", iot + "topic/other", false}, {"iot:Publish", iot + "topic/test", true}}},
		{name: "function of P1",
			identity: []statement{allow("logs:CreateLogGroup logs:CreateLogStream logs:PutLogEvents", "*"),
				allow("iot:Publish", iot+"topic/*/token/res"), allow("sts:AssumeRole", "arn:aws:iam::123456789012:role/s3-role")},
			requests: []request{{"iot:Publish", iot + "topic/device00/token/res", true}, {"iot:Publish", iot + "topic/device00/token/req", false},
				{"logs:PutLogEvents", "arn:aws:logs:ap-northeast-1:123456789012:log-group:x", true}}},
		{name: "admin with guard rails", context: map[string]string{"aws:SecureTransport": "true", "aws:RequestedRegion": "ap-northeast-1"},
			identity: []statement{allow("*", "*"),
				deny("*", "*", when{"Bool", "aws:SecureTransport", []string{"false"}}),
				deny("iam:DeleteRole iam:DeletePolicy", "*"),
				deny("s3:DeleteBucket", s3+"uploads")},
			requests: []request{{"s3:PutObject", s3 + "uploads/x", true}, {"iam:DeleteRole", "arn:aws:iam::123456789012:role/r", false},
				{"s3:DeleteBucket", s3 + "uploads", false}, {"iot:Publish", iot + "topic/x", true}}},
		{name: "developer", context: map[string]string{"aws:PrincipalTag/team": "red", "aws:RequestedRegion": "ap-northeast-1"},
			identity: []statement{
				allow("s3:Get* s3:List*", s3+"shared/* "+s3+"shared"),
				allow("s3:*", s3+"dev-* "+s3+"dev-*/*"),
				deny("s3:DeleteBucket s3:PutBucketPolicy", "*"),
				allow("lambda:InvokeFunction lambda:GetFunction lambda:ListFunctions", "arn:aws:lambda:*:123456789012:function:dev-*"),
				allow("logs:Get* logs:Describe* logs:FilterLogEvents", "*"),
				allow("iot:Describe* iot:List* iot:Get*", "*"),
				allow("iot:Publish iot:Subscribe iot:Receive", "arn:aws:iot:*:*:topic/dev/* arn:aws:iot:*:*:topicfilter/dev/*"),
				allow("iot:Connect", "arn:aws:iot:*:*:client/dev-*"),
				allow("iam:GetRole iam:ListRoles iam:GetPolicy", "*"),
				allow("iam:PassRole", "arn:aws:iam::123456789012:role/dev-*", when{"StringEquals", "aws:PrincipalTag/team", []string{"red", "blue"}}),
				allow("sts:AssumeRole", "arn:aws:iam::123456789012:role/dev-*"),
				deny("*", "*", when{"StringEquals", "aws:RequestedRegion", []string{"us-gov-west-1", "cn-north-1"}}),
			},
			requests: []request{{"s3:GetObject", s3 + "shared/doc.pdf", true}, {"s3:PutBucketPolicy", s3 + "dev-a", false},
				{"lambda:InvokeFunction", "arn:aws:lambda:ap-northeast-1:123456789012:function:dev-x", true},
				{"iam:PassRole", "arn:aws:iam::123456789012:role/dev-x", true}, {"iam:PassRole", "arn:aws:iam::123456789012:role/prod", false}}},
		{name: "power user (NotAction)",
			identity: []statement{{notAction: true, actions: []string{"iam:*", "organizations:*", "account:*"}, resources: []string{"*"}},
				allow("iam:CreateServiceLinkedRole iam:ListRoles organizations:DescribeOrganization account:ListRegions", "*")},
			requests: []request{{"s3:PutObject", s3 + "b/x", true}, {"iam:CreateUser", "arn:aws:iam::123456789012:user/x", false},
				{"iam:ListRoles", "arn:aws:iam::123456789012:role/", true}}},
		{name: "read-only storage",
			identity: []statement{allow("s3:Get* s3:List* s3:Describe* s3-object-lambda:Get* s3-object-lambda:List*", "*")},
			requests: []request{{"s3:GetObject", s3 + "b/x", true}, {"s3:PutObject", s3 + "b/x", false}, {"s3:ListBucket", s3 + "b", true}}},
		{name: "team folders by tag", context: map[string]string{"aws:PrincipalTag/team": "red", "aws:username": "alice", "s3:prefix": "home/alice/docs"},
			identity: []statement{
				allow("s3:ListBucket", s3+"corp", when{"StringLike", "s3:prefix", []string{"home/alice/*", "public/*"}}),
				allow("s3:GetObject s3:PutObject s3:DeleteObject", s3+"corp/home/${aws:username}/*"),
				allow("s3:GetObject", s3+"corp/public/*"),
				allow("s3:GetObject s3:PutObject", s3+"corp/teams/${aws:PrincipalTag/team}/*"),
				deny("s3:DeleteObject", s3+"corp/home/*/keep/*"),
				deny("s3:*", s3+"corp/secret/*", when{"StringEquals", "aws:PrincipalTag/team", []string{"red", "green"}})},
			requests: []request{{"s3:ListBucket", s3 + "corp", true}, {"s3:PutObject", s3 + "corp/home/alice/x", true}, {"s3:PutObject", s3 + "corp/home/bob/x", false},
				{"s3:DeleteObject", s3 + "corp/home/alice/keep/x", false}, {"s3:GetObject", s3 + "corp/teams/red/plan", true}, {"s3:GetObject", s3 + "corp/secret/x", false}}},
		fleet(),
	}
}

// fleet is a gateway that speaks for forty lines of a plant.
func fleet() set {
	s := set{name: "gateway of a plant", device: true, identity: []statement{allow("iot:Connect", iot+"client/gateway")}}
	for i := range 13 {
		line := fmt.Sprintf("plant/line%02d/", i)
		s.identity = append(s.identity,
			allow("iot:Publish", iot+"topic/"+line+"data/*"),
			allow("iot:Subscribe", iot+"topicfilter/"+line+"cmd/*"),
			allow("iot:Receive", iot+"topic/"+line+"cmd/*"))
	}
	s.requests = []request{{"iot:Publish", iot + "topic/plant/line07/data/temp", true}, {"iot:Receive", iot + "topic/plant/line12/cmd/stop", true},
		{"iot:Publish", iot + "topic/plant/line13/data/temp", false}, {"iot:Subscribe", iot + "topicfilter/#", false}}
	return s
}

// growing has n statements, each with an action of its own.
func growing(n int) set {
	s := set{name: fmt.Sprintf("%d actions", n)}
	for i := range n {
		s.identity = append(s.identity, allow(fmt.Sprintf("x:Do%d", i), fmt.Sprintf(s3+"b%d/*", i)))
	}
	s.requests = []request{{fmt.Sprintf("x:Do%d", n/2), fmt.Sprintf(s3+"b%d/k", n/2), true}, {"x:Do0", s3 + "c/k", false}, {"x:Other", s3 + "b0/k", false}}
	return s
}

// alike has n statements about the same action.
func alike(n int) set {
	s := set{name: fmt.Sprintf("%d of one action", n)}
	for i := range n {
		s.identity = append(s.identity, allow("s3:PutObject", fmt.Sprintf(s3+"b%d/*", i)))
	}
	s.requests = []request{{"s3:PutObject", fmt.Sprintf(s3+"b%d/k", n/2), true}, {"s3:PutObject", s3 + "c/k", false}}
	return s
}
