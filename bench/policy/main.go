// Command policy measures decisions of Strait's policy room beside cedar-go and
// OPA (a prepared query) on equal policies, and a connection's Guard beside a
// look-up in a map, all in one run. Every engine must give the expected answer
// to every request before anything is measured. The engines take turns in short
// rounds; a ratio is that of one round, and what is printed are medians over
// rounds, so that a busy machine slows all of them alike.
//
//	go run . [-rounds 21] [-json]
//
// Policies are written once, as statements (sets.go), and translated. What a
// peer has no words for is made easy for it: variables are filled in
// beforehand, patterns become startswith or equality where that is the same,
// and inputs are converted before the clock starts.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"slices"
	"time"
)

func main() {
	log.SetFlags(0)
	rounds := flag.Int("rounds", 21, "rounds a set; the median of them counts")
	asJSON := flag.Bool("json", false, "print JSON lines")
	flag.Parse()
	out := printer{json: *asJSON}
	out.text("%s, %d CPUs; ns are medians of %d rounds, ratios are medians of the ratios of each round\n\n", runtime.Version(), runtime.NumCPU(), *rounds)
	out.text("%-28s %5s %9s %9s %9s %9s   %s\n", "set", "stmts", "Allowed", "Decide", "cedar-go", "OPA", "faster peer / Allowed, / Decide")
	var fast, full []float64
	for _, s := range sets() {
		r := measure(s, *rounds)
		fast, full = append(fast, r.Fast), append(full, r.Full)
		out.decision(r)
	}
	out.text("%-28s %47s   %.1f x  %.2f x (medians of the sets)\n\n", "", "", median(fast), median(full))
	for _, n := range []int{1, 10, 100, 1000} {
		for _, s := range []set{growing(n), alike(n)} {
			out.decision(measure(s, *rounds))
		}
	}
	out.text("\n%-28s %9s %9s %9s  %s\n", "guard", "check", "map", "ratio", "allocations")
	for _, g := range guards() {
		out.guard(g.measure(*rounds))
	}
}

// A result is what one set came to, in nanoseconds for one decision.
type result struct {
	Name                        string
	Statements                  int
	Allowed, Decide, Cedar, OPA float64
	Fast, Full                  float64 // the faster peer's time as a multiple of ours
	AllocsAllowed, AllocsDecide float64
}

func measure(s set, rounds int) result {
	es := engines(s)
	for _, e := range es {
		for i, r := range s.requests {
			if got := e.ask(i); got != r.want {
				log.Fatalf("%s: %s says %t to %s on %s, want %t", s.name, e.name, got, r.action, r.resource, r.want)
			}
		}
	}
	loops := make([]int, len(es))
	for i, e := range es {
		loops[i] = loopsFor(e, len(s.requests))
	}
	times := make([][]float64, len(es))
	var fast, full []float64
	for range rounds {
		var t [4]float64
		for i, e := range es {
			t[i] = e.run(loops[i], len(s.requests))
			times[i] = append(times[i], t[i])
		}
		peer := min(t[2], t[3])
		fast, full = append(fast, peer/t[0]), append(full, peer/t[1])
	}
	return result{s.name, s.statements(), median(times[0]), median(times[1]), median(times[2]), median(times[3]), median(fast), median(full),
		allocs(es[0], len(s.requests)), allocs(es[1], len(s.requests))}
}

// loopsFor returns how often to go over the requests for some two milliseconds.
func loopsFor(e engine, n int) int {
	start := time.Now()
	for e.run(1, n); time.Since(start) < time.Millisecond; {
		e.run(1, n) // warm
	}
	one := e.run(3, n) * float64(n)
	return max(1, int(2e6/one))
}

func (e engine) run(loops, n int) float64 {
	start := time.Now()
	for range loops {
		for i := range n {
			e.ask(i)
		}
	}
	return float64(time.Since(start).Nanoseconds()) / float64(loops*n)
}

func allocs(e engine, n int) float64 {
	var before, after runtime.MemStats
	const loops = 50
	runtime.ReadMemStats(&before)
	e.run(loops, n)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(loops*n)
}

func median(xs []float64) float64 { return slices.Sorted(slices.Values(xs))[len(xs)/2] }

type printer struct{ json bool }

func (p printer) text(format string, args ...any) {
	if !p.json {
		fmt.Printf(format, args...)
	}
}

func (p printer) decision(r result) {
	p.text("%-28s %5d %9.0f %9.0f %9.0f %9.0f   %.1f x  %.2f x\n", r.Name, r.Statements, r.Allowed, r.Decide, r.Cedar, r.OPA, r.Fast, r.Full)
	p.line(r)
}

func (p printer) guard(r guardResult) {
	p.text("%-28s %9.1f %9.1f %9.2f  %.2f\n", r.Guard, r.Check, r.Map, r.Ratio, r.Allocs)
	p.line(r)
}

func (p printer) line(v any) {
	if p.json {
		if err := json.NewEncoder(os.Stdout).Encode(v); err != nil {
			log.Fatal(err)
		}
	}
}
