package power_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// long makes the tests of this package thorough instead of quick (./do crash).
func long() bool { return os.Getenv("STRAIT_CRASH_LONG") != "" }

// build makes the real server, with build tags or none.
func build(t *testing.T, tags string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "strait")
	if b, err := exec.Command("go", "build", "-tags", tags, "-o", out, "strait/cmd/strait").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, b)
	}
	return out
}

// A process is a running server.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	log   bytes.Buffer // complete when ended is closed
	took  time.Duration

	addr, key, secret string
	pid               int
}

// launch starts binary on the directory data, below the command in wrap if
// there is one, and waits until it is ready. It returns nil and what the
// server said when that does not happen.
func launch(t *testing.T, binary, data string, wrap ...string) (*process, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ready.json")
	args := append(wrap, binary, "serve", "--data", data, "--mqtt=", "--https=", "--http=127.0.0.1:0", "--ready-file", file)
	p := &process{cmd: exec.Command(args[0], args[1:]...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.WaitDelay = 5 * time.Second
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.ended) }()
	var ready struct {
		HTTP        []string `json:"http"`
		Credentials string   `json:"credentials"`
		PID         int      `json:"pid"`
	}
	for deadline := began.Add(60 * time.Second); ; time.Sleep(time.Millisecond) {
		if b, err := os.ReadFile(file); err == nil && json.Unmarshal(b, &ready) == nil {
			break
		}
		select {
		case <-p.ended:
			return nil, p.log.String()
		default:
		}
		if time.Now().After(deadline) {
			_ = p.cmd.Process.Kill()
			<-p.ended
			return nil, "not ready after a minute: " + p.log.String()
		}
	}
	p.took = time.Since(began)
	p.pid, p.addr = ready.PID, ready.HTTP[0]
	t.Cleanup(p.kill)
	b, err := os.ReadFile(ready.Credentials)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		switch name {
		case "aws_access_key_id":
			p.key = value
		case "aws_secret_access_key":
			p.secret = value
		}
	}
	return p, ""
}

// start is launch where failing is a fault.
func start(t *testing.T, binary, data string, wrap ...string) *process {
	t.Helper()
	p, said := launch(t, binary, data, wrap...)
	if p == nil {
		t.Fatalf("the server did not start: %s", said)
	}
	return p
}

// kill is kill -9, of the server itself, not of what wraps it.
func (p *process) kill() {
	select {
	case <-p.ended:
		return
	default:
	}
	if s, err := os.FindProcess(p.pid); err == nil {
		_ = s.Kill()
	}
	<-p.ended
}
