package authz_test

import (
	"context"
	"strings"
	"testing"

	"strait"
	"strait/authz"
	"strait/identity"
)

// The policies of thing groups count when the connection is a thing of theirs
// and its certificate is attached to it, and from the moment that this is so.
// (iot-policies.md, section 6)
func TestGroupPolicies(t *testing.T) {
	h, ctx := open(t), context.Background()
	own := doc(allow("iot:Connect", "*"))
	device := h.device("device00", own)
	for _, name := range []string{"device00", "device01"} {
		_, err := h.d.CreateThing(ctx, identity.Thing{Name: name})
		h.must(err)
	}
	for _, g := range []identity.ThingGroup{{Name: "fleet"}, {Name: "east", Parent: "fleet"}, {Name: "apart"}} {
		_, err := h.d.CreateThingGroup(ctx, g, nil)
		h.must(err)
	}
	group := func(name string) strait.ARN { return place.IoT("thinggroup/" + name) }
	for _, name := range []string{"up", "down", "no", "third"} {
		text := doc(allow("iot:Publish", string(place.IoT("topic/"+name+"/${iot:Connection.Thing.ThingName}"))))
		if name == "no" {
			text = doc(deny("iot:Publish", string(place.IoT("topic/up/*"))))
		}
		_, err := h.d.CreateIoTPolicy(ctx, name, text)
		h.must(err)
	}
	h.must(h.d.AttachIoTPolicy(ctx, "up", group("fleet")))
	h.must(h.d.AttachIoTPolicy(ctx, "down", group("east")))
	h.must(h.d.AttachIoTPolicy(ctx, "no", group("apart")))

	other := *device
	other.ClientID = "elsewhere"
	https := *device
	https.ClientID = ""
	guards := map[*identity.Caller]*authz.Guard{device: h.Guard(*device), &other: h.Guard(other), &https: h.Guard(https)}
	// may is which of the three may publish to up/device00 and down/device00.
	may := func() string {
		var out []string
		for _, c := range []*identity.Caller{device, &other, &https} {
			for _, topic := range []string{"up/device00", "down/device00"} {
				ask := authz.Ask{Action: "iot:Publish", Resource: place.IoT("topic/" + topic)}
				_, err := h.Ask(c, "Publish", ask)
				live := guards[c].Check("Publish", ask.Action, ask.Resource, "", false, nil)
				if (err == nil) != (live == nil) {
					t.Errorf("%s to %s: asked %v, its guard %v", c.ClientID, topic, err, live)
				}
				if err == nil {
					out = append(out, c.ClientID+":"+topic[:2])
				}
			}
		}
		return strings.Join(out, " ")
	}
	for _, step := range []struct {
		what   string
		change func() error
		want   string
	}{
		{"no thing is attached", func() error { return nil }, ""},
		{"the thing is in a group, not attached", func() error { return h.d.Regroup(ctx, "device00", []string{"east"}, nil) }, ""},
		{"attached", func() error { return h.d.AttachThing(ctx, "device00", device.ARN, false) }, "device00:up device00:do"},
		{"exclusively", func() error {
			h.must(h.d.DetachThing(ctx, "device00", device.ARN))
			return h.d.AttachThing(ctx, "device00", device.ARN, true)
		}, "device00:up device00:do elsewhere:up elsewhere:do"},
		{"not exclusively again", func() error {
			h.must(h.d.DetachThing(ctx, "device00", device.ARN))
			return h.d.AttachThing(ctx, "device00", device.ARN, false)
		}, "device00:up device00:do"},
		{"another group denies", func() error { return h.d.Regroup(ctx, "device00", []string{"apart"}, nil) }, "device00:do"},
		{"the denying group is deleted", func() error {
			return h.d.DeleteThingGroup(ctx, "apart", func(*identity.ThingGroup) error { return nil })
		}, "device00:up device00:do"},
		{"from east up to fleet", func() error { return h.d.Regroup(ctx, "device00", []string{"fleet"}, []string{"east"}) }, "device00:up"},
		{"detached from the group", func() error { return h.d.DetachIoTPolicy(ctx, "up", group("fleet")) }, ""},
	} {
		h.must(step.change())
		if got := may(); got != step.want {
			t.Errorf("%s: %q may, want %q", step.what, got, step.want)
		}
	}

	// A group has two policies, a certificate ten.
	h.must(h.d.AttachIoTPolicy(ctx, "up", group("fleet")))
	h.must(h.d.AttachIoTPolicy(ctx, "down", group("fleet")))
	if err := h.d.AttachIoTPolicy(ctx, "third", group("fleet")); strait.KindOf(err) != strait.Limit {
		t.Errorf("a third policy on a group: %v", err)
	}
	// Each policy is weighed once, however often it is attached.
	h.must(h.d.AttachIoTPolicy(ctx, "up", device.ARN))
	if applied := h.d.AppliedTo(device); len(applied) != 3 {
		t.Errorf("policies that count: %+v", applied)
	}
}

// An explanation says which group brought a policy, and which groups do not
// count and why.
func TestGroupPoliciesExplained(t *testing.T) {
	h, ctx := open(t), context.Background()
	device := h.device("device00", doc(allow("iot:Connect", "*")))
	_, err := h.d.CreateThing(ctx, identity.Thing{Name: "device00"})
	h.must(err)
	_, err = h.d.CreateThingGroup(ctx, identity.ThingGroup{Name: "fleet"}, nil)
	h.must(err)
	_, err = h.d.CreateIoTPolicy(ctx, "topics", doc(allow("iot:Publish", string(place.IoT("topic/a")))))
	h.must(err)
	h.must(h.d.AttachIoTPolicy(ctx, "topics", place.IoT("thinggroup/fleet")))
	h.must(h.d.Regroup(ctx, "device00", []string{"fleet"}, nil))
	told := func(c *identity.Caller, topic string) string {
		r, err := h.Simulate(c, authz.Ask{Action: "iot:Publish", Resource: place.IoT("topic/" + topic)})
		h.must(err)
		return authz.Tell(r, h.d, true).Explanation
	}
	says := func(what, text string, words ...string) {
		t.Helper()
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q is missing in\n%s", what, w, text)
			}
		}
	}
	says("not attached", told(device, "a"), "The policies of thing group fleet do not count: the certificate is not attached to thing device00.")
	h.must(h.d.AttachThing(ctx, "device00", device.ARN, false))
	says("allowed", told(device, "a"), "Allowed by statement 1 of iot policy topics attached to thing group fleet (iot policy, line 1)")
	says("refused", told(device, "b"), "Statement 1 of iot policy topics attached to thing group fleet (iot policy, line 1) allows the action, but on",
		"The policy is attached to thing group fleet, so that means every thing in it.")
	other := *device
	other.ClientID = "other"
	says("another client id", told(&other, "a"),
		`The policies of thing group fleet do not count: the client id is "other", not the name of the thing device00, and the certificate is not attached to it exclusively.`)
	other.ClientID = ""
	says("over HTTPS", told(&other, "a"), "The policies of thing group fleet do not count: they do on MQTT connections only.")
}
