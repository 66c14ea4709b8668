package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"strait/door/mqtt/packet"
)

// A raw client writes what no library would.
type raw struct {
	nc *tls.Conn
	in *packet.Reader
	v5 bool
}

func (y *yard) raw(v packet.Version, id string, will *packet.Will) (*raw, byte, error) {
	y.Helper()
	nc, err := tls.Dial("tcp", y.addr, y.tls)
	if err != nil {
		y.Fatal(err)
	}
	y.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(3 * patience))
	r := &raw{nc, packet.NewReader(bufio.NewReader(nc), 1<<20), v == packet.V5}
	r.in.Version = v
	r.send(&packet.Connect{Version: v, ClientID: id, Clean: true, KeepAlive: 60, Will: will})
	p, err := r.in.Read()
	if err != nil {
		return r, 0, err
	}
	return r, p.(*packet.Connack).Code, nil
}

func (r *raw) send(p packet.Packet) {
	b, err := p.Append(nil)
	if err != nil {
		panic(err)
	}
	_, _ = r.nc.Write(b)
}

// told says what the client sees next: the codes of an answer, "closed", or
// "silence" when a ping that was sent behind is answered first.
func (r *raw) told() string {
	r.send(&packet.Empty{Kind: packet.TypePingreq})
	p, err := r.in.Read()
	if err != nil {
		return "closed"
	}
	switch p := p.(type) {
	case *packet.Empty:
		return "silence"
	case *packet.Ack:
		if p.Kind == packet.TypeUnsuback {
			return fmt.Sprintf("UNSUBACK %#02x", p.Codes)
		}
		return fmt.Sprintf("PUBACK %#02x", p.Reason)
	case *packet.Suback:
		return fmt.Sprintf("SUBACK %#02x", p.Codes[len(p.Codes)-1])
	case *packet.Leave:
		if _, err := r.in.Read(); err == nil {
			return "DISCONNECT, and still open"
		}
		return fmt.Sprintf("DISCONNECT %#02x", p.Reason)
	}
	return fmt.Sprintf("%T", p)
}

// TestViolations: every row of iot-mqtt.md, section 4.1, from the device's side,
// through real policies.
func TestViolations(t *testing.T) {
	free, metered := raise(t, "", narrow), raise(t, "aws", narrow)
	publish := func(topic string, qos byte, retain bool, size int) func(*raw) {
		return func(r *raw) {
			r.send(&packet.Publish{V5: r.v5, Topic: topic, QoS: qos, PacketID: 1, Retain: retain, Payload: make([]byte, size)})
		}
	}
	subscribe := func(qos byte, filters ...string) func(*raw) {
		return func(r *raw) {
			p := &packet.Subscribe{V5: r.v5, PacketID: 1}
			for _, f := range filters {
				p.Subscriptions = append(p.Subscriptions, packet.Subscription{Filter: f, QoS: qos})
			}
			r.send(p)
		}
	}
	unsubscribe := func(filters ...string) func(*raw) {
		return func(r *raw) { r.send(&packet.Unsubscribe{V5: r.v5, PacketID: 1, Filters: filters}) }
	}
	many := func(n int) (filters []string) {
		for i := range n {
			filters = append(filters, fmt.Sprint("ok/", i))
		}
		return filters
	}
	deep, long := "ok"+strings.Repeat("/x", 8), "ok/"+strings.Repeat("x", 254)
	for _, row := range []struct {
		name, v311, v5 string
		y              *yard
		do             func(*raw)
	}{
		{"publish, not authorised", "closed", "PUBACK 0x87", free, publish("no/x", 1, false, 1)},
		{"publish with QoS 0, not authorised", "closed", "silence", free, publish("no/x", 0, false, 1)},
		{"subscribe, not authorised", "closed", "SUBACK 0x87", free, subscribe(1, "no/x")},
		{"filter malformed", "closed", "SUBACK 0x8f", free, subscribe(1, "ok/#/x")},
		{"filter too long", "closed", "SUBACK 0x8f", free, subscribe(1, long)},
		{"filter too deep", "closed", "SUBACK 0x8f", free, subscribe(1, deep)},
		{"unsubscribe, filter malformed", "closed", "UNSUBACK 0x8f", free, unsubscribe("ok/#/x")},
		{"more than 8 filters", "closed", "DISCONNECT 0x97", free, subscribe(1, many(9)...)},
		{"more than 8 filters to unsubscribe", "closed", "DISCONNECT 0x97", free, unsubscribe(many(9)...)},
		{"more than 50 subscriptions", "SUBACK 0x80", "SUBACK 0x97", free, func(r *raw) {
			all := many(51)
			for i := 0; i < 48; i += 8 {
				subscribe(1, all[i:i+8]...)(r)
				_, _ = r.in.Read()
			}
			subscribe(1, all[48:]...)(r)
		}},
		{"topic too long", "closed", "PUBACK 0x90", free, publish(long, 1, false, 1)},
		{"topic too deep", "closed", "PUBACK 0x90", free, publish(deep, 1, false, 1)},
		{"payload over 128 KiB", "closed", "DISCONNECT 0x95", free, publish("ok/x", 1, false, 128<<10+1)},
		{"publish to a $ topic", "closed", "PUBACK 0x87", free, publish("$other/x", 1, false, 1)},
		{"publish to $aws/events", "closed", "PUBACK 0x87", free, publish("$aws/events/presence/connected/a", 1, false, 1)},
		{"subscribe to $SYS", "closed", "SUBACK 0x87", free, subscribe(0, "$SYS/#")},
		{"RETAIN to a reserved topic", "closed", "PUBACK 0x87", free, publish("$aws/rules/r/x", 1, true, 1)},
		{"a second CONNECT", "closed", "DISCONNECT 0x82", free, func(r *raw) {
			v := packet.V311
			if r.v5 {
				v = packet.V5
			}
			r.send(&packet.Connect{Version: v, ClientID: "a", Clean: true})
		}},
		{"more than 100 publishes a second", "silence", "PUBACK 0x97", metered, func(r *raw) {
			var burst []byte // of QoS 0, which uses the rate up; the excess is dropped
			for range 1000 {
				var err error
				if burst, err = (&packet.Publish{V5: r.v5, Topic: "ok/x", Payload: []byte("x")}).Append(burst); err != nil {
					panic(err)
				}
			}
			_, _ = r.nc.Write(burst)
			publish("ok/x", 1, false, 1)(r)
		}},
		{"publish with QoS 2", "silence", "DISCONNECT 0x9b", free, publish("ok/x", 2, false, 1)},
		{"subscribe with QoS 2", "silence", "DISCONNECT 0x9b", free, subscribe(2, "ok/x")},
	} {
		for v, want := range map[packet.Version]string{packet.V311: row.v311, packet.V5: row.v5} {
			t.Run(fmt.Sprintf("%s/%d", row.name, v), func(t *testing.T) {
				r, code, err := row.y.raw(v, fmt.Sprint("a", v), nil)
				for end := time.Now().Add(patience); err == nil && code == 0x97 && time.Now().Before(end); {
					r, code, err = row.y.raw(v, fmt.Sprint("a", v), nil) // one CONNECT a second
				}
				if err != nil || code != 0 {
					t.Fatalf("CONNACK %#02x, %v", code, err)
				}
				row.do(r)
				if got := r.told(); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		}
	}
}

// TestConnectViolations: what makes a CONNECT fail is told in MQTT 5 only; a
// will is checked then, too (design, section 7).
func TestConnectViolations(t *testing.T) {
	y := raise(t, "", narrow)
	for name, row := range map[string]struct {
		id   string
		will *packet.Will
		want byte
	}{
		"not authorised":      {"other", nil, 0x87},
		"will not authorised": {"a", &packet.Will{Topic: "no/x", QoS: 1}, 0x87},
		"will retained":       {"a", &packet.Will{Topic: "ok/x", Retain: true}, 0x87},
		"will with QoS 2":     {"a", &packet.Will{Topic: "ok/x", QoS: 2}, 0x9b},
		"will to a $ topic":   {"a", &packet.Will{Topic: "$other"}, 0x87},
		"client id with $":    {"$a", nil, 0x85},
	} {
		if _, code, err := y.raw(packet.V311, row.id, row.will); err == nil {
			t.Errorf("%s, 3.1.1: CONNACK %#02x, want the socket closed", name, code)
		}
		if _, code, err := y.raw(packet.V5, row.id, row.will); err != nil || code != row.want {
			t.Errorf("%s, 5: CONNACK %#02x, %v, want %#02x", name, code, err, row.want)
		}
	}
}

// TestAliasBeforePolicy: a topic alias stands for its topic when the policy is
// asked, whatever it stood for before.
func TestAliasBeforePolicy(t *testing.T) {
	y := raise(t, "", narrow)
	r, _, err := y.raw(packet.V5, "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct{ topic, want string }{
		{"ok/x", "PUBACK 0x00"}, {"", "PUBACK 0x00"}, {"no/x", "PUBACK 0x87"}, {"", "PUBACK 0x87"}, {"ok/x", "PUBACK 0x00"}, {"", "PUBACK 0x00"},
	} {
		r.send(&packet.Publish{V5: true, Topic: step.topic, QoS: 1, PacketID: 1, Props: &packet.Properties{Present: packet.Of(packet.TopicAlias), TopicAlias: 3}})
		if got := r.told(); got != step.want {
			t.Errorf("step %d, topic %q with alias 3: got %s, want %s", i, step.topic, got, step.want)
		}
		_, _ = r.in.Read() // the ping's answer
	}
}
