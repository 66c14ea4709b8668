package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"strait/bench/house"
	"strait/door/mqtt/packet"
)

// stored is what is queued for each client that is away.
const stored = 100

// offline measures what is published to sessions whose clients are away: how
// fast it is acknowledged (and with us: safe), and how fast it comes when they
// are back. The first is the result, the second is in extra.
func offline(ctx context.Context, w *world, s *server, size int, _ time.Duration) (res result, err error) {
	const n = 50
	defer forget(ctx, w, s, n)
	// 1. Sessions, without their clients.
	err = parallel(n, func(i int) error {
		c, err := w.dial(ctx, s, firstListener+i, false, 4<<10)
		if err != nil {
			return err
		}
		defer c.close()
		return c.subscribe(1, "b/"+id(i)+"/k")
	})
	if err != nil {
		return res, err
	}
	// 2. Publishers, one for each, all that is in flight at once.
	pubs := make([]*client, n)
	defer func() {
		for _, c := range pubs {
			if c != nil {
				c.close()
			}
		}
	}()
	if err = parallel(n, func(i int) (err error) {
		pubs[i], err = w.dial(ctx, s, i, true, 4<<10)
		return err
	}); err != nil {
		return res, err
	}
	begin, cpu, own := time.Now(), s.cpu(), house.Running(os.Getpid())
	if err = all(n, func(i int) error {
		p, err := newPack("b/"+id(i)+"/k", 1, size, stored)
		if err != nil {
			return err
		}
		if _, err := pubs[i].nc.Write(p.take(stored)); err != nil {
			return err
		}
		acked := 0
		return pubs[i].until(patience, func() bool { return acked >= stored }, func(first byte, _ []byte) {
			if packet.Type(first>>4) == packet.TypePuback {
				acked++
			}
		})
	}); err != nil {
		return res, fmt.Errorf("publish to those who are away: %w", err)
	}
	took, total := time.Since(begin), float64(n*stored)
	cpu, own = s.cpu()-cpu, house.Running(os.Getpid())-own
	res.rate = total / took.Seconds()
	res.cpu, res.own = float64(cpu)/float64(time.Microsecond)/total, float64(own)/float64(time.Microsecond)/total
	// 3. They are back.
	var got atomic.Int64
	begin = time.Now()
	err = all(n, func(i int) error {
		c, err := w.dial(ctx, s, firstListener+i, false, 64<<10)
		if err != nil {
			return err
		}
		defer c.close()
		if !c.present {
			return fmt.Errorf("the session of %s is gone", c.id)
		}
		mine := 0
		return c.until(patience, func() bool { return mine >= stored }, func(first byte, _ []byte) {
			if packet.Type(first>>4) == packet.TypePublish {
				mine++
				got.Add(1)
			}
		})
	})
	res.lost = int64(total) - got.Load()
	res.extra = fmt.Sprintf("back %.0f/s", float64(got.Load())/time.Since(begin).Seconds())
	if res.lost > 0 { // told, and not the end of the run
		err = nil
	}
	return res, err
}

// all calls f for 0 to n-1, all at once.
func all(n int, f func(int) error) error {
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- f(i) }()
	}
	var first error
	for range n {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}
