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
}

// A Delivery is a message on its way to one subscriber. QoS, Dup and Retain
// are those of the delivery and hide the publisher's in Message.
type Delivery struct {
	*Message
	QoS      byte   // min(published, subscribed)
	PacketID uint16 // 0 for QoS 0; to be given to Session.Ack otherwise
	Dup      bool   // it was put on the wire before, on an earlier connection
	Retain   bool   // it comes because of a Subscribe, not of a Publish
}

// A Subscription is a topic filter and the highest QoS its owner wants.
type Subscription struct {
	Filter string
	QoS    byte
}
