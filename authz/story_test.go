package authz_test

import (
	"testing"
	"time"

	"strait"
	"strait/authz"
)

// TestStories tells of requests as they come about, and asks after each what
// the story of device00 is and which of its links is broken.
func TestStories(t *testing.T) {
	const topic = "topic/device00/token/req"
	for _, c := range []struct {
		name   string
		tell   func(tell teller)
		first  strait.Action // of the chain
		length int
		broken string // action or event of the first broken link, "" for none
	}{
		{"a client that is refused and comes again", func(tell teller) {
			tell.allow("c1", "", "iot:Connect", "client/device00")
			tell.refuse("c1", "", "iot:Subscribe", "topicfilter/device00/x")
			tell.allow("c2", "", "iot:Connect", "client/device00")
		}, "iot:Connect", 2, "iot:Subscribe"},
		{"and is let in at last", func(tell teller) {
			tell.allow("c1", "", "iot:Connect", "client/device00")
			tell.refuse("c1", "", "iot:Subscribe", "topicfilter/device00/x")
			tell.allow("c2", "", "iot:Connect", "client/device00")
			tell.allow("c2", "", "iot:Subscribe", "topicfilter/device00/x")
		}, "iot:Connect", 2, ""},
		{"a certificate that was made active", func(tell teller) {
			tell.Recorder.Note(authz.Record{Trace: "c1", Thing: "device00", Operation: "Connect", Event: "not active", Broken: true})
			tell.allow("c2", "", "iot:Connect", "client/device00")
		}, "iot:Connect", 1, ""},
		{"a message, with the connection it came on", func(tell teller) {
			tell.allow("c1", "", "iot:Connect", "client/device00")
			tell.allow("c1", "", "iot:Publish", "topic/other")
			tell.allow("m1", "c1", "iot:Publish", topic)
		}, "iot:Connect", 2, ""},
		{"the failures that a refusal leads to", func(tell teller) {
			tell.allow("m1", "c1", "iot:Publish", topic)
			tell.service("m1", "x")
			tell.Recorder.Event("m1", "", "Function", "failed", true)
		}, "iot:Publish", 3, "s3:PutObject"},
		{"somebody else who may not see the message", func(tell teller) {
			tell.allow("m1", "c1", "iot:Publish", topic)
			tell.other("m1", "iot:Receive", topic)
			tell.Recorder.Event("m1", "", "Rule", "disabled", true)
		}, "iot:Publish", 3, "disabled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tell := newTeller(t)
			c.tell(tell)
			chain := tell.Recorder.LastTrace("device00")
			if len(chain) != c.length || chain[0].Action != c.first {
				t.Errorf("the chain has %d links: %s", len(chain), links(chain))
			}
			got := ""
			if b := authz.FirstBroken("device00", chain); b != nil {
				got = string(b.Action) + b.Event
			}
			if got != c.broken {
				t.Errorf("broken is %q, want %q: %s", got, c.broken, links(chain))
			}
		})
	}
}

func links(chain []*authz.Record) (out string) {
	for _, r := range chain {
		out += r.Effect + " " + string(r.Action) + r.Event + " " + string(r.Resource) + "; "
	}
	return out
}

// A teller lets things happen, a second apart.
type teller struct {
	*house
	may, mayNot, stranger *authz.Guard
}

func newTeller(t *testing.T) teller {
	h := open(t)
	guard := func(policy, client, text string) *authz.Guard {
		c := h.device(policy, text)
		c.ClientID = client
		return h.Guard(*c)
	}
	return teller{h,
		guard("wide", "device00", doc(allow("iot:*", "*"))),
		guard("narrow", "device00", doc(allow("iot:Connect", "*"))),
		guard("viewers", "viewer", doc(allow("iot:Connect", "*")))}
}

func (h teller) check(g *authz.Guard, trace, parent string, action strait.Action, resource string) error {
	h.t.Helper()
	c := *g.Caller()
	c.Trace = trace
	if parent != "" {
		c.Trace = parent
	}
	h.clock = h.clock.Add(time.Second)
	return h.Guard(c).Check("Test", action, place.IoT(resource), trace, true, nil)
}

func (h teller) allow(trace, parent string, action strait.Action, resource string) {
	h.t.Helper()
	h.must(h.check(h.may, trace, parent, action, resource))
}

func (h teller) refuse(trace, parent string, action strait.Action, resource string) {
	h.t.Helper()
	if h.check(h.mayNot, trace, parent, action, resource) == nil {
		h.t.Fatal("it is allowed")
	}
}

func (h teller) other(trace string, action strait.Action, resource string) {
	h.t.Helper()
	if h.check(h.stranger, trace, "", action, resource) == nil {
		h.t.Fatal("it is allowed")
	}
}

func (h teller) service(trace, resource string) {
	h.t.Helper()
	s := h.d.Service("iot.amazonaws.com", "", trace)
	h.house.refuse(&s, resource)
}
