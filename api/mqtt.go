package api

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/google/uuid"

	"strait"
	"strait/authz"
	"strait/broker"
	"strait/identity"
	"strait/policy"
	"strait/rule"
	"strait/shadow"
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
	Shadows    *shadow.Engine
	// Provisioner serves devices that come for the first time.
	Provisioner *Provisioner
	Now         func() time.Time
	Log         *slog.Logger

	Meters *Meters // nil: nothing is timed
	Quotas bool    // AWS's rates hold (quota.go), and one CONNECT a second for each client id

	mu       sync.Mutex
	live     map[string]*Connection // by client id
	watching bool                   // a goroutine looks at their deadlines
	presence map[string]*presence   // by client id
	sweepAt  int
	met      map[*Connection]bool // whose meters count
	meter    meter                // of those that have left
	quotas   quotas
	managed  tally // operations of the connection management API
}

// ConnectInput is what a client asks when it connects.
type ConnectInput struct {
	ClientID    string
	Clean       bool
	V5          bool          // it speaks MQTT 5; then Clean is its Clean Start
	Expiry      time.Duration // in MQTT 5: how long the session outlives the connection
	Receive     int           // in MQTT 5: unacknowledged messages that it takes, 0 for the usual
	Will        *broker.Message
	Addr, Local netip.AddrPort // of the client, and where it came to
	KeepAlive   time.Duration
	Certificate *x509.Certificate // proven by TLS; nil without one
	Caller      *Caller           // proven by a signed WebSocket; nil otherwise
	Secure      bool
	Domain      string
	Wake        func(here bool) // as of broker.SessionOptions
}

// A Connection is one admitted client: it owns its Guard and its session, and
// its methods are the only way in and out.
type Connection struct {
	m       *MQTT
	guard   *authz.Guard
	session *broker.Session
	trace   string
	v5      bool
	id      string // the session identifier of lifecycle events
	version int    // and the version number
	once    sync.Once

	shadows  inFlight
	passport *passport

	noted map[string]bool // topics of which it is recorded that no rule takes them

	// The last topic each way and its ARN: most clients use few. Each is used by
	// one goroutine at a time.
	publishes, receives spelled

	meter              meter
	published, fetched uint // each used by one goroutine
}

// maxNoted bounds what a client can make a connection remember.
const maxNoted = 64

// Connect admits a client or refuses it; refusals are recorded with the trace
// of the attempt. The bool tells whether the session existed before.
func (m *MQTT) Connect(ctx context.Context, in ConnectInput) (*Connection, bool, error) {
	c, present, err := m.connect(ctx, in)
	m.meter.count(didConnect, err)
	return c, present, err
}

func (m *MQTT) connect(ctx context.Context, in ConnectInput) (*Connection, bool, error) {
	trace := NewTrace()
	c, err := m.caller(in, trace)
	if err != nil {
		m.Authorizer.Recorder.Note(strangerAt(in, trace, err))
		return nil, false, err
	}
	// 1. May it connect, in this way, with this will?
	g := m.Authorizer.Guard(c)
	if err := m.mayConnect(g, in, trace); err != nil {
		if strait.KindOf(err) == strait.Denied {
			m.tellRefused(g.Caller(), in)
		}
		return nil, false, err
	}
	err = m.within(&m.quotas.connects, accountConnects, "connects")
	var version int
	if err == nil {
		version, err = m.appear(in.ClientID)
	}
	if err != nil {
		return nil, false, err
	}
	// 2. The session; an older connection of the same name ends here.
	if in.Will != nil {
		in.Will.Publisher = in.ClientID
	}
	s, present, err := m.Broker.Connect(ctx, in.ClientID, broker.SessionOptions{Clean: in.Clean, Will: in.Will, V5: in.V5, Expiry: in.Expiry, Receive: in.Receive, Wake: in.Wake})
	if err != nil {
		return nil, false, err
	}
	info, _ := m.Broker.Session(in.ClientID)
	pass := &passport{since: m.Now(), from: in.Addr, to: in.Local, keepAlive: in.KeepAlive, clean: !in.persistent(), expiry: info.Expiry, who: c.Principal}
	conn := &Connection{m: m, passport: pass, guard: g, session: s, trace: trace, v5: in.V5, id: uuid.NewString(), version: version}
	m.mu.Lock()
	if m.live == nil {
		m.live = map[string]*Connection{}
	}
	m.live[in.ClientID] = conn
	if p := m.presence[in.ClientID]; p != nil {
		p.last, p.ended, p.reason = pass, time.Time{}, ""
	}
	m.mu.Unlock()
	m.meet(conn)
	m.watch(conn)
	// What changed between the check and now is looked at once more.
	if !g.Alive() {
		conn.expel(authError, goneBecause(c.Kind))
	}
	conn.tellConnected(in.Addr)
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
			return c, m.introduce(in.Certificate, trace, err)
		}
	}
	c.ClientID, c.Trace = in.ClientID, trace
	c.IP, c.Secure, c.Domain = in.Addr.Addr(), in.Secure, in.Domain
	if t, _ := m.Directory.ThingFor(&c); t != nil {
		c.Thing = t.Name
	}
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
	case rec.Claim != "" && !now.Before(rec.Created.Add(claimTime)):
		return Caller{}, strait.Errorf(strait.Unauthenticated, "certificate", "the certificate %s was a provisioning claim for %v and is over", rec.ID, claimTime)
	case now.Before(crt.NotBefore) || now.After(crt.NotAfter):
		return Caller{}, strait.Errorf(strait.Unauthenticated, "certificate", "the certificate %s is not valid now (%s to %s)", rec.ID, crt.NotBefore.Format(time.RFC3339), crt.NotAfter.Format(time.RFC3339))
	}
	return Caller{Principal: m.Directory.ForCertificate(rec), Certificate: crt}, nil
}

func (m *MQTT) mayConnect(g *authz.Guard, in ConnectInput, trace string) error {
	x := policy.Context{}
	var attributes []string
	if in.persistent() {
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
	if err := mayRetain(in.Will.Topic, in.Will.Retain); err != nil {
		return err
	}
	if err := m.check(g, rowPublish, in.Will.Topic, trace, true, nil); err != nil || !in.Will.Retain {
		return err
	}
	return m.check(g, rowRetainPublish, in.Will.Topic, trace, true, nil)
}

// A spelled is a topic and its ARN.
type spelled struct {
	topic string
	arn   strait.ARN
}

// of returns the ARN of topic, the one that was made last if it is the same.
func (n *spelled) of(row messageRow, p strait.Place, topic string) strait.ARN {
	if n.topic != topic || topic == "" {
		*n = spelled{topic, row.arn(p, topic)}
	}
	return n.arn
}

func (m *MQTT) check(g *authz.Guard, row messageRow, name, trace string, traced bool, x policy.Context) error {
	return g.Check(row.name, row.action, row.arn(m.Directory.Place(), name), trace, traced, x)
}

// expel closes the connection from this side, and records why.
func (c *Connection) expel(reason, why string) {
	caller := c.guard.Caller()
	c.m.Authorizer.Recorder.Event(c.trace, caller.ClientID, "Disconnect", why+": the connection was closed", true)
	c.end(broker.EndCause{Err: &expelled{reason, why}})
}

// expelled is why a connection was closed from this side.
type expelled struct{ reason, why string }

func (e *expelled) Error() string { return e.why }

func (c *Connection) end(cause broker.EndCause) {
	c.once.Do(func() {
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
		c.expel(authError, goneBecause(c.guard.Caller().Kind))
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
		if _, ok := shadowTopic(topic); ok {
			return nil
		}
		return strait.Errorf(strait.Denied, "reserved topic", "the topic %s is reserved", topic)
	}
	return nil
}

// mayRetain is checkTopic for a message that may be retained, which no message
// to a topic of the house may.
func mayRetain(topic string, retain bool) error {
	if err := checkTopic(topic); err != nil {
		return err
	}
	if retain && topic[0] == '$' {
		return strait.Errorf(strait.Denied, "reserved topic", "the topic %s is reserved: it keeps no retained message", topic)
	}
	return nil
}

// checkFilter refuses what nobody may subscribe to: wrong filters, and topics
// that begin with $ and are not AWS's, such as brokers' $SYS.
func checkFilter(filter string) error {
	if err := broker.ValidFilter(filter); err != nil {
		return err
	}
	if filter[0] == '$' && !hasPrefix(filter, "$aws/") && !hasPrefix(filter, "$share/") {
		return strait.Errorf(strait.Denied, "reserved topic", "the topic filter %s is reserved", filter)
	}
	return nil
}

// persistent tells whether something is kept of the session when the client has gone.
func (in *ConnectInput) persistent() bool {
	if in.V5 {
		return in.Expiry > 0
	}
	return !in.Clean
}

func hasPrefix(s, prefix string) bool { return len(s) >= len(prefix) && s[:len(prefix)] == prefix }

// Publish takes a message from the client, which the broker owns from then on.
// When wait is not nil the message is safe once it has returned nil. Those who
// get it are woken by the caller, who finds them in later, unless that is nil.
func (c *Connection) Publish(ctx context.Context, m *broker.Message, later *broker.Wakes) (wait func(context.Context) error, err error) {
	deed := publishing(m) // the broker owns m afterwards
	wait, err = c.publish(ctx, m, later)
	c.meter.count(deed, err)
	return c.timed(wait), err
}

func (c *Connection) publish(ctx context.Context, m *broker.Message, later *broker.Wakes) (wait func(context.Context) error, err error) {
	topic := m.Topic
	// Whoever was expelled or taken over publishes no more.
	if err := c.session.Cause(); err != nil {
		return nil, err
	}
	request, provisions := provisionTopic(topic)
	provisions = provisions && c.m.Provisioner != nil
	if err := mayRetain(topic, m.Retain); err != nil && (!provisions || m.Retain) {
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
	if err := c.guard.Check(rowPublish.name, rowPublish.action, c.publishes.of(rowPublish, c.m.Directory.Place(), topic), trace, traced, nil); err != nil {
		return nil, err
	}
	if m.Retain {
		if err := c.m.check(c.guard, rowRetainPublish, topic, trace, traced, nil); err != nil {
			return nil, err
		}
	}
	if err := c.m.mayTake(topic, m.Retain); err != nil {
		return nil, err
	}
	if provisions {
		c.provisioning(request, m.Payload, trace)
		return nil, nil
	}
	m.Publisher = c.session.ClientID()
	if trace != c.trace {
		m.Trace = trace
	} else if traced {
		c.m.Authorizer.Recorder.Event(trace, m.Publisher, "Publish", "no rule matches the topic "+topic, false)
	}
	return c.m.publish(ctx, m, &c.shadows, later)
}

// first tells whether this is the first message to topic on this connection
// that no rule takes; only that is recorded. It is called by one goroutine.
func (c *Connection) first(topic string) bool {
	if c.noted[topic] || len(c.noted) >= maxNoted {
		return false
	}
	if c.noted == nil {
		c.noted = map[string]bool{}
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

// Subscribe grants what may be granted. refused is nil when that is all, else
// it has one error for each filter that was not. In MQTT 3.1.1, where AWS closes
// the connection, a filter that is forbidden or wrong makes that none is granted.
func (c *Connection) Subscribe(ctx context.Context, subs []broker.Subscription) (refused []error, err error) {
	refused, err = c.subscribe(ctx, subs)
	for i := range subs {
		of := err
		if refused != nil {
			of = refused[i]
		}
		c.meter.count(didSubscribe, of)
	}
	return refused, err
}

func (c *Connection) subscribe(ctx context.Context, subs []broker.Subscription) (refused []error, err error) {
	if err := c.m.within(&c.m.quotas.subscribes, accountSubscribes, "subscribes"); err != nil {
		refused = make([]error, len(subs))
		for i := range refused {
			refused[i] = err
		}
		return refused, nil
	}
	refused = make([]error, len(subs))
	// 1. What may be asked for.
	granted, at := make([]broker.Subscription, 0, len(subs)), make([]int, 0, len(subs))
	for i, s := range subs {
		err := checkFilter(s.Filter)
		if err == nil {
			err = c.m.check(c.guard, rowSubscribe, s.Filter, c.trace, true, nil)
		}
		if err != nil && !c.v5 {
			refused[i] = err
			return refused, nil
		}
		if err != nil {
			refused[i] = err
			continue
		}
		granted, at = append(granted, s), append(at, i)
	}
	// 2. What there is room for.
	full, err := c.session.Subscribe(ctx, granted)
	if err != nil {
		return nil, err
	}
	for j, err := range full {
		if refused[at[j]] = err; err != nil {
			c.m.Authorizer.Recorder.Event(c.trace, c.session.ClientID(), "Subscribe", plainly(err), false)
		}
	}
	// 3. Who wants to know.
	var filters []string
	for i, s := range subs {
		if refused[i] == nil {
			filters = append(filters, s.Filter)
		}
	}
	c.tellSubscribed("subscribed", filters)
	if len(filters) == len(subs) {
		return nil, nil
	}
	return refused, nil
}

// Unsubscribe ends subscriptions; refused has an error for each filter that is
// none, and is nil without such.
func (c *Connection) Unsubscribe(ctx context.Context, filters []string) (refused []error, err error) {
	ended := make([]string, 0, len(filters))
	for i, f := range filters {
		if err := broker.ValidFilter(f); err != nil {
			if refused == nil {
				refused = make([]error, len(filters))
			}
			refused[i] = err
			continue
		}
		ended = append(ended, f)
	}
	c.meter[didUnsubscribe][wentWell].Add(uint64(len(ended)))
	if err := c.session.Unsubscribe(ctx, ended); err != nil {
		return nil, err
	}
	c.tellSubscribed("unsubscribed", ended)
	return refused, nil
}

// SetExpiry changes how long a session of MQTT 5 outlives its connection.
func (c *Connection) SetExpiry(d time.Duration) { c.session.SetExpiry(d) }

// Next returns what there is of messages that the client may receive, without
// waiting. It is asked for each one now, as it goes on the wire, and not when it was
// queued: a session that was wide and is resumed narrow gets only what the
// narrow one may.
func (c *Connection) Next(ctx context.Context, buf []broker.Delivery) ([]broker.Delivery, error) {
	ds, err := c.session.Take(ctx, buf, c.admit)
	c.carried(ds)
	c.m.slow(ctx, len(ds))
	return ds, err
}

func (c *Connection) admit(m *broker.Message) bool {
	trace := m.Trace
	if trace == "" {
		trace = c.trace
	}
	err := c.guard.Check(rowReceive.name, rowReceive.action, c.receives.of(rowReceive, c.m.Directory.Place(), m.Topic), trace, m.Trace != "", nil)
	if err != nil {
		c.meter.count(didDeliver0+int(m.QoS&1), err)
	}
	return err == nil
}

// Ack says that the client has a delivery.
func (c *Connection) Ack(ctx context.Context, packetID uint16) error {
	return c.session.Ack(ctx, packetID)
}

// Done is closed when the connection was ended from this side.
func (c *Connection) Done() <-chan struct{} { return c.session.Done() }

// End ends the connection, which it is called for once. reason is a word of
// AWS's lifecycle events, as far as the door knows it; clean means that the
// will is void.
func (c *Connection) End(reason string, clean bool) {
	if c.session.Cause() != nil { // then we knew before the door did
		reason, _ = c.Cause()
	}
	c.end(broker.EndCause{Clean: clean})
	c.tellDisconnected(reason)
	c.m.leave(c)
	if c.m.Meters != nil {
		c.m.Meters.Ended.Add(1, reason)
	}
}

// Cause returns why the connection was ended from this side: the word of
// lifecycle events, and a sentence.
func (c *Connection) Cause() (reason, why string) {
	err := c.session.Cause()
	var e *expelled
	switch {
	case err == nil:
		return "", ""
	case errors.As(err, &e):
		return e.reason, e.why
	case errors.Is(err, broker.ErrTakenOver):
		reason = "DUPLICATE_CLIENTID"
	case errors.Is(err, broker.ErrKicked):
		reason = "API_INITIATED_DISCONNECT"
	default:
		reason = "SERVER_INITIATED_DISCONNECT"
	}
	return reason, err.Error()
}

func plainly(err error) string {
	var e *strait.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}
