package broker

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Keys of the broker's facts. A queue is keyed by the session's number, not by
// its client id, so that what an older session of the same client left behind
// can never be taken for its own.
const (
	sessionPrefix  = "broker/s/" // + client id → sessionRecord
	queuePrefix    = "broker/q/" // + number + "/" + 16 hex digits → message
	retainedPrefix = "broker/r/" // + topic → message
)

// A sessionRecord is what is remembered of a persistent session, as JSON.
type sessionRecord struct {
	Number string             `json:"number"` // 16 hex digits, random
	Subs   map[string]options `json:"subs,omitempty"`
	V5     bool               `json:"v5,omitempty"`
	Expiry int64              `json:"expiry,omitempty"` // seconds, in MQTT 5
	// Gone is when its client left, in Unix milliseconds; 0 while connected.
	Gone int64 `json:"gone,omitempty"`
}

func (r sessionRecord) encode() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return b
}

func decodeSession(value []byte) (r sessionRecord, err error) {
	if err := json.Unmarshal(value, &r); err != nil {
		return sessionRecord{}, err
	}
	if len(r.Number) != 16 {
		return sessionRecord{}, errors.New("session number is not 16 digits")
	}
	if r.Expiry < 0 || r.Expiry > math.MaxUint32 {
		return sessionRecord{}, fmt.Errorf("expiry after %d seconds", r.Expiry)
	}
	for f, o := range r.Subs {
		if err := ValidFilter(f); err != nil {
			return sessionRecord{}, err
		}
		if o&^optionsKnown != 0 {
			return sessionRecord{}, fmt.Errorf("subscription with options %#x", byte(o))
		}
	}
	return r, nil
}

func queueKey(number string, seq uint64) string {
	var b [len(queuePrefix) + 33]byte
	k := append(b[:0], queuePrefix...)
	k = append(k, number...)
	k = append(k, '/')
	for shift := 60; shift >= 0; shift -= 4 {
		k = append(k, "0123456789abcdef"[seq>>shift&15])
	}
	return string(k)
}

func parseQueueKey(key string) (number string, seq uint64, ok bool) {
	rest, ok := strings.CutPrefix(key, queuePrefix)
	if !ok || len(rest) != 33 || rest[16] != '/' {
		return "", 0, false
	}
	seq, err := strconv.ParseUint(rest[17:], 16, 64)
	return rest[:16], seq, err == nil
}

// A stored message is a version byte, a byte of flags, its time as varint of
// Unix nanoseconds, then topic, publisher and trace, each after its length as
// uvarint, then the payload to the end. Version 2 has properties before the
// payload; what has none is written in version 1.
const (
	messageVersion    = 1
	propertiesVersion = 2
)

const (
	flagQoS      = 1 << iota // published with QoS 1
	flagRetain               // published with RETAIN
	flagRetained             // queued because of a Subscribe
	flagsKnown   = flagQoS | flagRetain | flagRetained
)

// messageOverhead is what a message costs in a queue beside its strings.
const messageOverhead = 64

func size(m *Message) int {
	return len(m.Topic) + len(m.Payload) + len(m.Publisher) + len(m.Trace) + messageOverhead + m.Properties.size()
}

func encodeMessage(m *Message, retained bool) []byte {
	b := make([]byte, 0, size(m))
	flags := m.QoS & flagQoS
	if m.Retain {
		flags |= flagRetain
	}
	if retained {
		flags |= flagRetained
	}
	version := byte(messageVersion)
	if m.Properties != nil {
		version = propertiesVersion
	}
	b = append(b, version, flags)
	b = binary.AppendVarint(b, m.Time.UnixNano())
	for _, s := range [...]string{m.Topic, m.Publisher, m.Trace} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	if m.Properties != nil {
		b = m.Properties.append(b)
	}
	return append(b, m.Payload...)
}

var errMessage = errors.New("not a stored message")

func decodeMessage(b []byte) (m *Message, retained bool, err error) {
	if len(b) < 2 || b[0] != messageVersion && b[0] != propertiesVersion || b[1]&^flagsKnown != 0 {
		return nil, false, errMessage
	}
	version, flags := b[0], b[1]
	nano, n := binary.Varint(b[2:])
	if n <= 0 {
		return nil, false, errMessage
	}
	b = b[2+n:]
	var s [3]string
	for i := range s {
		var ok bool
		if s[i], b, ok = cutString(b); !ok {
			return nil, false, errMessage
		}
	}
	var ps *Properties
	if version == propertiesVersion {
		if ps, b = cutProperties(b); ps == nil {
			return nil, false, errMessage
		}
	}
	if ValidTopic(s[0]) != nil {
		return nil, false, errMessage
	}
	m = &Message{
		Topic: s[0], Publisher: s[1], Trace: s[2], Payload: b,
		QoS: flags & flagQoS, Retain: flags&flagRetain != 0, Time: time.Unix(0, nano), Properties: ps,
	}
	return m, flags&flagRetained != 0, nil
}
