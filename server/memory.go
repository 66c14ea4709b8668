package server

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// What a storm of connections leaves behind (handshakes need far more memory
// than connections) would stay with the process for long: the collector runs
// when the heap has doubled, and a server of silent clients allocates next to
// nothing. So it is collected, and given back, when the server has been quiet
// for a moment. So is, once, what starting leaves behind.

const (
	tidySoon   = time.Second // after the start
	tidyEvery  = 5 * time.Second
	tidyPause  = time.Minute // after a collection, at least
	tidyLeast  = 16 << 20    // less than that is not worth it
	tidyAllocs = 4 << 20     // who allocates less between two looks is quiet
)

// A tidier decides when memory is given back.
type tidier struct {
	allocs uint64    // bytes that had been allocated at the last look
	next   time.Time // not before that; zero: nothing was given back yet
}

// due tells whether to collect now: allocs counts the bytes that were ever
// allocated, live are those that the last collection found in use, and held is
// what the heap takes of the machine.
func (t *tidier) due(now time.Time, allocs, live, held uint64) bool {
	quiet := allocs-t.allocs < tidyAllocs
	t.allocs = allocs
	least := max(tidyLeast, live/4)
	if t.next.IsZero() {
		least = 0
	}
	if !quiet || now.Before(t.next) || held < live+least {
		return false
	}
	t.next = now.Add(tidyPause)
	return true
}

// pause is the time until the next look.
func (t *tidier) pause() time.Duration {
	if t.next.IsZero() {
		return tidySoon
	}
	return tidyEvery
}

// tidy gives memory back until ctx ends.
func tidy(ctx context.Context) {
	const allocs, live, objects, unused, free = "/gc/heap/allocs:bytes", "/gc/heap/live:bytes",
		"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes"
	look := []metrics.Sample{{Name: allocs}, {Name: live}, {Name: objects}, {Name: unused}, {Name: free}}
	metrics.Read(look)
	t := tidier{allocs: look[0].Value.Uint64()}
	tick := time.NewTimer(t.pause())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			metrics.Read(look)
			v := func(i int) uint64 { return look[i].Value.Uint64() }
			if t.due(now, v(0), v(1), v(2)+v(3)+v(4)) {
				debug.FreeOSMemory()
			}
			tick.Reset(t.pause())
		}
	}
}

// spareRoom is how much more garbage there may be before it is collected. A heap
// of 10 MiB would be collected some ten times a second when objects are read.
const spareRoom = 24 << 20

// SpareRoom returns memory that nobody ever touches, to be kept as long as the
// server runs. It counts for the collector, which waits until what is in use has
// doubled, and takes nothing of the machine. (GOGC would multiply a large heap,
// too.) Whoever sets the collector himself gets nil.
func SpareRoom() []byte {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	return make([]byte, spareRoom)
}
