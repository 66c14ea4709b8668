package broker

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A mailbox is what is kept for one client id: its subscriptions and its
// queue. It outlives the connection when the session is persistent.
//
// It has two locks, so that nobody who publishes waits for somebody who reads.
// A publisher appends to in under mu and goes on. The reader takes the whole
// of in away (swap) and works on it under rd. Where both are needed, rd comes
// first. While nobody is connected, the whole queue is in in.
type mailbox struct {
	id         string
	number     string // names the queue in the store; "" when not persistent
	persistent bool
	held       *atomic.Int64 // the broker's sum of memory.bytes
	online     atomic.Bool   // written with mu held
	resident   atomic.Int64  // bytes of stored messages that are in memory, too

	mu     sync.Mutex
	in     []slot
	seq    uint64 // of the last stored message
	kept   tally  // stored messages: waiting and in flight
	memory tally  // what is in memory only: waiting and in flight
	drops  uint64
	gone   bool   // forgotten; takes no more messages
	alarm  *alarm // of the session connected

	rd       sync.Mutex
	owner    *Session // nil while nobody is connected
	out      []slot   // the reader's part of the queue ...
	head     int      // ... from here on
	inflight map[uint16]slot
	lastID   uint16
	subs     map[string]options
	left     time.Time     // when the last owner left
	v5       bool          // whose session this is; never changed
	expiry   time.Duration // of a session of MQTT 5: how long it outlives its connection
}

// heldShare is what a session may have in memory even when the broker has more
// there than it should: those who read what comes stay below it.
const heldShare = 64 << 10

// A slot is a place in a queue: a message in memory, or a stored one.
type slot struct {
	msg      *Message // nil when stored
	stored   *stored
	id       uint16 // packet id of an earlier delivery, or 0
	minute   uint16 // when it was put on the wire last, see Broker.minute
	qos      byte
	retained bool
	sent     bool // it was on the wire before
	shared   bool // it came by a shared subscription; forgotten in a restart
}

// A tally counts messages and their bytes.
type tally struct {
	n     int
	bytes int64
}

func (t *tally) add(bytes int)                  { t.n++; t.bytes += int64(bytes) }
func (t *tally) sub(o tally)                    { t.n -= o.n; t.bytes -= o.bytes }
func (t tally) full(n int, b int64, m int) bool { return t.n >= n || t.bytes+int64(m) > b }

// append queues m. It returns the stored message that the journal must be told
// of, or nil, whom to wake, or nil, and false when there was no room.
func (x *mailbox) append(m *Message, qos byte, retained, shared bool, l *Limits) (st *stored, wake *alarm, fits bool) {
	n := size(m)
	x.mu.Lock()
	if x.gone || !x.online.Load() && (qos == 0 || !x.persistent || m.direct != nil) {
		x.mu.Unlock()
		return nil, nil, true // QoS 0 is not for those who are away
	}
	s := slot{qos: qos, retained: retained, shared: shared}
	if qos > 0 && x.persistent && m.direct == nil {
		if x.kept.full(l.QueueMessages, l.QueueBytes, n) {
			x.drops++
			x.mu.Unlock()
			return nil, nil, false
		}
		x.seq++
		st = &stored{box: x, seq: x.seq, size: n, retained: retained}
		st.msg.Store(m)
		s.stored = st
		x.kept.add(n)
		x.resident.Add(int64(n))
	} else {
		if x.memory.full(l.QueueMessages, l.MemoryBytes, n) || x.memory.bytes > heldShare && x.held.Load() > l.HeldBytes {
			x.drops++
			x.mu.Unlock()
			return nil, nil, false
		}
		s.msg = m
		x.memory.add(n)
		x.held.Add(int64(n))
	}
	if len(x.in) == 0 {
		wake = x.alarm
	}
	x.in = append(x.in, s)
	x.mu.Unlock()
	return st, wake, true
}

// dropped returns how many messages the mailbox had no room for.
func (x *mailbox) dropped() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.drops
}

// swap gives the reader what was appended; rd is held and out is used up.
func (x *mailbox) swap() bool {
	empty := x.out[:0]
	if cap(empty) > 1024 && len(x.out) < cap(empty)/4 {
		empty = nil // a burst is over; do not keep its memory
	}
	x.mu.Lock()
	x.out, x.in = x.in, empty
	x.mu.Unlock()
	x.head = 0
	return len(x.out) > 0
}

// attach makes s the reader; rd is held.
func (x *mailbox) attach(s *Session) {
	x.owner = s
	x.inflight = make(map[uint16]slot)
	x.lastID = 0
	x.mu.Lock()
	s.replay.begin(s.b, x.seq)
	x.alarm = s.alarm
	x.online.Store(true)
	x.mu.Unlock()
}

// detach puts everything back into in for the next reader, in the order in
// which it was queued: first what was in flight, then what was not yet sent.
// What is not stored is let go. rd is held.
func (x *mailbox) detach() {
	x.owner = nil
	back := make([]slot, 0, len(x.inflight)+len(x.out)-x.head)
	for id, s := range x.inflight {
		s.id, s.sent = id, true
		back = append(back, s)
	}
	back = append(back, x.out[x.head:]...)
	x.mu.Lock()
	x.online.Store(false)
	x.alarm = nil
	back = append(back, x.in...)
	back = slices.DeleteFunc(back, func(s slot) bool { return s.stored == nil })
	// Sequence numbers were given in the order of the queue.
	slices.SortFunc(back, func(a, b slot) int { return cmp.Compare(a.stored.seq, b.stored.seq) })
	for _, s := range back {
		x.spill(s.stored)
	}
	x.in = back
	x.held.Add(-x.memory.bytes)
	x.memory = tally{}
	x.mu.Unlock()
	x.out, x.head, x.inflight = nil, 0, nil
}

// forget makes the mailbox take no more messages and returns the stored ones
// it had. rd is held.
func (x *mailbox) forget() (left []*stored) {
	x.detach()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.in {
		left = append(left, s.stored)
	}
	x.gone, x.in = true, nil
	return left
}

// residentBudget is how many bytes of stored messages a connected session
// holds in memory before they are left to the store alone.
const residentBudget = 256 << 10

// settle is called by the journal when puts have been applied or have failed.
func (x *mailbox) settle(p *stored) {
	if p.state.Load() == durable && (!x.online.Load() || x.resident.Load() > residentBudget) {
		x.spill(p)
	}
}

// spill leaves a durable message to the store alone.
func (x *mailbox) spill(p *stored) {
	if p.state.Load() == durable {
		x.unload(p)
	}
}

func (x *mailbox) unload(p *stored) {
	if p.msg.Swap(nil) != nil {
		x.resident.Add(-int64(p.size))
	}
}

// discardFailed takes messages off the queue whose publishers were told that
// they could not be stored. The reader skips those it has already.
func (x *mailbox) discardFailed() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.in = slices.DeleteFunc(x.in, func(s slot) bool {
		if !s.abandoned() {
			return false
		}
		x.kept.sub(tally{1, int64(s.stored.size)})
		x.unload(s.stored)
		return true
	})
}

// abandoned tells that s could not be stored and was not sent either.
func (s *slot) abandoned() bool {
	return s.stored != nil && !s.sent && s.stored.state.Load() == failed
}

// message returns the message of s, nil when it must be loaded.
func (s *slot) message() *Message {
	if s.stored != nil {
		return s.stored.msg.Load()
	}
	return s.msg
}

// freed collects what a reader is done with, to be taken off the tallies at once.
type freed struct{ kept, memory tally }

func (f *freed) add(x *mailbox, s slot) {
	if s.stored == nil && s.msg == nil {
		return // given up
	}
	if s.stored == nil {
		f.memory.add(size(s.msg))
		return
	}
	f.kept.add(s.stored.size)
	x.unload(s.stored)
}

func (x *mailbox) free(f freed) {
	if f == (freed{}) {
		return
	}
	x.mu.Lock()
	x.kept.sub(f.kept)
	x.memory.sub(f.memory)
	x.mu.Unlock()
	if f.memory.bytes > 0 {
		x.held.Add(-f.memory.bytes)
	}
}

// packetID returns an id that is not in flight, the wanted one if possible.
func (x *mailbox) packetID(wanted uint16) uint16 {
	if _, used := x.inflight[wanted]; wanted != 0 && !used {
		return wanted
	}
	for {
		x.lastID++
		if _, used := x.inflight[x.lastID]; x.lastID != 0 && !used {
			return x.lastID
		}
	}
}

// poke wakes the one who waits on c, now or the next time.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
