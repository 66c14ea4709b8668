package device_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"

	"strait"
	"strait/device"
)

// shadowed lets device00 use its own shadows.
func (h *house) shadowed() {
	h.t.Helper()
	ctx := h.t.Context()
	doc := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"},
		{"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"arn:aws:iot:*:*:topic/$aws/things/device00/shadow/*"},
		{"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/$aws/things/device00/shadow/*"}]}`
	if _, err := h.admin.IoT.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: aws.String("shadows"), PolicyDocument: &doc}); err != nil {
		h.t.Fatal(err)
	}
	ps, err := h.admin.IoT.ListThingPrincipals(ctx, &iot.ListThingPrincipalsInput{ThingName: aws.String("device00")})
	if err != nil || len(ps.Principals) != 1 {
		h.t.Fatalf("the thing's certificates are %v (%v)", ps, err)
	}
	if _, err := h.admin.IoT.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: aws.String("shadows"), Target: &ps.Principals[0]}); err != nil {
		h.t.Fatal(err)
	}
}

// A device and an app share a shadow; both are Clients.
func TestShadow(t *testing.T) {
	h := open(t)
	h.shadowed()
	c := h.connect(nil)
	app := h.connect(func(cfg *device.Config) { cfg.ClientID = "app" })
	ctx := within(t)
	shadow := func(c *device.Client, name string) *device.Shadow {
		t.Helper()
		s, err := c.Shadow(name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	mine, theirs := shadow(c, "config"), shadow(app, "config")
	if shadow(c, "config") != mine {
		t.Error("the same name gives another shadow")
	}

	// There is none.
	_, err := mine.Get(ctx)
	wantKind(t, "get without a shadow", err, strait.NotFound, "404", "No shadow exists")
	wantKind(t, "delete without a shadow", mine.Delete(ctx), strait.NotFound)

	// The app wants something before the device listens, and once more after it.
	type wish struct{ Rate int }
	made, err := theirs.Update(ctx, device.ShadowUpdate{Desired: map[string]any{"rate": 1}})
	if err != nil || made.Version != 1 || string(made.State.Desired) != `{"rate":1}` {
		t.Fatalf("update: %+v, %v", made, err)
	}
	deltas := make(chan device.ShadowDelta, 10)
	if err := mine.Deltas(ctx, func(d device.ShadowDelta) { deltas <- d }); err != nil {
		t.Fatal(err)
	}
	want := func(rate int, version int64) {
		t.Helper()
		select {
		case d := <-deltas:
			var w wish
			if err := json.Unmarshal(d.State, &w); err != nil || w.Rate != rate || d.Version != version {
				t.Errorf("delta %+v (%s), want rate %d in version %d", d, d.State, rate, version)
			}
		case <-ctx.Done():
			t.Fatalf("no delta with rate %d came", rate)
		}
	}
	want(1, 1)
	if _, err := theirs.Update(ctx, device.ShadowUpdate{Desired: map[string]any{"rate": 2}, Version: 1}); err != nil {
		t.Fatal(err)
	}
	want(2, 2)
	// The device does as it is told, and both agree.
	if _, err := mine.Update(ctx, device.ShadowUpdate{Reported: map[string]any{"rate": 2}}); err != nil {
		t.Fatal(err)
	}
	doc, err := theirs.Get(ctx)
	if err != nil || doc.State.Delta != nil || string(doc.State.Reported) != `{"rate":2}` || doc.Version != 3 {
		t.Errorf("the document is %+v, %v", doc, err)
	}

	// Refusals have their kind.
	_, err = mine.Update(ctx, device.ShadowUpdate{Reported: map[string]any{}, Version: 2})
	wantKind(t, "an old version", err, strait.Conflict, "409")
	_, err = mine.Update(ctx, device.ShadowUpdate{Reported: strings.Repeat("x", 9)})
	wantKind(t, "no object", err, strait.Invalid, "Reported node must be an object")
	_, err = mine.Update(ctx, device.ShadowUpdate{Reported: map[string]any{"x": strings.Repeat("x", 9000)}})
	wantKind(t, "too much", err, strait.TooLarge)
	if _, err := c.Shadow("a/b"); strait.KindOf(err) != strait.Invalid {
		t.Errorf("a wrong name: %v", err)
	}
	if err := mine.Delete(ctx); err != nil {
		t.Error(err)
	}

	// Not another thing's.
	other := h.connect(func(cfg *device.Config) { cfg.ClientID, cfg.Thing = "other", "device01" })
	_, err = shadow(other, "").Get(ctx)
	wantKind(t, "another thing's shadow", err, strait.Denied)
}
