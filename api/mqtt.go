package api

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"strait"
	"strait/authz"
	"strait/broker"
	"strait/identity"
	"strait/policy"
	"strait/rule"
)

// A messageRow is one row of the table that MQTT and HTTP publishing share:
// what is done, and the kind of resource that it is done to.
type messageRow struct {
	name     string
	action   strait.Action
	resource string // prefix of the resource in the ARN
}

// The rows of MQTT (iot-policies.md, section 3).
var (
	rowConnect       = messageRow{"Connect", "iot:Connect", "client/"}
	rowPublish       = messageRow{"Publish", "iot:Publish", "topic/"}
	rowRetainPublish = messageRow{"RetainPublish", "iot:RetainPublish", "topic/"}
	rowSubscribe     = messageRow{"Subscribe", "iot:Subscribe", "topicfilter/"}
	rowReceive       = messageRow{"Receive", "iot:Receive", "topic/"}
)

func (r messageRow) arn(p strait.Place, name string) strait.ARN { return p.IoT(r.resource + name) }

// MQTT is the part of the corridor that connections walk.
type MQTT struct {
	Directory  *identity.Directory
	Authorizer *authz.Authorizer
	Broker     *broker.Broker
	Rules      *rule.Engine
	Now        func() time.Time
	Log        *slog.Logger

	mu   sync.Mutex
	live map[string]*Connection // by client id
}

// ConnectInput is what a client asks when it connects.
type ConnectInput struct {
	ClientID    string
	Clean       bool
	Will        *broker.Message
	Addr        netip.AddrPort
	Certificate *x509.Certificate // proven by TLS; nil without one
	Caller      *Caller           // proven by a signed WebSocket; nil otherwise
	Secure      bool
	Domain      string
	Fail        func() // called when the connection must be closed from here
}

// A Connection is one admitted client: it owns its Guard and its session, and
// its methods are the only way in and out.
type Connection struct {
	m       *MQTT
	guard   *authz.Guard
	session *broker.Session
	trace   string
	stop    chan struct{}
	once    sync.Once

	noted map[string]bool // topics of which it is recorded that no rule takes them
}

// maxNoted bounds what a client can make a connection remember.
const maxNoted = 64

// Connect admits a client or refuses it; refusals are recorded with the trace
// of the attempt. The bool tells whether the session existed before.
func (m *MQTT) Connect(ctx context.Context, in ConnectInput) (*Connection, bool, error) {
	trace := NewTrace()
	c, err := m.caller(in, trace)
	if err != nil {
		m.Authorizer.Recorder.Note(strangerAt(in, trace, err))
		return nil, false, err
	}
	// 1. May it connect, in this way, with this will?
	g := m.Authorizer.Guard(c)
	if err := m.mayConnect(g, in, trace); err != nil {
		return nil, false, err
	}
	// 2. The session; an older connection of the same name ends here.
	if in.Will != nil {
		in.Will.Publisher = in.ClientID
	}
	s, present, err := m.Broker.Connect(ctx, in.ClientID, broker.SessionOptions{Clean: in.Clean, Will: in.Will})
	if err != nil {
		return nil, false, err
	}
	conn := &Connection{m: m, guard: g, session: s, trace: trace, stop: make(chan struct{}), noted: map[string]bool{}}
	m.mu.Lock()
	if m.live == nil {
		m.live = map[string]*Connection{}
	}
	m.live[in.ClientID] = conn
	m.mu.Unlock()
	go conn.watch()
	// What changed between the check and now is looked at once more.
	if !g.Alive() {
		conn.expel(goneBecause(c.Kind))
	}
	return conn, present, nil
}

// strangerAt is the record of a client that could not prove who it is.
func strangerAt(in ConnectInput, trace string, err error) authz.Record {
	e := authz.Record{Trace: trace, Thing: in.ClientID, Operation: "Connect", Event: plainly(err), Broken: true, Layer: "certificate"}
	if in.Addr.IsValid() {
		e.Source = in.Addr.Addr().String()
	}
	if in.Certificate != nil {
		e.Document = "cert/" + identity.CertificateID(in.Certificate)
	}
	return e
}

// caller proves who connects: by the certificate that TLS has proven, or as
// the signed WebSocket request said.
func (m *MQTT) caller(in ConnectInput, trace string) (Caller, error) {
	var c Caller
	switch {
	case in.Caller != nil:
		c = *in.Caller
	case in.Certificate == nil:
		return c, strait.Errorf(strait.Unauthenticated, "certificate", "the client showed no certificate")
	default:
		var err error
		if c, err = m.Certified(in.Certificate); err != nil {
			return c, err
		}
	}
	c.ClientID, c.Trace = in.ClientID, trace
	c.IP, c.Secure, c.Domain = in.Addr.Addr(), in.Secure, in.Domain
	return c, nil
}

// Certified returns the caller that holds crt, which TLS has proven: it must be
// registered, ACTIVE and valid now.
func (m *MQTT) Certified(crt *x509.Certificate) (Caller, error) {
	rec := m.Directory.CertificateByID(identity.CertificateID(crt))
	now := m.Now()
	switch {
	case rec == nil:
		return Caller{}, strait.Errorf(strait.Unauthenticated, "certificate", "the certificate %s is not registered", identity.CertificateID(crt))
	case rec.Status != identity.Active:
		return Caller{}, strait.Errorf(strait.Unauthenticated, "certificate", "the certificate %s is %s; only an ACTIVE one may connect (iot update-certificate --new-status ACTIVE)", rec.ID, rec.Status)
	case now.Before(crt.NotBefore) || now.After(crt.NotAfter):
		return Caller{}, strait.Errorf(strait.Unauthenticated, "certificate", "the certificate %s is not valid now (%s to %s)", rec.ID, crt.NotBefore.Format(time.RFC3339), crt.NotAfter.Format(time.RFC3339))
	}
	return Caller{Principal: m.Directory.ForCertificate(rec), Certificate: crt}, nil
}

func (m *MQTT) mayConnect(g *authz.Guard, in ConnectInput, trace string) error {
	x := policy.Context{}
	var attributes []string
	if !in.Clean {
		attributes = append(attributes, "PersistentConnect")
	}
	if in.Will != nil {
		attributes = append(attributes, "LastWill")
		x.Set("iot:LastWillTopic", string(rowPublish.arn(m.Directory.Place(), in.Will.Topic)))
	}
	if attributes != nil {
		x.Set("iot:ConnectAttributes", attributes...)
	}
	if err := m.check(g, rowConnect, in.ClientID, trace, true, x); err != nil {
		return err
	}
	if in.Will == nil {
		return nil
	}
	if err := checkTopic(in.Will.Topic); err != nil {
		return err
	}
	if err := m.check(g, rowPublish, in.Will.Topic, trace, true, nil); err != nil || !in.Will.Retain {
		return err
	}
	return m.check(g, rowRetainPublish, in.Will.Topic, trace, true, nil)
}

func (m *MQTT) check(g *authz.Guard, row messageRow, name, trace string, traced bool, x policy.Context) error {
	return g.Check(row.name, row.action, row.arn(m.Directory.Place(), name), trace, traced, x)
}

// watch ends the connection when its credentials do.
func (c *Connection) watch() {
	deadline := c.guard.Deadline()
	// The clock may be moved, so that the end is looked for now and then.
	const look = 5 * time.Second
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-c.session.Done():
			c.forget()
			return
		case <-timer.C:
		}
		left := deadline.Sub(c.m.Now())
		if left <= 0 {
			c.expel("the credentials of the connection have expired")
			return
		}
		timer.Reset(min(left, look))
	}
}

// expel closes the connection from this side, and records why.
func (c *Connection) expel(why string) {
	caller := c.guard.Caller()
	c.m.Authorizer.Recorder.Event(c.trace, caller.ClientID, "Disconnect", why+": the connection was closed", true)
	c.end(broker.EndCause{Err: errors.New(why)})
}

func (c *Connection) end(cause broker.EndCause) {
	c.once.Do(func() {
		close(c.stop)
		c.forget()
		c.session.End(context.Background(), cause)
	})
}

func (c *Connection) forget() {
	c.m.mu.Lock()
	if id := c.session.ClientID(); c.m.live[id] == c {
		delete(c.m.live, id)
	}
	c.m.mu.Unlock()
}

// Recheck closes every connection whose principal is gone; it is called after
// each change of the directory.
func (m *MQTT) Recheck() {
	m.mu.Lock()
	var gone []*Connection
	for _, c := range m.live {
		if !c.guard.Alive() {
			gone = append(gone, c)
		}
	}
	m.mu.Unlock()
	for _, c := range gone {
		c.expel(goneBecause(c.guard.Caller().Kind))
	}
}

func goneBecause(k strait.PrincipalKind) string {
	switch k {
	case strait.Certificate:
		return "the certificate is no longer ACTIVE"
	case strait.AssumedRole:
		return "the role was deleted"
	}
	return "the access key is no longer active"
}

// Connections returns how many clients are connected.
func (m *MQTT) Connections() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.live)
}

// checkTopic refuses what nobody may publish to: wrong topics, and topics of
// the house other than those that it takes (iot-mqtt.md, section 8).
func checkTopic(topic string) error {
	if err := broker.ValidTopic(topic); err != nil {
		return err
	}
	if len(topic) > 0 && topic[0] == '$' && !hasPrefix(topic, "$aws/rules/") {
		return strait.Errorf(strait.Denied, "reserved topic", "the topic %s is reserved", topic)
	}
	return nil
}

func hasPrefix(s, prefix string) bool { return len(s) >= len(prefix) && s[:len(prefix)] == prefix }

// Publish takes a message from the client. When wait is not nil the message is
// safe once it has returned nil.
func (c *Connection) Publish(ctx context.Context, topic string, payload []byte, qos byte, retain bool) (wait func(context.Context) error, err error) {
	// Whoever was expelled or taken over publishes no more.
	if err := c.session.Cause(); err != nil {
		return nil, err
	}
	if err := checkTopic(topic); err != nil {
		c.m.Authorizer.Recorder.Event(c.trace, c.session.ClientID(), "Publish", plainly(err), true)
		return nil, err
	}
	// A message that rules take begins a story of its own.
	trace, traced := c.trace, false
	if c.m.Rules.Takes(topic) {
		trace, traced = NewTrace(), true
	} else {
		traced = c.first(topic)
	}
	if err := c.m.check(c.guard, rowPublish, topic, trace, traced, nil); err != nil {
		return nil, err
	}
	if retain {
		if err := c.m.check(c.guard, rowRetainPublish, topic, trace, traced, nil); err != nil {
			return nil, err
		}
	}
	m := &broker.Message{Topic: topic, Payload: payload, QoS: qos, Retain: retain, Publisher: c.session.ClientID()}
	if trace != c.trace {
		m.Trace = trace
	} else if traced {
		c.m.Authorizer.Recorder.Event(trace, m.Publisher, "Publish", "no rule matches the topic "+topic, false)
	}
	return c.m.Broker.Publish(ctx, m)
}

// first tells whether this is the first message to topic on this connection
// that no rule takes; only that is recorded. It is called by one goroutine.
func (c *Connection) first(topic string) bool {
	if c.noted[topic] || len(c.noted) >= maxNoted {
		return false
	}
	c.noted[topic] = true
	return true
}

// PrincipalOf returns the id of the principal behind a connected client.
func (m *MQTT) PrincipalOf(clientID string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.live[clientID]; c != nil {
		return c.guard.Caller().ID
	}
	return ""
}

// Failure is the code of a subscription that was not granted although the
// connection lives on.
const Failure byte = 0x80

// Subscribe returns one code for each filter: the granted QoS or Failure. A
// filter that is forbidden or wrong is an error: AWS closes the connection.
func (c *Connection) Subscribe(ctx context.Context, subs []broker.Subscription) ([]byte, error) {
	for _, s := range subs {
		if err := broker.ValidFilter(s.Filter); err != nil {
			return nil, err
		}
		if err := c.m.check(c.guard, rowSubscribe, s.Filter, c.trace, true, nil); err != nil {
			return nil, err
		}
	}
	refused, err := c.session.Subscribe(ctx, subs)
	if err != nil {
		return nil, err
	}
	codes := make([]byte, len(subs))
	for i, s := range subs {
		codes[i] = s.QoS
		if refused != nil && refused[i] != nil {
			c.m.Authorizer.Recorder.Event(c.trace, c.session.ClientID(), "Subscribe", plainly(refused[i]), false)
			codes[i] = Failure
		}
	}
	return codes, nil
}

// Unsubscribe ends subscriptions.
func (c *Connection) Unsubscribe(ctx context.Context, filters []string) error {
	return c.session.Unsubscribe(ctx, filters)
}

// Next waits for messages and returns those that the client may receive. It
// is asked for each one now, as it goes on the wire, and not when it was
// queued: a session that was wide and is resumed narrow gets only what the
// narrow one may.
func (c *Connection) Next(ctx context.Context, buf []broker.Delivery) ([]broker.Delivery, error) {
	return c.session.Next(ctx, buf, c.admit)
}

func (c *Connection) admit(m *broker.Message) bool {
	trace := m.Trace
	if trace == "" {
		trace = c.trace
	}
	return c.m.check(c.guard, rowReceive, m.Topic, trace, m.Trace != "", nil) == nil
}

// Ack says that the client has a delivery.
func (c *Connection) Ack(ctx context.Context, packetID uint16) error {
	return c.session.Ack(ctx, packetID)
}

// Done is closed when the connection was ended from this side.
func (c *Connection) Done() <-chan struct{} { return c.session.Done() }

// Close ends the connection; clean means that the client said goodbye.
func (c *Connection) Close(clean bool) { c.end(broker.EndCause{Clean: clean}) }

func plainly(err error) string {
	var e *strait.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}
