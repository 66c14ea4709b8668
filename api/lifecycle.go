package api

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"strait"
	"strait/broker"
	"strait/identity"
)

// Lifecycle events tell who came, went and subscribed, as messages under
// $aws/events/ (iot-mqtt.md, section 7). They are made only when somebody
// listens. Their order is not promised.

const authError = "AUTH_ERROR"

// A lifecycleEvent is the JSON of all of them.
type lifecycleEvent struct {
	ClientID          string   `json:"clientId"`
	ThingName         string   `json:"thingName,omitempty"` // of an exclusive attachment only
	Timestamp         int64    `json:"timestamp"`           // Unix milliseconds
	EventType         string   `json:"eventType"`
	SessionIdentifier string   `json:"sessionIdentifier,omitempty"`
	Principal         string   `json:"principalIdentifier"`
	IPAddress         string   `json:"ipAddress,omitempty"`
	FailureReason     string   `json:"connectFailureReason,omitempty"`
	ClientInitiated   *bool    `json:"clientInitiatedDisconnect,omitempty"`
	DisconnectReason  string   `json:"disconnectReason,omitempty"`
	Topics            []string `json:"topics,omitempty"`
	VersionNumber     *int     `json:"versionNumber,omitempty"`
}

// clientInitiated is the reason of an end that the client wanted.
const clientInitiated = "CLIENT_INITIATED_DISCONNECT"

func (c *Connection) tellConnected(addr netip.AddrPort) {
	c.tell("presence/connected", func(e *lifecycleEvent) {
		e.VersionNumber = &c.version
		if addr.IsValid() {
			e.IPAddress = addr.Addr().Unmap().String()
		}
	})
}

func (c *Connection) tellDisconnected(reason string) {
	c.m.disappear(c, reason)
	c.tell("presence/disconnected", func(e *lifecycleEvent) {
		own := reason == clientInitiated
		e.VersionNumber, e.ClientInitiated, e.DisconnectReason = &c.version, &own, reason
	})
}

func (c *Connection) tellSubscribed(kind string, filters []string) {
	if len(filters) > 0 {
		c.tell("subscriptions/"+kind, func(e *lifecycleEvent) { e.Topics = filters })
	}
}

// tellRefused tells that a client was not allowed to connect, in this way or
// with this will.
func (m *MQTT) tellRefused(c *identity.Caller, in ConnectInput) {
	m.tell("presence/connect_failed", in.ClientID, c, func(e *lifecycleEvent) {
		e.FailureReason = "AUTHORIZATION_FAILED"
		if in.Addr.IsValid() {
			e.IPAddress = in.Addr.Addr().Unmap().String()
		}
	})
}

func (c *Connection) tell(kind string, fill func(*lifecycleEvent)) {
	c.m.tell(kind, c.session.ClientID(), c.guard.Caller(), func(e *lifecycleEvent) {
		e.SessionIdentifier = c.id
		fill(e)
	})
}

// tellTime is how long an event may wait for a store that is behind.
const tellTime = 5 * time.Second

func (m *MQTT) tell(kind, clientID string, c *identity.Caller, fill func(*lifecycleEvent)) {
	if strings.ContainsAny(clientID, "+#") {
		return // as with AWS
	}
	topic := "$aws/events/" + kind + "/" + clientID
	if broker.ValidTopic(topic) != nil {
		return // a client id with many slashes
	}
	traced := m.Rules.Takes(topic)
	if !traced && !m.Broker.Wanted(topic) {
		return
	}
	_, name, _ := strings.Cut(kind, "/")
	e := lifecycleEvent{ClientID: clientID, Timestamp: m.Now().UnixMilli(), EventType: name, Principal: c.ID, ThingName: m.Directory.ExclusiveThingFor(c)}
	if c.Certificate == nil {
		e.Principal = c.Account + "/" + c.ID
	}
	fill(&e)
	payload, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings and numbers only
	}
	msg := &broker.Message{Topic: topic, Payload: payload, QoS: 1}
	if traced {
		msg.Trace = NewTrace()
	}
	ctx, cancel := context.WithTimeout(context.Background(), tellTime)
	defer cancel()
	if _, err := m.Broker.Publish(ctx, msg); err != nil {
		m.Log.Debug("a lifecycle event was not published", "topic", topic, "err", err)
	}
}

// A presence counts how often a client id has come.
type presence struct {
	version   int
	connected time.Time
	seen      time.Time
	last      *passport // of the connection that there is or was
	ended     time.Time // when it ended; zero while there is one
	reason    string    // why
}

// A passport is what is told of a connection, also for a while after its end.
type passport struct {
	since     time.Time
	from, to  netip.AddrPort
	keepAlive time.Duration
	expiry    time.Duration // how long the session outlives it
	clean     bool
	who       strait.Principal
}

// passport returns that of the connection of clientID that there is, or was
// until not long ago (then when and why it ended), or nil.
func (m *MQTT) passport(clientID string, now time.Time) (last *passport, ended time.Time, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.presence[clientID]
	if p == nil || p.last == nil || !p.ended.IsZero() && now.Sub(p.ended) >= pastKept {
		return nil, time.Time{}, ""
	}
	return p.last, p.ended, p.reason
}

// idleVersion is how long a client must be away for its version to begin
// again; AWS says "about an hour".
const idleVersion = time.Hour

// appear returns the version number of a connection that begins: one more than
// the last one's. With quotas it refuses a second one within a second.
func (m *MQTT) appear(clientID string) (version int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.Now()
	p := m.presence[clientID]
	switch {
	case p == nil || m.live[clientID] == nil && now.Sub(p.seen) > idleVersion:
		m.sweep(now)
		p = &presence{}
		m.presence[clientID] = p
	case m.Quotas && now.Sub(p.connected) < time.Second:
		return 0, strait.Errorf(strait.Limit, "connect", "the client %s connects more than once a second", clientID)
	default:
		p.version++
	}
	p.connected, p.seen = now, now
	return p.version, nil
}

// disappear notes the end of c, unless another one of the same name has come.
func (m *MQTT) disappear(c *Connection, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.presence[c.session.ClientID()]
	if p == nil {
		return
	}
	p.seen = m.Now()
	if p.last == c.passport {
		p.ended, p.reason = p.seen, reason
	}
}

// sweep forgets those who are long away, when they have become many; mu is held.
func (m *MQTT) sweep(now time.Time) {
	if m.presence == nil {
		m.presence = map[string]*presence{}
	}
	if len(m.presence) < max(m.sweepAt, 1024) {
		return
	}
	for id, p := range m.presence {
		if m.live[id] == nil && now.Sub(p.seen) > idleVersion {
			delete(m.presence, id)
		}
	}
	m.sweepAt = 2 * len(m.presence)
}
