package statetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"strait/state"
)

// A watch is Watch with a handle to take one change after the other.
type watch struct {
	t    *testing.T
	next func() (state.Change, error, bool)
}

func (s *box) watch(prefix string, from state.Revision) *watch {
	next, stop := iter.Pull2(s.Watch(deadline(s.t), prefix, from))
	s.t.Cleanup(stop)
	return &watch{s.t, next}
}

// want takes the next changes and compares them, written as in show.
func (w *watch) want(changes ...string) {
	w.t.Helper()
	for _, want := range changes {
		c, err, ok := w.next()
		if !ok || err != nil || show(c) != want {
			w.t.Fatalf("watch: got %s, error %v, more %v; want %s", show(c), err, ok, want)
		}
	}
}

// show writes a change as "3 key=value" or "3 -key".
func show(c state.Change) string {
	if c.Deleted {
		return fmt.Sprintf("%d -%s%s", c.Revision, c.Key, c.Value)
	}
	return fmt.Sprintf("%d %s=%s", c.Revision, c.Key, c.Value)
}

var watches = []test{
	{"a watch from 0 begins with what is there", func(t *testing.T, s *box) {
		s.apply(put("p/a", "1"), put("q", ""))
		s.apply(put("p/b", "2"))
		s.watch("p/", 0).want("1 p/a=1", "2 p/b=2")
	}},
	{"a watch goes on with what comes", func(t *testing.T, s *box) {
		s.apply(put("p/a", "1"))
		w := s.watch("p/", 0)
		w.want("1 p/a=1")
		s.apply(put("p/b", "2"))
		s.apply(put("q", ""))
		s.apply(put("p/a", "3"))
		w.want("2 p/b=2", "4 p/a=3")
	}},
	{"a watch that waits is woken", func(t *testing.T, s *box) {
		w := s.watch("p/", 0)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 20 {
				s.apply(put("other", ""))
			}
			s.apply(put("p/a", "1"))
		}()
		w.want("21 p/a=1")
		<-done
	}},
	{"a watch begins after the given revision", func(t *testing.T, s *box) {
		s.apply(put("a", "1"))
		r := s.apply(put("b", "2"))
		s.apply(put("c", "3"))
		s.watch("", r).want("3 c=3")
	}},
	{"a watch from the future waits for it", func(t *testing.T, s *box) {
		w := s.watch("", 2)
		s.apply(put("a", "1"))
		s.apply(put("a", "2"))
		s.apply(put("a", "3"))
		w.want("3 a=3")
	}},
	{"a watch tells of deletes", func(t *testing.T, s *box) {
		s.apply(put("a", "1"))
		w := s.watch("", 0)
		w.want("1 a=1")
		s.apply(del("a"))
		w.want("2 -a")
	}},
	{"a watch tells of deletes from before it, while the store is open", func(t *testing.T, s *box) {
		r := s.apply(put("a", "1"), put("b", "1"), put("c", "1"))
		s.apply(del("a"))
		s.apply(put("b", "2"))
		s.watch("", r).want("2 -a", "3 b=2")
	}},
	{"a delete that changed nothing is not told", func(t *testing.T, s *box) {
		w := s.watch("", 0)
		s.apply(del("a"))
		r := s.apply(del("a"), put("b", ""))
		w.want(fmt.Sprintf("%d b=", r))
	}},
	{"a refused batch is not told", func(t *testing.T, s *box) {
		w := s.watch("", 0)
		s.refuse(state.ErrConflict, put("a", "1"), expecting(put("b", "1"), state.Present()))
		s.apply(put("c", "1"))
		w.want("1 c=1")
	}},
	{"the changes of a batch come together, with one revision", func(t *testing.T, s *box) {
		w := s.watch("", 0)
		got := map[string]bool{}
		s.apply(put("b", "1"), put("a", "1"))
		for range 2 {
			c, _, _ := w.next()
			got[show(c)] = true
		}
		s.apply(del("b"), put("c", "2"), put("a", "2"))
		for range 3 {
			c, _, _ := w.next()
			got[show(c)] = true
		}
		for _, want := range []string{"1 b=1", "1 a=1", "2 -b", "2 c=2", "2 a=2"} {
			if !got[want] {
				t.Fatalf("watch: %s is missing in %v", want, got)
			}
		}
	}},
	{"the prefix of a watch may be any bytes", func(t *testing.T, s *box) {
		w := s.watch("\xff", 0)
		fill(s, awkward)
		for _, k := range matching("\xff", "") {
			w.want("1 " + k + "=v")
		}
	}},
	{"a watch may look at the store and change it", func(t *testing.T, s *box) {
		s.apply(put("n", "x"))
		for c, err := range s.Watch(deadline(t), "n", 0) {
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Value) == 5 {
				break
			}
			s.want("n", string(c.Value), c.Revision)
			s.apply(put("n", string(c.Value)+"x"))
		}
	}},
	{"a watch ends with its context", func(t *testing.T, s *box) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s.apply(put("a", "1"))
		var end error
		for _, err := range s.Watch(ctx, "", 0) {
			end = err
			cancel()
		}
		if !errors.Is(end, context.Canceled) {
			t.Fatalf("a cancelled watch ended with %v", end)
		}
	}},
	{"a watch ends when the store is closed", func(t *testing.T, s *box) {
		ended := make(chan error, 1)
		waiting := make(chan struct{})
		s.apply(put("a", ""))
		go func() {
			for _, err := range s.Watch(deadline(t), "", 0) {
				if err != nil {
					ended <- err
					return
				}
				close(waiting)
			}
		}()
		<-waiting
		s.Close()
		select {
		case err := <-ended:
			if !errors.Is(err, state.ErrClosed) {
				t.Fatalf("a watch of a closed store ended with %v", err)
			}
		case <-time.After(patience):
			t.Fatal("a watch of a closed store did not end")
		}
	}},
	{"a watcher that does not read holds nobody up and misses no last change", slowWatcher},
	{"a watch beside many writers never goes back and adds up", busyWatcher},
}

// slowWatcher lets a watcher sleep through many changes, then checks that what
// it was told adds up to what is there.
func slowWatcher(t *testing.T, s *box) {
	const keys, rounds = 150, 16
	s.apply(put("p/first", ""))
	w := s.watch("p/", 0)
	w.want("1 p/first=")
	for round := range rounds {
		var writes []state.Write
		for k := range keys {
			key := fmt.Sprintf("p/%03d", k)
			switch {
			case (k+round)%3 == 0:
				writes = append(writes, del(key))
			default:
				writes = append(writes, put(key, fmt.Sprintf("%d %0100d", round, k)))
			}
		}
		s.apply(writes...)
	}
	last := s.apply(put("p/last", ""), del("p/first"))

	told := map[string]string{"p/first": ""}
	follow(t, w, told, last, "p/last")
	same(t, s, "p/", told)
}

// busyWatcher reads while writers overwrite and delete the same few facts.
func busyWatcher(t *testing.T, s *box) {
	var writers sync.WaitGroup
	for n := range 6 {
		writers.Go(func() {
			for i := range 60 {
				key := fmt.Sprintf("p/%d", (n+i)%9)
				w := put(key, fmt.Sprint(n, i))
				w.Delete = (n+i)%4 == 0
				if _, err := s.Apply(t.Context(), w, put(fmt.Sprintf("p/%d/%d", n, i), "")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ended := make(chan state.Revision, 1)
	go func() {
		writers.Wait()
		r, err := s.Apply(t.Context(), put("p/last", ""))
		if err != nil {
			t.Error(err)
		}
		ended <- r
	}()
	told := map[string]string{}
	seen := map[string]state.Revision{}
	for c, err := range s.Watch(deadline(t), "p/", 0) {
		if err != nil {
			t.Fatal(err)
		}
		if seen[c.Key] >= c.Revision || c.Revision < seen[""] {
			t.Fatalf("watch told %s after revision %d of it and %d of others", show(c), seen[c.Key], seen[""])
		}
		seen[c.Key], seen[""] = c.Revision, c.Revision
		if c.Deleted {
			delete(told, c.Key)
		} else {
			told[c.Key] = string(c.Value)
		}
		if c.Key == "p/last" {
			break
		}
	}
	<-ended
	same(t, s, "p/", told)
}

// follow applies what w tells to told until it has seen key written at last.
func follow(t *testing.T, w *watch, told map[string]string, last state.Revision, key string) {
	t.Helper()
	var at state.Revision
	for done := false; !done; {
		c, err, ok := w.next()
		if err != nil || !ok {
			t.Fatalf("watch ended early: %v", err)
		}
		if c.Revision < at {
			t.Fatalf("watch went back from revision %d to %s", at, show(c))
		}
		at = c.Revision
		if c.Deleted {
			delete(told, c.Key)
		} else {
			told[c.Key] = string(c.Value)
		}
		done = c.Revision == last && c.Key == key
	}
}

// same compares the facts below prefix with want.
func same(t *testing.T, s *box, prefix string, want map[string]string) {
	t.Helper()
	facts, err := s.List(t.Context(), prefix, "", 0)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	for _, f := range facts {
		if v, ok := want[f.Key]; !ok || v != string(f.Value) {
			t.Fatalf("%q: the store has %q, want %q (there: %v)", f.Key, f.Value, v, ok)
		}
	}
	if len(facts) != len(want) {
		t.Fatalf("the store has %d facts, want %d", len(facts), len(want))
	}
}
