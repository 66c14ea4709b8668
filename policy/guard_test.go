package policy_test

import (
	"fmt"
	"testing"
	"time"

	"strait"
	"strait/policy"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const topic = "arn:aws:iot:ap-northeast-1:" + account + ":topic/"

// device is the guard of a connection by certificate.
func device(t testing.TB, text string, ctx policy.Context) *policy.Guard {
	t.Helper()
	s := policy.Set{IoT: []*policy.Document{parse(t, policy.IoT, "p", text)}}
	return s.Guard(policy.Request{Principal: principal(t, "cert"), Context: ctx})
}

// narrowed is the guard of P2: a session of a wide role, by a session policy.
func narrowed(t testing.TB) *policy.Guard {
	s := policy.Set{
		Identity: []*policy.Document{parse(t, policy.Identity, "AWSIoTFullAccess", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iot:*","iotjobsdata:*"],"Resource":"*"}]}`)},
		Session: []*policy.Document{parse(t, policy.Session, "session policy", `{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":"iot:Connect","Resource":"*"},
			{"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"arn:aws:iot:*:*:topic/test"},
			{"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/test"}]}`)},
		HasSession: true,
	}
	return s.Guard(policy.Request{Principal: principal(t, "session")})
}

const timed = `{"Version":"2012-10-17","Statement":[
	{"Effect":"Allow","Action":"iot:Publish","Resource":"*","Condition":{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-03-01T12:00:10Z"},"DateLessThan":{"aws:EpochTime":"1772366430"}}},
	{"Effect":"Deny","Action":"iot:Publish","Resource":"*","Condition":{"DateEquals":{"aws:CurrentTime":["2026-03-01T12:00:15Z","nonsense"]}}}]}`

// Time stays open in a guard; its verdict changes only at the marks that Until
// names, and is Decide's at every moment.
func TestGuardTime(t *testing.T) {
	g := device(t, timed, policy.Context{"aws:CurrentTime": {"1999-01-01"}})
	until := time.Time{}
	last, changes := false, 0
	for at := now; at.Before(now.Add(40 * time.Second)); at = at.Add(250 * time.Millisecond) {
		got := g.Check("iot:Publish", topic+"a", at, nil)
		if want := g.Decide("iot:Publish", topic+"a", at, nil).Allowed(); got != want {
			t.Fatalf("at %v check says %t, decide %t", at, got, want)
		}
		if got != last {
			changes++
			if at.Before(until) || until.IsZero() {
				t.Errorf("the verdict changed at %v, before %v", at, until)
			}
		}
		last, until = got, g.Until(at)
	}
	if changes != 4 || !until.IsZero() {
		t.Errorf("%d changes, the last mark %v; want 4 and none", changes, until)
	}
}

// What only Decide understands makes the guard slow, never wrong.
func TestGuardOddTime(t *testing.T) {
	g := device(t, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"iot:Publish","Resource":"`+topic+`${aws:EpochTime}"},
		{"Effect":"Allow","Action":"iot:Publish","Resource":"`+topic+`noon","Condition":{"StringLike":{"aws:CurrentTime":"*T12:00:0*"}}}]}`, nil)
	for resource, want := range map[strait.ARN]bool{topic + "noon": true, strait.ARN(fmt.Sprint(topic, now.Unix())): true, topic + "x": false} {
		if got := g.Check("iot:Publish", resource, now, nil); got != want {
			t.Errorf("publish %s: got %t, want %t", resource, got, want)
		}
	}
	if g.Check("iot:Publish", topic+"noon", now.Add(time.Minute), nil) {
		t.Error("a minute later it is still noon")
	}
	if got := g.Until(now); !got.Equal(now.Add(time.Second)) {
		t.Errorf("until %v, want the next second", got)
	}
}

func TestGuardExtra(t *testing.T) {
	g := device(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":"`+topic+`${iot:ClientId}"}]}`, policy.Context{"iot:clientid": {"a"}})
	for _, c := range []struct {
		topic string
		extra policy.Context
		want  bool
	}{{"a", nil, true}, {"b", nil, false}, {"b", policy.Context{"iot:ClientId": {"b"}}, true}, {"a", policy.Context{"iot:clientid": {"b"}}, false}} {
		if got := g.Check("iot:Publish", strait.ARN(topic+c.topic), now, c.extra); got != c.want {
			t.Errorf("publish %s with %v: got %t, want %t", c.topic, c.extra, got, c.want)
		}
	}
}

// Whoever made the guard may go on using what he gave it.
func TestGuardKeepsItsContext(t *testing.T) {
	ctx := policy.Context{"iot:clientid": {"a"}}
	g := device(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":"`+topic+`${iot:ClientId}"}]}`, ctx)
	ctx["iot:clientid"][0] = "b"
	if d := g.Decide("iot:Publish", topic+"b", now, nil); d.Allowed() {
		t.Error("a change of the context reached the guard")
	}
}

// A guard of a connection that is asked about taking on a role finds no trust.
func TestGuardRole(t *testing.T) {
	s := policy.Set{Identity: []*policy.Document{parse(t, policy.Identity, "admin", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)}}
	g := s.Guard(policy.Request{Principal: principal(t, "session")})
	if g.Check("STS:assumerole", "arn:aws:iam::123456789012:role/x", now, nil) {
		t.Error("a role without trust policy was given")
	}
	if !g.Check("s3:PutObject", "arn:aws:s3:::b/x", now, nil) {
		t.Error("an administrator may not put")
	}
}

func TestGuardAllocatesNothing(t *testing.T) {
	for name, g := range map[string]*policy.Guard{"narrowed": narrowed(t), "timed": device(t, timed, nil)} {
		for _, action := range []strait.Action{"iot:Publish", "iot:Receive", "s3:PutObject", "IOT:publish"} {
			if n := testing.AllocsPerRun(100, func() { g.Check(action, topic+"test", now, nil) }); n != 0 {
				t.Errorf("%s: a check of %s makes %v allocations", name, action, n)
			}
		}
	}
}

func BenchmarkGuardCheck(b *testing.B) {
	p1 := device(b, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:ap-northeast-1:123456789012:client/${iot:ClientId}"},
		{"Effect":"Allow","Action":"iot:Publish","Resource":"`+topic+`${iot:ClientId}/token/req"},
		{"Effect":"Allow","Action":"iot:Receive","Resource":"`+topic+`${iot:ClientId}/token/res"}]}`, policy.Context{"iot:clientid": {"device00"}})
	for _, c := range []struct {
		name     string
		guard    *policy.Guard
		action   strait.Action
		resource strait.ARN
		want     bool
	}{
		{"certificate", p1, "iot:Publish", topic + "device00/token/req", true},
		{"certificate refused", p1, "iot:Publish", topic + "device01/token/req", false},
		{"session", narrowed(b), "iot:Receive", topic + "test", true},
		{"session refused", narrowed(b), "iot:Receive", topic + "other", false},
		{"timed", device(b, timed, nil), "iot:Publish", topic + "x", false},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if c.guard.Check(c.action, c.resource, now, nil) != c.want {
					b.Fatal("wrong verdict")
				}
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	g := narrowed(b)
	b.ReportAllocs()
	for b.Loop() {
		g.Decide("iot:Receive", topic+"test", now, nil)
	}
}
