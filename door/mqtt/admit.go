package mqtt

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"time"

	"strait/door/mqtt/packet"
)

// A refusal is a CONNECT that was understood and turned down.
type refusal struct {
	clientID string
	err      error
}

func (e *refusal) Error() string { return fmt.Sprintf("connect %q: %v", e.clientID, e.err) }
func (e *refusal) Unwrap() error { return e.err }

// admit does the TLS handshake, reads the CONNECT and asks the Connector. A
// client of MQTT 3.1.1 that is refused is sent nothing: AWS closes without a
// CONNACK, and code 1 would make the v1 SDK for Python fall back to MQTT 3.1.
// In MQTT 5 it gets a CONNACK with the reason.
func (s *Server) admit(ctx context.Context, nc net.Conn, peer Peer) (*client, error) {
	limits := s.Limits.withDefaults()
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()

	// 1. TLS.
	if err := handshake(ctx, nc, &peer, limits.Handshake); err != nil {
		return nil, err
	}

	// 2. What the client says.
	from := &input{nc: nc}
	in := packet.NewReader(from, limits.Packet)
	if err := nc.SetDeadline(time.Now().Add(limits.Connect)); err != nil {
		return nil, err
	}
	said, err := in.ReadConnect()
	if err != nil {
		return nil, answerVersion(nc, err)
	}
	c, err := connectFrom(said, peer, limits)
	if err != nil {
		return nil, s.refuse(nc, said, err)
	}

	// 3. What the floor below says to that.
	cl := newClient()
	c.Wake = cl.wake
	bounded, cancel := context.WithTimeout(ctx, limits.Connect)
	conn, present, err := s.Connector.Connect(bounded, c)
	cancel()
	if err != nil {
		said.ClientID = c.ClientID
		return nil, s.refuse(nc, said, err)
	}

	// From here on conn is open: nothing may fail before client.run, which
	// closes it.
	_ = nc.SetDeadline(time.Time{})
	from.keep(c.KeepAlive)
	from.before = cl.drained
	out := newWriter(nc, limits.Write)
	// MQTT 3.1 has no session present flag; the bit is reserved there.
	ack := &packet.Connack{SessionPresent: present && said.Version != packet.V31}
	if c.V5 {
		ack.V5, ack.Props = true, welcome(&c, limits)
		out.speak5(said.Props, limits)
	}
	if out.socket != nil {
		out.socket.in.quick = true
	}
	out.rouse = func() { cl.rouse(false) }
	out.send(ack)
	cl.limits, cl.nc, cl.input, cl.in, cl.out, cl.conn = limits, nc, from, in, out, conn
	cl.v5, cl.kept, cl.quick = c.V5, c.Expiry > 0, !c.kept()
	cl.reasons = !s.HideReasons && !(said.Props.Has(packet.RequestProblem) && said.Props.RequestProblem == 0)
	cl.log, cl.id, cl.addr = s.log(), c.ClientID, peer.Addr
	cl.slots = make(chan struct{}, limits.Inflight)
	cl.publishes, cl.bytes = newRate(limits.Publishes), newRate(limits.Bytes)
	return cl, nil
}

// kept tells whether the session outlives the connection.
func (c *Connect) kept() bool {
	if c.V5 {
		return c.Expiry > 0
	}
	return !c.Clean
}

// refuse tells a client of MQTT 5 why it is turned down, and returns the refusal.
func (s *Server) refuse(nc net.Conn, said *packet.Connect, err error) error {
	if said.Version == packet.V5 {
		ack := &packet.Connack{V5: true, Code: connectCode(err)}
		if !s.HideReasons {
			ack.Props = withReason(plainly(err))
		}
		if b := within(ack, said.Props); b != nil {
			_ = nc.SetDeadline(time.Now().Add(flushTime))
			_, _ = nc.Write(b)
		}
	}
	return &refusal{said.ClientID, err}
}

// within returns the bytes of a refusal that a client takes: without the reason
// when it is too large with it, and none when it takes not even that. Nobody is
// sent more than its Maximum Packet Size (MQTT-3.1.2-24, MQTT-3.2.2-19).
func within(ack *packet.Connack, said *packet.Properties) []byte {
	most := math.MaxInt
	if said.Has(packet.MaximumPacketSize) {
		most = int(said.MaximumPacketSize)
	}
	b, err := ack.Append(nil)
	if err == nil && len(b) > most {
		ack.Props = nil
		b, err = ack.Append(nil)
	}
	if err != nil || len(b) > most {
		return nil
	}
	return b
}

// welcome returns the properties of a CONNACK: what holds for the connection
// (iot-mqtt.md, section 3). Shared Subscription Available is absent, which
// means yes, as with AWS.
func welcome(c *Connect, l Limits) *packet.Properties {
	p := &packet.Properties{
		Present: packet.Of(packet.SessionExpiry, packet.ReceiveMaximum, packet.MaximumQoS, packet.RetainAvailable, packet.MaximumPacketSize,
			packet.TopicAliasMaximum, packet.WildcardAvailable, packet.IDsAvailable, packet.ServerKeepAlive),
		SessionExpiry:  uint32(c.Expiry / time.Second),
		ReceiveMaximum: uint16(min(l.Inflight, math.MaxUint16)), MaximumQoS: 1, RetainAvailable: 1, MaximumPacketSize: uint32(l.Packet),
		TopicAliasMaximum: uint16(min(l.Aliases, math.MaxUint16)), WildcardAvailable: 1,
		ServerKeepAlive: uint16(min(c.KeepAlive/time.Second, math.MaxUint16)),
	}
	if c.Assigned {
		p.Present |= packet.Of(packet.AssignedClientID)
		p.AssignedClientID = c.ClientID
	}
	return p
}

// handshake completes a TLS connection's handshake and notes in peer what it
// showed. Other connections are left as they are.
func handshake(ctx context.Context, nc net.Conn, peer *Peer, timeout time.Duration) error {
	t, ok := nc.(interface {
		HandshakeContext(context.Context) error
		ConnectionState() tls.ConnectionState
	})
	if ok {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		if err := t.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("tls handshake: %w", err)
		}
		state := t.ConnectionState()
		peer.TLS = &state
	}
	if peer.TLS != nil && len(peer.TLS.PeerCertificates) > 0 {
		peer.Certificate = peer.TLS.PeerCertificates[0]
	}
	return nil
}

// answerVersion tells a client of a later MQTT, in MQTT 5, that its version is
// not spoken: CONNACK, reason 0x84, no properties. It returns err.
func answerVersion(nc net.Conn, err error) error {
	var v *packet.VersionError
	if errors.As(err, &v) && v.Name == "MQTT" && v.Level > byte(packet.V5) && v.Level < 0x80 { // mosquitto's bridges set the high bit
		_, _ = nc.Write([]byte{byte(packet.TypeConnack) << 4, 3, 0, codeVersion, 0})
	}
	return err
}

// connectFrom judges a CONNECT as far as that is the wire's affair.
func connectFrom(p *packet.Connect, peer Peer, limits Limits) (Connect, error) {
	c := Connect{
		ClientID:  p.ClientID,
		Clean:     p.Clean,
		KeepAlive: limits.keepAlive(p.KeepAlive),
		Username:  p.Username,
		Peer:      peer,
	}
	if p.Version == packet.V5 {
		if err := c.take5(p.Props, &limits); err != nil {
			return Connect{}, err
		}
	}
	switch {
	case len(c.ClientID) > limits.ClientID:
		return Connect{}, coded(codeClientID, "a client id of %d bytes; at most %d are allowed", len(c.ClientID), limits.ClientID)
	case strings.HasPrefix(c.ClientID, "$"):
		return Connect{}, coded(codeClientID, "a client id that begins with $")
	case c.ClientID == "" && c.V5:
		// A name that no client can give itself; it may be neither sent nor
		// resumed later.
		c.ClientID, c.Assigned = "$GEN/"+newUUID(), true
	case c.ClientID == "" && !c.Clean:
		// MQTT-3.1.3-8. The standard's CONNACK 2 is not sent, see admit.
		return Connect{}, protocolError("a client without an id asks for a persistent session")
	case c.ClientID == "":
		// What AWS does with it in 3.1.1 is unverified; its "$GEN/<uuid>" is
		// for MQTT 5, and here a name that no client could give itself would
		// be one that no session may have.
		c.ClientID, c.Assigned = generatedID(), true
	}
	if w := p.Will; w != nil {
		if w.QoS > 1 {
			return Connect{}, coded(codeQoS, "a will with QoS 2")
		}
		if len(w.Payload) > limits.Payload {
			return Connect{}, coded(codeQuota, "a will of %d bytes; at most %d are allowed", len(w.Payload), limits.Payload)
		}
		ps, err := limits.properties(w.Props) // a will delay is not offered, and ignored
		if err != nil {
			return Connect{}, err
		}
		// A copy, so that the will does not keep the password beside it.
		c.Will = &Will{Topic: w.Topic, Payload: bytes.Clone(w.Payload), QoS: w.QoS, Retain: w.Retain, Properties: ps}
	}
	return c, nil
}

// smallestMax is the least Maximum Packet Size that a client may ask for.
const smallestMax = 512

// take5 judges the properties of a CONNECT.
func (c *Connect) take5(p *packet.Properties, l *Limits) error {
	c.V5 = true
	if p == nil {
		return nil
	}
	switch {
	case p.Has(packet.AuthMethod) || p.Has(packet.AuthData):
		return coded(codeAuthMethod, "an authentication method; none is offered")
	case p.Has(packet.MaximumPacketSize) && p.MaximumPacketSize < smallestMax:
		return coded(codeUnspecified, "a maximum packet size of %d; it must be %d at least", p.MaximumPacketSize, smallestMax)
	}
	c.Expiry = min(time.Duration(p.SessionExpiry)*time.Second, l.SessionExpiry)
	c.Receive = int(p.ReceiveMaximum)
	return l.users(p)
}

// generatedID returns a name for a client of MQTT 3.1.1 that has none.
func generatedID() string { return "gen-" + newUUID() }

// newUUID returns a random UUID (version 4).
func newUUID() string {
	var b [16]byte
	_, _ = io.ReadFull(rand.Reader, b[:]) // it never fails; the process ends first
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
