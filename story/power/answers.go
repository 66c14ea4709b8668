package power

import (
	"bytes"
	"io"
	"net"
	"regexp"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// Answers are the moments at which a server put answers on its sockets: the
// line at which the writing call began. From then on a client may know.
//
// Only plain connections can be read: HTTP, and MQTT over WebSocket.
type Answers struct {
	requests map[string]int
	packets  map[packetKey]int
	streams  map[string]*stream
}

type packetKey struct {
	client string // the client's address
	kind   byte   // of the packet, as in package packets
	id     uint16
}

// Request returns when the answer with a request id went out.
func (a *Answers) Request(id string) (moment int, ok bool) {
	moment, ok = a.requests[id]
	return moment, ok
}

// Packet returns when the PUBACK or SUBACK with an id went out to a client on
// its connection from addr; ids must not be used twice on one.
func (a *Answers) Packet(addr string, kind byte, id uint16) (moment int, ok bool) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, false
	}
	moment, ok = a.packets[packetKey{port, kind, id}]
	return moment, ok
}

// NewAnswers begins empty.
func NewAnswers() *Answers {
	return &Answers{requests: map[string]int{}, packets: map[packetKey]int{}, streams: map[string]*stream{}}
}

var requestID = regexp.MustCompile(`(?i)\r\nx-amzn?-request-?id: ([^\r\n]+)\r\n`)

// Add takes the calls of a trace, in ReadTrace's order.
func (a *Answers) Add(c Call) error {
	if c.Name != "write" && c.Name != "sendto" || c.Result < 0 || len(c.Args) < 2 {
		return nil
	}
	to, err := describe(c.Args[0])
	if err != nil || to.remote == "" {
		return err
	}
	data, err := text(c.Args[1])
	if err != nil {
		return err
	}
	for _, m := range requestID.FindAllSubmatch(data, -1) {
		// Of an answer in several writes the last counts; ours have one.
		a.requests[string(m[1])] = c.Enter
	}
	_, port, err := net.SplitHostPort(to.remote)
	if err != nil {
		return err
	}
	if c.Exit != Never {
		data = data[:min(int64(len(data)), c.Result)]
	}
	s := a.streams[port]
	if s == nil || bytes.HasPrefix(data, []byte("HTTP/1.")) { // maybe another connection from the same port
		s = &stream{}
		a.streams[port] = s
	}
	for _, p := range s.read(data) {
		switch p := p.(type) {
		case *packets.PubackPacket:
			a.packets[packetKey{port, packets.Puback, p.MessageID}] = c.Enter
		case *packets.SubackPacket:
			a.packets[packetKey{port, packets.Suback, p.MessageID}] = c.Enter
		}
	}
	return nil
}

// A stream reads what a server says on one connection: an HTTP answer that
// switches protocols, then WebSocket frames with MQTT packets in them.
type stream struct {
	frames bool
	raw    []byte // not yet a whole frame
	inner  []byte // not yet a whole packet
}

func (s *stream) read(data []byte) (out []packets.ControlPacket) {
	if !s.frames {
		if !bytes.HasPrefix(data, []byte("HTTP/1.1 101 ")) {
			return nil
		}
		_, rest, ok := bytes.Cut(data, []byte("\r\n\r\n"))
		if !ok {
			return nil
		}
		s.frames, data = true, rest
	}
	s.raw = append(s.raw, data...)
	for {
		payload, rest, ok := frame(s.raw)
		if !ok {
			break
		}
		s.raw = rest
		s.inner = append(s.inner, payload...)
	}
	for {
		r := bytes.NewReader(s.inner)
		p, err := packets.ReadPacket(r)
		if err != nil {
			return out
		}
		rest, _ := io.ReadAll(r)
		s.inner = rest
		out = append(out, p)
	}
}

// frame cuts a server's frame (RFC 6455, 5.2) off b; only data has a payload.
func frame(b []byte) (payload, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, b, false
	}
	size, head := uint64(b[1]&0x7f), 2
	if more := map[uint64]int{126: 2, 127: 8}[size]; more > 0 {
		if len(b) < head+more {
			return nil, b, false
		}
		size = 0
		for _, x := range b[head : head+more] {
			size = size<<8 | uint64(x)
		}
		head += more
	}
	if uint64(len(b)-head) < size {
		return nil, b, false
	}
	payload, rest = b[head:head+int(size)], b[head+int(size):]
	if b[0]&0x0f > 2 {
		payload = nil
	}
	return payload, rest, true
}
