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
	idleBuffer = 4 << 10  // a connection that writes less at once keeps no longer buffers
	flushTime  = time.Second
)

// A writer writes a connection's packets from one goroutine. Whatever is
// appended while a write is under way goes out together with the next one, so
// a busy connection needs few system calls. A client that reads slowly makes
// its own senders wait here, and nobody else.
type writer struct {
	nc      net.Conn
	timeout time.Duration

	mu      sync.Mutex
	work    sync.Cond // something to write, or the end
	room    sync.Cond // less than highWater buffered, or the end
	buf     []byte
	spare   []byte
	last    int       // length of the last write
	ended   bool      // nothing is taken any more
	endedBy time.Time // and what was taken is written until then

	// Of MQTT 5.
	v5    bool
	most  int               // bytes of a packet that the client takes; 0 for any
	known aliases           // topics that the client knows by an alias
	next  int               // the alias, less one, that is given away next
	props packet.Properties // of the delivery being written
}

func newWriter(nc net.Conn, timeout time.Duration) *writer {
	w := &writer{nc: nc, timeout: timeout}
	w.work.L, w.room.L = &w.mu, &w.mu
	return w
}

// speak5 makes the writer write MQTT 5, as far as the client can take it.
func (w *writer) speak5(said *packet.Properties, l Limits) {
	w.v5 = true
	if said != nil {
		w.most = int(said.MaximumPacketSize)
		if n := min(int(said.TopicAliasMaximum), l.Aliases); n > 0 {
			w.known = make(aliases, n)
		}
	}
}

// send takes a packet. It waits while too much is buffered, and returns false
// when the writer has ended.
func (w *writer) send(p packet.Packet) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.wait() {
		return false
	}
	w.append(p)
	w.work.Signal()
	return true
}

// append appends what the door itself sends. That cannot be too large, except
// that a reason string may be for the client; then it is left out.
func (w *writer) append(p packet.Packet) {
	before := len(w.buf)
	w.buf, _ = p.Append(w.buf)
	if w.most == 0 || len(w.buf)-before <= w.most {
		return
	}
	w.buf = w.buf[:before]
	switch p := p.(type) {
	case *packet.Ack:
		p.Props = nil
	case *packet.Suback:
		p.Props = nil
	case *packet.Leave:
		p.Props = nil
	}
	w.buf, _ = p.Append(w.buf)
}

// puback is send for the one packet that is sent all the time.
func (w *writer) puback(id uint16) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.wait() {
		return false
	}
	p := packet.Ack{Kind: packet.TypePuback, PacketID: id}
	w.buf, _ = p.Append(w.buf)
	w.work.Signal()
	return true
}

// deliver takes deliveries as PUBLISHes. Of those that the wire cannot carry,
// or the client cannot take, it returns the packet ids.
func (w *writer) deliver(ds []Delivery) (left []uint16, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.work.Signal() // once, so that they go out together
	for i := range ds {
		if !w.wait() {
			return left, false
		}
		d := &ds[i]
		p := packet.Publish{Topic: d.Topic, Payload: d.Payload, QoS: d.QoS, Retain: d.Retain, Dup: d.Dup, PacketID: d.PacketID}
		if w.v5 {
			if !w.publish5(&p, d) {
				left = append(left, d.PacketID)
			}
			continue
		}
		var err error
		if w.buf, err = p.Append(w.buf); err != nil {
			left = append(left, d.PacketID)
		}
	}
	return left, true
}

// publish5 appends a PUBLISH of MQTT 5, by a topic alias if the client wants
// them; mu is held.
func (w *writer) publish5(p *packet.Publish, d *Delivery) bool {
	p.V5 = true
	d.fill(&w.props)
	alias, known := w.known.offer(p.Topic, &w.next)
	if alias > 0 {
		w.props.Present |= 1 << packet.TopicAlias
		w.props.TopicAlias = alias
		if known {
			p.Topic = ""
		}
	}
	if w.props.Present != 0 || len(w.props.User) > 0 {
		p.Props = &w.props
	}
	before := len(w.buf)
	var err error
	w.buf, err = p.Append(w.buf)
	if err != nil || w.most > 0 && len(w.buf)-before > w.most {
		w.buf = w.buf[:before]
		return false
	}
	if alias > 0 && !known { // only now, when the client will learn it
		w.known[alias-1] = d.Topic
		w.next++
	}
	return true
}

// wait waits for room; it is false when the writer has ended.
func (w *writer) wait() bool {
	for len(w.buf) >= highWater && !w.ended {
		w.work.Signal()
		w.room.Wait()
	}
	return !w.ended
}

// run writes until end, and returns the first error of writing, if any.
func (w *writer) run() error {
	for {
		out := w.swap()
		if len(out) == 0 {
			return nil
		}
		if err := w.write(out); err != nil {
			w.end(false, nil)
			return err
		}
		w.give(out)
	}
}

// swap waits for something to write and takes it. Nothing means the end.
func (w *writer) swap() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.buf) == 0 && !w.ended {
		if w.last <= idleBuffer && max(cap(w.buf), cap(w.spare)) > idleBuffer {
			w.buf, w.spare = nil, nil
		}
		w.work.Wait()
	}
	out := w.buf
	w.last = len(out)
	w.buf, w.spare = w.spare[:0], nil
	w.room.Broadcast()
	return out
}

func (w *writer) give(out []byte) {
	w.mu.Lock()
	w.spare = out[:0]
	w.mu.Unlock()
}

func (w *writer) write(out []byte) error {
	for len(out) > 0 {
		piece := out[:min(len(out), writePiece)]
		if err := w.deadline(); err != nil {
			return err
		}
		if _, err := w.nc.Write(piece); err != nil {
			return err
		}
		out = out[len(piece):]
	}
	return nil
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

// end makes everybody who waits here return. With flush, what has been taken
// is still written for a second; without, it is dropped. A last packet is
// written in either case, unless the writer has ended already; without flush
// what is being written at this moment is finished before it. It may be called
// again.
func (w *writer) end(flush bool, last packet.Packet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if last != nil && !w.ended {
		if !flush {
			w.buf = nil
		}
		w.append(last)
		flush = true
	}
	if !w.ended {
		w.ended, w.endedBy = true, now.Add(flushTime)
	}
	if !flush {
		w.endedBy, w.buf = now, nil
	}
	_ = w.nc.SetWriteDeadline(w.endedBy) // for a write that is under way
	w.work.Broadcast()
	w.room.Broadcast()
}
