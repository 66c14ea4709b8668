package soak_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"strait/await"
	"strait/door/mqtt/packet"
)

// How many there are of each kind.
const (
	publishers = 4
	keepers    = 6 // readers with a persistent session
	passers    = 4 // readers without
	mortals    = 3 // clients with a will
	idlers     = 20
)

// TestSoak is the whole; see the package's comment.
func TestSoak(t *testing.T) {
	length, every := 8*time.Second, 20*time.Millisecond
	if s := os.Getenv("STRAIT_SOAK"); s != "" {
		var err error
		if length, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
		every = 40 * time.Millisecond
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("STRAIT_SOAK_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d (STRAIT_SOAK_SEED), %v", seed, length)
	x := start(t)
	ctx, stop := context.WithTimeout(context.Background(), length)
	defer stop()
	r := &run{target: x, ctx: ctx, seed: seed, every: every}
	before := r.numbers()
	r.play(length)
	r.rest(before)
	t.Logf("%d connects, %d cuts, %d take-overs, %d wills; %d messages published, %d delivered, %d of them again",
		r.connects.Load(), r.cuts.Load(), r.takeOvers.Load(), r.wills.Load(), r.published.Load(), r.delivered.Load(), r.again.Load())
	if r.failures > 20 {
		t.Errorf("and %d more", r.failures-20)
	}
}

// play runs all clients to their end.
func (r *run) play(length time.Duration) {
	var writing, reading sync.WaitGroup
	for i := range publishers {
		r.publishers = append(r.publishers, &publisher{run: r, name: i, x: r.random(), resent: map[uint64]bool{}})
	}
	done := make(chan struct{})
	var ready sync.WaitGroup
	for i := range keepers + passers {
		s := &reader{run: r, name: fmt.Sprint("read-", i), x: r.random(), v: version(i), keep: i < keepers, qos: 1, next: make([]uint64, publishers), known: make([]bool, publishers)}
		if !s.keep && i%4 == 3 {
			s.qos = 0
		}
		ready.Add(1)
		reading.Go(func() {
			if s.keep { // it must be there before the first message
				for j := range s.known {
					s.known[j] = true
				}
				if w, _ := r.connect(s.connection()); w != nil {
					if err := w.subscribe("soak/p/+", 1, s.take); err != nil {
						r.fail("subscribe: %v", err)
					}
					w.leave()
				}
			}
			ready.Done()
			s.main(done)
		})
	}
	ready.Wait()
	for _, p := range r.publishers {
		writing.Go(p.main)
	}
	want := make(chan map[string]bool, 1)
	watcher, _ := r.connect(packet.Connect{Version: packet.V5, ClientID: "soak-watch", Clean: true})
	if watcher != nil {
		if err := watcher.subscribe("soak/w", 1, func(*packet.Publish) {}); err != nil {
			r.fail("subscribe: %v", err)
		}
		reading.Go(func() { r.watch(watcher, want) })
	}
	writing.Go(func() { want <- r.mortals() })
	writing.Go(r.retained)
	writing.Go(r.idle)
	memory := r.sampled(length)
	writing.Wait()
	r.end()
	close(done)
	reading.Wait()
	r.flat(<-memory)
}

// mortals runs the clients with wills; it returns the wills that must come.
func (r *run) mortals() map[string]bool {
	all := map[string]bool{}
	var mu sync.Mutex
	var wait sync.WaitGroup
	for i := range mortals {
		wait.Go(func() {
			some := r.willing(i)
			mu.Lock()
			defer mu.Unlock()
			for body := range some {
				all[body] = true
			}
		})
	}
	wait.Wait()
	return all
}

// end tells the watcher that the last will was before.
func (r *run) end() {
	// Wills of cut connections come when the server has seen the end of each:
	// when it has, only readers, idlers and the watcher are connected.
	r.until("the cut connections are gone", func(n map[string]float64) bool {
		return n[`strait_mqtt_connections{state="open"}`] <= keepers+passers+1
	})
	w, _ := r.connect(packet.Connect{Version: packet.V311, ClientID: "soak-end", Clean: true})
	if w == nil {
		return
	}
	_ = w.send(&packet.Publish{Topic: "soak/w", Payload: []byte("end"), QoS: 1, PacketID: 1})
	_ = w.nc.SetReadDeadline(time.Now().Add(patience))
	_, _ = w.in.Read()
	w.leave()
}

// idle holds connections that do nothing, and pings on them at the end.
func (r *run) idle() {
	var all []*wire
	for i := range idlers {
		if w, _ := r.connect(packet.Connect{Version: version(i), ClientID: fmt.Sprint("soak-idle-", i), Clean: true}); w != nil {
			all = append(all, w)
		}
	}
	<-r.ctx.Done()
	for _, w := range all {
		_ = w.nc.SetReadDeadline(time.Now().Add(patience))
		if err := w.send(&packet.Empty{Kind: packet.TypePingreq}); err != nil {
			r.fail("an idle connection: %v", err)
		}
		if p, err := w.in.Read(); err != nil || p.Type() != packet.TypePingresp {
			r.fail("an idle connection got %v, %v", p, err)
		}
		w.leave()
	}
}

func (r *run) numbers() map[string]float64 {
	n, err := r.scrape()
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// until waits for what the server's numbers must come to.
func (r *run) until(what string, is func(map[string]float64) bool) {
	var n map[string]float64
	if await.Within(patience, func() bool { n = r.numbers(); return is(n) }) {
		return
	}
	short := map[string]float64{}
	for name, v := range n {
		if telling.MatchString(name) {
			short[name] = v
		}
	}
	r.fail("in vain: %s: %v", what, short)
}

// telling are the numbers that are worth a look when something is left behind.
var telling = regexp.MustCompile(`^(strait_broker_(queue|sessions|dropped)|strait_mqtt_connections|go_goroutines|process_open_fds)`)

// rest checks that nothing is left behind.
func (r *run) rest(before map[string]float64) {
	r.until("all is at rest", func(n map[string]float64) bool {
		return n[`strait_mqtt_connections{state="open"}`] == 0 && n[`strait_broker_queue_messages{where="disk"}`] == 0 && n[`strait_broker_queue_messages{where="memory"}`] == 0 &&
			n["go_goroutines"] <= before["go_goroutines"]+5 && n["process_open_fds"] <= before["process_open_fds"]+5
	})
	n := r.numbers()
	if n["strait_broker_sessions"] != keepers || n["strait_broker_dropped_total"] != 0 {
		r.fail("%v sessions are left, want %d; %v messages were dropped", n["strait_broker_sessions"], keepers, n["strait_broker_dropped_total"])
	}
}

// sampled looks at the server's memory as long as the traffic runs.
func (r *run) sampled(length time.Duration) <-chan []float64 {
	out := make(chan []float64, 1)
	go func() {
		var list []float64
		tick := time.NewTicker(max(length/200, 200*time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-r.ctx.Done():
				out <- list
				return
			case <-tick.C:
			}
			if n, err := r.scrape(); err == nil {
				list = append(list, n["process_resident_memory_bytes"]/(1<<20))
			}
		}
	}()
	return out
}

// flat compares the median of the second quarter with that of the last one.
// Short runs are still warming up, so that theirs is only told.
func (r *run) flat(mib []float64) {
	if len(mib) < 8 {
		return
	}
	q := len(mib) / 4
	median := func(list []float64) float64 {
		list = slices.Clone(list)
		slices.Sort(list)
		return list[len(list)/2]
	}
	early, late := median(mib[q:2*q]), median(mib[3*q:])
	r.t.Logf("resident memory, medians of quarters: %.1f, %.1f, %.1f, %.1f MiB", median(mib[:q]), early, median(mib[2*q:3*q]), late)
	if r.t.Failed() || os.Getenv("STRAIT_SOAK") == "" {
		return
	}
	if late > early*1.15+4 {
		r.fail("memory grows: %.1f MiB in the second quarter, %.1f in the last", early, late)
	}
}
