package soak_test

import (
	"fmt"
	"strconv"
	"time"

	"strait/door/mqtt/packet"
)

// willing connects with a will again and again, says goodbye or is cut, and
// returns the numbers of the wills that must have been published.
func (r *run) willing(name int) (want map[string]bool) {
	x := r.random()
	want = map[string]bool{}
	for n := 0; r.ctx.Err() == nil; n++ {
		body := fmt.Sprint(name, "/", n)
		w, _ := r.connect(packet.Connect{Version: version(name), ClientID: fmt.Sprint("soak-will-", name), Clean: true,
			Will: &packet.Will{Topic: "soak/w", Payload: []byte(body), QoS: 1}})
		if w == nil {
			continue
		}
		r.pause(between(x, 10*time.Millisecond, 300*time.Millisecond))
		if x.IntN(2) == 0 {
			w.leave()
		} else {
			want[body] = true
			w.cut()
			r.wills.Add(1)
		}
	}
	return want
}

// watch collects wills until it is told that there are no more.
func (r *run) watch(w *wire, want <-chan map[string]bool) {
	got := map[string]int{}
	for {
		p, err := w.in.Read()
		if err != nil {
			break
		}
		m, ok := p.(*packet.Publish)
		if !ok {
			continue
		}
		_ = w.ack(m)
		if string(m.Payload) == "end" {
			break
		}
		got[string(m.Payload)]++
	}
	all := <-want
	for body := range all {
		if got[body] != 1 {
			r.fail("the will %s came %d times", body, got[body])
		}
	}
	for body := range got {
		if !all[body] {
			r.fail("the will %s came although its client had said goodbye", body)
		}
	}
	w.leave()
}

// retained publishes growing numbers to be retained, and reads them.
func (r *run) retained() {
	w, _ := r.connect(packet.Connect{Version: packet.V5, ClientID: "soak-keeper", Clean: true})
	if w == nil {
		return
	}
	defer w.leave()
	x := r.random()
	for n := 1; r.ctx.Err() == nil; n++ {
		_ = w.nc.SetReadDeadline(time.Now().Add(patience))
		if err := w.send(&packet.Publish{V5: true, Topic: "soak/kept", Payload: strconv.AppendInt(nil, int64(n), 10), QoS: 1, PacketID: 1, Retain: true}); err != nil {
			r.fail("retain: %v", err)
			return
		}
		if p, err := w.in.Read(); err != nil {
			r.fail("retain: %v, %v", p, err)
			return
		}
		c, _ := r.connect(packet.Connect{Version: version(n), ClientID: "soak-looker", Clean: true})
		if c == nil {
			continue
		}
		got := 0
		see := func(p *packet.Publish) { got, _ = strconv.Atoi(string(p.Payload)) }
		if err := c.subscribe("soak/kept", 1, see); err != nil {
			r.fail("look: %v", err)
		}
		_ = c.nc.SetReadDeadline(time.Now().Add(patience))
		for got == 0 {
			p, err := c.in.Read()
			if err != nil {
				r.fail("no retained message: %v", err)
				break
			}
			if m, ok := p.(*packet.Publish); ok {
				see(m)
			}
		}
		if got != n {
			r.fail("the retained message is %d, want %d", got, n)
		}
		c.leave()
		r.pause(between(x, 100*time.Millisecond, 500*time.Millisecond))
	}
}
