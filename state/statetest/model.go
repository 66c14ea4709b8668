package statetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"strait/state"
)

var model = []test{
	{"random batches do what they do to a map", func(t *testing.T, s *box) {
		w := s.watch("", 0)
		m := &plain{facts: map[string]state.Fact{}}
		rnd := rand.New(rand.NewPCG(1, 2))
		for range 400 {
			m.step(t, s, randomBatch(rnd, m))
		}
		m.compare(t, s)

		// What a watcher was told adds up to the same.
		last := s.apply(put("\xff\xff\xffend", ""))
		told := map[string]string{}
		follow(t, w, told, last, "\xff\xff\xffend")
		same(t, s, "", told)
	}},
}

// plain is the contract as a map.
type plain struct {
	facts    map[string]state.Fact
	revision state.Revision
}

// apply says what Apply must answer, and does it.
func (m *plain) apply(writes []state.Write) (state.Revision, error) {
	for _, w := range writes {
		if !w.Expect.Holds(m.facts[w.Key].Revision) {
			return 0, state.ErrConflict
		}
	}
	changed := false
	for _, w := range writes {
		if _, there := m.facts[w.Key]; there || !w.Delete {
			changed = true
		}
	}
	if !changed {
		return m.revision, nil
	}
	m.revision++
	for _, w := range writes {
		if w.Delete {
			delete(m.facts, w.Key)
		} else {
			m.facts[w.Key] = state.Fact{Key: w.Key, Value: w.Value, Revision: m.revision}
		}
	}
	return m.revision, nil
}

// step applies writes to both and compares what can be seen of them.
func (m *plain) step(t *testing.T, s *box, writes []state.Write) {
	t.Helper()
	wantR, wantErr := m.apply(writes)
	gotR, err := s.Apply(t.Context(), writes...)
	if !errors.Is(err, wantErr) || gotR != wantR {
		t.Fatalf("apply %+v: got revision %d, error %v; want %d, %v", writes, gotR, err, wantR, wantErr)
	}
	for _, w := range writes {
		f, there := m.facts[w.Key]
		if there {
			s.want(w.Key, string(f.Value), f.Revision)
		} else {
			s.gone(w.Key)
		}
	}
}

// compare compares everything.
func (m *plain) compare(t *testing.T, s *box) {
	t.Helper()
	var want []state.Fact
	for _, k := range slices.Sorted(maps.Keys(m.facts)) {
		want = append(want, m.facts[k])
	}
	got, err := s.List(t.Context(), "", "", 0)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("list, error %v:\n got %v\nwant %v", err, got, want)
	}
}

func randomBatch(rnd *rand.Rand, m *plain) []state.Write {
	var writes []state.Write
	used := map[string]bool{}
	for range 1 + rnd.IntN(5) {
		key := awkward[rnd.IntN(len(awkward))]
		if used[key] {
			continue
		}
		used[key] = true
		w := state.Write{Key: key, Delete: rnd.IntN(3) == 0}
		if !w.Delete {
			w.Value = make([]byte, rnd.IntN(3)*rnd.IntN(3000))
			for i := range w.Value {
				w.Value[i] = byte(rnd.Uint32())
			}
		}
		switch rnd.IntN(8) {
		case 0:
			w.Expect = state.Absent()
		case 1:
			w.Expect = state.Present()
		case 2, 3:
			w.Expect = state.At(m.facts[key].Revision)
		case 4:
			w.Expect = state.At(state.Revision(rnd.IntN(int(m.revision) + 1)))
		}
		writes = append(writes, w)
	}
	return writes
}
