package device

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/gorilla/websocket"

	"strait"
)

// A socket makes signed WebSocket connections.
type socket struct {
	cfg    *Config
	url    url.URL
	dialer websocket.Dialer
}

func newSocket(cfg *Config) (*socket, error) {
	if cfg.Region == "" || cfg.Credentials == nil {
		return nil, strait.Errorf(strait.Invalid, "credentials", "a region and credentials are needed to sign the connection")
	}
	scheme, rest, found := strings.Cut(cfg.Endpoint, "://")
	if !found {
		scheme, rest = "wss", cfg.Endpoint
	}
	switch scheme {
	case "https", "wss":
		scheme = "wss"
	case "http", "ws":
		scheme = "ws"
	default:
		return nil, strait.Errorf(strait.Invalid, "endpoint", "the endpoint %q must be host:port, https:// or http://", cfg.Endpoint)
	}
	host := strings.TrimSuffix(rest, "/")
	u := url.URL{Scheme: scheme, Host: host, Path: "/mqtt"}
	if u.Hostname() == "" || strings.ContainsAny(host, "/?#@ ") {
		return nil, strait.Errorf(strait.Invalid, "endpoint", "the endpoint %q is not host:port, such as localhost:8443", cfg.Endpoint)
	}
	// The default port is not part of the Host header, neither signed nor sent.
	if scheme == "wss" && u.Port() == "443" {
		u.Host = strings.TrimSuffix(u.Host, ":443")
	}
	pool, err := cfg.authorities()
	if err != nil {
		return nil, err
	}
	return &socket{cfg: cfg, url: u, dialer: websocket.Dialer{
		Proxy: http.ProxyFromEnvironment, HandshakeTimeout: cfg.Timeout, Subprotocols: []string{"mqtt"},
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
	}}, nil
}

// emptyHash is the SHA-256 of nothing: a handshake has no body.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// sign makes the URL of a connection. The session token is added after
// signing, as AWS IoT wants it (sigv4.md; clients.md, 6).
func (s *socket) sign(ctx context.Context) (string, error) {
	creds, err := s.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return "", strait.Errorf(strait.Unauthenticated, "credentials", "get credentials to sign the connection: %w", err)
	}
	token := creds.SessionToken
	creds.SessionToken = ""
	u := s.url
	u.RawQuery = "X-Amz-Expires=86400"
	req := &http.Request{Method: http.MethodGet, URL: &u, Host: u.Host, Header: http.Header{}}
	signed, _, err := v4.NewSigner().PresignHTTP(ctx, creds, req, emptyHash, "iotdevicegateway", s.cfg.Region, s.cfg.Now().UTC())
	if err != nil {
		return "", fmt.Errorf("sign the connection: %w", err)
	}
	if token != "" {
		signed += "&X-Amz-Security-Token=" + url.QueryEscape(token)
	}
	return signed, nil
}

func (s *socket) dial(ctx context.Context) (net.Conn, error) {
	target, err := s.sign(ctx)
	if err != nil {
		return nil, err
	}
	ws, answer, err := s.dialer.DialContext(ctx, target, nil)
	if err != nil {
		if answer != nil {
			return nil, s.refused(answer)
		}
		// A failure to dial may quote the URL, which holds the token.
		var urlErr *url.Error
		if errors.As(err, &urlErr) {
			err = urlErr.Err
		}
		return nil, err
	}
	return &socketConn{Conn: ws}, nil
}

func (s *socket) refused(answer *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	answer.Body.Close()
	kind := strait.Unavailable
	if answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusUnauthorized {
		kind = strait.Denied
	}
	return strait.Errorf(kind, "connect", "connect to %s: the server answered the WebSocket handshake with %s %s", s.cfg.Endpoint, answer.Status, strings.TrimSpace(string(body)))
}

// A socketConn is a WebSocket as a stream of bytes. One goroutine reads; any
// may write: Paho sends its pings beside everything else.
type socketConn struct {
	*websocket.Conn
	message io.Reader
	writing sync.Mutex
}

func (s *socketConn) Read(p []byte) (int, error) {
	for {
		if s.message == nil {
			kind, r, err := s.NextReader()
			var closed *websocket.CloseError
			switch {
			case errors.As(err, &closed):
				return 0, io.EOF // the server hung up
			case err != nil:
				return 0, err
			case kind != websocket.BinaryMessage:
				return 0, errors.New("the server sent a text message, which is not MQTT")
			}
			s.message = r
		}
		n, err := s.message.Read(p)
		if errors.Is(err, io.EOF) {
			s.message = nil
			if n == 0 {
				continue
			}
			err = nil
		}
		return n, err
	}
}

func (s *socketConn) Write(p []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// SetWriteDeadline is about the writes that begin after it.
func (s *socketConn) SetWriteDeadline(t time.Time) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.Conn.SetWriteDeadline(t)
}

func (s *socketConn) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}
