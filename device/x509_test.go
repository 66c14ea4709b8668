package device_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"strait"
	"strait/device"
)

// A provider stands in for AWS IoT's credentials provider; what it says is
// what AWS says (iot-shadow-and-data.md, section 7).
type provider struct {
	*httptest.Server
	status int
	body   string
	asked  atomic.Int32
	last   atomic.Pointer[http.Request]
}

// newProvider has the certificate of the house's server and takes its devices'.
func newProvider(t *testing.T, h *house) *provider {
	t.Helper()
	p := &provider{status: http.StatusOK}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		p.last.Store(r)
		w.Header().Set("Content-Type", "application/json")
		if p.status != http.StatusOK {
			w.Header().Set("x-amzn-ErrorType", "AccessDeniedException")
		}
		w.WriteHeader(p.status)
		w.Write([]byte(p.body))
	}))
	ca, err := os.ReadFile(h.s.Ready().CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	p.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

func (p *provider) config(h *house) device.Config {
	cfg := h.config()
	cfg.Endpoint = strings.TrimPrefix(p.URL, "https://")
	cfg.CAFile, cfg.CA = "", pemOf(p.Certificate())
	return cfg
}

// The device's side of the credentials provider: one request with the
// certificate and the thing's name, kept until shortly before the end, used for
// an upload; each refusal told with what to do.
func TestX509(t *testing.T) {
	h := open(t)
	g, err := h.connect(nil).Credentials(device.CredentialsOptions{}).Grant(within(t))
	if err != nil {
		t.Fatal(err)
	}
	p := newProvider(t, h)
	answer := func(expires string) string {
		b, _ := json.Marshal(map[string]map[string]string{"credentials": {"accessKeyId": g.AccessKeyID, "secretAccessKey": g.SecretAccessKey, "sessionToken": g.SessionToken, "expiration": expires}})
		return strings.Replace(string(b), `"expiration":"",`, "", 1)
	}
	p.body = answer(g.Expiration.UTC().Format("2006-01-02T15:04:05Z"))
	x, err := device.NewX509(p.config(h), "upload-alias")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		v, err := x.Retrieve(within(t))
		if err != nil || v.AccessKeyID != g.AccessKeyID || v.SecretAccessKey != g.SecretAccessKey || v.SessionToken != g.SessionToken || !v.CanExpire || v.Expires.Sub(g.Expiration).Abs() > time.Second {
			t.Fatalf("Retrieve = %+v, %v", v, err)
		}
	}
	if n := p.asked.Load(); n != 1 {
		t.Errorf("it asked %d times for credentials that are good for an hour", n)
	}
	r := p.last.Load()
	if r.Method != http.MethodGet || r.URL.Path != "/role-aliases/upload-alias/credentials" || r.Header.Get("x-amzn-iot-thingname") != "device00" || r.Header.Get("Authorization") != "" || len(r.TLS.PeerCertificates) != 1 {
		t.Errorf("it asked %s %s with %v", r.Method, r.URL, r.Header)
	}
	up, err := device.NewUploader(h.config(), x)
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	data := noise(1000)
	_, err = up.Upload(within(t), device.UploadInput{Body: strings.NewReader(string(data)), Size: 1000, FullKey: "device00/x509", Bucket: bucket, Region: "ap-northeast-1", Endpoint: "https://" + h.s.Ready().HTTPS[0]})
	if err != nil {
		t.Error(err)
	}
	// Without an expiration, as the reference allows, they are kept for as long
	// as a session lives at least.
	p.body = answer("")
	x.Invalidate()
	for range 2 {
		if _, err := x.Retrieve(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.asked.Load(); n != 3 { // the uploader asks anew: it keeps its own
		t.Errorf("it asked %d times in all, want 3", n)
	}
	for _, test := range []struct {
		status int
		body   string
		kind   strait.Kind
		says   []string
	}{
		{403, `{"message":"Invalid thing name passed"}`, strait.Denied, []string{"Invalid thing name passed", "attached to device00"}},
		{403, `{"message":"Access Denied"}`, strait.Denied, []string{"Access Denied", "iot:AssumeRoleWithCertificate"}},
		{403, `{"message":"Certificate is invalid on this endpoint"}`, strait.Denied, []string{"Certificate is invalid"}},
		{404, `{"message":"Role alias does not exist"}`, strait.NotFound, []string{"upload-alias"}},
		{400, `{"message":"Unable to assume the role, or the role to assume does not exist"}`, strait.Denied, []string{"credentials.iot.amazonaws.com"}},
		{400, `{"message":"The requested CredentialDurationSeconds exceeds the MaxSessionDuration set for the role"}`, strait.Denied, []string{"MaxSessionDuration"}},
		{429, `{"message":"Rate exceeded"}`, strait.Unavailable, nil},
		{500, `<html>`, strait.Unavailable, []string{"500"}},
		{200, `{"credentials":{"accessKeyId":"A"}}`, strait.Unsupported, nil},
		{200, `nonsense`, strait.Unsupported, nil},
		{302, ``, strait.Unavailable, nil},
	} {
		p.status, p.body = test.status, test.body
		x.Invalidate()
		_, err := x.Retrieve(within(t))
		wantKind(t, test.body, err, test.kind, test.says...)
	}
	for _, alias := range []string{"", "a/b", "a b", strings.Repeat("a", 129), ".."} {
		_, err := device.NewX509(p.config(h), alias)
		wantKind(t, "role alias "+alias, err, strait.Invalid)
	}
	p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = x.Retrieve(ctx)
	wantKind(t, "nobody there", err, strait.Unavailable)
}
