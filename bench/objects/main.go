// Command objects measures the object store against other S3 servers: one
// client, the same requests, in turn, each server a process of its own.
//
// What is measured: 64 KiB objects put and got, an upload in parts, its
// completion, and the object read back whole and in ranges. For each: how much
// a second, and how much CPU the server's process took for it. Strait makes
// everything durable before it answers; the peers leave that to the kernel.
//
// Only ratios within one run mean something: each is the median over rounds of
// Strait's number by the peer's in the same round. Where the data lie matters:
// --dir on a memory file system measures the programs, on a disk also the disk.
//
// Begin at run; peers.go starts servers, client.go asks them, work.go is what
// is asked.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

type options struct {
	dir, server, versitygw string
	minio                  bool
	payload                string
	rounds, small, workers int
	size, part             int64
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", "", "directory for the servers' data; a temporary one when not given")
	flag.StringVar(&o.server, "server", "", "built strait binaries to compare, separated by commas; one is built when not given")
	flag.StringVar(&o.versitygw, "versitygw", "", "a built versitygw; built when not given, - for none")
	flag.BoolVar(&o.minio, "minio", false, "build and measure MinIO's last open release, too (takes minutes to build)")
	flag.StringVar(&o.payload, "payload", "unsigned", "how bodies go: unsigned, hashed (signed SHA-256) or trailer (chunked with a CRC32 behind)")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each server is asked for everything")
	flag.IntVar(&o.small, "small", 1500, "64 KiB objects put, and got, in a round")
	flag.IntVar(&o.workers, "workers", 8, "requests for small objects at a time")
	flag.Int64Var(&o.size, "size", 1<<30, "bytes of the large object")
	flag.Int64Var(&o.part, "part", 8<<20, "bytes of its parts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/objects:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp(o.dir, "strait-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin, err := os.MkdirTemp("", "strait-bench-bin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)

	// 1. The servers.
	peers, err := open(ctx, dir, bin, o)
	defer func() {
		for _, p := range peers {
			err = errors.Join(err, p.stop())
		}
	}()
	if err != nil {
		return err
	}
	fmt.Println("machine:", machine())
	fmt.Printf("data in %s; %d rounds; %d objects of 64 KiB with %d workers; %d MiB in parts of %d MiB, %d at a time; bodies %s\n\n",
		filepath.Dir(dir), o.rounds, o.small, o.workers, o.size>>20, o.part>>20, atOnce, o.payload)

	// 2. Rounds; who begins changes.
	for round := range o.rounds + 1 {
		for i := range peers {
			p := peers[(i+round)%len(peers)]
			r, err := work(ctx, p, o, round)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if round > 0 { // the first one warms up
				p.rounds = append(p.rounds, r)
			}
		}
	}
	for _, p := range peers {
		if err := p.remember(); err != nil {
			return err
		}
	}

	// 3. What came of it.
	s := scale{small: float64(o.small), gib: float64(o.size) / (1 << 30)}
	fmt.Print(report(peers, s))
	fmt.Println(strings.Repeat("-", 40))
	fmt.Print(aims(peers, s))
	return nil
}
