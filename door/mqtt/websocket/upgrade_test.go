package websocket_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"strait/await"
	"strait/door/mqtt/websocket"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Upgrade(w, r)
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(onlyWriter{c}, onlyReader{c})
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

type onlyWriter struct{ io.Writer }

func TestGorillaClient(t *testing.T) {
	addr := echo(t)
	d := gorilla.Dialer{Subprotocols: []string{"mqtt"}, EnableCompression: true}
	c, res, err := d.Dial("ws://"+addr+"/mqtt", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Subprotocol() != "mqtt" || res.Header.Get("Sec-Websocket-Extensions") != "" {
		t.Errorf("agreed on subprotocol %q and extensions %q", c.Subprotocol(), res.Header.Get("Sec-Websocket-Extensions"))
	}
	if err := c.WriteMessage(gorilla.BinaryMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if kind, p, err := c.ReadMessage(); kind != gorilla.BinaryMessage || string(p) != "hello" || err != nil {
		t.Errorf("got back type %d %q, %v", kind, p, err)
	}
	pong := make(chan string, 1)
	c.SetPongHandler(func(s string) error { pong <- s; return nil })
	_ = c.WriteControl(gorilla.PingMessage, []byte("there?"), time.Now().Add(time.Second))
	_ = c.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(1000, "bye"), time.Now().Add(time.Second))
	if _, _, err := c.ReadMessage(); !gorilla.IsCloseError(err, 1000) {
		t.Errorf("after a close frame: %v, want close 1000", err)
	}
	if got := <-pong; got != "there?" {
		t.Errorf("pong %q", got)
	}
}

// handshake sends a raw request and returns the answer's first read.
func handshake(t *testing.T, addr, request string) string {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(await.Patience))
	if _, err := io.WriteString(nc, request); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1024)
	n, err := nc.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// TestPythonSDKv1 sends what AWSIoTPythonSDK sends and reads as it reads: one
// read of 1,024 bytes in which all the headers stand, the accept header in
// lower case; its key has 128 bytes.
func TestPythonSDKv1(t *testing.T) {
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 128)))
	got := handshake(t, echo(t), "GET /mqtt?X-Amz-Algorithm=AWS4-HMAC-SHA256 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+key+"\r\nSec-WebSocket-Protocol: mqttv3.1\r\n"+
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n")
	folded := strings.ToLower(got)
	for _, want := range []string{"101 switching protocols", "upgrade: websocket", "connection: upgrade\r\n", "sec-websocket-protocol: mqttv3.1\r\n", "\r\n\r\n"} {
		if !strings.Contains(folded, want) {
			t.Errorf("the answer lacks %q:\n%s", want, got)
		}
	}
	_, rest, ok := strings.Cut(got, "sec-websocket-accept: ")
	accept, _, _ := strings.Cut(rest, "\r\n")
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if !ok || accept != base64.StdEncoding.EncodeToString(sum[:]) {
		t.Errorf("accept is %q in\n%s", accept, got)
	}
	if strings.Contains(folded, "extensions") {
		t.Errorf("an extension was chosen:\n%s", got)
	}
}

// TestCRT checks what aws-c-http checks: the whole value of Connection, and
// that the subprotocol is one that was offered. The key is RFC 6455's own.
func TestCRT(t *testing.T) {
	got := handshake(t, echo(t), "GET /mqtt HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: other, mqtt\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(got)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket",
		"Sec-Websocket-Protocol": "mqtt", "Sec-Websocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="} {
		if v := res.Header.Values(name); len(v) != 1 || v[0] != want {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
}

func TestRefusedHandshakes(t *testing.T) {
	addr := echo(t)
	const good = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, h := range []struct {
		name, line, headers string
		status              int
	}{
		{"POST", "POST / HTTP/1.1", good, 405},
		{"HTTP/1.0", "GET / HTTP/1.0", good, 400},
		{"plain GET", "GET / HTTP/1.1", "", 426},
		{"version 8", "GET / HTTP/1.1", strings.Replace(good, "13", "8", 1), 426},
		{"no key", "GET / HTTP/1.1", strings.Replace(good, "Sec-WebSocket-Key", "X", 1), 400},
		{"two keys", "GET / HTTP/1.1", good + "Sec-WebSocket-Key: x\r\n", 400},
		{"long key", "GET / HTTP/1.1", strings.Replace(good, "dGhl", strings.Repeat("x", 300), 1), 400},
	} {
		got := handshake(t, addr, h.line+"\r\nHost: h\r\n"+h.headers+"\r\n")
		if want := fmt.Sprintf(" %d ", h.status); !strings.Contains(strings.SplitN(got, "\r\n", 2)[0], want) {
			t.Errorf("%s: got %q, want status %d", h.name, got, h.status)
		}
	}
}

func TestFirstFrameMayComeWithTheHandshake(t *testing.T) {
	nc, err := net.Dial("tcp", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(await.Patience))
	_, _ = nc.Write(append([]byte("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"), frame(0x82, []byte("early"), key)...))
	r := bufio.NewReader(nc)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.Header.Values("Sec-Websocket-Protocol") != nil {
		t.Fatalf("answer %v, %v: a subprotocol although none was offered?", res, err)
	}
	b := make([]byte, 7)
	if _, err := io.ReadFull(r, b); err != nil || string(b) != "\x82\x05early" {
		t.Errorf("echo of the early frame is %q, %v", b, err)
	}
}
