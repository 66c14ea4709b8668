package device_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"strait"
	"strait/await"
	"strait/device"
	"strait/function"
	"strait/server"
	"strait/setup"
)

func TestMain(m *testing.M) {
	function.MaybeSandboxMain()
	os.Exit(m.Run())
}

// patience is how long a test waits for what must come.
const patience = await.Patience

const bucket = "uploads"

// A clock that server and devices share, and that can be moved.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time       { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) move(d time.Duration) { c.ahead.Add(int64(d)) }

// A house is a real server with the upload pattern set up for thing device00.
type house struct {
	t     *testing.T
	clock *clock
	s     *server.Server
	admin *setup.Session
	thing setup.ThingResult
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, clock: &clock{}}
	dir := t.TempDir()
	var err error
	h.s, err = server.Start(t.Context(), server.Config{
		Data: filepath.Join(dir, "data"), Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"}, Hosts: []string{"localhost"},
		MQTT: []string{"127.0.0.1:0"}, HTTPS: []string{"127.0.0.1:0"}, HTTP: []string{"127.0.0.1:0"}, Now: h.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.s.Close(); err != nil {
			t.Errorf("close the server: %v", err)
		}
	})
	r := h.s.Ready()
	for name, v := range map[string]string{
		"AWS_ENDPOINT_URL": "https://" + r.HTTPS[0], "AWS_CA_BUNDLE": r.CA, "AWS_REGION": r.Region, "AWS_SHARED_CREDENTIALS_FILE": r.Credentials,
		"AWS_CONFIG_FILE": os.DevNull, "AWS_PROFILE": "", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "",
	} {
		t.Setenv(name, v)
	}
	if h.admin, err = setup.NewSession(t.Context(), config.WithSharedConfigProfile("default")); err != nil {
		t.Fatal(err)
	}
	// The server runs the built-in function; the program in the zip is never started.
	if _, err := setup.Upload(t.Context(), h.admin, setup.UploadInput{Bucket: bucket, Things: []string{"device00"}, VendFile: "/bin/true"}); err != nil {
		t.Fatalf("set the pattern up: %v", err)
	}
	if h.thing, err = setup.Thing(t.Context(), h.admin, "device00", filepath.Join(dir, "thing")); err != nil {
		t.Fatalf("make the thing: %v", err)
	}
	return h
}

func (h *house) config() device.Config {
	return device.Config{
		Endpoint: h.s.Ready().MQTT[0], Thing: "device00", CertFile: h.thing.Certificate, KeyFile: h.thing.Key, CAFile: h.s.Ready().CA,
		Now: h.clock.Now, Log: slog.New(slog.NewTextHandler(logTo{h.t}, nil)),
	}
}

type logTo struct{ t *testing.T }

func (l logTo) Write(p []byte) (int, error) {
	// The log of a client that is just being closed may come after the test.
	if l.t.Context().Err() == nil {
		l.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

func (h *house) connect(change func(*device.Config)) *device.Client {
	h.t.Helper()
	cfg := h.config()
	if change != nil {
		change(&cfg)
	}
	c, err := device.Connect(h.t.Context(), cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	return c
}

func (h *house) until(what string, ok func() bool) {
	h.t.Helper()
	await.Until(h.t, what, ok)
}

func wantKind(t *testing.T, what string, err error, kind strait.Kind, words ...string) {
	t.Helper()
	var e *strait.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("%s: %v, want kind %v", what, err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q does not say %q", what, err, w)
		}
	}
}

// A wire is a TCP proxy before the server that can be cut.
type wire struct {
	addr string
	l    net.Listener
	to   string

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
	down  atomic.Int64 // bytes handed to the device
}

// Freeze makes all connections half-open: they stand, and nothing passes.
// Later ones are whole.
func (w *wire) Freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.(*held).frozen.Store(true)
	}
}

// held is a connection that may be frozen.
type held struct {
	*net.TCPConn
	frozen atomic.Bool
	ended  chan struct{}
	once   sync.Once
}

func hold(c net.Conn) *held { return &held{TCPConn: c.(*net.TCPConn), ended: make(chan struct{})} }

func (h *held) Close() error {
	h.once.Do(func() { close(h.ended) })
	return h.TCPConn.Close()
}

func (h *held) Read(p []byte) (int, error) {
	n, err := h.TCPConn.Read(p)
	if h.frozen.Load() {
		<-h.ended
		return 0, net.ErrClosed
	}
	return n, err
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: l.Addr().String(), l: l, to: to}
	t.Cleanup(func() { l.Close(); w.Cut() })
	go func() {
		for {
			accepted, err := l.Accept()
			if err != nil {
				return
			}
			dialed, err := net.Dial("tcp", to)
			if err != nil {
				accepted.Close()
				continue
			}
			in, out := hold(accepted), hold(dialed)
			w.mu.Lock()
			if w.cut {
				in.Close()
				out.Close()
			}
			w.conns = append(w.conns, in, out)
			w.mu.Unlock()
			go pipe(in, out, &w.down)
			go pipe(out, in, new(atomic.Int64))
		}
	}()
	return w
}

func pipe(to, from net.Conn, passed *atomic.Int64) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			to.Close()
			from.Close()
			return
		}
		passed.Add(int64(n))
	}
}

func (w *wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for _, c := range w.conns {
		c.(*held).SetLinger(0) // a reset, as when a network goes away
		c.Close()
	}
	w.conns = nil
}

func (w *wire) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
