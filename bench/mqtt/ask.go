package main

import (
	"context"
	"os"
	"slices"
	"sync"
	"time"

	"strait/bench/house"
	"strait/door/mqtt/packet"
)

// An ask is pairs of clients, of which one asks and the other answers, QoS 1
// both ways; each pair has one request on its way.
type ask struct {
	pairs int
	pause time.Duration // between an answer and the next request
}

func (a *ask) run(ctx context.Context, w *world, s *server, size int, d time.Duration) (res result, err error) {
	asking, answering := make([]*client, a.pairs), make([]*client, a.pairs)
	defer func() {
		for _, c := range slices.Concat(asking, answering) {
			if c != nil {
				c.close()
			}
		}
	}()
	err = parallel(2*a.pairs, func(n int) (err error) {
		i, mine, topic := n/2, asking, "b/"+id(firstListener+n/2)+"/res"
		who := i
		if n%2 == 1 {
			mine, topic, who = answering, "b/"+id(i)+"/req", firstListener+i
		}
		if mine[i], err = w.dial(ctx, s, who, true, 4<<10); err != nil {
			return err
		}
		return mine[i].subscribe(1, topic)
	})
	if err != nil {
		return res, err
	}
	var answers, asks sync.WaitGroup
	for i, c := range answering {
		p, err := newPack("b/"+id(firstListener+i)+"/res", 1, size, 1)
		if err != nil {
			return res, err
		}
		answers.Go(func() { c.answer(p) })
	}
	begin, cpu, own := time.Now(), s.cpu(), house.Running(os.Getpid())
	end := begin.Add(d)
	times := make([][]time.Duration, a.pairs)
	errs := make([]error, a.pairs)
	for i, c := range asking {
		p, err := newPack("b/"+id(i)+"/req", 1, size, 1)
		if err != nil {
			return res, err
		}
		asks.Go(func() {
			// Evenly spread, when they are slow.
			time.Sleep(a.pause * time.Duration(i) / time.Duration(a.pairs))
			for time.Now().Before(end) && errs[i] == nil {
				var took time.Duration
				took, errs[i] = c.ask(p)
				times[i] = append(times[i], took)
				time.Sleep(a.pause)
			}
		})
	}
	asks.Wait()
	took := time.Since(begin)
	cpu, own = s.cpu()-cpu, house.Running(os.Getpid())-own
	for _, c := range answering {
		_ = c.nc.SetReadDeadline(time.Now())
	}
	answers.Wait()
	for _, err := range errs {
		if err != nil {
			return res, err
		}
	}
	all := slices.Concat(times...)
	n := float64(len(all))
	res.rate = n / took.Seconds()
	res.cpu, res.own = float64(cpu)/float64(time.Microsecond)/n, float64(own)/float64(time.Microsecond)/n
	res.p50, res.p99 = quantiles(all)
	return res, nil
}

func (c *client) answer(p *pack) {
	for {
		n := 0
		if err := c.read(func(first byte, _ []byte) {
			if packet.Type(first>>4) == packet.TypePublish {
				n++
			}
		}); err != nil {
			return
		}
		for range n {
			if _, err := c.nc.Write(p.take(1)); err != nil {
				return
			}
		}
	}
}

func (c *client) ask(p *pack) (time.Duration, error) {
	begin := time.Now()
	if _, err := c.nc.Write(p.take(1)); err != nil {
		return 0, err
	}
	answered := false
	err := c.until(patience, func() bool { return answered }, func(first byte, _ []byte) {
		answered = answered || packet.Type(first>>4) == packet.TypePublish
	})
	return time.Since(begin), err
}
