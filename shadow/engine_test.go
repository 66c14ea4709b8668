package shadow_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"strait"
	"strait/shadow"
	"strait/state/local"
)

// start is when every test begins.
var start = time.Unix(1_700_000_000, 0)

// A house is an engine on a real store, with a clock that is moved by hand.
type house struct {
	*shadow.Engine
	t   *testing.T
	dir string
	now time.Time
	s   *local.Store
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: filepath.Join(t.TempDir(), "state"), now: start}
	h.open()
	t.Cleanup(h.close)
	return h
}

func (h *house) open() {
	h.t.Helper()
	var err error
	if h.s, err = local.Open(h.dir, local.Options{}); err != nil {
		h.t.Fatal(err)
	}
	if h.Engine, err = shadow.Open(shadow.Config{Store: h.s, Now: func() time.Time { return h.now }, MaxNamed: 5}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) close() {
	h.Engine.Close()
	h.s.Close()
}

func (h *house) do(op shadow.Op, name shadow.Name, document string) (shadow.Answer, error) {
	h.t.Helper()
	return h.Do(h.t.Context(), shadow.Request{Name: name, Op: op, Document: []byte(document)}, nil)
}

func (h *house) update(document string) shadow.Answer {
	h.t.Helper()
	a, err := h.do(shadow.Update, lamp, document)
	if err != nil {
		h.t.Fatalf("update %s: %v", document, err)
	}
	return a
}

func (h *house) get() string {
	h.t.Helper()
	a, err := h.do(shadow.Get, lamp, "")
	if err != nil {
		h.t.Fatal(err)
	}
	return string(a.Document)
}

var lamp = shadow.Name{Thing: "lamp"}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%s: %q is no JSON: %v", what, got, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	gb, _ := json.Marshal(g)
	if wb, _ := json.Marshal(w); string(gb) != string(wb) {
		t.Errorf("%s:\n got %s\nwant %s", what, gb, wb)
	}
}

func TestAnswers(t *testing.T) {
	h := open(t)
	// The first update makes the shadow.
	a := h.update(`{"state":{"desired":{"c":{"r":1,"g":2}}},"clientToken":"one"}`)
	same(t, "accepted", string(a.Document), `{"state":{"desired":{"c":{"r":1,"g":2}}},"metadata":{"desired":{"c":{"r":{"timestamp":1700000000},"g":{"timestamp":1700000000}}}},"version":1,"timestamp":1700000000,"clientToken":"one"}`)
	same(t, "delta", string(a.Delta), `{"state":{"c":{"r":1,"g":2}},"metadata":{"c":{"r":{"timestamp":1700000000},"g":{"timestamp":1700000000}}},"version":1,"timestamp":1700000000,"clientToken":"one"}`)
	same(t, "documents", string(a.Documents), `{"previous":null,"current":{"state":{"desired":{"c":{"r":1,"g":2}}},"metadata":{"desired":{"c":{"r":{"timestamp":1700000000},"g":{"timestamp":1700000000}}}},"version":1},"timestamp":1700000000,"clientToken":"one"}`)

	// What is reported takes its part out of the difference; times are those
	// of each change.
	h.now = h.now.Add(5 * time.Second)
	a = h.update(`{"state":{"reported":{"c":{"r":1.0,"g":0},"own":[1,{"a":2}]}}}`)
	same(t, "delta", string(a.Delta), `{"state":{"c":{"g":2}},"metadata":{"c":{"g":{"timestamp":1700000000}}},"version":2,"timestamp":1700000005}`)
	same(t, "got", h.get(), `{"state":{"desired":{"c":{"r":1,"g":2}},"reported":{"c":{"r":1.0,"g":0},"own":[1,{"a":2}]},"delta":{"c":{"g":2}}},
		"metadata":{"desired":{"c":{"r":{"timestamp":1700000000},"g":{"timestamp":1700000000}}},
			"reported":{"c":{"r":{"timestamp":1700000005},"g":{"timestamp":1700000005}},"own":[{"timestamp":1700000005},{"a":{"timestamp":1700000005}}]},
			"delta":{"c":{"g":{"timestamp":1700000000}}}},
		"version":2,"timestamp":1700000005}`)

	// When both agree there is no difference to tell. null removes, and what
	// has nothing left is not kept.
	a = h.update(`{"state":{"reported":{"c":{"g":2}},"desired":{"c":{"r":null}}},"version":2}`)
	if a.Delta != nil {
		t.Errorf("there is no difference, but a delta was told: %s", a.Delta)
	}
	h.update(`{"state":{"desired":null,"reported":{"c":{"r":null,"g":null},"own":null}}}`)
	same(t, "emptied", h.get(), `{"state":{},"metadata":{},"version":4,"timestamp":1700000005}`)

	// Arrays are replaced whole, and compared whole.
	h.update(`{"state":{"desired":{"l":[1,2,3]},"reported":{"l":[1,2,4]}}}`)
	a = h.update(`{"state":{"desired":{"l":[5]}}}`)
	same(t, "delta of an array", string(a.Delta), `{"state":{"l":[5]},"metadata":{"l":[{"timestamp":1700000005}]},"version":6,"timestamp":1700000005}`)

	// A restart changes nothing.
	before := h.get()
	h.close()
	h.open()
	same(t, "after a restart", h.get(), before)

	// Deleting tells the version, and a new shadow goes on from there.
	d, err := h.do(shadow.Delete, lamp, `{"clientToken":"bye"}`)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "deleted", string(d.Document), `{"version":6,"timestamp":1700000005,"clientToken":"bye"}`)
	refused(t, h, shadow.Get, lamp, `{"clientToken":"g"}`, strait.NotFound, "No shadow exists with name: 'lamp'")
	refused(t, h, shadow.Delete, lamp, ``, strait.NotFound, "No shadow exists with name: 'lamp'")
	if a = h.update(`{"state":{"desired":{"x":1}}}`); !strings.Contains(string(a.Document), `"version":7`) {
		t.Errorf("a new shadow of a deleted name: %s, want version 7", a.Document)
	}
	same(t, "documents after a deletion", string(a.Documents), `{"previous":null,"current":{"state":{"desired":{"x":1}},"metadata":{"desired":{"x":{"timestamp":1700000005}}},"version":7},"timestamp":1700000005}`)
	// After 48 hours it begins again.
	if _, err := h.do(shadow.Delete, lamp, ""); err != nil {
		t.Fatal(err)
	}
	if err := h.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f, err := h.s.List(t.Context(), "shadow/", "", 0); err != nil || len(f) != 1 {
		t.Errorf("after an early sweep: %d facts (%v), want the version", len(f), err)
	}
	h.now = h.now.Add(48*time.Hour + time.Second)
	if err := h.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f, err := h.s.List(t.Context(), "shadow/", "", 0); err != nil || len(f) != 0 {
		t.Errorf("after a sweep: %d facts (%v), want none", len(f), err)
	}
	if a = h.update(`{"state":{}}`); !strings.Contains(string(a.Document), `"version":1`) {
		t.Errorf("a new shadow of a name deleted long ago: %s, want version 1", a.Document)
	}
}

func refused(t *testing.T, h *house, op shadow.Op, name shadow.Name, document string, kind strait.Kind, message string) {
	t.Helper()
	a, err := h.do(op, name, document)
	if strait.KindOf(err) != kind || err == nil || err.Error() != message {
		t.Errorf("%.80s: %v, want %s", document, err, message)
	}
	if strings.Contains(document, `"clientToken":"g"`) && a.Token != "g" {
		t.Errorf("%.80s: the refusal has the token %q", document, a.Token)
	}
	if a.Document != nil || a.Delta != nil || a.Documents != nil {
		t.Errorf("%.80s: a refusal tells something", document)
	}
}

// nested is an object of n levels.
func nested(n int) string {
	return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n)
}

func TestRefusals(t *testing.T) {
	h := open(t)
	const deep = "JSON contains too many levels of nesting; maximum is 6"
	const large = "The payload exceeds the maximum size allowed"
	for _, c := range []struct {
		document string
		kind     strait.Kind
		message  string
	}{
		{``, strait.Invalid, "Invalid JSON"},
		{`{"state":`, strait.Invalid, "Invalid JSON"},
		{`[]`, strait.Invalid, "Invalid JSON"},
		{`null`, strait.Invalid, "Invalid JSON"},
		{"{\"state\":{\"desired\":{\"a\":\"\xff\"}}}", strait.Invalid, "Unsupported documented encoding; supported encoding is UTF-8"},
		{`{"clientToken":"g"}`, strait.Invalid, "Missing required node: state"},
		{`{"state":null}`, strait.Invalid, "State node must be an object"},
		{`{"state":5,"clientToken":"g"}`, strait.Invalid, "State node must be an object"},
		{`{"state":{"desired":5},"clientToken":"g"}`, strait.Invalid, "Desired node must be an object"},
		{`{"state":{"reported":[]}}`, strait.Invalid, "Reported node must be an object"},
		{`{"state":{"delta":{}}}`, strait.Invalid, "State contains an invalid node: 'delta'"},
		{`{"state":{"desired":{"a":[1,null]}}}`, strait.Invalid, "State contains an invalid node"},
		{`{"state":{"desired":{"a":[{"b":null}]}}}`, strait.Invalid, "State contains an invalid node"},
		{`{"state":{},"version":"1"}`, strait.Invalid, "Invalid version"},
		{`{"state":{},"version":-1}`, strait.Invalid, "Invalid version"},
		{`{"state":{},"version":1.5}`, strait.Invalid, "Invalid version"},
		{`{"state":{},"clientToken":5}`, strait.Invalid, "Invalid clientToken"},
		{`{"state":{},"clientToken":"` + strings.Repeat("x", 65) + `"}`, strait.Invalid, "Invalid clientToken"},
		{`{"state":{"desired":` + nested(9) + `},"clientToken":"g"}`, strait.Invalid, deep},
		{`{"state":{"desired":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}}`, strait.Invalid, "Desired node must be an object"},
		{`{"state":{"desired":{"a":` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + `}}}`, strait.Invalid, deep},
		{`{"state":{"desired":{"a":"` + strings.Repeat("x", 8192) + `"}},"clientToken":"g"}`, strait.TooLarge, large},
		{strings.Repeat(" ", 200_000) + `{"state":{}}`, strait.TooLarge, large},
		{`{"state":{"desired":{"a":1}},"version":1,"clientToken":"g"}`, strait.Conflict, "Version conflict"},
	} {
		refused(t, h, shadow.Update, lamp, c.document, c.kind, c.message)
	}
	refused(t, h, shadow.Get, lamp, `{"clientToken":7}`, strait.Invalid, "Invalid clientToken")
	if f, err := h.s.List(t.Context(), "shadow/", "", 0); err != nil || len(f) != 0 {
		t.Errorf("refusals left %d facts (%v)", len(f), err)
	}
	// What just fits is taken; together with what is there it may not fit.
	h.update(`{"state":{"desired":` + nested(8) + `}}`)
	h.update(`{"state":{"reported":{"a":"` + strings.Repeat("x", 8070) + `"}}}`)
	refused(t, h, shadow.Update, lamp, `{"state":{"desired":{"b":"`+strings.Repeat("x", 100)+`"}}}`, strait.TooLarge, large)
	refused(t, h, shadow.Update, lamp, `{"state":{"desired":{"b":1}},"version":1}`, strait.Conflict, "Version conflict")
	h.update(`{"state":{"desired":{"b":1}},"version":2}`)
	// Times of thousands of elements would not fit into a message.
	refused(t, h, shadow.Update, shadow.Name{Thing: "other"}, `{"state":{"desired":{"a":[1`+strings.Repeat(",1", 4000)+`]},"reported":{}}}`, strait.TooLarge, large)

	for _, n := range []shadow.Name{{}, {Thing: "a/b"}, {Thing: "a", Shadow: "b/c"}, {Thing: strings.Repeat("a", 129)}, {Thing: "a", Shadow: strings.Repeat("a", 65)}, {Thing: "ä"}} {
		if _, err := h.do(shadow.Get, n, ""); strait.KindOf(err) != strait.Invalid {
			t.Errorf("the name %+v: %v, want invalid", n, err)
		}
	}
}

func TestList(t *testing.T) {
	h := open(t)
	h.update(`{"state":{}}`)
	for i := range 5 {
		if _, err := h.do(shadow.Update, shadow.Name{Thing: "lamp", Shadow: fmt.Sprintf("s%d", 4-i)}, `{"state":{}}`); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, h, shadow.Update, shadow.Name{Thing: "lamp", Shadow: "s5"}, `{"state":{}}`, strait.Limit, "The thing has 5 shadows, which is the limit")
	if _, err := h.do(shadow.Delete, shadow.Name{Thing: "lamp", Shadow: "s3"}, ""); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after string
		limit int
		want  string
		more  bool
	}{{"", 2, "[s0 s1]", true}, {"s1", 2, "[s2 s4]", false}, {"s4", 2, "[]", false}, {"", 9, "[s0 s1 s2 s4]", false}} {
		names, more, err := h.List(t.Context(), "lamp", c.after, c.limit)
		if err != nil || fmt.Sprint(names) != c.want || more != c.more {
			t.Errorf("list after %q, %d: %v %v %v, want %s %v", c.after, c.limit, names, more, err, c.want, c.more)
		}
	}
	if names, _, err := h.List(t.Context(), "lam", "", 10); err != nil || len(names) != 0 {
		t.Errorf("list of another thing: %v %v", names, err)
	}
}

// TestOrder: answers about one shadow come in the order in which it was asked,
// each before the next one is begun, and versions count without a gap.
func TestOrder(t *testing.T) {
	h := open(t)
	const n = 100
	var mu sync.Mutex
	var seen []string
	var all sync.WaitGroup
	for i := range n {
		all.Add(1)
		err := h.Submit(shadow.Request{Name: lamp, Op: shadow.Update, Document: fmt.Appendf(nil, `{"state":{"desired":{"n":%d}},"clientToken":"%d"}`, i, i)}, func(a shadow.Answer) {
			defer all.Done()
			var d struct{ Version int }
			json.Unmarshal(a.Document, &d)
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, fmt.Sprint(a.Token, "=", d.Version))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	for i, s := range seen {
		if want := fmt.Sprint(i, "=", i+1); s != want {
			t.Fatalf("answer %d is %s, want %s", i, s, want)
		}
	}
}
