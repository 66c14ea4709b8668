package setup

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"strait/vend"
)

var (
	bucketName   = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	roleName     = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	policyName   = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)
	ruleName     = regexp.MustCompile(`^[a-zA-Z0-9_]{1,128}$`)
	functionName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	principal    = regexp.MustCompile(`^(\d{12}|arn:aws:(iam|sts)::\d{12}:[\w+=,.@/-]+)$`)
)

func (in *UploadInput) defaults(s *Session) {
	for _, d := range []struct {
		name *string
		to   string
	}{
		{&in.FunctionName, "create-token"}, {&in.FunctionRole, "create-token"}, {&in.UploadRole, "s3-role"},
		{&in.RuleName, "create_token"}, {&in.ThingPolicy, DefaultThingPolicy}, {&in.Endpoint, s.Endpoint},
	} {
		if *d.name == "" {
			*d.name = d.to
		}
	}
}

// check refuses names that would mean more than themselves in a policy, or
// that AWS does not take.
func (in *UploadInput) check() error {
	switch {
	case !bucketName.MatchString(in.Bucket) || strings.Contains(in.Bucket, ".."):
		return fmt.Errorf("%q cannot be a bucket: its name has 3 to 63 of a-z 0-9 . - and begins and ends with a letter or digit", in.Bucket)
	case !functionName.MatchString(in.FunctionName):
		return fmt.Errorf("%q cannot be a function: its name has 1 to 64 of a-z A-Z 0-9 _ -", in.FunctionName)
	case !ruleName.MatchString(in.RuleName):
		return fmt.Errorf("%q cannot be a rule: its name has 1 to 128 of a-z A-Z 0-9 _", in.RuleName)
	case !policyName.MatchString(in.ThingPolicy):
		return fmt.Errorf("%q cannot be a policy: its name has 1 to 128 of a-z A-Z 0-9 _ + = , . @ -", in.ThingPolicy)
	case strings.EqualFold(in.FunctionRole, in.UploadRole):
		return errors.New("the function's role and the upload role must be two roles: only the second may write to the bucket")
	}
	for _, role := range []string{in.FunctionRole, in.UploadRole} {
		if err := checkRole(role); err != nil {
			return err
		}
	}
	for _, t := range in.Things {
		if err := checkThing(t); err != nil {
			return err
		}
	}
	if in.Endpoint != "" {
		if u, err := url.Parse(in.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("the endpoint that devices are told must be like https://s3.example.org:8443, not %q", in.Endpoint)
		}
	}
	return nil
}

func checkRole(name string) error {
	if !roleName.MatchString(name) {
		return fmt.Errorf("%q cannot be a role: its name has 1 to 64 of a-z A-Z 0-9 _ + = , . @ -", name)
	}
	return nil
}

func checkThing(name string) error {
	if !vend.ValidName(name) {
		return fmt.Errorf("%q cannot be a thing: its name has 1 to %d of a-z A-Z 0-9 : _ -", name, vend.MaxName)
	}
	return nil
}

// Limits of a topic (iot-mqtt.md): bytes, and slashes in it.
const (
	maxTopic   = 256
	maxSlashes = 7
)

func checkTopic(topic string) error {
	if topic == "" || len(topic) > maxTopic || strings.Count(topic, "/") > maxSlashes {
		return fmt.Errorf("a topic has 1 to %d bytes and at most %d slashes", maxTopic, maxSlashes)
	}
	for _, c := range []byte(topic) {
		// "+" and "#" make it a filter, the others mean something in a policy.
		if c <= ' ' || c > '~' || strings.IndexByte("+#*?$", c) >= 0 {
			return fmt.Errorf("the topic %q cannot be granted: it must be one topic of printable ASCII without blanks and + # * ? $", topic)
		}
	}
	return nil
}
