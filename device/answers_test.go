package device_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"

	"strait"
	"strait/device"
)

// A functionOfOnes is what a user's own function does: the operator answers
// device00's requests by hand. The pattern's own rule is switched off.
type functionOfOnes struct {
	requests atomic.Int32
	say      func(answer string)
}

// answering calls answer for each request, with its number from 1 and its token.
func (h *house) answering(answer func(f *functionOfOnes, n int, token string)) *functionOfOnes {
	h.t.Helper()
	if _, err := h.admin.IoT.DisableTopicRule(h.t.Context(), &iot.DisableTopicRuleInput{RuleName: aws.String("create_token")}); err != nil {
		h.t.Fatal(err)
	}
	operator := h.signed("127.0.0.1", nil)
	f := &functionOfOnes{}
	f.say = func(s string) {
		if err := operator.Publish(within(h.t), device.Message{Topic: "device00/token/res", Payload: []byte(s), QoS: 1}); err != nil && h.t.Context().Err() == nil {
			h.t.Error(err)
		}
	}
	err := operator.Subscribe(within(h.t), "device00/token/req", func(m device.Message) {
		var asked struct {
			ClientToken string `json:"clientToken"`
		}
		if err := json.Unmarshal(m.Payload, &asked); err != nil {
			h.t.Errorf("the request %s: %v", m.Payload, err)
		}
		answer(f, int(f.requests.Add(1)), asked.ClientToken)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}

// three is an answer of three fields, with others when the bucket matters.
func three(g device.Grant, token string) string {
	b, _ := json.Marshal(map[string]string{"AccessKeyId": g.AccessKeyID, "SecretAccessKey": g.SecretAccessKey, "SessionToken": g.SessionToken, "clientToken": token})
	return string(b)
}

// Scenario: a persistent session replays an answer of long ago just when the
// device has asked, and the function's answers name no request. The old one is
// recognised by its refusal, and asked for again: once.
func TestOldAnswer(t *testing.T) {
	h := open(t)
	c := h.connect(nil)
	good, err := c.Credentials(device.CredentialsOptions{}).Grant(within(t))
	if err != nil {
		t.Fatal(err)
	}
	// Credentials for elsewhere, as a former life of the device had.
	narrow, err := c.Credentials(device.CredentialsOptions{Purpose: "elsewhere"}).Grant(within(t))
	if err != nil {
		t.Fatal(err)
	}
	unknown := device.Grant{Credentials: strait.Credentials{AccessKeyID: "ASIAQQQQQQQQQQQQQQQQ", SecretAccessKey: "x", SessionToken: "y"}}
	c.Close()
	var answers []string
	f := h.answering(func(f *functionOfOnes, n int, _ string) { f.say(answers[min(n, len(answers))-1]) })
	for name, test := range map[string]struct {
		answers  []string
		requests int32
		kind     strait.Kind
		says     string
	}{
		"credentials of another key":      {[]string{three(unknown, ""), three(good, "")}, 2, 0, ""},
		"credentials for elsewhere":       {[]string{three(narrow, ""), three(good, "")}, 2, 0, ""},
		"an old refusal":                  {[]string{`{"error":{"code":"AccessDenied","message":"long ago"}}`, three(good, "")}, 2, 0, ""},
		"a refusal that is true":          {[]string{`{"error":{"code":"AccessDenied","message":"not you."}}`}, 2, strait.Denied, "not you. See: strait explain --thing device00"},
		"credentials that are no good":    {[]string{three(narrow, ""), three(narrow, "")}, 2, strait.Denied, "AccessDenied"},
		"credentials that never are good": {[]string{three(narrow, ""), three(unknown, "")}, 3, strait.Denied, ""},
	} {
		t.Run(name, func(t *testing.T) {
			answers = test.answers
			f.requests.Store(0)
			c := h.connect(nil)
			defer c.Close()
			var said events
			data := noise(11 * mib) // several parts are refused at once
			out, err := c.Upload(within(t), device.UploadInput{Body: bytes.NewReader(data), Size: int64(len(data)), Key: "x", PartSize: 5 * mib,
				Bucket: bucket, Region: "ap-northeast-1", Endpoint: "http://" + h.s.Ready().HTTP[0], Say: said.say})
			if test.kind != 0 {
				wantKind(t, name, err, test.kind, test.says)
			} else if err != nil {
				t.Fatal(err)
			} else if _, got := h.stored(out.Key); !bytes.Equal(got, data) {
				t.Error("what is stored differs")
			}
			if n := f.requests.Load(); n > test.requests || n < 2 {
				t.Errorf("it asked %d times, want twice, at most %d times: %v", n, test.requests, said.list)
			}
		})
	}
}

// Scenario: the function fails, tells the device so, and its queue runs it
// twice more for the same request: three refusals. Only the first is the
// answer; the others are no answer to what is asked later. When a later run
// succeeds, what it vends is taken.
func TestRefusalsRepeated(t *testing.T) {
	h := open(t)
	c := h.connect(nil)
	good, err := c.Credentials(device.CredentialsOptions{}).Grant(within(t))
	if err != nil {
		t.Fatal(err)
	}
	refusal := func(code, token string) string {
		return fmt.Sprintf(`{"error":{"code":%q,"message":"no"},"clientToken":%q}`, code, token)
	}
	var first string
	h.answering(func(f *functionOfOnes, n int, token string) {
		switch n {
		case 1:
			first = token
			f.say(refusal("AccessDenied", token))
		case 2: // the queue repeats the first before it comes to the second
			f.say(refusal("AccessDenied", first))
			f.say(refusal("AccessDenied", first))
			f.say(three(good, token))
		case 3:
			first = token
			f.say(refusal("TemporaryFailure", token))
		case 4: // the third request succeeds after all, the fourth does not
			f.say(three(good, first))
			f.say(refusal("TemporaryFailure", token))
		}
	})
	_, err = c.Credentials(device.CredentialsOptions{Purpose: "a"}).Grant(within(t))
	wantKind(t, "the first refusal", err, strait.Denied)
	g, err := c.Credentials(device.CredentialsOptions{Purpose: "b"}).Grant(within(t))
	if err != nil || g.AccessKeyID != good.AccessKeyID {
		t.Errorf("behind two repeated refusals: %v", err)
	}
	g, err = c.Credentials(device.CredentialsOptions{Purpose: "c"}).Grant(within(t))
	if err != nil || g.AccessKeyID != good.AccessKeyID {
		t.Errorf("a run that succeeds late: %v", err)
	}
}

// Two clients of one name end each other's connections: both say so instead of
// speaking of the network.
func TestRivals(t *testing.T) {
	h := open(t)
	a, b := h.connect(nil), h.connect(nil)
	h.until("one says what is wrong", func() bool {
		for _, c := range []*device.Client{a, b} {
			if _, err := c.Connected(); strait.KindOf(err) == strait.Conflict {
				wantKind(t, "a rival", err, strait.Conflict, "client device00", "another program")
				return true
			}
		}
		return false
	})
}

// Several programs of one machine share a name in turns, and none is thrown out.
func TestTurns(t *testing.T) {
	h := open(t)
	turns := func(cfg *device.Config) { cfg.Idle, cfg.TakeTurns, cfg.Offline = 50*time.Millisecond, true, true }
	var all []*device.Client
	for range 4 {
		all = append(all, h.connect(turns))
	}
	ended := make(chan error, len(all))
	for round := range 2 {
		for _, c := range all {
			go func() {
				_, err := c.Credentials(device.CredentialsOptions{Purpose: fmt.Sprint("p", round)}).Grant(within(t))
				ended <- err
			}()
		}
		for range all {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	h.until("all rest", func() bool {
		for _, c := range all {
			if up, err := c.Connected(); up || err != nil {
				return false
			}
		}
		return true
	})
	// Who does not let go keeps the others out; they say so.
	c := h.connect(func(cfg *device.Config) { cfg.TakeTurns = true })
	defer c.Close()
	cfg := h.config()
	cfg.TakeTurns = true
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := device.Connect(short, cfg)
	wantKind(t, "a second one", err, strait.Conflict, "another program of this machine", h.thing.Key)
}

// A half-open MQTT connection: it stands, and nothing passes. It is noticed and
// replaced, and what was under way arrives.
func TestHalfOpenMQTT(t *testing.T) {
	h := open(t)
	h.wide()
	w := newWire(t, h.s.Ready().MQTT[0])
	c := h.connect(func(cfg *device.Config) {
		cfg.Endpoint, cfg.Timeout, cfg.KeepAlive = w.addr, time.Second, time.Second
	})
	got := collect(t, c, "free/#")
	w.Freeze()
	if err := c.Publish(within(t), device.Message{Topic: "free/a", Payload: []byte("through"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if m := next(t, got); string(m.Payload) != "through" {
		t.Errorf("got %q", m.Payload)
	}
}

// An upload takes no more than its share of the link.
func TestBandwidth(t *testing.T) {
	h := open(t)
	const rate = 2 * mib
	c := h.connect(func(cfg *device.Config) { cfg.Bandwidth = rate })
	data := noise(3 * mib)
	start := time.Now()
	out, err := c.Upload(within(t), device.UploadInput{Body: bytes.NewReader(data), Size: int64(len(data)), Key: "slow"})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 1300*time.Millisecond {
		t.Errorf("%d bytes at %d bytes a second took %s", len(data), rate, took)
	}
	if _, got := h.stored(out.Key); !bytes.Equal(got, data) {
		t.Error("what is stored differs")
	}
}
