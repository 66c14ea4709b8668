package broker

import "time"

// A replay slows what was queued before a session was resumed down to
// Limits.ReplayRate. It is used with the mailbox's rd held.
type replay struct {
	every time.Duration // 0: as fast as it goes
	last  uint64        // the sequence number of the last message that it concerns
	next  time.Time     // when the next may go
}

// begin is told how much there is when the session is resumed.
func (r *replay) begin(rate int, last uint64) {
	if rate > 0 {
		r.every, r.last = time.Second/time.Duration(rate), last
	}
}

// wait returns for how long s must wait, 0 when it may go now.
func (r *replay) wait(s *slot) time.Duration {
	if r.every == 0 || s.stored == nil || s.stored.seq > r.last {
		return 0
	}
	now := time.Now() // not Config.Now: it measures a rate
	if d := r.next.Sub(now); d > 0 {
		return d
	}
	r.next = now.Add(r.every)
	return 0
}
