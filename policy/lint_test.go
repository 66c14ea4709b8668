package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"strait"
	"strait/policy"
)

func TestLint(t *testing.T) {
	const v = `{"Version":"2012-10-17","Statement":[`
	st := func(fields string) string { return v + "\n" + `{"Effect":"Allow",` + fields + `}]}` }
	const i = "arn:aws:iot:r:123456789012:"
	const receive = `,{"Effect":"Allow","Action":"iot:Receive","Resource":"*"}]}`
	for _, c := range []struct {
		name string
		kind policy.Kind
		text string
		want string // code:line ...
		says string // in one of the fixes or sentences
	}{
		{"syntax", policy.Identity, "{", "syntax:1", ""},
		{"nothing", policy.Identity, st(`"Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"`), "", ""},
		{"P1 device", policy.IoT, v + `{"Effect":"Allow","Action":"iot:Connect","Resource":"` + i + `client/${iot:Connection.Thing.ThingName}","Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}},` +
			`{"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"` + i + `topic/${iot:ClientId}/*"}]}`, "", ""},
		{"P1 device, literal", policy.IoT, v + `{"Effect":"Allow","Action":"iot:Connect","Resource":"` + i + `client/device00"},{"Effect":"Allow","Action":"iot:Publish","Resource":"` + i + `topic/${iot:ClientId}/x"}]}`, "", ""},
		{"any client id", policy.IoT, st(`"Action":"iot:Connect","Resource":"` + i + `client/${iot:ClientId}"`), "spoofable-client-id:2", "iot:Connection.Thing.ThingName"},
		{"client id as thing", policy.IoT, st(`"Action":"iot:Publish","Resource":"` + i + `topic/${iot:ClientId}/x"`), "spoofable-client-id:2", "any other"},
		{"client id, any may connect", policy.IoT, v + "\n" + `{"Effect":"Allow","Action":"iot:*","Resource":"*"},` + "\n" + `{"Effect":"Allow","Action":"iot:Publish","Resource":"` + i + `topic/${iot:ClientId}"}]}`, "spoofable-client-id:3", ""},
		{"topicfilter to Publish", policy.IoT, st(`"Action":"iot:Publish","Resource":"` + i + `topicfilter/a"`), "topicfilter-for-publish:2", i + "topic/a"},
		{"topicfilter to Receive", policy.IoT, st(`"Action":["iot:Subscribe",` + "\n" + `"iot:Receive"],"Resource":"` + i + `topicfilter/a"`), "topicfilter-for-publish:3", ""},
		{"topic to Subscribe", policy.IoT, st(`"Action":"iot:Subscribe","Resource":"` + i + `topic/a"`)[:0] + v + "\n" + `{"Effect":"Allow","Action":"iot:Subscribe","Resource":"` + i + `topic/a"}` + receive, "topic-for-subscribe:2", i + "topicfilter/a"},
		{"both kinds", policy.IoT, v + `{"Effect":"Allow","Action":["iot:Publish","iot:Subscribe"],"Resource":["` + i + `topic/a","` + i + `topicfilter/a"]}` + receive, "", ""},
		{"mqtt wildcard", policy.IoT, st(`"Action":"iot:Publish","Resource":"` + i + `topic/a/#"`), "mqtt-wildcard:2", "Write *"},
		{"no receive", policy.IoT, st(`"Action":"iot:Subscribe","Resource":"` + i + `topicfilter/a"`), "subscribe-without-receive:2", ""},
		{"retain alone", policy.IoT, st(`"Action":"iot:RetainPublish","Resource":"*"`), "retain-without-publish:2", ""},
		{"bucket for object", policy.Identity, st(`"Action":"s3:PutObject","Resource":"arn:aws:s3:::b"`), "never-matches:2", "arn:aws:s3:::b/*"},
		{"object for bucket", policy.Identity, st(`"Action":"s3:ListBucket","Resource":"arn:aws:s3:::b/*"`), "never-matches:2", "Write arn:aws:s3:::b for"},
		{"both for both", policy.Identity, st(`"Action":["s3:ListBucket","s3:GetObject"],"Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]`), "", ""},
		{"region of a bucket", policy.Identity, st(`"Action":"s3:PutObject","Resource":"arn:aws:s3:eu-west-1::b/*"`), "never-matches:2", "arn:aws:s3:::b/*"},
		{"another service", policy.Identity, st(`"Action":"s3:PutObject","Resource":["arn:aws:s3:::b/*","` + i + `topic/a"]`), "never-matches:2", "resource of iot"},
		{"no account", policy.Identity, st(`"Action":"iot:Publish","Resource":"arn:aws:iot:::topic/a"`), "never-matches:2", "arn:aws:iot:*:*:topic/a"},
		{"star only", policy.Identity, st(`"Action":"s3:ListAllMyBuckets","Resource":"arn:aws:s3:::*"`), "never-matches:2", `Write "*"`},
		{"2008", policy.Identity, `{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username}/*","Condition":{"StringLike":{"s3:prefix":"${aws:username}"}}}}`, "variable-2008:1 variable-2008:1", "2012-10-17"},
		{"variable too early", policy.Identity, st(`"Action":"iot:Publish","Resource":"arn:aws:iot:*:${aws:PrincipalAccount}:topic/a"`), "variable-place:2", "last part"},
		{"variable in a number", policy.Identity, st(`"Action":"s3:*","Resource":"*","Condition":{"NumericLessThan":{"s3:max-keys":"${aws:username}"}}`), "unreadable-value:2 variable-place:2", ""},
		{"ForAllValues", policy.Identity, st(`"Action":"s3:*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"a"}}`), "forallvalues-allow:2", "Null"},
		{"ForAllValues with Null", policy.Identity, st(`"Action":"s3:*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"a"},"Null":{"aws:TagKeys":"false"}}`), "", ""},
		{"ConnectAttributes", policy.IoT, st(`"Action":"iot:Connect","Resource":"*","Condition":{"ForAllValues:StringEquals":{"iot:ConnectAttributes":["LastWill"]}}`), "", ""},
		{"unknown action", policy.Identity, st(`"Action":["s3:PutObjects","s3:Frob*","so3:PutObject","S3:putobject"],"Resource":"*"`), "unknown-action:2 unknown-action:2 unknown-action:2", "s3:PutObject?"},
		{"unknown key", policy.Identity, st(`"Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`), "unsupplied-key:2", "Allow that names it"},
		{"unknown variable", policy.Identity, st(`"Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:user}/*"`), "unsupplied-key:2", ""},
		{"NotAction", policy.Identity, st(`"NotAction":"iam:*","Resource":"*"`), "allow-not-action:2", ""},
		{"NotResource", policy.Identity, st(`"Action":"s3:*","NotResource":"arn:aws:s3:::b/*"`), "allow-not-resource:2", ""},
		{"everyone", policy.Bucket, st(`"Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`), "open-principal:2", ""},
		{"deputy", policy.Function, st(`"Principal":{"Service":"iot.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"*"`), "confused-deputy:2", "SourceArn"},
		{"equals with a star", policy.Identity, st(`"Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"s3:prefix":"home/*"}}`), "wildcard-in-equals:2", "StringLike"},
		{"date", policy.Identity, st(`"Action":"s3:*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"tomorrow"}}`), "unreadable-value:2", ""},
	} {
		var got []string
		said := c.says == ""
		for _, f := range policy.Lint(c.kind, c.text) {
			got = append(got, fmt.Sprintf("%s:%d", f.Code, f.Line))
			said = said || strings.Contains(f.Sentence+" "+f.Fix, c.says)
			if f.Sentence == "" || f.Fix == "" {
				t.Errorf("%s: an empty finding: %+v", c.name, f)
			}
		}
		if s := strings.Join(got, " "); s != c.want || !said {
			t.Errorf("%s: got %q, want %q that says %q\n%+v", c.name, s, c.want, c.says, policy.Lint(c.kind, c.text))
		}
	}
}

// Whatever is linted costs a bounded time and never panics; what parses has no
// finding of syntax.
func FuzzLint(f *testing.F) {
	f.Add(uint8(6), `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:r:1:topic/${iot:ClientId}"}}`)
	f.Add(uint8(4), `{"Statement":[{"Effect":"Deny","NotPrincipal":{"CanonicalUser":"x"},"NotAction":"*","NotResource":"arn:aws:s3"}]}`)
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		k := policy.Kind(kind % 7)
		_, err := policy.Parse(k, "x", text)
		for _, found := range policy.Lint(k, text) {
			if (found.Code == "syntax") != (err != nil) {
				t.Fatalf("%v, and %+v", err, found)
			}
			if found.Line < 1 || found.Sentence == "" || found.Fix == "" {
				t.Fatalf("an empty finding: %+v", found)
			}
		}
	})
}

// Nothing that a stranger may send costs more than its size times a small
// factor, whichever way it is looked at.
func TestDocumentsStayLinear(t *testing.T) {
	many := func(n int, one string) string {
		return `{"Version":"2012-10-17","Statement":[` + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + `]}`
	}
	list := func(n int, one string) string { return "[" + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + "]" }
	for name, text := range map[string]string{
		"statements": many(3000, `{"Effect":"Allow","Action":"iot:Pubblish","Resource":"arn:aws:iot:*:*:topic/${iot:ClientId}/a"}`),
		"actions":    many(1, `{"Effect":"Allow","Action":`+list(20000, `"zz:`+strings.Repeat("*a", 3)+`"`)+`,"Resource":"*"}`),
		"resources":  many(1, `{"Effect":"Allow","Action":"*","Resource":`+list(9000, `"arn:aws:s3:::`+strings.Repeat("*a", 10)+`b"`)+`}`),
		"stars":      many(1, `{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${iot:ClientId}`+strings.Repeat("*a", 150_000)+`b"}`),
		"both":       many(100, `{"Effect":"Allow","Action":`+list(60, `"s3:PutObject"`)+`,"Resource":`+list(60, `"arn:aws:s3:::b/*"`)+`}`),
		"conditions": many(1, `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:username":`+list(20000, `"*a*a*b"`)+`}}}`),
	} {
		start := processorTime()
		s := policy.Set{Identity: []*policy.Document{parse(t, policy.Identity, name, text)}}
		r := policy.Request{Principal: principal(t, "alice"), Action: "s3:PutObject", Resource: strait.ARN("arn:aws:s3:::" + strings.Repeat("a", 1024)),
			Context: policy.Context{"aws:username": {strings.Repeat("a", 64)}, "iot:clientid": {"a"}}}
		policy.Explain(s, r, s.Decide(r))
		s.Allowed(r)
		s.Guard(r).Check(r.Action, r.Resource, now, nil)
		if found := policy.Lint(policy.IoT, text); len(found) > 1000 {
			t.Errorf("%s: %d findings", name, len(found))
		}
		if d := processorTime() - start; d > 15*time.Second {
			t.Errorf("%s of %d bytes took %v", name, len(text), d)
		}
	}
	var b policy.Batch
	start := processorTime()
	if _, err := b.Line("{" + strings.TrimSuffix(strings.Repeat(`"a":1,`, 60000), ",") + "}"); err == nil {
		t.Error("a line of 60,000 equal keys is taken")
	}
	var keys strings.Builder
	for i := range 40000 {
		fmt.Fprintf(&keys, `"%d":1,`, i)
	}
	if _, err := b.Line("{" + strings.TrimSuffix(keys.String(), ",") + "}"); err == nil || processorTime()-start > time.Second {
		t.Errorf("a line of 40,000 keys: %v after %v", err, processorTime()-start)
	}
}
