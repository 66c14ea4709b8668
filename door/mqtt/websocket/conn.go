package websocket

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
	"unicode/utf8"
)

// Errors of Read.
var (
	// ErrGoodbye: the client sent a close frame. It has been answered.
	ErrGoodbye = errors.New("websocket: closed by the client")
	// ErrProtocol: the client broke RFC 6455, or sent text. A close frame that
	// says so has been sent.
	ErrProtocol = errors.New("websocket: protocol error")
)

const (
	maxFrame       = 16 << 20         // nothing is allocated for a frame; this only ends nonsense early
	controlTimeout = 10 * time.Second // for a client to take a pong or a close frame
	closeTimeout   = time.Second      // the same, when nobody waits for its answer any more
	keepBuffer     = 32 << 10         // a longer write buffer is not kept
)

// Opcodes (RFC 6455, 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// Close codes (RFC 6455, 7.4.1).
const (
	closeNormal      = 1000
	closeProtocol    = 1002
	closeUnsupported = 1003
	closeInvalidText = 1007
	closeTooBig      = 1009
)

// A Conn is the server's end of a WebSocket, seen as a stream of bytes: Read
// returns what the client's binary frames hold, in order and without their
// borders; each Write is one binary frame. Pings are answered while Read waits.
//
// One goroutine may read while another writes. A write deadline holds for the
// next Write only, because a pong sets its own: set it before each.
type Conn struct {
	net.Conn
	r *bufio.Reader

	// What the reader knows. err is for good.
	left   uint64 // of the payload of the current data frame
	key    [4]byte
	pos    int  // in key
	inside bool // a fragmented message has begun and not ended
	err    error

	mu        sync.Mutex // held while a frame is written
	buf       []byte
	closeSent bool
}

// NewConn returns a Conn on a connection whose handshake is done. What the
// client has already sent may stand in r, which reads nc.
func NewConn(nc net.Conn, r *bufio.Reader) *Conn { return &Conn{Conn: nc, r: r} }

// Read returns bytes of the client's binary messages. The error is ErrGoodbye
// after a close frame, ErrProtocol, io.EOF when the stream ended between
// frames, io.ErrUnexpectedEOF when it ended inside one, or the connection's.
// An error is for good, a deadline that passed included.
func (c *Conn) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for c.left == 0 {
		if c.err = c.next(); c.err != nil {
			return 0, c.err
		}
	}
	if uint64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	c.pos = mask(p[:n], c.key, c.pos)
	c.left -= uint64(n)
	if n == 0 && err != nil {
		c.err = unexpected(err)
	}
	return n, c.err
}

// next reads one frame's header, and the whole of a control frame.
func (c *Conn) next() error {
	// 1. The two bytes that every frame has.
	var h [8]byte
	if _, err := io.ReadFull(c.r, h[:1]); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.r, h[1:2]); err != nil {
		return unexpected(err)
	}
	fin, op, length := h[0]&0x80 != 0, h[0]&0x0f, uint64(h[1]&0x7f)
	switch {
	case h[0]&0x70 != 0:
		return c.fault(closeProtocol, "reserved bits are set and no extension was agreed on")
	case h[1]&0x80 == 0:
		return c.fault(closeProtocol, "a client's frame is not masked")
	case op >= opClose && (!fin || length > 125):
		return c.fault(closeProtocol, "a control frame is fragmented or longer than 125 bytes")
	}

	// 2. The rest of the length, which must not take more bytes than needed.
	least := uint64(0)
	switch length {
	case 126:
		if _, err := io.ReadFull(c.r, h[:2]); err != nil {
			return unexpected(err)
		}
		length, least = uint64(binary.BigEndian.Uint16(h[:2])), 126
	case 127:
		if _, err := io.ReadFull(c.r, h[:8]); err != nil {
			return unexpected(err)
		}
		length, least = binary.BigEndian.Uint64(h[:8]), 1<<16
	}
	switch {
	case length < least || length>>63 != 0:
		return c.fault(closeProtocol, "a frame's length is not written as it must be")
	case length > maxFrame:
		return c.fault(closeTooBig, fmt.Sprintf("a frame of %d bytes", length))
	}
	if _, err := io.ReadFull(c.r, c.key[:]); err != nil {
		return unexpected(err)
	}

	// 3. What sort of frame it is.
	switch op {
	case opBinary, opContinuation:
		if c.inside != (op == opContinuation) {
			return c.fault(closeProtocol, "a fragment without its beginning, or a beginning inside a message")
		}
		c.inside, c.left, c.pos = !fin, length, 0
		return nil
	case opText:
		// MQTT-6.0.0-1: only binary frames.
		return c.fault(closeUnsupported, "a text frame")
	case opClose, opPing, opPong:
		var b [125]byte
		p := b[:length]
		if _, err := io.ReadFull(c.r, p); err != nil {
			return unexpected(err)
		}
		mask(p, c.key, 0)
		return c.control(op, p)
	}
	return c.fault(closeProtocol, fmt.Sprintf("there is no opcode %#x", op))
}

// control answers a control frame. A pong that nobody asked for is allowed.
func (c *Conn) control(op byte, p []byte) error {
	switch op {
	case opPing:
		return c.write(opPong, p, controlTimeout)
	case opPong:
		return nil
	}
	if len(p) == 0 {
		_ = c.write(opClose, nil, controlTimeout)
		return ErrGoodbye
	}
	if len(p) == 1 || !sendable(binary.BigEndian.Uint16(p)) {
		return c.fault(closeProtocol, "a close frame with a bad code")
	}
	if !utf8.Valid(p[2:]) {
		return c.fault(closeInvalidText, "a close frame whose reason is not UTF-8")
	}
	_ = c.write(opClose, p[:2], controlTimeout) // it is leaving; whether it hears this does not matter
	return ErrGoodbye
}

// sendable tells whether a close code may stand in a frame (RFC 6455, 7.4).
func sendable(code uint16) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
}

// fault tells the client what it did, and returns it as an error.
func (c *Conn) fault(code uint16, what string) error {
	_ = c.write(opClose, binary.BigEndian.AppendUint16(nil, code), controlTimeout)
	return fmt.Errorf("%w: %s", ErrProtocol, what)
}

// Write sends p as one binary frame.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.write(opBinary, p, 0); err != nil {
		return 0, err
	}
	return len(p), nil
}

// write sends one frame in one piece. After a close frame nothing is sent; for
// data that is an error. A timeout of 0 leaves the deadline as it is.
func (c *Conn) write(op byte, p []byte, timeout time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closeSent {
		if op == opBinary {
			return net.ErrClosed
		}
		return nil
	}
	c.closeSent = op == opClose
	if timeout > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
	}
	b := append(c.buf[:0], 0x80|op)
	switch n := len(p); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	b = append(b, p...)
	if c.buf = b; cap(b) > keepBuffer {
		c.buf = nil
	}
	_, err := c.Conn.Write(b)
	return err
}

// Close sends a close frame, unless one was sent, and closes the connection. A
// Write that is under way is given a second.
func (c *Conn) Close() error {
	_ = c.SetWriteDeadline(time.Now().Add(closeTimeout))
	_ = c.write(opClose, binary.BigEndian.AppendUint16(nil, closeNormal), closeTimeout)
	return c.Conn.Close()
}

// mask applies the key to b, beginning at its byte pos, and returns where the
// next byte begins.
func mask(b []byte, key [4]byte, pos int) int {
	if len(b) >= 16 {
		var k [8]byte
		for i := range k {
			k[i] = key[(pos+i)&3]
		}
		word := binary.LittleEndian.Uint64(k[:])
		for ; len(b) >= 8; b = b[8:] {
			binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^word)
		}
	}
	for i := range b {
		b[i] ^= key[(pos+i)&3]
	}
	return (pos + len(b)) & 3 // the words before were multiples of four
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
