// Package await is the one place where tests wait for what tells nobody that it
// has happened: another process, a file, a counter. Where there is an event (a
// channel, a line of output, a packet), wait for that. It holds nothing that a
// running server needs; begin with Until.
package await

import "time"

// Patience is how long Until waits: long enough for the slowest machine, for a
// test that passes never waits for its end.
const Patience = 60 * time.Second

// pause is the time between two looks.
const pause = 5 * time.Millisecond

// TB is what a wait needs of a test.
type TB interface {
	Helper()
	Failed() bool
	Fatalf(format string, args ...any)
}

// Until asks ok again and again and returns when it is true. After Patience, or
// once the test has failed elsewhere, it ends the test with what was awaited.
func Until(t TB, what string, ok func() bool) {
	t.Helper()
	if !Within(Patience, func() bool { return ok() || t.Failed() }) || t.Failed() {
		t.Fatalf("waited in vain: %s", what)
	}
}

// Within tells whether ok became true before d had passed.
func Within(d time.Duration, ok func() bool) bool {
	for end := time.Now().Add(d); !ok(); time.Sleep(pause) {
		if time.Now().After(end) {
			return ok()
		}
	}
	return true
}
