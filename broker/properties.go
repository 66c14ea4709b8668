package broker

import (
	"encoding/binary"
	"math"
)

// Stored properties are a byte (the format, and whether there is correlation
// data), the expiry as uvarint, then content type, response topic and
// correlation data, each after its length, and the user properties after their
// number.
const flagCorrelation = 4

// size is what properties cost in a queue.
func (p *Properties) size() int {
	if p == nil {
		return 0
	}
	n := 64 + len(p.ContentType) + len(p.ResponseTopic) + len(p.Correlation)
	for _, u := range p.User {
		n += 32 + len(u[0]) + len(u[1])
	}
	return n
}

func (p *Properties) append(b []byte) []byte {
	first := p.Format & 3
	if p.Correlation != nil {
		first |= flagCorrelation
	}
	b = binary.AppendUvarint(append(b, first), uint64(p.Expiry))
	for _, s := range [...]string{p.ContentType, p.ResponseTopic, string(p.Correlation)} {
		b = appendString(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(p.User)))
	for _, u := range p.User {
		b = appendString(appendString(b, u[0]), u[1])
	}
	return b
}

// cutProperties returns nil when b does not begin with properties.
func cutProperties(b []byte) (p *Properties, rest []byte) {
	if len(b) == 0 || b[0] > flagCorrelation|2 || b[0]&3 == 3 {
		return nil, nil
	}
	p = &Properties{Format: b[0] & 3}
	correlated := b[0]&flagCorrelation != 0
	expiry, n := binary.Uvarint(b[1:])
	if n <= 0 || expiry > math.MaxUint32 {
		return nil, nil
	}
	p.Expiry, b = uint32(expiry), b[1+n:]
	var s [3]string
	ok := true
	for i := range s {
		if s[i], b, ok = cutString(b); !ok {
			return nil, nil
		}
	}
	p.ContentType, p.ResponseTopic = s[0], s[1]
	if correlated {
		p.Correlation = []byte(s[2])
	} else if s[2] != "" {
		return nil, nil
	}
	users, n := binary.Uvarint(b)
	if n <= 0 || users > uint64(len(b)-n)/2 { // each takes two bytes at least
		return nil, nil
	}
	b = b[n:]
	for range users {
		var u [2]string
		for i := range u {
			if u[i], b, ok = cutString(b); !ok {
				return nil, nil
			}
		}
		p.User = append(p.User, u)
	}
	return p, b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func cutString(b []byte) (s string, rest []byte, ok bool) {
	l, n := binary.Uvarint(b)
	if n <= 0 || l > uint64(len(b)-n) {
		return "", nil, false
	}
	return string(b[n : n+int(l)]), b[n+int(l):], true
}
