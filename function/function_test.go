package function_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"strait"
	"strait/await"
	"strait/function"
	"strait/state"
	"strait/state/local"
)

func TestMain(m *testing.M) {
	function.MaybeSandboxMain()
	code := m.Run()
	if probeDir != "" && os.Getenv("STRAIT_TEST_PROBE") == "" {
		os.RemoveAll(probeDir)
	}
	os.Exit(code)
}

var (
	probeOnce sync.Once
	probeDir  string
	probeErr  error
)

// probe builds testdata/probe: a real Go function with AWS's own client of the
// Runtime API.
func probe(t *testing.T) []byte {
	t.Helper()
	probeOnce.Do(func() {
		if file := os.Getenv("STRAIT_TEST_PROBE"); file != "" {
			probeDir = filepath.Dir(file)
			return
		}
		if probeDir, probeErr = os.MkdirTemp("", "probe-"); probeErr != nil {
			return
		}
		cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(probeDir, "bootstrap"), "./testdata/probe")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			probeErr = fmt.Errorf("%w: %s", err, out)
		}
	})
	if probeErr != nil {
		t.Fatal(probeErr)
	}
	data, err := os.ReadFile(filepath.Join(probeDir, "bootstrap"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// probeZip is made once.
func probeZip(t *testing.T) []byte {
	data := probe(t)
	zipOnce.Do(func() { zipped = zipOf(t, file{"bootstrap", 0o755, string(data)}) })
	return zipped
}

var (
	zipOnce sync.Once
	zipped  []byte
)

type file struct {
	name string
	mode fs.FileMode
	body string
}

func zipOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Store} // stored: compressing the probe takes longer than most tests
		h.SetMode(f.mode)
		out, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		out.Write([]byte(f.body))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// minter hands out credentials with numbers for names.
type minter struct {
	mu     sync.Mutex
	n      int
	life   time.Duration
	refuse error
}

func (m *minter) Credentials(ctx context.Context, f function.Function) (strait.Credentials, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse != nil {
		return strait.Credentials{}, m.refuse
	}
	m.n++
	life := m.life
	if life == 0 {
		life = time.Hour
	}
	return strait.Credentials{AccessKeyID: fmt.Sprintf("ASIATEST%d", m.n), SecretAccessKey: "secret", SessionToken: "token", Expiration: time.Now().Add(life)}, nil
}

// Log is function.Logger: it keeps all lines.
func (h *house) Log(f function.Function, _ strait.Credentials, stream string, lines []function.LogLine) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range lines {
		h.lines = append(h.lines, line{f.Name, stream, l.Text})
	}
}

type line struct{ function, stream, text string }

type house struct {
	lines []line
	*function.Engine
	dir    string
	minter *minter
	cfg    function.Config

	mu     sync.Mutex
	events []function.Event
}

func (h *house) told(kind string) []function.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	var some []function.Event
	for _, e := range h.events {
		if e.Kind == kind {
			some = append(some, e)
		}
	}
	return some
}

func open(t *testing.T, change ...func(*function.Config)) *house {
	t.Helper()
	h := &house{dir: t.TempDir(), minter: &minter{}}
	h.cfg = function.Config{Dir: filepath.Join(h.dir, "functions"), Credentials: h.minter,
		Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"},
		Events: func(e function.Event) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.events = append(h.events, e)
		}}
	h.cfg.Logs = h
	for _, c := range change {
		c(&h.cfg)
	}
	h.cfg.Store = openStore(t, h.dir)
	h.reopen(t)
	return h
}

func openStore(t *testing.T, dir string) state.Store {
	t.Helper()
	s, err := local.Open(filepath.Join(dir, "state"), local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (h *house) reopen(t *testing.T) {
	t.Helper()
	e, err := function.Open(context.Background(), h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.Engine = e
	e.Resume()
	t.Cleanup(func() { e.Close() })
}

func spec(name, runtime, handler string) function.Function {
	return function.Function{Name: name, Role: "arn:aws:iam::123456789012:role/create-token", Runtime: runtime, Handler: handler, Timeout: 60}
}

// create makes a function of the probe called name.
func (h *house) create(t *testing.T, name string, change ...func(*function.Function)) function.Function {
	t.Helper()
	f := spec(name, "provided.al2023", "bootstrap")
	for _, c := range change {
		c(&f)
	}
	f, err := h.Create(context.Background(), f, probeZip(t))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (h *house) invoke(t *testing.T, name string, event any) function.Result {
	t.Helper()
	data, _ := json.Marshal(event)
	res, err := h.Invoke(context.Background(), name, function.Request{Payload: data, LogTail: true, Trace: "trace-" + name})
	if err != nil {
		t.Fatalf("invoke %s: %v", name, err)
	}
	return res
}

type do struct {
	Do   string
	Args []string `json:",omitempty"`
	Size int      `json:",omitempty"`
}

// good invokes and decodes the answer, which must be no error.
func good[T any](t *testing.T, h *house, name string, event any) T {
	t.Helper()
	res := h.invoke(t, name, event)
	if res.FunctionError != "" {
		t.Fatalf("invoke %s with %v: failed: %s\n%s", name, event, res.Payload, res.LogTail)
	}
	var v T
	if err := json.Unmarshal(res.Payload, &v); err != nil {
		t.Fatalf("invoke %s: %s: %v", name, res.Payload, err)
	}
	return v
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	await.Until(t, what, cond)
}

func TestInvokeReusesAProcess(t *testing.T) {
	t.Parallel()
	h := open(t)
	f := h.create(t, "echo")
	if got := good[[]string](t, h, "echo", do{Do: "echo", Args: []string{"a", "b"}}); len(got) != 2 || got[1] != "b" {
		t.Errorf("echo: got %v", got)
	}
	if got := good[int](t, h, "echo", do{Do: "calls"}); got != 2 {
		t.Errorf("second call in the same process: got call number %d, want 2", got)
	}
	id := good[map[string]any](t, h, "echo", do{Do: "id"})
	if id["arn"] != string(f.ARN) {
		t.Errorf("invoked ARN: got %v, want %v", id["arn"], f.ARN)
	}
	// Tags and reserved concurrency are nothing to a process that runs.
	n := 5
	set, err := h.UpdateSettings(context.Background(), "echo", func(s *function.Settings) { s.Reserved, s.Tags = &n, map[string]string{"a": "b"} })
	if err != nil || set.Revision != f.Revision || *set.Reserved != 5 || set.Tags["a"] != "b" {
		t.Errorf("settings: got %+v, %v", set, err)
	}
	if got := good[int](t, h, "echo", do{Do: "calls"}); got != 4 {
		t.Errorf("call after other settings: got call number %d, want 4 of the same process", got)
	}
	// A change of configuration means a new process.
	if _, err := h.UpdateConfig(context.Background(), "echo", f.Revision, func(f *function.Function) { f.Environment = map[string]string{"AN": "other"} }); err != nil {
		t.Fatal(err)
	}
	if got := good[int](t, h, "echo", do{Do: "calls"}); got != 1 {
		t.Errorf("call after an update: got call number %d, want 1 of a new process", got)
	}
	if _, err := h.UpdateConfig(context.Background(), "echo", f.Revision, func(f *function.Function) {}); strait.KindOf(err) != strait.Precondition {
		t.Errorf("update with an old revision: got %v, want Precondition", err)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.create(t, "probe")
	h.create(t, "late", func(f *function.Function) { f.Timeout = 4 })
	for _, c := range []struct {
		event do
		kind  string
		says  string
	}{
		{do{Do: "error"}, "errorString", "as told"},
		{do{Do: "panic"}, "string", "as told"},
		{do{Do: "exit"}, "Runtime.ExitError", "Error: Runtime exited with error: exit status 7"},
		{do{Do: "sleep", Args: []string{"30s"}}, "Sandbox.Timedout", "Error: Task timed out after 4.00 seconds"},
		{do{Do: "size", Size: 7 << 20}, "Function.ResponseSizeTooLarge", ""},
	} {
		name := "probe"
		if c.event.Do == "sleep" {
			name = "late"
		}
		res := h.invoke(t, name, c.event)
		var said struct{ ErrorType, ErrorMessage string }
		json.Unmarshal(res.Payload, &said)
		if res.FunctionError != "Unhandled" || said.ErrorType != c.kind || !strings.Contains(said.ErrorMessage, c.says) {
			t.Errorf("%s: got %q %s, want Unhandled %s %q", c.event.Do, res.FunctionError, res.Payload, c.kind, c.says)
		}
		// The next one is served by whatever process there is.
		if got := good[[]string](t, h, name, do{Do: "echo", Args: []string{"x"}}); len(got) != 1 {
			t.Errorf("after %s: got %v", c.event.Do, got)
		}
	}
	if got := len(h.told("failed")); got != 5 {
		t.Errorf("events of failures: got %d, want 5", got)
	}
}

func TestFailuresOfTheStart(t *testing.T) {
	t.Parallel()
	h := open(t)
	for name, want := range map[string]string{"exit": "Runtime.ExitError", "error": "Init.Bad"} {
		h.create(t, name, func(f *function.Function) { f.Environment = map[string]string{"PROBE_INIT": name} })
		res := h.invoke(t, name, do{Do: "echo"})
		if res.FunctionError != "Unhandled" || !strings.Contains(string(res.Payload), want) {
			t.Errorf("init that does %s: got %q %s, want %s", name, res.FunctionError, res.Payload, want)
		}
	}
	for _, f := range []file{{"bootstrap", 0o644, "#!/bin/sh\n"}, {"other", 0o755, ""}, {"bootstrap", 0o755, "no program"}} {
		name := fmt.Sprintf("%s-%o", f.name, f.mode) + strings.ReplaceAll(f.body[:min(2, len(f.body))], "#!", "sh")
		if _, err := h.Create(context.Background(), spec(name, "provided.al2", ""), zipOf(t, f)); err != nil {
			t.Fatal(err)
		}
		res := h.invoke(t, name, do{})
		if !strings.Contains(string(res.Payload), "Runtime.InvalidEntrypoint") {
			t.Errorf("zip with %s mode %o: got %s, want Runtime.InvalidEntrypoint", f.name, f.mode, res.Payload)
		}
	}
	h.minter.refuse = strait.Errorf(strait.Denied, "role", "The role defined for the function cannot be assumed by Lambda.")
	h.create(t, "norole")
	if _, err := h.Invoke(context.Background(), "norole", function.Request{}); strait.KindOf(err) != strait.Denied {
		t.Errorf("role that may not be assumed: got %v, want Denied", err)
	}
	if got := h.told("refused"); len(got) != 1 {
		t.Errorf("events of refusals: got %v, want 1", got)
	}
}

func TestSlowInit(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 11 s: the limit is the contract's")
	}
	h := open(t)
	h.create(t, "slow", func(f *function.Function) {
		f.Environment = map[string]string{"PROBE_INIT": "sleep"}
		f.Timeout = 1
	})
	res := h.invoke(t, "slow", do{})
	if !strings.Contains(string(res.Payload), "Sandbox.Timedout") || !strings.Contains(string(res.Payload), "after 1.00 seconds") {
		t.Errorf("init that never ends: got %s, want Sandbox.Timedout after 1.00 seconds", res.Payload)
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.create(t, "f")
	ctx := context.Background()
	for _, c := range []struct {
		what    string
		name    string
		payload string
		kind    strait.Kind
	}{
		{"no function", "none", "{}", strait.NotFound},
		{"a bad name", "../f", "{}", strait.NotFound},
		{"bad JSON", "f", "{", strait.Invalid},
		{"too much", "f", `"` + strings.Repeat("x", function.MaxSync) + `"`, strait.TooLarge},
	} {
		if _, err := h.Invoke(ctx, c.name, function.Request{Payload: []byte(c.payload)}); strait.KindOf(err) != c.kind {
			t.Errorf("invoke with %s: got %v, want kind %d", c.what, err, c.kind)
		}
		if _, err := h.Enqueue(ctx, c.name, []byte(c.payload), ""); strait.KindOf(err) != c.kind {
			t.Errorf("enqueue with %s: got %v, want kind %d", c.what, err, c.kind)
		}
	}
	if _, err := h.Enqueue(ctx, "f", []byte(`"`+strings.Repeat("x", function.MaxAsync)+`"`), ""); strait.KindOf(err) != strait.TooLarge {
		t.Errorf("enqueue over 1 MiB: got %v, want TooLarge", err)
	}
}

func TestManage(t *testing.T) {
	t.Parallel()
	h := open(t)
	ctx := context.Background()
	z := zipOf(t, file{"index.py", 0o644, ""})
	f, err := h.Create(ctx, function.Function{Name: "a", Role: "arn:aws:iam::123456789012:role/r", Runtime: "python3.12", Handler: "index.handler"}, z,
		state.Write{Key: "other/doc", Value: []byte("x")})
	if err != nil || f.Timeout != 3 || f.MemorySize != 128 || f.ARN != "arn:aws:lambda:ap-northeast-1:123456789012:function:a" {
		t.Fatalf("create: got %+v, %v", f, err)
	}
	if _, err := h.cfg.Store.Get(ctx, "other/doc"); err != nil {
		t.Errorf("a write in the same batch: %v", err)
	}
	if _, err := h.Create(ctx, f, z); strait.KindOf(err) != strait.Exists {
		t.Errorf("create again: got %v, want Exists", err)
	}
	for what, change := range map[string]func(*function.Function){
		"name":        func(f *function.Function) { f.Name = "a/b" },
		"role":        func(f *function.Function) { f.Role = "r" },
		"runtime":     func(f *function.Function) { f.Runtime = "ruby3.2" },
		"handler":     func(f *function.Function) { f.Handler = "" },
		"timeout":     func(f *function.Function) { f.Timeout = 901 },
		"memory":      func(f *function.Function) { f.MemorySize = 64 },
		"environment": func(f *function.Function) { f.Environment = map[string]string{"AWS_SESSION_TOKEN": "x"} },
	} {
		g := f
		g.Name = "b"
		change(&g)
		var e *strait.Error
		if _, err := h.Create(ctx, g, z); strait.KindOf(err) != strait.Invalid || !asError(err, &e) || e.Thing != what {
			t.Errorf("create with a bad %s: got %v, want Invalid %s", what, err, what)
		}
	}
	g, err := h.UpdateCode(ctx, "a", "", "", zipOf(t, file{"index.py", 0o644, "x = 1"}))
	if err != nil || g.CodeSHA256 == f.CodeSHA256 || g.Revision == f.Revision {
		t.Errorf("update code: got %+v, %v", g, err)
	}
	h.create(t, "b")
	if list, err := h.List(ctx, "a", 10); err != nil || len(list) != 1 || list[0].Name != "b" {
		t.Errorf("list after a: got %v, %v", list, err)
	}
	if err := h.Delete(ctx, "a", state.Write{Key: "other/doc", Delete: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Get(ctx, "a"); strait.KindOf(err) != strait.NotFound {
		t.Errorf("get after delete: got %v, want NotFound", err)
	}
	if err := h.Delete(ctx, "a"); strait.KindOf(err) != strait.NotFound {
		t.Errorf("delete again: got %v, want NotFound", err)
	}
}

func asError(err error, into **strait.Error) bool {
	e, ok := err.(*strait.Error)
	*into = e
	return ok
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	h := open(t)
	one, none := 1, 0
	h.create(t, "one", func(f *function.Function) { f.Reserved = &one })
	h.create(t, "none", func(f *function.Function) { f.Reserved = &none })
	h.create(t, "many")
	if _, err := h.Invoke(context.Background(), "none", function.Request{}); strait.KindOf(err) != strait.Limit {
		t.Errorf("reserved 0: got %v, want Limit", err)
	}
	sleep, _ := json.Marshal(do{Do: "sleep", Args: []string{"2s"}})
	both := func(name string) (errs []error) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for range 2 {
			wg.Go(func() {
				_, err := h.Invoke(context.Background(), name, function.Request{Payload: sleep})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					errs = append(errs, err)
				}
			})
		}
		wg.Wait()
		return errs
	}
	if errs := both("one"); len(errs) != 1 || strait.KindOf(errs[0]) != strait.Limit {
		t.Errorf("two at a time with reserved 1: got %v, want one Limit", errs)
	}
	if errs := both("many"); len(errs) != 0 {
		t.Errorf("two at a time: got %v", errs)
	}
	// One after the other is never too many.
	for i := range 20 {
		if res := h.invoke(t, "one", do{Do: "echo"}); res.FunctionError != "" {
			t.Fatalf("call %d: %s", i, res.Payload)
		}
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.create(t, "talk")
	res := h.invoke(t, "talk", do{Do: "print", Args: []string{"hello", "world"}})
	tail := string(res.LogTail)
	want := []string{"START RequestId: " + res.RequestID + " Version: $LATEST\n", "hello\nworld\nno newline\n", "END RequestId: " + res.RequestID + "\n", "REPORT RequestId: " + res.RequestID + "\tDuration: "}
	at := 0
	for _, w := range want {
		i := strings.Index(tail[at:], w)
		if i < 0 {
			t.Fatalf("log tail: %q not found in order in\n%s", w, tail)
		}
		at += i
	}
	if !strings.Contains(tail, "Init Duration: ") {
		t.Errorf("first log tail has no Init Duration:\n%s", tail)
	}
	// The same lines, and no empty ones, came to the Logger, in one stream.
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range h.lines {
		if l.function != "talk" || l.stream != h.lines[0].stream || !strings.Contains(l.stream, "/[$LATEST]") {
			t.Errorf("a line of %s in %s", l.function, l.stream)
		}
		got = append(got, l.text)
	}
	if text := strings.Join(got, "\n") + "\n"; text != tail {
		t.Errorf("logged: %q, want %q", text, tail)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("AWS_SECRET_OF_THE_SERVER", "x")
	h := open(t, func(c *function.Config) {
		c.Environment = func(function.Function) []string { return []string{"AWS_ENDPOINT_URL=http://here", "MINE=server"} }
	})
	h.create(t, "env", func(f *function.Function) { f.Environment = map[string]string{"MINE": "customer"} })
	got := map[string]string{}
	for _, kv := range good[[]string](t, h, "env", do{Do: "env"}) {
		k, v, _ := strings.Cut(kv, "=")
		got[k] = v
	}
	for k, want := range map[string]string{"AWS_ENDPOINT_URL": "http://here", "MINE": "customer", "AWS_REGION": "ap-northeast-1", "AWS_LAMBDA_FUNCTION_NAME": "env",
		"AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_SESSION_TOKEN": "token", "_HANDLER": "bootstrap", "AWS_SECRET_OF_THE_SERVER": "", "AWS_EXECUTION_ENV": ""} {
		if got[k] != want {
			t.Errorf("%s: got %q, want %q", k, got[k], want)
		}
	}
}

func TestCurrentTrace(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.create(t, "work")
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.invoke(t, "work", do{Do: "sleep", Args: []string{"2s"}})
	}()
	eventually(t, "the trace is known while the function works", func() bool {
		trace, ok := h.Current("ASIATEST1")
		return ok && trace == "trace-work"
	})
	<-done
	eventually(t, "the trace is forgotten afterwards", func() bool {
		_, ok := h.Current("ASIATEST1")
		return !ok
	})
}

func TestCredentialsAreRenewed(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.minter.life = time.Second // half of it is kept in reserve
	h.create(t, "f")
	first := good[map[string]any](t, h, "f", do{Do: "id"})["pid"]
	time.Sleep(600 * time.Millisecond) // the clock is the subject here
	if second := good[map[string]any](t, h, "f", do{Do: "id"})["pid"]; first == second {
		t.Error("a process was used after its time to retire")
	}
}

func TestNative(t *testing.T) {
	t.Parallel()
	var seen function.Invocation
	h := open(t, func(c *function.Config) {
		c.Natives = map[string]function.Native{"vend 1": func(ctx context.Context, inv function.Invocation) ([]byte, error) {
			seen = inv
			switch string(inv.Event) {
			case `"panic"`:
				panic("as told")
			case `"wait"`:
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return []byte(`"native"`), nil
		}}
	})
	for name, says := range map[string]string{"agrees": "vend 1\n", "other": "vend 2"} {
		f := spec(name, "provided.al2023", "bootstrap")
		if name == "agrees" {
			f.Timeout = 1
		}
		if _, err := h.Create(context.Background(), f, zipOf(t, file{"bootstrap", 0o755, string(probe(t))}, file{"strait-native", 0o644, says})); err != nil {
			t.Fatal(err)
		}
	}
	if res := h.invoke(t, "agrees", do{Do: "echo"}); string(res.Payload) != `"native"` || seen.Trace != "trace-agrees" || seen.Credentials.AccessKeyID == "" {
		t.Errorf("the same version: got %s, %+v, want the native one", res.Payload, seen)
	}
	if res := h.invoke(t, "other", do{Do: "echo", Args: []string{"x"}}); string(res.Payload) != `["x"]` {
		t.Errorf("another version: got %s, want the binary's answer", res.Payload)
	}
	if res := h.invoke(t, "agrees", "panic"); res.FunctionError != "Unhandled" {
		t.Errorf("native that panics: got %+v", res)
	}
	if res := h.invoke(t, "agrees", "wait"); !strings.Contains(string(res.Payload), "Sandbox.Timedout") {
		t.Errorf("native that waits: got %s, want Sandbox.Timedout", res.Payload)
	}
}

func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	h := open(t)
	run := t.TempDir()
	if os.Getuid() == 0 {
		run = "" // other uids cannot enter a test's directory
	}
	if run != "" {
		h.Close()
		h.cfg.Run = run
		h.reopen(t)
	}
	h.create(t, "f")
	h.create(t, "g")
	pids := good[[]int](t, h, "f", do{Do: "linger"})
	pids = append(pids, good[[]int](t, h, "g", do{Do: "linger"})...)
	if err := h.Delete(context.Background(), "g"); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids[2:] {
		if alive(pid) {
			t.Errorf("process %d lives after its function was deleted", pid)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids[:2] {
		if alive(pid) {
			t.Errorf("process %d lives after Close", pid)
		}
	}
	if run != "" {
		if left, _ := os.ReadDir(run); len(left) != 0 {
			t.Errorf("left in %s: %v", run, left)
		}
	}
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
