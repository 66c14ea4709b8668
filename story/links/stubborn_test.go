package links_test

import (
	"crypto/tls"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// TestStubbornClient: MQTT 3.1.1 has no way to say no to a SUBSCRIBE but to
// close the connection, so an ordinary client comes again, is welcome, and
// subscribes again, for ever. Whenever somebody asks, the story is the refused
// Subscribe, not the Connect that is allowed; once it is allowed, too, there
// is nothing to tell any more.
func TestStubbornClient(t *testing.T) {
	h := open(t, byARN)
	restore := device("iot:Subscribe")(h)
	connected := make(chan struct{}, 1)
	subscribed := make(chan struct{}, 100)
	c := paho.NewClient(options(thing).AddBroker("tls://" + h.ready.MQTT[0]).
		SetTLSConfig(&tls.Config{RootCAs: h.pool, Certificates: []tls.Certificate{h.device}}).
		SetAutoReconnect(true).SetMaxReconnectInterval(50 * time.Millisecond).
		SetOnConnectHandler(func(c paho.Client) {
			select {
			case connected <- struct{}{}:
			default: // nobody looks: it has come often enough
			}
			if token := c.Subscribe(thing+"/token/res", 1, nil); token.Wait() && token.Error() == nil {
				subscribed <- struct{}{}
			}
		}))
	if token := c.Connect(); token.Wait() && token.Error() != nil {
		t.Fatal(token.Error())
	}
	defer c.Disconnect(0)
	wait := func(what string, came <-chan struct{}) {
		t.Helper()
		select {
		case <-came:
		case <-time.After(patience):
			t.Fatal("it did not " + what)
		}
	}
	wait("connect", connected)
	for range 3 {
		wait("connect again", connected)
		h.until("the refusal is told", func() bool { return h.story(thing).broken() != nil })
		if b := h.story(thing).Broken; b == nil || b.step() != subscribe {
			t.Fatalf("the broken link is %+v", b)
		}
	}
	h.explains(thing, []string{"breaks at Subscribe", "iot policy", thingPolicy, "topicfilter/" + thing + "/token/res"})
	restore()
	wait("subscribe", subscribed)
	h.until("nothing is broken any more", func() bool { return h.story(thing).broken() == nil })
}
