package api

import (
	"context"
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"strait"
	"strait/authz"
	"strait/broker"
	"strait/identity"
	"strait/policy"
)

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

// persistent tells whether something is kept of the session when the client has gone.
func (in *ConnectInput) persistent() bool {
	if in.V5 {
		return in.Expiry > 0
	}
	return !in.Clean
}
