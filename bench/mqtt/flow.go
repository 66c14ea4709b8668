package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"strait/bench/house"
	"strait/door/mqtt/packet"
)

// firstListener is the number of the first client that subscribes; those
// before it publish.
const firstListener = 50

// A flow is publishers and subscribers, each topic with one publisher.
type flow struct {
	pubs, fan  int // fan subscribers of each publisher
	qos        byte
	rate       float64 // messages a second of each publisher; 0: as fast as it goes
	persistent bool    // the subscribers' sessions
	in, out    string  // last level of the topic published to, and of the filter
	via        string  // when not "": what stands for the publisher's name in the filter
}

// How much is on its way for one publisher, at most, when it is fast. A server
// that loses nothing is never asked to keep more than that.
const (
	windowQoS0 = 500
	windowQoS1 = 100
	batch      = 64
)

// A gate counts what is on its way for one publisher.
type gate struct {
	sent, acked, got atomic.Int64 // got is of all its subscribers
	fan              int64
	qos              byte
	waiting          atomic.Bool
	wake             chan struct{}
}

func (g *gate) room() int64 {
	flying := g.sent.Load() - g.got.Load()/g.fan
	if g.qos == 0 {
		return windowQoS0 - flying
	}
	return windowQoS1 - max(flying, g.sent.Load()-g.acked.Load())
}

// moved wakes the publisher if it waits and some room has come.
func (g *gate) moved() {
	if g.waiting.Load() && g.room() >= enough && g.waiting.CompareAndSwap(true, false) {
		g.wake <- struct{}{}
	}
}

// enough is how much room a publisher waits for, so that it writes several
// messages at once as those who are busy do.
const enough = 16

// A taken is what was counted of a flow, at one moment or between two.
type taken struct {
	got, sent int64
	at        time.Time
	cpu, own  time.Duration
}

// A result is what one round of one series at one server gave.
type result struct {
	rate     float64 // a second
	cpu      float64 // microseconds of the server for each
	own      float64 // microseconds of the generator for each
	p50, p99 float64 // microseconds; 0 when not measured
	lost     int64
	extra    string
}

// run measures f at s for d.
func (f *flow) run(ctx context.Context, w *world, s *server, size int, d time.Duration) (res result, err error) {
	r := &running{flow: f, done: make(chan struct{})}
	defer func() { r.close(ctx, w, s) }()
	if err := r.open(ctx, w, s); err != nil {
		return res, err
	}
	// 1. Under way.
	for i := range r.pubs {
		if f.qos > 0 {
			r.reading.Go(func() { r.acknowledged(i) })
		}
		r.writing.Go(func() { r.fail(r.publish(i, size)) })
	}
	for i := range r.subs {
		r.reading.Go(func() { r.receive(i) })
	}
	// 2. Measured.
	if err := r.sleep(ctx, max(d/5, 100*time.Millisecond)); err != nil {
		return res, err
	}
	r.measuring.Store(f.rate > 0)
	before := r.take(s)
	err = r.sleep(ctx, d)
	after := r.take(s)
	r.measuring.Store(false)
	if err != nil {
		return res, err
	}
	// 3. Brought to its end: what was sent arrives.
	close(r.done)
	r.writing.Wait()
	res.lost = r.drain()
	n := float64(after.got - before.got)
	if n == 0 {
		return res, errors.New("nothing arrived")
	}
	res.rate = n / after.at.Sub(before.at).Seconds()
	res.cpu = float64(after.cpu-before.cpu) / float64(time.Microsecond) / n
	res.own = float64(after.own-before.own) / float64(time.Microsecond) / n
	r.stop()
	res.p50, res.p99 = quantiles(slices.Concat(r.times...))
	return res, r.first()
}

// running is a flow under way.
type running struct {
	*flow
	pubs, subs []*client
	gates      []*gate
	times      [][]time.Duration

	measuring        atomic.Bool
	done             chan struct{} // nobody publishes any more
	over             atomic.Bool   // what ends now ends because it should
	writing, reading sync.WaitGroup

	mu  sync.Mutex
	err error
}

func (r *running) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && err != nil && !r.over.Load() {
		r.err = err
	}
}

func (r *running) first() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *running) open(ctx context.Context, w *world, s *server) error {
	r.pubs, r.subs = make([]*client, r.flow.pubs), make([]*client, r.flow.pubs*r.fan)
	r.times = make([][]time.Duration, len(r.subs))
	for range r.pubs {
		r.gates = append(r.gates, &gate{fan: int64(r.fan), qos: r.qos, wake: make(chan struct{}, 1)})
	}
	return parallel(len(r.pubs)+len(r.subs), func(i int) error {
		if i < len(r.pubs) {
			c, err := w.dial(ctx, s, i, true, 16<<10)
			r.pubs[i] = c
			return err
		}
		i -= len(r.pubs)
		c, err := w.dial(ctx, s, firstListener+i, !r.persistent, 64<<10)
		if err != nil {
			return err
		}
		r.subs[i] = c
		return c.subscribe(r.qos, r.filter(i/r.fan))
	})
}

func (f *flow) topic(i int) string { return "b/" + id(i) + "/" + f.in }

func (f *flow) filter(i int) string {
	if f.via != "" {
		return "b/" + f.via + "/" + id(i)
	}
	return f.topic(i)
}

func (r *running) sleep(ctx context.Context, d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(time.Until(end), 100*time.Millisecond)):
		}
		if err := r.first(); err != nil {
			return err
		}
	}
	return nil
}

func (r *running) take(s *server) (t taken) {
	t.at, t.cpu, t.own = time.Now(), s.cpu(), house.Running(os.Getpid())
	t.got, t.sent = r.sums()
	return t
}

func (r *running) sums() (got, sent int64) {
	for _, g := range r.gates {
		got += g.got.Load()
		sent += g.sent.Load()
	}
	return got, sent
}

// drain waits until all has arrived, or nothing has for a second, and returns
// what is missing.
func (r *running) drain() int64 {
	last, since := int64(-1), time.Now()
	for {
		got, sent := r.sums()
		if got >= sent*int64(r.fan) {
			return 0
		}
		if got != last {
			last, since = got, time.Now()
		}
		if time.Since(since) > time.Second {
			return sent*int64(r.fan) - got
		}
		time.Sleep(time.Millisecond)
	}
}

// stop ends the readers.
func (r *running) stop() {
	r.over.Store(true)
	for _, c := range slices.Concat(r.pubs, r.subs) {
		if c != nil {
			_ = c.nc.SetReadDeadline(time.Now())
		}
	}
	r.reading.Wait()
}

func (r *running) close(ctx context.Context, w *world, s *server) {
	r.over.Store(true)
	select {
	case <-r.done:
	default:
		close(r.done)
	}
	for _, c := range slices.Concat(r.pubs, r.subs) {
		if c != nil {
			c.close()
		}
	}
	r.writing.Wait()
	r.reading.Wait()
	if r.persistent {
		forget(ctx, w, s, len(r.subs))
	}
}

// forget ends the persistent sessions of the first n listeners.
func forget(ctx context.Context, w *world, s *server, n int) {
	_ = parallel(n, func(i int) error {
		if c, err := w.dial(ctx, s, firstListener+i, true, 512); err == nil {
			c.close()
		}
		return nil
	})
}

// A pack is PUBLISHes that are encoded once; what changes is written over.
type pack struct {
	bytes      []byte
	each       int // bytes of one
	stamp, id  int // where the time and the packet id are in each
	nextPacket uint16
}

const stampSize = 16 // hex digits of a time in nanoseconds

func newPack(topic string, qos byte, size, n int) (*pack, error) {
	const begin = `{"t":"`
	body := begin + strings.Repeat("0", stampSize) + `","x":"`
	body += strings.Repeat("x", max(size-len(body)-2, 0)) + `"}`
	one, err := (&packet.Publish{Topic: topic, Payload: []byte(body), QoS: qos, PacketID: 1}).Append(nil)
	if err != nil {
		return nil, err
	}
	p := &pack{bytes: slices.Repeat(one, n), each: len(one)}
	p.stamp = len(one) - len(body) + len(begin)
	p.id = len(one) - len(body) - 2
	if qos == 0 {
		p.id = -1
	}
	return p, nil
}

// take returns n messages that are made now.
func (p *pack) take(n int) []byte {
	var now [8]byte
	var digits [stampSize]byte
	binary.BigEndian.PutUint64(now[:], uint64(time.Now().UnixNano()))
	hex.Encode(digits[:], now[:])
	for at := 0; at < n*p.each; at += p.each {
		copy(p.bytes[at+p.stamp:], digits[:])
		if p.id > 0 {
			if p.nextPacket++; p.nextPacket == 0 {
				p.nextPacket = 1
			}
			binary.BigEndian.PutUint16(p.bytes[at+p.id:], p.nextPacket)
		}
	}
	return p.bytes[:n*p.each]
}

// age is how long ago a payload was made.
func age(payload []byte) time.Duration {
	var b [8]byte
	if len(payload) < 6+stampSize {
		return 0
	}
	if _, err := hex.Decode(b[:], payload[6:6+stampSize]); err != nil {
		return 0
	}
	return time.Duration(time.Now().UnixNano() - int64(binary.BigEndian.Uint64(b[:])))
}

func (r *running) publish(i, size int) error {
	c, g := r.pubs[i], r.gates[i]
	p, err := newPack(r.topic(i), r.qos, size, batch)
	if err != nil {
		return err
	}
	if r.rate > 0 {
		return r.pace(c, g, p, i)
	}
	for {
		n := min(g.room(), batch)
		if n < enough {
			g.waiting.Store(true)
			g.moved() // it may have moved between the look and the word
			select {
			case <-g.wake:
			case <-r.done:
				return nil
			}
			continue
		}
		select {
		case <-r.done:
			return nil
		default:
		}
		g.sent.Add(n)
		if _, err := c.nc.Write(p.take(int(n))); err != nil {
			return err
		}
	}
}

// pace publishes one message at a time, at a rate; publishers do so evenly
// spread.
func (r *running) pace(c *client, g *gate, p *pack, i int) error {
	every := time.Duration(float64(time.Second) / r.rate)
	next := time.Now().Add(every * time.Duration(i) / time.Duration(len(r.pubs)))
	for {
		select {
		case <-time.After(time.Until(next)):
		case <-r.done:
			return nil
		}
		next = next.Add(every)
		g.sent.Add(1)
		if _, err := c.nc.Write(p.take(1)); err != nil {
			return err
		}
	}
}

func (r *running) acknowledged(i int) {
	c, g := r.pubs[i], r.gates[i]
	for {
		n := int64(0)
		err := c.read(func(first byte, _ []byte) {
			if packet.Type(first>>4) == packet.TypePuback {
				n++
			}
		})
		g.acked.Add(n)
		g.moved()
		if err != nil {
			r.fail(err)
			return
		}
	}
}

func (r *running) receive(i int) {
	c, g := r.subs[i], r.gates[i/r.fan]
	for {
		n := int64(0)
		measuring := r.measuring.Load()
		err := c.read(func(first byte, body []byte) {
			if packet.Type(first>>4) != packet.TypePublish {
				return
			}
			n++
			if measuring {
				r.times[i] = append(r.times[i], age(payload(first, body)))
			}
		})
		g.got.Add(n)
		g.moved()
		if err != nil {
			r.fail(err)
			return
		}
	}
}

// quantiles returns p50 and p99 in microseconds.
func quantiles(times []time.Duration) (p50, p99 float64) {
	us := func(q float64) float64 { return float64(house.Quantile(times, q)) / float64(time.Microsecond) }
	return us(0.5), us(0.99)
}
