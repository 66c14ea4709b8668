package broker

import (
	"context"
	"time"

	"strait"
)

// Next blocks until there is something to put on the wire, and returns it in
// buf, at most cap(buf) deliveries, in the order of the queue. admit is asked
// for each message at that very moment, since a session may be resumed by
// someone who may receive less than the one who subscribed; what it refuses is
// taken off the queue (and off the store at once, though Next does not wait
// for that: after a crash right now admit is asked again). admit must not call
// the session. Without admit nothing may be received: an error.
//
// A message that has expired is taken off likewise, and admit is not asked. At
// most Limits.InFlight QoS 1 messages (SessionOptions.Receive) are unacknowledged; QoS 0 waits
// behind them, so that the order is kept. The error is the session's cause,
// ctx's, or strait.Unavailable when a message cannot be read back; in that
// case it stays in the queue.
func (s *Session) Next(ctx context.Context, buf []Delivery, admit func(*Message) bool) ([]Delivery, error) {
	if cap(buf) == 0 {
		buf = make([]Delivery, 0, 32)
	}
	for {
		got, err := s.Take(ctx, buf, admit)
		if err != nil || len(got) > 0 {
			return got, err
		}
		select {
		case <-s.alarm.c:
		case <-s.done:
			return nil, s.cause
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Take is Next without waiting: it returns nothing when there is nothing, and
// SessionOptions.Wake is called when that changes.
func (s *Session) Take(ctx context.Context, buf []Delivery, admit func(*Message) bool) ([]Delivery, error) {
	if admit == nil {
		return nil, strait.Errorf(strait.Internal, "session", "nobody decides what the session may receive")
	}
	got, err := s.take(ctx, buf[:0], admit)
	if err != nil {
		return nil, err
	}
	if len(got) > 0 {
		s.b.delivered.Add(uint64(len(got)))
	}
	return got, nil
}

// take is Take after the question of admit.
func (s *Session) take(ctx context.Context, buf []Delivery, admit func(*Message) bool) ([]Delivery, error) {
	x := s.box
	var done freed
	x.rd.Lock()
	defer x.rd.Unlock()
	defer func() { x.free(done) }()
	if x.owner != s {
		return nil, s.Cause()
	}
	for len(buf) < cap(buf) && !s.held {
		if x.head == len(x.out) && !x.swap() {
			break
		}
		sl := x.out[x.head]
		if sl.qos > 0 && len(x.inflight) >= s.window {
			break
		}
		if sl.abandoned() {
			x.pop(&done)
			continue
		}
		m := sl.message()
		if m == nil {
			if err := s.load(ctx); err != nil {
				if len(buf) > 0 {
					return buf, nil
				}
				return nil, err
			}
			continue
		}
		expired := m.Properties != nil && m.expired(s.b.c.Now())
		if expired || !admit(m) {
			// The journal first: what it has not taken yet it must
			// cancel before pop lets go of the body.
			if sl.stored != nil {
				s.b.journal.remove(sl.stored)
			} else {
				m.tell(errNotReceived)
			}
			x.pop(&done)
			continue
		}
		if d := s.replay.wait(&sl); d > 0 {
			time.AfterFunc(d, func() { s.alarm.ring(nil) })
			break
		}
		d := Delivery{Message: m, QoS: sl.qos, Dup: sl.sent, Retain: sl.retained}
		if sl.qos > 0 {
			d.PacketID = x.packetID(sl.id)
			sl.minute = uint16(s.b.minute.Load())
			x.inflight[d.PacketID] = sl
			x.skip()
		} else {
			m.tell(nil)
			x.pop(&done)
		}
		buf = append(buf, d)
	}
	return buf, nil
}

// skip moves on to the next slot; pop is done with this one, too.
func (x *mailbox) skip() {
	x.out[x.head] = slot{}
	x.head++
}

func (x *mailbox) pop(done *freed) {
	done.add(x, x.out[x.head])
	x.skip()
}

// How much is read back from the store at once.
const (
	loadMessages = 128
	loadBytes    = residentBudget
)

// load reads back the message of the first slot, and of those behind it that
// will be wanted next; rd is held. A message that is not there any more is
// taken off the queue and announced.
func (s *Session) load(ctx context.Context) error {
	x := s.box
	first := x.out[x.head].stored
	want := make(map[uint64]*stored)
	bytes := 0
	for _, sl := range x.out[x.head:] {
		p := sl.stored
		if p == nil || p.msg.Load() != nil {
			continue
		}
		if len(want) > 0 && (len(want) >= loadMessages || bytes+p.size > loadBytes) {
			break
		}
		want[p.seq] = p
		bytes += p.size
	}
	facts, err := s.b.c.Store.List(ctx, queueKey(x.number, 0)[:len(queuePrefix)+17], queueKey(x.number, first.seq-1), len(want))
	if err != nil {
		return unavailable(err)
	}
	for _, f := range facts {
		_, seq, _ := parseQueueKey(f.Key)
		p := want[seq]
		if p == nil {
			continue
		}
		m, _, err := decodeMessage(f.Value)
		if err != nil {
			s.b.c.Log.Error("a queued message cannot be read", "fact", f.Key, "err", err)
			continue
		}
		p.msg.Store(m)
		x.resident.Add(int64(p.size))
	}
	if first.msg.Load() == nil {
		s.b.c.Log.Error("a queued message is lost", "client", x.id, "seq", first.seq)
		s.b.dropped.Add(1)
		s.b.journal.remove(first)
		var done freed
		x.pop(&done)
		x.free(done)
	}
	return nil
}
