package packet

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Append implements Packet.
func (p *Connect) Append(dst []byte) ([]byte, error) {
	name := "MQTT"
	if p.Version == V31 {
		name = "MQIsdp"
	}
	n := 2 + len(name) + 1 + 1 + 2 + 2 + len(p.ClientID)
	long := max(len(p.ClientID), len(p.Username), len(p.Password))
	v5 := p.Version == V5
	if v5 {
		l, err := p.Props.withLength()
		if err != nil {
			return dst, err
		}
		n += l
	}
	var flags byte
	if p.Clean {
		flags |= 0x02
	}
	if w := p.Will; w != nil {
		flags |= 0x04 | w.QoS<<3&0x18
		if w.Retain {
			flags |= 0x20
		}
		if v5 {
			l, err := w.Props.withLength()
			if err != nil {
				return dst, err
			}
			n += l
		}
		n += 4 + len(w.Topic) + len(w.Payload)
		long = max(long, len(w.Topic), len(w.Payload))
	}
	if p.HasPassword {
		flags |= 0x40
		n += 2 + len(p.Password)
	}
	if p.HasUsername {
		flags |= 0x80
		n += 2 + len(p.Username)
	}
	if long > math.MaxUint16 {
		return dst, tooLong(long)
	}

	dst = appendHeader(dst, byte(TypeConnect)<<4, n)
	dst = appendString(dst, name)
	dst = append(dst, byte(p.Version), flags)
	dst = appendUint16(dst, p.KeepAlive)
	if v5 {
		dst = appendProperties(dst, p.Props)
	}
	dst = appendString(dst, p.ClientID)
	if w := p.Will; w != nil {
		if v5 {
			dst = appendProperties(dst, w.Props)
		}
		dst = appendString(appendString(dst, w.Topic), w.Payload)
	}
	if p.HasUsername {
		dst = appendString(dst, p.Username)
	}
	if p.HasPassword {
		dst = appendString(dst, p.Password)
	}
	return dst, nil
}

// Append implements Packet.
func (p *Connack) Append(dst []byte) ([]byte, error) {
	n, err := length(2, p.V5, p.Props)
	if err != nil {
		return dst, err
	}
	dst = append(appendHeader(dst, byte(TypeConnack)<<4, n), bit(p.SessionPresent, 0x01), p.Code)
	if p.V5 {
		dst = appendProperties(dst, p.Props)
	}
	return dst, nil
}

// length adds to n what the properties take. It fails when the sum, or a
// string, is longer than the wire can carry.
func length(n int, v5 bool, ps *Properties) (int, error) {
	if v5 {
		l, err := ps.withLength()
		if err != nil {
			return 0, err
		}
		n += l
	}
	if n > MaxRemaining {
		return 0, tooLong(n)
	}
	return n, nil
}

// Append implements Packet.
func (p *Publish) Append(dst []byte) ([]byte, error) {
	if len(p.Topic) > math.MaxUint16 {
		return dst, tooLong(len(p.Topic))
	}
	n := 2 + len(p.Topic) + len(p.Payload)
	if p.QoS > 0 {
		n += 2
	}
	n, err := length(n, p.V5, p.Props)
	if err != nil {
		return dst, err
	}
	dst = appendHeader(dst, byte(TypePublish)<<4|bit(p.Dup, 0x08)|p.QoS<<1&0x06|bit(p.Retain, 0x01), n)
	dst = appendString(dst, p.Topic)
	if p.QoS > 0 {
		dst = appendUint16(dst, p.PacketID)
	}
	if p.V5 {
		dst = appendProperties(dst, p.Props)
	}
	return append(dst, p.Payload...), nil
}

// Append implements Packet.
func (p *Ack) Append(dst []byte) ([]byte, error) {
	first := byte(p.Kind)<<4 | reserved(p.Kind)
	switch {
	case p.V5 && p.Kind == TypeUnsuback:
		n, err := length(2+len(p.Codes), true, p.Props)
		if err != nil {
			return dst, err
		}
		dst = appendUint16(appendHeader(dst, first, n), p.PacketID)
		return append(appendProperties(dst, p.Props), p.Codes...), nil
	case p.V5 && p.Props != nil:
		n, err := length(3, true, p.Props)
		if err != nil {
			return dst, err
		}
		dst = append(appendUint16(appendHeader(dst, first, n), p.PacketID), p.Reason)
		return appendProperties(dst, p.Props), nil
	case p.V5 && p.Reason != 0:
		return append(appendUint16(append(dst, first, 3), p.PacketID), p.Reason), nil
	}
	return appendUint16(append(dst, first, 2), p.PacketID), nil
}

// Append implements Packet.
func (p *Leave) Append(dst []byte) ([]byte, error) {
	first := byte(p.Kind) << 4
	switch {
	case p.Props != nil:
		n, err := length(1, true, p.Props)
		if err != nil {
			return dst, err
		}
		return appendProperties(append(appendHeader(dst, first, n), p.Reason), p.Props), nil
	case p.Reason != 0:
		return append(dst, first, 1, p.Reason), nil
	}
	return append(dst, first, 0), nil
}

// Append implements Packet.
func (p *Subscribe) Append(dst []byte) ([]byte, error) {
	n := 2
	for _, s := range p.Subscriptions {
		if len(s.Filter) > math.MaxUint16 {
			return dst, tooLong(len(s.Filter))
		}
		n += 2 + len(s.Filter) + 1
	}
	n, err := length(n, p.V5, p.Props)
	if err != nil {
		return dst, err
	}
	dst = appendHeader(dst, byte(TypeSubscribe)<<4|reserved(TypeSubscribe), n)
	dst = appendUint16(dst, p.PacketID)
	if p.V5 {
		dst = appendProperties(dst, p.Props)
	}
	for _, s := range p.Subscriptions {
		o := s.QoS
		if p.V5 {
			o |= bit(s.NoLocal, 4) | bit(s.RetainAsPublished, 8) | s.RetainHandling<<4
		}
		dst = append(appendString(dst, s.Filter), o)
	}
	return dst, nil
}

// Append implements Packet.
func (p *Suback) Append(dst []byte) ([]byte, error) {
	n, err := length(2+len(p.Codes), p.V5, p.Props)
	if err != nil {
		return dst, err
	}
	dst = appendHeader(dst, byte(TypeSuback)<<4, n)
	dst = appendUint16(dst, p.PacketID)
	if p.V5 {
		dst = appendProperties(dst, p.Props)
	}
	return append(dst, p.Codes...), nil
}

// Append implements Packet.
func (p *Unsubscribe) Append(dst []byte) ([]byte, error) {
	n := 2
	for _, f := range p.Filters {
		if len(f) > math.MaxUint16 {
			return dst, tooLong(len(f))
		}
		n += 2 + len(f)
	}
	n, err := length(n, p.V5, p.Props)
	if err != nil {
		return dst, err
	}
	dst = appendHeader(dst, byte(TypeUnsubscribe)<<4|reserved(TypeUnsubscribe), n)
	dst = appendUint16(dst, p.PacketID)
	if p.V5 {
		dst = appendProperties(dst, p.Props)
	}
	for _, f := range p.Filters {
		dst = appendString(dst, f)
	}
	return dst, nil
}

// Append implements Packet.
func (p *Empty) Append(dst []byte) ([]byte, error) { return append(dst, byte(p.Kind)<<4, 0), nil }

// appendHeader appends the first byte and n in as few bytes as it takes.
func appendHeader(dst []byte, first byte, n int) []byte {
	return appendVarint(append(dst, first), n)
}

func appendUint16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }

func appendString[T string | []byte](dst []byte, s T) []byte {
	return append(appendUint16(dst, uint16(len(s))), s...)
}

func bit(set bool, b byte) byte {
	if set {
		return b
	}
	return 0
}

func tooLong(n int) error { return fmt.Errorf("%w: %d bytes", ErrTooLarge, n) }
