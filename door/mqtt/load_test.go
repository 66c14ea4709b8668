package mqtt_test

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"
	"time"

	"strait/door/mqtt"
	"strait/door/mqtt/packet"
)

// loads are more cases of oracle_test.go: the rows of the design's section 7 that
// are about many messages, and about clients that do not read.
var loads = map[string]func(stage){
	"20,000 offline": func(s stage) {
		if s.five() {
			return // once is enough
		}
		const n = 20_000
		s.fresh("many")
		r, _ := s.client("many", true)
		s.subscribe(r, 1, "many")
		s.leave(r)
		pub, _ := s.client("many-pub", false)
		long(pub)
		if err := s.flood(pub, "many", n, nil); err != nil {
			s.Fatal(err)
		}
		r, _ = s.client("many", true)
		long(r)
		for i := range n {
			s.ack(r, s.numbered(r, i))
		}
		s.leave(r)
		s.fresh("many")
	},
	"a slow reader's queue on disk": func(s stage) {
		if s.five() {
			return
		}
		const n = 2000
		body := bytes.Repeat([]byte("x"), 4<<10) // 8 MiB in all: more than sockets and windows hold
		s.fresh("slow")
		r, _ := s.client("slow", true)
		s.subscribe(r, 1, "slow")
		pub, _ := s.client("slow-pub", false)
		long(r, pub)
		if err := s.flood(pub, "slow", n, body); err != nil { // all of it is acknowledged before the first is read
			s.Fatal(err)
		}
		for i := range n {
			s.ack(r, s.numbered(r, i))
		}
		s.leave(r)
		s.fresh("slow")
	},
	"who does not read slows nobody down": func(s stage) {
		const n = 300
		body := bytes.Repeat([]byte("x"), 32<<10)
		mute, _ := s.client("mute", false)
		s.subscribe(mute, 1, "busy")
		r, _ := s.client("fast", false)
		s.subscribe(r, 1, "busy")
		pub, _ := s.client("busy-pub", false)
		long(r, pub)
		done := make(chan error, 1)
		go func() { done <- s.flood(pub, "busy", n, body) }()
		for i := range n {
			s.ack(r, s.numbered(r, i))
		}
		if err := <-done; err != nil {
			s.Error(err)
		}
	},
	"20 take-overs under load": func(s stage) {
		const n = 1000
		s.fresh("load")
		r, _ := s.client("load", true)
		s.subscribe(r, 1, "load")
		pub, _ := s.client("load-pub", false)
		long(pub)
		done := make(chan error, 1)
		go func() { done <- s.flood(pub, "load", n, nil) }()
		seen := map[int]bool{}
		for over := 0; len(seen) < n; {
			p, ok := r.next().(*packet.Publish)
			if !ok {
				continue
			}
			i, err := number(p)
			if err != nil {
				s.Fatal(err)
			}
			seen[i] = true
			if over < 20 && len(seen) >= 45*(over+1) {
				over++ // and what is not acknowledged comes again
				r, _ = s.client("load", true)
				long(r)
				continue
			}
			if i%3 > 0 || p.Dup || over == 20 {
				s.ack(r, p.PacketID)
			}
		}
		if err := <-done; err != nil {
			s.Error(err)
		}
		s.leave(r)
		s.fresh("load")
	},
	"a second CONNECT": func(s stage) {
		r, _ := s.client("second", false)
		b, err := (&packet.Connect{Version: s.v, ClientID: "second", Clean: true, KeepAlive: 60}).Append(nil)
		if err != nil {
			s.Fatal(err)
		}
		r.write(b)
		p, err := r.in.Read()
		if err != nil {
			return // closed; mosquitto gives no reason
		}
		if l, ok := p.(*packet.Leave); !ok || !s.five() || l.Reason != 0x82 {
			s.Errorf("got %+v, want DISCONNECT 0x82", p)
		}
		r.closed()
	},
}

// long gives connections more time than a case usually takes.
func long(rs ...*rawClient) {
	for _, r := range rs {
		_ = r.nc.SetDeadline(time.Now().Add(6 * patience))
	}
}

// flood publishes n numbered messages with QoS 1, some at a time, and returns
// when all are acknowledged.
func (s stage) flood(r *rawClient, topic string, n int, body []byte) error {
	const window = 50
	for sent, acked := 0, 0; acked < n; acked++ {
		var b []byte
		for ; sent < n && sent < acked+window; sent++ {
			p := packet.Publish{V5: s.five(), Topic: topic, Payload: append(strconv.AppendInt(nil, int64(sent), 10), append([]byte(" "), body...)...), QoS: 1, PacketID: uint16(sent%1000 + 1)}
			var err error
			if b, err = p.Append(b); err != nil {
				return err
			}
		}
		if _, err := r.nc.Write(b); err != nil {
			return fmt.Errorf("after %d messages: %w", sent, err)
		}
		p, err := r.in.Read()
		if a, ok := p.(*packet.Ack); err != nil || !ok || a.Reason >= 0x80 {
			return fmt.Errorf("PUBACK %d is %+v, %v", acked, p, err)
		}
	}
	return nil
}

func number(p *packet.Publish) (int, error) {
	digits, _, _ := bytes.Cut(p.Payload, []byte(" "))
	return strconv.Atoi(string(digits))
}

// numbered waits for the message number i and returns its packet id.
func (s stage) numbered(r *rawClient, i int) uint16 {
	s.Helper()
	p, ok := r.next().(*packet.Publish)
	if !ok {
		s.Fatalf("got %+v, want message %d", p, i)
	}
	if got, err := number(p); err != nil || got != i {
		s.Fatalf("got message %d, %v, want %d", got, err, i)
	}
	return p.PacketID
}

// TestStormServesThoseConnected: while more clients come than are admitted in
// seconds, those who are here exchange messages as before.
func TestStormServesThoseConnected(t *testing.T) {
	h := open(t, mqtt.Limits{Connects: 50})
	a := h.connect(packet.Connect{ClientID: "a", Clean: true})
	a.subscribe("t", 1)
	go func() {
		for range h.came {
		}
	}()
	go func() {
		for range h.ends {
		}
	}()
	const storm = 200 // at 50 a second, the first 50 at once
	over := make(chan struct{})
	go func() {
		defer close(over)
		var rs []*rawClient
		for i := range storm {
			r := dial(t, h.addr)
			_ = r.nc.SetDeadline(time.Now().Add(6 * patience))
			b, _ := (&packet.Connect{Version: packet.V311, ClientID: fmt.Sprint("storm", i), Clean: true, KeepAlive: 60}).Append(nil)
			_, _ = r.nc.Write(b)
			rs = append(rs, r)
		}
		for _, r := range rs {
			if p, err := r.in.Read(); err != nil || p.Type() != packet.TypeConnack {
				t.Errorf("one of the storm got %v, %v", p, err)
			}
		}
	}()
	rounds := 0
	for {
		select {
		case <-over:
			if rounds < 100 {
				t.Errorf("%d messages there and back during the storm", rounds)
			}
			return
		default:
		}
		a.send(&packet.Publish{Topic: "t", QoS: 1, PacketID: 1})
		for range 2 { // the PUBACK and the message, in either order
			if p, ok := a.next().(*packet.Publish); ok {
				a.send(puback(p.PacketID))
			}
		}
		_ = a.nc.SetDeadline(time.Now().Add(patience))
		rounds++
	}
}
