package logs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"strait"
	"strait/logs"
	"strait/state"
	"strait/state/local"
)

type house struct {
	*logs.Engine
	t     *testing.T
	dir   string
	store state.Store
	now   time.Time
	max   int64
}

func open(t *testing.T, max int64) *house {
	t.Helper()
	store, err := local.Open(filepath.Join(t.TempDir(), "state"), local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	h := &house{t: t, dir: t.TempDir(), store: store, now: time.UnixMilli(1_800_000_000_000), max: max}
	h.again()
	return h
}

// again opens the engine as after a restart.
func (h *house) again() {
	h.t.Helper()
	if h.Engine != nil {
		h.must(h.Close())
	}
	e, err := logs.Open(context.Background(), logs.Config{Store: h.store, Dir: h.dir, Now: func() time.Time { return h.now }, MaxFile: h.max})
	h.must(err)
	h.Engine = e
	h.t.Cleanup(func() { e.Close() })
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) put(group, stream string, lines ...string) {
	h.t.Helper()
	var events []logs.Event
	for _, l := range lines {
		events = append(events, logs.Event{Time: h.now, Message: l})
	}
	_, err := h.Put(group, stream, events, true)
	h.must(err)
}

// lines are the messages that q finds.
func (h *house) lines(q logs.Query) string {
	h.t.Helper()
	found, _, err := h.Find(q)
	h.must(err)
	var out []string
	for _, e := range found {
		out = append(out, e.Message)
	}
	return strings.Join(out, "|")
}

func (h *house) want(err error, kind strait.Kind) {
	h.t.Helper()
	if err == nil || strait.KindOf(err) != kind {
		h.t.Errorf("got %v, want kind %v", err, kind)
	}
}

// TestGroups: groups, streams and lines are there after a restart, and what was
// deleted is not.
func TestGroups(t *testing.T) {
	h := open(t, 0)
	ctx := t.Context()
	h.must(h.Create(ctx, "/aws/lambda/a", map[string]string{"team": "x"}))
	h.must(h.Create(ctx, "/b", nil))
	h.want(h.Create(ctx, "/b", nil), strait.Exists)
	h.want(h.Create(ctx, "b b", nil), strait.Invalid)
	h.must(h.CreateStream("/aws/lambda/a", "2026/[$LATEST]1"))
	h.want(h.CreateStream("/aws/lambda/a", "2026/[$LATEST]1"), strait.Exists)
	h.want(h.CreateStream("/aws/lambda/a", "a:b"), strait.Invalid)
	h.want(h.CreateStream("/none", "s"), strait.NotFound)
	_, err := h.Put("/aws/lambda/a", "none", []logs.Event{{Time: h.now, Message: "x"}}, false)
	h.want(err, strait.NotFound)
	h.put("/aws/lambda/a", "2026/[$LATEST]1", "one", "two <&>")
	h.now = h.now.Add(time.Second)
	h.put("/aws/lambda/a", "2026/[$LATEST]1", "three")
	h.must(h.CreateStream("/b", "s"))
	h.put("/b", "s", "other")
	h.must(h.Retain(ctx, "/b", 7))
	h.want(h.Retain(ctx, "/b", 8), strait.Invalid)

	h.again()
	if got := h.lines(logs.Query{Group: "/aws/lambda/a"}); got != "one|two <&>|three" {
		t.Errorf("after a restart: %s", got)
	}
	streams, err := h.Streams("/aws/lambda/a", "2026")
	h.must(err)
	if len(streams) != 1 || !streams[0].First.Equal(h.now.Add(-time.Second)) || !streams[0].Last.Equal(h.now) || !streams[0].Created.Equal(h.now.Add(-time.Second)) {
		t.Errorf("streams: %+v", streams)
	}
	groups, err := h.List("/", "LAMBDA")
	h.must(err)
	if len(groups) != 1 || groups[0].Tags["team"] != "x" || groups[0].Bytes == 0 {
		t.Errorf("groups: %+v", groups)
	}
	b, err := h.Get("/b")
	h.must(err)
	if b.Retention != 7 {
		t.Errorf("retention: %d", b.Retention)
	}
	h.now = h.now.AddDate(0, 0, 8)
	if got := h.lines(logs.Query{Group: "/b"}); got != "" {
		t.Errorf("after the retention: %s", got)
	}

	h.must(h.DeleteStream("/aws/lambda/a", "2026/[$LATEST]1"))
	h.want(h.DeleteStream("/aws/lambda/a", "2026/[$LATEST]1"), strait.NotFound)
	h.must(h.CreateStream("/aws/lambda/a", "2026/[$LATEST]1"))
	h.again()
	if got := h.lines(logs.Query{Group: "/aws/lambda/a"}); got != "" {
		t.Errorf("of a stream that was deleted: %s", got)
	}
	h.must(h.Delete(ctx, "/aws/lambda/a"))
	h.want(h.Delete(ctx, "/aws/lambda/a"), strait.NotFound)
	h.must(h.Create(ctx, "/aws/lambda/a", nil))
	if got := h.lines(logs.Query{Group: "/aws/lambda/a"}); got != "" {
		t.Errorf("of a group that was deleted: %s", got)
	}
}

// TestFind: time, streams, places and patterns choose lines.
func TestFind(t *testing.T) {
	h := open(t, 0)
	h.must(h.Create(t.Context(), "g", nil))
	for _, s := range []string{"x1", "x2", "y"} {
		h.must(h.CreateStream("g", s))
	}
	begin := h.now
	for i := range 4 {
		h.put("g", "x1", fmt.Sprintf("INFO %d", i))
		h.put("g", "x2", fmt.Sprintf("ERROR %d", i))
		h.now = h.now.Add(time.Second)
	}
	// A line that comes late, but belongs between the others.
	_, err := h.Put("g", "y", []logs.Event{{Time: begin.Add(500 * time.Millisecond), Message: `late "q" line`}}, false)
	h.must(err)
	for _, c := range []struct {
		q    logs.Query
		want string
	}{
		{logs.Query{}, `INFO 0|ERROR 0|late "q" line|INFO 1|ERROR 1|INFO 2|ERROR 2|INFO 3|ERROR 3`},
		{logs.Query{Streams: []string{"x1"}}, "INFO 0|INFO 1|INFO 2|INFO 3"},
		{logs.Query{StreamPrefix: "x", From: begin.Add(time.Second), To: begin.Add(3 * time.Second)}, "INFO 1|ERROR 1|INFO 2|ERROR 2"},
		{logs.Query{Pattern: "ERROR"}, "ERROR 0|ERROR 1|ERROR 2|ERROR 3"},
		{logs.Query{Pattern: "ERROR 2"}, "ERROR 2"},
		{logs.Query{Pattern: `"late \"q\""`}, `late "q" line`},
		{logs.Query{Pattern: "?ERROR ?late -3"}, `ERROR 0|late "q" line|ERROR 1|ERROR 2`},
		{logs.Query{Limit: 2}, "INFO 0|ERROR 0"},
		{logs.Query{Limit: 2, Last: true}, "INFO 3|ERROR 3"},
	} {
		c.q.Group = "g"
		if got := h.lines(c.q); got != c.want {
			t.Errorf("%+v: got %s, want %s", c.q, got, c.want)
		}
	}
	// Page by page is the same as at once.
	var paged []string
	for q := (logs.Query{Group: "g", Limit: 2}); ; {
		found, more, err := h.Find(q)
		h.must(err)
		for _, e := range found {
			paged = append(paged, e.Message)
		}
		if !more {
			break
		}
		q.After = found[len(found)-1].Place()
	}
	if got, want := strings.Join(paged, "|"), h.lines(logs.Query{Group: "g"}); got != want {
		t.Errorf("by pages: %s, want %s", got, want)
	}
	for _, bad := range []string{`{ $.x = 1 }`, `[a, b]`, `%x%`, `"open`, `a"b`, `""`, "-", "? x"} {
		_, _, err := h.Find(logs.Query{Group: "g", Pattern: bad})
		h.want(err, strait.Invalid)
	}
	_, _, err = h.Find(logs.Query{Group: "g", Streams: []string{"none"}})
	h.want(err, strait.NotFound)
}

// TestBounds: a batch that AWS would refuse is refused, and lines of another
// time are rejected.
func TestBounds(t *testing.T) {
	h := open(t, 0)
	h.must(h.Create(t.Context(), "g", nil))
	h.must(h.CreateStream("g", "s"))
	line := func(at time.Duration, n int) logs.Event {
		return logs.Event{Time: h.now.Add(at), Message: strings.Repeat("x", n)}
	}
	for name, batch := range map[string][]logs.Event{
		"none": {}, "empty line": {line(0, 0)}, "long line": {line(0, logs.MaxMessage+1)}, "backwards": {line(0, 1), line(-1e9, 1)},
		"long": {line(-25*time.Hour, 1), line(0, 1)}, "large": slices.Repeat([]logs.Event{line(0, logs.MaxMessage)}, 5), "many": slices.Repeat([]logs.Event{line(0, 1)}, logs.MaxEvents+1),
	} {
		if _, err := h.Put("g", "s", batch, false); strait.KindOf(err) != strait.Invalid || err == nil {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
	r, err := h.Put("g", "s", []logs.Event{line(-15*24*time.Hour, 1), line(-15*24*time.Hour, 2)}, false)
	h.must(err)
	if r.Old != 2 {
		t.Errorf("old lines: %+v", r)
	}
	r, err = h.Put("g", "s", []logs.Event{line(0, 1), line(3*time.Hour, 2)}, false)
	h.must(err)
	if r != (logs.Rejection{Old: 0, New: 1}) || h.lines(logs.Query{Group: "g"}) != "x" {
		t.Errorf("new lines: %+v, %s", r, h.lines(logs.Query{Group: "g"}))
	}
}

// TestBounded: a group takes no more than its two files, keeps what is newest,
// and forgets streams that have nothing left.
func TestBounded(t *testing.T) {
	const max = 8 << 10
	h := open(t, max)
	h.must(h.Create(t.Context(), "g", nil))
	h.must(h.CreateStream("g", "first"))
	h.put("g", "first", "the first line")
	h.must(h.CreateStream("g", "s"))
	for i := range 500 {
		h.put("g", "s", fmt.Sprintf("line %04d %s", i, strings.Repeat("x", 50)))
	}
	g, err := h.Get("g")
	h.must(err)
	if g.Bytes > 2*max || g.Bytes < max {
		t.Errorf("the files have %d bytes, want %d to %d", g.Bytes, max, 2*max)
	}
	for range 2 {
		found, _, err := h.Find(logs.Query{Group: "g"})
		h.must(err)
		last := len(found) - 1
		if last < 50 || !strings.HasPrefix(found[last].Message, "line 0499 ") || !strings.HasPrefix(found[0].Message, fmt.Sprintf("line %04d ", 499-last)) {
			t.Fatalf("kept are %d lines, from %s to %s", len(found), found[0].Message, found[last].Message)
		}
		streams, err := h.Streams("g", "")
		h.must(err)
		if len(streams) != 1 || streams[0].Name != "s" {
			t.Errorf("streams: %+v", streams)
		}
		h.again()
	}
}

// TestCutOff: what a crash left of a line is left out, and nothing else.
func TestCutOff(t *testing.T) {
	h := open(t, 0)
	h.must(h.Create(t.Context(), "g", nil))
	h.must(h.CreateStream("g", "s"))
	h.put("g", "s", "whole")
	files, err := filepath.Glob(filepath.Join(h.dir, "*", "new.jsonl"))
	h.must(err)
	f, err := os.OpenFile(files[0], os.O_APPEND|os.O_WRONLY, 0)
	h.must(err)
	_, err = f.WriteString(`{"n":9,"t":1,"s":"s","m":"ha`)
	h.must(err)
	h.must(f.Close())
	h.again()
	h.put("g", "s", "next")
	if got := h.lines(logs.Query{Group: "g"}); got != "whole|next" {
		t.Errorf("got %s", got)
	}
	h.again()
	if got := h.lines(logs.Query{Group: "g"}); got != "whole|next" {
		t.Errorf("after a restart: %s", got)
	}
}

// FuzzPattern: a pattern that is taken finds a line that has all of its plain
// words, and none that lacks one of them.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{"a b", `"a b" c`, "-a ?b", `"\\"`, "{", `"`, "a\tb"} {
		f.Add(s, "a b c")
	}
	f.Fuzz(func(t *testing.T, pattern, line string) {
		match, err := logs.Pattern(pattern)
		if err != nil {
			return
		}
		words := strings.Fields(pattern)
		if strings.ContainsAny(pattern, `"-?`) {
			return
		}
		want := true
		for _, w := range words {
			want = want && strings.Contains(line, w)
		}
		if match(line) != want {
			t.Fatalf("%q on %q: got %t", pattern, line, !want)
		}
	})
}

// FuzzRecord: a line that is cut off is not read, and one that is read is
// written back the same.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"n":1,"t":2,"i":3,"s":"s","m":"x"}`))
	f.Add([]byte(`{"s":""}`))
	f.Add([]byte(`{"s":"a"`))
	f.Add([]byte(`{"s":"a","x":true}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		again, ok := logs.Rewritten(line)
		if !ok {
			return
		}
		if !json.Valid(line) {
			t.Fatalf("%q is no JSON and was read", line)
		}
		third, ok := logs.Rewritten(again)
		if !ok || string(third) != string(again) {
			t.Fatalf("%q became %q, then %q", line, again, third)
		}
	})
}
