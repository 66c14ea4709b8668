package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
)

// A Server serves MQTT connections. Set its fields before the first call and
// leave them alone then; its methods may be called at the same time.
type Server struct {
	Connector Connector
	Log       *slog.Logger // nil: no log
	Limits    Limits
}

// Serve accepts connections from l and serves each, until ctx ends (then it
// returns nil) or l fails. It closes l, ends its connections and returns when
// they have ended. A TLS listener's handshakes are done here, each in its
// connection's own goroutine.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return errors.New("mqtt: not there yet")
}

// ServeConn serves one accepted connection until it ends, and closes it. A
// *tls.Conn whose handshake is not complete is handshaken first.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) { _ = nc.Close() }

// Upgrade turns an HTTP request, whose caller has been verified by the HTTP
// door and is handed on as identity, into a WebSocket connection and serves
// it until it ends. It ends early with the request's context, so the
// http.Server's BaseContext is what stops it.
func (s *Server) Upgrade(w http.ResponseWriter, r *http.Request, identity any) {
	http.Error(w, "not there yet", http.StatusServiceUnavailable)
}
