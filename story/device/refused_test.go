package device_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A configuration that cannot be meant is refused before anything else is done,
// and so is what is no file.
func TestConfigurationRefused(t *testing.T) {
	binary, dir := build(t), t.TempDir()
	refused := func(want string, args ...string) {
		t.Helper()
		cmd := exec.Command(binary, args...)
		cmd.Env = []string{}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), want) {
			t.Errorf("%v: %v, %s; want status 2 and %q", args, err, out, want)
		}
	}
	file := filepath.Join(dir, "agent.json")
	for text, want := range map[string]string{
		`{`:                                "unexpected EOF",
		`{"tihng": "x", "watch": [{}]}`:    "tihng",
		`{"thing": "x"}`:                   "nothing to do",
		`{"watch": [{"settle": "2"}]}`:     "missing unit",
		`{"watch": [{}]} {"thing": "x"}`:   "something follows",
		`{"from": "magic", "watch": [{}]}`: `not from "magic"`,
		`{"watch": [{}]}`:                  "missing flag: --endpoint",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(want, "run", "--config", file)
	}
	refused("no regular file", "upload", dir)
	refused("no such file", "upload", filepath.Join(dir, "none"))
}
