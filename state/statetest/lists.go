package statetest

import (
	"fmt"
	"slices"
	"testing"

	"strait/state"
)

// awkward are keys that trip those who do not compare bytes, sorted. The tests
// read it side by side: none may write to it.
var awkward = slices.Sorted(slices.Values([]string{
	"\x00", "\x00\x00", "\x00\xff", "\x01", "'", "%", "A", "B", "_", "a", "a\x00", "a\x00b", "a\x01", "a/", "a/b", "a0", "aa", "a\xff", "a\xff\x00",
	"a\xff\xff", "b", "é", "\xfe", "\xff", "\xff\x00", "\xff\xff", "\xff\xff\xff",
}))

var lists = []test{
	{"a list is sorted by the bytes of the keys", func(t *testing.T, s *box) {
		for i := range awkward {
			s.apply(put(awkward[(i*7)%len(awkward)], "v"))
		}
		s.keys("", "", 0, awkward...)
	}},
	{"a list holds the keys that begin with the prefix and no others", func(t *testing.T, s *box) {
		fill(s, awkward)
		for _, prefix := range append(slices.Clone(awkward), "c", "a\xff\xff\xff", "a\xfe") {
			s.keys(prefix, "", 0, matching(prefix, "")...)
		}
	}},
	{"a list begins after the given key, be it there or not", func(t *testing.T, s *box) {
		fill(s, awkward)
		for _, prefix := range []string{"", "a", "\xff", "\x00", "b"} {
			for _, after := range append(slices.Clone(awkward), "a.", "zzz", "0") {
				s.keys(prefix, after, 0, matching(prefix, after)...)
			}
		}
	}},
	{"pages put together are the whole", func(t *testing.T, s *box) {
		fill(s, awkward)
		for limit := 1; limit <= len(awkward)+1; limit += 3 {
			var all []string
			for after := ""; ; {
				page, err := s.List(t.Context(), "", after, limit)
				if err != nil || len(page) > limit {
					t.Fatalf("list after %q limit %d: got %d facts, error %v", after, limit, len(page), err)
				}
				if len(page) == 0 {
					break
				}
				for _, f := range page {
					all = append(all, f.Key)
				}
				after = page[len(page)-1].Key
			}
			if !slices.Equal(all, matching("", "")) {
				t.Fatalf("pages of %d: got %q", limit, all)
			}
		}
	}},
	{"a list has values and revisions", func(t *testing.T, s *box) {
		s.apply(put("a", "1"))
		s.apply(put("b", "2"))
		got, err := s.List(t.Context(), "", "", 0)
		if err != nil || fmt.Sprint(got) != fmt.Sprint([]state.Fact{{Key: "a", Value: []byte("1"), Revision: 1}, {Key: "b", Value: []byte("2"), Revision: 2}}) {
			t.Fatalf("list: got %v, error %v", got, err)
		}
	}},
	{"a list does not hold what was deleted", func(t *testing.T, s *box) {
		fill(s, []string{"a", "b", "c"})
		s.apply(del("b"))
		s.keys("", "", 0, "a", "c")
		s.keys("", "b", 0, "c")
	}},
}

func fill(s *box, keys []string) {
	var writes []state.Write
	for _, k := range keys {
		writes = append(writes, put(k, "v"))
	}
	s.apply(writes...)
}

// matching says which awkward keys a list must hold, the slow and plain way.
func matching(prefix, after string) []string {
	var keys []string
	for _, k := range awkward {
		if len(k) >= len(prefix) && k[:len(prefix)] == prefix && k > after {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}
