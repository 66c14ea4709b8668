package statetest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"strait"
	"strait/state"
)

var facts = []test{
	{"a fact that was never written is not found", func(t *testing.T, s *box) {
		s.gone("a")
		s.gone("")
		s.gone(strings.Repeat("k", state.MaxKey+1))
	}},
	{"a write is visible when Apply returns", func(t *testing.T, s *box) {
		r := s.apply(put("a", "1"))
		s.want("a", "1", r)
		s.keys("", "", 0, "a")
	}},
	{"a write is visible also to who has just looked in vain", func(t *testing.T, s *box) {
		for range 50 {
			s.gone("a")
			r := s.apply(put("a", "1"))
			s.want("a", "1", r)
			s.want("a", "1", r)
			s.apply(del("a"))
		}
	}},
	{"revisions begin at 1 and grow with each batch", func(t *testing.T, s *box) {
		if r := s.apply(put("a", "1")); r != 1 {
			t.Fatalf("the first revision is %d, want 1", r)
		}
		if r := s.apply(put("a", "2")); r != 2 {
			t.Fatalf("the second revision is %d, want 2", r)
		}
		s.want("a", "2", 2)
	}},
	{"all writes of a batch have one revision", func(t *testing.T, s *box) {
		s.apply(put("x", ""))
		r := s.apply(put("b", "1"), put("a", "2"), del("x"))
		s.want("a", "2", r)
		s.want("b", "1", r)
		s.gone("x")
	}},
	{"an empty value is a value", func(t *testing.T, s *box) {
		r := s.apply(put("a", ""), state.Write{Key: "nil"})
		s.want("a", "", r)
		s.want("nil", "", r)
		s.apply(expecting(put("a", ""), state.Present()))
	}},
	{"any bytes are a value", func(t *testing.T, s *box) {
		r := s.apply(put("a", "\x00\xff'\";--\n"))
		s.want("a", "\x00\xff'\";--\n", r)
	}},
	{"deleting what is not there is no error and changes nothing", func(t *testing.T, s *box) {
		r := s.apply(put("a", "1"))
		s.apply(del("b"))
		s.want("a", "1", r)
		s.apply(del("a"))
		s.apply(del("a"))
		s.gone("a")
		s.keys("", "", 0)
	}},
	{"a fact written after its delete is new", func(t *testing.T, s *box) {
		s.apply(put("a", "1"))
		s.apply(del("a"))
		r := s.apply(expecting(put("a", "2"), state.Absent()))
		s.want("a", "2", r)
	}},
	{"the store keeps its own copy of a value", func(t *testing.T, s *box) {
		v := []byte("one")
		r := s.apply(state.Write{Key: "a", Value: v})
		copy(v, "two")
		s.want("a", "one", r)
	}},
	{"a batch without writes changes nothing", func(t *testing.T, s *box) {
		r := s.apply(put("a", "1"))
		if got := s.apply(); got != r {
			t.Fatalf("apply without writes: got revision %d, want the present one, %d", got, r)
		}
	}},
	{"a context that is done changes nothing", func(t *testing.T, s *box) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Apply(ctx, put("a", "1")); !errors.Is(err, context.Canceled) {
			t.Fatalf("apply with a cancelled context: got %v", err)
		}
		if _, err := s.List(ctx, "", "", 0); !errors.Is(err, context.Canceled) {
			t.Fatalf("list with a cancelled context: got %v", err)
		}
		s.gone("a")
	}},
	{"a closed store says so", func(t *testing.T, s *box) {
		s.apply(put("a", "1"))
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatalf("close again: %v", err)
		}
		_, err1 := s.Get(t.Context(), "a")
		_, err2 := s.List(t.Context(), "", "", 0)
		_, err3 := s.Apply(t.Context(), put("a", "1"))
		var err4 error
		for _, err := range s.Watch(deadline(t), "", 0) {
			err4 = err
		}
		for i, err := range []error{err1, err2, err3, err4} {
			if !errors.Is(err, state.ErrClosed) {
				t.Errorf("%s after Close: got %v, want ErrClosed", []string{"Get", "List", "Apply", "Watch"}[i], err)
			}
		}
	}},
}

var expectations = []test{
	{"Absent holds only when there is no fact", func(t *testing.T, s *box) {
		s.apply(expecting(put("a", "1"), state.Absent()))
		s.refuse(state.ErrConflict, expecting(put("a", "2"), state.Absent()))
		s.want("a", "1", 1)
	}},
	{"Present holds only when there is one", func(t *testing.T, s *box) {
		s.refuse(state.ErrConflict, expecting(put("a", "1"), state.Present()))
		s.refuse(state.ErrConflict, expecting(del("a"), state.Present()))
		s.gone("a")
		s.apply(put("a", "1"))
		s.apply(expecting(put("a", "2"), state.Present()))
		s.apply(expecting(del("a"), state.Present()))
		s.gone("a")
	}},
	{"At holds only at that revision", func(t *testing.T, s *box) {
		r := s.apply(put("a", "1"))
		s.refuse(state.ErrConflict, expecting(put("a", "2"), state.At(r+1)))
		s.refuse(state.ErrConflict, expecting(put("b", "2"), state.At(r)))
		s.refuse(state.ErrConflict, expecting(put("b", "2"), state.At(0)))
		r2 := s.apply(expecting(put("a", "2"), state.At(r)))
		s.refuse(state.ErrConflict, expecting(put("a", "3"), state.At(r)))
		s.refuse(state.ErrConflict, expecting(del("a"), state.At(r)))
		s.want("a", "2", r2)
		s.apply(expecting(del("a"), state.At(r2)))
		s.refuse(state.ErrConflict, expecting(put("a", "3"), state.At(r2)))
	}},
	{"one failed expectation leaves nothing of its batch", func(t *testing.T, s *box) {
		r := s.apply(put("m", "1"), put("keep", "1"))
		s.refuse(state.ErrConflict, put("a", "2"), del("keep"), expecting(put("m", "2"), state.Absent()), put("z", "2"))
		s.want("m", "1", r)
		s.want("keep", "1", r)
		s.keys("", "", 0, "keep", "m")
		if got := s.apply(put("n", "")); got != r+1 {
			t.Fatalf("the refused batch used up a revision: got %d, want %d", got, r+1)
		}
	}},
	{"a delete that expects absence is a check", func(t *testing.T, s *box) {
		s.apply(put("a", "1"), expecting(del("guard"), state.Absent()))
		s.apply(put("guard", ""))
		s.refuse(state.ErrConflict, put("a", "2"), expecting(del("guard"), state.Absent()))
		s.want("a", "1", 1)
	}},
}

var limits = []test{
	{"a key of MaxKey bytes is fine, one more is too large", func(t *testing.T, s *box) {
		key := strings.Repeat("\xff", state.MaxKey)
		r := s.apply(put(key, "1"))
		s.want(key, "1", r)
		s.keys("\xff", "", 0, key)
		s.keys("", "", 0, key)
		s.refuse(state.ErrTooLarge, put(key+"k", "1"))
		s.refuse(state.ErrTooLarge, del(key+"k"))
	}},
	{"a key must have a byte", func(t *testing.T, s *box) {
		if _, err := s.Apply(t.Context(), put("", "1")); strait.KindOf(err) != strait.Invalid {
			t.Fatalf("apply with an empty key: got %v, want kind Invalid", err)
		}
	}},
	{"a batch of MaxBatch bytes is fine, one more is too large", func(t *testing.T, s *box) {
		value := strings.Repeat("v", state.MaxBatch-2)
		r := s.apply(put("a", value[1:]), put("b", "1")) // 1 + MaxBatch-3 + 1 + 1
		s.want("a", value[1:], r)
		s.refuse(state.ErrTooLarge, put("a", value), put("b", "1"))
		s.want("b", "1", r)
	}},
	{"a batch of many writes is fine", func(t *testing.T, s *box) {
		var writes []state.Write
		for i := range 2000 {
			writes = append(writes, put(strings.Repeat("k", 1+i%50)+string(rune('a'+i/50)), "v"))
		}
		r := s.apply(writes...)
		all, err := s.List(t.Context(), "", "", 0)
		if err != nil || len(all) != len(writes) || all[0].Revision != r {
			t.Fatalf("list: got %d facts, error %v; want %d", len(all), err, len(writes))
		}
	}},
	{"a key may occur once in a batch", func(t *testing.T, s *box) {
		if _, err := s.Apply(t.Context(), put("a", "1"), put("b", "1"), del("a")); strait.KindOf(err) != strait.Invalid {
			t.Fatalf("apply with a key twice: got %v, want kind Invalid", err)
		}
		s.keys("", "", 0)
	}},
}
