package mqtt

import (
	"context"
	"log/slog"
	"sync"
)

// The pump of a connection fetches what comes for it and writes. It runs only
// while there is something to do, in a goroutine of its own or in that of
// somebody who has time (here): a silent connection has none, and a message
// between two clients who say little needs no goroutine to be woken at all.
//
// A pump is idle, running, or to look once more before it is idle. Who makes it
// running owns the fields of pump, and all writing, until it is idle again.
const (
	idle uint32 = iota
	running
	again
)

type pump struct {
	ds    *deliveries // fetched, nil for none
	at    int         // how many of them have been taken by the writer
	ended bool        // Next has failed
}

// deliveries are a buffer for Next.
type deliveries struct{ buf, got []Delivery }

const (
	fewDeliveries = 16 // that Next is asked for at first
	allDeliveries = 128
)

var buffers = sync.Pool{New: func() any { return &deliveries{buf: make([]Delivery, 0, allDeliveries)} }}

// wake is Connect.Wake. It is called by those who publish to this client.
func (c *client) wake(here bool) {
	if !c.begun.Load() {
		c.state.CompareAndSwap(running, again) // Connect has not returned yet
		return
	}
	select {
	case <-c.conn.Done():
		c.end(Ended, nil)
	default:
	}
	c.rouse(here && c.quick)
}

// rouse sees to it that the pump looks, or looks once more. here says that it
// may be run in this goroutine; then it does not block.
func (c *client) rouse(here bool) {
	for {
		switch c.state.Load() {
		case idle:
			if !c.state.CompareAndSwap(idle, running) {
				continue
			}
			if here && c.out.socket != nil && c.publishes == nil && c.bytes == nil {
				c.run1(true)
			} else {
				go c.spawn()
			}
			return
		case running:
			if c.state.CompareAndSwap(running, again) {
				return
			}
		default:
			return
		}
	}
}

// patient is how often a pump that runs in somebody else's goroutine goes round
// before it gets one of its own.
const patient = 4

// run1 runs the pump until it is idle.
func (c *client) run1(here bool) {
	for round := 0; ; round++ {
		if here && round == patient {
			go c.spawn()
			return
		}
		// 1. What comes, as much as there is room for.
		more := c.fetch()
		// 2. Out with it.
		left, gone, err := c.out.flush(here)
		if err != nil {
			c.end(Lost, err)
			c.out.end(false, nil)
			gone = true
		}
		switch {
		case gone: // and it never runs again
			close(c.gone)
			return
		case left:
			go c.spawn()
			return
		case more:
			continue
		}
		// 3. Nothing more to do, if nobody says otherwise.
		c.releaseDeliveries()
		if c.state.CompareAndSwap(running, idle) {
			return
		}
		c.state.Store(running)
	}
}

// fetch hands what Next gives to the writer, and tells whether there may be
// more.
func (c *client) fetch() (more bool) {
	p := &c.pump
	if p.ended || c.ctx.Err() != nil {
		return false
	}
	if p.ds == nil {
		p.ds = buffers.Get().(*deliveries)
	}
	if p.at == len(p.ds.got) {
		size := fewDeliveries
		if len(p.ds.got) == cap(p.ds.got) && p.at > 0 {
			size = allDeliveries
		}
		clear(p.ds.got) // the messages are not to be held
		var err error
		p.at = 0
		if p.ds.got, err = c.conn.Next(c.ctx, p.ds.buf[:0:size]); err != nil {
			p.ds.got, p.ended = nil, true
			err = c.failed("next", err)
			c.end(c.reason(err), err)
			return false
		}
		if len(p.ds.got) == 0 {
			return false
		}
		c.slow(c.ctx, p.ds.got)
	}
	n, left := c.out.deliver(p.ds.got[p.at:])
	p.at += n
	if len(left) > 0 {
		c.tell(slog.LevelWarn, "mqtt: left out deliveries that the client cannot take", "count", len(left))
		if err := c.waive(c.ctx, left); err != nil {
			p.ended = true
			c.end(c.reason(err), err)
			return false
		}
	}
	return true
}

func (c *client) releaseDeliveries() {
	p := &c.pump
	if p.ds != nil {
		clear(p.ds.got)
		p.ds.got, p.at = nil, 0
		buffers.Put(p.ds)
		p.ds = nil
	}
}

// drained is called by the reader before it may have to wait for the client,
// when all that the client has said is handled: those who got something are
// woken, and answered is what is to be answered. more says that the client has
// probably said more already; then others do their work.
func (c *client) drained(more bool) {
	// Who gets much does so in a goroutine of its own, and many at the same
	// time. For a few messages that costs more than it brings, however many
	// get them (no more than the Conn puts into later).
	const few = 4
	here := !more && c.handled <= few
	c.handled = 0
	if len(c.later) > 0 {
		for _, wake := range c.later {
			wake(here)
		}
		clear(c.later)
		if c.later = c.later[:0]; cap(c.later) > 1024 {
			c.later = nil
		}
	}
	if c.acked || c.out.waiting() {
		c.acked = false
		c.rouse(true)
	}
}

// finish ends the connection, from whichever side that was begun, once its
// context has ended: what was taken for writing is still written, unless the
// other side ended the connection (a certificate that was revoked gets nothing
// more), and the socket is closed, which makes the reader return.
func (c *client) finish() {
	c.end(Ended, nil)
	c.out.end(!c.other, c.farewell())
	c.rouse(false)
	<-c.gone
	_ = c.nc.Close()
	close(c.finished)
}

// begin starts the pump, which counts as running before, and what ends it.
func (c *client) begin(ctx context.Context) {
	c.ctx, c.cancel = context.WithCancel(ctx)
	c.begun.Store(true)
	context.AfterFunc(c.ctx, c.finish)
	go c.spawn()
}
