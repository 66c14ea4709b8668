package device_test

import (
	"context"
	"testing"

	"strait/device"
)

// How many parts are under way follows the link: up fast while all goes well,
// down at once, up slowly, and never out of bounds; a fixed number stays.
func TestGate(t *testing.T) {
	ctx := t.Context()
	g := device.NewGate(0)
	// room counts how many more may enter, and lets them leave as well tells.
	room := func(well bool) (n int) {
		for g.Room() {
			if err := g.Enter(ctx); err != nil {
				t.Fatal(err)
			}
			n++
		}
		for range n {
			g.Leave(well)
		}
		return n
	}
	for i, want := range []int{4, 8, 8} {
		if n := room(true); n != want {
			t.Errorf("round %d: %d parts, want %d", i, n, want)
		}
	}
	g.Failed()
	for i, want := range []int{4, 5, 6, 7, 8, 8} {
		if n := room(true); n != want {
			t.Errorf("round %d after a failure: %d parts, want %d", i, n, want)
		}
	}
	for range 10 {
		g.Failed()
	}
	if n := room(false); n != 1 {
		t.Errorf("after ten failures: %d parts, want 1", n)
	}
	g = device.NewGate(3)
	g.Failed()
	if n := room(true); n != 3 {
		t.Errorf("%d parts, want the fixed 3", n)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for g.Room() {
		g.Enter(ctx)
	}
	if err := g.Enter(ended); err == nil {
		t.Error("somebody entered a full gate")
	}
}
