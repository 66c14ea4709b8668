package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"strait/bench/house"
)

// A bench is one run.
type bench struct {
	*options
	world   *world
	servers []*server
}

// A series is one kind of load; run is one round of it at one server.
type series struct {
	name string
	aim  string // what is hoped for, as a ratio to mosquitto
	run  func(ctx context.Context, w *world, s *server, size int, d time.Duration) (result, error)
	only string // of this server only
	once func(ctx context.Context, b *bench) error
}

func (b *bench) series() []series {
	const busy, sparse = "throughput 3x or more", "CPU 1x or less, p99 1x or less"
	direct := func(pubs, fan int, qos byte, rate float64) func(context.Context, *world, *server, int, time.Duration) (result, error) {
		return (&flow{pubs: pubs, fan: fan, qos: qos, rate: rate, in: "x"}).run
	}
	var all []series
	for qos := range byte(2) {
		q := fmt.Sprintf(" QoS %d", qos)
		all = append(all,
			series{name: "busy 1→1" + q, aim: busy, run: direct(1, 1, qos, 0)},
			series{name: "busy 50→50" + q, aim: busy, run: direct(50, 1, qos, 0)},
			series{name: "busy 1→200" + q, aim: busy, run: direct(1, 200, qos, 0)},
			series{name: "sparse 1→1" + q, aim: sparse, run: direct(1, 1, qos, 100)},
			series{name: "sparse 50→50" + q, aim: sparse, run: direct(50, 1, qos, 20)},
			series{name: "sparse 1→200" + q, aim: sparse, run: direct(1, 200, qos, 5)})
	}
	return append(all,
		series{name: "ask 1 pair", aim: "p99 1x or less", run: (&ask{pairs: 1}).run},
		series{name: "ask 50 pairs", aim: "p99 1x or less", run: (&ask{pairs: 50}).run},
		series{name: "ask 50 pairs, slowly", aim: "p99 1x or less", run: (&ask{pairs: 50, pause: 50 * time.Millisecond}).run},
		series{name: "connects, mutual TLS", run: connects},
		series{name: "memory", aim: "under 46 KiB for each idle connection", once: footprints},
		series{name: "persistent 50→50 QoS 1, online", run: (&flow{pubs: 50, fan: 1, qos: 1, in: "x", persistent: true}).run},
		series{name: "persistent 50→50 QoS 1, offline", run: offline},
		series{name: "rule: republished 50→50 QoS 0, 20 a second each", only: "strait", run: viaRule(0)},
		series{name: "rule: republished 50→50 QoS 1, 20 a second each", only: "strait", run: viaRule(1)},
	)
}

func (b *bench) preface() error {
	fmt.Println(house.Machine())
	fmt.Printf("%d rounds of %v, payloads of %d bytes; TLS 1.3, %s; window of a fast publisher: %d messages (QoS 0), %d (QoS 1)\n",
		b.rounds, b.time, b.payload, "P-256 certificates, no resumption", windowQoS0, windowQoS1)
	for _, s := range b.servers {
		fmt.Printf("  %-9s %s\n", s.name, s.about)
	}
	fmt.Println("µs: processor time of the server's process for each message delivered; gen: the generator's. Ratios: medians of rounds.")
	return nil
}

func (b *bench) measure(ctx context.Context, s series) error {
	fmt.Printf("\n%s", s.name)
	if s.aim != "" {
		fmt.Printf("   (aim: %s)", s.aim)
	}
	fmt.Println()
	if s.once != nil {
		return s.once(ctx, b)
	}
	got := make(map[string][]result)
	for round := range b.rounds {
		for i := range b.servers {
			// A changing order: what a round before left behind falls on each.
			v := b.servers[(i+round)%len(b.servers)]
			if s.only != "" && s.only != v.name {
				continue
			}
			r, err := s.run(ctx, b.world, v, b.payload, b.time)
			if err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			got[v.name] = append(got[v.name], r)
		}
	}
	base := b.servers[len(b.servers)-1].name
	if got["mosquitto"] != nil {
		base = "mosquitto"
	}
	for _, v := range b.servers {
		if rs := got[v.name]; rs != nil {
			fmt.Println(line(v.name, rs, got[base]))
		}
	}
	return nil
}

// line is one server's row.
func line(name string, rs, base []result) string {
	of := func(rs []result, f func(result) float64) float64 {
		var xs []float64
		for _, r := range rs {
			xs = append(xs, f(r))
		}
		return house.Median(xs)
	}
	rate := func(r result) float64 { return r.rate }
	cpu := func(r result) float64 { return r.cpu }
	p99 := func(r result) float64 { return r.p99 }
	var b strings.Builder
	fmt.Fprintf(&b, "  %-9s %9.0f/s %8.2f µs  gen %7.2f µs", name, of(rs, rate), of(rs, cpu), of(rs, func(r result) float64 { return r.own }))
	if of(rs, p99) > 0 {
		fmt.Fprintf(&b, "  p50 %6.0f µs  p99 %6.0f µs", of(rs, func(r result) float64 { return r.p50 }), of(rs, p99))
	}
	ratio := func(what string, f func(result) float64) {
		var xs []float64
		for i := range min(len(rs), len(base)) {
			if f(base[i]) > 0 {
				xs = append(xs, f(rs[i])/f(base[i]))
			}
		}
		if len(xs) > 0 {
			fmt.Fprintf(&b, "  %s %.2fx", what, house.Median(xs))
			if len(xs) > 2 {
				fmt.Fprintf(&b, " (%.2f-%.2f)", slices.Min(xs), slices.Max(xs))
			}
		}
	}
	if len(base) > 0 && &rs[0] != &base[0] {
		b.WriteString("  |")
		ratio("throughput", rate)
		ratio("CPU", cpu)
		ratio("p99", p99)
	}
	lost := int64(0)
	for _, r := range rs {
		lost += r.lost
	}
	if lost > 0 {
		fmt.Fprintf(&b, "  LOST %d", lost)
	}
	if e := rs[len(rs)-1].extra; e != "" {
		b.WriteString("  " + e)
	}
	return b.String()
}

// footprints is one look at each server, since memory once taken is not given
// back fast.
func footprints(ctx context.Context, b *bench) error {
	if b.crowd <= 0 {
		return nil
	}
	for _, s := range b.servers {
		f, err := crowd(ctx, b.world, s, b.crowd, b.payload)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Printf("  %-9s KiB for each of %d connections: idle %.1f, active %.1f, idle again %.1f\n", s.name, b.crowd, f.idle, f.active, math.Max(f.after, 0))
	}
	return nil
}
