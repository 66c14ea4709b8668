package packet_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"strait/door/mqtt/packet"
)

// golden5 holds packets of MQTT 5 byte by byte, written by hand from the standard.
var golden5 = []struct {
	name   string
	hex    string
	packet packet.Packet
}{
	{"connect, least", "10 0e 0004 4d515454 05 02 003c 00 0001 61",
		&packet.Connect{Version: packet.V5, Clean: true, KeepAlive: 60, ClientID: "a"}},
	{"connect, everything", "10 54 0004 4d515454 05 ec 0006" +
		"1b 11 00000258 17 00 19 01 21 000a 22 0008 27 00000200 26 0001 61 0001 62" +
		"0000 19 01 01 02 0000003c 03 0001 74 08 0001 72 09 0002 0102 18 00000005" +
		"0004 77696c6c 0003 627965 0001 75 0002 7077",
		&packet.Connect{Version: packet.V5, KeepAlive: 6,
			Props: &packet.Properties{
				Present:       packet.Of(packet.SessionExpiry, packet.RequestProblem, packet.RequestResponse, packet.ReceiveMaximum, packet.TopicAliasMaximum, packet.MaximumPacketSize),
				SessionExpiry: 600, RequestResponse: 1, ReceiveMaximum: 10, TopicAliasMaximum: 8, MaximumPacketSize: 512, User: [][2]string{{"a", "b"}}},
			Will: &packet.Will{Topic: "will", Payload: []byte("bye"), QoS: 1, Retain: true, Props: &packet.Properties{
				Present:       packet.Of(packet.PayloadFormat, packet.MessageExpiry, packet.ContentType, packet.ResponseTopic, packet.CorrelationData, packet.WillDelay),
				PayloadFormat: 1, MessageExpiry: 60, ContentType: "t", ResponseTopic: "r", CorrelationData: []byte{1, 2}, WillDelay: 5}},
			HasUsername: true, Username: "u", HasPassword: true, Password: []byte("pw")}},
	{"connect, a password alone", "10 11 0004 4d515454 05 42 003c 00 0001 61 0001 70",
		&packet.Connect{Version: packet.V5, Clean: true, KeepAlive: 60, ClientID: "a", HasPassword: true, Password: []byte("p")}},
	{"connack", "20 03 00 00 00", &packet.Connack{V5: true}},
	{"connack, refused", "20 08 00 87 05 1f 0002 6e6f", &packet.Connack{V5: true, Code: 0x87,
		Props: &packet.Properties{Present: packet.Of(packet.ReasonString), ReasonString: "no"}}},
	{"publish", "30 08 0003 612f62 00 6869", &packet.Publish{V5: true, Topic: "a/b", Payload: []byte("hi")}},
	{"publish, an alias only", "32 08 0000 0001 03 23 0002", &packet.Publish{V5: true, QoS: 1, PacketID: 1, Payload: []byte{},
		Props: &packet.Properties{Present: packet.Of(packet.TopicAlias), TopicAlias: 2}}},
	{"puback", "40 02 1234", &packet.Ack{V5: true, Kind: packet.TypePuback, PacketID: 0x1234}},
	{"puback, refused", "40 03 1234 87", &packet.Ack{V5: true, Kind: packet.TypePuback, PacketID: 0x1234, Reason: 0x87}},
	{"puback, and why", "40 09 1234 87 05 1f 0002 6e6f", &packet.Ack{V5: true, Kind: packet.TypePuback, PacketID: 0x1234, Reason: 0x87,
		Props: &packet.Properties{Present: packet.Of(packet.ReasonString), ReasonString: "no"}}},
	{"subscribe", "82 10 000a 03 0b 8001 0003 612f62 2d 0001 23 00",
		&packet.Subscribe{V5: true, PacketID: 10, Props: &packet.Properties{Present: packet.Of(packet.SubscriptionID), SubscriptionID: 128},
			Subscriptions: []packet.Subscription{{Filter: "a/b", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2}, {Filter: "#"}}}},
	{"suback", "90 05 000a 00 01 87", &packet.Suback{V5: true, PacketID: 10, Codes: []byte{1, 0x87}}},
	{"unsubscribe", "a2 06 000b 00 0001 23", &packet.Unsubscribe{V5: true, PacketID: 11, Filters: []string{"#"}}},
	{"unsuback", "b0 05 000b 00 00 8f", &packet.Ack{V5: true, Kind: packet.TypeUnsuback, PacketID: 11, Codes: []byte{0, 0x8f}}},
	{"pingreq", "c0 00", &packet.Empty{Kind: packet.TypePingreq}},
	{"disconnect", "e0 00", &packet.Leave{Kind: packet.TypeDisconnect}},
	{"disconnect, with its will", "e0 01 04", &packet.Leave{Kind: packet.TypeDisconnect, Reason: 4}},
	{"disconnect, expiry", "e0 07 00 05 11 00000000", &packet.Leave{Kind: packet.TypeDisconnect,
		Props: &packet.Properties{Present: packet.Of(packet.SessionExpiry)}}},
	{"auth", "f0 08 18 06 15 0003 616263", &packet.Leave{Kind: packet.TypeAuth, Reason: 0x18,
		Props: &packet.Properties{Present: packet.Of(packet.AuthMethod), AuthMethod: "abc"}}},
}

// malformed5 are malformed in MQTT 5, each with what is wrong about it.
var malformed5 = []struct{ name, hex string }{
	{"connect, a property of PUBLISH", "10 10 0004 4d515454 05 02 003c 02 0101 0001 61"},
	{"connect, properties cut off", "10 0e 0004 4d515454 05 02 003c 20 0001 61"},
	{"connect, receive maximum 0", "10 11 0004 4d515454 05 02 003c 03 21 0000 0001 61"},
	{"connect, packet size 0", "10 13 0004 4d515454 05 02 003c 05 27 00000000 0001 61"},
	{"publish without topic and alias is read, an unknown property is not", "30 05 0000 02 7f 01"},
	{"publish, a property twice", "30 0a 0001 61 06 23 0001 23 0002"},
	{"publish, payload format 2", "30 06 0001 61 02 01 02"},
	{"publish, property length too long a number", "30 05 0001 61 8000"},
	{"publish, correlation data cut off", "30 07 0001 61 03 09 0005"},
	{"subscribe, identifier 0", "82 09 000a 02 0b 00 0001 61 01"},
	{"subscribe, retain handling 3", "82 07 000a 00 0001 61 30"},
	{"subscribe, reserved option", "82 07 000a 00 0001 61 40"},
	{"unsuback without codes", "b0 03 000b 00"},
	{"pingreq with a body", "c0 01 00"},
	{"disconnect, bytes after the end", "e0 03 00 00 00"},
	{"auth flags", "f1 00"},
}

func reader5(b []byte) *packet.Reader {
	r := reader(b)
	r.Version = packet.V5
	return r
}

func TestGolden5(t *testing.T) {
	for _, g := range golden5 {
		want := unhex(t, g.hex)
		got, err := g.packet.Append([]byte("before"))
		if err != nil || string(got) != "before"+string(want) {
			t.Errorf("%s: Append = %x, %v, want %x", g.name, got, err, want)
		}
		p, err := reader5(want).Read()
		if err != nil {
			t.Errorf("%s: Read: %v", g.name, err)
		} else if !reflect.DeepEqual(p, g.packet) {
			t.Errorf("%s: Read = %+v, want %+v", g.name, p, g.packet)
		}
	}
}

func TestMalformed5(t *testing.T) {
	for _, m := range malformed5 {
		p, err := reader5(unhex(t, m.hex)).Read()
		if !errors.Is(err, packet.ErrMalformed) || p != nil {
			t.Errorf("%s: Read = %v, %v, want ErrMalformed", m.name, p, err)
		}
	}
}

// TestForbidden5: what can be parsed and may not be is a Protocol Error (1.2),
// which is one of the malformed for who does not tell them apart.
func TestForbidden5(t *testing.T) {
	forbidden := map[string]bool{"connect, receive maximum 0": true, "connect, packet size 0": true, "publish, a property twice": true, "publish, payload format 2": true, "subscribe, identifier 0": true}
	found := 0
	for _, m := range malformed5 {
		_, err := reader5(unhex(t, m.hex)).Read()
		if errors.Is(err, packet.ErrProtocol) != forbidden[m.name] {
			t.Errorf("%s: %v", m.name, err)
		}
		if forbidden[m.name] {
			found++
		}
	}
	if found != len(forbidden) {
		t.Errorf("%d of %d rows were there", found, len(forbidden))
	}
}

func TestTooLarge5(t *testing.T) {
	ps := &packet.Properties{User: [][2]string{{"a", strings.Repeat("x", 1<<16)}}}
	for _, p := range []packet.Packet{
		&packet.Connect{Version: packet.V5, Props: ps}, &packet.Connect{Version: packet.V5, Will: &packet.Will{Props: ps}},
		&packet.Connack{V5: true, Props: ps}, &packet.Publish{V5: true, Props: ps}, &packet.Ack{V5: true, Kind: packet.TypePuback, Props: ps},
		&packet.Ack{V5: true, Kind: packet.TypeUnsuback, Props: ps}, &packet.Subscribe{V5: true, Props: ps}, &packet.Suback{V5: true, Props: ps},
		&packet.Unsubscribe{V5: true, Props: ps}, &packet.Leave{Kind: packet.TypeDisconnect, Props: ps},
	} {
		if b, err := p.Append([]byte("x")); !errors.Is(err, packet.ErrTooLarge) || string(b) != "x" {
			t.Errorf("%T with a property of 64 KiB: %d bytes, %v, want ErrTooLarge", p, len(b), err)
		}
	}
}

// FuzzRead5: whatever is read can be written, reads as the same again, and is
// written as the same bytes again. The bytes may differ from those that came in
// the order of properties and in lengths that need not be there; a packet
// without properties comes back byte by byte.
func FuzzRead5(f *testing.F) {
	for _, g := range golden5 {
		f.Add(unhex(f, g.hex))
	}
	for _, m := range malformed5 {
		f.Add(unhex(f, m.hex))
	}
	f.Add(unhex(f, "40 04 1234 00 00"))                           // a PUBACK that says at length that all is well
	f.Add(unhex(f, "30 0e 0001 61 0a 23 0001 01 01 02 00000005")) // properties in another order
	f.Fuzz(func(t *testing.T, in []byte) {
		src := bytes.NewReader(in)
		br := bufio.NewReaderSize(src, 16)
		r := packet.NewReader(br, maxPacket)
		r.Version = packet.V5
		p, err := r.Read()
		if err != nil {
			if p != nil {
				t.Fatalf("Read = %+v beside the error %v", p, err)
			}
			return
		}
		if c, ok := p.(*packet.Connect); ok && c.Version != packet.V5 {
			return // FuzzRead's affair
		}
		out, err := p.Append(nil)
		if err != nil {
			t.Fatalf("Append of %+v: %v", p, err)
		}
		used := in[:len(in)-src.Len()-br.Buffered()]
		if out[0] != used[0] || len(body(out)) > len(body(used)) {
			t.Fatalf("read %x, wrote %x", used, out)
		}
		again, err := reader5(out).Read()
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("read back %+v, %v, want %+v", again, err, p)
		}
		if twice, _ := again.Append(nil); !bytes.Equal(twice, out) {
			t.Fatalf("wrote %x, then %x", out, twice)
		}
		if p, ok := p.(*packet.Publish); ok && p.Props == nil && hex.EncodeToString(body(out)) != hex.EncodeToString(body(used)) {
			t.Fatalf("read %x, wrote %x", used, out)
		}
	})
}
