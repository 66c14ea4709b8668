package main

import (
	"log"
	"time"

	"strait"
	"strait/policy"
)

// A guardCase is a connection's guard, asked one thing again and again.
type guardCase struct {
	name     string
	guard    *policy.Guard
	action   strait.Action
	resource strait.ARN
	want     bool
}

type guardResult struct {
	Guard             string
	Check, Map, Ratio float64
	Allocs            float64
}

func guards() []guardCase {
	var out []guardCase
	for _, s := range sets() {
		if s.name != "device of P1" && s.name != "topic of P2 (session)" && s.name != "gateway of a plant" {
			continue
		}
		set, requests := ours(s)
		g := set.Guard(requests[0])
		for i, r := range s.requests {
			suffix := ", allowed"
			if !r.want {
				suffix = ", refused"
			}
			if i < 2 {
				out = append(out, guardCase{s.name + suffix, g, requests[i].Action, requests[i].Resource, r.want})
			}
		}
	}
	return out
}

func (g guardCase) measure(rounds int) guardResult {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	known := map[strait.ARN]bool{}
	for _, s := range sets() {
		for _, r := range s.requests {
			known[strait.ARN(r.resource)] = r.want
		}
	}
	known[g.resource] = g.want
	const loops = 20000
	check := func() float64 {
		start := time.Now()
		for range loops {
			if g.guard.Check(g.action, g.resource, now, nil) != g.want {
				log.Fatalf("%s: wrong verdict", g.name)
			}
		}
		return float64(time.Since(start).Nanoseconds()) / loops
	}
	look := func() float64 {
		start := time.Now()
		for range loops {
			if known[g.resource] != g.want {
				log.Fatalf("%s: wrong entry", g.name)
			}
		}
		return float64(time.Since(start).Nanoseconds()) / loops
	}
	var checks, looks, ratios []float64
	for range rounds {
		c, l := check(), look()
		checks, looks, ratios = append(checks, c), append(looks, l), append(ratios, c/l)
	}
	e := engine{"", func(int) bool { return g.guard.Check(g.action, g.resource, now, nil) }}
	return guardResult{g.name, median(checks), median(looks), median(ratios), allocs(e, 1)}
}
