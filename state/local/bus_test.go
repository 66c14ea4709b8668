package local_test

import (
	"testing"
	"time"

	"strait"
	"strait/await"
	"strait/state"
	"strait/state/local"
	"strait/state/statetest"
)

func TestBus(t *testing.T) {
	statetest.RunBus(t, func(t *testing.T) state.Bus { return local.NewBus() })
}

// TestBusOverflow blocks one subscriber until its queue is full: the publisher
// is told, the other subscriber misses nothing, and afterwards it goes on.
func TestBusOverflow(t *testing.T) {
	b := local.NewBus()
	free, got := make(chan struct{}), make(chan struct{}, 100)
	stop, err := b.Subscribe("s", func([]byte) { <-free; got <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	other := make(chan struct{}, 100)
	stopOther, err := b.Subscribe("s", func([]byte) { other <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer stopOther()

	data := make([]byte, 1<<20)
	sent, full := 0, 0
	for full == 0 && sent < 64 {
		err := b.Publish(t.Context(), "s", data)
		sent++
		take(t, other)
		if strait.KindOf(err) == strait.Unavailable {
			full++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if sent < 17 || full != 1 {
		t.Fatalf("the queue was full after %d MiB (full %d), want soon after 16", sent, full)
	}
	close(free)
	for range sent - full {
		take(t, got)
	}
	if err := b.Publish(t.Context(), "s", data); err != nil {
		t.Fatalf("publish after the subscriber has caught up: %v", err)
	}
	take(t, got)
}

func take(t *testing.T, c chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(await.Patience):
		t.Fatal("a message did not come")
	}
}
