package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"strait"
	"strait/await"
	"strait/server"
	"strait/setup"
)

const patience = await.Patience

// A yard is a server with one device, whose policy is the test's.
type yard struct {
	*testing.T
	server *server.Server
	tls    *tls.Config
	addr   string
	mute   bool // the clients acknowledge nothing
}

func raise(t *testing.T, limits, document string) *yard {
	t.Helper()
	return raiseWith(t, func(c *server.Config) { c.Limits = limits }, document)
}

func raiseWith(t *testing.T, change func(*server.Config), document string) *yard {
	t.Helper()
	cfg := server.Config{
		Data: t.TempDir(), Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"}, Hosts: []string{"localhost"},
		HTTPS: []string{"127.0.0.1:0"}, MQTT: []string{"127.0.0.1:0"},
	}
	change(&cfg)
	s, err := server.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	r := s.Ready()
	t.Setenv("AWS_ENDPOINT_URL", "https://"+r.HTTPS[0])
	t.Setenv("AWS_CA_BUNDLE", r.CA)
	t.Setenv("AWS_REGION", r.Region)
	admin, err := setup.NewSession(t.Context(), config.WithSharedCredentialsFiles([]string{r.Credentials}))
	if err != nil {
		t.Fatal(err)
	}
	thing, err := setup.Thing(t.Context(), admin, "device00", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(thing.Certificate, thing.Key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(r.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	name := "test"
	if _, err := admin.IoT.CreatePolicy(t.Context(), &iot.CreatePolicyInput{PolicyName: &name, PolicyDocument: &document}); err != nil {
		t.Fatal(err)
	}
	certs, err := admin.IoT.ListCertificates(t.Context(), &iot.ListCertificatesInput{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.IoT.AttachPolicy(t.Context(), &iot.AttachPolicyInput{PolicyName: &name, Target: certs.Certificates[0].CertificateArn}); err != nil {
		t.Fatal(err)
	}
	return &yard{t, s, &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, ServerName: "localhost", NextProtos: []string{"x-amzn-mqtt-ca"}}, r.MQTT[0], false}
}

// A guest is a client of paho.golang.
type guest struct {
	*testing.T
	c    *paho.Client
	got  chan *paho.Publish
	left chan *paho.Disconnect
}

func (y *yard) dial(id string) (*guest, context.Context) {
	y.Helper()
	ctx, cancel := context.WithTimeout(y.Context(), 2*patience)
	y.Cleanup(cancel)
	var nc net.Conn
	nc, err := (&tls.Dialer{Config: y.tls}).DialContext(ctx, "tcp", y.addr)
	if err != nil {
		y.Fatal(err)
	}
	g := &guest{T: y.T, got: make(chan *paho.Publish, 100), left: make(chan *paho.Disconnect, 1)}
	// Without the wrapping its ping may go out in the middle of another packet.
	g.c = paho.NewClient(paho.ClientConfig{Conn: packets.NewThreadSafeConn(nc), ClientID: id, EnableManualAcknowledgment: y.mute,
		OnPublishReceived:  []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) { g.got <- p.Packet; return true, nil }},
		OnServerDisconnect: func(d *paho.Disconnect) { g.left <- d },
	})
	return g, ctx
}

func (y *yard) connect(id string, c paho.Connect) *guest {
	y.Helper()
	g, ctx := y.dial(id)
	c.ClientID, c.KeepAlive = id, 30
	if _, err := g.c.Connect(ctx, &c); err != nil {
		y.Fatalf("connect %s: %v", id, err)
	}
	return g
}

func (g *guest) subscribe(filter string) {
	g.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := g.c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 1}}}); err != nil {
		g.Fatalf("subscribe %s: %v", filter, err)
	}
}

func (g *guest) next() *paho.Publish {
	g.Helper()
	select {
	case p := <-g.got:
		return p
	case <-time.After(patience):
		g.Fatal("nothing came")
		return nil
	}
}

const narrow = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"iot:Connect","Resource":["arn:aws:iot:ap-northeast-1:123456789012:client/a*","arn:aws:iot:ap-northeast-1:123456789012:client/watch"]},
 {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":["arn:aws:iot:ap-northeast-1:123456789012:topic/ok/*","arn:aws:iot:ap-northeast-1:123456789012:topic/$aws/events/*"]},
 {"Effect":"Allow","Action":"iot:Subscribe","Resource":["arn:aws:iot:ap-northeast-1:123456789012:topicfilter/ok/*","arn:aws:iot:ap-northeast-1:123456789012:topicfilter/$aws/events/*","arn:aws:iot:ap-northeast-1:123456789012:topicfilter/$share/g/ok/*"]}]}`

// TestRefusalsOfMQTT5: a client of paho.golang is told what it may not do, by
// which decision, and stays connected.
func TestRefusalsOfMQTT5(t *testing.T) {
	y := raise(t, "", narrow)
	g, ctx := y.dial("other")
	ack, err := g.c.Connect(ctx, &paho.Connect{ClientID: "other", KeepAlive: 30})
	if err == nil || ack == nil || ack.ReasonCode != 0x87 || !strings.Contains(ack.Properties.ReasonString, "iot:Connect") || !strings.Contains(ack.Properties.ReasonString, "(decision ") {
		t.Errorf("a forbidden CONNECT: %+v, %v", ack, err)
	}
	a := y.connect("a", paho.Connect{})
	sa, err := a.c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "no/x", QoS: 1}, {Topic: "ok/x", QoS: 1}, {Topic: "$SYS/#", QoS: 0}}})
	if sa == nil || string(sa.Reasons) != "\x87\x01\x87" || !strings.Contains(sa.Properties.ReasonString, "iot:Subscribe") {
		t.Errorf("SUBACK %+v, %v", sa, err)
	}
	for _, topic := range []string{"no/x", "$aws/things/x", "$other"} {
		pa, err := a.c.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1})
		if pa == nil || pa.ReasonCode != 0x87 || pa.Properties.ReasonString == "" {
			t.Errorf("publish to %s: %+v, %v", topic, pa, err)
		}
	}
	if _, err := a.c.Publish(ctx, &paho.Publish{Topic: "no/x"}); err != nil {
		t.Error(err)
	}
	if _, err := a.c.Publish(ctx, &paho.Publish{Topic: "ok/x", QoS: 1, Payload: []byte("hello"), Properties: &paho.PublishProperties{ContentType: "text/plain", ResponseTopic: "ok/y", CorrelationData: []byte("c")}}); err != nil {
		t.Fatal(err)
	}
	if p := a.next(); string(p.Payload) != "hello" || p.Properties.ContentType != "text/plain" || p.Properties.ResponseTopic != "ok/y" {
		t.Errorf("got %+v", p)
	}
	// Of a shared subscription one gets it, whatever version it speaks.
	a.subscribe("$share/g/ok/s")
	b := y.connect("a2", paho.Connect{})
	b.subscribe("$share/g/ok/s")
	for range 20 {
		if _, err := a.c.Publish(ctx, &paho.Publish{Topic: "ok/s", QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		select {
		case <-a.got:
		case <-b.got:
		case <-time.After(patience):
			t.Fatal("a message of a shared subscription did not come")
		}
	}
}

// TestLifecycleEvents: who watches $aws/events/ is told of everyone.
func TestLifecycleEvents(t *testing.T) {
	y := raise(t, "", narrow)
	w := y.connect("watch", paho.Connect{})
	w.subscribe("$aws/events/+/+/+")
	event := func(topic string) map[string]any {
		t.Helper()
		for {
			p := w.next()
			if strings.HasSuffix(p.Topic, "/watch") {
				continue // its own
			}
			var e map[string]any
			if err := json.Unmarshal(p.Payload, &e); err != nil {
				t.Fatal(err)
			}
			if p.Topic != "$aws/events/"+topic {
				t.Fatalf("got %s %v, want %s", p.Topic, e, topic)
			}
			return e
		}
	}
	for version := range 2 {
		a := y.connect("a", paho.Connect{})
		e := event("presence/connected/a")
		session := e["sessionIdentifier"]
		if e["clientId"] != "a" || e["eventType"] != "connected" || e["versionNumber"] != float64(version) || e["ipAddress"] != "127.0.0.1" ||
			len(e["principalIdentifier"].(string)) != 64 || len(session.(string)) != 36 || e["timestamp"].(float64) < 1e12 {
			t.Errorf("connected: %v", e)
		}
		a.subscribe("ok/a")
		if e := event("subscriptions/subscribed/a"); len(e["topics"].([]any)) != 1 || e["topics"].([]any)[0] != "ok/a" || e["sessionIdentifier"] != session {
			t.Errorf("subscribed: %v", e)
		}
		if _, err := a.c.Unsubscribe(t.Context(), &paho.Unsubscribe{Topics: []string{"ok/a"}}); err != nil {
			t.Fatal(err)
		}
		event("subscriptions/unsubscribed/a")
		if err := a.c.Disconnect(&paho.Disconnect{}); err != nil {
			t.Fatal(err)
		}
		e = event("presence/disconnected/a")
		if e["clientInitiatedDisconnect"] != true || e["disconnectReason"] != "CLIENT_INITIATED_DISCONNECT" || e["versionNumber"] != float64(version) {
			t.Errorf("disconnected: %v", e)
		}
	}
	// Taken over: the first is told so, and its end says so.
	first := y.connect("a", paho.Connect{})
	event("presence/connected/a")
	y.connect("a", paho.Connect{})
	select {
	case d := <-first.left:
		if d.ReasonCode != 0x8e {
			t.Errorf("taken over: DISCONNECT %#02x", d.ReasonCode)
		}
	case <-time.After(patience):
		t.Error("no DISCONNECT although it was taken over")
	}
	// The two events may come in either order.
	reasons := map[any]bool{}
	for range 2 {
		p := w.next()
		var e map[string]any
		_ = json.Unmarshal(p.Payload, &e)
		reasons[e["disconnectReason"]] = true
	}
	if !reasons["DUPLICATE_CLIENTID"] || !reasons[nil] {
		t.Errorf("after a take-over the events gave %v", reasons)
	}
	// Refused.
	g, ctx := y.dial("other")
	g.c.Connect(ctx, &paho.Connect{ClientID: "other", KeepAlive: 30})
	if e := event("presence/connect_failed/other"); e["connectFailureReason"] != "AUTHORIZATION_FAILED" {
		t.Errorf("connect_failed: %v", e)
	}
}

// TestLifecycleOfAnExclusiveThing: events and the connection tell the thing of
// a certificate that is attached to nothing else, whatever the client id is.
func TestLifecycleOfAnExclusiveThing(t *testing.T) {
	y := raise(t, "", narrow)
	admin, err := setup.NewSession(t.Context(), config.WithSharedCredentialsFiles([]string{y.server.Ready().Credentials}))
	if err != nil {
		t.Fatal(err)
	}
	name := "device00"
	has, err := admin.IoT.ListThingPrincipals(t.Context(), &iot.ListThingPrincipalsInput{ThingName: &name})
	if err != nil {
		t.Fatal(err)
	}
	w := y.connect("watch", paho.Connect{})
	w.subscribe("$aws/events/presence/connected/a")
	told := func() any {
		t.Helper()
		y.connect("a", paho.Connect{})
		var e map[string]any
		if err := json.Unmarshal(w.next().Payload, &e); err != nil {
			t.Fatal(err)
		}
		return e["thingName"]
	}
	if thing := told(); thing != nil {
		t.Errorf("without an exclusive attachment it is told of the thing %v", thing)
	}
	if _, err := admin.IoT.DetachThingPrincipal(t.Context(), &iot.DetachThingPrincipalInput{ThingName: &name, Principal: &has.Principals[0]}); err != nil {
		t.Fatal(err)
	}
	_, err = admin.IoT.AttachThingPrincipal(t.Context(), &iot.AttachThingPrincipalInput{ThingName: &name, Principal: &has.Principals[0], ThingPrincipalType: types.ThingPrincipalTypeExclusiveThing})
	if err != nil {
		t.Fatal(err)
	}
	if thing := told(); thing != name {
		t.Errorf("it is told of the thing %v", thing)
	}
	if code, body := y.desk().ask("GET", "/connections/a", ""); code != 200 || !strings.Contains(body, `"thingName":"device00"`) {
		t.Errorf("the connection: %d %s", code, body)
	}
}

// TestAWSQuotas: a second CONNECT within a second is refused, with --limits aws only.
func TestAWSQuotas(t *testing.T) {
	for limits, want := range map[string]byte{"": 0, "aws": 0x97} {
		y := raise(t, limits, narrow)
		y.connect("a", paho.Connect{})
		g, ctx := y.dial("a")
		ack, err := g.c.Connect(ctx, &paho.Connect{ClientID: "a", KeepAlive: 30})
		if ack == nil || ack.ReasonCode != want {
			t.Errorf("limits %q: %+v, %v, want %#02x", limits, ack, err, want)
		}
	}
}

// TestRetainedQuota: one retained message a second for a topic, with --limits
// aws only, over MQTT and HTTP; a device learns it from the PUBACK.
func TestRetainedQuota(t *testing.T) {
	for limits, want := range map[string]byte{"": 0, "aws": 0x97} {
		y := raise(t, limits, everything)
		a := y.connect("a", paho.Connect{})
		if _, err := a.c.Publish(t.Context(), &paho.Publish{Topic: "ok/x", QoS: 1, Retain: true, Payload: []byte("1")}); err != nil {
			t.Fatal(err)
		}
		ack, err := a.c.Publish(t.Context(), &paho.Publish{Topic: "ok/x", QoS: 1, Retain: true, Payload: []byte("2")})
		if ack == nil || ack.ReasonCode != want {
			t.Errorf("limits %q: %+v, %v, want %#02x", limits, ack, err, want)
		}
		code, body := y.desk().ask("POST", "/topics/ok/x?retain=true", "3")
		if (code == 429) != (want != 0) {
			t.Errorf("limits %q: HTTP %d %s", limits, code, body)
		}
	}
}
