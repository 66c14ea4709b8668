package mqtt_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	gorilla "github.com/gorilla/websocket"

	"strait/await"
	"strait/door/mqtt"
	"strait/door/mqtt/packet"
)

// identity is a certificate that signs itself, for both ends.
func identity(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// tlsListener serves h over mutual TLS and returns the address and what a
// client needs.
func (h *house) tlsListener() (addr string, server, device tls.Certificate) {
	h.t.Helper()
	server, device = identity(h.t, "server"), identity(h.t, "device00")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAnyClientCert,
		NextProtos: []string{"x-amzn-mqtt-ca"}, SessionTicketsDisabled: true,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.server.Serve(ctx, l) }()
	h.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			h.t.Errorf("Serve over TLS = %v", err)
		}
	})
	return l.Addr().String(), server, device
}

// webSocket serves h as the HTTP door would.
func (h *house) webSocket() (addr string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.server.Upgrade(w, r, "caller") }))
	h.t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// talk lets a paho client subscribe and publish to itself.
func talk(t *testing.T, o *paho.ClientOptions) {
	t.Helper()
	done := func(what string, token paho.Token) {
		t.Helper()
		if !token.WaitTimeout(patience) || token.Error() != nil {
			t.Fatalf("%s: %v", what, token.Error())
		}
	}
	c := paho.NewClient(o.SetClientID("device00").SetAutoReconnect(false).SetKeepAlive(6 * time.Second).SetProtocolVersion(4))
	done("connect", c.Connect())
	got := make(chan paho.Message, 10)
	done("subscribe", c.Subscribe("device00/+", 1, func(_ paho.Client, m paho.Message) { got <- m }))
	payloads := [][]byte{[]byte("hello"), {}, bytes.Repeat([]byte("large"), 20_000)}
	for i, p := range payloads {
		done("publish", c.Publish(fmt.Sprintf("device00/%d", i), byte(i&1), false, p))
	}
	for i, want := range payloads {
		select {
		case m := <-got:
			if m.Topic() != fmt.Sprintf("device00/%d", i) || !bytes.Equal(m.Payload(), want) {
				t.Errorf("message %d came on %q with %d bytes", i, m.Topic(), len(m.Payload()))
			}
		case <-time.After(patience):
			t.Fatalf("message %d did not come", i)
		}
	}
	done("unsubscribe", c.Unsubscribe("device00/+"))
	c.Disconnect(100)
}

func TestPahoOverTLS(t *testing.T) {
	h := open(t, mqtt.Limits{})
	addr, server, device := h.tlsListener()
	roots := x509.NewCertPool()
	roots.AddCert(server.Leaf)
	talk(t, paho.NewClientOptions().AddBroker("tls://"+addr).SetTLSConfig(&tls.Config{
		RootCAs: roots, Certificates: []tls.Certificate{device}, NextProtos: []string{"x-amzn-mqtt-ca"}}))
	c := <-h.came
	if p := c.Peer; p.TLS == nil || p.TLS.NegotiatedProtocol != "x-amzn-mqtt-ca" || p.Certificate == nil || p.Certificate.Subject.CommonName != "device00" {
		t.Errorf("the peer is %+v", p)
	}
	h.ended(mqtt.Disconnected)
}

func TestPahoOverWebSocket(t *testing.T) {
	h := open(t, mqtt.Limits{})
	talk(t, paho.NewClientOptions().AddBroker("ws://"+h.webSocket()+"/mqtt?X-Amz-Signature=0"))
	c := <-h.came
	if p := c.Peer; p.Identity != "caller" || p.WebSocket == nil || p.WebSocket.URL.Path != "/mqtt" || !p.Addr.IsValid() || p.TLS != nil || p.Certificate != nil {
		t.Errorf("the peer is %+v", p)
	}
	h.ended(mqtt.Disconnected)
}

func TestHandshakeThatNeverComes(t *testing.T) {
	h := open(t, mqtt.Limits{Handshake: 100 * time.Millisecond})
	addr, _, _ := h.tlsListener()
	dial(t, addr).closed()
}

// TestWebSocketFrames: packets split over frames, several in one frame, and a
// close frame, which is a goodbye as good as DISCONNECT.
func TestWebSocketFrames(t *testing.T) {
	h := open(t, mqtt.Limits{})
	d := gorilla.Dialer{Subprotocols: []string{"mqtt"}}
	ws, _, err := d.Dial("ws://"+h.webSocket()+"/mqtt", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	var b []byte
	for _, p := range []packet.Packet{
		&packet.Connect{Version: packet.V311, ClientID: "ws", Clean: true, Will: &packet.Will{Topic: "will"}},
		&packet.Subscribe{PacketID: 1, Subscriptions: []packet.Subscription{{Filter: "t"}}},
		&packet.Publish{Topic: "t", Payload: []byte("hello")},
	} {
		b, _ = p.Append(b)
	}
	for _, piece := range [][]byte{b[:1], b[1:9], {}, b[9:]} {
		if err := ws.WriteMessage(gorilla.BinaryMessage, piece); err != nil {
			t.Fatal(err)
		}
	}
	want := []byte("\x20\x02\x00\x00\x90\x03\x00\x01\x00\x30\x08\x00\x01thello")
	var got []byte
	for len(got) < len(want) {
		kind, p, err := ws.ReadMessage()
		if err != nil || kind != gorilla.BinaryMessage {
			t.Fatalf("frame of type %d, %v, after %x", kind, err, got)
		}
		got = append(got, p...)
	}
	// The delivery may overtake the SUBACK; both are allowed.
	if len(got) != len(want) || !bytes.Contains(got, want[9:]) || !bytes.Contains(got, want[4:9]) {
		t.Errorf("got %x, want %x", got, want)
	}
	_ = ws.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(1000, ""), time.Now().Add(time.Second))
	h.ended(mqtt.Disconnected)
}

func TestWebSocketText(t *testing.T) {
	h := open(t, mqtt.Limits{})
	ws, _, err := gorilla.DefaultDialer.Dial("ws://"+h.webSocket()+"/mqtt", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	b, _ := (&packet.Connect{Version: packet.V311, ClientID: "ws", Clean: true}).Append(nil)
	_ = ws.WriteMessage(gorilla.BinaryMessage, b)
	if _, _, err := ws.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	_ = ws.WriteMessage(gorilla.TextMessage, []byte("hello"))
	if _, _, err := ws.ReadMessage(); !gorilla.IsCloseError(err, 1003) {
		t.Errorf("text was answered with %v, want close 1003", err)
	}
	h.ended(mqtt.ClientError)
}

// missing leaves a test out for want of a client, loudly; in CI that is a failure.
func missing(t *testing.T, client string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", client)
	}
	t.Skipf("LEFT OUT: %s is not installed", client)
}

// TestMosquitto uses mosquitto's clients over mutual TLS, where they are.
func TestMosquitto(t *testing.T) {
	for _, name := range []string{"mosquitto_pub", "mosquitto_sub"} {
		if _, err := exec.LookPath(name); err != nil {
			missing(t, name)
		}
	}
	h := open(t, mqtt.Limits{})
	addr, server, device := h.tlsListener()
	host, port, _ := net.SplitHostPort(addr)
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(device.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	common := []string{"-h", host, "-p", port, "--cafile", file("ca.pem", "CERTIFICATE", server.Certificate[0]),
		"--cert", file("cert.pem", "CERTIFICATE", device.Certificate[0]), "--key", file("key.pem", "PRIVATE KEY", key), "--tls-alpn", "x-amzn-mqtt-ca"}

	// A subscriber with a session, which is told of 20 messages and leaves.
	const n = 20
	sub := exec.Command("mosquitto_sub", append([]string{"-i", "sub", "-c", "-q", "1", "-t", "m/#", "-C", fmt.Sprint(n), "-W", "20"}, common...)...)
	var out bytes.Buffer
	sub.Stdout, sub.Stderr = &out, &out
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	<-h.came
	lines := func() (s string) {
		for i := range n {
			s += fmt.Sprintln("line", i)
		}
		return s
	}()
	waitSubscribed(t, h, "sub")
	pub := exec.Command("mosquitto_pub", append([]string{"-q", "1", "-t", "m/a", "-l"}, common...)...)
	pub.Stdin = strings.NewReader(lines)
	if b, err := pub.CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_pub: %v\n%s", err, b)
	}
	if c := <-h.came; !c.Assigned { // it sends no id when it is given none
		t.Errorf("mosquitto_pub is called %q", c.ClientID)
	}
	if err := sub.Wait(); err != nil || out.String() != lines {
		t.Errorf("mosquitto_sub: %v, printed\n%s", err, out.String())
	}

	// MQTT 5, with what it adds to a message.
	v5 := append([]string{"-V", "mqttv5"}, common...)
	sub = exec.Command("mosquitto_sub", append([]string{"-i", "sub5", "-q", "1", "-t", "m5", "-C", "1", "-W", "20", "-F", "%p %P %C %R %D %F"}, v5...)...)
	out.Reset()
	sub.Stdout, sub.Stderr = &out, &out
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	waitSubscribed(t, h, "sub5")
	b, err := exec.Command("mosquitto_pub", append([]string{"-q", "1", "-t", "m5", "-m", "five", "-D", "publish", "user-property", "a", "b",
		"-D", "publish", "content-type", "text/plain", "-D", "publish", "response-topic", "r", "-D", "publish", "correlation-data", "c",
		"-D", "publish", "payload-format-indicator", "1"}, v5...)...).CombinedOutput()
	if err != nil {
		t.Errorf("mosquitto_pub with MQTT 5: %v\n%s", err, b)
	}
	if err := sub.Wait(); err != nil || strings.TrimSpace(out.String()) != "five a:b text/plain r c 1" {
		t.Errorf("mosquitto_sub with MQTT 5: %v, printed\n%s", err, out.String())
	}
	// What is forbidden is told, and the reason is printed.
	b, _ = exec.Command("mosquitto_pub", append([]string{"-i", "nobody", "-t", "t", "-m", "x"}, v5...)...).CombinedOutput()
	if !strings.Contains(strings.ToLower(string(b)), "not authorized") {
		t.Errorf("mosquitto_pub as nobody with MQTT 5 printed %s", b)
	}
	// And what is forbidden shows as a lost connection.
	b, err = exec.Command("mosquitto_pub", append([]string{"-i", "nobody", "-t", "t", "-m", "x"}, common...)...).CombinedOutput()
	if err == nil {
		t.Errorf("mosquitto_pub as nobody succeeded\n%s", b)
	}
}

// waitSubscribed waits until a client has subscribed to something.
func waitSubscribed(t *testing.T, h *house, clientID string) {
	t.Helper()
	await.Until(t, clientID+" has subscribed", func() bool {
		h.mu.Lock()
		g := h.guests[clientID]
		h.mu.Unlock()
		return g != nil && g.subscribed.Load()
	})
}
