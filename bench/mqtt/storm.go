package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"strait/bench/house"
	"strait/door/mqtt/packet"
)

// connects measures full handshakes with mutual TLS, up to the CONNACK; no
// session is resumed.
func connects(ctx context.Context, w *world, s *server, _ int, d time.Duration) (res result, err error) {
	const workers = 32
	var wg sync.WaitGroup
	var n atomic.Int64
	errs := make([]error, workers)
	begin, cpu, own := time.Now(), s.cpu(), house.Running(os.Getpid())
	end := begin.Add(d)
	for i := range workers {
		wg.Go(func() {
			for at := i; time.Now().Before(end); at = (at + workers) % people {
				var c *client
				if c, errs[i] = w.dial(ctx, s, at, true, 512); errs[i] != nil {
					return
				}
				c.close()
				n.Add(1)
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	cpu, own = s.cpu()-cpu, house.Running(os.Getpid())-own
	for _, err := range errs {
		if err != nil {
			return res, err
		}
	}
	res.rate = float64(n.Load()) / took.Seconds()
	res.cpu, res.own = float64(cpu)/float64(time.Microsecond)/float64(n.Load()), float64(own)/float64(time.Microsecond)/float64(n.Load())
	return res, nil
}

// A footprint is what a server holds for each of many connections, in KiB.
type footprint struct{ idle, active, after float64 }

// settle is how long a server has to let go of what it needed for handshakes.
const settle = 15 * time.Second

// crowd connects n clients, each with a certificate and a subscription of its
// own, and looks at what the server holds: when they have been silent for a
// while, and right after each has published and received for some seconds.
func crowd(ctx context.Context, w *world, s *server, n int, size int) (f footprint, err error) {
	before, err := house.Resident(s.pid)
	if err != nil {
		return f, err
	}
	cs := make([]*client, n)
	defer func() {
		_ = parallel(n, func(i int) error {
			if cs[i] != nil {
				cs[i].close()
			}
			return nil
		})
	}()
	err = parallel(n, func(i int) (err error) {
		if cs[i], err = w.dial(ctx, s, i, true, 512); err != nil {
			return err
		}
		return cs[i].subscribe(1, "b/"+id(i)+"/x")
	})
	if err != nil {
		return f, err
	}
	each := func() (float64, error) {
		now, err := house.Resident(s.pid)
		return float64(now-before) / float64(n), err
	}
	pause(ctx, settle)
	if f.idle, err = each(); err != nil {
		return f, err
	}
	// Each in turn sends itself a message and takes it, several times.
	for range 3 {
		err = parallel(n, func(i int) error {
			p, err := newPack("b/"+id(i)+"/x", 1, size, 1)
			if err != nil {
				return err
			}
			if _, err := cs[i].nc.Write(p.take(1)); err != nil {
				return err
			}
			missing := 2 // the PUBACK and the message
			return cs[i].until(patience, func() bool { return missing == 0 }, func(first byte, _ []byte) {
				if t := packet.Type(first >> 4); t == packet.TypePublish || t == packet.TypePuback {
					missing--
				}
			})
		})
		if err != nil {
			return f, fmt.Errorf("active: %w", err)
		}
	}
	if f.active, err = each(); err != nil {
		return f, err
	}
	pause(ctx, settle)
	f.after, err = each()
	return f, err
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
