package statetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"strait/state"
)

// RunBus runs the contract of state.Bus. open returns a bus without
// subscriptions.
func RunBus(t *testing.T, open func(t *testing.T) state.Bus) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, state.Bus)
	}{
		{"every subscriber of the subject gets the message, others do not", func(t *testing.T, b state.Bus) {
			one, two, other := listen(t, b, "s"), listen(t, b, "s"), listen(t, b, "other")
			publish(t, b, "s", "hello")
			publish(t, b, "other", "bye")
			one.want("hello")
			two.want("hello")
			other.want("bye")
		}},
		{"nothing is kept", func(t *testing.T, b state.Bus) {
			publish(t, b, "s", "early")
			l := listen(t, b, "s")
			publish(t, b, "s", "late")
			l.want("late")
		}},
		{"an empty message is a message", func(t *testing.T, b state.Bus) {
			l := listen(t, b, "s")
			publish(t, b, "s", "")
			l.want("")
		}},
		{"a message is a copy", func(t *testing.T, b state.Bus) {
			l := listen(t, b, "s")
			data := []byte("one")
			if err := b.Publish(t.Context(), "s", data); err != nil {
				t.Fatal(err)
			}
			copy(data, "two")
			l.want("one")
		}},
		{"nothing comes after cancel", func(t *testing.T, b state.Bus) {
			l, still := listen(t, b, "s"), listen(t, b, "s")
			publish(t, b, "s", "1")
			l.want("1")
			l.cancel()
			l.cancel()
			publish(t, b, "s", "2")
			still.want("1", "2")
			select {
			case got := <-l.got:
				t.Fatalf("after cancel: got %q", got)
			default:
			}
		}},
		{"a subscriber that blocks holds up neither publishers nor others", func(t *testing.T, b state.Bus) {
			free := make(chan struct{})
			cancel, err := b.Subscribe("s", func([]byte) { <-free })
			if err != nil {
				t.Fatal(err)
			}
			defer cancel()
			defer close(free)
			l := listen(t, b, "s")
			for i := range 1000 {
				publish(t, b, "s", fmt.Sprint(i))
			}
			for i := range 1000 {
				l.want(fmt.Sprint(i))
			}
		}},
		{"a subscriber may publish, subscribe and cancel", func(t *testing.T, b state.Bus) {
			l := listen(t, b, "answer")
			var cancel func()
			ready := make(chan struct{})
			cancel, err := b.Subscribe("s", func(data []byte) {
				<-ready
				inner, err := b.Subscribe("inner", func([]byte) {})
				if err == nil {
					inner()
					err = b.Publish(context.Background(), "answer", data)
				}
				if err != nil {
					t.Error(err)
				}
				cancel()
			})
			if err != nil {
				t.Fatal(err)
			}
			close(ready)
			publish(t, b, "s", "1")
			l.want("1")
		}},
		{"a context that is done publishes nothing", func(t *testing.T, b state.Bus) {
			l := listen(t, b, "s")
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := b.Publish(ctx, "s", []byte("no")); err == nil {
				t.Fatal("publish with a cancelled context: no error")
			}
			publish(t, b, "s", "yes")
			l.want("yes")
		}},
		{"messages of each publisher come in order and once", inOrder},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// A listener collects messages.
type listener struct {
	t      *testing.T
	got    chan string
	cancel func()
}

func listen(t *testing.T, b state.Bus, subject string) *listener {
	t.Helper()
	l := &listener{t: t, got: make(chan string, 4096)}
	cancel, err := b.Subscribe(subject, func(data []byte) { l.got <- string(data) })
	if err != nil {
		t.Fatalf("subscribe %q: %v", subject, err)
	}
	l.cancel = cancel
	t.Cleanup(cancel)
	return l
}

func (l *listener) want(messages ...string) {
	l.t.Helper()
	for _, want := range messages {
		select {
		case got := <-l.got:
			if got != want {
				l.t.Fatalf("got message %q, want %q", got, want)
			}
		case <-time.After(patience):
			l.t.Fatalf("message %q did not come", want)
		}
	}
}

func publish(t *testing.T, b state.Bus, subject, data string) {
	t.Helper()
	if err := b.Publish(t.Context(), subject, []byte(data)); err != nil {
		t.Fatalf("publish %q: %v", subject, err)
	}
}

func inOrder(t *testing.T, b state.Bus) {
	const publishers, messages = 4, 2000
	var next [publishers]uint32
	done := make(chan struct{})
	cancel, err := b.Subscribe("s", func(data []byte) {
		p, n := data[0], binary.BigEndian.Uint32(data[1:])
		if next[p] != n {
			t.Errorf("publisher %d: got message %d, want %d", p, n, next[p])
		}
		next[p] = n + 1
		for _, n := range next {
			if n < messages {
				return
			}
		}
		close(done)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for n := range messages {
				if err := b.Publish(t.Context(), "s", binary.BigEndian.AppendUint32([]byte{byte(p)}, uint32(n))); err != nil {
					t.Errorf("publish: %v", err)
				}
			}
		})
	}
	wg.Wait()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("not all messages came")
	}
}
