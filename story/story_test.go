package story_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"strait"
	"strait/function"
	"strait/server"
)

func TestMain(m *testing.M) {
	// The server runs in this process, and starts this binary again for what
	// functions it runs.
	function.MaybeSandboxMain()
	os.Exit(m.Run())
}

// TestStories plays scripts/*.txtar, each with a server of its own.
func TestStories(t *testing.T) {
	bin := t.TempDir()
	if err := writeWrappers(bin); err != nil {
		t.Fatal(err)
	}
	found := &clients{t: t, bin: bin}
	testscript.Run(t, testscript.Params{
		Dir:                 "scripts",
		WorkdirRoot:         t.TempDir(), // testscript's own would stay behind, empty
		Setup:               func(e *testscript.Env) error { return raise(e, bin) },
		Condition:           found.condition,
		Cmds:                commands,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
	})
}

// clockKey is where a story's clock is found.
type clockKey struct{}

// A clock is the server's: the true time and what the story adds.
type clock struct{ added atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.added.Load())) }

// raise starts a server for one story and tells its programs where it is.
func raise(e *testscript.Env, bin string) error {
	c := &clock{}
	e.Values[clockKey{}] = c
	s, err := server.Start(context.Background(), server.Config{
		Data:  filepath.Join(e.WorkDir, ".data"),
		Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"},
		Hosts: []string{"localhost"},
		MQTT:  []string{"127.0.0.1:0"}, HTTPS: []string{"127.0.0.1:0"}, HTTPSCert: []string{"127.0.0.1:0"},
		Now: c.now,
		Log: slog.New(slog.NewTextHandler(logged{e.T()}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	e.Defer(func() {
		if err := s.Close(); err != nil {
			e.T().Log("close the server: ", err)
		}
	})
	return settle(e, s.Ready(), bin)
}

// settle sets the environment of a story's programs. Nothing of the machine's
// own AWS settings reaches them.
func settle(e *testscript.Env, r server.Ready, bin string) error {
	admin, err := os.ReadFile(r.Credentials)
	if err != nil {
		return err
	}
	credentials := filepath.Join(e.WorkDir, ".aws-credentials")
	if err := os.WriteFile(credentials, admin, 0o600); err != nil {
		return err
	}
	_, https, err := net.SplitHostPort(r.HTTPS[0])
	if err != nil {
		return err
	}
	_, mqtt, err := net.SplitHostPort(r.MQTT[0])
	if err != nil {
		return err
	}
	_, certs, err := net.SplitHostPort(r.HTTPSCert[0])
	if err != nil {
		return err
	}
	modules, err := filepath.Abs("node/node_modules")
	if err != nil {
		return err
	}
	functions, err := filepath.Abs("function/node/node_modules")
	if err != nil {
		return err
	}
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			e.Setenv(name, "")
		}
	}
	for name, value := range map[string]string{
		"PATH":             bin + string(filepath.ListSeparator) + os.Getenv("PATH"),
		"HOME":             e.WorkDir,
		"AWS_ENDPOINT_URL": "https://localhost:" + https, "HTTPS_PORT": https, "CERT_PORT": certs, "MQTT_PORT": mqtt, "STRAIT_MQTT_ENDPOINT": "localhost:" + mqtt,
		"AWS_REGION": r.Region, "AWS_DEFAULT_REGION": r.Region, "REGION": r.Region, "ACCOUNT": r.Account,
		"AWS_SHARED_CREDENTIALS_FILE": credentials, "AWS_CONFIG_FILE": filepath.Join(e.WorkDir, ".aws-config"),
		"AWS_PROFILE": "default", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1", "AWS_PAGER": "",
		"CA": r.CA, "DATA": r.Data, "NODE_PATH": modules, "FUNCTION_MODULES": functions, "BIN": bin, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1",
		// What clients read their authorities from, each its own.
		"AWS_CA_BUNDLE": r.CA, "REQUESTS_CA_BUNDLE": r.CA, "SSL_CERT_FILE": r.CA, "NODE_EXTRA_CA_CERTS": r.CA,
		"SSL_CERT_DIR": filepath.Join(e.WorkDir, ".none"),
		"NO_PROXY":     "*", "no_proxy": "*",
	} {
		e.Setenv(name, value)
	}
	return nil
}

// logged is the log of a test as a writer.
type logged struct{ t testscript.T }

func (l logged) Write(p []byte) (int, error) {
	l.t.Log("server: " + strings.TrimSpace(string(p)))
	return len(p), nil
}
