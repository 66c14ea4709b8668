package mqtt

import (
	"io"
	"net"
)

// NewInput returns what reads from a connection; before is called before it
// could block.
func NewInput(nc net.Conn, before func(more bool)) interface {
	io.Reader
	io.ByteReader
} {
	return &input{nc: nc, before: before}
}

// Try writes to a connection of a Listener without blocking, and tells whether
// something was left over, which Finish writes.
func Try(nc net.Conn, b []byte) (left bool, err error) {
	return (&writer{nc: nc, socket: nc.(*socket)}).try(b)
}

// Finish is told of at Try.
func Finish(nc net.Conn) error { return nc.(*socket).finish() }
