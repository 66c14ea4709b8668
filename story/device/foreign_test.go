package device_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	random "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	paho "github.com/eclipse/paho.mqtt.golang"

	"strait/await"
	"strait/device"
)

// A foreign house has nothing of Strait's: mosquitto is the broker, versitygw
// the store, and a few lines here are somebody's own vending function. (This
// store gives no sessions to functions, so what is vended is not used there.)
type foreign struct {
	t        *testing.T
	dir      string
	broker   string // host:port
	store    string // host:port
	ca       authority
	cert     string
	key      string
	s3       *s3.Client
	proxy    *proxy
	web      *httptest.Server
	accessID string
	secret   string
}

// program finds a program or skips loudly; with CI=true it fails, but for what
// CI may leave out.
func program(t *testing.T, name string, needed bool, places ...string) string {
	t.Helper()
	for _, p := range places {
		if info, err := os.Stat(p); p != "" && err == nil && !info.IsDir() {
			p, err := filepath.Abs(p)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
	}
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	if needed && os.Getenv("CI") == "true" {
		t.Fatalf("%s is not here", name)
	}
	t.Skipf("SKIPPED: %s is not here: nothing shows that the agent works without Strait (./do peers builds versitygw; mosquitto is a Debian package)", name)
	return ""
}

// serve runs a server until the test ends, and returns where it listens. args
// are its arguments for an address. Somebody else may take that first: then
// another one is tried.
func serve(t *testing.T, env []string, name string, args func(address string) []string) string {
	t.Helper()
	for tries := 1; ; tries++ {
		address := free(t)
		said, ok := listen(t, address, env, name, args(address)...)
		if ok {
			return address
		}
		if tries == 5 {
			t.Fatalf("%s ended:\n%s", name, said)
		}
	}
}

// listen starts a server and waits until it listens, or has ended.
func listen(t *testing.T, address string, env []string, name string, args ...string) (said string, ok bool) {
	t.Helper()
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &out, append(os.Environ(), env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	await.Until(t, name+" listens on "+address, func() bool {
		select {
		case <-ended:
			said, ok = out.String(), false
			return true
		default:
		}
		c, err := net.Dial("tcp", address)
		if ok = err == nil; ok {
			c.Close()
		}
		return ok
	})
	return said, ok
}

// free is an address that nobody listens on. Its port is none that systems give
// out by themselves, so that no other test gets it meanwhile.
func free(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+random.IntN(12_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// An authority signs certificates.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// issue writes a certificate and its key; the first one is the authority's own.
func (a *authority) issue(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
	}
	if a.key == nil {
		a.key, a.cert, c.IsCA = key, c, true
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if c.IsCA {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, name+".cert.pem"), filepath.Join(dir, name+".key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func openForeign(t *testing.T) *foreign {
	t.Helper()
	versity := program(t, "versitygw", false, os.Getenv("STRAIT_VERSITYGW"), "../../bin/versitygw")
	mosquitto := program(t, "mosquitto", true, "/usr/sbin/mosquitto")
	f := &foreign{t: t, dir: t.TempDir(), accessID: "FOREIGNACCESSKEY", secret: rand.Text()}
	// 1. The broker: mutual TLS, and each device its own topics.
	caFile, _ := f.ca.issue(t, f.dir, "ca")
	cert, key := f.ca.issue(t, f.dir, "broker")
	f.cert, f.key = f.ca.issue(t, f.dir, "device00")
	f.ca.issue(t, f.dir, "function")
	acl := filepath.Join(f.dir, "acl")
	config := filepath.Join(f.dir, "mosquitto.conf")
	write := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(acl, "user function\ntopic read +/token/req\ntopic write +/token/res\npattern write %u/token/req\npattern read %u/token/res\n")
	f.broker = serve(t, nil, mosquitto, func(address string) []string {
		_, port, _ := net.SplitHostPort(address)
		write(config, fmt.Sprintf("listener %s 127.0.0.1\ncafile %s\ncertfile %s\nkeyfile %s\nrequire_certificate true\nuse_identity_as_username true\nacl_file %s\nuser root\n",
			port, caFile, cert, key, acl))
		return []string{"-c", config}
	})
	// 2. The store.
	root := filepath.Join(f.dir, "store")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	f.store = serve(t, []string{"ROOT_ACCESS_KEY_ID=" + f.accessID, "ROOT_SECRET_ACCESS_KEY=" + f.secret}, versity, func(address string) []string {
		return []string{"--port", address, "--region", "us-east-1", "--keep-alive", "--quiet", "posix", root}
	})
	f.s3 = s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String("http://" + f.store), UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(f.accessID, f.secret, "")})
	if _, err := f.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		t.Fatal(err)
	}
	f.proxy = newProxy(seed(t))
	f.proxy.to.Store(f.store)
	f.web = httptest.NewServer(f.proxy)
	t.Cleanup(f.web.Close)
	// 3. The function.
	f.vend()
	return f
}

// vend answers requests as somebody's own function might: with three fields.
func (f *foreign) vend() {
	f.t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(f.dir, "function.cert.pem"), filepath.Join(f.dir, "function.key.pem"))
	if err != nil {
		f.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(f.ca.cert)
	answer, err := json.Marshal(map[string]string{"AccessKeyId": "ASIAFOREIGN", "SecretAccessKey": f.secret, "SessionToken": "foreign"})
	if err != nil {
		f.t.Fatal(err)
	}
	c := paho.NewClient(paho.NewClientOptions().AddBroker("ssl://" + f.broker).SetClientID("function").SetTLSConfig(&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool}))
	for _, token := range []func() paho.Token{c.Connect, func() paho.Token {
		return c.Subscribe("+/token/req", 1, func(c paho.Client, m paho.Message) {
			thing, _, _ := strings.Cut(m.Topic(), "/")
			c.Publish(thing+"/token/res", 1, false, answer)
		})
	}} {
		if k := token(); !k.WaitTimeout(await.Patience) || k.Error() != nil {
			f.t.Fatalf("the function cannot reach the broker: %v", k.Error())
		}
	}
	f.t.Cleanup(func() { c.Disconnect(100) })
}

func (f *foreign) run(binary string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command(binary, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + f.dir, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=" + f.accessID, "AWS_SECRET_ACCESS_KEY=" + f.secret}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	return cmd, &out
}

// upload is the agent that sends to the store.
func (f *foreign) upload(binary string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	return f.run(binary, append([]string{"upload", "--from", "environment", "--bucket", bucket, "--key-prefix", "device00/", "--s3-endpoint", f.web.URL, "--json"}, args...)...)
}

func (f *foreign) compare(key, file string) {
	f.t.Helper()
	out, err := f.s3.GetObject(f.t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		f.t.Fatalf("read %s: %v", key, err)
	}
	defer out.Body.Close()
	got, err := io.ReadAll(out.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	if want, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		f.t.Errorf("%s differs from %s (%v)", key, file, err)
	}
}

// The same agent, with a broker, a store and a function that are none of
// Strait's: it gets credentials, sends, is cut and refused on the way, is
// killed, goes on where it was, and the file is there. Nothing relies on Strait.
func TestForeign(t *testing.T) {
	f := openForeign(t)
	binary := build(t)
	file := (&house{t: t}).file("foreign.bin", 31*mib)
	// 1. Credentials.
	f.proxy.set(nil)
	cmd, out := f.run(binary, "credentials", "--endpoint", f.broker, "--thing", "device00", "--cert", f.cert, "--key", f.key, "--ca", filepath.Join(f.dir, "ca.cert.pem"))
	if err := cmd.Run(); err != nil || !strings.Contains(out.String(), `"AccessKeyId":"ASIAFOREIGN"`) {
		t.Fatalf("%v\n%s", err, out)
	}
	// 2. Small and whole.
	small := (&house{t: t}).file("small.bin", 1000)
	cmd, out = f.upload(binary, small)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f.compare("device00/small.bin", small)
	// 3. In parts, killed after the third.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	third := make(chan struct{})
	f.proxy.call = func() {
		close(third)
		<-ctx.Done() // the agent does not live to hear the answer
		panic(http.ErrAbortHandler)
	}
	f.proxy.set(nth(isPart, hook, 4))
	cmd, out = f.upload(binary, file, "--part-size", "5242880", "--concurrency", "1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-third:
	case <-ctx.Done():
		t.Fatalf("the fourth part never came\n%s", out)
	}
	cmd.Process.Kill()
	cmd.Wait()
	cancel()
	// The third may just have been about to be written down.
	_, parts := remembered(t, device.JournalFor(file))
	if parts != 2 && parts != 3 {
		t.Fatalf("the journal knows %d parts, want 3", parts)
	}
	// 4. It goes on, through faults.
	faults := 0
	f.proxy.set(func(r *http.Request) fault {
		faults++
		return map[int]fault{1: broken, 2: cut, 4: slowDown, 6: lost, 8: damaged}[faults]
	})
	cmd, out = f.upload(binary, file, "--part-size", "5242880", "--concurrency", "1")
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if said := out.String(); !strings.Contains(said, `"resumed"`) || strings.Contains(said, `"restarted"`) {
		t.Errorf("it said\n%s", said)
	}
	f.compare("device00/foreign.bin", file)
	happened, puts, _ := f.proxy.counts()
	missing := 7 - parts
	t.Logf("%d faults, %d parts sent for the %d that were missing", happened, puts, missing)
	if happened == 0 || puts > missing+happened {
		t.Errorf("%d parts were sent after %d faults, want the %d missing ones and one for each fault at most", puts, happened, missing)
	}
}
