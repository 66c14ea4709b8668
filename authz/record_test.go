package authz_test

import (
	"fmt"
	"testing"
	"time"

	"strait"
	"strait/authz"
	"strait/identity"
)

// refuse makes one refusal of c and returns its id.
func (h *house) refuse(c *identity.Caller, key string) string {
	h.t.Helper()
	_, err := h.Ask(c, "PutObject", authz.Ask{Action: "s3:PutObject", Resource: strait.S3("b/" + key)})
	id, ok := authz.IsRefusal(err)
	if !ok {
		h.t.Fatalf("ask for %s: %v, want a refusal", key, err)
	}
	return id
}

// What is the same within a second is one record that counts.
func TestRepeats(t *testing.T) {
	h := open(t)
	alice := h.user("alice", "")
	woken := h.Recorder.Wait()
	first := h.refuse(alice, "x")
	select {
	case <-woken:
	default:
		t.Error("who waits for a record was not told of it")
	}
	before := h.Recorder.Get(first)
	for range 9 {
		if id := h.refuse(alice, "x"); id != first {
			t.Fatalf("the same refusal has the id %s, want %s", id, first)
		}
	}
	if got := h.Recorder.Get(first); got.Count != 10 || before.Count != 1 {
		t.Errorf("counted %d, want 10; the record read before says %d, want 1", got.Count, before.Count)
	}
	if h.refuse(alice, "y") == first {
		t.Error("another resource has the same record")
	}
	h.clock = h.clock.Add(time.Second)
	if h.refuse(alice, "x") == first {
		t.Error("the next second has the same record")
	}
	if n := len(h.Recorder.Records()); n != 3 {
		t.Errorf("%d records, want 3", n)
	}
}

// A flood, be it of one refusal in ever new requests or of ever new refusals,
// does not push out what others need to read; and memory is bounded.
//
// Scenario: bob was refused once. Mallory asks as often as she can, first as
// herself in one request after another, then through what her messages set
// off, then strangers fail to connect under names they make up.
func TestFlood(t *testing.T) {
	h := open(t)
	bob, mallory := h.user("bob", ""), h.user("mallory", "")
	want := h.refuse(bob, "x")
	still := func(when string) {
		t.Helper()
		if h.Recorder.Get(want) == nil {
			t.Fatalf("%s: bob's refusal is gone", when)
		}
		if n := len(h.Recorder.Records()); n > 8192 {
			t.Fatalf("%s: %d records are kept, want at most 8192", when, n)
		}
	}
	var latest string
	for i := range 10000 { // the same refusal, each in a request of its own
		mallory.Trace = fmt.Sprint("request-", i)
		latest = h.refuse(mallory, "x")
		if i%100 == 0 {
			h.clock = h.clock.Add(time.Second)
		}
	}
	still("after one refusal was repeated in many requests")
	if h.Recorder.Get(latest) == nil {
		t.Error("mallory's latest refusal is not kept")
	}
	mallory.Trace = "one"
	for i := range 10000 {
		h.refuse(mallory, fmt.Sprint(i))
	}
	still("after many different refusals")

	for i := range 10000 { // a message of hers, and what a service did for it
		mallory.Trace = fmt.Sprint("message-", i)
		h.refuse(mallory, "x")
		service := h.d.Service("iot.amazonaws.com", place.IoT("rule/r"), mallory.Trace)
		h.refuse(&service, "x")
		h.Recorder.Event(mallory.Trace, "", "Rule", "no rule matches", true)
	}
	still("after a flood of messages that set off rules")

	for i := range 10000 {
		h.Recorder.Event(authz.NewTrace(), fmt.Sprint("made-up-", i), "Connect", "the certificate is not known", true)
	}
	still("after strangers tried to connect")

	// Bob's own chain is whole: one trace, in order.
	bob.Trace = "bobs"
	h.refuse(bob, "1")
	h.Recorder.Event("bobs", "", "Rule", "no rule matches", true)
	if got := h.Recorder.Trace("bobs"); len(got) != 2 || got[0].Event != "" || got[1].Event == "" {
		t.Errorf("bob's trace: %+v", got)
	}
}

func TestLastTrace(t *testing.T) {
	h := open(t)
	device := h.device("device00", doc(allow("iot:*", "*")))
	g := h.Guard(*device)
	check := func(action strait.Action, resource, trace string) {
		t.Helper()
		h.must(g.Check("Test", action, place.IoT(resource), trace, true, nil))
		h.clock = h.clock.Add(time.Second)
	}
	if got := h.Recorder.LastTrace("device00"); got != nil {
		t.Errorf("before anything happened: %+v", got)
	}
	check("iot:Connect", "client/device00", "connect-1")
	check("iot:Publish", "topic/device00/token/req", "publish")
	service := h.d.Service("iot.amazonaws.com", "", "publish")
	h.refuse(&service, "x") // what the message set off belongs to it
	check("iot:Connect", "client/device00", "connect-2")
	got := h.Recorder.LastTrace("device00")
	if len(got) != 2 || got[0].Action != "iot:Publish" || !got[1].Broken || got[0].Thing != "device00" {
		t.Errorf("the last trace: %+v; want the publish and what broke, not the later connect", got)
	}
}
