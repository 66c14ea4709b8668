package server

import (
	"context"
	"crypto/tls"
	"net"
	nethttp "net/http"
	"sync"
)

// net/http speaks HTTP/1.1 only where ALPN says so or says nothing, and hands
// every other name to a function. What offers x-amzn-http-ca speaks HTTP/1.1,
// too: its connections are handed to a second server of net/http, through the
// listener below.

// A handed listener returns connections that another listener has accepted.
type handed struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	addr  net.Addr
}

func newHanded(addr net.Addr) *handed {
	return &handed{conns: make(chan net.Conn), done: make(chan struct{}), addr: addr}
}

func (l *handed) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *handed) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *handed) Addr() net.Addr { return l.addr }

// give hands c over and returns when it is closed: its first server closes it
// then, at the latest.
func (l *handed) give(_ *nethttp.Server, c *tls.Conn, _ nethttp.Handler) {
	h := &handedConn{Conn: c, state: c.ConnectionState(), closed: make(chan struct{})}
	select {
	case l.conns <- h:
		<-h.closed
	case <-l.done:
	}
}

// A handedConn is no *tls.Conn, so that its second server does not look at what
// ALPN said again.
type handedConn struct {
	net.Conn
	state  tls.ConnectionState
	closed chan struct{}
	once   sync.Once
}

func (c *handedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}

type handedKey struct{}

// remember and restore give a request the TLS state of a handed connection.
func remember(ctx context.Context, c net.Conn) context.Context {
	if h, ok := c.(*handedConn); ok {
		return context.WithValue(ctx, handedKey{}, &h.state)
	}
	return corkedContext(ctx, c)
}

func restore(next nethttp.Handler) nethttp.Handler {
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if state, ok := r.Context().Value(handedKey{}).(*tls.ConnectionState); ok {
			r.TLS = state
		}
		next.ServeHTTP(w, r)
	})
}
