package broker

// Wakes are whom a publisher has to wake, who has more to publish at this
// moment: those who receive are woken once for all of it. See
// SessionOptions.Wake for what is in it. They must be called soon.
type Wakes []func(here bool)

// manyWakes is how many are kept before they are called anyway.
const manyWakes = 256

// call calls all of them, and forgets them.
func (w *Wakes) call() {
	for _, wake := range *w {
		wake(false)
	}
	clear(*w)
	*w = (*w)[:0]
}

// An alarm is how the reader of a session is woken: by a function if there is
// one, else through the channel on which Session.Next waits.
type alarm struct {
	wake func(here bool)
	c    chan struct{} // capacity 1
}

func newAlarm(wake func(here bool)) *alarm {
	if wake != nil {
		return &alarm{wake: wake}
	}
	return &alarm{c: make(chan struct{}, 1)}
}

// call wakes the reader now; here is what SessionOptions.Wake is told.
func (a *alarm) call(here bool) {
	if a.wake == nil {
		poke(a.c)
		return
	}
	a.wake(here)
}

// ring wakes the reader now, or leaves that to a publisher.
func (a *alarm) ring(later *Wakes) {
	switch {
	case a == nil:
	case a.wake == nil || later == nil:
		a.call(false)
	default:
		*later = append(*later, a.wake)
		if len(*later) >= manyWakes {
			later.call()
		}
	}
}
