package setup_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	iottypes "github.com/aws/aws-sdk-go-v2/service/iot/types"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	mqtt "github.com/eclipse/paho.mqtt.golang"

	"strait/await"
	"strait/setup"
	"strait/vend"
)

func lambdaVars(v map[string]string) *lambdatypes.Environment {
	return &lambdatypes.Environment{Variables: v}
}

func thing(t *testing.T, s *setup.Session, name, dir string) setup.ThingResult {
	t.Helper()
	out, err := setup.Thing(t.Context(), s, name, dir)
	if err != nil {
		t.Fatalf("Thing(%q): %v", name, err)
	}
	return out
}

// What setup makes works: a device asks, gets credentials, and can write below
// its own name and nowhere else.
func TestDeviceUploads(t *testing.T) {
	for name, in := range map[string]setup.UploadInput{
		"trust by role":    {Bucket: "big-data", Things: []string{"device00"}},
		"trust by account": {Bucket: "big-data", TrustAccount: true, Strict: true},
	} {
		t.Run(name, func(t *testing.T) {
			start(t)
			s := session(t)
			in.VendFile = program(t)
			upload(t, s, in)
			d := thing(t, s, "device00", t.TempDir())
			got := ask(t, d)
			if got.Error != nil || got.Bucket != "big-data" || got.Endpoint != s.Endpoint {
				t.Fatalf("the device is told %+v", got)
			}
			c := narrowed(t, got)
			put := func(key string) error {
				_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &got.Bucket, Key: &key, Body: strings.NewReader("data")})
				return err
			}
			if err := put("device00/a"); err != nil {
				t.Errorf("put below its own name: %v", err)
			}
			if err := put("device01/a"); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
				t.Errorf("put below another's name: %v, want AccessDenied", err)
			}
		})
	}
}

func narrowed(t *testing.T, r vend.Reply) *s3.Client {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithCredentialsProvider(
		credentials.NewStaticCredentialsProvider(r.AccessKeyID, r.SecretAccessKey, r.SessionToken)))
	if err != nil {
		t.Fatal(err)
	}
	return s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
}

// ask connects with the files that Thing wrote and asks for credentials.
func ask(t *testing.T, d setup.ThingResult) vend.Reply {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(d.Certificate, d.Key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(d.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("ssl://" + d.Endpoint).SetClientID(d.Name).SetAutoReconnect(false).
		SetTLSConfig(&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}))
	wait := func(what string, token mqtt.Token) {
		t.Helper()
		if !token.WaitTimeout(await.Patience) || token.Error() != nil {
			t.Fatalf("%s: %v", what, token.Error())
		}
	}
	wait("connect", c.Connect())
	defer c.Disconnect(0)
	replies := make(chan []byte, 1)
	wait("subscribe", c.Subscribe(d.Name+"/token/res", 1, func(_ mqtt.Client, m mqtt.Message) { replies <- m.Payload() }))
	wait("publish", c.Publish(d.Name+"/token/req", 1, false, "{}"))
	var r vend.Reply
	select {
	case payload := <-replies:
		if err := json.Unmarshal(payload, &r); err != nil {
			t.Fatal(err)
		}
	case <-time.After(await.Patience):
		t.Fatal("no credentials came")
	}
	return r
}

func TestThingTwice(t *testing.T) {
	start(t)
	s, dir := session(t), t.TempDir()
	first := thing(t, s, "device00", dir)
	cert, _ := os.ReadFile(first.Certificate)
	if info, err := os.Stat(first.Key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key has mode %v (%v), want 0600", info.Mode(), err)
	}
	second := thing(t, s, "device00", dir)
	if again, _ := os.ReadFile(first.Certificate); len(second.Changed) != 0 || string(again) != string(cert) {
		t.Errorf("the second run changed %q", second.Changed)
	}

	// A certificate without its key is of no use: another is made.
	if err := os.Remove(first.Key); err != nil {
		t.Fatal(err)
	}
	thing(t, s, "device00", dir)
	if again, _ := os.ReadFile(first.Certificate); string(again) == string(cert) {
		t.Error("a certificate without its key was kept")
	}
	if old, _ := os.ReadFile(first.Certificate + ".old"); string(old) != string(cert) {
		t.Error("the old certificate was not put aside")
	}

	// One that somebody switched off is not switched on, nor replaced.
	list, err := s.IoT.ListCertificates(t.Context(), &iot.ListCertificatesInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list.Certificates {
		if _, err := s.IoT.UpdateCertificate(t.Context(), &iot.UpdateCertificateInput{CertificateId: c.CertificateId, NewStatus: iottypes.CertificateStatusInactive}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := setup.Thing(t.Context(), s, "device00", dir); err == nil || !strings.Contains(err.Error(), "INACTIVE") {
		t.Errorf("with an inactive certificate: %v, want to be told so", err)
	}
}

// A thing that was there before Upload gets the policy, also one of another name.
func TestUploadEquipsThings(t *testing.T) {
	start(t)
	s, in := session(t), named("x", program(t))
	d := thing(t, s, "device00", t.TempDir())
	out := upload(t, s, in)
	if !strings.Contains(strings.Join(out.Changed, "\n"), "attach policy thing-x to the certificate of thing device00") {
		t.Errorf("changed %q", out.Changed)
	}
	unchanged(t, "the second run", upload(t, s, in))
	if r := ask(t, d); r.Error != nil || r.AccessKeyID == "" {
		t.Errorf("the device is told %+v", r.Error)
	}
}

func TestTopic(t *testing.T) {
	start(t)
	s := session(t)
	out, err := setup.Topic(t.Context(), s, setup.TopicInput{Topic: "test", DryRun: true})
	if err != nil || len(out.Changed) == 0 {
		t.Fatalf("dry run: %q, %v", out.Changed, err)
	}
	first, err := setup.Topic(t.Context(), s, setup.TopicInput{Topic: "test"})
	if err != nil || len(first.Changed) != len(out.Changed) {
		t.Fatalf("first run: %q, %v; the dry run said %q", first.Changed, err, out.Changed)
	}
	second, err := setup.Topic(t.Context(), s, setup.TopicInput{Topic: "test"})
	if err != nil || len(second.Changed) != 0 {
		t.Errorf("second run: %q, %v", second.Changed, err)
	}
	want := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iot:Connect"],"Resource":["*"]},` +
		`{"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":["arn:aws:iot:*:*:topic/test"]},` +
		`{"Effect":"Allow","Action":["iot:Subscribe"],"Resource":["arn:aws:iot:*:*:topicfilter/test"]}]}`
	if first.SessionPolicy != want {
		t.Errorf("session policy\n%s\nwant\n%s", first.SessionPolicy, want)
	}
	if _, err := s.STS.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(string(first.RoleARN)), RoleSessionName: aws.String("me"), Policy: &want}); err != nil {
		t.Errorf("assume it: %v", err)
	}
}

func TestStrait(t *testing.T) {
	start(t)
	s := session(t)
	if b, err := s.Strait(t.Context(), "/_strait/decisions?last=1"); err != nil || !json.Valid(b) {
		t.Errorf("list decisions: %s, %v", b, err)
	}
	if _, err := s.Strait(t.Context(), "/_strait/decisions/nothing"); err == nil || !strings.Contains(err.Error(), "no decision") {
		t.Errorf("a decision that is none: %v, want the server's sentence", err)
	}
}

func TestNoServer(t *testing.T) {
	r := start(t)
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	s := session(t)
	_, err := setup.Topic(t.Context(), s, setup.TopicInput{Topic: "test"})
	if err == nil || !strings.Contains(err.Error(), "reach http://127.0.0.1:1") {
		t.Errorf("without a server: %v", err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(r.Data, "none"))
	if _, err := setup.NewSession(t.Context()); err == nil || !strings.Contains(err.Error(), "strait env") {
		t.Errorf("without credentials: %v, want what to do", err)
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{"": "''", "a/b:c": "a/b:c", "a b": "'a b'", "it's": `'it'\''s'`, "$(x)": "'$(x)'"} {
		if got := setup.Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}
