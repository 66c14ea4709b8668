package power_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"strait/await"
)

// long makes the tests of this package thorough instead of quick (./do crash).
func long() bool { return os.Getenv("STRAIT_CRASH_LONG") != "" }

// plain is the real server, built once for all tests.
var plain = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "strait-power-")
	if err != nil {
		return "", err
	}
	built = dir
	binary := filepath.Join(dir, "strait")
	return binary, goBuild(binary)
})

// built is the directory that TestMain removes; "" when nothing was built.
var built string

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// real is the server as it ships.
func real(t *testing.T) string {
	t.Helper()
	binary, err := plain()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// build makes a server with more arguments for go build.
func build(t *testing.T, more ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "strait")
	if err := goBuild(binary, more...); err != nil {
		t.Fatal(err)
	}
	return binary
}

func goBuild(binary string, more ...string) error {
	args := append([]string{"build", "-o", binary}, more...)
	if b, err := exec.Command("go", append(args, "strait/cmd/strait")...).CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, b)
	}
	return nil
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
	isReady := func() bool {
		b, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(b, &ready) == nil
	}
	hasEnded := func() bool {
		select {
		case <-p.ended:
			return true
		default:
			return false
		}
	}
	if !await.Within(await.Patience, func() bool { return isReady() || hasEnded() }) {
		_ = p.cmd.Process.Kill()
		<-p.ended
		return nil, "not ready after a minute: " + p.log.String()
	}
	if hasEnded() {
		return nil, p.log.String()
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
