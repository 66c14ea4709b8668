package s3_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"strait"
	"strait/authz"
	"strait/function"
	"strait/server"
)

func TestMain(m *testing.M) {
	// The server starts this binary again for the functions that it runs.
	function.MaybeSandboxMain()
	os.Exit(m.Run())
}

// A house is a running server and its admin's way in.
type house struct {
	t           *testing.T
	ctx         context.Context
	http, https string // endpoints
	ready       server.Ready
	web         *http.Client // trusts the server
	leave       func()       // ends the server before the test does
	recorder    *authz.Recorder
	files       map[string]int // that clients send, with their sizes
}

// raise starts a server. Clients find the admin's credentials in a file, and
// nothing of the machine's own AWS settings.
func raise(t *testing.T) *house {
	t.Helper()
	return raiseWith(t, server.Config{Data: t.TempDir()})
}

// raiseIn is raise in a directory that may have been another server's, with a
// clock.
func raiseIn(t *testing.T, data string, now func() time.Time) *house {
	t.Helper()
	return raiseWith(t, server.Config{Data: data, Now: now})
}

func raiseWith(t *testing.T, cfg server.Config) *house {
	t.Helper()
	cfg.Hosts = []string{"localhost"}
	if cfg.Place.Region == "" {
		cfg.Place = strait.Place{Region: "ap-northeast-1", Account: "123456789012"}
	}
	cfg.HTTPS, cfg.HTTP = []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}
	s, err := server.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, ctx: context.WithoutCancel(t.Context()), ready: s.Ready(), recorder: s.Recorder()}
	h.leave = sync.OnceFunc(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.leave)
	_, port, _ := net.SplitHostPort(h.ready.HTTPS[0])
	h.http, h.https = "http://"+h.ready.HTTP[0], "https://localhost:"+port
	pem, err := os.ReadFile(h.ready.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	h.web = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	t.Cleanup(h.web.CloseIdleConnections)
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", t.TempDir())
	for name, v := range map[string]string{"AWS_SHARED_CREDENTIALS_FILE": h.ready.Credentials, "AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"),
		"AWS_REGION": h.ready.Region, "AWS_DEFAULT_REGION": h.ready.Region, "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1", "AWS_PAGER": "",
		"AWS_PROFILE": "default", "AWS_CA_BUNDLE": h.ready.CA, "REQUESTS_CA_BUNDLE": h.ready.CA, "SSL_CERT_FILE": h.ready.CA, "NODE_EXTRA_CA_CERTS": h.ready.CA,
		"NO_PROXY": "*", "no_proxy": "*", "PYTHONDONTWRITEBYTECODE": "1"} {
		t.Setenv(name, v)
	}
	return h
}

// client is the SDK as a program would set it up.
func (h *house) client(endpoint string, also ...func(*s3.Options)) *s3.Client {
	h.t.Helper()
	cfg, err := config.LoadDefaultConfig(h.ctx)
	h.must(err)
	return s3.NewFromConfig(cfg, append(also, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = &endpoint, true })...)
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// bucket makes a bucket.
func (h *house) bucket(c *s3.Client, name string) string {
	h.t.Helper()
	_, err := c.CreateBucket(h.ctx, &s3.CreateBucketInput{Bucket: &name})
	h.must(err)
	return name
}

// refused fails unless err is an answer of that code and status.
func refused(t *testing.T, what string, err error, code string, status int) {
	t.Helper()
	var e smithy.APIError
	var r interface{ HTTPStatusCode() int }
	if !errors.As(err, &e) || !errors.As(err, &r) {
		t.Errorf("%s: got %v, want %d %s", what, err, status, code)
		return
	}
	if e.ErrorCode() != code || r.HTTPStatusCode() != status {
		t.Errorf("%s: got %d %s (%s), want %d %s", what, r.HTTPStatusCode(), e.ErrorCode(), e.ErrorMessage(), status, code)
	}
}

func ptr[T any](v T) *T { return &v }
