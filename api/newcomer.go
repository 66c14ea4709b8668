package api

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"strconv"
	"time"

	"strait"
	"strait/broker"
	"strait/identity"
)

// Just-in-time registration and provisioning: a device whose certificate is not
// known, but signed by a registered authority that allows it, is registered as
// it connects. The connection itself is refused, as with AWS; the device comes
// again.

// introduceTime is how long a newcomer's provisioning may take.
const introduceTime = 10 * time.Second

// introduce registers the certificate of a newcomer, if it may be, and returns
// why it cannot connect now: err, or that it has been registered.
func (m *MQTT) introduce(crt *x509.Certificate, trace string, err error) error {
	if m.Provisioner == nil || m.Directory.CertificateByID(identity.CertificateID(crt)) != nil || m.Now().After(crt.NotAfter) {
		return err
	}
	for _, ca := range m.Directory.IssuersOf(crt) {
		if ca.Status == identity.Active && ca.AutoRegistration {
			return m.register(crt, ca, trace)
		}
	}
	return err
}

func (m *MQTT) register(crt *x509.Certificate, ca *identity.CARecord, trace string) error {
	ctx, cancel := context.WithTimeout(context.Background(), introduceTime)
	defer cancel()
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: crt.Raw}))
	rec, err := m.Directory.RegisterCertificate(ctx, identity.CertificateRecord{PEM: text, Status: identity.Pending, Mode: "DEFAULT", CA: ca.ID})
	if err != nil {
		return err
	}
	now := "the certificate " + rec.ID + " of the CA certificate " + ca.ID + " was registered just now"
	if err := m.tellRegistered(ctx, rec, ca); err != nil {
		m.Log.Warn("the event of a registered certificate was not published", "certificate", rec.ID, "error", err)
	}
	if ca.Registration == (identity.Registration{}) {
		return strait.Errorf(strait.Unauthenticated, "certificate", "%s and waits for its activation (iot update-certificate --new-status ACTIVE)", now)
	}
	if err := m.Provisioner.justInTime(ctx, rec, crt, ca, trace); err != nil {
		return strait.Errorf(strait.Unauthenticated, "certificate", "%s, but its provisioning failed: %s", now, plainly(err))
	}
	return strait.Errorf(strait.Unauthenticated, "certificate", "%s and provisioned; it can connect again", now)
}

// A registeredEvent is what tells of a certificate that came just in time.
type registeredEvent struct {
	CertificateID string `json:"certificateId"`
	CAID          string `json:"caCertificateId"`
	Timestamp     int64  `json:"timestamp"` // Unix milliseconds
	Status        string `json:"certificateStatus"`
	Account       string `json:"awsAccountId"`
	Registered    string `json:"certificateRegistrationTimestamp"`
}

func (m *MQTT) tellRegistered(ctx context.Context, rec *identity.CertificateRecord, ca *identity.CARecord) error {
	now := m.Now().UnixMilli()
	payload, err := json.Marshal(registeredEvent{rec.ID, ca.ID, now, string(rec.Status), m.Directory.Place().Account, strconv.FormatInt(now, 10)})
	if err != nil {
		return err
	}
	topic := "$aws/events/certificates/registered/" + ca.ID
	wait, err := m.Broker.Publish(ctx, &broker.Message{Topic: topic, Payload: payload, QoS: 1, Trace: NewTrace()})
	if err == nil && wait != nil {
		err = wait(ctx)
	}
	return err
}

// justInTime provisions a newcomer by its authority's template. The parameters
// are those of its certificate's subject.
func (p *Provisioner) justInTime(ctx context.Context, rec *identity.CertificateRecord, crt *x509.Certificate, ca *identity.CARecord, trace string) error {
	body, role, source := ca.Registration.Body, ca.Registration.Role, ca.ARN(p.Directory.Place())
	if name := ca.Registration.Template; name != "" {
		t, err := p.Directory.Template(name)
		if err != nil {
			return err
		}
		if !t.Enabled {
			return strait.Errorf(strait.Denied, "template", "The provisioning template %s is not enabled.", name)
		}
		body, role, source = t.Body(), t.Role, t.ARN(p.Directory.Place())
	}
	_, _, err := p.provisionBy(ctx, body, role, source, subjectOf(crt), rec.ID, trace)
	return err
}

// subjectParameters are the parts of a subject that templates can refer to.
var subjectParameters = []struct {
	name string
	oid  asn1.ObjectIdentifier
}{
	{"DistinguishedNameQualifier", asn1.ObjectIdentifier{2, 5, 4, 46}},
	{"Country", asn1.ObjectIdentifier{2, 5, 4, 6}},
	{"Organization", asn1.ObjectIdentifier{2, 5, 4, 10}},
	{"OrganizationalUnit", asn1.ObjectIdentifier{2, 5, 4, 11}},
	{"StateName", asn1.ObjectIdentifier{2, 5, 4, 8}},
	{"CommonName", asn1.ObjectIdentifier{2, 5, 4, 3}},
	{"SerialNumber", asn1.ObjectIdentifier{2, 5, 4, 5}},
}

func subjectOf(crt *x509.Certificate) map[string]string {
	out := map[string]string{}
	for _, f := range subjectParameters {
		for _, a := range crt.Subject.Names {
			if s, ok := a.Value.(string); ok && a.Type.Equal(f.oid) && out["AWS::IoT::Certificate::"+f.name] == "" {
				out["AWS::IoT::Certificate::"+f.name] = s
			}
		}
	}
	return out
}
