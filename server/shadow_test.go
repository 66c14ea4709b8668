package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/eclipse/paho.golang/paho"

	"strait/server"
)

const shadows = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"iot:Connect","Resource":"*"},
 {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"arn:aws:iot:ap-northeast-1:123456789012:topic/$aws/things/device00/shadow/*"},
 {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:ap-northeast-1:123456789012:topicfilter/$aws/things/device00/shadow/*"},
 {"Effect":"Deny","Action":"iot:Receive","Resource":"arn:aws:iot:ap-northeast-1:123456789012:topic/$aws/things/device00/shadow/update/documents"},
 {"Effect":"Allow","Action":"iot:GetThingShadow","Resource":"arn:aws:iot:ap-northeast-1:123456789012:thing/device00"}]}`

func (g *guest) publish(topic, payload string) error {
	g.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pa, err := g.c.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload)})
	if pa != nil && pa.ReasonCode >= 0x80 {
		return fmt.Errorf("%d %s", pa.ReasonCode, pa.Properties.ReasonString)
	}
	return err
}

// wantNext fails unless the next message is on the topic of the device's
// shadows and its document has the members of want.
func (g *guest) wantNext(topic, want string) {
	g.Helper()
	p := g.next()
	if p.Topic != "$aws/things/device00/shadow/"+topic {
		g.Fatalf("got %s %s, want a message on %s", p.Topic, p.Payload, topic)
	}
	var got, members map[string]any
	if err := json.Unmarshal(p.Payload, &got); err != nil {
		g.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &members); err != nil {
		g.Fatal(err)
	}
	for name, v := range members {
		a, _ := json.Marshal(got[name])
		if b, _ := json.Marshal(v); string(a) != string(b) {
			g.Errorf("%s: %s is %s, want %s", topic, name, a, b)
		}
	}
}

// TestShadowTopics: a device with the right to publish to, subscribe to and
// receive from the topics of its shadow uses it; each of these rights counts.
func TestShadowTopics(t *testing.T) {
	y := raise(t, "", shadows)
	g := y.connect("device00", paho.Connect{})
	g.subscribe("$aws/things/device00/shadow/+/+")
	const base = "$aws/things/device00/shadow/"
	must := func(topic, payload string) {
		t.Helper()
		if err := g.publish(base+topic, payload); err != nil {
			t.Fatal(err)
		}
	}
	must("get", `{"clientToken":"t0"}`)
	g.wantNext("get/rejected", `{"code":404,"message":"No shadow exists with name: 'device00'","clientToken":"t0"}`)
	// What is told of the update may not all be received: documents is denied.
	must("update", `{"state":{"desired":{"on":true},"reported":{"on":false}},"clientToken":"t1"}`)
	g.wantNext("update/accepted", `{"state":{"desired":{"on":true},"reported":{"on":false}},"version":1,"clientToken":"t1"}`)
	g.wantNext("update/delta", `{"state":{"on":true},"version":1,"clientToken":"t1"}`)
	must("update", `{"state":{"reported":{"on":true}},"version":7}`)
	g.wantNext("update/rejected", `{"code":409,"message":"Version conflict"}`)
	must("update", `{"state":{"reported":{"on":true}},"version":1}`)
	g.wantNext("update/accepted", `{"version":2}`)
	must("get", ``)
	g.wantNext("get/accepted", `{"state":{"desired":{"on":true},"reported":{"on":true}},"version":2}`)
	must("update", "{\"state\":\"\xff\"}")
	g.wantNext("update/rejected", `{"code":415}`)
	must("update", `{"state":{"reported":{"a":"`+strings.Repeat("x", 9000)+`"}}}`)
	g.wantNext("update/rejected", `{"code":413,"message":"The payload exceeds the maximum size allowed"}`)
	must("delete", ``)
	g.wantNext("delete/accepted", `{"version":2}`)

	// Named shadows are others.
	g.subscribe("$aws/things/device00/shadow/name/+/#")
	must("name/a/update", `{"state":{"desired":{"x":1}}}`)
	g.wantNext("name/a/update", `{"state":{"desired":{"x":1}}}`) // the request itself
	g.wantNext("name/a/update/accepted", `{"version":1}`)
	g.wantNext("name/a/update/delta", `{"state":{"x":1}}`)
	g.wantNext("name/a/update/documents", `{"previous":null}`)

	// Nobody speaks in the service's place, for others, or beside its topics.
	for _, topic := range []string{base + "update/accepted", base + "updates", base + "name/a/b/update", base + "name//update", "$aws/things/device01/shadow/update", "$aws/things//shadow/update"} {
		if err := g.publish(topic, "{}"); err == nil || !strings.HasPrefix(err.Error(), "135 ") {
			t.Errorf("publish to %s: %v, want a refusal", topic, err)
		}
	}
	// A burst without waiting: ten of a thing may be under way, and each
	// request has an answer.
	const many = 60
	for i := range many {
		if _, err := g.c.PublishWithOptions(t.Context(), &paho.Publish{Topic: base + "name/a/update", QoS: 1, Payload: fmt.Appendf(nil, `{"state":{"desired":{"n":%d}},"clientToken":"%d"}`, i, i)}, paho.PublishOptions{Method: paho.PublishMethod_AsyncSend}); err != nil {
			t.Fatal(err)
		}
	}
	accepted, refused, version := 0, 0, 1.0
	for accepted+refused < many {
		p := g.next()
		var d struct {
			Version float64
			Code    int
		}
		json.Unmarshal(p.Payload, &d)
		switch p.Topic {
		case base + "name/a/update/accepted":
			if accepted++; d.Version != version+1 {
				t.Errorf("version %v after %v", d.Version, version)
			}
			version = d.Version
		case base + "name/a/update/rejected":
			if refused++; d.Code != 429 {
				t.Errorf("refused: %s", p.Payload)
			}
		}
	}
	if accepted < 10 {
		t.Errorf("%d of %d were accepted", accepted, many)
	}
}

// TestShadowsOfCertificates: a device may ask over HTTPS with its certificate,
// which takes other rights than its topics.
func TestShadowsOfCertificates(t *testing.T) {
	y := raiseWith(t, func(c *server.Config) { c.HTTPSCert = []string{"127.0.0.1:0"} }, shadows)
	web := http.Client{Transport: &http.Transport{TLSClientConfig: y.tls.Clone()}}
	web.Transport.(*http.Transport).TLSClientConfig.NextProtos = nil
	for _, c := range []struct {
		method, path string
		status       int
		says         string
	}{
		{"GET", "/things/device00/shadow", 404, "No shadow exists with name: 'device00'"},
		{"GET", "/things/device00/shadow?name=a", 403, "Forbidden"},
		{"POST", "/things/device00/shadow", 403, "Forbidden"},
		{"GET", "/api/things/shadow/ListNamedShadowsForThing/device00", 403, "Forbidden"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "https://"+y.server.Ready().HTTPSCert[0]+c.path, strings.NewReader(`{"state":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status || !strings.Contains(string(b), c.says) {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, resp.StatusCode, b, c.status, c.says)
		}
	}
}

// TestShadowsAndRules: rules write shadows as their roles, see what is told of
// them, read them in their SQL, and cannot chase themselves for ever.
func TestShadowsAndRules(t *testing.T) {
	h := openRules(t)
	const topics = "arn:aws:iot:ap-northeast-1:" + ruleAccount + ":topic/"
	speak := h.role("speak", "iot.amazonaws.com", "iot:Publish", topics+"$aws/things/lamp/shadow/update")
	store := h.role("store", "iot.amazonaws.com", "s3:PutObject", "arn:aws:s3:::results/*")
	look := h.role("look", "iot.amazonaws.com", "iot:GetThingShadow", "arn:aws:iot:ap-northeast-1:"+ruleAccount+":thing/lamp")
	keep := func(key string) types.Action {
		return types.Action{S3: &types.S3Action{RoleArn: store, BucketName: aws.String("results"), Key: &key}}
	}
	failed := keep("failed")
	update := types.Action{Republish: &types.RepublishAction{RoleArn: speak, Topic: aws.String("$$aws/things/lamp/shadow/update"), Qos: aws.Int32(1)}}
	h.rule("report", "SELECT v AS state.reported.v FROM 'in/report'", update, &failed)
	h.rule("documents", "SELECT current.state.reported.v AS v, topic(3) AS thing FROM '$aws/things/+/shadow/update/documents'", keep("documents/${current.version}"), &failed)
	h.publish("in/report", `{"v":21}`)
	if got := h.object("documents/1"); got != `{"v":21,"thing":"lamp"}` {
		t.Errorf("a rule that sees documents: %s", got)
	}
	h.rule("asks", "SELECT get_thing_shadow('lamp', '"+*look+"').state.reported.v AS v FROM 'in/asks'", keep("asked"), &failed)
	h.publish("in/asks", `{}`)
	if got := h.object("asked"); got != `{"v":21}` {
		t.Errorf("get_thing_shadow: %s", got)
	}
	h.rule("forbidden", "SELECT get_thing_shadow('lamp', 'named', '"+*look+"') AS v FROM 'in/forbidden'", keep("forbidden"), &failed)
	h.publish("in/forbidden", `{}`)
	if got := h.object("failed"); !strings.Contains(got, "iot:GetThingShadow") {
		t.Errorf("get_thing_shadow of another shadow: %s", got)
	}
	again := keep("again")
	h.rule("loop", "SELECT current.state.reported.v + 1 AS state.reported.v FROM '$aws/things/lamp/shadow/update/documents'", update, &again)
	h.publish("in/report", `{"v":1}`)
	if got := h.object("again"); !strings.Contains(got, "republished 8 times") {
		t.Errorf("a rule that answers a shadow with a request: %s", got)
	}
}

// TestShadowRate: with AWS's limits a shadow takes twenty requests a second,
// over HTTP and MQTT together; another shadow is another matter.
func TestShadowRate(t *testing.T) {
	begin := time.Now()
	var moved atomic.Int64
	y := raiseWith(t, func(c *server.Config) {
		c.Limits, c.Now = "aws", func() time.Time { return begin.Add(time.Duration(moved.Load())) }
	}, shadows)
	moved.Store(int64(2 * time.Second))
	d, g := y.desk(), y.connect("device00", paho.Connect{})
	g.subscribe("$aws/things/device00/shadow/update/+")
	for i := range 20 {
		if status, body := d.ask("POST", "/things/device00/shadow", `{"state":{"reported":{"n":1}}}`); status != 200 {
			t.Fatalf("request %d: %d %s", i, status, body)
		}
	}
	if status, body := d.ask("GET", "/things/device00/shadow", ""); status != 429 || !strings.Contains(body, "more than 20 requests a second") {
		t.Errorf("request 21: %d %s", status, body)
	}
	for range 20 {
		if p := g.next(); !strings.HasSuffix(p.Topic, "/accepted") {
			t.Fatalf("got %s %s", p.Topic, p.Payload)
		}
	}
	if err := g.publish("$aws/things/device00/shadow/update", `{"state":{"reported":{"n":1}},"clientToken":"t"}`); err != nil {
		t.Fatal(err)
	}
	g.wantNext("update/rejected", `{"code":429,"message":"the shadow gets more than 20 requests a second","clientToken":"t"}`)
	if status, body := d.ask("POST", "/things/device00/shadow?name=other", `{"state":{"reported":{"n":1}}}`); status != 200 {
		t.Errorf("another shadow: %d %s", status, body)
	}
	moved.Add(int64(60 * time.Millisecond))
	if status, body := d.ask("GET", "/things/device00/shadow", ""); status != 200 {
		t.Errorf("a twentieth of a second later: %d %s", status, body)
	}
}
