// Package mqtt is the door through which MQTT clients come: MQTT 3.1.1 and 5 over
// TCP, TLS and WebSocket. It reads and writes bytes and keeps what the wire
// itself demands: packet shapes, sizes, keep-alive, the order of
// acknowledgements, time limits on everyone who dawdles.
//
// It refuses to know who may do what, which topics exist, and what a session
// holds: all of that stands behind Connector and Conn, which this package
// declares and others build. It never answers for them: what they refuse with
// an error ends the connection in MQTT 3.1.1, as AWS IoT Core ends it, and is
// told with a reason code in MQTT 5 (reason.go).
//
// Begin with Server; then client.go, which is the life of one connection. The
// bytes of packets are in packet, those of WebSocket frames in websocket.
package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/netip"
	"time"
)

// A Connector decides on a CONNECT and opens the session behind it.
type Connector interface {
	// Connect admits a client, or refuses it with an error. The bool tells
	// whether the session existed before. ctx bounds this call only; it ends
	// when Connect has returned. An older connection of the same client is
	// ended by the Connector (through its Done), never by the door.
	Connect(ctx context.Context, c Connect) (Conn, bool, error)
}

// Connect is what a client said in its CONNECT, and where it comes from.
type Connect struct {
	// ClientID has 1 to 128 bytes of UTF-8 and, unless Assigned, does not begin
	// with "$".
	ClientID string
	// Assigned tells that the client sent no name and that ClientID was made
	// here: "$GEN/<uuid>" in MQTT 5, "gen-<uuid>" in 3.1.1, where it must ask
	// for a clean session.
	Assigned bool
	Clean    bool
	// V5 tells that the client speaks MQTT 5. Then Clean is its Clean Start, and
	// Expiry how long the session is to outlive the connection, at most
	// Limits.SessionExpiry; Receive is how many unacknowledged messages it
	// takes, 0 when it did not say.
	V5      bool
	Expiry  time.Duration
	Receive int
	// KeepAlive is what is enforced, already brought within the limits.
	KeepAlive time.Duration
	// Username is as it came, including what SDKs append for their metrics
	// from the last "?" on. It proves nothing: there is no password with it.
	Username string
	Will     *Will // nil when there is none
	Peer     Peer
	// Wake is to be called when Next may have something after it returned
	// nothing, or Done is closed; also before Connect has returned. It does not
	// block. here says that the caller's goroutine has time for what is to be
	// done then, which does not block either.
	Wake func(here bool)
}

// Wakes are whom a message was queued for, each by its Connect.Wake. They must be
// called soon.
type Wakes []func(here bool)

// A Peer is the other end of a connection, as far as the wire tells.
type Peer struct {
	Addr  netip.AddrPort // zero when the transport has no such address
	Local netip.AddrPort // where it came to, likewise
	// TLS is nil on a plain connection.
	TLS *tls.ConnectionState
	// Certificate is the one the client proved to hold in the TLS handshake,
	// nil when it showed none. Nobody has judged it yet.
	Certificate *x509.Certificate
	// WebSocket is the upgrade request, nil on TCP. The HTTP door has
	// authenticated it; whom it found is in Identity.
	WebSocket *http.Request
	Identity  any
}

// A Message is what a client publishes.
type Message struct {
	// Topic is UTF-8 without NUL and wildcards, not empty. Its length and its
	// levels have not been judged.
	Topic   string
	Payload []byte // the Conn's to keep; nobody writes to it again
	QoS     byte   // 0 or 1
	Retain  bool
	// Properties is nil when MQTT 5 says nothing more about the message.
	Properties *Properties
}

// Properties are what MQTT 5 says beside a payload. They are within the limits.
type Properties struct {
	Format        byte        // 0: not said, 1: bytes, 2: UTF-8
	Expiry        uint32      // seconds; 0: never
	ContentType   string      // "" for none, like all of these
	ResponseTopic string      // without wildcards
	Correlation   []byte      // nil: none
	User          [][2]string // names and values
}

// A Will is the message that is to be published when a client is lost.
type Will Message

// A Subscription is one filter of a SUBSCRIBE.
type Subscription struct {
	// Filter is UTF-8 without NUL, not empty. Its wildcards, its length and
	// its levels have not been judged.
	Filter string
	QoS    byte // 0 or 1
	// What MQTT 5 adds; zero in 3.1.1.
	NoLocal           bool
	RetainAsPublished bool
	Retained          byte // when retained messages come: 0 always, 1 if new, 2 never
}

// A Delivery is a message on its way to the client.
type Delivery struct {
	Topic    string
	Payload  []byte // the door only reads it
	QoS      byte   // 0 or 1
	PacketID uint16 // not 0 when QoS is 1
	Dup      bool
	Retain   bool
	// Properties may be nil; Left is what is left of their Expiry, if it is not 0.
	Properties *Properties
	Left       uint32
}

// A Conn is one admitted connection with its session. The door calls Publish,
// Subscribe, Unsubscribe and Ack from one goroutine, Next from any but never
// twice at a time, and the functions that Publish returned from another, in
// order. Their contexts end with the connection, and they must return then.
type Conn interface {
	// Publish takes a message. When wait is not nil, the message is safe once
	// wait has returned nil; the PUBACK goes out then, in the order of the
	// PUBLISHes, while the door reads on (up to Limits.Inflight messages).
	// wait is not called for QoS 0. An error of kind strait.Limit drops the
	// message: no PUBACK, and the connection lives on. Any other error, also
	// of wait, closes the connection; in MQTT 5 Denied, Invalid and TooLarge
	// are told in the PUBACK, and the connection lives on. Whom it does not
	// wake it adds to later; they are woken when the client has nothing more
	// to say at this moment.
	Publish(ctx context.Context, m Message, later *Wakes) (wait func(context.Context) error, err error)

	// Subscribe grants filters. refused is nil when all of them were, else it
	// has one error for each that was not. In MQTT 3.1.1 one of another kind
	// than strait.Limit closes the connection without a SUBACK, and nothing of
	// the packet may have taken effect. err always closes the connection. What
	// Next gives only after the SUBACK, retained messages, is let go by later.
	Subscribe(ctx context.Context, subs []Subscription, later *Wakes) (refused []error, err error)

	// Unsubscribe removes filters, also ones that were never subscribed. What
	// it returns is as for Subscribe.
	Unsubscribe(ctx context.Context, filters []string) (refused []error, err error)

	// Next returns what may be put on the wire in buf[:0], at most cap(buf),
	// and nothing when there is nothing at this moment: then it is called again
	// after Connect.Wake, and after Ack. The door has copied or dropped it
	// before it calls again. It must not wait for anybody when the session ends
	// with its connection. An error closes the connection.
	Next(ctx context.Context, buf []Delivery) ([]Delivery, error)

	// Ack tells that the client has acknowledged a delivery of QoS 1, or can
	// never take it (then it is called from Next's goroutine). An error of kind
	// strait.NotFound (nothing with that id is in flight) is ignored; any other
	// closes the connection.
	Ack(ctx context.Context, packetID uint16) error

	// Done is closed when the connection is ended from the other side: taken
	// over, its credential expired, its certificate revoked. What has not been
	// written by then is not written any more.
	Done() <-chan struct{}

	// Close ends the connection; clean means that the client said goodbye (a
	// DISCONNECT, or a WebSocket close frame), so that its will is void. It is
	// called exactly once, after the last Publish, Subscribe, Unsubscribe and
	// Ack have returned; Next and a wait may still be returning. ctx is not
	// the connection's; it ends some seconds later.
	Close(ctx context.Context, clean bool)
}

// An Ender is a Conn that wants to know why a connection ended, for example
// to announce it. The door then calls End in the place of Close.
type Ender interface {
	End(ctx context.Context, why Reason)
}

// An Expirer is a Conn whose session's expiry a client of MQTT 5 may change as
// it says goodbye.
type Expirer interface {
	SetExpiry(d time.Duration)
}

// A Causer is a Conn that tells why it was ended from the other side, once Done
// is closed; a client of MQTT 5 learns it.
type Causer interface {
	Cause() (why Reason, text string)
}

// A Reason says why a connection ended, in the words of AWS's lifecycle events.
type Reason string

// Reasons for an end, as far as the door can know them. When Done was closed,
// the Conn itself knows better than Ended.
const (
	Disconnected     Reason = "CLIENT_INITIATED_DISCONNECT" // the client said goodbye
	ClientError      Reason = "CLIENT_ERROR"                // it broke the protocol or a limit
	Lost             Reason = "CONNECTION_LOST"             // the socket ended or would not take more
	KeepAliveTimeout Reason = "MQTT_KEEP_ALIVE_TIMEOUT"     // silent for one and a half times its keep-alive
	Refused          Reason = "AUTH_ERROR"                  // it asked for what it may not do (strait.Denied)
	ServerError      Reason = "SERVER_ERROR"                // a Conn failed
	Ended            Reason = "SERVER_INITIATED_DISCONNECT" // Done was closed, or the server stops
	// Only a Conn can know these; see Causer.
	TakenOver Reason = "DUPLICATE_CLIENTID"
	Forbidden Reason = "FORBIDDEN_ACCESS"
	Kicked    Reason = "API_INITIATED_DISCONNECT"
	TooOld    Reason = "WEBSOCKET_TTL_EXPIRATION"
	Throttled Reason = "THROTTLED"
)

// DisconnectedWithWill is Disconnected by a client of MQTT 5 that wants its
// will to be published.
const DisconnectedWithWill Reason = "CLIENT_INITIATED_DISCONNECT (will)"

// Clean tells whether the client said goodbye.
func (r Reason) Clean() bool { return r == Disconnected }
