// Package statetest is the contract of package state as tests: every sentence
// that state.Store and state.Bus promise has a named test here, and every home
// of facts runs them in a few lines. It knows no implementation.
//
// Begin with Run; RunDurable is for stores that can be opened again, RunBus for
// a bus.
package statetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"strait/state"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// Run runs the contract of state.Store. open returns a new, empty store, and
// closes it when the test ends. The tests run in parallel.
func Run(t *testing.T, open func(t *testing.T) state.Store) {
	for _, suite := range [][]test{facts, expectations, limits, lists, watches, concurrency, model} {
		for _, c := range suite {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, &box{t: t, Store: open(t)})
			})
		}
	}
}

type test struct {
	name string
	run  func(t *testing.T, s *box)
}

// A box is a store that fails the test for what must not fail.
type box struct {
	state.Store
	t *testing.T
}

// apply makes writes that must succeed.
func (s *box) apply(writes ...state.Write) state.Revision {
	s.t.Helper()
	r, err := s.Apply(s.t.Context(), writes...)
	if err != nil {
		s.t.Fatalf("apply %s: %v", describe(writes), err)
	}
	return r
}

// refuse makes writes that must fail with want.
func (s *box) refuse(want error, writes ...state.Write) {
	s.t.Helper()
	if _, err := s.Apply(s.t.Context(), writes...); !errors.Is(err, want) {
		s.t.Fatalf("apply %s: got error %v, want %v", describe(writes), err, want)
	}
}

// want checks the fact under key.
func (s *box) want(key, value string, r state.Revision) {
	s.t.Helper()
	f, err := s.Get(s.t.Context(), key)
	if err != nil || f.Key != key || string(f.Value) != value || f.Revision != r {
		s.t.Fatalf("get %q: got %q = %q at %d, error %v; want %q at %d", key, f.Key, f.Value, f.Revision, err, value, r)
	}
}

// gone checks that there is no fact under key.
func (s *box) gone(key string) {
	s.t.Helper()
	if f, err := s.Get(s.t.Context(), key); !errors.Is(err, state.ErrNotFound) {
		s.t.Fatalf("get %q: got %q, error %v; want ErrNotFound", key, f.Value, err)
	}
}

// keys lists and checks the keys.
func (s *box) keys(prefix, after string, limit int, want ...string) {
	s.t.Helper()
	facts, err := s.List(s.t.Context(), prefix, after, limit)
	if err != nil {
		s.t.Fatalf("list %q after %q: %v", prefix, after, err)
	}
	got := []string{}
	for _, f := range facts {
		got = append(got, f.Key)
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		s.t.Fatalf("list %q after %q limit %d:\n got %q\nwant %q", prefix, after, limit, got, want)
	}
}

func put(key, value string) state.Write { return state.Write{Key: key, Value: []byte(value)} }
func del(key string) state.Write        { return state.Write{Key: key, Delete: true} }

func expecting(w state.Write, e state.Expect) state.Write {
	w.Expect = e
	return w
}

func describe(writes []state.Write) string {
	if len(writes) > 4 {
		return fmt.Sprintf("%d writes", len(writes))
	}
	s := ""
	for _, w := range writes {
		verb := "put"
		if w.Delete {
			verb = "delete"
		}
		s += fmt.Sprintf("[%s %.40q]", verb, w.Key)
	}
	return s
}

// deadline is a context that ends when the test has waited too long.
func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
