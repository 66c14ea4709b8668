package function_test

import (
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"strait/function"
)

const pythonCode = `
import os, sys, logging, time, json
log = logging.getLogger()
def handler(event, context):
    do = event.get("do")
    if do == "error": raise KeyError("as told")
    if do == "object": return object()
    if do == "exit":
        print("last words")
        os._exit(4)
    if do == "log":
        log.warning("careful")
        print("plain")
    if do == "tmp":
        with open(os.path.join(os.environ["TMPDIR"], "x"), "w") as f: f.write("y")
        return True
    if do == "code":
        open(os.path.join(os.environ["LAMBDA_TASK_ROOT"], "x"), "w")
    if do == "boto":
        import boto3
        return boto3.client("sts").get_caller_identity()["Arn"]
    return {"event": event, "id": context.aws_request_id, "left": context.get_remaining_time_in_millis(),
            "memory": context.memory_limit_in_mb, "name": context.function_name, "trace": os.environ.get("_X_AMZN_TRACE_ID")}
`

func TestPython(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3 here")
	}
	h := open(t)
	ctx := context.Background()
	if _, err := h.Create(ctx, spec("py", "python3.11", "pkg/index.handler"), zipOf(t, file{"pkg/__init__.py", 0o644, ""}, file{"pkg/index.py", 0o644, pythonCode})); err != nil {
		t.Fatal(err)
	}
	got := good[map[string]any](t, h, "py", map[string]any{"name": "日本"})
	if got["event"].(map[string]any)["name"] != "日本" || got["memory"] != "128" || got["name"] != "py" || got["left"].(float64) < 1000 || !strings.HasPrefix(got["trace"].(string), "Root=1-") {
		t.Errorf("python: got %v", got)
	}
	for event, want := range map[string]string{"error": `"errorType": "KeyError"`, "object": "Runtime.MarshalError", "exit": "exit status 4", "code": "Error"} {
		if res := h.invoke(t, "py", map[string]string{"do": event}); res.FunctionError != "Unhandled" || !strings.Contains(string(res.Payload), want) {
			t.Errorf("python %s: got %s, want %s", event, res.Payload, want)
		}
	}
	if res := h.invoke(t, "py", map[string]string{"do": "exit"}); !strings.Contains(string(res.LogTail), "\nlast words\n") {
		t.Errorf("python: what was printed before the end is not in the log:\n%s", res.LogTail)
	}
	if !good[bool](t, h, "py", map[string]string{"do": "tmp"}) {
		t.Error("python: cannot write to TMPDIR")
	}
	if res := h.invoke(t, "py", map[string]string{"do": "log"}); !strings.Contains(string(res.LogTail), "[WARNING]\t") || !strings.Contains(string(res.LogTail), res.RequestID+"\tcareful\nplain\n") {
		t.Errorf("python log: got\n%s", res.LogTail)
	}
	for handler, want := range map[string]string{"none.handler": "Runtime.ImportModuleError", "pkg/index.none": "Runtime.HandlerNotFound", "nodot": "Runtime.MalformedHandlerName", "broken.handler": "Runtime.UserCodeSyntaxError"} {
		name := strings.NewReplacer("/", "_", ".", "_").Replace(handler)
		if _, err := h.Create(ctx, spec(name, "python3.12", handler), zipOf(t, file{"pkg/index.py", 0o644, pythonCode}, file{"broken.py", 0o644, "def"})); err != nil {
			t.Fatal(err)
		}
		if res := h.invoke(t, name, nil); res.FunctionError != "Unhandled" || !strings.Contains(string(res.Payload), want) {
			t.Errorf("python handler %s: got %s, want %s", handler, res.Payload, want)
		}
	}
}

// An old boto3 knows nothing of AWS_ENDPOINT_URL; in a function it must find
// the server all the same, and trust its CA.
func TestBotoFindsTheServer(t *testing.T) {
	t.Parallel()
	if exec.Command("/usr/bin/python3", "-c", "import boto3").Run() != nil {
		t.Skip("/usr/bin/python3 has no boto3 here")
	}
	agents := make(chan string, 10)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agents <- r.UserAgent()
		w.Write([]byte(`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:found</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`))
	}))
	defer srv.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem") // below a directory of mode 0700, like --data
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	h := open(t, func(c *function.Config) {
		c.Environment = func(function.Function) []string {
			return []string{"AWS_ENDPOINT_URL=" + srv.URL, "AWS_CA_BUNDLE=" + ca}
		}
	})
	if _, err := h.Create(context.Background(), spec("boto", "python3.12", "index.handler"), zipOf(t, file{"index.py", 0o644, pythonCode})); err != nil {
		t.Fatal(err)
	}
	if got := good[string](t, h, "boto", map[string]string{"do": "boto"}); got != "arn:found" {
		t.Errorf("boto3's caller identity: got %q", got)
	}
	t.Log("client:", <-agents)
}

const nodeCode = `
exports.handler = async (event, context) => {
  if (event.do === "error") throw new TypeError("as told");
  if (event.do === "log") console.log("hello\nthere");
  if (event.do === "late") { Promise.reject(new Error("nobody waits")); await new Promise(() => { setTimeout(() => {}, 60000); }); }
  return { event, id: context.awsRequestId, left: context.getRemainingTimeInMillis(), memory: context.memoryLimitInMB };
};
exports.callback = (event, context, callback) => {
  let ticks = 0;
  setTimeout(() => { ticks = 1; }, 100);
  if (event.now) context.callbackWaitsForEmptyEventLoop = false;
  callback(null, { get ticks() { return ticks; } });
};
exports.silent = (event, context, callback) => {};
`

func TestNode(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("there is no node here")
	}
	h := open(t)
	create := func(name, handler string, files ...file) {
		t.Helper()
		if _, err := h.Create(context.Background(), spec(name, "nodejs20.x", handler), zipOf(t, files...)); err != nil {
			t.Fatal(err)
		}
	}
	index := file{"index.js", 0o644, nodeCode}
	create("js", "index.handler", index)
	got := good[map[string]any](t, h, "js", map[string]any{"name": "日本"})
	if got["event"].(map[string]any)["name"] != "日本" || got["memory"] != "128" || got["left"].(float64) < 1000 {
		t.Errorf("node: got %v", got)
	}
	if res := h.invoke(t, "js", map[string]string{"do": "error"}); res.FunctionError != "Unhandled" || !strings.Contains(string(res.Payload), `"errorType":"TypeError","errorMessage":"as told"`) {
		t.Errorf("node error: got %s", res.Payload)
	}
	if res := h.invoke(t, "js", map[string]string{"do": "log"}); !strings.Contains(string(res.LogTail), res.RequestID+"\tINFO\thello\rthere\n") {
		t.Errorf("node log: got\n%s", res.LogTail)
	}
	if res := h.invoke(t, "js", map[string]string{"do": "late"}); !strings.Contains(string(res.Payload), "Runtime.UnhandledPromiseRejection") {
		t.Errorf("node rejection: got %s", res.Payload)
	}
	create("cb", "index.callback", index)
	for range 2 {
		if got := good[map[string]int](t, h, "cb", map[string]bool{}); got["ticks"] != 1 {
			t.Errorf("node callback waits for the event loop: got %v ticks, want 1", got)
		}
		if got := good[map[string]int](t, h, "cb", map[string]bool{"now": true}); got["ticks"] != 0 {
			t.Errorf("node callback that does not wait: got %v ticks, want 0", got)
		}
	}
	create("silent", "index.silent", index)
	if res := h.invoke(t, "silent", nil); string(res.Payload) != "null" {
		t.Errorf("node without a callback: got %s, want null", res.Payload)
	}
	create("esm", "index.handler", file{"index.mjs", 0o644, "import fs from 'fs'; export const handler = async () => 'esm';"})
	create("typed", "dir/index.handler", file{"package.json", 0o644, `{"type":"module"}`}, file{"dir/index.js", 0o644, "import fs from 'fs'; export const handler = async () => 'typed';"})
	for _, name := range []string{"esm", "typed"} {
		if got := good[string](t, h, name, nil); got != name {
			t.Errorf("node %s: got %q", name, got)
		}
	}
	for handler, want := range map[string]string{"none.handler": "Runtime.ImportModuleError", "index.none": "Runtime.HandlerNotFound", "nodot": "Runtime.MalformedHandlerName", "broken.handler": "Runtime.UserCodeSyntaxError"} {
		name := strings.ReplaceAll(handler, ".", "_")
		create(name, handler, index, file{"broken.js", 0o644, "function ("})
		if res := h.invoke(t, name, nil); res.FunctionError != "Unhandled" || !strings.Contains(string(res.Payload), want) {
			t.Errorf("node handler %s: got %s, want %s", handler, res.Payload, want)
		}
	}
}
