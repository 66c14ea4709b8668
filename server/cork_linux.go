package server

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"

	"strait/door/http"
)

// corking wraps the connections of l, so that the head of an answer and the
// first bytes of its body leave together. net/http writes what fits into its
// buffer, 4 KiB, by itself; the client would be woken for it, and again for the
// rest.
func corking(l net.Listener) net.Listener { return corkedListener{l} }

type corkedListener struct{ net.Listener }

func (l corkedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if t, ok := c.(*net.TCPConn); ok && err == nil {
		return &corked{TCPConn: t}, nil
	}
	return c, err
}

// corked is a connection that can be told that more follows.
type corked struct {
	*net.TCPConn
	more atomic.Bool
}

// More says that what is written next will be followed by more at once. The
// kernel keeps it back until then, and for 200 ms at the most.
func (c *corked) More() { c.more.Store(true) }

func (c *corked) Write(p []byte) (int, error) {
	if !c.more.Swap(false) {
		return c.TCPConn.Write(p)
	}
	n, err := c.begin(p)
	if err != nil || n == len(p) {
		return n, err
	}
	m, err := c.TCPConn.Write(p[n:])
	return n + m, err
}

// begin writes some of p, with the promise of more.
func (c *corked) begin(p []byte) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Write(func(fd uintptr) (done bool) {
		for {
			n, failed = syscall.SendmsgN(int(fd), p, nil, nil, syscall.MSG_MORE)
			if failed != syscall.EINTR {
				return failed != syscall.EAGAIN
			}
		}
	})
	if err == nil {
		err = failed
	}
	return max(n, 0), err
}

// corkedContext tells the door which connection its answers leave by.
func corkedContext(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*corked); ok {
		return http.WithWay(ctx, c)
	}
	return ctx
}
