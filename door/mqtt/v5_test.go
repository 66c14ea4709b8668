package mqtt_test

import (
	"bytes"
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"strait/door/mqtt"
	"strait/door/mqtt/packet"
)

// connect5 connects a client of MQTT 5 and takes the CONNACK.
func (h *house) connect5(c packet.Connect) *rawClient {
	h.t.Helper()
	c.Version = packet.V5
	return h.connect(c)
}

func (r *rawClient) subscribe5(s packet.Subscription) {
	r.t.Helper()
	r.send(&packet.Subscribe{V5: true, PacketID: 77, Subscriptions: []packet.Subscription{s}})
	r.expect(&packet.Suback{V5: true, PacketID: 77, Codes: []byte{s.QoS}})
}

// bye expects a DISCONNECT with the code and then the end.
func (r *rawClient) bye(code byte) {
	r.t.Helper()
	p, ok := r.next().(*packet.Leave)
	if !ok || p.Kind != packet.TypeDisconnect || p.Reason != code {
		r.t.Fatalf("got %+v, want a DISCONNECT with %#02x", p, code)
	}
	if p.Props.Reason() == "" && code != 0x80 && code != 0x8b && code != 0x8d {
		r.t.Errorf("the DISCONNECT with %#02x does not say why", code)
	}
	r.closed()
}

func props(p packet.Properties) *packet.Properties { return &p }

// TestConnack5: iot-mqtt.md, section 3, the table of properties.
func TestConnack5(t *testing.T) {
	h := open(t, mqtt.Limits{})
	always := packet.Of(packet.SessionExpiry, packet.ReceiveMaximum, packet.MaximumQoS, packet.RetainAvailable, packet.MaximumPacketSize,
		packet.TopicAliasMaximum, packet.WildcardAvailable, packet.IDsAvailable, packet.ServerKeepAlive)
	for _, k := range []struct{ expiry, wantExpiry, alive, wantAlive uint32 }{
		{0, 0, 1000, 1000}, {600, 600, 65535, 1200}, {0xffffffff, 3600, 0, 1200}, {604800, 3600, 1, 30},
	} {
		r := dial(t, h.addr)
		got := r.greet(packet.Connect{Version: packet.V5, ClientID: "c", Clean: true, KeepAlive: uint16(k.alive),
			Props: &packet.Properties{Present: packet.Of(packet.SessionExpiry), SessionExpiry: k.expiry}})
		c := <-h.came
		want := &packet.Connack{V5: true, Props: &packet.Properties{Present: always, SessionExpiry: k.wantExpiry, ReceiveMaximum: 100, MaximumQoS: 1,
			RetainAvailable: 1, MaximumPacketSize: 149504, TopicAliasMaximum: 8, WildcardAvailable: 1, ServerKeepAlive: uint16(k.wantAlive)}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("expiry %d, keep-alive %d: got %+v", k.expiry, k.alive, got.Props)
		}
		if !c.V5 || c.Expiry != time.Duration(k.wantExpiry)*time.Second || c.KeepAlive != time.Duration(k.wantAlive)*time.Second {
			t.Errorf("the connector learned %+v", c)
		}
		r.send(&packet.Leave{Kind: packet.TypeDisconnect})
		h.ended(mqtt.Disconnected)
	}
	// A name for who has none; nobody may ask for it.
	got := dial(t, h.addr).greet(packet.Connect{Version: packet.V5})
	name := got.Props.AssignedClientID
	if c := <-h.came; !got.Props.Has(packet.AssignedClientID) || len(name) != len("$GEN/")+36 || !strings.HasPrefix(name, "$GEN/") || c.ClientID != name {
		t.Errorf("a client without an id is called %q", name)
	}
	for code, c := range map[byte]packet.Connect{
		0x85: {ClientID: name},
		0x87: {ClientID: "nobody"},
		0x90: {ClientID: "c", Will: &packet.Will{Topic: "wrong"}},
		0x9b: {ClientID: "c", Will: &packet.Will{Topic: "w", QoS: 2}},
		0x80: {ClientID: "c", Props: props(packet.Properties{Present: packet.Of(packet.MaximumPacketSize), MaximumPacketSize: 511})},
		0x8c: {ClientID: "c", Props: props(packet.Properties{Present: packet.Of(packet.AuthMethod), AuthMethod: "x"})},
		0x97: {ClientID: "c", Props: props(packet.Properties{User: [][2]string{{"a", strings.Repeat("x", 8<<10)}}})},
	} {
		r := dial(t, h.addr)
		r.in.Version, c.Version = packet.V5, packet.V5
		r.send(&c)
		if p, ok := r.next().(*packet.Connack); !ok || p.Code != code || p.Props.Reason() == "" || p.SessionPresent {
			t.Errorf("got %+v, want a CONNACK with %#02x and a reason", p, code)
		}
		r.closed()
	}
}

// TestRefusalFits: a refusal is no larger than what the client takes.
func TestRefusalFits(t *testing.T) {
	h := open(t, mqtt.Limits{})
	for most, want := range map[uint32]*packet.Connack{
		4:   nil, // the least CONNACK has five bytes
		5:   {V5: true, Code: 0x80},
		511: {V5: true, Code: 0x80, Props: props(packet.Properties{Present: packet.Of(packet.ReasonString), ReasonString: "a maximum packet size of 511; it must be 512 at least"})},
	} {
		r := dial(t, h.addr)
		r.in.Version = packet.V5
		r.send(&packet.Connect{Version: packet.V5, ClientID: "c", Props: props(packet.Properties{Present: packet.Of(packet.MaximumPacketSize), MaximumPacketSize: most})})
		if want != nil {
			r.expect(want)
		}
		r.closed()
	}
}

// TestViolations5: iot-mqtt.md, section 4.1, what MQTT 5 clients see. Those
// that live on are told in the acknowledgement.
func TestViolations5(t *testing.T) {
	h := open(t, mqtt.Limits{})
	r := h.connect5(packet.Connect{ClientID: "c"})
	for topic, code := range map[string]byte{"denied/a": 0x87, "wrong/a": 0x90, "dropped/a": 0x97, strings.Repeat("x", 257): 0x90, "1/2/3/4/5/6/7/8/9": 0x90} {
		r.send(&packet.Publish{V5: true, Topic: topic, QoS: 1, PacketID: 5})
		if p, ok := r.next().(*packet.Ack); !ok || p.PacketID != 5 || p.Reason != code || p.Props.Reason() == "" {
			t.Errorf("publish to %.20s: got %+v, want PUBACK %#02x with a reason", topic, p, code)
		}
	}
	for _, topic := range []string{"denied/a", "dropped/a"} {
		r.send(&packet.Publish{V5: true, Topic: topic})
	}
	for what, p := range map[string]packet.Properties{
		"content type":    {Present: packet.Of(packet.ContentType), ContentType: strings.Repeat("x", 257)},
		"correlation":     {Present: packet.Of(packet.CorrelationData), CorrelationData: make([]byte, 8<<10+1)},
		"user properties": {User: [][2]string{{"a", strings.Repeat("x", 8<<10)}}},
	} {
		r.send(&packet.Publish{V5: true, Topic: "t", QoS: 1, PacketID: 5, Props: &p})
		if p, ok := r.next().(*packet.Ack); !ok || p.Reason != 0x97 {
			t.Errorf("too much %s: got %+v, want PUBACK 0x97", what, p)
		}
	}
	r.send(&packet.Subscribe{V5: true, PacketID: 6, Subscriptions: []packet.Subscription{
		{Filter: "denied/#"}, {Filter: "ok", QoS: 1}, {Filter: "a/#/b"}, {Filter: strings.Repeat("x", 257)}, {Filter: "1/2/3/4/5/6/7/8/9"}}})
	if p, ok := r.next().(*packet.Suback); !ok || !bytes.Equal(p.Codes, []byte{0x87, 1, 0x8f, 0x8f, 0x8f}) || p.Props.Reason() != "not allowed" {
		t.Errorf("SUBACK %+v", p)
	}
	r.send(&packet.Unsubscribe{V5: true, PacketID: 7, Filters: []string{"ok", "never", "wrong"}})
	if p, ok := r.next().(*packet.Ack); !ok || !bytes.Equal(p.Codes, []byte{0, 0, 0x8f}) || p.Props.Reason() == "" {
		t.Errorf("UNSUBACK %+v", p)
	}
	r.ping() // and it lives on

	// 50 subscriptions and no more.
	n := 0
	for range 7 {
		s := &packet.Subscribe{V5: true, PacketID: 8}
		for range 8 {
			s.Subscriptions = append(s.Subscriptions, packet.Subscription{Filter: "s/" + string(rune('A'+n))})
			n++
		}
		r.send(s)
		p := r.next().(*packet.Suback)
		for i, code := range p.Codes {
			if over := n-8+i >= 50; over != (code == 0x97) {
				t.Errorf("subscription %d: %#02x", n-8+i+1, code)
			}
		}
	}

	var nine []packet.Subscription
	for range 9 {
		nine = append(nine, packet.Subscription{Filter: "a"})
	}
	alias := func(n uint16) *packet.Properties {
		return &packet.Properties{Present: packet.Of(packet.TopicAlias), TopicAlias: n}
	}
	for what, k := range map[string]struct {
		p    packet.Packet
		code byte
	}{
		"QoS 2 publish":           {&packet.Publish{V5: true, Topic: "t", QoS: 2, PacketID: 1}, 0x9b},
		"QoS 2 subscribe":         {&packet.Subscribe{V5: true, PacketID: 1, Subscriptions: []packet.Subscription{{Filter: "t", QoS: 2}}}, 0x9b},
		"nine filters":            {&packet.Subscribe{V5: true, PacketID: 1, Subscriptions: nine}, 0x97},
		"nine filters given back": {&packet.Unsubscribe{V5: true, PacketID: 1, Filters: strings.Split("a b c d e f g h i", " ")}, 0x97},
		"a payload too large":     {&packet.Publish{V5: true, Topic: "t", Payload: make([]byte, 128<<10+1)}, 0x95},
		"a packet too large":      {&packet.Publish{V5: true, Topic: "t", Payload: make([]byte, 147<<10)}, 0x95},
		"a wrong topic, QoS 0":    {&packet.Publish{V5: true, Topic: "wrong"}, 0x90},
		"a second CONNECT":        {&packet.Connect{Version: packet.V5, ClientID: "c"}, 0x82},
		"AUTH":                    {&packet.Leave{Kind: packet.TypeAuth, Reason: 0x18}, 0x82},
		"alias 0":                 {&packet.Publish{V5: true, Topic: "t", Props: alias(0)}, 0x94},
		"alias 9":                 {&packet.Publish{V5: true, Topic: "t", Props: alias(9)}, 0x94},
		"an alias for nothing":    {&packet.Publish{V5: true, Props: alias(1)}, 0x82},
		"neither topic nor alias": {&packet.Publish{V5: true}, 0x82},
		"an identifier": {&packet.Subscribe{V5: true, PacketID: 1, Subscriptions: []packet.Subscription{{Filter: "t"}},
			Props: &packet.Properties{Present: packet.Of(packet.SubscriptionID), SubscriptionID: 1}}, 0xa1},
		"an expiry that was 0": {&packet.Leave{Kind: packet.TypeDisconnect,
			Props: &packet.Properties{Present: packet.Of(packet.SessionExpiry), SessionExpiry: 5}}, 0x82},
	} {
		t.Run(what, func(t *testing.T) {
			r := h.connect5(packet.Connect{ClientID: "v", Clean: true})
			r.t = t
			r.send(k.p)
			r.bye(k.code)
		})
	}
	for what, k := range map[string]struct {
		b    []byte
		code byte
	}{
		"cut off":               {[]byte{0x30, 0x05, 0, 1, 'a', 0x7f, 0}, 0x81},
		"property of a CONNECT": {[]byte{0x30, 0x07, 0, 1, 'a', 3, 0x21, 0, 1}, 0x81},
		"property twice":        {[]byte{0x30, 0x08, 0, 1, 'a', 4, 1, 0, 1, 0}, 0x82},
		"packet id 0":           {[]byte{0x32, 0x06, 0, 1, 'a', 0, 0, 0}, 0x82},
	} {
		t.Run(what, func(t *testing.T) {
			r := h.connect5(packet.Connect{ClientID: "v", Clean: true})
			r.t = t
			r.write(k.b)
			r.bye(k.code)
		})
	}
}

func TestTakeOver5(t *testing.T) {
	h := open(t, mqtt.Limits{})
	old := h.connect5(packet.Connect{ClientID: "c"})
	h.connect5(packet.Connect{ClientID: "c"})
	old.bye(0x8e)
}

func TestKeepAlive5(t *testing.T) {
	h := open(t, mqtt.Limits{KeepAliveMin: time.Nanosecond, KeepAliveMax: 100 * time.Millisecond})
	h.connect5(packet.Connect{ClientID: "c"}).bye(0x8d)
	h.ended(mqtt.KeepAliveTimeout)
}

// TestAliases: both ways, eight at most.
func TestAliases(t *testing.T) {
	h := open(t, mqtt.Limits{})
	pub := h.connect5(packet.Connect{ClientID: "pub"})
	plain := h.connect5(packet.Connect{ClientID: "plain"})
	sub := h.connect5(packet.Connect{ClientID: "sub", Props: &packet.Properties{Present: packet.Of(packet.TopicAliasMaximum), TopicAliasMaximum: 2}})
	plain.subscribe5(packet.Subscription{Filter: "a/+"})
	sub.subscribe5(packet.Subscription{Filter: "a/+"})
	alias := func(topic string, n uint16) *packet.Publish {
		return &packet.Publish{V5: true, Topic: topic, Payload: []byte{}, Props: &packet.Properties{Present: packet.Of(packet.TopicAlias), TopicAlias: n}}
	}
	pub.send(alias("a/1", 8), alias("", 8), alias("a/2", 8), alias("", 8), alias("a/3", 1), alias("", 8))
	for _, topic := range []string{"a/1", "a/1", "a/2", "a/2", "a/3", "a/2"} {
		plain.expect(&packet.Publish{V5: true, Topic: topic, Payload: []byte{}})
	}
	for _, p := range []*packet.Publish{alias("a/1", 1), alias("", 1), alias("a/2", 2), alias("", 2), alias("a/3", 1), alias("", 2)} {
		sub.expect(p)
	}
	// What is forbidden is so behind an alias, too.
	pub.send(alias("denied", 2), &packet.Publish{V5: true, QoS: 1, PacketID: 1, Props: alias("", 2).Props})
	if p := pub.next().(*packet.Ack); p.Reason != 0x87 {
		t.Errorf("a forbidden topic by its alias: PUBACK %#02x", p.Reason)
	}
}

func TestPropertiesGoThrough(t *testing.T) {
	h := open(t, mqtt.Limits{})
	c := h.connect5(packet.Connect{ClientID: "c", Will: &packet.Will{Topic: "t", Payload: []byte("will"), Props: &packet.Properties{
		Present: packet.Of(packet.WillDelay, packet.ContentType), WillDelay: 1000, ContentType: "w"}}})
	sub := h.connect5(packet.Connect{ClientID: "sub"})
	old := h.connect(packet.Connect{ClientID: "old", Clean: true})
	sub.subscribe5(packet.Subscription{Filter: "t"})
	old.subscribe("t", 0)
	said := func(expiry uint32) *packet.Properties {
		return &packet.Properties{
			Present:       packet.Of(packet.PayloadFormat, packet.MessageExpiry, packet.ContentType, packet.ResponseTopic, packet.CorrelationData),
			PayloadFormat: 1, MessageExpiry: expiry, ContentType: "text/plain", ResponseTopic: "r/s", CorrelationData: []byte{0, 1},
			User: [][2]string{{"b", "1"}, {"a", "2"}, {"b", "3"}}}
	}
	for sent, got := range map[uint32]uint32{60: 60, 0: 1, 0xffffffff: 604800} {
		c.send(&packet.Publish{V5: true, Topic: "t", Payload: []byte("x"), Props: said(sent)})
		sub.expect(&packet.Publish{V5: true, Topic: "t", Payload: []byte("x"), Props: said(got)})
		old.expect(&packet.Publish{Topic: "t", Payload: []byte("x")})
	}
	c.send(&packet.Leave{Kind: packet.TypeDisconnect, Reason: 4}) // with its will, whose delay is not offered
	sub.expect(&packet.Publish{V5: true, Topic: "t", Payload: []byte("will"), Props: &packet.Properties{Present: packet.Of(packet.ContentType), ContentType: "w"}})
	h.ended(mqtt.DisconnectedWithWill)
}

// TestMaximumPacketSize: what the client cannot take is dropped, and does not
// stay in flight.
func TestMaximumPacketSize(t *testing.T) {
	h := open(t, mqtt.Limits{})
	r := h.connect5(packet.Connect{ClientID: "r", Props: &packet.Properties{Present: packet.Of(packet.MaximumPacketSize, packet.ReceiveMaximum), MaximumPacketSize: 512, ReceiveMaximum: 1}})
	pub := h.connect5(packet.Connect{ClientID: "p"})
	r.subscribe5(packet.Subscription{Filter: "t", QoS: 1})
	for _, n := range []int{600, 5, 503} {
		pub.send(&packet.Publish{V5: true, Topic: "t", Payload: make([]byte, n), QoS: 1, PacketID: 1})
		pub.expect(&packet.Ack{V5: true, Kind: packet.TypePuback, PacketID: 1})
	}
	p := r.next().(*packet.Publish)
	if len(p.Payload) != 5 {
		t.Fatalf("got %d bytes, want the 5", len(p.Payload))
	}
	r.ping() // one is in flight and no more come
	r.send(&packet.Ack{V5: true, Kind: packet.TypePuback, PacketID: p.PacketID})
	if p := r.next().(*packet.Publish); len(p.Payload) != 503 {
		t.Errorf("got %d bytes, want 503", len(p.Payload))
	}
}

// TestReceiveMaximumIsEnforced: who sends more than 100 that are not
// acknowledged breaks the protocol.
func TestReceiveMaximumIsEnforced(t *testing.T) {
	h := open(t, mqtt.Limits{})
	hold := make(chan struct{})
	defer close(hold)
	h.safe = func(string) func(context.Context) error {
		return func(ctx context.Context) error {
			select {
			case <-hold:
			case <-ctx.Done():
			}
			return ctx.Err()
		}
	}
	r := h.connect5(packet.Connect{ClientID: "c"})
	for id := range 101 {
		r.send(&packet.Publish{V5: true, Topic: "t", QoS: 1, PacketID: uint16(id + 1)})
	}
	r.bye(0x93)
}

func TestSessionOfMQTT5(t *testing.T) {
	h := open(t, mqtt.Limits{})
	kept := packet.Connect{Version: packet.V5, ClientID: "c", Props: &packet.Properties{Present: packet.Of(packet.SessionExpiry), SessionExpiry: 60}}
	leave := func(r *rawClient, ps *packet.Properties) {
		t.Helper()
		r.send(&packet.Leave{Kind: packet.TypeDisconnect, Props: ps})
		h.ended(mqtt.Disconnected)
	}
	again := func(c packet.Connect, want bool) *rawClient {
		t.Helper()
		r := dial(t, h.addr)
		if got := r.hello(c); got != want {
			t.Errorf("session present %v, want %v", got, want)
		}
		return r
	}
	leave(again(kept, false), nil)
	leave(again(kept, true), &packet.Properties{Present: packet.Of(packet.SessionExpiry)}) // ended after all
	leave(again(kept, false), nil)
	again(packet.Connect{ClientID: "c"}, false).send(disconnect) // 3.1.1 does not go on with it
	h.ended(mqtt.Disconnected)
	leave(again(kept, false), nil)
	clean := kept
	clean.Clean = true
	leave(again(clean, false), nil)
	leave(again(kept, true), nil)
}

func TestReasonsCanBeHidden(t *testing.T) {
	h := open(t, mqtt.Limits{})
	h.server.HideReasons = true
	r := dial(t, h.addr)
	r.in.Version = packet.V5
	r.send(&packet.Connect{Version: packet.V5, ClientID: "nobody"})
	r.expect(&packet.Connack{V5: true, Code: 0x87})
	<-h.came
	h.server.HideReasons = false
	// And a client may not want them.
	r = h.connect5(packet.Connect{ClientID: "c", Props: &packet.Properties{Present: packet.Of(packet.RequestProblem)}})
	r.send(&packet.Publish{V5: true, Topic: "denied", QoS: 1, PacketID: 1})
	r.expect(&packet.Ack{V5: true, Kind: packet.TypePuback, PacketID: 1, Reason: 0x87})
}

// TestQuotas: with AWS's rates what comes beyond is dropped: without PUBACK in
// 3.1.1, with 0x97 in 5. Without them nothing is.
func TestQuotas(t *testing.T) {
	limits := mqtt.Limits{}
	for _, aws := range []bool{false, true} {
		if aws {
			limits = limits.AWS()
		}
		h := open(t, limits)
		const n = 1000 // at once: a second brings a hundred more
		r := h.connect5(packet.Connect{ClientID: "c"})
		var burst []packet.Packet
		for range n {
			burst = append(burst, &packet.Publish{V5: true, Topic: "t"})
		}
		const last = 50 // one of them may come just when there is room for it
		for i := range uint16(last) {
			burst = append(burst, &packet.Publish{V5: true, Topic: "t", QoS: 1, PacketID: 1 + i})
		}
		r.send(burst...)
		refused := false
		for range last {
			refused = r.next().(*packet.Ack).Reason == 0x97 || refused
		}
		old := h.connect(packet.Connect{ClientID: "old"})
		taken := h.broker.Stats().Published
		burst = nil
		for range n {
			burst = append(burst, &packet.Publish{Topic: "t", QoS: 1, PacketID: 1})
		}
		old.send(append(burst, &packet.Empty{Kind: packet.TypePingreq})...)
		acks := uint64(0)
		for old.next().Type() == packet.TypePuback {
			acks++
		}
		for version, got := range map[string]uint64{"5": taken, "3.1.1": acks} {
			if aws != (got < n) || got < 100 {
				t.Errorf("aws %v: of %d messages in MQTT %s %d were taken", aws, n, version, got)
			}
		}
		if refused != aws {
			t.Errorf("aws %v: one of the last %d was refused: %v", aws, last, refused)
		}
	}
}

// TestStorm: connections are admitted at a rate.
func TestStorm(t *testing.T) {
	h := open(t, mqtt.Limits{Connects: 20})
	begin := time.Now()
	for range 30 { // a second's worth comes at once
		h.connect5(packet.Connect{})
	}
	if took := time.Since(begin); took < 400*time.Millisecond {
		t.Errorf("30 connections at 20 a second took %s", took)
	}
}
