package function

import "time"

// grace is how long an event may run before it is stored. It starts at
// once, and most runs are over sooner than a durable write: then there is
// nothing left to keep. It is shorter than the grace of package rule, which
// would write the event down, too.
const grace = 10 * time.Millisecond

// fresh is what an event's first attempt and the one who queued it tell each
// other.
type fresh struct {
	payload []byte        // nil once it is stored; the queue's mu guards it
	ran     chan struct{} // closed when the attempt is over
	done    bool          // it was successful; written before ran is closed
	settled chan struct{} // closed when it is known whether the item is stored
	kept    bool          // it is; written before settled is closed
}

// over waits a little for a good end of the first attempt.
func (f *fresh) over() bool {
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-f.ran:
		return f.done
	case <-t.C:
		return false
	}
}

// settle ends the first attempt and tells whether the item is stored.
func (it *item) settle(done bool) (kept bool) {
	f := it.fresh
	if f == nil {
		return true
	}
	f.done = done
	close(f.ran)
	<-f.settled
	it.fresh = nil
	return f.kept
}
