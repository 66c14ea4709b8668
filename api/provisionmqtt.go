package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"strait"
	"strait/broker"
	"strait/identity"
	"strait/identity/ca"
	"strait/identity/template"
)

// Fleet provisioning over MQTT (iot-control-plane.md, section 8): a device with
// a claim asks for a certificate of its own, and then for what a template says.
// A request goes to nobody else and no rule sees it; the answer, which may hold
// a private key, goes to the asking connection alone, if it has subscribed.

// ownershipTime is how long a certificate that was made waits to be provisioned.
const ownershipTime = time.Hour

// hookTime is how long a pre-provisioning hook may take.
const hookTime = 5 * time.Second

// maxProvisioning bounds the requests under way in the whole server: making a
// key takes much of a processor.
const maxProvisioning = 8

// maxParameters bounds what a device says of itself.
const maxParameters = 100

// A provisionRequest is a message to one of provisioning's topics.
type provisionRequest struct {
	topic    string
	template string // "" for a request for a certificate
	csr      bool
}

// provisionTopic reads the topic of a request. CBOR is not offered.
func provisionTopic(topic string) (r provisionRequest, ok bool) {
	r.topic = topic
	switch topic {
	case "$aws/certificates/create/json":
		return r, true
	case "$aws/certificates/create-from-csr/json":
		r.csr = true
		return r, true
	}
	rest, ok := strings.CutPrefix(topic, "$aws/provisioning-templates/")
	if !ok {
		return r, false
	}
	r.template, ok = strings.CutSuffix(rest, "/provision/json")
	return r, ok && r.template != "" && !strings.Contains(r.template, "/")
}

// provisioning answers a request, when it has time for it.
func (c *Connection) provisioning(r provisionRequest, payload []byte, trace string) {
	if c.m.Provisioner.underWay.Add(1) > maxProvisioning {
		c.m.Provisioner.underWay.Add(-1)
		go c.refuseProvisioning(r, trace, strait.Errorf(strait.Limit, "provisioning", "Too many devices are being provisioned."))
		return
	}
	go func() {
		defer c.m.Provisioner.underWay.Add(-1)
		ctx, cancel := context.WithTimeout(context.Background(), 2*hookTime)
		defer cancel()
		answer, err := c.provision(ctx, r, payload, trace)
		if err != nil {
			c.refuseProvisioning(r, trace, err)
			return
		}
		c.answerProvisioning(r.topic+"/accepted", answer)
	}()
}

func (c *Connection) provision(ctx context.Context, r provisionRequest, payload []byte, trace string) (any, error) {
	if r.template == "" {
		return c.m.Provisioner.newCertificate(ctx, r.csr, payload)
	}
	return c.m.Provisioner.byTemplate(ctx, r.template, c.session.ClientID(), c.guard.Caller().ID, payload, trace)
}

func (c *Connection) refuseProvisioning(r provisionRequest, trace string, err error) {
	c.m.Authorizer.Recorder.Event(trace, c.session.ClientID(), "Provision", "provisioning refused what came on "+r.topic+": "+plainly(err), true)
	code, status := provisionCode(err)
	why := plainly(err)
	if status == 500 {
		c.m.Log.Error("provisioning failed", "topic", r.topic, "error", err)
		why = "An internal error occurred."
	}
	c.answerProvisioning(r.topic+"/rejected", map[string]any{"statusCode": status, "errorCode": code, "errorMessage": why})
}

// provisionCode: the guide names only a few of the codes; others are the names
// of the API's exceptions.
func provisionCode(err error) (string, int) {
	switch strait.KindOf(err) {
	case strait.Denied, strait.Unauthenticated:
		return "AccessDenied", 403
	case strait.NotFound:
		return "ResourceNotFound", 404
	case strait.Exists, strait.Conflict:
		return "ResourceConflict", 409
	case strait.Limit, strait.Unavailable:
		return "Throttling", 429
	case strait.Invalid, strait.Unsupported, strait.TooLarge:
		return "InvalidParameters", 400
	}
	return "InternalFailure", 500
}

// answerProvisioning sends an answer to this connection, if it has subscribed.
func (c *Connection) answerProvisioning(topic string, answer any) {
	subscribed := false
	for _, s := range c.session.Subscriptions() {
		subscribed = subscribed || broker.Match(s.Filter, topic)
	}
	payload, err := json.Marshal(answer)
	if !subscribed || err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), sayTime)
	defer cancel()
	if err := c.m.Broker.Direct(ctx, c.session.ClientID(), &broker.Message{Topic: topic, Payload: payload, QoS: 1}); err != nil {
		c.m.Log.Debug("an answer of provisioning was not received", "topic", topic, "error", err)
	}
}

type newCertificateAnswer struct {
	ID    string `json:"certificateId"`
	PEM   string `json:"certificatePem"`
	Key   string `json:"privateKey,omitempty"`
	Token string `json:"certificateOwnershipToken"`
}

// newCertificate makes a certificate that nobody can use until it was
// provisioned by whoever holds its token.
func (p *Provisioner) newCertificate(ctx context.Context, byRequest bool, payload []byte) (*newCertificateAnswer, error) {
	var in struct {
		CSR string `json:"certificateSigningRequest"`
	}
	if len(payload) > 0 && json.Unmarshal(payload, &in) != nil {
		return nil, strait.Errorf(strait.Invalid, "payload", "The payload is not valid JSON.")
	}
	out := &newCertificateAnswer{}
	var err error
	if byRequest {
		out.PEM, err = p.Authority.SignRequest(in.CSR)
	} else {
		var pair ca.KeyPair
		pair, err = p.Authority.NewDevice()
		out.PEM, out.Key = pair.Certificate, pair.PrivateKey
	}
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(secret)
	rec, err := p.Directory.RegisterCertificate(ctx, identity.CertificateRecord{PEM: out.PEM, Status: identity.Pending, Mode: "DEFAULT",
		Owner: &identity.Owner{Sum: sum[:], Expires: p.Corridor.Authorizer.Now().Add(ownershipTime)}})
	if err != nil {
		return nil, err
	}
	id, err := hex.DecodeString(rec.ID)
	if err != nil {
		return nil, err
	}
	out.ID, out.Token = rec.ID, base64.RawURLEncoding.EncodeToString(append(id, secret...))
	return out, nil
}

// owned returns the certificate that token is the proof for.
func (p *Provisioner) owned(token string) (*identity.CertificateRecord, error) {
	bad := strait.Errorf(strait.Denied, "token", "The certificate ownership token is invalid or has expired.")
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != 64 {
		return nil, bad
	}
	rec := p.Directory.CertificateByID(hex.EncodeToString(b[:32]))
	sum := sha256.Sum256(b[32:])
	if rec == nil || rec.Owner == nil || rec.Status != identity.Pending || subtle.ConstantTimeCompare(rec.Owner.Sum, sum[:]) != 1 || !p.Corridor.Authorizer.Now().Before(rec.Owner.Expires) {
		return nil, bad
	}
	return rec, nil
}

type templateAnswer struct {
	Device map[string]any `json:"deviceConfiguration"`
	Thing  string         `json:"thingName"`
}

func (p *Provisioner) byTemplate(ctx context.Context, name, clientID, claim string, payload []byte, trace string) (*templateAnswer, error) {
	var in struct {
		Token      string            `json:"certificateOwnershipToken"`
		Parameters map[string]string `json:"parameters"`
	}
	if json.Unmarshal(payload, &in) != nil || len(in.Parameters) > maxParameters {
		return nil, strait.Errorf(strait.Invalid, "payload", "The payload must be JSON with certificateOwnershipToken and parameters, an object of at most %d strings.", maxParameters)
	}
	t, err := p.Directory.Template(name)
	if err != nil {
		return nil, err
	}
	if !t.Enabled || t.Type != "FLEET_PROVISIONING" {
		return nil, strait.Errorf(strait.Denied, "template", "The provisioning template %s is not enabled for fleet provisioning.", name)
	}
	crt, err := p.owned(in.Token)
	if err != nil {
		return nil, err
	}
	values, err := p.hooked(ctx, t, hookQuestion{claim, crt.ID, crt.PEM, t.ARN(p.Directory.Place()), clientID, in.Parameters}, trace)
	if err != nil {
		return nil, err
	}
	done, plan, err := p.provisionBy(ctx, t.Body(), t.Role, t.ARN(p.Directory.Place()), values, crt.ID, trace)
	if err != nil {
		return nil, err
	}
	// The token was good for once.
	if err := p.Directory.ChangeCertificate(ctx, crt.ID, func(c *identity.CertificateRecord) error { c.Owner = nil; return nil }); err != nil {
		return nil, err
	}
	return &templateAnswer{plan.Device, done.Thing}, nil
}

// provisionBy carries a template out for a registered certificate, in the name
// of role.
func (p *Provisioner) provisionBy(ctx context.Context, body string, role, source strait.ARN, values map[string]string, certificate, trace string) (*provisioned, *template.Plan, error) {
	read, err := template.Parse(body)
	if err != nil {
		return nil, nil, err
	}
	values["AWS::IoT::Certificate::Id"] = certificate
	plan, err := read.Plan(values)
	if err != nil {
		return nil, nil, err
	}
	if plan.Certificate.ID != certificate {
		return nil, nil, strait.Errorf(strait.Invalid, "template", "The template must provision the device's own certificate: CertificateId is {\"Ref\": \"AWS::IoT::Certificate::Id\"}.")
	}
	as, err := p.Take(role, source, trace)
	if err != nil {
		return nil, nil, err
	}
	done, err := p.carryOut(ctx, &as, plan)
	return done, plan, err
}

// A hookQuestion is what a pre-provisioning hook is told.
type hookQuestion struct {
	Claim       string            `json:"claimCertificateId"`
	Certificate string            `json:"certificateId"`
	PEM         string            `json:"certificatePem"`
	Template    strait.ARN        `json:"templateArn"`
	ClientID    string            `json:"clientId"`
	Parameters  map[string]string `json:"parameters"`
}

// hooked asks the template's hook, if it has one, and returns the parameters
// with what the hook has changed.
func (p *Provisioner) hooked(ctx context.Context, t *identity.ProvisioningTemplate, q hookQuestion, trace string) (map[string]string, error) {
	values := map[string]string{}
	for k, v := range q.Parameters {
		if strings.HasPrefix(k, "AWS::") {
			return nil, strait.Errorf(strait.Invalid, "parameter", "The parameter %s is not a device's to give.", k)
		}
		values[k] = v
	}
	if t.Hook == nil {
		return values, nil
	}
	question, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, hookTime)
	defer cancel()
	refused := func(why string) error {
		return strait.Errorf(strait.Denied, "hook", "The pre-provisioning hook %s refused: %s", t.Hook.Function, why)
	}
	said, err := p.Invoke(ctx, t.Hook.Function, t.ARN(p.Directory.Place()), question, trace)
	if err != nil {
		return nil, refused(plainly(err))
	}
	var answer struct {
		Allow     bool              `json:"allowProvisioning"`
		Overrides map[string]string `json:"parameterOverrides"`
	}
	if json.Unmarshal(said, &answer) != nil || !answer.Allow {
		return nil, refused("it did not return allowProvisioning: true")
	}
	for k, v := range answer.Overrides {
		values[k] = v
	}
	return values, nil
}
