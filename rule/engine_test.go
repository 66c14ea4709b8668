package rule_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strait"
	"strait/await"
	"strait/rule"
	"strait/state"
	"strait/state/local"
)

var place = strait.Place{Region: "ap-northeast-1", Account: "123456789012"}

// functions is an Invoker that keeps what it is asked for and answers as told.
type functions struct {
	mu     sync.Mutex
	answer func(ctx context.Context, arn strait.ARN, payload []byte) error
	calls  []call
	came   chan struct{}
}

type call struct{ rule, function, payload, trace string }

func newFunctions() *functions { return &functions{came: make(chan struct{}, 100_000)} }

func (f *functions) Invoke(ctx context.Context, r rule.Rule, arn strait.ARN, payload []byte, trace string) error {
	f.mu.Lock()
	answer := f.answer
	f.mu.Unlock()
	var err error
	if answer != nil {
		err = answer(ctx, arn, payload)
	}
	if err == nil {
		f.mu.Lock()
		f.calls = append(f.calls, call{r.Name, strings.TrimPrefix(arn.Resource(), "function:"), string(payload), trace})
		f.mu.Unlock()
		f.came <- struct{}{}
	}
	return err
}

func (f *functions) set(answer func(context.Context, strait.ARN, []byte) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// wait returns the calls once there are n.
func (f *functions) wait(t *testing.T, n int) []call {
	t.Helper()
	for range n {
		select {
		case <-f.came:
		case <-time.After(await.Patience):
			f.mu.Lock()
			defer f.mu.Unlock()
			t.Fatalf("waited for %d calls, got %v", n, f.calls)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// house is a store and the engine on it.
type house struct {
	*rule.Engine
	t         *testing.T
	dir       string
	cfg       rule.Config
	store     *local.Store
	functions *functions
	mu        sync.Mutex
	events    []rule.Event
}

func open(t *testing.T, alter func(*rule.Config)) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), functions: newFunctions()}
	h.cfg = rule.Config{
		Place: place, Invoker: h.functions,
		Retry:  rule.Retry{First: time.Millisecond, Max: 5 * time.Millisecond, Attempts: 5},
		Events: func(e rule.Event) { h.mu.Lock(); h.events = append(h.events, e); h.mu.Unlock() },
	}
	if alter != nil {
		alter(&h.cfg)
	}
	h.start()
	t.Cleanup(h.stop)
	return h
}

func (h *house) start() {
	h.t.Helper()
	var err error
	if h.store, err = local.Open(h.dir, local.Options{}); err != nil {
		h.t.Fatal(err)
	}
	if h.cfg.Store == nil {
		h.cfg.Store = h.store
	}
	if h.Engine, err = rule.Open(context.Background(), h.cfg); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) stop() {
	if h.Engine == nil {
		return
	}
	h.Engine.Close()
	h.store.Close()
	h.Engine, h.cfg.Store = nil, nil
}

// steps returns what was told so far, as "rule step".
func (h *house) steps() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, e := range h.events {
		out = append(out, e.Rule+" "+string(e.Step))
	}
	return out
}

func (h *house) until(step string) {
	h.t.Helper()
	if !await.Within(await.Patience, func() bool { return slices.Contains(h.steps(), step) }) {
		h.t.Fatalf("waited for %q, got %q", step, h.steps())
	}
}

func (h *house) create(name, sql string, functions ...string) {
	h.t.Helper()
	r := rule.Rule{Name: name, SQL: sql, Actions: actions(functions...)}
	if err := h.Create(context.Background(), r); err != nil {
		h.t.Fatalf("Create(%s): %v", name, err)
	}
}

func actions(functions ...string) (out []rule.Action) {
	for _, f := range functions {
		out = append(out, rule.Action{Lambda: &rule.Lambda{FunctionARN: place.Lambda(f)}})
	}
	return out
}

func (h *house) journal() int {
	h.t.Helper()
	facts, err := h.store.List(context.Background(), "rule/run/", "", 0)
	if err != nil {
		h.t.Fatal(err)
	}
	return len(facts)
}

func accept(t *testing.T, e *rule.Engine, topic, payload string) {
	t.Helper()
	wait := e.Accept(rule.Message{Topic: topic, Payload: []byte(payload), ClientID: "c", Trace: "t-" + topic})
	if wait == nil {
		t.Fatalf("Accept(%s): nothing matched", topic)
	}
	ctx, cancel := context.WithTimeout(context.Background(), await.Patience)
	defer cancel()
	if err := wait(ctx); err != nil {
		t.Fatalf("Accept(%s): wait: %v", topic, err)
	}
}

const token = `SELECT topic(1) AS name, clientToken FROM '+/token/req'`

func TestRulesComeAndGo(t *testing.T) {
	h, ctx := open(t, nil), context.Background()
	raw := json.RawMessage(`{ "sql": "...", "future": {"x": 1} }`)
	want := rule.Rule{Name: "token", SQL: token, Description: "d", Actions: actions("vend"), ErrorAction: &actions("oops")[0], Raw: raw}
	if err := h.Create(ctx, want); err != nil {
		t.Fatal(err)
	}
	same := func(when string, disabled bool) {
		t.Helper()
		got, err := h.Get("token")
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if got.SQL != token || got.SQLVersion != rule.Version2015 || got.Filter != "+/token/req" || got.Created.IsZero() || got.Description != "d" ||
			got.Actions[0].Lambda.FunctionARN != place.Lambda("vend") || got.ErrorAction.Lambda.FunctionARN != place.Lambda("oops") ||
			string(got.Raw) != string(raw) || got.Disabled != disabled {
			t.Errorf("%s: got %+v", when, got)
		}
		if m := h.Matching("d/token/req"); len(m) != 1 || m[0].Name != "token" {
			t.Errorf("%s: Matching: %v", when, m)
		}
	}
	same("created", false)
	if err := h.Create(ctx, want); strait.KindOf(err) != strait.Exists {
		t.Errorf("create again: got %v, want Exists", err)
	}
	if err := h.Disable(ctx, "token"); err != nil {
		t.Fatal(err)
	}
	same("disabled", true)
	if wait := h.Accept(rule.Message{Topic: "d/token/req"}); wait != nil || !slices.Equal(h.steps(), []string{"token disabled"}) {
		t.Errorf("a disabled rule: got %q", h.steps())
	}
	h.stop()
	h.start()
	same("after a restart", true)
	if err := h.Enable(ctx, "token"); err != nil {
		t.Fatal(err)
	}
	same("enabled", false)
	before, _ := h.Get("token")
	if err := h.Replace(ctx, rule.Rule{Name: "token", SQL: `SELECT * FROM 'other'`}); err != nil {
		t.Fatal(err)
	}
	if got, _ := h.Get("token"); !got.Created.Equal(before.Created) || got.Raw != nil || got.Description != "" || len(got.Actions) != 0 {
		t.Errorf("replaced: got %+v", got)
	}
	if len(h.Matching("d/token/req")) != 0 || len(h.Matching("other")) != 1 || len(h.List()) != 1 {
		t.Error("replaced: the old filter still matches, or the new one does not")
	}
	if err := h.Delete(ctx, "token"); err != nil {
		t.Fatal(err)
	}
	if len(h.List()) != 0 || len(h.Matching("other")) != 0 {
		t.Error("deleted, and still there")
	}
	for what, err := range map[string]error{
		"get": func() error { _, err := h.Get("token"); return err }(), "delete": h.Delete(ctx, "token"),
		"enable": h.Enable(ctx, "token"), "replace": h.Replace(ctx, rule.Rule{Name: "token", SQL: token}),
	} {
		if strait.KindOf(err) != strait.NotFound {
			t.Errorf("%s what is gone: got %v, want NotFound", what, err)
		}
	}
}

func TestRefusedRules(t *testing.T) {
	h := open(t, nil)
	eleven := actions(strings.Split("abcdefghijk", "")...)
	lambda := func(arn string) []rule.Action {
		return []rule.Action{{Lambda: &rule.Lambda{FunctionARN: strait.ARN(arn)}}}
	}
	for what, c := range map[string]struct {
		rule  rule.Rule
		thing string
	}{
		"name":        {rule.Rule{Name: "a-b", SQL: token}, "rule name"},
		"no name":     {rule.Rule{SQL: token}, "rule name"},
		"sql":         {rule.Rule{Name: "a", SQL: "SELECT"}, "sql"},
		"version":     {rule.Rule{Name: "a", SQL: token, SQLVersion: "x"}, "sql"},
		"actions":     {rule.Rule{Name: "a", SQL: token, Actions: eleven}, "action"},
		"none":        {rule.Rule{Name: "a", SQL: token, Actions: []rule.Action{{}}}, "action"},
		"republish":   {rule.Rule{Name: "a", SQL: token, Actions: []rule.Action{{Republish: &rule.Republish{Topic: "x"}}}}, "action"},
		"error":       {rule.Rule{Name: "a", SQL: token, ErrorAction: &rule.Action{}}, "action"},
		"no function": {rule.Rule{Name: "a", SQL: token, Actions: lambda("vend")}, "action"},
		"template":    {rule.Rule{Name: "a", SQL: token, Actions: lambda(string(place.Lambda("${topic(}")))}, "action"},
		"account":     {rule.Rule{Name: "a", SQL: token, Actions: lambda("arn:aws:lambda:ap-northeast-1:999999999999:function:f")}, "action"},
		"raw":         {rule.Rule{Name: "a", SQL: token, Raw: json.RawMessage(`[]`)}, "rule"},
	} {
		var e *strait.Error
		if err := h.Create(context.Background(), c.rule); !errors.As(err, &e) || e.Kind != strait.Invalid || e.Thing != c.thing {
			t.Errorf("%s: got %v, want Invalid %s", what, err, c.thing)
		}
	}
	if len(h.List()) != 0 {
		t.Errorf("refused, and there: %v", h.List())
	}
}

func TestAccept(t *testing.T) {
	h := open(t, nil)
	h.create("token", token, "vend")
	h.create("hot", `SELECT value, topic() AS topic FROM 'dev/+/temp' WHERE value > 30`, "alarm", "log")
	if wait := h.Accept(rule.Message{Topic: "nobody/cares"}); wait != nil {
		t.Error("nothing matches, and there is something to wait for")
	}
	accept(t, h.Engine, "device00/token/req", `{"name":"device01","clientToken":"x"}`)
	if got, want := h.functions.wait(t, 1)[0], (call{"token", "vend", `{"name":"device00","clientToken":"x"}`, "t-device00/token/req"}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if wait := h.Accept(rule.Message{Topic: "dev/a/temp", Payload: []byte(`{"value":29}`)}); wait != nil {
		t.Error("WHERE is false, and there is something to wait for")
	}
	accept(t, h.Engine, "dev/a/temp", `{"value":31}`)
	got := h.functions.wait(t, 2)[1:]
	slices.SortFunc(got, func(a, b call) int { return strings.Compare(a.function, b.function) })
	if got[0].function != "alarm" || got[1].function != "log" || got[0].payload != `{"value":31,"topic":"dev/a/temp"}` {
		t.Errorf("got %v", got)
	}
	// Basic Ingest: that rule only, whatever its FROM; the prefix is not seen.
	accept(t, h.Engine, "$aws/rules/hot/dev/b", `{"value":32}`)
	if got := h.functions.wait(t, 2)[3]; got.payload != `{"value":32,"topic":"dev/b"}` {
		t.Errorf("Basic Ingest: got %v", got)
	}
	if h.Accept(rule.Message{Topic: "$aws/rules/nope/dev"}) != nil {
		t.Error("an unknown rule by Basic Ingest: something to wait for")
	}
	h.until("nope no such rule")
	want := []string{"token matched", "token invoked", "hot where false", "hot matched", "hot invoked", "hot invoked", "hot matched", "hot invoked", "hot invoked", "nope no such rule"}
	if !slices.Equal(h.steps(), want) {
		t.Errorf("steps: got %q\nwant %q", h.steps(), want)
	}
	if n := h.journal(); n != 0 {
		t.Errorf("%d runs left in the journal", n)
	}
}

// An action that does not answer, or fails for now, is in the journal before
// the message is acknowledged, and is carried out after a restart.
func TestRestart(t *testing.T) {
	for name, answer := range map[string]func(context.Context, strait.ARN, []byte) error{
		"hangs": func(ctx context.Context, _ strait.ARN, _ []byte) error { <-ctx.Done(); return ctx.Err() },
		"fails": func(context.Context, strait.ARN, []byte) error { return errors.New("not now") },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, func(c *rule.Config) { c.Retry.First, c.Retry.Max = time.Minute, time.Minute })
			h.create("token", token, "vend")
			h.functions.set(answer)
			accept(t, h.Engine, "device00/token/req", `{}`)
			if n := h.journal(); n != 1 {
				t.Fatalf("acknowledged with %d runs in the journal, want 1", n)
			}
			h.stop()
			h.functions.set(nil)
			h.start()
			if len(h.functions.calls) != 0 {
				t.Fatal("called before Resume")
			}
			h.Resume()
			h.Resume()
			if got := h.functions.wait(t, 1)[0]; got.payload != `{"name":"device00"}` || got.trace != "t-device00/token/req" {
				t.Errorf("got %v", got)
			}
			await.Until(t, "an empty journal", func() bool { return h.journal() == 0 })
			if len(h.functions.came) != 0 {
				t.Error("called twice")
			}
		})
	}
}

func TestRetry(t *testing.T) {
	h := open(t, nil)
	h.create("token", token, "vend", "fine")
	var mu sync.Mutex
	n := 0
	h.functions.set(func(_ context.Context, arn strait.ARN, _ []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if arn == place.Lambda("vend") {
			if n++; n < 4 {
				return strait.Errorf(strait.Unavailable, "function", "not now")
			}
		}
		return nil
	})
	accept(t, h.Engine, "a/token/req", `{}`)
	h.functions.wait(t, 2)
	await.Until(t, "an empty journal", func() bool { return h.journal() == 0 })
	if got := len(h.functions.calls); got != 2 {
		t.Errorf("got %d calls, want each function once", got)
	}
}

// What fails for good starts the error action, which gets the whole story.
func TestErrorAction(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		calls int
		says  string
	}{
		"final":   {strait.Errorf(strait.Denied, "function", "iot.amazonaws.com may not"), 1, "iot.amazonaws.com may not"},
		"at last": {errors.New("secret path"), 5, "the action failed"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, nil)
			r := rule.Rule{Name: "token", SQL: token, Actions: actions("vend"), ErrorAction: &actions("oops")[0]}
			if err := h.Create(context.Background(), r); err != nil {
				t.Fatal(err)
			}
			calls := 0
			h.functions.set(func(_ context.Context, arn strait.ARN, _ []byte) error {
				if arn == place.Lambda("vend") {
					calls++
					return c.err
				}
				return nil
			})
			accept(t, h.Engine, "a/token/req", `{"x":1}`)
			got := h.functions.wait(t, 1)[0]
			want := `{"ruleName":"token","topic":"a/token/req","cloudwatchTraceId":"t-a/token/req","clientId":"c","base64OriginalPayload":"eyJ4IjoxfQ==",` +
				`"failures":[{"failedAction":"LambdaAction","failedResource":"` + string(place.Lambda("vend")) + `","errorMessage":"` + c.says + `"}]}`
			if got.function != "oops" || got.payload != want {
				t.Errorf("got %v\nwant %s", got, want)
			}
			if calls != c.calls {
				t.Errorf("tried %d times, want %d", calls, c.calls)
			}
			h.until("token failed")
		})
	}
	t.Run("no document", func(t *testing.T) {
		h := open(t, nil)
		r := rule.Rule{Name: "all", SQL: `SELECT * FROM 'a'`, Actions: actions("f"), ErrorAction: &actions("oops")[0]}
		if err := h.Create(context.Background(), r); err != nil {
			t.Fatal(err)
		}
		accept(t, h.Engine, "a", "\x00\x01")
		if got := h.functions.wait(t, 1)[0]; got.function != "oops" || !strings.Contains(got.payload, `"AAE="`) || !strings.Contains(got.payload, "not JSON") {
			t.Errorf("got %v", got)
		}
	})
	t.Run("without one", func(t *testing.T) {
		h := open(t, nil)
		h.create("token", token, "vend")
		h.functions.set(func(context.Context, strait.ARN, []byte) error {
			return strait.Errorf(strait.NotFound, "function", "no")
		})
		accept(t, h.Engine, "a/token/req", `{}`) // done: sending it again would not help
		if !slices.Equal(h.steps(), []string{"token matched", "token failed"}) || h.journal() != 0 {
			t.Errorf("got %q, %d in the journal", h.steps(), h.journal())
		}
	})
}

// broken is a store on a full disk.
type broken struct{ state.Store }

func (b broken) Apply(ctx context.Context, w ...state.Write) (state.Revision, error) {
	if strings.HasPrefix(w[0].Key, "rule/run/") {
		return 0, errors.New("disk full at /some/path")
	}
	return b.Store.Apply(ctx, w...)
}

// What cannot be made durable is not acknowledged.
func TestNothingIsAcknowledgedUnsafely(t *testing.T) {
	dir := t.TempDir()
	store, err := local.Open(dir, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	h := open(t, func(c *rule.Config) { c.Store = broken{store} })
	h.create("token", token, "vend")
	h.functions.set(func(context.Context, strait.ARN, []byte) error { return errors.New("not now") })
	wait := h.Accept(rule.Message{Topic: "a/token/req"})
	for range 2 {
		err := wait(context.Background())
		if strait.KindOf(err) != strait.Unavailable || strings.Contains(err.Error(), "/some/path") {
			t.Errorf("got %v, want Unavailable, without the cause", err)
		}
	}
	// Slow to hand over, no journal, but handed over in the end: that is safe.
	h.functions.set(func(context.Context, strait.ARN, []byte) error { time.Sleep(60 * time.Millisecond); return nil })
	accept(t, h.Engine, "b/token/req", "")
}

func TestPendingIsBounded(t *testing.T) {
	h := open(t, func(c *rule.Config) { c.MaxPending = 3 })
	h.create("token", token, "vend")
	release := make(chan struct{})
	h.functions.set(func(ctx context.Context, _ strait.ARN, _ []byte) error { <-release; return nil })
	for range 3 {
		accept(t, h.Engine, "a/token/req", `{}`)
	}
	wait := h.Accept(rule.Message{Topic: "a/token/req"})
	if err := wait(context.Background()); strait.KindOf(err) != strait.Unavailable {
		t.Errorf("a fourth run: got %v, want Unavailable", err)
	}
	h.until("token dropped")
	close(release)
	h.functions.wait(t, 3)
	await.Until(t, "an empty journal", func() bool { return h.journal() == 0 })
	accept(t, h.Engine, "a/token/req", `{}`)
	// After closing nothing is taken, and nobody waits for ever.
	e := h.Engine
	e.Close()
	if err := e.Accept(rule.Message{Topic: "a/token/req"})(context.Background()); strait.KindOf(err) != strait.Unavailable {
		t.Errorf("after Close: got %v, want Unavailable", err)
	}
}

// Deleting a rule stops what it has not handed over yet.
func TestDeleteStopsRetries(t *testing.T) {
	h := open(t, func(c *rule.Config) { c.Retry.Attempts = 1000 })
	h.create("token", token, "vend")
	h.functions.set(func(context.Context, strait.ARN, []byte) error { return errors.New("not now") })
	accept(t, h.Engine, "a/token/req", `{}`)
	if err := h.Delete(context.Background(), "token"); err != nil {
		t.Fatal(err)
	}
	h.until("token dropped")
	await.Until(t, "an empty journal", func() bool { return h.journal() == 0 })
}

// What another engine changes in the same store is seen here, too.
func TestOthersChangesAreSeen(t *testing.T) {
	h, ctx := open(t, nil), context.Background()
	other, err := rule.Open(ctx, h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	h.create("token", token, "vend")
	await.Until(t, "created", func() bool { return len(other.Matching("a/token/req")) == 1 })
	if err := other.Disable(ctx, "token"); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "disabled", func() bool { r, _ := h.Get("token"); return r.Disabled })
	if err := h.Delete(ctx, "token"); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "deleted", func() bool { return len(other.List()) == 0 })
	h.create("token", token, "vend")
	await.Until(t, "created again", func() bool { return len(other.Matching("a/token/req")) == 1 })
}

// What was changed here is not undone by the late echo of an older change.
func TestOwnChangesHold(t *testing.T) {
	h, ctx := open(t, nil), context.Background()
	for range 30 {
		h.create("token", token, "vend")
		if err := h.Disable(ctx, "token"); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(5 * time.Millisecond); time.Now().Before(end); {
			if r, err := h.Get("token"); err != nil || !r.Disabled {
				t.Fatalf("disabled, and then: %v, disabled %v", err, r.Disabled)
			}
		}
		if err := h.Delete(ctx, "token"); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(5 * time.Millisecond); time.Now().Before(end); {
			if len(h.List()) != 0 {
				t.Fatal("deleted, and there again")
			}
		}
	}
}

func TestMatching(t *testing.T) {
	h := open(t, nil)
	filters := []string{"a", "a/#", "a/b", "a/+", "+", "+/b", "#", "+/#", "a/+/c", "a//c", "/", "/a", "$aws/#", "$aws/things/+/x", "a/b/#", "+/+"}
	for i, f := range filters {
		h.create(fmt.Sprintf("r%02d", i), "SELECT * FROM '"+f+"'")
	}
	for _, topic := range []string{"a", "a/b", "a/b/c", "a//c", "/", "/a", "a/", "$aws/x", "$aws", "$aws/things/t/x", "b", "b/b", "", "a/b/c/d", "$x/b", "+", "a/+", "#"} {
		var want []string
		for i, f := range filters {
			if slowMatch(strings.Split(f, "/"), strings.Split(topic, "/"), true) && topic != "" {
				want = append(want, fmt.Sprintf("r%02d", i))
			}
		}
		var got []string
		for _, r := range h.Matching(topic) {
			got = append(got, r.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("Matching(%q): got %v, want %v", topic, got, want)
		}
	}
}

// slowMatch is the rule of topic filters, written plainly.
func slowMatch(filter, topic []string, first bool) bool {
	if len(filter) == 0 || len(topic) == 0 {
		return len(filter) == len(topic)
	}
	wild := !first || !strings.HasPrefix(topic[0], "$")
	switch {
	case filter[0] == "#":
		return wild
	case filter[0] == "+" && wild, filter[0] == topic[0]:
		return slowMatch(filter[1:], topic[1:], false)
	}
	return false
}

// BenchmarkAccept: one message among many rules, of which none (y) or one (x) matches,
// costs what the ones that match cost.
func BenchmarkAccept(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		for _, topic := range []string{"dev/0/a/y", "dev/0/a/x"} {
			b.Run(fmt.Sprintf("rules=%d/%s", n, topic[len(topic)-1:]), func(b *testing.B) {
				e := rulesFor(b, n)
				m := rule.Message{Topic: topic, Payload: []byte(`{"v":1}`)}
				b.ReportAllocs()
				for b.Loop() {
					if wait := e.Accept(m); wait != nil {
						b.Fatal("a rule without actions has nothing to wait for")
					}
				}
			})
		}
	}
}

func rulesFor(t testing.TB, n int) *rule.Engine {
	store, err := local.Open(t.TempDir(), local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	e, err := rule.Open(context.Background(), rule.Config{Store: store, Invoker: newFunctions(), Place: place})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	for i := range n {
		if err := e.Create(context.Background(), rule.Rule{Name: fmt.Sprintf("r%d", i), SQL: fmt.Sprintf("SELECT v + 1 AS w FROM 'dev/%d/+/x' WHERE v > 0", i)}); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// TestManyRulesCostNothing: hundreds of rules that do not match take no work at
// all; counted in allocations, which do not depend on the machine.
func TestManyRulesCostNothing(t *testing.T) {
	m := rule.Message{Topic: "dev/0/a/x", Payload: []byte(`{"v":1}`)}
	cost := func(n int) float64 {
		e := rulesFor(t, n)
		return testing.AllocsPerRun(200, func() { e.Accept(m) })
	}
	// One or two come from pools that the race detector and others' garbage empty.
	if one, many := cost(1), cost(300); many > one+3 {
		t.Errorf("a message allocates %v times with one rule and %v times with three hundred", one, many)
	}
}
