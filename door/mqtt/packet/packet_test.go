package packet_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"strait/door/mqtt/packet"
)

const maxPacket = 149_504

func reader(b []byte) *packet.Reader {
	return packet.NewReader(bufio.NewReader(bytes.NewReader(b)), maxPacket)
}

// golden holds packets byte by byte, written by hand from the standard.
var golden = []struct {
	name   string
	hex    string
	packet packet.Packet
}{
	{"connect, least", "10 0d 0004 4d515454 04 02 003c 0001 61",
		&packet.Connect{Version: packet.V311, Clean: true, KeepAlive: 60, ClientID: "a"}},
	{"connect, everything", "10 22 0004 4d515454 04 ec 0006 0002 6330 0004 77696c6c 0003 627965 0003 3f613d 0002 7077",
		&packet.Connect{Version: packet.V311, KeepAlive: 6, ClientID: "c0",
			Will:        &packet.Will{Topic: "will", Payload: []byte("bye"), QoS: 1, Retain: true},
			HasUsername: true, Username: "?a=", HasPassword: true, Password: []byte("pw")}},
	{"connect 3.1", "10 0f 0006 4d5149736470 03 02 003c 0001 61",
		&packet.Connect{Version: packet.V31, Clean: true, KeepAlive: 60, ClientID: "a"}},
	{"connack", "20 02 00 00", &packet.Connack{}},
	{"connack, session present", "20 02 01 00", &packet.Connack{SessionPresent: true}},
	{"publish", "30 07 0003 612f62 6869", &packet.Publish{Topic: "a/b", Payload: []byte("hi")}},
	{"publish QoS 1, dup, retain", "3b 09 0003 612f62 0102 6869",
		&packet.Publish{Topic: "a/b", Payload: []byte("hi"), QoS: 1, PacketID: 0x102, Dup: true, Retain: true}},
	{"publish QoS 2, empty", "34 07 0003 612f62 0001", &packet.Publish{Topic: "a/b", Payload: []byte{}, QoS: 2, PacketID: 1}},
	{"puback", "40 02 1234", &packet.Ack{Kind: packet.TypePuback, PacketID: 0x1234}},
	{"pubrec", "50 02 1234", &packet.Ack{Kind: packet.TypePubrec, PacketID: 0x1234}},
	{"pubrel", "62 02 1234", &packet.Ack{Kind: packet.TypePubrel, PacketID: 0x1234}},
	{"pubcomp", "70 02 1234", &packet.Ack{Kind: packet.TypePubcomp, PacketID: 0x1234}},
	{"subscribe", "82 0c 000a 0003 612f62 01 0001 23 00",
		&packet.Subscribe{PacketID: 10, Subscriptions: []packet.Subscription{{Filter: "a/b", QoS: 1}, {Filter: "#"}}}},
	{"suback", "90 04 000a 01 80", &packet.Suback{PacketID: 10, Codes: []byte{1, 0x80}}},
	{"unsubscribe", "a2 0a 000b 0003 612f62 0001 23",
		&packet.Unsubscribe{PacketID: 11, Filters: []string{"a/b", "#"}}},
	{"unsuback", "b0 02 000b", &packet.Ack{Kind: packet.TypeUnsuback, PacketID: 11}},
	{"pingreq", "c0 00", &packet.Empty{Kind: packet.TypePingreq}},
	{"pingresp", "d0 00", &packet.Empty{Kind: packet.TypePingresp}},
	{"disconnect", "e0 00", &packet.Empty{Kind: packet.TypeDisconnect}},
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGolden(t *testing.T) {
	for _, g := range golden {
		want := unhex(t, g.hex)
		got, err := g.packet.Append([]byte("before"))
		if err != nil || string(got) != "before"+string(want) {
			t.Errorf("%s: Append = %x, %v, want %x", g.name, got, err, want)
		}
		p, err := reader(want).Read()
		if err != nil {
			t.Errorf("%s: Read: %v", g.name, err)
		} else if !reflect.DeepEqual(p, g.packet) {
			t.Errorf("%s: Read = %+v, want %+v", g.name, p, g.packet)
		}
	}
}

func TestLongPublishTakesALongHeader(t *testing.T) {
	payload := bytes.Repeat([]byte("x"), 128<<10)
	b, err := (&packet.Publish{Topic: "t", Payload: payload}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{0x30, 0x83, 0x80, 0x08, 0, 1, 't', 'x'}; !bytes.HasPrefix(b, want) {
		t.Fatalf("long publish begins %x, want %x", b[:8], want)
	}
	p, err := reader(b).Read()
	if err != nil {
		t.Fatal(err)
	}
	if got := p.(*packet.Publish); !bytes.Equal(got.Payload, payload) {
		t.Fatalf("payload of %d bytes came back with %d", len(payload), len(got.Payload))
	}
}

// malformed packets, each with what is wrong about it.
var malformed = []struct{ name, hex string }{
	{"type 0", "00 00"},
	{"type 15", "f0 00"},
	{"length of five bytes", "30 ff ff ff ff 01"},
	{"connect flags in the header", "11 0d 0004 4d515454 04 02 003c 0001 61"},
	{"connect cut off", "10 08 0004 4d515454 04 02"},
	{"connect, reserved flag", "10 0d 0004 4d515454 04 03 003c 0001 61"},
	{"connect, will QoS without will", "10 0d 0004 4d515454 04 0a 003c 0001 61"},
	{"connect, will retain without will", "10 0d 0004 4d515454 04 22 003c 0001 61"},
	{"connect, will QoS 3", "10 13 0004 4d515454 04 1e 003c 0001 61 0001 77 0001 62"},
	{"connect, will to a wildcard", "10 13 0004 4d515454 04 06 003c 0001 61 0001 23 0001 62"},
	{"connect, password alone", "10 10 0004 4d515454 04 42 003c 0001 61 0001 70"},
	{"connect, bytes after the end", "10 0e 0004 4d515454 04 02 003c 0001 61 00"},
	{"connect, client id not UTF-8", "10 0d 0004 4d515454 04 02 003c 0001 ff"},
	{"connect, client id with NUL", "10 0d 0004 4d515454 04 02 003c 0001 00"},
	{"connack flags", "20 02 02 00"},
	{"publish QoS 3", "36 07 0003 612f62 0001"},
	{"publish dup with QoS 0", "38 07 0003 612f62 6869"},
	{"publish id 0", "32 07 0003 612f62 0000"},
	{"publish without id", "32 05 0003 612f62"},
	{"publish without topic", "30 02 0000"},
	{"publish, nothing", "30 00"},
	{"publish to a wildcard", "30 05 0003 612f2b"},
	{"publish, NUL in topic", "30 05 0003 610062"},
	{"publish, surrogate in topic", "30 05 0003 eda080"},
	{"publish, topic cut off", "30 03 0005 61"},
	{"puback of three bytes", "40 03 123400"},
	{"puback id 0", "40 02 0000"},
	{"puback flags", "41 02 1234"},
	{"pubrel flags", "60 02 1234"},
	{"subscribe flags", "80 06 000a 0001 61 01"},
	{"subscribe id 0", "82 06 0000 0001 61 01"},
	{"subscribe to nothing", "82 02 000a"},
	{"subscribe to an empty filter", "82 05 000a 0000 01"},
	{"subscribe QoS 3", "82 06 000a 0001 61 03"},
	{"subscribe, reserved bits", "82 06 000a 0001 61 81"},
	{"subscribe without QoS", "82 05 000a 0001 61"},
	{"suback code 3", "90 03 000a 03"},
	{"suback without codes", "90 02 000a"},
	{"unsubscribe from nothing", "a2 02 000b"},
	{"unsubscribe from an empty filter", "a2 04 000b 0000"},
	{"pingreq with a body", "c0 01 00"},
	{"disconnect flags", "e1 00"},
}

func TestMalformed(t *testing.T) {
	for _, m := range malformed {
		p, err := reader(unhex(t, m.hex)).Read()
		if !errors.Is(err, packet.ErrMalformed) || p != nil {
			t.Errorf("%s: Read = %v, %v, want ErrMalformed", m.name, p, err)
		}
	}
}

func TestEnds(t *testing.T) {
	b := unhex(t, "32 09 0003 612f62 0001 6869")
	if _, err := reader(nil).Read(); err != io.EOF {
		t.Errorf("nothing to read: %v, want io.EOF", err)
	}
	for n := 1; n < len(b); n++ {
		if _, err := reader(b[:n]).Read(); err != io.ErrUnexpectedEOF {
			t.Errorf("%d of %d bytes: %v, want io.ErrUnexpectedEOF", n, len(b), err)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, v := range []struct {
		hex   string
		level byte
	}{
		{"10 0e 0004 4d515454 06 02 003c 00 0001 61", 6},
		{"10 0d 0004 4d515454 84 02 003c 0001 61", 0x84}, // a mosquitto bridge
		{"10 0d 0004 4d515454 03 02 003c 0001 61", 3},
		{"10 0d 0004 6d717474 04 02 003c 0001 61", 4}, // "mqtt"
	} {
		_, err := reader(unhex(t, v.hex)).ReadConnect()
		var ve *packet.VersionError
		if !errors.As(err, &ve) || ve.Level != v.level {
			t.Errorf("ReadConnect(%s) = %v, want a VersionError of level %d", v.hex, err, v.level)
		}
	}
}

func TestReadConnectReadsNothingElse(t *testing.T) {
	b := bufio.NewReader(strings.NewReader("GET /mqtt HTTP/1.1\r\n\r\n"))
	_, err := packet.NewReader(b, maxPacket).ReadConnect()
	if !errors.Is(err, packet.ErrMalformed) {
		t.Fatalf("ReadConnect of HTTP = %v, want ErrMalformed", err)
	}
}

func TestTooLarge(t *testing.T) {
	if _, err := reader(unhex(t, "30 81 90 09")).Read(); !errors.Is(err, packet.ErrTooLarge) {
		t.Errorf("149,505 bytes announced: %v, want ErrTooLarge", err)
	}
	long := strings.Repeat("x", 1<<16)
	for _, p := range []packet.Packet{
		&packet.Connect{ClientID: long}, &packet.Publish{Topic: long},
		&packet.Subscribe{Subscriptions: []packet.Subscription{{Filter: long}}},
		&packet.Unsubscribe{Filters: []string{long}},
	} {
		if b, err := p.Append([]byte("x")); !errors.Is(err, packet.ErrTooLarge) || string(b) != "x" {
			t.Errorf("%T with a field of 64 KiB: %d bytes, %v, want ErrTooLarge", p, len(b), err)
		}
	}
}

// TestAnnouncedBytesAreNotAllocated: someone who says "146 KiB follow" and
// sends nothing must not make us hold 146 KiB.
func TestAnnouncedBytesAreNotAllocated(t *testing.T) {
	in := unhex(t, "30 80 90 09 0001")
	var before, after runtime.MemStats
	const rounds = 50
	runtime.ReadMemStats(&before)
	for range rounds {
		if _, err := reader(in).Read(); err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if per := (after.TotalAlloc - before.TotalAlloc) / rounds; per > 48<<10 {
		t.Errorf("%d bytes allocated for a packet of which 2 bytes came", per)
	}
}

// TestTopicIsKept: the common case, one publisher and one topic, costs one
// allocation a packet, the body.
func TestTopicIsKept(t *testing.T) {
	one := unhex(t, "30 07 0003 612f62 6869")
	r := reader(bytes.Repeat(one, 2000))
	if got := testing.AllocsPerRun(1000, func() {
		if _, err := r.Read(); err != nil {
			t.Fatal(err)
		}
	}); got > 1 {
		t.Errorf("%v allocations a publish, want 1", got)
	}
}

// FuzzRead: whatever is read can be written, and reads as the same again; the
// bytes differ at most in how the remaining length was written. On an error
// there is no packet.
func FuzzRead(f *testing.F) {
	for _, g := range golden {
		f.Add(unhex(f, g.hex))
	}
	for _, m := range malformed {
		f.Add(unhex(f, m.hex))
	}
	f.Add(unhex(f, "c0 80 00")) // a length in more bytes than needed
	f.Fuzz(func(t *testing.T, in []byte) {
		src := bytes.NewReader(in)
		br := bufio.NewReaderSize(src, 16)
		p, err := packet.NewReader(br, maxPacket).Read()
		if err != nil {
			if p != nil {
				t.Fatalf("Read = %+v beside the error %v", p, err)
			}
			return
		}
		out, err := p.Append(nil)
		if err != nil {
			t.Fatalf("Append of %+v: %v", p, err)
		}
		used := in[:len(in)-src.Len()-br.Buffered()]
		if out[0] != used[0] || !bytes.Equal(body(out), body(used)) {
			t.Fatalf("read %x, wrote %x", used, out)
		}
		again, err := reader(out).Read()
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("read back %+v, %v, want %+v", again, err, p)
		}
	})
}

// body cuts the fixed header off.
func body(b []byte) []byte {
	i := 1
	for b[i]&0x80 != 0 {
		i++
	}
	return b[i+1:]
}
