package function_test

import (
	"context"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"strait/function"
)

// report takes the numbers of a REPORT line from a log's tail.
func report(t *testing.T, tail []byte) (size, used int) {
	t.Helper()
	m := regexp.MustCompile(`REPORT RequestId: \S+\tDuration: [0-9.]+ ms\tBilled Duration: [0-9]+ ms\tMemory Size: ([0-9]+) MB\tMax Memory Used: ([0-9]+) MB`).FindSubmatch(tail)
	if m == nil {
		t.Fatalf("no report in\n%s", tail)
	}
	size, _ = strconv.Atoi(string(m[1]))
	used, _ = strconv.Atoi(string(m[2]))
	return size, used
}

// mustEnd invokes a function that takes too much.
func mustEnd(t *testing.T, h *house, name string, event any) {
	t.Helper()
	res := h.invoke(t, name, event)
	want := `{"errorType":"Runtime.OutOfMemory","errorMessage":"RequestId: ` + res.RequestID + ` Error: Runtime exited with error: signal: killed"}`
	if res.FunctionError != "Unhandled" || string(res.Payload) != want {
		t.Errorf("%s with %v: got %q %s, want Unhandled %s", name, event, res.FunctionError, res.Payload, want)
	}
	tail := string(res.LogTail)
	said := strings.Index(tail, "RequestId: "+res.RequestID+" Error: Runtime exited with error: signal: killed\nRuntime.OutOfMemory\n")
	if end := strings.Index(tail, "END RequestId: "); said < 0 || end < said || !strings.Contains(tail, "\tStatus: error\tError Type: Runtime.OutOfMemory\n") {
		t.Errorf("%s with %v: the log's tail does not say why, in order:\n%s", name, event, tail)
	}
	if size, used := report(t, res.LogTail); size != 128 || used < 128 {
		t.Errorf("%s with %v: reported %d of %d MB, want at least 128 of 128", name, event, used, size)
	}
}

func TestMemoryOfGo(t *testing.T) {
	t.Parallel()
	h := open(t)
	t.Log(h.Memory())
	h.create(t, "go")
	h.create(t, "large", func(f *function.Function) { f.MemorySize = 512 })
	good[any](t, h, "go", do{Do: "reserve"})
	good[int](t, h, "go", do{Do: "grow", Size: 60})
	res := h.invoke(t, "go", do{Do: "echo"})
	if size, used := report(t, res.LogTail); size != 128 || used < 60 || used > 128 {
		t.Errorf("after 60 MB were taken: reported %d of %d MB", used, size)
	}
	mustEnd(t, h, "go", do{Do: "grow", Size: 500, Args: []string{"10s"}})
	mustEnd(t, h, "go", do{Do: "file", Size: 300, Args: []string{"10s"}})
	if got := good[int](t, h, "go", do{Do: "calls"}); got != 1 {
		t.Errorf("after its end: got call number %d, want 1 of a new process", got)
	}
	if got := good[int](t, h, "large", do{Do: "grow", Size: 300, Args: []string{"300ms"}}); got != 300 {
		t.Errorf("a function of 512 MB took %d MB, want 300", got)
	}
	h.create(t, "start", func(f *function.Function) { f.Environment = map[string]string{"PROBE_INIT": "grow"} })
	mustEnd(t, h, "start", do{Do: "echo"})
}

const greedyPython = `
import os, subprocess, sys, time
def handler(event, context):
    do = event["do"]
    if do == "grow":
        held = bytearray(event["size"] << 20)
        time.sleep(event["wait"])
        return len(held) >> 20
    if do == "children":
        many = [subprocess.Popen([sys.executable, "-c", "import time; b = bytearray(80 << 20); time.sleep(10)"]) for _ in range(3)]
        for p in many: p.wait()
    if do == "fork":
        # What children share with their parent is taken once.
        held = bytearray(70 << 20)
        pids = []
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                time.sleep(1)
                os._exit(0)
            pids.append(pid)
        for pid in pids: os.waitpid(pid, 0)
        return True
`

func TestMemoryOfPython(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3 here")
	}
	h := open(t)
	if _, err := h.Create(context.Background(), spec("py", "python3.11", "index.handler"), zipOf(t, file{"index.py", 0o644, greedyPython})); err != nil {
		t.Fatal(err)
	}
	if got := good[int](t, h, "py", map[string]any{"do": "grow", "size": 80, "wait": 0.2}); got != 80 {
		t.Errorf("python took %d MB, want 80", got)
	}
	if !good[bool](t, h, "py", map[string]any{"do": "fork"}) {
		t.Error("python with children that share its memory did not come through")
	}
	mustEnd(t, h, "py", map[string]any{"do": "grow", "size": 300, "wait": 10})
	mustEnd(t, h, "py", map[string]any{"do": "children"})
}

const greedyNode = `
const held = [];
exports.handler = async (event) => {
  if (event.do === "buffer") held.push(Buffer.alloc(event.size << 20, 1));
  if (event.do === "garbage") { // much in all, little at a time
    let n = 0;
    for (let i = 0; i < 3000; i++) n += new Array(32768).fill(i).length;
    return n;
  }
  await new Promise((done) => setTimeout(done, event.wait));
  return held.length;
};
`

func TestMemoryOfNode(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("there is no node here")
	}
	h := open(t)
	if _, err := h.Create(context.Background(), spec("js", "nodejs20.x", "index.handler"), zipOf(t, file{"index.js", 0o644, greedyNode})); err != nil {
		t.Fatal(err)
	}
	good[int](t, h, "js", map[string]any{"do": "garbage"})
	if got := good[int](t, h, "js", map[string]any{"do": "buffer", "size": 40, "wait": 200}); got != 1 {
		t.Errorf("node held %d buffers, want 1", got)
	}
	mustEnd(t, h, "js", map[string]any{"do": "buffer", "size": 300, "wait": 10000})
}
