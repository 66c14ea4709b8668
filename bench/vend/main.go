// Command vend measures the main job: from a device's publish on
// "<thing>/token/req" to the credentials in its hand.
//
// It is compared with a bare QoS 1 request and response through the same
// server: a client publishes, another client answers, both over mutual TLS,
// with payloads as large. That is what any broker must do; what vending costs
// beyond it (a rule, a durable invocation, a decision about trust and session
// policy, a sealed token) is ours, so the ratio of the two says how much.
//
// Two servers run: in one the vending function is native, in the other it is
// a process, the same binary as on AWS Lambda. Rounds of all kinds are
// interleaved, in changing order, and a ratio is taken within one round: what
// else the machine does falls on both sides of it. Every single request's
// decisions are asserted afterwards, outside the measured time.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"strait/bench/house"
)

func main() {
	rounds := flag.Int("rounds", 15, "interleaved rounds")
	requests := flag.Int("requests", 40, "requests in a round, one after the other, at most 100")
	binary := flag.String("server", "", "a built strait binary; built when not given")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *binary, *rounds, min(*requests, 100)); err != nil {
		fmt.Fprintln(os.Stderr, "bench/vend:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary string, rounds, requests int) (err error) {
	dir, err := os.MkdirTemp("", "strait-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// 1. What is run.
	if binary == "" {
		if binary, err = house.Build(ctx, dir, "strait"); err != nil {
			return err
		}
	}
	bootstrap, err := house.Build(ctx, dir, "strait-vend")
	if err != nil {
		return err
	}
	// 2. Two servers, alike but for how the function runs.
	var ways []*way
	for _, native := range []bool{true, false} {
		name := map[bool]string{true: "native", false: "process"}[native]
		h, err := house.Start(ctx, binary, filepath.Join(dir, name))
		if err != nil {
			return err
		}
		defer h.Stop()
		w, err := newWay(ctx, name, h, bootstrap)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		defer w.close()
		ways = append(ways, w)
	}
	// 3. Warm: connections, the function's process, caches.
	for _, w := range ways {
		if err := w.round(ctx, 10, false); err != nil {
			return fmt.Errorf("%s, warming up: %w", w.name, err)
		}
		w.forget()
	}
	// 4. Measure.
	fmt.Println("machine:", house.Machine())
	fmt.Printf("limits: structural ones only; %d rounds of %d requests of each kind\n\n", rounds, requests)
	for i := range rounds {
		for j := range ways {
			w := ways[(i+j)%len(ways)]
			if err := w.round(ctx, requests, i%2 == 1); err != nil {
				return fmt.Errorf("%s, round %d: %w", w.name, i+1, err)
			}
		}
	}
	report(ways)
	return nil
}
