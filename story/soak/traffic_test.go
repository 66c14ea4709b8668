package soak_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"strait/door/mqtt/packet"
)

// A run is the traffic, and what was seen of it.
type run struct {
	*target
	ctx   context.Context // ends when no new messages are to be published
	seed  uint64
	index atomic.Uint64 // of the next client's random numbers
	every time.Duration // between two messages of a publisher

	mu       sync.Mutex
	failures int

	publishers []*publisher
	published, delivered, again, cuts, takeOvers, wills,
	connects atomic.Uint64
}

// fail notes what must not be; after some it is no longer written.
func (r *run) fail(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failures++; r.failures <= 20 {
		r.t.Errorf(format, args...)
	}
}

func (r *run) random() *rand.Rand { return rand.New(rand.NewPCG(r.seed, r.index.Add(1))) }

// pause waits for d, or for the end of the traffic.
func (r *run) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.ctx.Done():
	}
}

func between(x *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(x.Int64N(int64(high-low)))
}

func version(i int) packet.Version {
	if i%2 == 0 {
		return packet.V311
	}
	return packet.V5
}

// connect is dial that is counted; nil when it failed, which is noted.
func (r *run) connect(c packet.Connect) (*wire, bool) {
	r.connects.Add(1)
	w, present, err := r.dial(c)
	if err != nil {
		r.fail("connect: %v", err)
		r.pause(time.Second)
		return nil, false
	}
	return w, present
}

// A publisher publishes numbers, with QoS 1, and sends again what was not
// acknowledged when its connection was cut.
type publisher struct {
	*run
	name    int
	x       *rand.Rand
	next    uint64
	unacked []uint64

	mu     sync.Mutex
	resent map[uint64]bool // these may arrive twice
	count  uint64          // published for good, once it is done
}

const window = 10

func (p *publisher) twice(seq uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resent[seq]
}

func (p *publisher) main() {
	for p.ctx.Err() == nil || len(p.unacked) > 0 {
		if w, _ := p.connect(packet.Connect{Version: version(p.name), ClientID: fmt.Sprint("soak-pub-", p.name), Clean: true}); w != nil {
			p.serve(w)
		}
	}
	p.mu.Lock()
	p.count = p.next
	p.mu.Unlock()
}

// packet makes the message seq; it is padded by what seq says.
func (p *publisher) packet(seq uint64, v5, again bool) *packet.Publish {
	body := strconv.AppendUint(nil, seq, 10)
	body = append(body, ' ')
	body = append(body, make([]byte, binary.LittleEndian.Uint16([]byte{byte(seq * 7), byte(seq % 5)}))...)
	return &packet.Publish{V5: v5, Topic: fmt.Sprint("soak/p/", p.name), Payload: body, QoS: 1, PacketID: uint16(seq%1000 + 1), Dup: again}
}

func (p *publisher) serve(w *wire) {
	acks := make(chan uint16, 2*window)
	go func() {
		defer close(acks)
		for {
			q, err := w.in.Read()
			if err != nil {
				return
			}
			if a, ok := q.(*packet.Ack); ok {
				acks <- a.PacketID
			}
		}
	}()
	defer func() { // what was acknowledged meanwhile counts
		w.nc.Close()
		for id := range acks {
			p.acked(id)
		}
	}()
	for _, seq := range p.unacked {
		p.mu.Lock()
		p.resent[seq] = true
		p.mu.Unlock()
		if err := w.send(p.packet(seq, w.v5, true)); err != nil {
			p.fail("send again: %v", err)
			return
		}
	}
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	life := time.NewTimer(between(p.x, time.Second, 6*time.Second))
	defer life.Stop()
	end := p.ctx.Done()
	for {
		send := tick.C
		if len(p.unacked) >= window || end == nil {
			send = nil
		}
		select {
		case <-send:
			seq := p.next
			p.next++
			p.unacked = append(p.unacked, seq)
			p.published.Add(1)
			if err := w.send(p.packet(seq, w.v5, false)); err != nil {
				p.fail("publish: %v", err)
				return
			}
		case id, ok := <-acks:
			if !ok {
				p.fail("publisher %d was cut off by the server", p.name)
				return
			}
			p.acked(id)
		case <-life.C:
			if p.x.IntN(2) == 0 {
				p.cuts.Add(1)
				w.cut()
			} else {
				_ = w.send(&packet.Empty{Kind: packet.TypeDisconnect})
			}
			return
		case <-end:
			end = nil
		}
		if end == nil && len(p.unacked) == 0 {
			w.nc.Close()
			return
		}
	}
}

// acked takes the oldest message off, which id must be of.
func (p *publisher) acked(id uint16) {
	if len(p.unacked) == 0 || uint16(p.unacked[0]%1000+1) != id {
		p.fail("publisher %d: PUBACK %d out of order; unacknowledged are %v", p.name, id, p.unacked)
		return
	}
	p.unacked = p.unacked[1:]
}

// A reader checks what it gets by the numbers.
type reader struct {
	*run
	name  string
	x     *rand.Rand
	v     packet.Version
	keep  bool // a persistent session: nothing may be missing, ever
	qos   byte
	next  []uint64 // by publisher
	known []bool   // whether next counts
}

func (s *reader) connection() packet.Connect {
	return packet.Connect{Version: s.v, ClientID: "soak-" + s.name, Clean: !s.keep}
}

// take judges one delivery.
func (s *reader) take(p *packet.Publish) {
	s.delivered.Add(1)
	name, ok := strings.CutPrefix(p.Topic, "soak/p/")
	j, err1 := strconv.Atoi(name)
	digits, _, ok2 := strings.Cut(string(p.Payload), " ")
	seq, err2 := strconv.ParseUint(digits, 10, 64)
	if !ok || !ok2 || err1 != nil || err2 != nil || j >= len(s.publishers) || p.Retain || p.QoS != s.qos {
		s.fail("%s got what nobody sent: %+v", s.name, p)
		return
	}
	twice := s.publishers[j].twice(seq)
	switch {
	case !s.known[j] && !twice:
		s.known[j], s.next[j] = true, seq+1
	case !s.known[j]:
	case seq == s.next[j]:
		s.next[j]++
	case seq > s.next[j]:
		s.fail("%s lost messages %d to %d of publisher %d", s.name, s.next[j], seq-1, j)
		s.next[j] = seq + 1
	case !p.Dup && !twice:
		s.fail("%s got message %d of publisher %d twice, and it was not sent again", s.name, seq, j)
	default:
		s.again.Add(1)
	}
}

// read takes deliveries until the deadline, acknowledging most; it returns
// false when the connection broke.
func (s *reader) read(w *wire, until time.Time) bool {
	for {
		_ = w.nc.SetReadDeadline(until)
		p, err := w.in.Read()
		if err != nil {
			return time.Now().After(until)
		}
		m, ok := p.(*packet.Publish)
		if !ok {
			continue
		}
		s.take(m)
		// In its last moments it acknowledges little, so that much is in flight.
		if time.Until(until) < 100*time.Millisecond && s.x.IntN(4) > 0 {
			continue
		}
		if err := w.ack(m); err != nil {
			return false
		}
	}
}

// main comes and goes until the end, and then reads what is left.
func (s *reader) main(done <-chan struct{}) {
	var w *wire
	first := true
	for {
		present := false
		if w == nil {
			if w, present = s.connect(s.connection()); w == nil {
				continue
			}
		} else { // take-over
			old := w
			s.takeOvers.Add(1)
			w, present = s.connect(s.connection())
			old.cut()
			if w == nil {
				continue
			}
		}
		switch {
		case s.keep && !first && !present:
			s.fail("the session of %s is gone", s.name)
		case !s.keep:
			clear(s.known)
		}
		if !present {
			if err := w.subscribe("soak/p/+", s.qos, s.take); err != nil {
				s.fail("subscribe %s: %v", s.name, err)
			}
		}
		first = false
		select {
		case <-done:
			s.drain(w)
			return
		default:
		}
		if !s.read(w, time.Now().Add(between(s.x, 500*time.Millisecond, 4*time.Second))) {
			s.fail("%s was cut off by the server", s.name)
		}
		switch s.x.IntN(3) {
		case 0:
			w.leave()
			w = nil
		case 1:
			s.cuts.Add(1)
			w.cut()
			w = nil
		}
		if w == nil {
			s.pause(between(s.x, 0, 1500*time.Millisecond))
		}
	}
}

// drain reads what its session holds, and says goodbye. Of what it was given
// much is not acknowledged, or not for the server, and comes again: a message
// to itself is behind all of that.
func (s *reader) drain(w *wire) {
	defer w.leave()
	if !s.keep {
		return
	}
	take := func(m *packet.Publish) (err error) {
		s.take(m)
		return w.ack(m)
	}
	last := "soak/end/" + s.name
	err := w.subscribe(last, 1, func(m *packet.Publish) { _ = take(m) })
	if err == nil {
		err = w.send(&packet.Publish{V5: w.v5, Topic: last, Payload: []byte("end"), QoS: 1, PacketID: 2})
	}
	_ = w.nc.SetReadDeadline(time.Now().Add(patience))
	for came := false; err == nil && !came; {
		var p packet.Packet
		p, err = w.in.Read()
		if m, ok := p.(*packet.Publish); ok && m.Topic != last {
			err = take(m)
		} else if ok {
			came, err = true, w.ack(m)
		}
	}
	missing := uint64(0)
	for j, p := range s.publishers {
		p.mu.Lock()
		missing += p.count - min(s.next[j], p.count)
		p.mu.Unlock()
	}
	if err != nil || missing > 0 {
		s.fail("%s lacks %d messages at the end: %v", s.name, missing, err)
	}
}
