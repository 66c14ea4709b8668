package function_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"strait/function"
)

// A hostile function tries to get at what is not its own: the server's data
// and memory, another function's code, scratch, variables and Runtime API.
// Everything must fail, whoever the server is; and what it needs must work.
func TestHostileFunction(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.create(t, "victim")
	h.create(t, "hostile")
	secret := filepath.Join(h.dir, "secret")
	if err := os.WriteFile(secret, []byte("the master key"), 0o644); err != nil {
		t.Fatal(err)
	}
	// Readable by the server's user wherever it lies, so that only the
	// confinement stands between.
	os.Chmod(h.dir, 0o755)
	os.Chmod(filepath.Dir(h.dir), 0o755)

	victim := variables(good[[]string](t, h, "victim", do{Do: "env"}))
	hostile := variables(good[[]string](t, h, "hostile", do{Do: "env"}))
	vid := good[map[string]any](t, h, "victim", do{Do: "id"})
	vpid, server := int(vid["pid"].(float64)), os.Getpid()
	zips, _ := filepath.Glob(filepath.Join(h.cfg.Dir, "code", "*.zip"))
	socket := filepath.Join(h.dir, "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if os.Getuid() == 0 {
		os.Chmod(socket, 0o700)
	}
	bad := []string{
		"read " + secret + "x/../secret", "list " + h.dir, "list " + h.cfg.Dir, "write " + filepath.Join(h.dir, "new"),
		"read " + zips[0], "read " + filepath.Join(h.cfg.Dir, "logs", "victim.jsonl"), "read " + filepath.Join(h.dir, "state", "facts.db"),
		"list " + filepath.Dir(victim["LAMBDA_TASK_ROOT"]), "list " + victim["LAMBDA_TASK_ROOT"], "read " + victim["LAMBDA_TASK_ROOT"] + "/bootstrap",
		"list " + victim["TMPDIR"], "write " + victim["TMPDIR"] + "/x", "write " + hostile["LAMBDA_TASK_ROOT"] + "/x",
		"get http://" + victim["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/next",
		"unix " + socket, "root ", "list /root", "write /usr/x", "write /etc/x",
	}
	for _, pid := range []int{server, vpid, syscall.Getppid()} {
		for _, name := range []string{"mem", "environ", "maps", "fd/3", "root/etc/passwd", "cwd/go.mod"} {
			bad = append(bad, fmt.Sprintf("read /proc/%d/%s", pid, name))
		}
		bad = append(bad, fmt.Sprintf("list /proc/%d/fd", pid), fmt.Sprintf("trace %d", pid), fmt.Sprintf("kill %d", pid))
	}
	if !isRoot() {
		bad = append(bad, "read "+secret, "list /tmp", "read /etc/hostname", "list /home")
	}
	for attack, got := range good[map[string]string](t, h, "hostile", do{Do: "attack", Args: bad}) {
		if got != "" {
			t.Errorf("%s: %s", attack, got)
		}
	}
	needed := []string{"read " + hostile["LAMBDA_TASK_ROOT"] + "/bootstrap", "write " + hostile["TMPDIR"] + "/x", "read /etc/resolv.conf",
		"read /proc/self/status", "read /dev/urandom", "write /dev/null", "list /usr/bin"}
	if isRoot() {
		needed = append(needed, "write /tmp/x") // its own
	}
	for need, got := range good[map[string]string](t, h, "hostile", do{Do: "attack", Args: needed}) {
		if got == "" {
			t.Errorf("%s: refused, but a function needs it", need)
		}
	}
	// The victim is unharmed.
	if got := good[int](t, h, "victim", do{Do: "calls"}); got != 3 {
		t.Errorf("the victim's call: got number %d, want 3", got)
	}
}

func variables(list []string) map[string]string {
	vars := map[string]string{}
	for _, kv := range list {
		k, v, _ := strings.Cut(kv, "=")
		vars[k] = v
	}
	return vars
}

func isRoot() bool { return os.Getuid() == 0 }

// As root every environment has a uid of its own, nobody's capabilities, and no way back.
func TestRightsOfAProcess(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.create(t, "f")
	h.create(t, "g")
	a, b := good[map[string]any](t, h, "f", do{Do: "id"}), good[map[string]any](t, h, "g", do{Do: "id"})
	status, err := os.ReadFile(fmt.Sprintf("/proc/%.0f/status", a["pid"]))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"CapEff": "0000000000000000", "CapPrm": "0000000000000000", "CapInh": "0000000000000000", "CapAmb": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"} {
		if !bytes.Contains(status, []byte("\n"+name+":\t"+want+"\n")) {
			t.Errorf("%s of a function's process is not %s", name, want)
		}
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%.0f/fd", a["pid"]))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		n, _ := strconv.Atoi(fd.Name())
		to, _ := os.Readlink(fmt.Sprintf("/proc/%.0f/fd/%d", a["pid"], n))
		if n > 2 && !strings.HasPrefix(to, "socket:") && !strings.HasPrefix(to, "anon_inode:") && !strings.HasPrefix(to, "pipe:") {
			t.Errorf("descriptor %d of a function's process: %s", n, to)
		}
	}
	if !isRoot() {
		return
	}
	if a["uid"] == b["uid"] || a["gid"] == b["gid"] || a["uid"].(float64) < 2e9 {
		t.Errorf("uids and gids of two functions: got %v and %v, want different ones above 2,000,000,000", a, b)
	}
	if !bytes.Contains(status, []byte("CapBnd:\t0000000000000000\n")) {
		t.Error("the bounding set of a function's process is not empty")
	}
}

// Two engines never hand out the same uids, since all processes of one are
// killed together.
func TestOwnUIDs(t *testing.T) {
	base := 1_000_000_000 + os.Getpid() // no engine's, nor that of another run of this
	first := function.ClaimBlock(base)
	if first < 0 || function.ClaimBlock(base) >= 0 {
		t.Fatal("a block of uids is given twice, or not at all")
	}
	if err := syscall.Close(first); err != nil {
		t.Fatal(err)
	}
	again := function.ClaimBlock(base)
	if again < 0 {
		t.Fatal("what was given back is not given again")
	}
	if err := syscall.Close(again); err != nil {
		t.Fatal(err)
	}
}

// What was unzipped may be open for writing still when it is to be run: in a
// process that was forked meanwhile, for another function. It is waited for.
func TestBusyProgram(t *testing.T) {
	t.Parallel()
	h := open(t)
	script := file{"bootstrap", 0o755, "#!/bin/sh\nexec $LAMBDA_TASK_ROOT/probe\n"}
	if _, err := h.Create(context.Background(), spec("f", "provided.al2023", "bootstrap"), zipOf(t, script, file{"probe", 0o755, string(probe(t))})); err != nil {
		t.Fatal(err)
	}
	// One process holds the directory, so that another is started in it.
	dir := variables(good[[]string](t, h, "f", do{Do: "env"}))["LAMBDA_TASK_ROOT"]
	first := make(chan function.Result, 1)
	go func() { first <- h.invoke(t, "f", do{Do: "sleep", Args: []string{"2s"}}) }()
	eventually(t, "the first one works", func() bool { _, ok := h.Current("ASIATEST1"); return ok })
	bootstrap := filepath.Join(dir, "bootstrap")
	if err := os.Chmod(bootstrap, 0o750); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(bootstrap, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, func() { f.Close() })
	if got := good[[]string](t, h, "f", do{Do: "echo", Args: []string{"x"}}); len(got) != 1 {
		t.Errorf("got %v", got)
	}
	if res := <-first; res.FunctionError != "" {
		t.Errorf("the first one: %s", res.Payload)
	}
}

// The tests of this file and the life of a process once more, as somebody who is not root.
func TestAsNobody(t *testing.T) {
	t.Parallel()
	if !isRoot() {
		t.Skip("this is the run as somebody else, or there is nobody else to be")
	}
	if testing.Short() {
		t.Skip("runs the tests once more")
	}
	probe(t)
	dir, err := os.MkdirTemp("/var/tmp", "strait-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	const uid = 1_999_999_999
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "function.test")
	for from, to := range map[string]string{self: bin, filepath.Join(probeDir, "bootstrap"): filepath.Join(dir, "bootstrap")} {
		// Not written by us: what other tests fork would hold it open, and
		// busy, for a moment.
		if out, err := exec.Command("install", "-m", "755", from, to).CombinedOutput(); err != nil {
			t.Fatalf("install: %v %s", err, out)
		}
	}
	os.Mkdir(filepath.Join(dir, "tmp"), 0o700)
	for _, p := range []string{dir, filepath.Join(dir, "tmp")} {
		if err := os.Chown(p, uid, uid); err != nil {
			t.Skip("cannot give files to others here")
		}
	}
	cmd := exec.Command(bin, "-test.short", "-test.v", "-test.run", "^(TestHostileFunction|TestRightsOfAProcess|TestInvokeReusesAProcess|TestFailures|TestPython|TestNode|TestBotoFindsTheServer|TestNothingIsLeft|TestLogs|TestMemoryOf.*)$")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "TMPDIR=" + filepath.Join(dir, "tmp"), "HOME=" + dir, "STRAIT_TEST_PROBE=" + filepath.Join(dir, "bootstrap")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("as uid %d: %v\n%s", uid, err, out)
	}
	t.Logf("%s", out)
}
