package mqtt_test

import (
	"encoding/hex"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"strait/door/mqtt"
	"strait/door/mqtt/packet"
)

// TestRefusedConnect: in MQTT 3.1.1 the socket closes and there is no CONNACK.
func TestRefusedConnect(t *testing.T) {
	h := open(t, mqtt.Limits{})
	ok := packet.Connect{Version: packet.V311, ClientID: "a", Clean: true}
	for name, change := range map[string]func(*packet.Connect){
		"the connector says no":          func(c *packet.Connect) { c.ClientID = "nobody" },
		"the id begins with $":           func(c *packet.Connect) { c.ClientID = "$GEN/1" },
		"the id is too long":             func(c *packet.Connect) { c.ClientID = strings.Repeat("x", 129) },
		"no id and a persistent session": func(c *packet.Connect) { c.ClientID, c.Clean = "", false },
		"a will with QoS 2":              func(c *packet.Connect) { c.Will = &packet.Will{Topic: "w", QoS: 2} },
		"a will to a wildcard":           func(c *packet.Connect) { c.Will = &packet.Will{Topic: "w/#"} },
	} {
		c := ok
		change(&c)
		t.Run(name, func(t *testing.T) {
			r := dial(t, h.addr)
			r.send(&c)
			r.closed()
		})
	}
	for name, bytes := range map[string]string{
		"HTTP":                     hex.EncodeToString([]byte("GET / HTTP/1.1\r\n\r\n")),
		"a PINGREQ first":          "c000",
		"too large":                "10ffffff7f",
		"MQTT level 3":             "100d00044d515454030200 3c000161",
		"a bridge (level 0x84)":    "100d00044d515454840200 3c000161",
		"another protocol's name":  "100d00045854545404 02003c000161",
		"TLS on a plain connector": "1603010200010001fc0303",
	} {
		t.Run(name, func(t *testing.T) {
			b, err := hex.DecodeString(strings.ReplaceAll(bytes, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			r := dial(t, h.addr)
			r.write(b)
			r.closed()
		})
	}
}

// TestLaterVersions are answered in MQTT 5: CONNACK, unsupported protocol version.
func TestLaterVersions(t *testing.T) {
	h := open(t, mqtt.Limits{})
	r := dial(t, h.addr)
	b, _ := hex.DecodeString("100e00044d5154540602003c00000161")
	r.write(b)
	got, err := io.ReadAll(r.nc)
	if string(got) != "\x20\x03\x00\x84\x00" || err != nil {
		t.Errorf("MQTT 6 was answered with %x, %v", got, err)
	}
}

// TestMQTT31 is tolerated for the v1 SDK for Python; it knows no session present.
func TestMQTT31(t *testing.T) {
	h := open(t, mqtt.Limits{})
	h.connect(packet.Connect{ClientID: "old"}).send(disconnect)
	h.ended(mqtt.Disconnected)
	if dial(t, h.addr).hello(packet.Connect{ClientID: "old"}) != true {
		t.Error("3.1.1: the session is not present")
	}
	if dial(t, h.addr).hello(packet.Connect{Version: packet.V31, ClientID: "old"}) != false {
		t.Error("3.1: the reserved bit is set")
	}
}

func TestWhatTheConnectorLearns(t *testing.T) {
	h := open(t, mqtt.Limits{})
	for _, k := range []struct {
		asked uint16
		want  time.Duration
	}{{0, 1200}, {1, 30}, {29, 30}, {30, 30}, {600, 600}, {1200, 1200}, {1201, 1200}, {65535, 1200}} {
		r := dial(t, h.addr)
		r.hello(packet.Connect{ClientID: "c", Clean: true, KeepAlive: k.asked, HasUsername: true, Username: "?SDK=Python&Version=1.5.4",
			HasPassword: true, Password: []byte("p"), Will: &packet.Will{Topic: "w", Payload: []byte("lost"), QoS: 1, Retain: true}})
		c := <-h.came
		if c.KeepAlive != k.want*time.Second {
			t.Errorf("keep-alive %d became %s, want %ds", k.asked, c.KeepAlive, k.want)
		}
		if c.Username != "?SDK=Python&Version=1.5.4" || !c.Clean || c.ClientID != "c" || c.Assigned ||
			c.Peer.Addr.String() != r.nc.LocalAddr().String() || c.Peer.TLS != nil || c.Peer.Certificate != nil || c.Peer.WebSocket != nil {
			t.Errorf("the connector learned %+v", c)
		}
		if w := c.Will; w == nil || w.Topic != "w" || string(w.Payload) != "lost" || w.QoS != 1 || !w.Retain {
			t.Errorf("the will is %+v", w)
		}
	}
	dial(t, h.addr).hello(packet.Connect{Clean: true})
	if c := <-h.came; !c.Assigned || len(c.ClientID) != len("gen-")+36 || !strings.HasPrefix(c.ClientID, "gen-") {
		t.Errorf("a client without an id is called %q, assigned %v", c.ClientID, c.Assigned)
	}
}

// TestSilentClients runs in a bubble, where time is exact.
func TestSilentClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, mqtt.Limits{}) // AWS's: 10 s for a CONNECT
		begin := time.Now()
		closed := func(what string, r *rawClient, least, most time.Duration) {
			t.Helper()
			r.closed()
			if took := time.Since(begin); took < least || took > most {
				t.Errorf("%s was closed after %s, want %s to %s", what, took, least, most)
			}
			begin = time.Now()
		}
		closed("who never says CONNECT", h.pipe(), 10*time.Second, 10*time.Second)
		r := h.pipe()
		r.write([]byte{0x10, 0x0d, 0}) // or says half of it
		closed("who says half of it", r, 10*time.Second, 10*time.Second)

		// A will, and a clean reader that is told of it.
		watcher := h.pipe()
		watcher.hello(packet.Connect{ClientID: "watcher", Clean: true, KeepAlive: 1200})
		watcher.subscribe("will", 0)
		r = h.pipe()
		r.hello(packet.Connect{ClientID: "silent", Clean: true, KeepAlive: 40, Will: &packet.Will{Topic: "will", Payload: []byte("gone")}})
		for range 5 { // it lives on for longer than the keep-alive
			time.Sleep(59 * time.Second)
			r.ping()
		}
		begin = time.Now()
		// Up to a second late: the deadline is not moved with each packet.
		closed("who fell silent", r, 60*time.Second, 61*time.Second)
		h.ended(mqtt.KeepAliveTimeout)
		p, ok := watcher.next().(*packet.Publish)
		if !ok || p.Topic != "will" || string(p.Payload) != "gone" {
			t.Errorf("the will is %+v", p)
		}
	})
}

func TestSecondConnect(t *testing.T) {
	h := open(t, mqtt.Limits{})
	r := h.connect(packet.Connect{ClientID: "a", Clean: true})
	r.send(&packet.Connect{Version: packet.V311, ClientID: "a", Clean: true})
	r.closed()
	h.ended(mqtt.ClientError)
}

func TestTakeOver(t *testing.T) {
	h := open(t, mqtt.Limits{})
	old := h.connect(packet.Connect{ClientID: "a"})
	fresh := h.connect(packet.Connect{ClientID: "a"})
	old.closed()
	h.ended(mqtt.Ended)
	fresh.ping()
}

func TestConnectionLimits(t *testing.T) {
	h := open(t, mqtt.Limits{Connections: 3, Pending: 2})
	a, b := dial(t, h.addr), dial(t, h.addr)
	a.hello(packet.Connect{ClientID: "a", Clean: true})
	b.hello(packet.Connect{ClientID: "b", Clean: true})
	c := dial(t, h.addr)
	c.hello(packet.Connect{ClientID: "c", Clean: true})
	d := dial(t, h.addr)
	d.closed()
	a.send(disconnect)
	h.ended(mqtt.Disconnected)
	a.closed()
	// The place is free again, a moment after a's socket closed.
	deadline := time.Now().Add(patience)
	for {
		e := dial(t, h.addr)
		e.send(&packet.Connect{Version: packet.V311, ClientID: "e", Clean: true})
		if _, err := e.in.Read(); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a connection that ended is never free again")
		}
	}
	for range 2 { // those who dawdle take places, too
		dial(t, h.addr).closed()
	}
}

// TestGoodbyeBeforeTheEnd: a client that said goodbye sees its connection end
// only when its session has: else it could connect again and, by taking itself
// over, have its will published.
func TestGoodbyeBeforeTheEnd(t *testing.T) {
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		h := open(t, mqtt.Limits{})
		var ended atomic.Bool
		h.ending = func() { time.Sleep(50 * time.Millisecond); ended.Store(true) }
		r := dial(t, h.addr)
		r.greet(packet.Connect{Version: v, ClientID: "a", Clean: true, KeepAlive: 60})
		if v == packet.V5 {
			r.send(&packet.Leave{Kind: packet.TypeDisconnect})
		} else {
			r.send(disconnect)
		}
		r.closed()
		if !ended.Load() {
			t.Errorf("version %d: the socket was closed before the session", v)
		}
	}
}
