package main

import (
	"fmt"
	"strings"

	"strait/bench/house"
)

// A line is one number of a round; more is better when up.
type line struct {
	name string
	up   bool
	of   func(r result, o scale) float64
}

type scale struct{ small, gib float64 }

// total is an upload with its completion: what the client waits for.
func (r result) total() stretch {
	return stretch{r.up.wall + r.complete.wall, r.up.cpu + r.complete.cpu}
}

var lines = []line{
	{"64 KiB PUT /s", true, func(r result, o scale) float64 { return o.small / r.put.wall.Seconds() }},
	{"64 KiB PUT CPU us", false, func(r result, o scale) float64 { return r.put.cpu.Seconds() * 1e6 / o.small }},
	{"64 KiB GET /s", true, func(r result, o scale) float64 { return o.small / r.get.wall.Seconds() }},
	{"64 KiB GET CPU us", false, func(r result, o scale) float64 { return r.get.cpu.Seconds() * 1e6 / o.small }},
	{"parts up MiB/s", true, func(r result, o scale) float64 { return o.gib * 1024 / r.up.wall.Seconds() }},
	{"complete ms", false, func(r result, o scale) float64 { return r.complete.wall.Seconds() * 1e3 }},
	{"multipart MiB/s", true, func(r result, o scale) float64 { return o.gib * 1024 / r.total().wall.Seconds() }},
	{"multipart CPU s/GiB", false, func(r result, o scale) float64 { return r.total().cpu.Seconds() / o.gib }},
	{"down, whole MiB/s", true, func(r result, o scale) float64 { return o.gib * 1024 / r.down.wall.Seconds() }},
	{"down CPU s/GiB", false, func(r result, o scale) float64 { return r.down.cpu.Seconds() / o.gib }},
	{"down, ranges MiB/s", true, func(r result, o scale) float64 { return o.gib * 1024 / r.ranges.wall.Seconds() }},
	{"ranges CPU s/GiB", false, func(r result, o scale) float64 { return r.ranges.cpu.Seconds() / o.gib }},
}

// ratio is the median over rounds of a's number by b's.
func ratio(l line, a, b *peer, s scale) float64 {
	var all []float64
	for i := range a.rounds {
		all = append(all, l.of(a.rounds[i], s)/l.of(b.rounds[i], s))
	}
	return house.Median(all)
}

// report is a table: the medians of each peer, and the ratios of the first to
// the others.
func report(peers []*peer, s scale) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-20s", "")
	for i, p := range peers {
		fmt.Fprintf(&b, "%14s", p.name)
		if i > 0 {
			fmt.Fprintf(&b, "%9s", "ratio")
		}
	}
	b.WriteByte('\n')
	for _, l := range lines {
		fmt.Fprintf(&b, "%-20s", l.name)
		for i, p := range peers {
			var all []float64
			for _, r := range p.rounds {
				all = append(all, l.of(r, s))
			}
			fmt.Fprintf(&b, "%14.2f", house.Median(all))
			if i > 0 {
				fmt.Fprintf(&b, "%8.2fx", ratio(l, peers[0], p, s))
			}
		}
		b.WriteByte('\n')
	}
	for _, field := range []struct{ name, field string }{{"resident MiB, end", "VmRSS"}, {"resident MiB, most", "VmHWM"}} {
		fmt.Fprintf(&b, "%-20s", field.name)
		for i, p := range peers {
			fmt.Fprintf(&b, "%14.1f", float64(p.memory[field.field])/1024)
			if i > 0 {
				fmt.Fprintf(&b, "%8.2fx", float64(peers[0].memory[field.field])/float64(p.memory[field.field]))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// aims says which of them are met against versitygw.
func aims(peers []*peer, s scale) string {
	var other *peer
	for _, p := range peers {
		if p.name == "versitygw" {
			other = p
		}
	}
	if other == nil {
		return "versitygw was not measured: no aims\n"
	}
	var b strings.Builder
	for _, a := range []struct {
		line string
		aim  float64
	}{{"multipart MiB/s", 1.5}, {"multipart CPU s/GiB", 0.65}, {"64 KiB PUT /s", 1}, {"64 KiB GET /s", 1.5}} {
		for _, l := range lines {
			if l.name != a.line {
				continue
			}
			got := ratio(l, peers[0], other, s)
			met, least := "met", "at least"
			if !l.up {
				least = "at most"
			}
			if l.up && got < a.aim || !l.up && got > a.aim {
				met = "MISSED"
			}
			fmt.Fprintf(&b, "aim: %s %s %.2fx versitygw's: %.2fx, %s\n", l.name, least, a.aim, got, met)
		}
	}
	return b.String()
}
