package statetest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"strait/state"
)

// RunDurable runs what the contract promises beyond Close. open opens the store
// in dir; it is called for the same directory again after the store before has
// been closed.
func RunDurable(t *testing.T, open func(dir string) (state.Store, error)) {
	again := func(t *testing.T, s *box, dir string) *box {
		t.Helper()
		if s != nil {
			if err := s.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
		}
		store, err := open(dir)
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		t.Cleanup(func() { store.Close() })
		return &box{t: t, Store: store}
	}

	t.Run("facts, revisions and deletes are there after opening again", func(t *testing.T) {
		dir := t.TempDir()
		s := again(t, nil, dir)
		s.apply(put("a", "1"), put("b", "1"))
		s.apply(del("a"))
		s = again(t, s, dir)
		s.want("b", "1", 1)
		s.gone("a")
		if r := s.apply(put("c", "")); r != 3 {
			t.Fatalf("the first revision after opening again is %d, want 3", r)
		}
	})
	t.Run("the revision of a delete is not used twice", func(t *testing.T) {
		dir := t.TempDir()
		s := again(t, nil, dir)
		s.apply(put("a", "1"))
		s.apply(del("a"))
		s = again(t, s, dir)
		if r := s.apply(put("a", "")); r != 3 {
			t.Fatalf("after a put, a delete and opening again the next revision is %d, want 3", r)
		}
	})
	t.Run("expectations hold against what was there", func(t *testing.T) {
		dir := t.TempDir()
		s := again(t, nil, dir)
		r := s.apply(put("a", "1"))
		s = again(t, s, dir)
		s.refuse(state.ErrConflict, expecting(put("a", "2"), state.Absent()))
		s.apply(expecting(put("a", "2"), state.At(r)))
	})
	t.Run("a watch from before opening gets what is there now", func(t *testing.T) {
		dir := t.TempDir()
		s := again(t, nil, dir)
		r := s.apply(put("a", "1"), put("b", "1"), put("c", "1"))
		s.apply(del("a"))
		s.apply(put("b", "2"))
		s = again(t, s, dir)
		w := s.watch("", r)
		w.want("3 b=2")
		s.apply(put("d", ""))
		w.want("4 d=")
	})
	t.Run("random batches with openings in between do what they do to a map", func(t *testing.T) {
		dir := t.TempDir()
		s := again(t, nil, dir)
		m := &plain{facts: map[string]state.Fact{}}
		rnd := rand.New(rand.NewPCG(3, 4))
		for i := range 120 {
			m.step(t, s, randomBatch(rnd, m))
			if i%20 == 19 {
				s = again(t, s, dir)
				m.compare(t, s)
			}
		}
	})
	t.Run("batches under way when it closes are whole or not there", func(t *testing.T) {
		dir := t.TempDir()
		s := again(t, nil, dir)
		type answer struct {
			key string
			err error
		}
		answers := make(chan answer)
		for i := range 64 {
			go func() {
				key := fmt.Sprintf("%02d/", i)
				_, err := s.Apply(t.Context(), put(key+"a", ""), put(key+"b", ""))
				answers <- answer{key, err}
			}()
		}
		first := <-answers
		go s.Close()
		got := []answer{first}
		for range 63 {
			got = append(got, <-answers)
		}
		s = again(t, s, dir)
		for _, a := range got {
			l, err := s.List(t.Context(), a.key, "", 0)
			want := 2
			if a.err != nil {
				want = 0
			}
			if err != nil || len(l) != want {
				t.Errorf("apply answered %v, then %d facts are there, want %d (error %v)", a.err, len(l), want, err)
			}
		}
	})
}
