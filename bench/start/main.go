// Command start measures what "strait serve" takes before it does anything:
// the time until its ready file is there, and the memory that it keeps when
// idle.
//
// The directory has some thousand things, objects and certificates, as one
// that is in use has. It is compared with an empty directory that was started
// once (what the number of facts costs) and with "strait --help" (what starting
// the program costs, with all that is linked into it), interleaved. The disk's
// cache is warm.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"strait/bench/house"
)

// The aims.
const (
	readyAim  = 150 * time.Millisecond
	memoryAim = 40 << 10 // KiB
)

func main() {
	starts := flag.Int("starts", 15, "how often each is started")
	n := flag.Int("n", 3000, "things, and as many objects")
	idle := flag.Duration("idle", 5*time.Second, "how long a server is idle before its memory is read")
	binary := flag.String("server", "", "a built strait binary; built when not given")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *binary, *starts, *n, *idle); err != nil {
		fmt.Fprintln(os.Stderr, "bench/start:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary string, starts, n int, idle time.Duration) error {
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
	// 1. Two directories.
	empty, full := filepath.Join(dir, "empty"), filepath.Join(dir, "full")
	if err := visit(ctx, binary, empty, nil); err != nil {
		return err
	}
	begin := time.Now()
	if err := visit(ctx, binary, full, func(h *house.House) error { return fill(ctx, h, n) }); err != nil {
		return err
	}
	fmt.Println("machine:", house.Machine())
	fmt.Printf("limits: structural ones only; the full directory has %d things, %d objects, %d certificates (made in %.1f s)\n\n",
		n, n, certificates, time.Since(begin).Seconds())
	// 2. Start them in turn.
	var help, few, many []time.Duration
	var fewCPU, manyCPU time.Duration
	for range starts {
		t, err := runHelp(ctx, binary)
		if err != nil {
			return err
		}
		help = append(help, t)
		for _, d := range []struct {
			data string
			to   *[]time.Duration
			cpu  *time.Duration
		}{{empty, &few, &fewCPU}, {full, &many, &manyCPU}} {
			err := visit(ctx, binary, d.data, func(h *house.House) error {
				used, _, err := h.CPU()
				*d.to, *d.cpu = append(*d.to, h.Took), *d.cpu+used
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	base := house.Quantile(help, 0.5)
	for _, r := range []struct {
		name string
		t    []time.Duration
	}{{"strait --help", help}, {"ready, empty directory", few}, {"ready, full directory", many}} {
		p50 := house.Quantile(r.t, 0.5)
		fmt.Printf("%-24s p50 %7.1f ms   p90 %7.1f ms   %5.2fx of --help\n", r.name, ms(p50), ms(house.Quantile(r.t, 0.9)), float64(p50)/float64(base))
	}
	// A busy machine makes the times longer, but hardly the work.
	fmt.Printf("CPU until ready: empty %.0f ms, full %.0f ms on average\n", ms(fewCPU)/float64(starts), ms(manyCPU)/float64(starts))
	fmt.Printf("aim: full directory under %.0f ms: %s\n\n", ms(readyAim), met(house.Quantile(many, 0.5) < readyAim))
	// 3. What is kept when idle.
	return visit(ctx, binary, full, func(h *house.House) error { return memory(ctx, h, idle) })
}

// visit starts a server, calls fn, and stops it.
func visit(ctx context.Context, binary, data string, fn func(*house.House) error) error {
	h, err := house.Start(ctx, binary, data)
	if err != nil {
		return err
	}
	if fn != nil {
		err = fn(h)
	}
	return errors.Join(err, h.Stop())
}

func runHelp(ctx context.Context, binary string) (time.Duration, error) {
	begin := time.Now()
	err := exec.CommandContext(ctx, binary, "--help").Run()
	return time.Since(begin), err
}

func memory(ctx context.Context, h *house.House, idle time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(idle):
	}
	m, err := h.Memory()
	if err != nil {
		return err
	}
	fmt.Printf("idle for %v: resident %.1f MiB (its own %.1f, of the binary and other files %.1f), at most %.1f MiB since the start\n",
		idle, mib(m["VmRSS"]), mib(m["RssAnon"]), mib(m["RssFile"]+m["RssShmem"]), mib(m["VmHWM"]))
	fmt.Printf("aim: under %.0f MiB: %s\n", mib(memoryAim), met(m["VmRSS"] < memoryAim))
	return nil
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "MISSED"
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }
func mib(kib int) float64        { return float64(kib) / 1024 }
