package broker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"strait"
	"strait/await"
	"strait/broker"
)

// TestRemove: a session is ended from outside, with or without its will, and
// forgotten when that is asked for, also while its client is away and after a
// restart.
func TestRemove(t *testing.T) {
	h := open(t, broker.Config{})
	w := h.connect("watch", true)
	h.subscribe(w, 1, "will")
	connect := func() *broker.Session {
		s, _, err := h.Connect(ctx, "a", broker.SessionOptions{Will: &broker.Message{Topic: "will", Payload: []byte("gone")}})
		if err != nil {
			t.Fatal(err)
		}
		h.subscribe(s, 1, "b", "a")
		return s
	}
	missing := func(what string, err error) {
		t.Helper()
		if strait.KindOf(err) != strait.NotFound {
			t.Errorf("%s: got %v, want NotFound", what, err)
		}
	}
	missing("nobody", h.Remove(ctx, "a", broker.Removal{Forget: true}))
	s := connect()
	if i, ok := h.Session("a"); !ok || !i.Connected || !i.Persistent || i.Expiry != time.Hour || !i.Left.IsZero() {
		t.Errorf("connected: %+v, %v", i, ok)
	}
	if err := h.Remove(ctx, "a", broker.Removal{NoWill: true}); err != nil || !errors.Is(s.Cause(), broker.ErrKicked) {
		t.Errorf("remove: %v, cause %v", err, s.Cause())
	}
	h.nothing(w) // no will
	missing("it is away", h.Remove(ctx, "a", broker.Removal{}))
	if i, ok := h.Session("a"); !ok || i.Connected || i.Left.IsZero() {
		t.Errorf("away: %+v, %v", i, ok)
	}
	if l, ok := h.Subscriptions("a"); !ok || len(l) != 2 || l[0].Filter != "a" || l[1].Filter != "b" {
		t.Errorf("subscriptions %v, %v", l, ok)
	}
	connect()
	if err := h.Remove(ctx, "a", broker.Removal{}); err != nil {
		t.Fatal(err)
	}
	h.want("with its will", h.next(w, 1), "gone")
	h.publish("a", "queued", 1)
	if err := h.Remove(ctx, "a", broker.Removal{Forget: true}); err != nil {
		t.Errorf("forget one that is away: %v", err)
	}
	h.restart()
	if _, ok := h.Session("a"); ok {
		t.Error("a session that was removed is there after a restart")
	}
	if _, ok := h.Subscriptions("a"); ok {
		t.Error("so are its subscriptions")
	}
}

// TestDirect: a message reaches one client that has not subscribed, is confirmed
// when it has it, and is kept nowhere.
func TestDirect(t *testing.T) {
	matched := 0
	h := open(t, broker.Config{Matched: func(*broker.Message) func(context.Context) error { matched++; return nil }, Limits: broker.Limits{QueueMessages: 2}})
	send := func(qos byte) chan error {
		done := make(chan error, 1)
		go func() {
			c, cancel := context.WithTimeout(ctx, await.Patience)
			defer cancel()
			done <- h.Direct(c, "a", &broker.Message{Topic: "t", Payload: []byte("x"), QoS: qos})
		}()
		return done
	}
	if err := <-send(0); strait.KindOf(err) != strait.NotFound {
		t.Errorf("to nobody: %v", err)
	}
	for _, clean := range []bool{true, false} {
		s := h.connect("a", clean)
		done := send(0)
		h.want("QoS 0", h.next(s, 1), "x")
		if err := <-done; err != nil {
			t.Error(err)
		}
		done = send(1)
		d := h.next(s, 1)
		select {
		case err := <-done:
			t.Errorf("confirmed before the PUBACK: %v", err)
		default:
		}
		h.ack(s, d...)
		if err := <-done; err != nil {
			t.Error(err)
		}
		// Who may not receive it, is not told of it.
		done = send(1)
		c, cancel := context.WithCancel(ctx)
		go func() {
			if err := <-done; strait.KindOf(err) != strait.Denied {
				t.Errorf("may not receive: %v", err)
			}
			cancel()
		}()
		if ds, err := s.Next(c, nil, func(*broker.Message) bool { return false }); err == nil {
			t.Errorf("got %v", ds)
		}
		// In flight when the client leaves: it does not come again.
		done = send(1)
		h.next(s, 1)
		s.End(ctx, broker.EndCause{})
		if err := <-done; strait.KindOf(err) != strait.NotFound {
			t.Errorf("left: %v", err)
		}
		if err := <-send(1); strait.KindOf(err) != strait.NotFound {
			t.Errorf("away: %v", err)
		}
		s = h.connect("a", clean)
		h.nothing(s)
		s.End(ctx, broker.EndCause{})
	}
	if matched != 2 { // those of h.nothing
		t.Errorf("rules saw %d messages", matched)
	}
	// A client that reads nothing holds no more than its queue.
	h.connect("a", true)
	c, cancel := context.WithTimeout(ctx, await.Patience)
	defer cancel()
	waiting := make(chan error, 2)
	for range 2 {
		go func() { waiting <- h.Direct(c, "a", &broker.Message{Topic: "t", QoS: 1}) }()
	}
	for {
		short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
		err := h.Direct(short, "a", &broker.Message{Topic: "t", QoS: 1})
		stop()
		if strait.KindOf(err) == strait.Limit {
			break
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("to a full queue: %v", err)
		}
	}
	cancel()
	<-waiting
}
