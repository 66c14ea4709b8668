package shadow_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"strait"
	"strait/shadow"
)

// A model is a shadow kept as the paths of its leaves: slow, and with nothing
// in common with how the engine merges trees.
type model struct {
	leaves  [2]map[string]leaf // desired, reported; by path "a/b"
	version int
	clock   int64
}

type leaf struct {
	value any // a scalar or an array
	time  int64
}

// walk calls fn for each leaf and each empty object of v.
func walk(path string, v any, fn func(path string, v any)) {
	o, ok := v.(map[string]any)
	if !ok || len(o) == 0 {
		fn(path, v)
		return
	}
	for name, e := range o {
		walk(path+"/"+name, e, fn)
	}
}

// cut removes what is at path, above it (a leaf that becomes an object) and,
// if below is true, under it.
func (m *model) cut(side int, path string, below bool) {
	for p := range m.leaves[side] {
		if p == path || strings.HasPrefix(path, p+"/") || below && strings.HasPrefix(p, path+"/") {
			delete(m.leaves[side], p)
		}
	}
}

func (m *model) update(state map[string]any) {
	m.version++
	for side, name := range []string{"desired", "reported"} {
		v, ok := state[name]
		if !ok {
			continue
		}
		if v == nil {
			m.leaves[side] = map[string]leaf{}
			continue
		}
		walk("", v, func(path string, v any) {
			if path == "" {
				return // {} changes nothing
			}
			if _, object := v.(map[string]any); object {
				m.cut(side, path, false) // {} in the place of a leaf is nothing
				return
			}
			if v == nil {
				m.cut(side, path, true)
				return
			}
			m.cut(side, path, true)
			m.leaves[side][path] = leaf{v, m.clock}
		})
	}
}

// tree builds the object of paths again.
func tree(leaves map[string]leaf, of func(leaf) any) map[string]any {
	root := map[string]any{}
	for path, l := range leaves {
		at := root
		names := strings.Split(path[1:], "/")
		for _, n := range names[:len(names)-1] {
			next, ok := at[n].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[n] = next
			}
			at = next
		}
		at[names[len(names)-1]] = of(l)
	}
	return root
}

func times(v any, at int64) any {
	switch v := v.(type) {
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, times(e, at))
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = times(e, at)
		}
		return out
	}
	return map[string]any{"timestamp": float64(at)}
}

// delta is every leaf that is desired and is not reported so. A leaf whose
// place is an object, or the other way round, is a difference as a whole.
func (m *model) delta() map[string]leaf {
	out := map[string]leaf{}
	for path, want := range m.leaves[0] {
		if have, ok := m.leaves[1][path]; !ok || !reflect.DeepEqual(have.value, want.value) {
			out[path] = want
		}
	}
	return out
}

func (m *model) get() map[string]any {
	state, meta := map[string]any{}, map[string]any{}
	value := func(l leaf) any { return l.value }
	when := func(l leaf) any { return times(l.value, l.time) }
	for name, leaves := range map[string]map[string]leaf{"desired": m.leaves[0], "reported": m.leaves[1], "delta": m.delta()} {
		if len(leaves) > 0 {
			state[name], meta[name] = tree(leaves, value), tree(leaves, when)
		}
	}
	return map[string]any{"state": state, "metadata": meta, "version": float64(m.version), "timestamp": float64(m.clock)}
}

// anything makes a value as clients send them.
func anything(r *rand.Rand, depth int) any {
	switch n := r.IntN(10); {
	case n < 4 && depth < 5:
		o := map[string]any{}
		for range r.IntN(4) {
			o[string(rune('a'+r.IntN(4)))] = anything(r, depth+1)
		}
		return o
	case n == 4:
		return nil
	case n == 5:
		return []any{float64(r.IntN(3)), map[string]any{"x": "y"}}[:r.IntN(3)]
	case n == 6:
		return r.IntN(2) == 0
	case n == 7:
		return "text"
	}
	return float64(r.IntN(4))
}

func section(r *rand.Rand) any {
	if r.IntN(12) == 0 {
		return nil
	}
	for {
		if o, ok := anything(r, 0).(map[string]any); ok {
			return o
		}
	}
}

// TestModel plays the same random updates to the engine and to the model.
func TestModel(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 6 {
		h := open(t)
		m := &model{leaves: [2]map[string]leaf{{}, {}}, clock: start.Unix()}
		for step := range 40 {
			h.now = h.now.Add(1e9)
			m.clock++
			state := map[string]any{}
			if r.IntN(3) > 0 {
				state["desired"] = section(r)
			}
			if r.IntN(3) > 0 {
				state["reported"] = section(r)
			}
			request, _ := json.Marshal(map[string]any{"state": state})
			before := map[string]leaf{}
			maps.Copy(before, m.delta())
			m.update(state)
			a := h.update(string(request))
			want := m.get()
			var got map[string]any
			if err := json.Unmarshal([]byte(h.get()), &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				w, _ := json.Marshal(want)
				g, _ := json.Marshal(got)
				t.Fatalf("seed %d, step %d, after %s:\n got %s\nwant %s", seed, step, request, g, w)
			}
			var d struct{ State map[string]any }
			if a.Delta != nil {
				if err := json.Unmarshal(a.Delta, &d); err != nil {
					t.Fatal(err)
				}
			}
			if wanted, _ := want["state"].(map[string]any)["delta"].(map[string]any); !reflect.DeepEqual(d.State, wanted) {
				t.Fatalf("seed %d, step %d, after %s: delta %v, want %v", seed, step, request, d.State, wanted)
			}
		}
	}
}

// FuzzUpdate: whatever is sent, an update is refused and changes nothing, or
// its answers are JSON, the document fits its limit, and reporting all that is
// desired leaves no difference.
func FuzzUpdate(f *testing.F) {
	for _, s := range []string{`{"state":{"desired":{"a":{"b":[1,{"c":2}]}},"reported":{"a":1e400}},"version":0,"clientToken":"x"}`,
		`{"state":{"desired":null}}`, `{"state":{"desired":{"a":{}}}}`, `{"state":{"desired":{"e":[],"t":true,"n":{"a":{"b":1.50,"l":[{"x":[]}]}}}}}`, `{"state":{"desired":{"a":0.0,"b":-0e5,"c":1e-999999999999999999999}}}`} {
		f.Add([]byte(s))
	}
	const base = `{"state":{"desired":{"a":{"b":1},"l":[1]},"reported":{"a":2}}}`
	before, _ := shadow.Imagine(start, base)
	f.Fuzz(func(t *testing.T, document []byte) {
		after, a := shadow.Imagine(start, base, string(document))
		if a.Err != nil {
			if strait.KindOf(a.Err) == strait.Internal || !bytes.Equal(before, after) {
				t.Fatalf("%q: %v, and the document is %s", document, a.Err, after)
			}
			return
		}
		var got struct {
			State struct{ Desired, Reported, Delta json.RawMessage }
		}
		if err := json.Unmarshal(after, &got); err != nil {
			t.Fatal(err)
		}
		if (a.Delta == nil) != (got.State.Delta == nil) || !json.Valid(a.Document) || !json.Valid(a.Documents) {
			t.Fatalf("%q: delta %s, got %s", document, a.Delta, got.State.Delta)
		}
		if n := len(got.State.Desired) + len(got.State.Reported); n > 8192 {
			t.Fatalf("%q: a document of %d bytes", document, n)
		}
		if got.State.Desired == nil {
			return
		}
		_, a = shadow.Imagine(start, base, string(document), `{"state":{"reported":null}}`, fmt.Sprintf(`{"state":{"reported":%s}}`, got.State.Desired))
		if a.Delta != nil || a.Err != nil && strait.KindOf(a.Err) != strait.TooLarge {
			t.Fatalf("%q: all that is desired was reported: %v, delta %s", document, a.Err, a.Delta)
		}
	})
}
