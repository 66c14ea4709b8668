package authz_test

import (
	"context"
	"testing"
	"time"

	"strait"
	"strait/authz"
	"strait/identity"
	"strait/policy"
)

// requests are what is asked of both in TestGuardEqualsAsk.
func requests() (out []authz.Ask) {
	for _, r := range []string{"topic/device00/token/res", "topic/device01/token/res", "topic/device00/token/req", "topic/late", "topic/tagged"} {
		for _, a := range []strait.Action{"iot:Publish", "iot:Receive", "iot:RetainPublish"} {
			out = append(out, authz.Ask{Action: a, Resource: place.IoT(r)})
		}
	}
	for _, id := range []string{"device00", "device01"} {
		out = append(out, authz.Ask{Action: "iot:Connect", Resource: place.IoT("client/" + id)},
			authz.Ask{Action: "iot:Subscribe", Resource: place.IoT("topicfilter/" + id + "/#")})
	}
	return append(out, authz.Ask{Action: "iot:Publish", Resource: place.IoT("topic/x"), Context: policy.Context{"iot:lastwilltopic": {"x"}}})
}

// After each change the guard of every connection answers what Ask answers.
func TestGuardEqualsAsk(t *testing.T) {
	h, ctx := open(t), context.Background()
	const self = "arn:aws:iot:ap-northeast-1:123456789012:"
	wide := doc(allow("iot:*", "*"))
	thing := doc(allow("iot:Connect", self+"client/${iot:ClientId}"), allow("iot:Publish", self+"topic/${iot:Connection.Thing.ThingName}/token/req"),
		allow("iot:Receive", self+"topic/${iot:ClientId}/*"), allow("iot:Subscribe", self+"topicfilter/${iot:ClientId}/#"))
	late := doc(allow("iot:Publish", self+"topic/device00/*"),
		`{"Effect":"Allow","Action":"iot:*","Resource":"`+self+`topic/late","Condition":{"DateGreaterThan":{"aws:CurrentTime":"2026-11-21T12:30:00Z"}}}`,
		`{"Effect":"Allow","Action":"iot:*","Resource":"`+self+`topic/tagged","Condition":{"StringEquals":{"aws:PrincipalTag/team":"a"}}}`)

	device := h.device("device00", thing)
	alice := h.user("alice", late)
	r := h.role("sts-sample-role", lambdaTrust, wide)
	narrow := h.session(r, "narrow", late)
	open, gone := h.session(r, "open", ""), h.session(h.role("gone", lambdaTrust, ""), "gone", "")
	h.must(h.d.SetResourcePolicy(ctx, policy.Bucket, "arn:aws:s3:::b", doc(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:s3:::b/*"}`), ""))

	guards := map[*identity.Caller]*authz.Guard{}
	for _, c := range []*identity.Caller{device, alice, narrow, open, gone} {
		guards[c] = h.Guard(*c)
	}
	answers := func(what string) (allowed int) {
		t.Helper()
		for c, g := range guards {
			for _, a := range requests() {
				v, err := h.Ask(c, "Test", a)
				if (err == nil) != v[0].Allowed {
					t.Fatalf("%s: the error and the verdict differ: %v, %+v", what, err, v[0])
				}
				for _, traced := range []bool{false, true} {
					got := g.Check("Test", a.Action, a.Resource, c.Trace, traced, a.Context)
					if (got == nil) != v[0].Allowed || got != nil && got.Error() != err.Error() {
						t.Errorf("%s: %s %s %s:\nguard %v\n  ask %v", what, c.ARN, a.Action, a.Resource, got, err)
					}
				}
				if v[0].Allowed {
					allowed++
				}
			}
		}
		return allowed
	}

	last := answers("at first")
	for _, step := range []struct {
		what   string
		change func() error
	}{
		{"after the thing was made", func() error { _, err := h.d.CreateThing(ctx, identity.Thing{Name: "device00"}); return err }},
		{"after the time has come", func() error { h.clock = h.clock.Add(time.Hour); return nil }},
		{"after the role was tagged", func() error {
			return h.d.ChangeRole(ctx, "sts-sample-role", func(r *identity.Role) error { r.Tags = map[string]string{"team": "a"}; return nil })
		}},
		{"after the user was tagged", func() error {
			return h.d.ChangeUser(ctx, "alice", func(u *identity.User) error { u.Tags = map[string]string{"team": "a"}; return nil })
		}},
		{"after a policy changed", func() error { _, err := h.d.AddIoTVersion(ctx, "device00", wide, true); return err }},
		{"after the certificate was made inactive", func() error {
			return h.d.ChangeCertificate(ctx, device.ID, func(c *identity.CertificateRecord) error { c.Status = identity.Inactive; return nil })
		}},
		{"after the certificate was made active", func() error {
			return h.d.ChangeCertificate(ctx, device.ID, func(c *identity.CertificateRecord) error { c.Status = identity.Active; return nil })
		}},
		{"after the policy was detached", func() error { return h.d.DetachIoTPolicy(ctx, "device00", device.ARN) }},
		{"after the role was narrowed", func() error {
			h.put("sts-sample-role", doc(allow("iot:Publish", self+"topic/device00/*"), deny("iot:*", "arn:aws:iot:*:*:*/token/req")))
			return nil
		}},
		{"after a key was made inactive", func() error { return h.d.SetAccessKey(ctx, "alice", alice.KeyID, true) }},
		{"after a role was deleted", func() error { return h.d.DeleteRole(ctx, "gone") }},
		{"after it was made again", func() error { h.role("gone", lambdaTrust, wide); return nil }},
	} {
		h.must(step.change())
		now := answers(step.what)
		if now == last && step.what != "after a role was deleted" && step.what != "after it was made again" {
			t.Errorf("%s: still %d requests are allowed, so this step shows nothing", step.what, now)
		}
		last = now
	}
	if guards[gone].Alive() || guards[alice].Alive() || !guards[device].Alive() {
		t.Error("who is alive is wrong")
	}
}

// A policy that cannot be read allows nothing, in a guard neither.
func TestGuardUnreadable(t *testing.T) {
	h := open(t)
	g := h.Guard(*h.session(h.role("r", lambdaTrust, doc(allow("*", "*"))), "s", "{"))
	err := g.Check("Publish", "iot:Publish", place.IoT("topic/x"), "", false, nil)
	if err == nil || strait.KindOf(err) == strait.Denied {
		t.Errorf("a guard with a session policy that cannot be read: %v", err)
	}
}

func TestGuardDeadline(t *testing.T) {
	h := open(t)
	r := h.role("r", lambdaTrust, "")
	device := h.device("d", doc(allow("*", "*")))
	short, long := h.session(r, "short", ""), h.session(r, "long", "")
	long.Session.Expires = h.clock.Add(48 * time.Hour)
	for _, c := range []struct {
		what string
		who  *identity.Caller
		want time.Time
	}{
		{"a session", short, short.Session.Expires},
		{"a session longer than a connection may be", long, h.clock.Add(24 * time.Hour)},
		{"a user", h.user("u", ""), h.clock.Add(24 * time.Hour)},
		{"a certificate", device, device.Certificate.NotAfter},
	} {
		if got := h.Guard(*c.who).Deadline(); !got.Equal(c.want) {
			t.Errorf("deadline of %s: got %s, want %s", c.what, got, c.want)
		}
	}
}

// A check that is allowed and belongs to no trace costs no memory.
func TestGuardAllocatesNothing(t *testing.T) {
	if race {
		t.Skip("the race detector allocates")
	}
	h := open(t)
	g := h.Guard(*h.device("d", doc(allow("iot:Publish", "arn:aws:iot:*:*:topic/${iot:ClientId}/*"))))
	resource := place.IoT("topic/d/x")
	if n := testing.AllocsPerRun(100, func() {
		if err := g.Check("Publish", "iot:Publish", resource, "", false, nil); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("an allowed check allocates %v times", n)
	}
}

func BenchmarkGuard(b *testing.B) {
	h := open(b)
	g := h.Guard(*h.device("d", doc(allow("iot:Publish", "arn:aws:iot:*:*:topic/${iot:ClientId}/*"))))
	resource := place.IoT("topic/d/x")
	for b.Loop() {
		if err := g.Check("Publish", "iot:Publish", resource, "", false, nil); err != nil {
			b.Fatal(err)
		}
	}
}
