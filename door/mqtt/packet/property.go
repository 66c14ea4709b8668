package packet

import (
	"encoding/binary"
	"math"
)

// A Property is the identifier of an MQTT 5 property (2.2.2.2).
type Property byte

// The properties of MQTT 5.
const (
	PayloadFormat       Property = 0x01
	MessageExpiry       Property = 0x02
	ContentType         Property = 0x03
	ResponseTopic       Property = 0x08
	CorrelationData     Property = 0x09
	SubscriptionID      Property = 0x0b
	SessionExpiry       Property = 0x11
	AssignedClientID    Property = 0x12
	ServerKeepAlive     Property = 0x13
	AuthMethod          Property = 0x15
	AuthData            Property = 0x16
	RequestProblem      Property = 0x17
	WillDelay           Property = 0x18
	RequestResponse     Property = 0x19
	ResponseInformation Property = 0x1a
	ServerReference     Property = 0x1c
	ReasonString        Property = 0x1f
	ReceiveMaximum      Property = 0x21
	TopicAliasMaximum   Property = 0x22
	TopicAlias          Property = 0x23
	MaximumQoS          Property = 0x24
	RetainAvailable     Property = 0x25
	UserProperty        Property = 0x26
	MaximumPacketSize   Property = 0x27
	WildcardAvailable   Property = 0x28
	IDsAvailable        Property = 0x29
	SharedAvailable     Property = 0x2a
)

// A PropertySet is a set of properties, one bit each.
type PropertySet uint64

// Has tells whether p is in the set.
func (s PropertySet) Has(p Property) bool { return s&(1<<p) != 0 }

// Of returns the set of ps.
func Of(ps ...Property) (s PropertySet) {
	for _, p := range ps {
		s |= 1 << p
	}
	return s
}

// Properties are the properties of one MQTT 5 packet, or of a will. A field
// counts when its identifier is in Present; what is not there is zero. User
// properties are there when User is not empty.
type Properties struct {
	Present PropertySet

	PayloadFormat     byte
	MessageExpiry     uint32 // seconds
	ContentType       string
	ResponseTopic     string
	CorrelationData   []byte
	SubscriptionID    uint32
	SessionExpiry     uint32 // seconds
	AssignedClientID  string
	ServerKeepAlive   uint16 // seconds
	AuthMethod        string
	AuthData          []byte
	RequestProblem    byte
	WillDelay         uint32 // seconds
	RequestResponse   byte
	ResponseInfo      string
	ServerReference   string
	ReasonString      string
	ReceiveMaximum    uint16
	TopicAliasMaximum uint16
	TopicAlias        uint16
	MaximumQoS        byte
	RetainAvailable   byte
	MaximumPacketSize uint32
	WildcardAvailable byte
	IDsAvailable      byte
	SharedAvailable   byte
	User              [][2]string // names and values, in their order
}

// Has tells whether p is there; nil has nothing.
func (ps *Properties) Has(p Property) bool { return ps != nil && ps.Present.Has(p) }

// Reason returns the reason string, "" when there is none.
func (ps *Properties) Reason() string {
	if ps == nil {
		return ""
	}
	return ps.ReasonString
}

// Where properties may stand. A will counts as a packet of type 0.
const (
	inWill       = 1 << 0
	inConnect    = 1 << TypeConnect
	inConnack    = 1 << TypeConnack
	inPublish    = 1 << TypePublish
	inSubscribe  = 1 << TypeSubscribe
	inDisconnect = 1 << TypeDisconnect
	inAuth       = 1 << TypeAuth
	inAcks       = 1<<TypePuback | 1<<TypePubrec | 1<<TypePubrel | 1<<TypePubcomp | 1<<TypeSuback | 1<<TypeUnsuback
	inAny        = 0xffff
)

// field returns where p may stand and the place of its value; where is 0 for
// what is no property.
func (ps *Properties) field(p Property) (where int, value any) {
	switch p {
	case PayloadFormat:
		return inPublish | inWill, &ps.PayloadFormat
	case MessageExpiry:
		return inPublish | inWill, &ps.MessageExpiry
	case ContentType:
		return inPublish | inWill, &ps.ContentType
	case ResponseTopic:
		return inPublish | inWill, &ps.ResponseTopic
	case CorrelationData:
		return inPublish | inWill, &ps.CorrelationData
	case SubscriptionID:
		return inPublish | inSubscribe, nil // a variable byte integer, the only one
	case SessionExpiry:
		return inConnect | inConnack | inDisconnect, &ps.SessionExpiry
	case AssignedClientID:
		return inConnack, &ps.AssignedClientID
	case ServerKeepAlive:
		return inConnack, &ps.ServerKeepAlive
	case AuthMethod:
		return inConnect | inConnack | inAuth, &ps.AuthMethod
	case AuthData:
		return inConnect | inConnack | inAuth, &ps.AuthData
	case RequestProblem:
		return inConnect, &ps.RequestProblem
	case WillDelay:
		return inWill, &ps.WillDelay
	case RequestResponse:
		return inConnect, &ps.RequestResponse
	case ResponseInformation:
		return inConnack, &ps.ResponseInfo
	case ServerReference:
		return inConnack | inDisconnect, &ps.ServerReference
	case ReasonString:
		return inAcks | inConnack | inDisconnect | inAuth, &ps.ReasonString
	case ReceiveMaximum:
		return inConnect | inConnack, &ps.ReceiveMaximum
	case TopicAliasMaximum:
		return inConnect | inConnack, &ps.TopicAliasMaximum
	case TopicAlias:
		return inPublish, &ps.TopicAlias
	case MaximumQoS:
		return inConnack, &ps.MaximumQoS
	case RetainAvailable:
		return inConnack, &ps.RetainAvailable
	case UserProperty:
		return inAny, nil
	case MaximumPacketSize:
		return inConnect | inConnack, &ps.MaximumPacketSize
	case WildcardAvailable:
		return inConnack, &ps.WildcardAvailable
	case IDsAvailable:
		return inConnack, &ps.IDsAvailable
	case SharedAvailable:
		return inConnack, &ps.SharedAvailable
	}
	return 0, nil
}

// properties reads a packet's properties, nil when there are none.
func (f *fields) properties(where int) *Properties {
	n := f.varint("property length")
	body := f.take(n, "properties")
	if f.err != nil || n == 0 {
		return nil
	}
	in := fields{b: body}
	ps := &Properties{}
	for len(in.b) > 0 && in.err == nil {
		in.property(ps, where)
	}
	if in.err != nil {
		f.err, f.b = in.err, nil
		return nil
	}
	return ps
}

func (f *fields) property(ps *Properties, where int) {
	id := Property(f.byte("property")) // all identifiers fit into one byte
	allowed, value := ps.field(id)
	switch {
	case allowed&where == 0:
		f.fail("property %#02x does not belong here", byte(id))
		return
	case id == UserProperty:
		ps.User = append(ps.User, [2]string{f.text("user property"), f.text("user property")})
		return
	case ps.Present.Has(id):
		f.forbid("property %#02x comes twice", byte(id))
		return
	}
	ps.Present |= 1 << id
	switch v := value.(type) {
	case *byte:
		if *v = f.byte("property"); *v > 1 { // all of them are flags, or QoS 0 or 1
			f.forbid("property %#02x is neither 0 nor 1", byte(id))
		}
	case *uint16:
		*v = f.uint16("property")
		if *v == 0 && id == ReceiveMaximum {
			f.forbid("property %#02x is 0", byte(id))
		}
	case *uint32:
		*v = f.uint32("property")
		if *v == 0 && id == MaximumPacketSize {
			f.forbid("property %#02x is 0", byte(id))
		}
	case *string:
		*v = f.text("property")
	case *[]byte:
		*v = f.bytes("property")
	default:
		if ps.SubscriptionID = uint32(f.varint("property")); ps.SubscriptionID == 0 {
			f.forbid("subscription identifier 0")
		}
	}
}

// varint reads a variable byte integer, which must be as short as it can be (1.5.5).
func (f *fields) varint(what string) (n int) {
	for shift := 0; shift < 28; shift += 7 {
		b := f.byte(what)
		if f.err != nil {
			return 0
		}
		n |= int(b&0x7f) << shift
		if b&0x80 == 0 {
			if b == 0 && shift > 0 {
				f.fail("%s has more bytes than it needs", what)
				return 0
			}
			return n
		}
	}
	f.fail("%s has more than four bytes", what)
	return 0
}

func (f *fields) uint32(what string) uint32 {
	if b := f.take(4, what); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// size returns the bytes of the properties without their length, and the
// longest of their strings.
func (ps *Properties) size() (n, long int) {
	if ps == nil {
		return 0, 0
	}
	for _, u := range ps.User {
		n += 5 + len(u[0]) + len(u[1])
		long = max(long, len(u[0]), len(u[1]))
	}
	for id, left := Property(0), ps.Present; left != 0; id, left = id+1, left>>1 {
		if left&1 == 0 || id == UserProperty {
			continue
		}
		_, value := ps.field(id)
		switch v := value.(type) {
		case *byte:
			n += 2
		case *uint16:
			n += 3
		case *uint32:
			n += 5
		case *string:
			n += 3 + len(*v)
			long = max(long, len(*v))
		case *[]byte:
			n += 3 + len(*v)
			long = max(long, len(*v))
		default:
			n += 1 + varintLength(int(ps.SubscriptionID))
		}
	}
	return n, long
}

// appendProperties appends the length and the properties, which size measured.
func appendProperties(dst []byte, ps *Properties) []byte {
	n, _ := ps.size()
	dst = appendVarint(dst, n)
	if n == 0 {
		return dst
	}
	for id, left := Property(0), ps.Present; left != 0; id, left = id+1, left>>1 {
		if left&1 == 0 || id == UserProperty {
			continue
		}
		dst = append(dst, byte(id))
		_, value := ps.field(id)
		switch v := value.(type) {
		case *byte:
			dst = append(dst, *v)
		case *uint16:
			dst = appendUint16(dst, *v)
		case *uint32:
			dst = binary.BigEndian.AppendUint32(dst, *v)
		case *string:
			dst = appendString(dst, *v)
		case *[]byte:
			dst = appendString(dst, *v)
		default:
			dst = appendVarint(dst, int(ps.SubscriptionID))
		}
	}
	for _, u := range ps.User {
		dst = appendString(appendString(append(dst, byte(UserProperty)), u[0]), u[1])
	}
	return dst
}

// withLength returns what properties take on the wire, their length included;
// it fails when a string is too long.
func (ps *Properties) withLength() (int, error) {
	n, long := ps.size()
	if long > math.MaxUint16 {
		return 0, tooLong(long)
	}
	return n + varintLength(n), nil
}

func varintLength(n int) int {
	l := 1
	for n >= 0x80 {
		n >>= 7
		l++
	}
	return l
}

func appendVarint(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}
