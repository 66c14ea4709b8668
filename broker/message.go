package broker

import "time"

// A Message is what somebody published. It is shared by all who receive it:
// after Publish nobody may change it or its Payload.
type Message struct {
	Topic   string
	Payload []byte
	QoS     byte // as published: 0 or 1
	Retain  bool // as published: keep it as the topic's retained message
	Dup     bool // as published; it is not handed on
	// Publisher is the client id of the publisher, "" when it has none (HTTP).
	Publisher string
	Trace     string    // see design: one story, one trace
	Time      time.Time // when it was accepted; Publish sets it when zero
	Principal string    // strait.Principal.ID of a publisher without a client id
	Hops      int       // how often topic rules have republished it
	// Properties are what MQTT 5 says beside the payload; nil for nothing.
	Properties *Properties

	direct chan error // of Broker.Direct: what became of it; capacity 1
}

// Properties of a message, which are handed on as they came.
type Properties struct {
	// Format says what the payload is: 0 when the publisher did not say, 1 for
	// bytes, 2 for UTF-8.
	Format byte
	// Expiry is after how many seconds the message is not to be delivered any
	// more, to clients of either version; 0 for never.
	Expiry        uint32
	ContentType   string
	ResponseTopic string
	Correlation   []byte      // nil: none
	User          [][2]string // names and values, in their order
}

// expired tells whether m is not to be delivered any more.
func (m *Message) expired(now time.Time) bool {
	return m.Properties != nil && m.Properties.Expiry > 0 && now.Sub(m.Time) > time.Duration(m.Properties.Expiry)*time.Second
}

// Remaining returns the expiry that a subscriber is told: what is left of it,
// which may be 0 (iot-mqtt.md, section 4.2). ok is false when m never expires.
func (m *Message) Remaining(now time.Time) (seconds uint32, ok bool) {
	if m.Properties == nil || m.Properties.Expiry == 0 {
		return 0, false
	}
	gone := max(now.Sub(m.Time)/time.Second, 0)
	if gone >= time.Duration(m.Properties.Expiry) {
		return 0, true
	}
	return m.Properties.Expiry - uint32(gone), true
}

// A Delivery is a message on its way to one subscriber. QoS, Dup and Retain
// are those of the delivery and hide the publisher's in Message.
type Delivery struct {
	*Message
	QoS      byte   // min(published, subscribed)
	PacketID uint16 // 0 for QoS 0; to be given to Session.Ack otherwise
	Dup      bool   // it was put on the wire before, on an earlier connection
	// Retain: it comes because of a Subscribe, not of a Publish; or it was
	// published to be retained and RetainAsPublished asks for that.
	Retain bool
}

// A Subscription is a topic filter and the highest QoS its owner wants.
type Subscription struct {
	Filter string
	QoS    byte
	// NoLocal: not what the subscriber's own client id published.
	NoLocal bool
	// RetainAsPublished: live deliveries say whether they were published to be
	// retained; otherwise Delivery.Retain is true only after a Subscribe.
	RetainAsPublished bool
	// Retained says when a retained message comes because of the Subscribe.
	Retained Replay
}

// A Replay says when a Subscribe makes a retained message come.
type Replay byte

// Replays, with MQTT 5's numbers.
const (
	Always  Replay = iota // each time, as in MQTT 3.1.1
	IfNew                 // when the subscription is new
	Nothing               // never
)

// options are a subscription's, as they are remembered: its QoS and two flags.
type options byte

const (
	noLocal           options = 1 << 2
	retainAsPublished options = 1 << 3
	optionsKnown              = 1 | noLocal | retainAsPublished
)

func (s *Subscription) options() options {
	o := options(s.QoS)
	if s.NoLocal {
		o |= noLocal
	}
	if s.RetainAsPublished {
		o |= retainAsPublished
	}
	return o
}

func (o options) qos() byte { return byte(o & 1) }

// merge joins the options of two filters that one message reaches: the higher
// QoS, and each flag that grants more.
func (o options) merge(p options) options {
	return max(o&1, p&1) | o&p&noLocal | (o|p)&retainAsPublished
}
