package server_test

import (
	"testing"
	"time"

	"strait/server"
)

// Memory is given back when much of it is not needed and little is allocated,
// and not all the time.
func TestTidy(t *testing.T) {
	const mib = 1 << 20
	now := time.Now()
	due := server.NewTidier()
	for i, c := range []struct {
		after              time.Duration
		allocs, live, held uint64
		want               bool
	}{
		{0, 900 * mib, 100 * mib, 300 * mib, false},                         // a storm
		{5 * time.Second, 950 * mib, 100 * mib, 300 * mib, false},           // is not over
		{5 * time.Second, 951 * mib, 100 * mib, 100 * mib, true},            // and is: the first time, whatever it gains
		{time.Minute, 951 * mib, 100 * mib, 300 * mib, true},                // from then on when it gains something
		{5 * time.Second, 952 * mib, 100 * mib, 300 * mib, false},           // once is enough for now
		{time.Minute, 953 * mib, 100 * mib, 110 * mib, false},               // nothing to gain
		{time.Minute, 954 * mib, 100 * mib, 140 * mib, true},                // something
		{time.Minute, 954*mib + 3*mib, 2 * mib, 15 * mib, false},            // a small server is left alone
		{time.Minute, 960*mib + 4*mib + 1<<10, 100 * mib, 900 * mib, false}, // busy again
	} {
		now = now.Add(c.after)
		if got := due(now, c.allocs, c.live, c.held); got != c.want {
			t.Errorf("look %d: got %t, want %t", i, got, c.want)
		}
	}
}
