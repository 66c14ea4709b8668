package statetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"strait/state"
)

var concurrency = []test{
	{"of many that expect the same only one succeeds", func(t *testing.T, s *box) {
		for round := range 10 {
			var wins int
			var mu sync.Mutex
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					_, err := s.Apply(t.Context(), expecting(put(fmt.Sprint(round), ""), state.Absent()))
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						wins++
					} else if !errors.Is(err, state.ErrConflict) {
						t.Errorf("apply: %v", err)
					}
				})
			}
			wg.Wait()
			if wins != 1 {
				t.Fatalf("%d of 16 succeeded, want 1", wins)
			}
		}
	}},
	{"read, compare and write loses no increment", func(t *testing.T, s *box) {
		s.apply(put("n", "0"))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for done := 0; done < 25; {
					f, err := s.Get(t.Context(), "n")
					if err != nil {
						t.Errorf("get: %v", err)
						return
					}
					n, _ := strconv.Atoi(string(f.Value))
					_, err = s.Apply(t.Context(), expecting(put("n", strconv.Itoa(n+1)), state.At(f.Revision)))
					if err == nil {
						done++
					} else if !errors.Is(err, state.ErrConflict) {
						t.Errorf("apply: %v", err)
						return
					}
				}
			})
		}
		wg.Wait()
		if f, _ := s.Get(t.Context(), "n"); string(f.Value) != "200" {
			t.Fatalf("after 200 increments: %s", f.Value)
		}
	}},
	{"who conflicts sees what it conflicted with", func(t *testing.T, s *box) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for i := range 30 {
					key := fmt.Sprint("k", i)
					_, err := s.Apply(t.Context(), expecting(put(key, ""), state.Absent()))
					if _, e := s.Get(t.Context(), key); e != nil {
						t.Errorf("apply answered %v, then get %q: %v", err, key, e)
					}
				}
			})
		}
		wg.Wait()
	}},
	{"a list never sees half a batch, and nothing goes back", halves},
	{"an Apply that is cancelled while it waits did all or nothing", cancelled},
}

// halves writes pairs that must always be equal while others read them.
func halves(t *testing.T, s *box) {
	s.apply(put("pair/a", "0"), put("pair/b", "0"))
	ctx, stop := context.WithCancel(t.Context())
	var readers, writers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			var at state.Revision
			forward := func(how string, f state.Fact) {
				if f.Revision < at {
					t.Errorf("%s went back from revision %d to %d", how, at, f.Revision)
				}
				at = max(at, f.Revision)
			}
			for ctx.Err() == nil {
				l, err := s.List(t.Context(), "pair/", "", 0)
				if err != nil || len(l) != 2 || string(l[0].Value) != string(l[1].Value) {
					t.Errorf("list saw half a batch: %v, error %v", l, err)
					return
				}
				forward("List", l[0])
				for _, key := range []string{"pair/a", "pair/b"} {
					f, err := s.Get(t.Context(), key)
					if err != nil {
						t.Errorf("get: %v", err)
						return
					}
					forward("Get", f)
				}
			}
		})
	}
	for w := range 3 {
		writers.Go(func() {
			for i := range 60 {
				v := fmt.Sprint(w, ".", i)
				if _, err := s.Apply(t.Context(), put("pair/a", v), put("pair/b", v)); err != nil {
					t.Errorf("apply: %v", err)
				}
			}
		})
	}
	writers.Wait()
	stop()
	readers.Wait()
}

// cancelled cancels at random moments and counts what happened. An error
// leaves open whether the batch was applied, but never half of it.
func cancelled(t *testing.T, s *box) {
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				go func() {
					for range rand.IntN(200) {
						_ = ctx.Err()
					}
					cancel()
				}()
				key := fmt.Sprintf("%d/%d/", w, i)
				_, err := s.Apply(ctx, put(key+"a", ""), put(key+"b", ""))
				l, e := s.List(t.Context(), key, "", 0)
				if e != nil || len(l) == 1 || (err == nil && len(l) != 2) {
					t.Errorf("apply answered %v, then %d of 2 facts are there, error %v", err, len(l), e)
				}
				cancel()
			}
		})
	}
	wg.Wait()
}
