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
}

func newWriter(nc net.Conn, timeout time.Duration) *writer {
	w := &writer{nc: nc, timeout: timeout}
	w.work.L, w.room.L = &w.mu, &w.mu
	return w
}

// send takes a packet. It waits while too much is buffered, and returns false
// when the writer has ended.
func (w *writer) send(p packet.Packet) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.wait() {
		return false
	}
	// What the door itself sends cannot be too large.
	w.buf, _ = p.Append(w.buf)
	w.work.Signal()
	return true
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

// deliver takes deliveries as PUBLISHes. One that the wire cannot carry is
// left out and counted.
func (w *writer) deliver(ds []Delivery) (left int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.work.Signal() // once, so that they go out together
	for i := range ds {
		if !w.wait() {
			return left, false
		}
		d := &ds[i]
		p := packet.Publish{Topic: d.Topic, Payload: d.Payload, QoS: d.QoS, Retain: d.Retain, Dup: d.Dup, PacketID: d.PacketID}
		var err error
		if w.buf, err = p.Append(w.buf); err != nil {
			left++
		}
	}
	return left, true
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
			w.end(false)
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
// is still written for a second; without, it is dropped. It may be called
// again.
func (w *writer) end(flush bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
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
