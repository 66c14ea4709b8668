// Command rules measures what topic rules and functions cost.
//
// First, messages through servers that have 0, 1, 100 and 10,000 rules, of
// which one matches and republishes to a topic that nobody hears, or none
// does. One device publishes with QoS 1 over mutual TLS, with a window of
// messages under way; the acknowledgement comes when the rules are safe. What
// counts is the ratio to the server without rules, and the server's CPU for a
// message. Rounds are interleaved, in changing order.
//
// Then the SQL of the upload pattern by itself, and invocations of functions in
// Go, Python and Node, cold and warm, beside a bare HTTP round trip on
// loopback with the same payload.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"strait/bench/house"
)

func main() {
	rounds := flag.Int("rounds", 7, "interleaved rounds")
	messages := flag.Int("messages", 2000, "messages of a round, in each way")
	most := flag.Int("most", 10000, "rules of the largest server")
	binary := flag.String("server", "", "a built strait binary; built when not given")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *binary, *rounds, *messages, *most); err != nil {
		fmt.Fprintln(os.Stderr, "bench/rules:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary string, rounds, messages, most int) (err error) {
	dir, err := os.MkdirTemp("", "strait-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if binary == "" {
		if binary, err = house.Build(ctx, dir, "strait"); err != nil {
			return err
		}
	}
	fmt.Println("machine:", house.Machine())
	fmt.Println("limits: structural ones only; fsync on; decisions recorded")
	fmt.Println()
	if err := messagesThroughRules(ctx, binary, filepath.Join(dir, "rules"), rounds, messages, most); err != nil {
		return err
	}
	costOfSQL()
	return invocations(ctx, binary, filepath.Join(dir, "functions"), rounds)
}

// spread is the median of ratios, and the lowest and highest of them.
func spread(ratios []float64) string {
	low, high := ratios[0], ratios[0]
	for _, r := range ratios {
		low, high = min(low, r), max(high, r)
	}
	return fmt.Sprintf("%.2fx (%.2f to %.2f)", house.Median(ratios), low, high)
}

func heading(format string, columns ...any) {
	fmt.Printf(format+"\n", columns...)
	fmt.Println(strings.Repeat("-", 96))
}
