package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"strait/bench/house"
	"strait/setup"
)

const thing = "device00"

// A way is one server with the upload pattern, and two kinds of round trip
// through it.
type way struct {
	name    string
	house   *house.House
	session *setup.Session
	bare    *echo
	device  *device
	answer  int // bytes of the credentials' message, the payload of bare answers

	bareTimes, vendTimes times
	ratios               []float64
	asserted             int
}

// times are those of all requests of one kind, and what they cost.
type times struct {
	all               []time.Duration
	server, functions time.Duration // CPU
}

func newWay(ctx context.Context, name string, h *house.House, bootstrap string) (*way, error) {
	w := &way{name: name, house: h}
	var err error
	if w.session, err = h.Session(ctx); err != nil {
		return nil, err
	}
	cert, err := makePattern(ctx, w.session, h.Data+".device", bootstrap, name == "native")
	if err != nil {
		return nil, err
	}
	if w.device, err = newDevice(h, cert); err != nil {
		return nil, err
	}
	if _, w.answer, err = w.device.ask(ctx); err != nil {
		return nil, fmt.Errorf("the first credentials: %w", err)
	}
	w.bare, err = newEcho(ctx, w.session, h, w.answer)
	return w, err
}

func (w *way) close() {
	if w.bare != nil {
		w.bare.close()
	}
	w.device.close()
}

// forget drops what was measured so far.
func (w *way) forget() { w.bareTimes, w.vendTimes, w.ratios, w.asserted = times{}, times{}, nil, 0 }

// round measures n requests of each kind, the vending ones first when asked,
// and asserts the decisions of each.
func (w *way) round(ctx context.Context, n int, vendFirst bool) error {
	before, err := w.decisions(ctx)
	if err != nil {
		return err
	}
	kinds := []func() ([]time.Duration, error){
		func() ([]time.Duration, error) { return w.measure(ctx, n, &w.bareTimes, w.bare.ask) },
		func() ([]time.Duration, error) { return w.measure(ctx, n, &w.vendTimes, w.device.ask) },
	}
	var took [2][]time.Duration
	for i := range kinds {
		if vendFirst {
			i = 1 - i
		}
		if took[i], err = kinds[i](); err != nil {
			return err
		}
	}
	bare, vend := house.Quantile(took[0], 0.5), house.Quantile(took[1], 0.5)
	w.ratios = append(w.ratios, float64(vend)/float64(bare))
	after, err := w.decisions(ctx)
	if err != nil {
		return err
	}
	w.asserted += n
	return assert(before, after, n)
}

// measure makes n requests, one after the other.
func (w *way) measure(ctx context.Context, n int, to *times, ask func(context.Context) (time.Duration, int, error)) ([]time.Duration, error) {
	server, functions, err := w.house.CPU()
	if err != nil {
		return nil, err
	}
	var took []time.Duration
	for range n {
		t, _, err := ask(ctx)
		if err != nil {
			return nil, err
		}
		took = append(took, t)
	}
	s, f, err := w.house.CPU()
	if err != nil {
		return nil, err
	}
	to.all = append(to.all, took...)
	to.server += s - server
	to.functions += f - functions
	return took, nil
}

func report(ways []*way) {
	row := func(name string, t times, ratio string) {
		n := time.Duration(max(len(t.all), 1))
		fmt.Printf("%-28s %10s %10s %12s %12s   %s\n", name, ms(house.Quantile(t.all, 0.5)), ms(house.Quantile(t.all, 0.99)), ms(t.server/n), ms(t.functions/n), ratio)
	}
	fmt.Printf("%-28s %10s %10s %12s %12s   %s\n", "", "p50 ms", "p99 ms", "server CPU", "function CPU", "ratio of medians, lowest to highest round")
	for _, w := range ways {
		row("bare round trip ("+w.name+")", w.bareTimes, "")
		m := house.Median(w.ratios)
		low, high := w.ratios[0], w.ratios[0]
		for _, r := range w.ratios {
			low, high = min(low, r), max(high, r)
		}
		row("credentials, "+w.name, w.vendTimes, fmt.Sprintf("%.2fx (%.2f to %.2f)", m, low, high))
	}
	for _, w := range ways {
		fmt.Printf("\n%s: the decisions %s of each of %d requests were as they must be\n", w.name, strings.Join(chainNames(), ", "), w.asserted)
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.3f", float64(d)/1e6) }
