package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iot"

	"strait"
	"strait/function"
	"strait/server"
	"strait/setup"
)

func TestMain(m *testing.M) {
	function.MaybeSandboxMain()
	os.Exit(m.Run())
}

// TestPublishWithACertificate: a device publishes over HTTPS with nothing but its
// certificate, within its policy; without one, or with one that is not ACTIVE,
// nobody does.
func TestPublishWithACertificate(t *testing.T) {
	s, err := server.Start(t.Context(), server.Config{
		Data: t.TempDir(), Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"}, Hosts: []string{"localhost"},
		HTTPS: []string{"127.0.0.1:0"}, HTTPSCert: []string{"127.0.0.1:0"}, MQTT: []string{"127.0.0.1:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	r := s.Ready()
	t.Setenv("AWS_ENDPOINT_URL", "https://"+r.HTTPS[0])
	t.Setenv("AWS_CA_BUNDLE", r.CA)
	t.Setenv("AWS_REGION", r.Region)
	admin, err := setup.NewSession(t.Context(), config.WithSharedCredentialsFiles([]string{r.Credentials}))
	if err != nil {
		t.Fatal(err)
	}
	thing, err := setup.Thing(t.Context(), admin, "device00", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(thing.Certificate, thing.Key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(r.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	publish := func(topic string, certs ...tls.Certificate) (int, string) {
		web := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs}, DisableKeepAlives: true}}
		resp, err := web.Post("https://"+r.HTTPSCert[0]+"/topics/"+topic+"?qos=1", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	// The thing's policy names the thing of the connection, which HTTPS has
	// none of (iot-policies.md, section 5): it allows nothing here.
	if code, body := publish("device00%2Ftoken%2Freq", pair); code != 403 {
		t.Errorf("policy with a thing variable: got %d %s, want 403", code, body)
	}
	doc := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:ap-northeast-1:123456789012:topic/plain/*"}]}`
	name, arn := "plain", ""
	if _, err := admin.IoT.CreatePolicy(t.Context(), &iot.CreatePolicyInput{PolicyName: &name, PolicyDocument: &doc}); err != nil {
		t.Fatal(err)
	}
	certs, err := admin.IoT.ListCertificates(t.Context(), &iot.ListCertificatesInput{})
	if err != nil {
		t.Fatal(err)
	}
	arn = *certs.Certificates[0].CertificateArn
	if _, err := admin.IoT.AttachPolicy(t.Context(), &iot.AttachPolicyInput{PolicyName: &name, Target: &arn}); err != nil {
		t.Fatal(err)
	}
	if code, body := publish("plain/a", pair); code != 200 || !strings.Contains(body, `"message":"OK"`) {
		t.Errorf("allowed topic: got %d %s, want 200", code, body)
	}
	if code, body := publish("other/a", pair); code != 403 {
		t.Errorf("other topic: got %d %s, want 403", code, body)
	}
	if code, body := publish("plain/a"); code != 403 {
		t.Errorf("no certificate: got %d %s, want 403", code, body)
	}
	if _, err := admin.IoT.UpdateCertificate(t.Context(), &iot.UpdateCertificateInput{CertificateId: certs.Certificates[0].CertificateId, NewStatus: "INACTIVE"}); err != nil {
		t.Fatal(err)
	}
	if code, body := publish("plain/a", pair); code != 403 {
		t.Errorf("inactive certificate: got %d %s, want 403", code, body)
	}
}
