package broker

import (
	"sync"
	"time"
)

// A replay slows what was queued before a session was resumed down to
// Limits.ReplayRate, what came by a shared subscription to SharedReplayRate,
// and all sessions together to ReplayAll. It is used with the mailbox's rd held.
type replay struct {
	plain, shared pace
	all           *commonPace
	last          uint64 // the sequence number of the last message that it concerns
}

// begin is told how much there is when the session is resumed.
func (r *replay) begin(b *Broker, last uint64) {
	l := &b.c.Limits
	r.plain, r.shared, r.all, r.last = newPace(l.ReplayRate), newPace(l.SharedReplayRate), &b.replays, last
}

// wait returns for how long s must wait, 0 when it may go now.
func (r *replay) wait(s *slot) time.Duration {
	p := &r.plain
	if s.shared {
		p = &r.shared
	}
	if s.stored == nil || s.stored.seq > r.last || p.every == 0 && r.all.every == 0 {
		return 0
	}
	now := time.Now() // not Config.Now: it measures a rate
	if d := p.next.Sub(now); d > 0 {
		return d
	}
	if d := r.all.take(now); d > 0 {
		return d
	}
	p.next = now.Add(p.every)
	return 0
}

// A pace spreads what may happen so many times a second.
type pace struct {
	every time.Duration // 0: as fast as it goes
	next  time.Time     // when the next may go
}

func newPace(rate int) pace {
	if rate <= 0 {
		return pace{}
	}
	return pace{every: time.Second / time.Duration(rate)}
}

// A commonPace is a pace of many.
type commonPace struct {
	mu sync.Mutex
	pace
}

// take returns for how long to wait, 0 when it may be now.
func (p *commonPace) take(now time.Time) time.Duration {
	if p.every == 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.next.Sub(now); d > 0 {
		return d
	}
	p.next = now.Add(p.every)
	return 0
}
