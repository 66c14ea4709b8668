package server_test

import (
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
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

// The spare room counts for the collector and takes no memory.
func TestSpareRoom(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	before := resident(t)
	room := server.SpareRoom()
	runtime.GC()
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal)
	if got, least := goal[0].Value.Uint64(), uint64(2*len(room)); len(room) == 0 || got < least {
		t.Errorf("with %d bytes of spare room the heap may grow to %d bytes, want %d at least", len(room), got, least)
	}
	if got := resident(t) - before; got > len(room)/2 {
		t.Errorf("%d bytes of spare room take %d bytes of memory", len(room), got)
	}
	runtime.KeepAlive(room)
	t.Setenv("GOGC", "100")
	if n := len(server.SpareRoom()); n != 0 {
		t.Errorf("%d bytes of spare room where GOGC is set", n)
	}
}

// resident is how much memory this process takes, in bytes.
func resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
