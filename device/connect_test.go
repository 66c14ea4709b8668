package device_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iot"

	"strait"
	"strait/device"
)

// wide lets device00 connect under any name and use any topic below "free".
func (h *house) wide() {
	h.t.Helper()
	ctx := h.t.Context()
	doc := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"},
		{"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"arn:aws:iot:*:*:topic/free/*"},
		{"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/free/*"}]}`
	if _, err := h.admin.IoT.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: aws.String("wide"), PolicyDocument: &doc}); err != nil {
		h.t.Fatal(err)
	}
	ps, err := h.admin.IoT.ListThingPrincipals(ctx, &iot.ListThingPrincipalsInput{ThingName: aws.String("device00")})
	if err != nil || len(ps.Principals) != 1 {
		h.t.Fatalf("the thing's certificates are %v (%v)", ps, err)
	}
	if _, err := h.admin.IoT.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: aws.String("wide"), Target: &ps.Principals[0]}); err != nil {
		h.t.Fatal(err)
	}
}

// collect subscribes and hands on what comes.
func collect(t *testing.T, c *device.Client, filter string) <-chan device.Message {
	t.Helper()
	ch := make(chan device.Message, 1000)
	if err := c.Subscribe(within(t), filter, func(m device.Message) { ch <- m }); err != nil {
		t.Fatal(err)
	}
	return ch
}

func next(t *testing.T, ch <-chan device.Message) device.Message {
	t.Helper()
	select {
	case m := <-ch:
		return m
	case <-time.After(patience):
		t.Fatal("no message came")
		panic("unreachable")
	}
}

// The network goes away: messages wait, in order, the subscription comes back.
func TestReconnect(t *testing.T) {
	h := open(t)
	h.wide()
	w := newWire(t, h.s.Ready().MQTT[0])
	c := h.connect(func(cfg *device.Config) { cfg.Endpoint = w.addr })
	got := collect(t, c, "free/#")
	if err := c.Publish(within(t), device.Message{Topic: "free/a", Payload: []byte("before"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if m := next(t, got); string(m.Payload) != "before" || m.Topic != "free/a" {
		t.Fatalf("got %q on %s", m.Payload, m.Topic)
	}
	w.Cut()
	h.until("the client sees that the connection is gone", func() bool { up, err := c.Connected(); return !up && err != nil })
	const n = 120
	for i := range n {
		if err := c.Queue(device.Message{Topic: "free/b", Payload: fmt.Append(nil, i), QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := c.Publish(short, device.Message{Topic: "free/b", Payload: []byte("given up"), QoS: 1})
	wantKind(t, "a publish without a connection", err, strait.Unavailable, "free/b")
	w.Mend()
	if err := c.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		m := next(t, got)
		if i == 0 && string(m.Payload) == "before" {
			m = next(t, got) // its acknowledgement was cut off
		}
		if string(m.Payload) != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, m.Payload)
		}
	}
}

// What queued on the server while the device was away, even for a process that
// has started anew, finds its handler.
func TestResume(t *testing.T) {
	h := open(t)
	h.wide()
	c := h.connect(nil)
	collect(t, c, "free/#")
	c.Close()
	other := h.connect(func(cfg *device.Config) { cfg.ClientID = "other"; cfg.CleanSession = true })
	for i := range 20 {
		if err := other.Publish(within(t), device.Message{Topic: "free/x", Payload: fmt.Appendf(nil, "%4096d", i), QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	// Deliveries come before there is a handler: that is what is tested.
	w := newWire(t, h.s.Ready().MQTT[0])
	c = h.connect(func(cfg *device.Config) { cfg.Endpoint = w.addr })
	h.until("twenty deliveries", func() bool { return w.down.Load() > 20*4096 })
	got := collect(t, c, "free/#")
	for i := range 20 {
		if m := next(t, got); strings.TrimSpace(string(m.Payload)) != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, m.Payload)
		}
	}
	c.Close()
	// All but perhaps the last were acknowledged: none comes again.
	c = h.connect(nil)
	got = collect(t, c, "free/#")
	if err := other.Publish(within(t), device.Message{Topic: "free/x", Payload: []byte("last"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	m := next(t, got)
	if strings.TrimSpace(string(m.Payload)) == "19" {
		m = next(t, got) // Close came between its handler and its acknowledgement
	}
	if string(m.Payload) != "last" {
		t.Errorf("an acknowledged message came again: %q", m.Payload)
	}
}

// Refusals are told apart from a bad network, and hold nobody else up.
func TestRefused(t *testing.T) {
	h := open(t)
	h.wide()
	c := h.connect(nil)
	err := c.Subscribe(within(t), "secret/#", func(device.Message) {})
	wantKind(t, "a subscription that is not allowed", err, strait.Denied, "secret/#", "strait explain --thing device00")
	bad := make(chan error, 1)
	go func() {
		bad <- c.Publish(within(t), device.Message{Topic: "secret/x", Payload: []byte("x"), QoS: 1})
	}()
	for i := range 10 {
		if err := c.Publish(within(t), device.Message{Topic: "free/x", Payload: fmt.Append(nil, i), QoS: 1}); err != nil {
			t.Fatalf("a good message behind a refused one: %v", err)
		}
	}
	wantKind(t, "a publish that is not allowed", <-bad, strait.Denied, "secret/x", "strait explain")

	cfg := h.config()
	cfg.Endpoint = "127.0.0.1:1"
	_, err = device.Connect(within(t), cfg)
	wantKind(t, "a connection to nowhere", err, strait.Unavailable, "127.0.0.1:1")
	cfg = h.config()
	cfg.CAFile = ""
	cfg.CA = bytes.TrimSpace([]byte(otherCA))
	_, err = device.Connect(within(t), cfg)
	wantKind(t, "a server of an unknown authority", err, strait.Unauthenticated, "CA file")
	cfg = h.config()
	cfg.CertFile = cfg.CAFile
	_, err = device.Connect(within(t), cfg)
	wantKind(t, "a certificate without its key", err, strait.Invalid)

	ps, err := h.admin.IoT.ListThingPrincipals(t.Context(), &iot.ListThingPrincipalsInput{ThingName: aws.String("device00")})
	if err != nil {
		t.Fatal(err)
	}
	_, id, _ := strings.Cut(ps.Principals[0], "cert/")
	if _, err := h.admin.IoT.UpdateCertificate(t.Context(), &iot.UpdateCertificateInput{CertificateId: &id, NewStatus: "INACTIVE"}); err != nil {
		t.Fatal(err)
	}
	_, err = device.Connect(within(t), h.config())
	wantKind(t, "a certificate that is not active", err, strait.Denied, "strait explain")
}

// A thing whose rule is disabled gets no answer, and is told where to look.
func TestNoCredentials(t *testing.T) {
	h := open(t)
	c := h.connect(nil)
	if _, err := h.admin.IoT.DisableTopicRule(t.Context(), &iot.DisableTopicRuleInput{RuleName: aws.String("create_token")}); err != nil {
		t.Fatal(err)
	}
	// The time must do for asking, too, on a machine that is as slow as it likes.
	var err error
	for timeout := 300 * time.Millisecond; timeout < patience; timeout *= 4 {
		_, err = c.Credentials(device.CredentialsOptions{Timeout: timeout}).Grant(within(t))
		if err == nil || strings.Contains(err.Error(), "within "+timeout.String()) {
			break
		}
	}
	wantKind(t, "no answer", err, strait.Unavailable, "device00/token/res", "strait explain --thing device00")
	if _, err := h.admin.IoT.EnableTopicRule(t.Context(), &iot.EnableTopicRuleInput{RuleName: aws.String("create_token")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Credentials(device.CredentialsOptions{}).Grant(within(t)); err != nil {
		t.Errorf("after the rule was enabled: %v", err)
	}
	_, err = c.Credentials(device.CredentialsOptions{Duration: time.Minute}).Grant(within(t))
	wantKind(t, "a minute", err, strait.Invalid, "duration")
}

// A function of the user's own answers with three fields and no token.
func TestThreeFields(t *testing.T) {
	h := open(t)
	h.wide()
	if _, err := h.admin.IoT.DisableTopicRule(t.Context(), &iot.DisableTopicRuleInput{RuleName: aws.String("create_token")}); err != nil {
		t.Fatal(err)
	}
	signed := h.signed("127.0.0.1", nil)
	requests := collect(t, signed, "device00/token/req")
	c := h.connect(nil)
	var answering sync.WaitGroup
	answer := func(answers ...string) {
		answering.Go(func() {
			for _, s := range answers {
				next(t, requests)
				if err := signed.Publish(within(t), device.Message{Topic: "device00/token/res", Payload: []byte(s), QoS: 1}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	grant := func(o device.CredentialsOptions) (device.Grant, error) {
		defer answering.Wait()
		return c.Credentials(o).Grant(within(t))
	}
	answer(`{"AccessKeyId":"ASIAX","SecretAccessKey":"secret","SessionToken":"token"}`)
	g, err := grant(device.CredentialsOptions{})
	if err != nil || g.AccessKeyID != "ASIAX" || g.SecretAccessKey != "secret" || g.SessionToken != "token" || g.Prefix != "device00/" || g.Expiration.IsZero() {
		t.Errorf("Grant = %+v, %v", g, err)
	}
	// Without a token it may be an old one: it is asked again.
	answer(`{"error":{"code":"AccessDenied","message":"not you"}}`, `{"error":{"code":"AccessDenied","message":"not you"}}`)
	_, err = grant(device.CredentialsOptions{Purpose: "a"})
	wantKind(t, "a refusal", err, strait.Denied, "not you")
	answer(`{"AccessKeyId":"ASIAX"}`)
	_, err = grant(device.CredentialsOptions{Purpose: "b"})
	wantKind(t, "half an answer", err, strait.Unsupported, "SessionToken")
	// What belongs to another request is passed over.
	answer(`{"clientToken":"another","AccessKeyId":"ASIAX","SecretAccessKey":"secret","SessionToken":"token"}`)
	_, err = grant(device.CredentialsOptions{Purpose: "c", Timeout: time.Second})
	wantKind(t, "another's answer", err, strait.Unavailable)
}

func (h *house) signed(host string, change func(*device.Config)) *device.Client {
	h.t.Helper()
	_, port, _ := strings.Cut(h.s.Ready().HTTPS[0], ":")
	cfg := device.Config{Endpoint: host + ":" + port, ClientID: "operator", Region: "ap-northeast-1", Credentials: h.admin.Config.Credentials,
		CAFile: h.s.Ready().CA, KeepAlive: 6 * time.Second, Now: h.clock.Now}
	if change != nil {
		change(&cfg)
	}
	c, err := device.ConnectSigV4(within(h.t), cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	return c
}

// counted counts how often credentials are asked for.
type counted struct {
	aws.CredentialsProvider
	n chan struct{}
}

func (c counted) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c.n <- struct{}{}
	return c.CredentialsProvider.Retrieve(ctx)
}

// A signed connection: by TLS, and without where the server offers that; a new
// signature on each connection.
func TestSigV4(t *testing.T) {
	h := open(t)
	c := h.signed("localhost", nil)
	got := collect(t, c, "test")
	plain := h.signed("localhost", func(cfg *device.Config) {
		cfg.Endpoint, cfg.ClientID = "http://"+h.s.Ready().HTTP[0], "plain"
	})
	if err := plain.Publish(within(t), device.Message{Topic: "test", Payload: []byte("hello"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if m := next(t, got); string(m.Payload) != "hello" {
		t.Errorf("got %q", m.Payload)
	}
	w := newWire(t, h.s.Ready().HTTPS[0])
	asked := counted{h.admin.Config.Credentials, make(chan struct{}, 100)}
	cut := h.signed("localhost", func(cfg *device.Config) {
		cfg.Endpoint, cfg.ClientID, cfg.Credentials = w.addr, "cut", asked
	})
	w.Cut()
	h.until("the connection is gone", func() bool { up, _ := cut.Connected(); return !up })
	w.Mend()
	if err := cut.Publish(within(t), device.Message{Topic: "test", Payload: []byte("again"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if m := next(t, got); string(m.Payload) != "again" {
		t.Errorf("got %q", m.Payload)
	}
	if len(asked.n) < 2 {
		t.Errorf("credentials were asked for %d times, want for each connection", len(asked.n))
	}
	_, port, _ := strings.Cut(h.s.Ready().HTTPS[0], ":")
	_, err := device.ConnectSigV4(within(t), device.Config{
		Endpoint: "localhost:" + port, ClientID: "wrong", Region: "ap-northeast-1", CAFile: h.s.Ready().CA,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAWRONG", "wrong", "very-secret-token"), Now: h.clock.Now,
	})
	wantKind(t, "wrong keys", err, strait.Denied)
	if strings.Contains(err.Error(), "very-secret-token") {
		t.Error("the error tells the token")
	}
}

// A device may start without a network.
func TestOffline(t *testing.T) {
	h := open(t)
	h.wide()
	w := newWire(t, h.s.Ready().MQTT[0])
	w.Cut()
	c := h.connect(func(cfg *device.Config) { cfg.Endpoint, cfg.Offline, cfg.QueueSize = w.addr, true, 2 })
	for range 2 {
		if err := c.Queue(device.Message{Topic: "free/x", QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, "a full queue", c.Queue(device.Message{Topic: "free/x", QoS: 1}), strait.Limit)
	h.until("an attempt has failed", func() bool { _, err := c.Connected(); return err != nil })
	w.Mend()
	if err := c.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := c.Subscribe(within(t), "free/#", func(device.Message) {}); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "the same filter again", c.Subscribe(within(t), "free/#", func(device.Message) {}), strait.Exists)
	if err := c.Unsubscribe(within(t), "free/#"); err != nil {
		t.Error(err)
	}
	for _, m := range []device.Message{{}, {Topic: "a/#"}, {Topic: "a", QoS: 2}, {Topic: strings.Repeat("a", 257)}} {
		wantKind(t, fmt.Sprintf("message %+v", m), c.Publish(within(t), m), strait.Invalid)
	}
	wantKind(t, "a long message", c.Publish(within(t), device.Message{Topic: "a", Payload: make([]byte, 128<<10+1)}), strait.TooLarge)
	for _, f := range []string{"", "a/#/b", "a#", "a/b+", "\x00"} {
		wantKind(t, "filter "+f, c.Subscribe(within(t), f, func(device.Message) {}), strait.Invalid)
	}
	c.Close()
	if err := c.Publish(within(t), device.Message{Topic: "free/x", QoS: 1}); err == nil {
		t.Error("a closed client publishes")
	}
	if !slices.Contains([]string{"device00"}, c.ClientID()) {
		t.Error(c.ClientID())
	}
}
