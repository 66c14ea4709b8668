package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"strait/door/mqtt/websocket"
)

// A Server serves MQTT connections. Set its fields before the first call and
// leave them alone then; its methods may be called at the same time.
type Server struct {
	Connector Connector
	Log       *slog.Logger // nil: no log
	Limits    Limits
	// HideReasons keeps reason strings, which AWS is not known to send, from
	// clients of MQTT 5. Codes are sent anyway.
	HideReasons bool

	start   sync.Once
	coming  *rate        // connections that are admitted
	open    atomic.Int64 // connections
	pending atomic.Int64 // of these, not admitted yet
}

// Serve accepts connections from l and serves each, until ctx ends (then it
// returns nil) or l fails. It closes l, ends its connections and returns when
// they have ended. A TLS listener's handshakes are done here, each in its
// connection's own goroutine.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	defer l.Close()

	var wait time.Duration
	for {
		nc, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = nc.Close()
			}
			return nil
		}
		if err != nil {
			// Out of file descriptors, for example: it passes.
			if t, ok := err.(interface{ Temporary() bool }); !ok || !t.Temporary() {
				return err
			}
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			s.log().Warn("mqtt: accept failed; trying again", "err", err, "pause", wait)
			pause(ctx, wait)
			continue
		}
		wait = 0
		// Those who are here already are served while a storm comes in; it
		// waits in the kernel's queue.
		s.pace(ctx)
		conns.Go(func() {
			// A handshake needs much of a stack; a connection that has been
			// admitted goes on with a new one.
			if run := s.greet(ctx, nc); run != nil {
				conns.Go(run)
			}
		})
	}
}

// pace waits for the turn of a connection.
func (s *Server) pace(ctx context.Context) {
	s.start.Do(func() { s.coming = newRate(s.Limits.withDefaults().Connects) })
	s.coming.wait(ctx, 1)
}

// ServeConn serves one accepted connection until it ends, and closes it. A
// *tls.Conn whose handshake is not complete is handshaken first.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) {
	s.pace(ctx)
	s.serveConn(ctx, nc)
}

func (s *Server) serveConn(ctx context.Context, nc net.Conn) {
	if run := s.greet(ctx, nc); run != nil {
		run()
	}
}

// greet admits a connection, and returns what serves it, or nil; then it is
// closed.
func (s *Server) greet(ctx context.Context, nc net.Conn) (run func()) {
	if !s.enter() {
		_ = nc.Close()
		return nil
	}
	c := s.receive(ctx, nc, Peer{Addr: addrPort(nc.RemoteAddr()), Local: addrPort(nc.LocalAddr())})
	if c == nil {
		_ = nc.Close()
		return nil
	}
	return func() {
		defer nc.Close()
		s.lead(ctx, c)
	}
}

// Upgrade turns an HTTP request, whose caller has been verified by the HTTP
// door and is handed on as identity, into a WebSocket connection and serves
// it until it ends. It ends early with the request's context, so the
// http.Server's BaseContext is what stops it.
func (s *Server) Upgrade(w http.ResponseWriter, r *http.Request, identity any) {
	if !s.enter() {
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
		return
	}
	s.pace(r.Context())
	nc, err := websocket.Upgrade(w, r)
	if err != nil {
		s.leave(true)
		s.log().Debug("mqtt: no WebSocket", "addr", r.RemoteAddr, "err", err)
		return
	}
	defer nc.Close()
	s.serve(r.Context(), nc, Peer{
		Addr:      addrPort(nc.RemoteAddr()),
		Local:     addrPort(nc.LocalAddr()),
		TLS:       r.TLS,
		WebSocket: r,
		Identity:  identity,
	})
}

// serve leads a connection that has entered through its life. The caller
// closes nc.
func (s *Server) serve(ctx context.Context, nc net.Conn, peer Peer) {
	if c := s.receive(ctx, nc, peer); c != nil {
		s.lead(ctx, c)
	}
}

// receive admits a connection that has entered, or returns nil.
func (s *Server) receive(ctx context.Context, nc net.Conn, peer Peer) *client {
	c, err := s.admit(ctx, nc, peer)
	if err == nil {
		s.pending.Add(-1)
		return c
	}
	s.leave(true)
	level := slog.LevelDebug
	if errors.As(err, new(*refusal)) {
		level = slog.LevelInfo
	}
	s.log().Log(ctx, level, "mqtt: not connected", "addr", peer.Addr, "err", err)
	return nil
}

// lead leads an admitted connection through the rest of its life.
func (s *Server) lead(ctx context.Context, c *client) {
	defer s.leave(false)
	c.run(ctx)
}

// enter counts a new connection, or refuses it. One that entered must leave.
func (s *Server) enter() bool {
	l := s.Limits.withDefaults()
	open, pending := s.open.Add(1), s.pending.Add(1)
	if open > int64(l.Connections) || pending > int64(l.Pending) {
		s.leave(true)
		s.log().Warn("mqtt: refused a connection because too many are open", "open", open, "pending", pending)
		return false
	}
	return true
}

// Open tells how many connections there are, and how many of them have not been
// admitted yet.
func (s *Server) Open() (open, pending int64) { return s.open.Load(), s.pending.Load() }

func (s *Server) leave(pending bool) {
	if pending {
		s.pending.Add(-1)
	}
	s.open.Add(-1)
}

func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}
