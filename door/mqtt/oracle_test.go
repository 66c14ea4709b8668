package mqtt_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"strait/await"
	"strait/door/mqtt"
	"strait/door/mqtt/packet"
)

// The cases of Paho's interoperability suite that apply to QoS 0 and 1, and the
// rows of the design's section 7 that a client can see, restated. They are
// played against us and, to check the cases themselves, against mosquitto.

// A stage is where a case is played.
type stage struct {
	*testing.T
	addr string
	v    packet.Version
}

func TestCases(t *testing.T) {
	// Ten seconds for a CONNECT are a stranger's; here a busy machine may take longer.
	h := open(t, mqtt.Limits{Connect: 2 * time.Minute})
	go func() {
		for range h.came {
		}
	}()
	go func() {
		for range h.ends {
		}
	}()
	stages := map[string]string{"strait": h.addr}
	if addr := mosquitto(t); addr != "" {
		stages["mosquitto"] = addr
	}
	maps.Copy(cases, loads)
	for where, addr := range stages {
		for _, v := range []packet.Version{packet.V311, packet.V5} {
			for name, play := range cases {
				t.Run(fmt.Sprintf("%s/%d/%s", where, v, name), func(t *testing.T) { play(stage{t, addr, v}) })
			}
		}
	}
}

// mosquitto starts Debian's broker on loopback, "" where it is not installed.
func mosquitto(t *testing.T) string {
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		t.Log("mosquitto is not installed; the cases are played against us only")
		return ""
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	file := filepath.Join(t.TempDir(), "mosquitto.conf")
	conf := "listener " + port + " 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 100\nmax_queued_messages 30000\n"
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-c", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	addr := "127.0.0.1:" + port
	await.Until(t, "an answer of mosquitto", func() bool {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	return addr
}

// client connects; keep asks for a session that outlives the connection.
func (s stage) client(id string, keep bool, ps ...packet.Properties) (*rawClient, bool) {
	s.Helper()
	r := dial(s.T, s.addr)
	c := packet.Connect{Version: s.v, ClientID: id, Clean: !keep, KeepAlive: 60}
	if s.v == packet.V5 {
		c.Props = &packet.Properties{}
		if len(ps) > 0 {
			c.Props = &ps[0]
		}
		if keep {
			c.Props.Present |= packet.Of(packet.SessionExpiry)
			c.Props.SessionExpiry = 600
		}
	}
	return r, r.greet(c).SessionPresent
}

// fresh forgets what is left of id from another case.
func (s stage) fresh(id string) {
	r, _ := s.client(id, false)
	s.leave(r)
}

func (s stage) leave(r *rawClient) {
	if s.v == packet.V5 {
		r.send(&packet.Leave{Kind: packet.TypeDisconnect})
	} else {
		r.send(disconnect)
	}
	r.closed()
}

func (s stage) five() bool { return s.v == packet.V5 }

func (s stage) subscribe(r *rawClient, id uint16, filters ...string) {
	s.Helper()
	p := &packet.Subscribe{V5: s.five(), PacketID: id}
	for _, f := range filters {
		p.Subscriptions = append(p.Subscriptions, packet.Subscription{Filter: f, QoS: 1})
	}
	r.send(p)
	if a, ok := r.next().(*packet.Suback); !ok || a.PacketID != id || len(a.Codes) != len(filters) || a.Codes[0] != 1 {
		s.Fatalf("SUBACK %+v", a)
	}
}

// publish publishes with QoS 1 and waits for the PUBACK.
func (s stage) publish(r *rawClient, topic, payload string, retain bool) {
	s.Helper()
	r.send(&packet.Publish{V5: s.five(), Topic: topic, Payload: []byte(payload), QoS: 1, PacketID: 7, Retain: retain})
	if a, ok := r.next().(*packet.Ack); !ok || a.Kind != packet.TypePuback || a.PacketID != 7 || a.Reason >= 0x80 {
		s.Fatalf("PUBACK %+v", a)
	}
}

func (s stage) ack(r *rawClient, id uint16) {
	r.send(&packet.Ack{V5: s.five(), Kind: packet.TypePuback, PacketID: id})
}

func (s stage) want(r *rawClient, payload string) packet.Publish {
	s.Helper()
	p, ok := r.next().(*packet.Publish)
	if !ok || string(p.Payload) != payload {
		s.Fatalf("got %+v, want the message %q", p, payload)
	}
	return *p
}

var cases = map[string]func(stage){
	"basic": func(s stage) {
		r, present := s.client("basic", false)
		if present {
			s.Error("a clean session is present")
		}
		s.subscribe(r, 1, "basic/+")
		r.send(&packet.Publish{V5: s.five(), Topic: "basic/0", Payload: []byte("zero")})
		if p := s.want(r, "zero"); p.QoS != 0 || p.Retain || p.Dup {
			s.Errorf("got %+v", p)
		}
		s.leave(r)
	},
	"retained": func(s stage) {
		r, _ := s.client("retained", false)
		s.publish(r, "retained/a", "kept", true)
		s.subscribe(r, 1, "retained/a")
		if p := s.want(r, "kept"); !p.Retain {
			s.Error("a retained message came without RETAIN")
		} else {
			s.ack(r, p.PacketID)
		}
		s.leave(r)
		r, _ = s.client("retained", false)
		s.publish(r, "retained/a", "", true) // forgets it
		s.subscribe(r, 2, "retained/a")
		r.ping()
		s.leave(r)
	},
	"offline queue in order": func(s stage) {
		const n = 500
		s.fresh("offline")
		r, _ := s.client("offline", true)
		s.subscribe(r, 1, "offline/+/c")
		s.leave(r)
		pub, _ := s.client("offline-pub", false)
		for i := range n {
			s.publish(pub, "offline/b/c", fmt.Sprint(i), false)
		}
		r, present := s.client("offline", true)
		if !present {
			s.Error("the session is not present")
		}
		for i := range n {
			s.ack(r, s.want(r, fmt.Sprint(i)).PacketID)
		}
		s.leave(r)
		s.fresh("offline")
	},
	"redelivery on reconnect": func(s stage) {
		s.fresh("again")
		r, _ := s.client("again", true)
		s.subscribe(r, 1, "again")
		pub, _ := s.client("again-pub", false)
		s.publish(pub, "again", "x", false)
		first := s.want(r, "x")
		// Two id spaces: what the client begins with the same id disturbs nothing.
		s.subscribe(r, first.PacketID, "other")
		r.send(&packet.Publish{V5: s.five(), Topic: "nobody", QoS: 1, PacketID: first.PacketID})
		if a, ok := r.next().(*packet.Ack); !ok || a.PacketID != first.PacketID {
			s.Errorf("PUBACK %+v", a)
		}
		_ = r.nc.Close()
		r, _ = s.client("again", true)
		if p := s.want(r, "x"); !p.Dup || p.QoS != 1 {
			s.Errorf("again: %+v", p)
		} else {
			s.ack(r, p.PacketID)
		}
		s.leave(r)
		s.fresh("again")
	},
	"will": func(s stage) {
		r, _ := s.client("will-watch", false)
		s.subscribe(r, 1, "will")
		for _, polite := range []bool{true, false} {
			c := dial(s.T, s.addr)
			c.hello(packet.Connect{Version: s.v, ClientID: "will", Clean: true, KeepAlive: 60, Will: &packet.Will{Topic: "will", Payload: []byte("lost"), QoS: 1}})
			if polite {
				s.leave(c)
			} else {
				_ = c.nc.Close()
			}
		}
		s.ack(r, s.want(r, "lost").PacketID)
		r.ping() // and only one
	},
	"take-over": func(s stage) {
		s.fresh("twice")
		pub, _ := s.client("twice-pub", false)
		r, _ := s.client("twice", true)
		s.subscribe(r, 1, "twice")
		seen := map[string]bool{}
		for i := range 20 {
			s.publish(pub, "twice", fmt.Sprint(i), false)
			r, _ = s.client("twice", true) // the older connection reads no more
		}
		for len(seen) < 20 {
			p := r.next().(*packet.Publish)
			seen[string(p.Payload)] = true
			s.ack(r, p.PacketID)
		}
		s.leave(r)
		s.fresh("twice")
	},
	"receive maximum": func(s stage) {
		if !s.five() {
			return
		}
		const n = 5000
		r, _ := s.client("window", false, packet.Properties{Present: packet.Of(packet.ReceiveMaximum), ReceiveMaximum: 10})
		s.subscribe(r, 1, "window")
		pub, _ := s.client("window-pub", false)
		long(r, pub)
		go func() {
			for i := range n {
				b, _ := (&packet.Publish{V5: true, Topic: "window", Payload: []byte(fmt.Sprint(i)), QoS: 1, PacketID: uint16(i%50 + 1)}).Append(nil)
				if _, err := pub.nc.Write(b); err != nil {
					return
				}
				if _, err := pub.in.Read(); err != nil {
					return
				}
			}
		}()
		for i := range n {
			s.ack(r, s.want(r, fmt.Sprint(i)).PacketID)
		}
	},
	"unsubscribe": func(s stage) {
		r, _ := s.client("unsub", false)
		s.subscribe(r, 1, "unsub/a", "unsub/b")
		r.send(&packet.Unsubscribe{V5: s.five(), PacketID: 2, Filters: []string{"unsub/a"}})
		if a, ok := r.next().(*packet.Ack); !ok || a.Kind != packet.TypeUnsuback || a.PacketID != 2 {
			s.Fatalf("UNSUBACK %+v", a)
		}
		pub, _ := s.client("unsub-pub", false)
		s.publish(pub, "unsub/a", "a", false)
		s.publish(pub, "unsub/b", "b", false)
		s.ack(r, s.want(r, "b").PacketID)
	},
	"$ topics": func(s stage) {
		r, _ := s.client("dollar", false)
		s.subscribe(r, 1, "+/dollar", "#")
		pub, _ := s.client("dollar-pub", false)
		s.publish(pub, "$dollar/dollar", "hidden", false)
		s.publish(pub, "dollar/end", "end", false)
		s.ack(r, s.want(r, "end").PacketID)
	},
	"shared": func(s stage) {
		a, _ := s.client("shared-a", false)
		b, _ := s.client("shared-b", false)
		for _, r := range []*rawClient{a, b} {
			s.subscribe(r, 1, "$share/group/shared")
		}
		pub, _ := s.client("shared-pub", false)
		const n = 40
		for range n {
			s.publish(pub, "shared", "x", false)
		}
		got := make(chan bool, 2*n)
		for _, r := range []*rawClient{a, b} {
			go func() {
				for {
					if p, err := r.in.Read(); err != nil || p.Type() != packet.TypePublish {
						return
					}
					got <- true
				}
			}()
		}
		for range n {
			select {
			case <-got:
			case <-time.After(patience):
				s.Fatal("a message did not come")
			}
		}
		if len(got) > 0 {
			s.Error("a message came twice")
		}
	},
}
