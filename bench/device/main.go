// Command device measures a large upload by the agent beside the tools that
// people use for it: "aws s3 cp", rclone and boto3, on the same machine, to the
// same server, with the same long-lived keys, over TLS and without.
//
// Rounds are interleaved and begin with another client each time; a ratio is
// taken within one round, and the median of the rounds is told. A client's CPU
// is what the kernel counted for its process and its children. The server's
// work is the same for all and often the larger part of the wall time, so
// ratios of time are closer to 1 than those of the clients alone would be.
//
// Checksums: each client does what it does by itself. The agent sends
// CRC64NVME of each part and of the whole; boto3 and the AWS CLI, where they
// are new enough, a CRC32 of each part; rclone an MD5 of each part. Over plain
// HTTP all but rclone also sign the SHA-256 of what they send.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"strait/bench/house"
	"strait/setup"
)

const bucket = "uploads"

func main() {
	rounds := flag.Int("rounds", 5, "interleaved rounds")
	size := flag.Int64("size", 1<<30, "bytes of the file")
	schemes := flag.String("scheme", "https,http", "over what")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *rounds, *size, *schemes); err != nil {
		fmt.Fprintln(os.Stderr, "bench/device:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, size int64, schemes string) (err error) {
	dir, err := os.MkdirTemp("", "strait-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// 1. What is run, and what is sent.
	server, err := house.Build(ctx, dir, "strait")
	if err != nil {
		return err
	}
	agent, err := house.Build(ctx, dir, "strait-agent")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "large.bin")
	if err := noise(file, size); err != nil {
		return err
	}
	// 2. The server and its bucket.
	h, err := house.Start(ctx, server, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	defer h.Stop()
	admin, err := h.Session(ctx)
	if err != nil {
		return err
	}
	name := bucket
	if _, err := admin.S3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name}); err != nil {
		return fmt.Errorf("make the bucket: %w", err)
	}
	keys, err := admin.Config.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	clients, err := found(ctx, agent, file, place{h, keys, dir})
	if err != nil {
		return err
	}
	// 3. Measure.
	fmt.Println("machine:", house.Machine())
	fmt.Printf("%d interleaved rounds of %d MiB; the server's limits are structural ones only\n", rounds, size>>20)
	for _, scheme := range []string{"https", "http"} {
		if !contains(schemes, scheme) {
			continue
		}
		runs := map[string][]cost{}
		for i := range rounds {
			for j := range clients {
				c := clients[(i+j)%len(clients)]
				took, err := c.upload(ctx, scheme)
				if err != nil {
					return fmt.Errorf("%s over %s: %w", c.name, scheme, err)
				}
				if err := stored(ctx, admin, c.name, size); err != nil {
					return fmt.Errorf("%s over %s: %w", c.name, scheme, err)
				}
				runs[c.name] = append(runs[c.name], took)
			}
		}
		report(scheme, clients, runs)
	}
	return nil
}

// stored looks whether the object is there, and removes it.
func stored(ctx context.Context, admin *setup.Session, key string, size int64) error {
	name := bucket
	head, err := admin.S3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &name, Key: &key})
	if err != nil {
		return fmt.Errorf("nothing was stored: %w", err)
	}
	if head.ContentLength == nil || *head.ContentLength != size {
		return errors.New("what was stored has another size")
	}
	_, err = admin.S3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &name, Key: &key})
	return err
}

func noise(file string, size int64) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{1}), size)
	return errors.Join(err, f.Close())
}

func report(scheme string, clients []*client, runs map[string][]cost) {
	fmt.Printf("\nover %s\n", scheme)
	ours := runs[clients[0].name]
	for _, c := range clients {
		var wall, cpu, wallRatio, cpuRatio []float64
		for i, r := range runs[c.name] {
			wall, cpu = append(wall, r.wall.Seconds()), append(cpu, r.cpu.Seconds())
			wallRatio = append(wallRatio, ours[i].wall.Seconds()/r.wall.Seconds())
			cpuRatio = append(cpuRatio, ours[i].cpu.Seconds()/r.cpu.Seconds())
		}
		fmt.Printf("%-14s wall %6.2f s   CPU %5.2f s", c.name, house.Median(wall), house.Median(cpu))
		if c != clients[0] {
			w, p := house.Median(wallRatio), house.Median(cpuRatio)
			fmt.Printf("   the agent takes %.2fx the time, %.2fx the CPU: %s", w, p, met(w < 1 && p <= 1))
		}
		fmt.Printf("   (%s)\n", c.version)
	}
}

func met(ok bool) string {
	if ok {
		return "aim met"
	}
	return "aim MISSED"
}

// cost is what one upload took.
type cost struct{ wall, cpu time.Duration }
