package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	mqtt "github.com/eclipse/paho.mqtt.golang"

	"strait"
	"strait/await"
	"strait/server"
	"strait/setup"
)

// A factory is an authority of the user's own.
type factory struct {
	t   *testing.T
	crt *x509.Certificate
	key *ecdsa.PrivateKey
	n   int64
}

func newFactory(t *testing.T) *factory {
	f := &factory{t: t}
	f.crt, f.key = f.make(&x509.Certificate{Subject: pkix.Name{CommonName: "Factory"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return f
}

func (f *factory) make(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	f.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	f.n++
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(f.n), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := f.crt, f.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		f.t.Fatal(err)
	}
	crt, err := x509.ParseCertificate(der)
	if err != nil {
		f.t.Fatal(err)
	}
	return crt, key
}

// device makes a certificate that nobody has registered.
func (f *factory) device(name string) tls.Certificate {
	crt, key := f.make(&x509.Certificate{Subject: pkix.Name{CommonName: name, SerialNumber: "s-" + name, Country: []string{"JP"}}})
	return tls.Certificate{Certificate: [][]byte{crt.Raw}, PrivateKey: key}
}

func pemOf(crt *x509.Certificate) *string {
	return aws.String(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: crt.Raw})))
}

// A newcomerHouse is a server, its operator, and a way for devices to connect.
type newcomerHouse struct {
	*testing.T
	admin *setup.Session
	mqtt  string
	pool  *x509.CertPool
}

func openNewcomers(t *testing.T) *newcomerHouse {
	s, err := server.Start(t.Context(), server.Config{
		Data: t.TempDir(), Place: strait.Place{Region: "ap-northeast-1", Account: ruleAccount}, Hosts: []string{"localhost"},
		HTTPS: []string{"127.0.0.1:0"}, MQTT: []string{"127.0.0.1:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	r := s.Ready()
	t.Setenv("AWS_ENDPOINT_URL", "https://"+r.HTTPS[0])
	t.Setenv("AWS_CA_BUNDLE", r.CA)
	t.Setenv("AWS_REGION", r.Region)
	h := &newcomerHouse{T: t, mqtt: r.MQTT[0], pool: x509.NewCertPool()}
	h.admin, err = setup.NewSession(t.Context(), config.WithSharedCredentialsFiles([]string{r.Credentials}))
	h.must(err)
	ca, err := os.ReadFile(r.CA)
	h.must(err)
	h.pool.AppendCertsFromPEM(ca)
	return h
}

func (h *newcomerHouse) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *newcomerHouse) connect(id string, crt tls.Certificate) (mqtt.Client, error) {
	o := mqtt.NewClientOptions().AddBroker("ssl://" + h.mqtt).SetClientID(id).SetProtocolVersion(4).SetAutoReconnect(false).SetConnectRetry(false).
		SetTLSConfig(&tls.Config{RootCAs: h.pool, Certificates: []tls.Certificate{crt}, ServerName: "localhost"})
	c := mqtt.NewClient(o)
	token := c.Connect()
	token.WaitTimeout(await.Patience)
	if token.Error() == nil {
		h.Cleanup(func() { c.Disconnect(0) })
	}
	return c, token.Error()
}

// register proves the possession of the factory's key and registers it.
func (h *newcomerHouse) register(f *factory, c *types.RegistrationConfig) *iot.RegisterCACertificateOutput {
	h.Helper()
	code, err := h.admin.IoT.GetRegistrationCode(h.Context(), &iot.GetRegistrationCodeInput{})
	h.must(err)
	proof, _ := f.make(&x509.Certificate{Subject: pkix.Name{CommonName: *code.RegistrationCode}})
	stranger, _ := f.make(&x509.Certificate{Subject: pkix.Name{CommonName: "guessed"}})
	in := &iot.RegisterCACertificateInput{CaCertificate: pemOf(f.crt), VerificationCertificate: pemOf(stranger), SetAsActive: true, AllowAutoRegistration: true, RegistrationConfig: c}
	if _, err := h.admin.IoT.RegisterCACertificate(h.Context(), in); err == nil || !strings.Contains(err.Error(), "RegistrationCodeValidationException") {
		h.Fatalf("with a verification certificate of another name: got %v", err)
	}
	in.VerificationCertificate = pemOf(proof)
	out, err := h.admin.IoT.RegisterCACertificate(h.Context(), in)
	h.must(err)
	return out
}

// TestJustInTimeRegistration: a device of a registered authority is registered
// as it connects, waits, and comes in when it was activated; one of another
// authority is not.
func TestJustInTimeRegistration(t *testing.T) {
	h := openNewcomers(t)
	f := newFactory(t)
	device := f.device("device00")
	if _, err := h.connect("device00", device); err == nil {
		t.Fatal("a stranger's device connected")
	}
	thing, err := setup.Thing(t.Context(), h.admin, "watcher", t.TempDir())
	h.must(err)
	pair, err := tls.LoadX509KeyPair(thing.Certificate, thing.Key)
	h.must(err)
	all := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`
	_, err = h.admin.IoT.CreatePolicy(t.Context(), &iot.CreatePolicyInput{PolicyName: aws.String("all"), PolicyDocument: &all})
	h.must(err)
	certs, err := h.admin.IoT.ListCertificates(t.Context(), &iot.ListCertificatesInput{})
	h.must(err)
	_, err = h.admin.IoT.AttachPolicy(t.Context(), &iot.AttachPolicyInput{PolicyName: aws.String("all"), Target: certs.Certificates[0].CertificateArn})
	h.must(err)
	watcher, err := h.connect("watcher", pair)
	h.must(err)
	events := make(chan []byte, 1)
	token := watcher.Subscribe("$aws/events/certificates/registered/#", 1, func(_ mqtt.Client, m mqtt.Message) { events <- m.Payload() })
	token.Wait()
	h.must(token.Error())

	ca := h.register(f, nil)
	if _, err := h.connect("device00", device); err == nil {
		t.Fatal("a device that waits for its activation connected")
	}
	var event struct{ CertificateID, CACertificateID, CertificateStatus string }
	select {
	case b := <-events:
		h.must(json.Unmarshal(b, &event))
	case <-time.After(await.Patience):
		t.Fatal("no event")
	}
	if event.CertificateStatus != "PENDING_ACTIVATION" || event.CACertificateID != *ca.CertificateId {
		t.Errorf("got the event %+v", event)
	}
	by, err := h.admin.IoT.ListCertificatesByCA(t.Context(), &iot.ListCertificatesByCAInput{CaCertificateId: ca.CertificateId})
	h.must(err)
	if len(by.Certificates) != 1 || *by.Certificates[0].CertificateId != event.CertificateID {
		t.Fatalf("certificates of the authority: got %+v", by.Certificates)
	}
	_, err = h.admin.IoT.UpdateCertificate(t.Context(), &iot.UpdateCertificateInput{CertificateId: &event.CertificateID, NewStatus: types.CertificateStatusActive})
	h.must(err)
	_, err = h.admin.IoT.AttachPolicy(t.Context(), &iot.AttachPolicyInput{PolicyName: aws.String("all"), Target: by.Certificates[0].CertificateArn})
	h.must(err)
	_, err = h.connect("device00", device)
	h.must(err)

	// Another authority of the same name signs for nobody here.
	if _, err := h.connect("device01", newFactory(t).device("device01")); err == nil {
		t.Error("a forged authority's device connected")
	}
	// Nor does this one, once it is switched off; it can be deleted then.
	if _, err := h.admin.IoT.DeleteCACertificate(t.Context(), &iot.DeleteCACertificateInput{CertificateId: ca.CertificateId}); err == nil || !strings.Contains(err.Error(), "CertificateStateException") {
		t.Errorf("deleting an ACTIVE authority: got %v", err)
	}
	_, err = h.admin.IoT.UpdateCACertificate(t.Context(), &iot.UpdateCACertificateInput{CertificateId: ca.CertificateId, NewStatus: types.CACertificateStatusInactive})
	h.must(err)
	if _, err := h.connect("device02", f.device("device02")); err == nil {
		t.Error("a device of an INACTIVE authority connected")
	}
	_, err = h.admin.IoT.DeleteCACertificate(t.Context(), &iot.DeleteCACertificateInput{CertificateId: ca.CertificateId})
	h.must(err)
}

// TestJustInTimeProvisioning: with a template, the newcomer gets its thing, its
// policy and an ACTIVE certificate at its first try and connects at the second.
// What the template's role may not do ends it.
func TestJustInTimeProvisioning(t *testing.T) {
	h := openNewcomers(t)
	f := newFactory(t)
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"iot.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	role, err := h.admin.IAM.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("provisioner"), AssumeRolePolicyDocument: &trust})
	h.must(err)
	body := `{"Parameters":{"AWS::IoT::Certificate::Id":{"Type":"String"},"AWS::IoT::Certificate::CommonName":{"Type":"String"},"AWS::IoT::Certificate::SerialNumber":{"Type":"String"}},
	"Resources":{"c":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"ACTIVE"}},
	"p":{"Type":"AWS::IoT::Policy","Properties":{"PolicyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:ap-northeast-1:123456789012:client/${iot:Connection.Thing.ThingName}"}]}}},
	"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"AWS::IoT::Certificate::CommonName"},"AttributePayload":{"serial":{"Ref":"AWS::IoT::Certificate::SerialNumber"}}}}}}`
	_, err = h.admin.IoT.CreateProvisioningTemplate(t.Context(), &iot.CreateProvisioningTemplateInput{TemplateName: aws.String("jitp"), TemplateBody: &body, ProvisioningRoleArn: role.Role.Arn, Enabled: aws.Bool(true), Type: types.TemplateTypeJitp})
	h.must(err)
	ca := h.register(f, &types.RegistrationConfig{TemplateName: aws.String("jitp")})

	// The role may do nothing yet: the certificate waits, nothing is made.
	if _, err := h.connect("poor", f.device("poor")); err == nil {
		t.Fatal("connected although it was not provisioned")
	}
	if _, err := h.admin.IoT.DescribeThing(t.Context(), &iot.DescribeThingInput{ThingName: aws.String("poor")}); err == nil {
		t.Error("a thing was made without permission")
	}
	_, err = h.admin.IAM.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: aws.String("provisioner"), PolicyArn: aws.String("arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration")})
	h.must(err)
	device := f.device("cam-7")
	if _, err := h.connect("cam-7", device); err == nil {
		t.Fatal("the first connection of a newcomer was not refused")
	}
	if _, err = h.connect("cam-7", device); err != nil {
		t.Fatalf("the second connection: %v", err)
	}
	thing, err := h.admin.IoT.DescribeThing(t.Context(), &iot.DescribeThingInput{ThingName: aws.String("cam-7")})
	h.must(err)
	if thing.Attributes["serial"] != "s-cam-7" {
		t.Errorf("got the attributes %v", thing.Attributes)
	}
	if _, err := h.connect("cam-8", device); err == nil {
		t.Error("it connected under another's name")
	}
	// A template in use stays.
	if _, err := h.admin.IoT.DeleteProvisioningTemplate(t.Context(), &iot.DeleteProvisioningTemplateInput{TemplateName: aws.String("jitp")}); err == nil || !strings.Contains(err.Error(), "DeleteConflictException") {
		t.Errorf("deleting a template in use: got %v", err)
	}
	_, err = h.admin.IoT.UpdateCACertificate(t.Context(), &iot.UpdateCACertificateInput{CertificateId: ca.CertificateId, RemoveAutoRegistration: true})
	h.must(err)
	_, err = h.admin.IoT.DeleteProvisioningTemplate(t.Context(), &iot.DeleteProvisioningTemplateInput{TemplateName: aws.String("jitp")})
	h.must(err)
}
