package server_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/eclipse/paho.golang/paho"
)

var update = flag.Bool("update", false, "rewrite what testdata says is answered")

// A desk asks IoT Data by signed requests and writes down what is answered.
type desk struct {
	*testing.T
	url   string
	web   *http.Client
	creds aws.Credentials
	said  bytes.Buffer

	service string // whose scope the signatures have; "" is iotdata
}

func (y *yard) desk() *desk {
	y.Helper()
	c, err := config.LoadDefaultConfig(y.Context(), config.WithSharedCredentialsFiles([]string{y.server.Ready().Credentials}))
	if err != nil {
		y.Fatal(err)
	}
	creds, err := c.Credentials.Retrieve(y.Context())
	if err != nil {
		y.Fatal(err)
	}
	t := y.tls.Clone()
	t.NextProtos, t.Certificates = nil, nil
	return &desk{T: y.T, url: "https://" + y.server.Ready().HTTPS[0], web: &http.Client{Transport: &http.Transport{TLSClientConfig: t, DisableCompression: true}}, creds: creds}
}

// ask sends one request and returns its answer; headers are "Name: value".
func (d *desk) ask(method, target, body string, headers ...string) (int, string) {
	d.Helper()
	req, err := http.NewRequestWithContext(d.Context(), method, d.url+target, strings.NewReader(body))
	if err != nil {
		d.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(d.Context(), d.creds, req, hex.EncodeToString(sum[:]), cmp.Or(d.service, "iotdata"), "ap-northeast-1", time.Now()); err != nil {
		d.Fatal(err)
	}
	resp, err := d.web.Do(req)
	if err != nil {
		d.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		d.Fatal(err)
	}
	d.write(resp, method+" "+target, headers, string(b))
	return resp.StatusCode, string(b)
}

// What is different each time.
var passing = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<uuid>"},
	{regexp.MustCompile(`\b1[0-9]{12}\b`), "<ms>"},
	{regexp.MustCompile(`\b1[0-9]{9}(\.[0-9]{3})?\b`), "<s>"},
	{regexp.MustCompile(`Port":[0-9]+`), `Port":<port>`},
	{regexp.MustCompile(`"decisionId":"[^"]*"`), `"decisionId":"<id>"`},
	{regexp.MustCompile(`(?m)^X-Strait-Decision-Id: .*$`), "X-Strait-Decision-Id: <id>"},
}

func (d *desk) write(resp *http.Response, request string, headers []string, body string) {
	var b strings.Builder
	fmt.Fprintf(&b, "> %s\n", request)
	for _, h := range headers {
		fmt.Fprintf(&b, "> %s\n", h)
	}
	fmt.Fprintf(&b, "%d\n", resp.StatusCode)
	var names []string
	for name := range resp.Header {
		if name != "Date" && name != "Content-Length" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s: %s\n", name, resp.Header.Get(name))
	}
	fmt.Fprintf(&b, "%s\n\n", body)
	text := b.String()
	for _, p := range passing {
		text = p.re.ReplaceAllString(text, p.with)
	}
	d.said.WriteString(text)
}

// golden compares what was written down with testdata.
func (d *desk) golden(name string) {
	d.Helper()
	file := "testdata/" + name
	if *update {
		if err := os.WriteFile(file, d.said.Bytes(), 0o644); err != nil {
			d.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		d.Fatal(err)
	}
	got, lines := strings.Split(d.said.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(lines)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(lines) {
			w = lines[i]
		}
		if g != w {
			d.Fatalf("%s, line %d: got %q, want %q (-update rewrites it)", file, i+1, g, w)
		}
	}
}

// none fails if something comes before what the client itself sends now.
func (g *guest) none() {
	g.Helper()
	if _, err := g.c.Publish(g.Context(), &paho.Publish{Topic: "ok/marker", QoS: 1}); err != nil {
		g.Fatal(err)
	}
	if p := g.next(); p.Topic != "ok/marker" {
		g.Fatalf("got %s %q, want nothing", p.Topic, p.Payload)
	}
}

// TestConnectionManagement: connections are seen, ended and spoken to over HTTP;
// testdata/connections.txt has every answer.
func TestConnectionManagement(t *testing.T) {
	y := raise(t, "", narrow)
	d := y.desk()
	w := y.connect("watch", paho.Connect{})
	w.subscribe("ok/#")

	d.ask("GET", "/connections/a", "") // nobody yet
	expiry := uint32(600)
	connect := func() *guest {
		return y.connect("a", paho.Connect{CleanStart: false, Properties: &paho.ConnectProperties{SessionExpiryInterval: &expiry}, WillMessage: &paho.WillMessage{Topic: "ok/will", Payload: []byte("gone"), QoS: 1}})
	}
	a := connect()
	a.subscribe("ok/a")
	a.subscribe("ok/+/x")
	d.ask("GET", "/connections/a", "")
	d.ask("GET", "/connections/a?includeSocketInformation=true", "")
	_, first := d.ask("GET", "/connections/a/subscriptions?maxResults=1", "")
	token := regexp.MustCompile(`"nextToken":"([^"]+)"`).FindStringSubmatch(first)
	if token == nil {
		t.Fatalf("no token in %s", first)
	}
	d.ask("GET", "/connections/a/subscriptions?nextToken="+strings.ReplaceAll(token[1], "=", "%3D"), "")

	// Direct messages need no subscription, and only iot:Receive.
	d.ask("POST", "/connections/a/messages?topic=ok%2Fdirect", "hello", "x-amz-mqtt5-user-properties: "+base64.StdEncoding.EncodeToString([]byte(`[{"a":"1"},{"a":"2"}]`)))
	if p := a.next(); p.QoS != 0 || string(p.Payload) != "hello" || len(p.Properties.User) != 2 || p.Properties.User[1].Value != "2" {
		t.Errorf("direct message: %+v", p)
	}
	d.ask("POST", "/connections/a/messages?topic=ok/direct&confirmation=true&contentType=text%2Fplain&responseTopic=ok%2Fre", "sure",
		"x-amz-mqtt5-correlation-data: "+base64.StdEncoding.EncodeToString([]byte("id")), "x-amz-mqtt5-payload-format-indicator: UTF8_DATA")
	if p := a.next(); p.QoS != 1 || string(p.Payload) != "sure" || p.Properties.ContentType != "text/plain" || p.Properties.ResponseTopic != "ok/re" || string(p.Properties.CorrelationData) != "id" || *p.Properties.PayloadFormat != 1 {
		t.Errorf("direct message: %+v", p)
	}
	for _, target := range []string{
		"/connections/nobody/messages?topic=ok/x", "/connections/a/messages?topic=no/x", "/connections/a/messages?topic=no/x&confirmation=true",
		"/connections/a/messages", "/connections/a/messages?topic=%24aws/rules/r", "/connections/a/messages?topic=ok/x&timeout=16&confirmation=true",
		"/connections/a/messages?topic=ok/x&responseTopic=ok/%2B", "/connections/a/messages?topic=ok/x&confirmation=maybe", "/connections/%24x/messages?topic=ok/x",
	} {
		d.ask("POST", target, "x")
	}
	w.none() // nobody else saw any of these

	// Without its will, and its session stays.
	d.ask("DELETE", "/connections/a?preventWillMessage=true", "")
	if l := <-a.left; l.ReasonCode != 0x98 {
		t.Errorf("DISCONNECT %#02x, want 0x98", l.ReasonCode)
	}
	d.ask("DELETE", "/connections/a", "") // it is not connected
	w.none()
	y.until("the end is known", func() bool {
		_, body := (&desk{T: d.T, url: d.url, web: d.web, creds: d.creds}).ask("GET", "/connections/a", "")
		return strings.Contains(body, "API_INITIATED_DISCONNECT")
	})
	d.ask("GET", "/connections/a", "")
	d.ask("GET", "/connections/a/subscriptions", "")
	// With its will, and nothing is kept.
	a = connect()
	d.ask("DELETE", "/connections/a?cleanSession=true", "")
	<-a.left
	if p := w.next(); string(p.Payload) != "gone" {
		t.Errorf("got %s %q, want the will", p.Topic, p.Payload)
	}
	d.ask("GET", "/connections/a/subscriptions", "")
	// Wrong, and not allowed.
	d.ask("GET", "/connections/watch/subscriptions?maxResults=201", "")
	d.ask("GET", "/connections/watch?includeSocketInformation=yes", "")
	d.ask("PUT", "/connections/watch", "")
	d.golden("connections.txt")
}

// TestDirectMessageWaits: a confirmation that does not come is a 504.
func TestDirectMessageWaits(t *testing.T) {
	y := raise(t, "", narrow)
	y.mute = true
	y.connect("a", paho.Connect{})
	code, body := y.desk().ask("POST", "/connections/a/messages?topic=ok/x&confirmation=true&timeout=1", "x")
	if code != 504 || !strings.Contains(body, "did not confirm") {
		t.Errorf("got %d %s, want 504", code, body)
	}
}

// TestConnectionsByCertificate: a device, too, may look after connections, within
// its policy.
func TestConnectionsByCertificate(t *testing.T) {
	y := raise(t, "", strings.Replace(narrow, `"iot:Connect"`, `["iot:Connect","iot:GetConnection","iot:SendDirectMessage"]`, 1))
	y.connect("a", paho.Connect{})
	certified := y.tls.Clone()
	certified.NextProtos = []string{"x-amzn-http-ca"}
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: certified}}
	for target, want := range map[string]int{"/connections/a": 200, "/connections/b": 403, "/connections/a/subscriptions": 403, "/retainedMessage": 403, "/retainedMessage/ok/x": 403} {
		resp, err := web.Get("https://" + y.server.Ready().HTTPS[0] + target)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s: got %d %s, want %d", target, resp.StatusCode, b, want)
		}
	}
}

// TestRetainedMessages: what is retained is listed and read over HTTP, and what
// HTTP publishes has MQTT 5's properties; testdata/retained.txt has the answers.
func TestRetainedMessages(t *testing.T) {
	y := raise(t, "", narrow)
	d := y.desk()
	w := y.connect("watch", paho.Connect{})
	w.subscribe("ok/#")
	user := "x-amz-mqtt5-user-properties: " + base64.StdEncoding.EncodeToString([]byte(`[{"deviceName":"alpha"},{"deviceCnt":"45"}]`))
	d.ask("GET", "/retainedMessage", "")
	d.ask("POST", "/topics/ok%2Fr%2F1?qos=1&retain=true&contentType=text%2Fplain&responseTopic=ok%2Fre&messageExpiry=3600", "one", user,
		"x-amz-mqtt5-payload-format-indicator: UTF8_DATA", "x-amz-mqtt5-correlation-data: "+base64.StdEncoding.EncodeToString([]byte{0, 1}))
	p := w.next()
	if ps := p.Properties; ps.ContentType != "text/plain" || ps.ResponseTopic != "ok/re" || string(ps.CorrelationData) != "\x00\x01" || *ps.PayloadFormat != 1 ||
		ps.MessageExpiry == nil || *ps.MessageExpiry < 3590 || len(ps.User) != 2 || ps.User[0].Key != "deviceName" || ps.User[1].Value != "45" {
		t.Errorf("published over HTTP: %+v", p)
	}
	d.ask("POST", "/topics/ok/r/2?retain=true", "two")
	d.ask("GET", "/retainedMessage/ok%2Fr%2F1", "")
	d.ask("GET", "/retainedMessage/ok/r/2", "")
	d.ask("GET", "/retainedMessage/ok/r/3", "")
	_, first := d.ask("GET", "/retainedMessage?maxResults=1", "")
	token := regexp.MustCompile(`"nextToken":"([^"]+)"`).FindStringSubmatch(first)
	if token == nil {
		t.Fatalf("no token in %s", first)
	}
	d.ask("GET", "/retainedMessage?maxResults=200&nextToken="+strings.ReplaceAll(token[1], "=", "%3D"), "")
	d.ask("POST", "/topics/ok/r/1?retain=true", "") // forgets it
	d.ask("GET", "/retainedMessage/ok/r/1", "")
	for _, bad := range []string{"maxResults=0", "maxResults=x", "nextToken=%21", "nextToken=Iw%3D%3D"} {
		d.ask("GET", "/retainedMessage?"+bad, "")
	}
	for _, bad := range []string{"qos=2", "retain=perhaps", "messageExpiry=-1", "responseTopic=%23", "contentType=" + strings.Repeat("x", 257), "contentType=%ff"} {
		d.ask("POST", "/topics/ok/x?"+bad, "x")
	}
	for _, bad := range []string{"user-properties: x", "user-properties: " + base64.StdEncoding.EncodeToString([]byte(`[{"a":1}]`)), "payload-format-indicator: TEXT", "correlation-data: %"} {
		d.ask("POST", "/topics/ok/x", "x", "x-amz-mqtt5-"+bad)
	}
	d.ask("POST", "/topics/%24aws/events/presence/connected/x", "x")
	d.ask("POST", "/topics/%24aws/rules/r/x?retain=true", "x")
	d.golden("retained.txt")
}

// until waits for what a later moment brings.
func (y *yard) until(what string, is func() bool) {
	y.Helper()
	ctx, cancel := context.WithTimeout(y.Context(), patience)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			y.Fatalf("in vain: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
