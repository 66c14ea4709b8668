package device_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"strait"
	"strait/device"
	"strait/function"
	"strait/server"
	"strait/setup"
)

func TestMain(m *testing.M) {
	function.MaybeSandboxMain()
	code := m.Run()
	if theAgent.dir != "" {
		os.RemoveAll(theAgent.dir)
	}
	os.Exit(code)
}

const (
	bucket = "uploads"
	mib    = 1 << 20
)

// long tells whether soak tests run (./do crash).
func long() bool { return os.Getenv("STRAIT_CRASH_LONG") != "" }

// A house is a real server with the upload pattern for device00, whose S3 and
// MQTT are reached through proxies.
type house struct {
	t     *testing.T
	dir   string
	s     *server.Server
	s3    *proxy
	web   *httptest.Server
	mqtt  *wire
	thing setup.ThingResult
	now   func() time.Time // nil: the real time
}

// seed makes what is chosen at random repeatable: STRAIT_SEED.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	if s := os.Getenv("STRAIT_SEED"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("STRAIT_SEED=%d", n)
	return n
}

func open(t *testing.T) *house { return openAt(t, nil) }

// openAt opens a house whose server and devices live by another clock.
func openAt(t *testing.T, now func() time.Time) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), s3: newProxy(seed(t)), now: now}
	h.start()
	t.Cleanup(func() { h.s.Close() })
	r := h.s.Ready()
	for name, v := range map[string]string{
		"AWS_REGION": r.Region, "AWS_SHARED_CREDENTIALS_FILE": r.Credentials, "AWS_CONFIG_FILE": os.DevNull, "AWS_PROFILE": "",
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_CA_BUNDLE": "", "AWS_ENDPOINT_URL": "",
	} {
		t.Setenv(name, v)
	}
	admin := h.admin()
	if _, err := setup.Upload(t.Context(), admin, setup.UploadInput{Bucket: bucket, Things: []string{"device00"}, VendFile: "/bin/true"}); err != nil {
		t.Fatalf("set the pattern up: %v", err)
	}
	var err error
	if h.thing, err = setup.Thing(t.Context(), admin, "device00", filepath.Join(h.dir, "thing")); err != nil {
		t.Fatal(err)
	}
	h.web = httptest.NewServer(h.s3)
	t.Cleanup(h.web.Close)
	h.mqtt = newWire(t, h.s.Ready().MQTT[0])
	return h
}

// start starts the server; a second time, on what the first left.
func (h *house) start() {
	h.t.Helper()
	var err error
	h.s, err = server.Start(context.Background(), server.Config{
		Data: filepath.Join(h.dir, "data"), Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"}, Hosts: []string{"localhost"},
		MQTT: []string{"127.0.0.1:0"}, HTTPS: []string{"127.0.0.1:0"}, HTTP: []string{"127.0.0.1:0"}, Now: h.now,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.s3.to.Store(h.s.Ready().HTTP[0])
	if h.mqtt != nil {
		h.mqtt.setTarget(h.s.Ready().MQTT[0])
	}
}

func (h *house) admin() *setup.Session {
	h.t.Helper()
	a, err := setup.NewSession(h.t.Context(), config.WithBaseEndpoint("http://"+h.s.Ready().HTTP[0]), config.WithSharedConfigProfile("default"))
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

func (h *house) connect() *device.Client {
	h.t.Helper()
	c, err := device.Connect(h.t.Context(), device.Config{
		Endpoint: h.mqtt.addr, Thing: "device00", CertFile: h.thing.Certificate, KeyFile: h.thing.Key, CAFile: h.s.Ready().CA,
		Stall: 4 * time.Second, Timeout: 20 * time.Second, Now: h.now,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	return c
}

// agent is the built program with the device's flags.
func (h *house) agent(binary, command string, args ...string) *exec.Cmd {
	args = append([]string{command, "--endpoint", h.mqtt.addr, "--thing", "device00", "--cert", h.thing.Certificate, "--key", h.thing.Key, "--ca", h.s.Ready().CA}, args...)
	cmd := exec.Command(binary, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir}
	return cmd
}

// built is the agent, built once for all tests.
type built struct {
	once sync.Once
	dir  string
	said []byte
	err  error
}

func (b *built) build() {
	if b.dir, b.err = os.MkdirTemp("", "strait-agent-"); b.err == nil {
		b.said, b.err = exec.Command("go", "build", "-buildvcs=false", "-o", b.dir, "../../cmd/strait-agent").CombinedOutput()
	}
}

var theAgent built

func build(t *testing.T) string {
	t.Helper()
	theAgent.once.Do(theAgent.build)
	if theAgent.err != nil {
		t.Fatalf("build the agent: %v\n%s", theAgent.err, theAgent.said)
	}
	return filepath.Join(theAgent.dir, "strait-agent")
}

// file makes a file of noise.
func (h *house) file(name string, size int64) string {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{byte(size), 7}), size); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// compare reads an object as the operator and compares it with a file.
func (h *house) compare(key, file string) {
	h.t.Helper()
	out, err := h.admin().S3.GetObject(h.t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		h.t.Fatalf("read %s: %v", key, err)
	}
	defer out.Body.Close()
	f, err := os.Open(file)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	a, b := make([]byte, mib), make([]byte, mib)
	for at := 0; ; at += mib {
		n, err1 := io.ReadFull(out.Body, a)
		m, err2 := io.ReadFull(f, b)
		if n != m || !bytes.Equal(a[:n], b[:m]) {
			h.t.Fatalf("%s differs from %s in the MiB at %d", key, file, at)
		}
		if err1 != nil || err2 != nil {
			if (err1 == io.EOF || err1 == io.ErrUnexpectedEOF) && (err2 == io.EOF || err2 == io.ErrUnexpectedEOF) {
				return
			}
			h.t.Fatal(err1, err2)
		}
	}
}

// A wire is a TCP proxy whose far end may move.
type wire struct {
	addr string
	to   func() string
	set  func(string)
}

func (w *wire) setTarget(to string) { w.set(to) }

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	target := make(chan string, 1)
	target <- to
	w := &wire{addr: strings.Replace(l.Addr().String(), "127.0.0.1", "localhost", 1)}
	w.to = func() string { s := <-target; target <- s; return s }
	w.set = func(s string) { <-target; target <- s }
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", w.to())
			if err != nil {
				in.Close()
				continue
			}
			go func() { io.Copy(out, in); out.Close(); in.Close() }()
			go func() { io.Copy(in, out); out.Close(); in.Close() }()
		}
	}()
	return w
}
