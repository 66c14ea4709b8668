// Command mqtt measures the data path of MQTT against two other brokers:
// mosquitto (Debian's, with mutual TLS and an ACL file) and mochi-mqtt (a
// process of its own, with a TLS listener and an ACL hook that decides the
// same). Strait runs as people run it: its policies are on, and decisions are
// recorded.
//
// One generator, this process, drives them all in interleaved rounds, one
// server at a time, in changing order; a ratio is taken within one round, and
// the median of these is printed. What counts is the processor time of the
// server's process for each message delivered, as the kernel tells it: the
// generator shares the machine with the server, so that the throughput seen is
// that of both. See README.md for what each series means.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"time"
)

// options are what one run does.
type options struct {
	rounds  int
	time    time.Duration // of one round of one series
	crowd   int           // connections held at once, for memory
	payload int
	only    *regexp.Regexp
	servers string
	binary  string
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "mochi" { // started by this very program
		if err := serveMochi(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "mochi:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "interleaved rounds")
	flag.DurationVar(&o.time, "time", 2*time.Second, "time of one round of one series at one server")
	flag.IntVar(&o.crowd, "crowd", 5000, "connections held at once; 0 leaves memory out")
	flag.IntVar(&o.payload, "payload", 100, "bytes of a payload, at least 16")
	only := flag.String("only", "", "regular expression of the series to run")
	flag.StringVar(&o.servers, "servers", "strait,mosquitto,mochi", "what to measure; ratios are to mosquitto, or else to the last")
	flag.StringVar(&o.binary, "server", "", "a built strait binary; built when not given")
	flag.Parse()
	o.payload = max(o.payload, 16)
	var err error
	if o.only, err = regexp.Compile(*only); err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		err = run(ctx, &o)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/mqtt:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options) (err error) {
	dir, err := os.MkdirTemp("", "strait-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if got := raiseFiles(); uint64(o.crowd)+1000 > got {
		fmt.Printf("only %d files may be open: %d connections are held at once, not %d\n", got, got-1000, o.crowd)
		o.crowd = int(got) - 1000
	}
	// 1. Who connects: each client has a certificate of its own.
	world, err := newWorld(dir, max(o.crowd, people))
	if err != nil {
		return err
	}
	// 2. The servers.
	var servers []*server
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.stop())
		}
	}()
	for name := range strings.SplitSeq(o.servers, ",") {
		s, err := start(ctx, name, dir, world, o)
		if errors.Is(err, errMissing) {
			fmt.Println("LEFT OUT:", err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		servers = append(servers, s)
	}
	b := &bench{options: o, world: world, servers: servers}
	if err := b.preface(); err != nil {
		return err
	}
	// 3. Series after series, round after round.
	for _, s := range b.series() {
		if !o.only.MatchString(s.name) {
			continue
		}
		if err := b.measure(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}
