package function_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strait"
	"strait/function"
)

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantKind(t *testing.T, err error, kind strait.Kind) {
	t.Helper()
	if err == nil || strait.KindOf(err) != kind {
		t.Errorf("got %v, want kind %v", err, kind)
	}
}

// TestVersions: a version keeps code and configuration as they were, an alias
// names one, and each process knows which it is.
func TestVersions(t *testing.T) {
	t.Parallel()
	h := open(t)
	ctx := context.Background()
	fn := must[function.Function](t)
	one := h.create(t, "f", func(f *function.Function) { f.Environment = map[string]string{"AN": "1"} })
	v1 := fn(h.Publish(ctx, "f", "the first", one.CodeSHA256, one.Revision))
	if v1.Version != "1" || v1.Description != "the first" || v1.Revision == one.Revision {
		t.Errorf("published: %+v", v1)
	}
	if again := fn(h.Publish(ctx, "f", "", "", "")); again.Version != "1" {
		t.Errorf("published without a change: version %s, want 1", again.Version)
	}
	_, err := h.Publish(ctx, "f", "", "other", "")
	wantKind(t, err, strait.Invalid)
	_, err = h.Publish(ctx, "f", "", "", "other")
	wantKind(t, err, strait.Precondition)
	fn(h.UpdateConfig(ctx, "f", "", func(f *function.Function) { f.Environment = map[string]string{"AN": "2"} }))
	fn(h.UpdateSettings(ctx, "f", func(s *function.Settings) { s.Tags = map[string]string{"a": "b"} }))
	v2 := fn(h.Publish(ctx, "f", "", "", ""))
	fn(h.UpdateCode(ctx, "f", "", "", zipOf(t, file{"bootstrap", 0o755, "#!/bin/sh\nexit 3\n"})))

	// Each version runs as it was, beside the others, and an alias as its version.
	alias := must[function.Alias](t)
	live := alias(h.CreateAlias(ctx, function.Alias{Function: "f", Name: "live", Version: "1"}))
	for _, c := range []struct{ qualifier, version, an string }{{"1", "1", "1"}, {v2.Version, "2", "2"}, {"live", "1", "1"}} {
		for range 2 {
			res, err := h.Invoke(ctx, "f", function.Request{Payload: []byte(`{"do":"env"}`), Qualifier: c.qualifier, LogTail: true})
			if err != nil || res.FunctionError != "" || res.Version != c.version {
				t.Fatalf("invoke %s: %+v, %v", c.qualifier, res, err)
			}
			for _, want := range []string{`"AN=` + c.an + `"`, `"AWS_LAMBDA_FUNCTION_VERSION=` + c.version + `"`, "/[" + c.version + "]"} {
				if !strings.Contains(string(res.Payload), want) {
					t.Errorf("invoke %s: no %s in %s", c.qualifier, want, res.Payload)
				}
			}
			if !strings.Contains(string(res.LogTail), " Version: "+c.version+"\n") {
				t.Errorf("log: %s", res.LogTail)
			}
		}
	}
	res, err := h.Invoke(ctx, "f", function.Request{Payload: []byte(`{"do":"id"}`), Qualifier: "live"})
	if err != nil || !strings.Contains(string(res.Payload), `function:f:live"`) {
		t.Errorf("the ARN of an alias: %s, %v", res.Payload, err)
	}
	if res := h.invoke(t, "f", do{Do: "echo"}); !strings.Contains(string(res.Payload), "exit status 3") {
		t.Errorf("the function itself has new code, but said %s", res.Payload)
	}

	// The alias moves; what it named can be deleted then, and its code goes.
	wantKind(t, h.DeleteVersion(ctx, "f", "1"), strait.Conflict)
	_, err = h.UpdateAlias(ctx, "f", "live", "other", func(*function.Alias) {})
	wantKind(t, err, strait.Precondition)
	_, err = h.UpdateAlias(ctx, "f", "live", "", func(a *function.Alias) { a.Version = "9" })
	wantKind(t, err, strait.NotFound)
	moved := alias(h.UpdateAlias(ctx, "f", "live", live.Revision, func(a *function.Alias) { a.Version = "2" }))
	if moved.Revision == live.Revision || moved.Version != "2" {
		t.Errorf("moved: %+v", moved)
	}
	if err := h.DeleteVersion(ctx, "f", "1"); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"1", "3", "none", "01", "a b"} {
		_, err := h.Invoke(ctx, "f", function.Request{Qualifier: q})
		wantKind(t, err, strait.NotFound)
	}
	_, err = h.CreateAlias(ctx, function.Alias{Function: "f", Name: "live", Version: "2"})
	wantKind(t, err, strait.Exists)
	for _, bad := range []function.Alias{{Name: "7", Version: "2"}, {Name: "a b", Version: "2"}, {Name: "x", Version: "live"}} {
		bad.Function = "f"
		_, err := h.CreateAlias(ctx, bad)
		wantKind(t, err, strait.Invalid)
	}

	// All is there after a restart, and nothing after the function is deleted;
	// but numbers are not used again.
	h.Close()
	h.reopen(t)
	if res, err := h.Invoke(ctx, "f", function.Request{Payload: []byte(`{"do":"env"}`), Qualifier: "live"}); err != nil || res.Version != "2" || res.FunctionError != "" {
		t.Errorf("after a restart: %+v, %v", res, err)
	}
	if err := h.Delete(ctx, "f"); err != nil {
		t.Fatal(err)
	}
	_, err = h.Alias(ctx, "f", "live")
	wantKind(t, err, strait.NotFound)
	h.create(t, "f")
	if v := fn(h.Publish(ctx, "f", "", "", "")); v.Version != "3" {
		t.Errorf("the first version of the next function is %s, want 3", v.Version)
	}
	h.Close()
	h.reopen(t)
	zips, _ := filepath.Glob(filepath.Join(h.cfg.Dir, "code", "*.zip"))
	if len(zips) != 1 {
		t.Errorf("zips that are kept: %v", zips)
	}
}

// TestVersionsShareTheLimit: the reserved concurrency is one for all versions;
// an idle process of one makes room for another's.
func TestVersionsShareTheLimit(t *testing.T) {
	t.Parallel()
	h := open(t)
	ctx := context.Background()
	h.create(t, "f")
	if _, err := h.Publish(ctx, "f", "", "", ""); err != nil {
		t.Fatal(err)
	}
	n := 1
	if _, err := h.UpdateSettings(ctx, "f", func(s *function.Settings) { s.Reserved = &n }); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"", "1", "", "1"} {
		res, err := h.Invoke(ctx, "f", function.Request{Payload: []byte(`{"do":"calls"}`), Qualifier: q})
		if err != nil || string(res.Payload) != "1" {
			t.Errorf("invoke %q: %s, %v; want the first call of a process", q, res.Payload, err)
		}
	}
}

// sent keeps what destinations are told.
type sent struct {
	mu   sync.Mutex
	got  []string
	hops []int
	fail error
}

func (s *sent) Send(_ context.Context, f function.Function, to strait.ARN, payload []byte, trace string, hops int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got, s.hops = append(s.got, string(to)+" "+string(payload)), append(s.hops, hops)
	return s.fail
}

func (s *sent) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// TestDestinations: who is told what became of an event, and what it says.
func TestDestinations(t *testing.T) {
	t.Parallel()
	r, s := &recorder{}, &sent{}
	h := queueHouse(t, r)
	h.Close()
	h.cfg.Sender = s
	h.reopen(t)
	ctx := context.Background()
	none := 0
	if _, err := h.SetAsync(ctx, "q", "", func(a *function.Async) {
		a.Retries, a.OnSuccess, a.OnFailure = &none, "good", "bad"
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.UpdateConfig(ctx, "q", "", func(f *function.Function) { f.DeadLetter = "dead" }); err != nil {
		t.Fatal(err)
	}
	id, err := h.Queue(ctx, "q", function.Request{Payload: []byte(`{"a":1}`), Trace: "story"}, 3)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the good end is told", func() bool { return len(s.all()) == 1 && h.stored(t) == 0 })
	r.mu.Lock()
	r.fail = 1
	r.mu.Unlock()
	if _, err := h.Queue(ctx, "q", function.Request{Payload: []byte(`{"a":2}`)}, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bad end is told", func() bool { return len(s.all()) == 3 && h.stored(t) == 0 })
	type record struct {
		Version        string
		RequestContext struct {
			RequestId, FunctionArn, Condition string
			ApproximateInvokeCount            int
		}
		RequestPayload  json.RawMessage
		ResponseContext struct {
			StatusCode                     int
			ExecutedVersion, FunctionError string
		}
		ResponsePayload json.RawMessage
	}
	read := func(line, to string) (rec record) {
		rest, ok := strings.CutPrefix(line, to+" ")
		if err := json.Unmarshal([]byte(rest), &rec); err != nil || !ok {
			t.Fatalf("%s: %v", line, err)
		}
		return rec
	}
	good := read(s.all()[0], "good")
	if good.RequestContext.RequestId != id || good.RequestContext.Condition != "Success" || good.RequestContext.ApproximateInvokeCount != 1 ||
		!strings.HasSuffix(good.RequestContext.FunctionArn, "function:q:$LATEST") || string(good.RequestPayload) != `{"a":1}` || string(good.ResponsePayload) != "null" || good.Version != "1.0" || s.hops[0] != 4 {
		t.Errorf("the good end: %s", s.all()[0])
	}
	bad := read(s.all()[1], "bad")
	if bad.RequestContext.Condition != "RetriesExhausted" || bad.ResponseContext.FunctionError != "Unhandled" || !strings.Contains(string(bad.ResponsePayload), "errorMessage") {
		t.Errorf("the bad end: %s", s.all()[1])
	}
	if s.all()[2] != `dead {"a":2}` {
		t.Errorf("the dead letter: %s", s.all()[2])
	}
	// A chain that is too long ends, and is told of.
	if _, err := h.Queue(ctx, "q", function.Request{}, 16); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the chain ends", func() bool { return len(h.told("dropped")) == 2 && h.stored(t) == 0 })
}

// TestEventAge: an event that nobody could run in time is not run later.
func TestEventAge(t *testing.T) {
	t.Parallel()
	r, s := &recorder{}, &sent{}
	h := queueHouse(t, r)
	h.Close()
	var mu sync.Mutex
	now := time.Now()
	h.cfg.Sender = s
	h.cfg.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	h.cfg.Backoff = func(int) time.Duration { return time.Hour }
	h.reopen(t)
	ctx := context.Background()
	if _, err := h.SetAsync(ctx, "q", "", func(a *function.Async) { a.MaxAge, a.OnFailure = 2*time.Hour, "bad" }); err != nil {
		t.Fatal(err)
	}
	r.fail = 1
	if _, err := h.Enqueue(ctx, "q", nil, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first attempt has failed", func() bool { return len(h.told("failed")) == 1 })
	h.Close()
	mu.Lock()
	now = now.Add(3 * time.Hour)
	mu.Unlock()
	h.reopen(t)
	eventually(t, "it is given up", func() bool { return h.stored(t) == 0 })
	if got := s.all(); r.count() != 1 || len(got) != 1 || !strings.Contains(got[0], "EventAgeExceeded") {
		t.Errorf("told %v after %d attempts", got, r.count())
	}
	for _, bad := range []func(*function.Async){
		func(a *function.Async) { n := 3; a.Retries = &n },
		func(a *function.Async) { a.MaxAge = time.Second },
		func(a *function.Async) { a.MaxAge = 7 * time.Hour },
	} {
		_, err := h.SetAsync(ctx, "q", "", bad)
		wantKind(t, err, strait.Invalid)
	}
	_, err := h.Async(ctx, "q", "none")
	wantKind(t, err, strait.NotFound)
	if err := h.DeleteAsync(ctx, "q", function.Latest); err != nil {
		t.Fatal(err)
	}
	wantKind(t, h.DeleteAsync(ctx, "q", ""), strait.NotFound)
}
