package mqtt

import (
	"net"
	"sync"
	"time"

	"strait/door/mqtt/packet"
)

const (
	highWater  = 64 << 10 // who wants to write waits while as much is buffered
	writePiece = 64 << 10 // what a client must take within Limits.Write
	flushTime  = time.Second
)

// A writer holds a connection's packets until they are written. Whatever is
// appended while a write is under way goes out together with the next one, so
// a busy connection needs few system calls. A client that reads slowly makes
// its own senders wait here, and nobody else.
//
// Everybody may append; only the pump of the connection (pump.go) writes.
type writer struct {
	nc      net.Conn
	socket  *socket // nil: writing may block
	timeout time.Duration
	rouse   func() // sees to it that the pump runs

	mu      sync.Mutex
	room    sync.Cond // less than highWater buffered, or the end
	out     *chunk    // nil: nothing
	ended   bool      // nothing is taken any more
	endedBy time.Time // and what was taken is written until then

	// Of MQTT 5.
	v5    bool
	most  int                // bytes of a packet that the client takes; 0 for any
	known aliases            // topics that the client knows by an alias
	next  int                // the alias, less one, that is given away next
	props *packet.Properties // of the delivery being written
}

// A chunk is bytes to be written. A silent connection has none.
type chunk struct{ b []byte }

// keptChunk is what a chunk may hold to be used again.
const keptChunk = 2 * highWater

var chunks = sync.Pool{New: func() any { return new(chunk) }}

func (c *chunk) free() {
	if cap(c.b) <= keptChunk {
		c.b = c.b[:0]
		chunks.Put(c)
	}
}

func newWriter(nc net.Conn, timeout time.Duration) *writer {
	w := &writer{nc: nc, socket: socketOf(nc), timeout: timeout}
	w.room.L = &w.mu
	return w
}

// speak5 makes the writer write MQTT 5, as far as the client can take it.
func (w *writer) speak5(said *packet.Properties, l Limits) {
	w.v5, w.props = true, new(packet.Properties)
	if said != nil {
		w.most = int(said.MaximumPacketSize)
		if n := min(int(said.TopicAliasMaximum), l.Aliases); n > 0 {
			w.known = make(aliases, n)
		}
	}
}

// chunk returns where to append; mu is held.
func (w *writer) chunk() *chunk {
	if w.out == nil {
		w.out = chunks.Get().(*chunk)
	}
	return w.out
}

// waiting tells whether there is something to write.
func (w *writer) waiting() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out != nil
}

// send takes a packet. It waits while too much is buffered, and returns false
// when the writer has ended. The pump must be roused afterwards.
func (w *writer) send(p packet.Packet) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.wait() {
		return false
	}
	w.append(p)
	return true
}

// append appends what the door itself sends. That cannot be too large, except
// that a reason string may be for the client; then it is left out. mu is held.
func (w *writer) append(p packet.Packet) {
	out := w.chunk()
	before := len(out.b)
	out.b, _ = p.Append(out.b)
	if w.most == 0 || len(out.b)-before <= w.most {
		return
	}
	out.b = out.b[:before]
	switch p := p.(type) {
	case *packet.Ack:
		p.Props = nil
	case *packet.Suback:
		p.Props = nil
	case *packet.Leave:
		p.Props = nil
	}
	out.b, _ = p.Append(out.b)
}

// puback is send for the one packet that is sent all the time.
func (w *writer) puback(id uint16) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.wait() {
		return false
	}
	out := w.chunk()
	out.b = append(out.b, byte(packet.TypePuback)<<4, 2, byte(id>>8), byte(id))
	return true
}

// wait waits for room; it is false when the writer has ended. mu is held.
func (w *writer) wait() bool {
	for roused := false; w.out != nil && len(w.out.b) >= highWater && !w.ended; roused = true {
		if roused {
			w.room.Wait()
			continue
		}
		w.mu.Unlock()
		w.rouse()
		w.mu.Lock()
	}
	return !w.ended
}

// deliver takes deliveries as PUBLISHes, until enough is buffered, and returns
// how many it took. Of those that the wire cannot carry, or the client cannot
// take, it returns the packet ids.
func (w *writer) deliver(ds []Delivery) (n int, left []uint16) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return len(ds), nil // what is written now is not read any more
	}
	out := w.chunk()
	for ; n < len(ds) && len(out.b) < highWater; n++ {
		d := &ds[n]
		p := packet.Publish{Topic: d.Topic, Payload: d.Payload, QoS: d.QoS, Retain: d.Retain, Dup: d.Dup, PacketID: d.PacketID}
		if w.v5 {
			if !w.publish5(&p, d) {
				left = append(left, d.PacketID)
			}
			continue
		}
		var err error
		if out.b, err = p.Append(out.b); err != nil {
			left = append(left, d.PacketID)
		}
	}
	return n, left
}

// publish5 appends a PUBLISH of MQTT 5, by a topic alias if the client wants
// them; mu is held.
func (w *writer) publish5(p *packet.Publish, d *Delivery) bool {
	p.V5 = true
	d.fill(w.props)
	alias, known := w.known.offer(p.Topic, &w.next)
	if alias > 0 {
		w.props.Present |= 1 << packet.TopicAlias
		w.props.TopicAlias = alias
		if known {
			p.Topic = ""
		}
	}
	if w.props.Present != 0 || len(w.props.User) > 0 {
		p.Props = w.props
	}
	out := w.chunk()
	before := len(out.b)
	var err error
	out.b, err = p.Append(out.b)
	if err != nil || w.most > 0 && len(out.b)-before > w.most {
		out.b = out.b[:before]
		return false
	}
	if alias > 0 && !known { // only now, when the client will learn it
		w.known[alias-1] = d.Topic
		w.next++
	}
	return true
}

// flush writes what there is; only the pump calls it. With here it does not
// block, and tells whether something was left over, which a flush without here
// must write. gone tells that the writer has ended and nothing is left.
func (w *writer) flush(here bool) (left, gone bool, err error) {
	w.mu.Lock()
	out, ended := w.out, w.ended
	w.out = nil
	w.room.Broadcast()
	w.mu.Unlock()
	if out != nil {
		defer out.free()
	}
	var b []byte
	if out != nil {
		b = out.b
	}
	switch {
	case w.socket == nil:
		err = w.block(b)
	case here:
		left, err = w.try(b)
	default:
		err = w.insist(b)
	}
	return left, ended && !left, err
}

// block writes and blocks for it, but not for longer than the client may take.
func (w *writer) block(b []byte) error {
	for len(b) > 0 {
		piece := b[:min(len(b), writePiece)]
		if err := w.deadline(); err != nil {
			return err
		}
		if _, err := w.nc.Write(piece); err != nil {
			return err
		}
		b = b[len(piece):]
	}
	return nil
}

// try writes what the kernel takes; the socket keeps the rest.
func (w *writer) try(b []byte) (left bool, err error) {
	if len(b) == 0 {
		return false, nil
	}
	w.socket.setLazy(true)
	_, err = w.nc.Write(b)
	return w.socket.setLazy(false), err
}

// insist tries, and blocks only for what is left over, so that clients who read
// cost no deadlines.
func (w *writer) insist(b []byte) error {
	left := w.socket.setLazy(false) // of somebody who could not wait
	for {
		if left {
			if err := w.deadline(); err != nil {
				return err
			}
			if err := w.socket.finish(); err != nil {
				return err
			}
			if err := w.relax(); err != nil {
				return err
			}
		}
		if len(b) == 0 {
			return nil
		}
		piece := b[:min(len(b), writePiece)]
		b = b[len(piece):]
		var err error
		if left, err = w.try(piece); err != nil {
			return err
		}
	}
}

// deadline sets the next write's, which is never later than the end's.
func (w *writer) deadline() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	by := time.Now().Add(w.timeout)
	if w.ended && w.endedBy.Before(by) {
		by = w.endedBy
	}
	return w.nc.SetWriteDeadline(by)
}

// relax takes the deadline away, so that none is in the way of writes that do
// not block.
func (w *writer) relax() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return nil
	}
	return w.nc.SetWriteDeadline(time.Time{})
}

// end makes everybody who waits here return. With flush, what has been taken
// is still written for a second; without, it is dropped. A last packet is
// written in either case, unless the writer has ended already; without flush
// what is being written at this moment is finished before it. It may be called
// again. The pump must be roused afterwards.
func (w *writer) end(flush bool, last packet.Packet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if last != nil && !w.ended {
		if !flush {
			w.out = nil
		}
		w.append(last)
		flush = true
	}
	if !w.ended {
		w.ended, w.endedBy = true, now.Add(flushTime)
	}
	if !flush {
		w.endedBy, w.out = now, nil
	}
	_ = w.nc.SetWriteDeadline(w.endedBy) // for a write that is under way
	w.room.Broadcast()
}
