package mqtt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"strait/door/mqtt"
	"strait/door/mqtt/packet"
)

func TestPublishAndSubscribe(t *testing.T) {
	h := open(t, mqtt.Limits{})
	sub := h.connect(packet.Connect{ClientID: "sub"})
	pub := h.connect(packet.Connect{ClientID: "pub", Clean: true})
	sub.subscribe("a/+", 1)

	pub.send(&packet.Publish{Topic: "a/0", Payload: []byte("zero")})
	sub.expect(&packet.Publish{Topic: "a/0", Payload: []byte("zero")})

	pub.send(&packet.Publish{Topic: "a/1", Payload: []byte("one"), QoS: 1, PacketID: 9})
	pub.expect(puback(9))
	got := sub.next().(*packet.Publish)
	if got.QoS != 1 || got.PacketID == 0 || got.Dup || string(got.Payload) != "one" {
		t.Fatalf("delivered %+v", got)
	}
	id := got.PacketID

	// Two id spaces: a SUBSCRIBE with the id of a delivery in flight, then a
	// PUBLISH with it, disturb nothing.
	sub.send(&packet.Subscribe{PacketID: id, Subscriptions: []packet.Subscription{{Filter: "b", QoS: 0}}})
	sub.expect(&packet.Suback{PacketID: id, Codes: []byte{0}})
	sub.send(&packet.Publish{Topic: "c", QoS: 1, PacketID: id})
	sub.expect(puback(id))

	// It is not acknowledged, so it comes again with the next connection.
	_ = sub.nc.Close()
	h.ended(mqtt.Lost)
	sub = dial(t, h.addr)
	if !sub.hello(packet.Connect{ClientID: "sub"}) {
		t.Error("the session is not present")
	}
	got = sub.next().(*packet.Publish)
	if !got.Dup || string(got.Payload) != "one" {
		t.Errorf("delivered again %+v", got)
	}
	sub.send(puback(got.PacketID), puback(4711)) // the second is for nothing, which is harmless
	sub.send(&packet.Unsubscribe{PacketID: 3, Filters: []string{"a/+", "b"}})
	sub.expect(&packet.Ack{Kind: packet.TypeUnsuback, PacketID: 3})
	pub.send(&packet.Publish{Topic: "a/1", QoS: 1, PacketID: 10})
	pub.expect(puback(10))
	sub.ping() // and nothing came before that
	sub.send(disconnect)
	sub.closed()
	h.ended(mqtt.Disconnected)
}

func TestLargestMessage(t *testing.T) {
	h := open(t, mqtt.Limits{})
	r := h.connect(packet.Connect{ClientID: "a", Clean: true})
	r.subscribe("t", 0)
	for range 5 {
		r.send(&packet.Publish{Topic: "t", Payload: large, QoS: 1, PacketID: 1})
		for range 2 {
			switch p := r.next().(type) {
			case *packet.Ack:
			case *packet.Publish:
				if !bytes.Equal(p.Payload, large) {
					t.Fatal("the payload has changed on its way")
				}
			}
		}
	}
}

// TestViolations: each ends the connection, with nothing sent before.
func TestViolations(t *testing.T) {
	h := open(t, mqtt.Limits{})
	nine := make([]packet.Subscription, 9)
	for i := range nine {
		nine[i].Filter = fmt.Sprint(i)
	}
	for _, v := range []struct {
		name   string
		packet packet.Packet
		why    mqtt.Reason
	}{
		{"forbidden publish", &packet.Publish{Topic: "denied"}, mqtt.Refused},
		{"forbidden publish, QoS 1", &packet.Publish{Topic: "denied", QoS: 1, PacketID: 1}, mqtt.Refused},
		{"forbidden subscribe", &packet.Subscribe{PacketID: 1, Subscriptions: []packet.Subscription{{Filter: "denied"}}}, mqtt.Refused},
		{"wrong topic", &packet.Publish{Topic: "wrong"}, mqtt.ClientError},
		{"long topic", &packet.Publish{Topic: strings.Repeat("x", 257)}, mqtt.ClientError},
		{"deep topic", &packet.Publish{Topic: "1/2/3/4/5/6/7/8/9"}, mqtt.ClientError},
		{"a failure of ours", &packet.Publish{Topic: "broken"}, mqtt.ServerError},
		{"payload over 128 KiB", &packet.Publish{Topic: "t", Payload: append(large, 'x')}, mqtt.ClientError},
		{"packet over 146 KiB", &packet.Publish{Topic: "t", Payload: append(large, large...)}, mqtt.ClientError},
		{"nine filters", &packet.Subscribe{PacketID: 1, Subscriptions: nine}, mqtt.ClientError},
		{"nine filters back", &packet.Unsubscribe{PacketID: 1, Filters: strings.Split("abcdefghi", "")}, mqtt.ClientError},
		{"PUBREL", &packet.Ack{Kind: packet.TypePubrel, PacketID: 1}, mqtt.ClientError},
		{"PUBREC", &packet.Ack{Kind: packet.TypePubrec, PacketID: 1}, mqtt.ClientError},
		{"CONNACK", &packet.Connack{}, mqtt.ClientError},
		{"SUBACK", &packet.Suback{PacketID: 1, Codes: []byte{0}}, mqtt.ClientError},
		{"PINGRESP", &packet.Empty{Kind: packet.TypePingresp}, mqtt.ClientError},
		{"packet id 0", &packet.Publish{Topic: "t", QoS: 1}, mqtt.ClientError},
		{"topic with a wildcard", &packet.Publish{Topic: "a/+"}, mqtt.ClientError},
	} {
		t.Run(v.name, func(t *testing.T) {
			r := h.connect(packet.Connect{ClientID: "a", Clean: true})
			b, err := v.packet.Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = r.nc.Write(b) // of a large one, the end may not be taken
			r.closed()
			h.t = t
			h.ended(v.why)
		})
	}
}

// TestNoAnswer: what is met with silence leaves the connection open.
func TestNoAnswer(t *testing.T) {
	h := open(t, mqtt.Limits{})
	r := h.connect(packet.Connect{ClientID: "a", Clean: true})
	r.subscribe("t", 0)
	r.send(&packet.Publish{Topic: "t", QoS: 2, PacketID: 1},
		&packet.Publish{Topic: "dropped", QoS: 1, PacketID: 2},
		&packet.Publish{Topic: "dropped"},
		&packet.Subscribe{PacketID: 3, Subscriptions: []packet.Subscription{{Filter: "x", QoS: 1}, {Filter: "y", QoS: 2}}},
		&packet.Publish{Topic: "x", QoS: 1, PacketID: 4}) // nor was x subscribed
	r.expect(puback(4))
	r.ping()
}

// TestSomeFiltersFail: the 51st subscription fails, and the connection lives on.
func TestSomeFiltersFail(t *testing.T) {
	h := open(t, mqtt.Limits{})
	r := h.connect(packet.Connect{ClientID: "a", Clean: true})
	for i := range 49 {
		r.subscribe(fmt.Sprint(i), 0)
	}
	r.send(&packet.Subscribe{PacketID: 3, Subscriptions: []packet.Subscription{{Filter: "x", QoS: 1}, {Filter: "y", QoS: 1}}})
	r.expect(&packet.Suback{PacketID: 3, Codes: []byte{1, 0x80}})
	r.ping()
}

// TestPubacksWaitInOrder: a PUBACK goes out when its message is safe and its
// turn has come; meanwhile the door reads on, as far as the window goes.
func TestPubacksWaitInOrder(t *testing.T) {
	h := open(t, mqtt.Limits{Inflight: 3})
	gates := map[string]chan error{"0": make(chan error, 1), "1": make(chan error, 1), "3": make(chan error, 1)}
	arrived := make(chan string, 10)
	h.safe = func(topic string) func(context.Context) error {
		arrived <- topic
		gate, ok := gates[topic]
		if !ok {
			return nil // safe already, but it is not its turn
		}
		return func(ctx context.Context) error {
			select {
			case err := <-gate:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	r := h.connect(packet.Connect{ClientID: "a", Clean: true})
	for i := range 4 {
		r.send(&packet.Publish{Topic: fmt.Sprint(i), QoS: 1, PacketID: uint16(10 + i)})
	}
	for _, want := range []string{"0", "1", "2"} {
		if got := <-arrived; got != want {
			t.Fatalf("message %s arrived, want %s", got, want)
		}
	}
	gates["1"] <- nil
	select { // the fourth is outside of the window
	case got := <-arrived:
		t.Fatalf("message %s was taken although three are not safe", got)
	case <-time.After(50 * time.Millisecond):
	}
	gates["0"] <- nil
	r.expect(puback(10))
	r.expect(puback(11))
	r.expect(puback(12))
	if got := <-arrived; got != "3" {
		t.Fatalf("message %s arrived, want 3", got)
	}
	r.ping() // read and answered while 3 is waited for

	// What cannot be made safe is never acknowledged.
	gates["3"] <- errors.New("disk full")
	r.closed()
	h.ended(mqtt.ServerError)
}

// TestSlowReader: a client that does not read slows nobody else down, and in
// the end is closed.
func TestSlowReader(t *testing.T) {
	h := open(t, mqtt.Limits{Write: 3 * time.Second}) // the others' time, too
	slow := h.connect(packet.Connect{ClientID: "slow", Clean: true})
	_ = slow.nc.(*net.TCPConn).SetReadBuffer(4 << 10)
	slow.subscribe("t", 0)
	fast := h.connect(packet.Connect{ClientID: "fast", Clean: true})
	fast.subscribe("t", 0)
	pub := h.connect(packet.Connect{ClientID: "pub", Clean: true})
	const n = 200 // 25 MiB: more than the sockets hold
	go func() {
		for range n {
			b, _ := (&packet.Publish{Topic: "t", Payload: large}).Append(nil)
			if _, err := pub.nc.Write(b); err != nil {
				return
			}
		}
	}()
	for i := range n {
		if p, ok := fast.next().(*packet.Publish); !ok || len(p.Payload) != len(large) {
			t.Fatalf("message %d of the fast reader is %T", i, p)
		}
	}
	h.ended(mqtt.Lost)
	fast.ping()
}

// TestManyOffline: 500 messages queued offline arrive in order.
func TestManyOffline(t *testing.T) {
	h := open(t, mqtt.Limits{})
	sub := h.connect(packet.Connect{ClientID: "sub"})
	sub.subscribe("q", 1)
	sub.send(disconnect)
	h.ended(mqtt.Disconnected)
	pub := h.connect(packet.Connect{ClientID: "pub", Clean: true})
	const n = 500
	go func() {
		var b []byte
		for i := range n {
			b, _ = (&packet.Publish{Topic: "q", Payload: fmt.Append(nil, i), QoS: 1, PacketID: uint16(i + 1)}).Append(b)
		}
		_, _ = pub.nc.Write(b)
	}()
	for i := range n {
		pub.expect(puback(uint16(i + 1)))
	}
	sub = dial(t, h.addr)
	sub.hello(packet.Connect{ClientID: "sub"})
	for i := range n {
		p := sub.next().(*packet.Publish)
		if string(p.Payload) != fmt.Sprint(i) || p.Dup {
			t.Fatalf("message %d is %q, dup %v", i, p.Payload, p.Dup)
		}
		sub.send(puback(p.PacketID))
	}
}

// TestRevoked: a connection that is ended from the other side is closed.
func TestRevoked(t *testing.T) {
	h := open(t, mqtt.Limits{})
	r := h.connect(packet.Connect{ClientID: "a", Clean: true})
	if !h.broker.Kick("a", errors.New("the certificate was revoked")) {
		t.Fatal("not there")
	}
	r.closed()
	h.ended(mqtt.Ended)
}
