package links_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	paho "github.com/eclipse/paho.mqtt.golang"
)

const hashOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// assume takes the topic pattern's role; policy "" for all that it may.
func (h *house) assume(policy string) (aws.Credentials, error) {
	in := &sts.AssumeRoleInput{RoleArn: aws.String(string(h.topicRole)), RoleSessionName: aws.String(client)}
	if policy != "" {
		in.Policy = &policy
	}
	out, err := sts.NewFromConfig(h.caller).AssumeRole(h.ctx, in)
	if err != nil {
		return aws.Credentials{}, err
	}
	c := out.Credentials
	return aws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken}, nil
}

// socket is the signed address of a WebSocket; the token is added after
// signing, as AWS wants it.
func (h *house) socket(c aws.Credentials) string {
	h.t.Helper()
	token := c.SessionToken
	c.SessionToken = ""
	r, err := http.NewRequest("GET", "wss://"+h.ready.HTTPS[0]+"/mqtt?X-Amz-Expires=300", nil)
	h.must(err)
	signed, _, err := v4.NewSigner().PresignHTTP(context.Background(), c, r, hashOfNothing, "iotdevicegateway", h.place.Region, time.Now())
	h.must(err)
	return signed + "&X-Amz-Security-Token=" + url.QueryEscape(token)
}

// overSocket returns a client of the topic pattern: WebSocket, clean session
// false, keep-alive 6 s.
func (h *house) overSocket(c aws.Credentials, came chan<- paho.Message) mqttClient {
	return newClient(options(client).AddBroker(h.socket(c)).SetTLSConfig(h.tls()).SetCleanSession(false).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { came <- m }))
}

// narrow runs the topic pattern once: the step at which it broke for the
// client, and how.
func (h *house) narrow() (broke step, err error) {
	h.t.Helper()
	h.count++
	before := h.story(client).broken()
	creds, err := h.assume(h.sessionPolicy)
	if err != nil {
		return assume, err
	}
	came := make(chan paho.Message, 100)
	c := h.overSocket(creds, came)
	if err := c.do(c.Connect()); err != nil {
		return connect, err
	}
	defer c.Disconnect(0)
	if err := c.do(c.Subscribe(topic, 1, nil)); err != nil {
		return subscribe, err
	}
	text := fmt.Sprint("run-", h.count)
	if err := c.do(c.Publish(topic, 1, false, text)); err != nil {
		return publish, err
	}
	received := false
	h.until("the message comes or the story breaks", func() bool {
		for {
			select {
			case m := <-came:
				received = received || string(m.Payload()) == text
				continue
			default:
			}
			break
		}
		b := h.story(client).broken()
		return received || b != nil && (before == nil || b.ID != before.ID)
	})
	if !received {
		return receive, fmt.Errorf("the message did not come")
	}
	return "", nil
}

// TestResumeNarrow: the client subscribes to everything with all that the
// role may, and goes offline. 100 messages come, half of them on the one
// topic. It comes back as the same client with the session policy, and gets
// only those of its topic: Receive is decided when a message goes on the wire.
func TestResumeNarrow(t *testing.T) {
	h := open(t, byAccount)
	wide, err := h.assume("")
	h.must(err)
	came := make(chan paho.Message, 200)
	c := h.overSocket(wide, came)
	h.must(c.do(c.Connect()))
	h.must(c.do(c.Subscribe("#", 1, nil)))
	c.Disconnect(100)

	p := newClient(options("publisher").AddBroker(h.socket(wide)).SetTLSConfig(h.tls()))
	h.must(p.do(p.Connect()))
	for i := range 50 {
		h.must(p.do(p.Publish(topic, 1, false, fmt.Sprint(i))))
		h.must(p.do(p.Publish(fmt.Sprint("secret/", i), 1, false, "not for everyone")))
	}

	narrow, err := h.assume(h.sessionPolicy)
	h.must(err)
	c = h.overSocket(narrow, came)
	h.must(c.do(c.Connect()))
	h.must(p.do(p.Publish("secret/last", 1, false, "not for everyone")))
	h.must(p.do(p.Publish(topic, 1, false, "the end")))
	got := 0
	for timeout := time.After(patience); ; {
		select {
		case m := <-came:
			if m.Topic() != topic {
				t.Errorf("a message on %s came: %s", m.Topic(), m.Payload())
			}
			if string(m.Payload()) != "the end" {
				if want := fmt.Sprint(got); string(m.Payload()) != want {
					t.Errorf("message %q came, want %q: in order, each once", m.Payload(), want)
				}
				got++
				continue
			}
		case <-timeout:
			t.Fatal("the last message did not come")
		}
		break
	}
	if got != 50 {
		t.Errorf("%d messages of the topic came, want 50", got)
	}
	h.explains(client, []string{"Receive", "session policy", "secret/"})
	c.Disconnect(100)
	p.Disconnect(100)
}
