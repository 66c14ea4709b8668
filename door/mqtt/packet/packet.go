// Package packet holds the bytes of MQTT 3.1.1 (and of 3.1, which differs in
// its CONNECT only): every control packet as a struct that is read by a Reader
// and written by its Append.
//
// It judges what the standard says about a packet by itself: flags, lengths,
// UTF-8, packet ids that must not be zero. It refuses to know what may follow
// what, who may do what, and every limit that is a vendor's (filters, topic
// levels, payload). Both directions are here, for servers and for clients.
//
// MQTT 5 will be a second body format behind the same structs: Reader.Version
// is where decoding will branch. Until then a CONNECT of level 5 is a
// *VersionError, so that a server can answer it in its own tongue.
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
	ErrMalformed = errors.New("malformed packet") // what was read breaks the standard
	ErrTooLarge  = errors.New("packet too large") // over the Reader's Max, or what the wire can carry
)

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
}

// A Will is the message in a CONNECT that is published when the client is lost.
type Will struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool
}

// Connack answers a Connect.
type Connack struct {
	SessionPresent bool
	Code           byte // 0: accepted
}

// Publish carries a message, either way.
type Publish struct {
	Topic    string
	Payload  []byte
	QoS      byte
	Retain   bool
	Dup      bool
	PacketID uint16 // 0 when QoS is 0
}

// Ack is a PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK: an id and no more.
type Ack struct {
	Kind     Type
	PacketID uint16
}

// A Subscription is one filter of a Subscribe.
type Subscription struct {
	Filter string
	QoS    byte
}

// Subscribe asks for messages.
type Subscribe struct {
	PacketID      uint16
	Subscriptions []Subscription
}

// Suback answers a Subscribe with one code a filter: 0, 1, 2, or 0x80 for a failure.
type Suback struct {
	PacketID uint16
	Codes    []byte
}

// Unsubscribe gives filters back.
type Unsubscribe struct {
	PacketID uint16
	Filters  []string
}

// Empty is a PINGREQ, PINGRESP or DISCONNECT.
type Empty struct{ Kind Type }

func (*Connect) Type() Type     { return TypeConnect }
func (*Connack) Type() Type     { return TypeConnack }
func (*Publish) Type() Type     { return TypePublish }
func (p *Ack) Type() Type       { return p.Kind }
func (*Subscribe) Type() Type   { return TypeSubscribe }
func (*Suback) Type() Type      { return TypeSuback }
func (*Unsubscribe) Type() Type { return TypeUnsubscribe }
func (p *Empty) Type() Type     { return p.Kind }
