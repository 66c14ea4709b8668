package packet

import (
	"errors"
	"fmt"
	"io"
)

// trusted is how many bytes of a body are allocated on the word of its header
// alone. More is allocated when that many have come, so that a stranger has to
// send what it wants to have held.
const trusted = 32 << 10

// A Reader reads packets from a stream. It is for one goroutine.
type Reader struct {
	r Source
	// Max is the largest remaining length accepted, in bytes.
	Max int
	// Version is what the connection speaks; ReadConnect sets it.
	Version Version

	publish Publish
	ack     Ack
	empty   Empty
}

// A Source is what packets are read from, such as a *bufio.Reader.
type Source interface {
	io.Reader
	io.ByteReader
}

// NewReader returns a Reader of r whose packets have at most max bytes after
// their fixed header.
func NewReader(r Source, max int) *Reader { return &Reader{r: r, Max: max} }

// ReadConnect reads the first packet, which must be a CONNECT; of any other it
// reads no more than the first byte. A CONNECT of another protocol or level
// is a *VersionError.
func (r *Reader) ReadConnect() (*Connect, error) {
	first, err := r.r.ReadByte()
	if err != nil {
		return nil, err
	}
	if first != byte(TypeConnect)<<4 {
		return nil, fmt.Errorf("%w: first byte %#02x is not that of a CONNECT", ErrMalformed, first)
	}
	body, err := r.body(TypeConnect)
	if err != nil {
		return nil, err
	}
	c, err := decodeConnect(body)
	if err != nil {
		return nil, err
	}
	r.Version = c.Version
	return c, nil
}

// Read reads the next packet. The packet is valid until the next Read, but
// what its slices hold is the caller's for good. The error is io.EOF when the
// stream ends between packets, io.ErrUnexpectedEOF when it ends inside one,
// and wraps ErrMalformed or ErrTooLarge when the packet does not deserve more.
func (r *Reader) Read() (Packet, error) {
	// 1. The first byte, judged before anything is allocated for it.
	first, err := r.r.ReadByte()
	if err != nil {
		return nil, err
	}
	t, flags := Type(first>>4), first&0x0f
	v5 := r.Version == V5
	if t < TypeConnect || t > TypeDisconnect && !v5 {
		return nil, fmt.Errorf("%w: there is no packet type %d", ErrMalformed, t)
	}
	if t != TypePublish && flags != reserved(t) {
		return nil, fmt.Errorf("%w: flags %#x in packet type %d", ErrMalformed, flags, t)
	}

	// 2. The body, which is a fresh slice: payloads are cut from it.
	body, err := r.body(t)
	if err != nil {
		return nil, err
	}

	// 3. What it says.
	switch t {
	case TypeConnect:
		return packet(decodeConnect(body))
	case TypeConnack:
		return packet(decodeConnack(body, v5))
	case TypePublish:
		return packet(&r.publish, decodePublish(&r.publish, flags, body, v5))
	case TypeSubscribe:
		return packet(decodeSubscribe(body, v5))
	case TypeSuback:
		return packet(decodeSuback(body, v5))
	case TypeUnsubscribe:
		return packet(decodeUnsubscribe(body, v5))
	case TypeDisconnect, TypeAuth:
		if v5 {
			return packet(decodeLeave(t, body))
		}
		r.empty.Kind = t
		return &r.empty, nil
	case TypePingreq, TypePingresp:
		r.empty.Kind = t
		return &r.empty, nil
	default:
		return packet(&r.ack, decodeAck(&r.ack, t, body, v5))
	}
}

// packet keeps a nil pointer from becoming a Packet that is not nil.
func packet[P Packet](p P, err error) (Packet, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}

// body reads the remaining length and the bytes that it announces.
func (r *Reader) body(t Type) ([]byte, error) {
	n, err := r.remaining()
	if err != nil {
		return nil, err
	}
	if want, fixed := fixedLength(t); fixed && n != want && (r.Version != V5 || want == 0 && t != TypeDisconnect) {
		return nil, fmt.Errorf("%w: %d bytes in packet type %d, want %d", ErrMalformed, n, t, want)
	}
	if n > r.Max {
		return nil, tooLong(n)
	}
	if n == 0 {
		return nil, nil
	}
	body := make([]byte, min(n, trusted))
	if err := full(r.r, body); err != nil {
		return nil, err
	}
	if n > trusted {
		whole := make([]byte, n)
		copy(whole, body)
		if err := full(r.r, whole[trusted:]); err != nil {
			return nil, err
		}
		body = whole
	}
	return body, nil
}

// remaining reads a length of one to four bytes. MQTT 3.1.1 does not forbid
// more bytes than needed, so they are accepted.
func (r *Reader) remaining() (int, error) {
	n := 0
	for shift := 0; shift < 28; shift += 7 {
		b, err := r.r.ReadByte()
		if err != nil {
			return 0, unexpected(err)
		}
		n |= int(b&0x7f) << shift
		if b&0x80 == 0 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%w: the remaining length has more than four bytes", ErrMalformed)
}

// reserved returns the flags that a packet type must have in its first byte.
func reserved(t Type) byte {
	switch t {
	case TypePubrel, TypeSubscribe, TypeUnsubscribe:
		return 0x02
	}
	return 0
}

// fixedLength returns the length of those packets that have only one; in MQTT 5
// only PINGREQ and PINGRESP do.
func fixedLength(t Type) (int, bool) {
	switch t {
	case TypeConnack, TypePuback, TypePubrec, TypePubrel, TypePubcomp, TypeUnsuback:
		return 2, true
	case TypePingreq, TypePingresp, TypeDisconnect:
		return 0, true
	}
	return 0, false
}

func full(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	return unexpected(err)
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
