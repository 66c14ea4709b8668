package mqtt

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// Listener makes a TCP listener's connections such that writing to them need
// not block; it goes below a TLS listener, if there is one. Server.Serve works
// without it, but a connection then needs a goroutine to be written to.
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if t, ok := nc.(*net.TCPConn); ok && err == nil {
		return newSocket(t), nil
	}
	return nc, err
}

// A socket is a TCP connection that can be told to take what the kernel does
// not take at this moment, so that Write returns at once. What is left over is
// bounded by what its writer writes before it looks: see writer.flush.
type socket struct {
	*net.TCPConn
	raw syscall.RawConn

	mu   sync.Mutex
	lazy bool
	left []byte // what the kernel has not taken
	// Of the attempt under way; in the struct so that it costs no allocation.
	try   func(fd uintptr) bool
	bytes []byte
	took  int
	err   error

	reads sync.Mutex
	in    incoming
}

// An incoming is an attempt to read, which is made again when there is more.
type incoming struct {
	quick bool // see readNow
	row   int  // how many reads there were since there was nothing

	try   func(fd uintptr) bool
	bytes []byte
	n     int
	err   error
}

// inRow is how many reads in a row are quick. A client that always has more
// keeps its goroutine running, and then the runtime must know: nobody else may
// be looking for what others send.
const inRow = 4

func newSocket(t *net.TCPConn) net.Conn {
	raw, err := t.SyscallConn()
	if err != nil {
		return t
	}
	s := &socket{TCPConn: t, raw: raw}
	s.try, s.in.try = s.attempt, s.in.attempt
	return s
}

// socketOf returns the socket under nc, nil when there is none.
func socketOf(nc net.Conn) *socket {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = t.NetConn()
	}
	s, _ := nc.(*socket)
	return s
}

// attempt writes what it can. It is true always: who calls it does not wait.
func (s *socket) attempt(fd uintptr) bool {
	for s.took, s.err = 0, nil; s.took < len(s.bytes); {
		n, err := writeNow(int(fd), s.bytes[s.took:])
		switch {
		case n > 0:
			s.took += n
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return true
		default:
			s.err = err
			return true
		}
	}
	return true
}

// attempt reads once. It is false when there is nothing, and is called again
// when there may be something.
func (in *incoming) attempt(fd uintptr) bool {
	for {
		if in.row++; in.row > inRow {
			in.n, in.err = syscall.Read(int(fd), in.bytes)
		} else {
			in.n, in.err = readNow(int(fd), in.bytes)
		}
		switch in.err {
		case syscall.EINTR:
		case syscall.EAGAIN:
			in.row = 0
			return false
		default:
			return true
		}
	}
}

// Read is that of net.Conn.
func (s *socket) Read(b []byte) (int, error) {
	if !s.in.quick || len(b) == 0 {
		return s.TCPConn.Read(b)
	}
	s.reads.Lock()
	s.in.bytes = b
	err := s.raw.Read(s.in.try)
	n := s.in.n
	if err == nil && s.in.err != nil {
		n, err = 0, s.failed("read", s.in.err)
	}
	s.in.bytes = nil
	s.reads.Unlock()
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// failed is an error of the kernel as the package net tells it. It is not
// inlined because whoever waits in Read keeps Read's stack: each silent client.
//
//go:noinline
func (s *socket) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError(op, err)}
}

// Write is that of net.Conn. After setLazy(true) it does not block.
func (s *socket) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.lazy {
		if err := s.rest(); err != nil {
			return 0, err
		}
		return s.TCPConn.Write(b)
	}
	if len(s.left) == 0 {
		s.bytes = b
		err := s.raw.Write(s.try)
		s.bytes = nil
		if err == nil && s.err != nil {
			err = s.failed("write", s.err)
		}
		if err != nil {
			return s.took, err
		}
		if s.took == len(b) {
			return len(b), nil
		}
		s.left = append(s.left, b[s.took:]...)
		return len(b), nil
	}
	s.left = append(s.left, b...)
	return len(b), nil
}

// setLazy says whether Write may leave something over, and tells whether
// something is left over now.
func (s *socket) setLazy(lazy bool) (left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lazy = lazy
	return len(s.left) > 0
}

// finish writes what was left over, and blocks for that.
func (s *socket) finish() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rest()
}

func (s *socket) rest() error {
	if len(s.left) == 0 {
		return nil
	}
	_, err := s.TCPConn.Write(s.left)
	s.left = nil
	return err
}
