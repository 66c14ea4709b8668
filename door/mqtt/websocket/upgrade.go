// Package websocket holds the WebSocket handshake and framing (RFC 6455), as
// much as MQTT needs of it: the server's side, binary messages, no extensions.
// A Conn shows the stream of bytes inside the frames as a net.Conn.
//
// It is written here because AWS's own v1 SDK for Python breaks the rules that
// libraries insist on: its Sec-WebSocket-Key has 128 bytes, and it finds the
// accept header in lower case only.
//
// It refuses to know MQTT, and who the client is. Begin with Upgrade.
package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	maxKey      = 256 // bytes; the v1 SDK for Python sends 172
	maxProtocol = 64
)

// Upgrade answers the handshake in r and returns the connection behind it. A
// request that is none is answered with 400, 405 or 426, and the error says
// why; the same when w cannot be taken over (HTTP/2 cannot), with 500.
//
// The first subprotocol offered that is MQTT's is echoed, else the first one,
// for clients insist on theirs; a client that offers none gets none.
func Upgrade(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	// 1. Is it a handshake?
	key, status, why := check(r)
	if status != 0 {
		if status == http.StatusUpgradeRequired {
			w.Header().Set("Sec-WebSocket-Version", "13")
			w.Header().Set("Upgrade", "websocket")
		}
		http.Error(w, why, status)
		return nil, fmt.Errorf("websocket: %s", why)
	}

	// 2. Take the connection over. The http.Server's deadlines are not ours.
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "this connection cannot become a WebSocket", http.StatusInternalServerError)
		return nil, fmt.Errorf("websocket: take the connection over: %w", err)
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("websocket: %w", err)
	}

	// 3. Answer.
	_ = nc.SetWriteDeadline(time.Now().Add(controlTimeout))
	if _, err := nc.Write(answer(key, subprotocol(r))); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("websocket: answer: %w", err)
	}
	_ = nc.SetWriteDeadline(time.Time{})
	return NewConn(nc, rw.Reader), nil // the reader may hold the first frames already
}

// check returns the key, or the status and the reason of a refusal.
func check(r *http.Request) (key string, status int, why string) {
	switch {
	case r.Method != http.MethodGet:
		return "", http.StatusMethodNotAllowed, "a WebSocket begins with GET"
	case !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1:
		return "", http.StatusBadRequest, "a WebSocket needs HTTP/1.1"
	case !hasToken(r.Header["Connection"], "upgrade") || !hasToken(r.Header["Upgrade"], "websocket"):
		return "", http.StatusUpgradeRequired, "this is a WebSocket endpoint: connection: Upgrade and upgrade: websocket are missing"
	case r.Header.Get("Sec-Websocket-Version") != "13":
		return "", http.StatusUpgradeRequired, "only version 13 of the WebSocket protocol is spoken here"
	}
	keys := r.Header["Sec-Websocket-Key"]
	if len(keys) != 1 || keys[0] == "" || len(keys[0]) > maxKey {
		return "", http.StatusBadRequest, "one Sec-WebSocket-Key is needed"
	}
	return keys[0], 0, ""
}

// answer is the whole response. It is what two readers at the opposite ends of
// strictness accept: the v1 SDK for Python wants sec-websocket-accept in lower
// case and all of it in one read of 1,024 bytes; the CRT wants the value of
// connection to be Upgrade and nothing else, and no extensions.
func answer(key, protocol string) []byte {
	// SHA-1 and this constant are the protocol's (RFC 6455, 1.3), not a secret.
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	b := []byte("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ")
	b = base64.StdEncoding.AppendEncode(b, sum[:])
	if protocol != "" {
		b = append(append(b, "\r\nsec-websocket-protocol: "...), protocol...)
	}
	return append(b, "\r\n\r\n"...)
}

// subprotocol chooses among what the client offers.
func subprotocol(r *http.Request) string {
	first := ""
	for _, v := range r.Header["Sec-Websocket-Protocol"] {
		for p := range strings.SplitSeq(v, ",") {
			p = strings.TrimSpace(p)
			if p == "mqtt" || p == "mqttv3.1" {
				return p
			}
			if first == "" && isToken(p) {
				first = p
			}
		}
	}
	return first
}

func isToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			return false
		}
	}
	return s != "" && len(s) <= maxProtocol
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}
