// Package packet holds the bytes of MQTT 5 and 3.1.1 (and of 3.1, which differs
// in its CONNECT only): every control packet as a struct that is read by a
// Reader and written by its Append.
//
// It judges what the standard says about a packet by itself: flags, lengths,
// UTF-8, packet ids that must not be zero. It refuses to know what may follow
// what, who may do what, and every limit that is a vendor's (filters, topic
// levels, payload). Both directions are here, for servers and for clients.
//
// MQTT 5 is a second body format behind the same structs: a Reader whose
// Version is V5 reads it, and sets V5 in what it returns; a packet whose V5 is
// set is written in it. Properties, reasons and codes that 3.1.1 does not have
// are not written without V5. A CONNECT of any other level is a *VersionError.
//
// Begin with Reader.Read.
package packet

import (
	"errors"
	"fmt"
)

// A Type is the kind of a control packet, the high four bits of its first byte.
type Type byte

// The control packets (MQTT 3.1.1, 2.2.1).
const (
	TypeConnect     Type = 1
	TypeConnack     Type = 2
	TypePublish     Type = 3
	TypePuback      Type = 4
	TypePubrec      Type = 5
	TypePubrel      Type = 6
	TypePubcomp     Type = 7
	TypeSubscribe   Type = 8
	TypeSuback      Type = 9
	TypeUnsubscribe Type = 10
	TypeUnsuback    Type = 11
	TypePingreq     Type = 12
	TypePingresp    Type = 13
	TypeDisconnect  Type = 14
	TypeAuth        Type = 15 // MQTT 5 only
)

// A Version is a protocol level.
type Version byte

// Protocol levels.
const (
	V31  Version = 3 // its protocol name is "MQIsdp"
	V311 Version = 4
	V5   Version = 5
)

// MaxRemaining is the largest length that a fixed header can state.
const MaxRemaining = 268_435_455

// Errors of reading and writing.
var (
	ErrMalformed       = errors.New("malformed packet") // what was read breaks the standard
	ErrTooLarge        = errors.New("packet too large") // over the Reader's Max, or what the wire can carry
	ErrProtocol  error = protocolError{}                // an ErrMalformed that could be parsed, and says what it may not
)

// protocolError is what ErrProtocol is: an ErrMalformed, too.
type protocolError struct{}

func (protocolError) Error() string        { return "protocol error" }
func (protocolError) Is(target error) bool { return target == ErrMalformed }

// A VersionError is a CONNECT of a protocol that is not read here.
type VersionError struct {
	Name  string
	Level byte
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("protocol %q level %d is not spoken here", e.Name, e.Level)
}

// A Packet is one control packet.
type Packet interface {
	Type() Type
	// Append appends the packet's bytes to dst. It fails, and returns dst as
	// it was, when a field is longer than the wire can carry.
	Append(dst []byte) ([]byte, error)
}

// Connect asks for a session; it is the first packet of a client.
type Connect struct {
	Version     Version
	ClientID    string
	Clean       bool
	KeepAlive   uint16 // seconds
	Will        *Will
	HasUsername bool
	Username    string
	HasPassword bool
	Password    []byte
	Props       *Properties // MQTT 5 only, like all Props; nil for none
}

// A Will is the message in a CONNECT that is published when the client is lost.
type Will struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool
	Props   *Properties
}

// Connack answers a Connect.
type Connack struct {
	SessionPresent bool
	Code           byte // 0: accepted
	V5             bool
	Props          *Properties
}

// Publish carries a message, either way. In MQTT 5 the topic may be empty,
// when there is a topic alias for it.
type Publish struct {
	Topic    string
	Payload  []byte
	QoS      byte
	Retain   bool
	Dup      bool
	PacketID uint16 // 0 when QoS is 0
	V5       bool
	Props    *Properties
}

// Ack is a PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK: an id, and in MQTT 5 a
// reason.
type Ack struct {
	Kind     Type
	PacketID uint16
	V5       bool
	Reason   byte   // not of an UNSUBACK
	Codes    []byte // of an UNSUBACK, one a filter
	Props    *Properties
}

// A Subscription is one filter of a Subscribe.
type Subscription struct {
	Filter string
	QoS    byte
	// What MQTT 5 adds.
	NoLocal           bool // not what this client has published
	RetainAsPublished bool
	RetainHandling    byte // 0: retained messages come; 1: only if it is new; 2: never
}

// Subscribe asks for messages.
type Subscribe struct {
	PacketID      uint16
	Subscriptions []Subscription
	V5            bool
	Props         *Properties
}

// Suback answers a Subscribe with one code a filter: 0, 1, 2, or 0x80 for a
// failure (0x80 and above in MQTT 5).
type Suback struct {
	PacketID uint16
	Codes    []byte
	V5       bool
	Props    *Properties
}

// Unsubscribe gives filters back.
type Unsubscribe struct {
	PacketID uint16
	Filters  []string
	V5       bool
	Props    *Properties
}

// Empty is a PINGREQ, a PINGRESP, or the DISCONNECT of 3.1.1.
type Empty struct{ Kind Type }

// Leave is the DISCONNECT of MQTT 5, either way, and AUTH, which is of the
// same form.
type Leave struct {
	Kind   Type
	Reason byte
	Props  *Properties
}

func (*Connect) Type() Type     { return TypeConnect }
func (*Connack) Type() Type     { return TypeConnack }
func (*Publish) Type() Type     { return TypePublish }
func (p *Ack) Type() Type       { return p.Kind }
func (*Subscribe) Type() Type   { return TypeSubscribe }
func (*Suback) Type() Type      { return TypeSuback }
func (*Unsubscribe) Type() Type { return TypeUnsubscribe }
func (p *Empty) Type() Type     { return p.Kind }
func (p *Leave) Type() Type     { return p.Kind }
