package setup

import "strait"

// A TopicInput says what a topic-scoped connection is to be allowed.
type TopicInput struct {
	Topic          string // required; a topic, not a filter
	Role           string // default "sts-sample-role"
	TrustPrincipal string // ARN of who may assume the role; default the caller's account
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
