package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"strait"
	"strait/door/mqtt/packet"
	"strait/server"
	"strait/setup"
)

// hello is a CONNECT of MQTT 5.
func hello(id string) []byte {
	b, err := (&packet.Connect{Version: packet.V5, ClientID: id, Clean: true, KeepAlive: 30}).Append(nil)
	if err != nil {
		panic(err)
	}
	return b
}

// connack reads the answer's code.
func connack(r io.Reader) (code byte, err error) {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, err
	}
	if b[0] != 0x20 {
		return 0, fmt.Errorf("a packet % x, no CONNACK", b)
	}
	return b[3], nil
}

// TestListeners: every row of the table of listeners (iot-mqtt.md, section 1),
// with its ALPN, its way of proving who it is, and what it gets.
func TestListeners(t *testing.T) {
	y := raise(t, "", everything)
	r := y.server.Ready()
	certs := y.certListener()
	talk := func(c *tls.Conn) string {
		if _, err := c.Write(hello("a")); err != nil {
			return err.Error()
		}
		code, err := connack(c)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("CONNACK %#02x", code)
	}
	publish := func(c *tls.Conn) string {
		fmt.Fprintf(c, "POST /topics/ok/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		return resp.Status
	}
	for _, row := range []struct {
		name, addr string
		alpn       []string
		then       func(*tls.Conn) string
		chosen     string
		certified  bool // the server asks for a certificate
		want       string
	}{
		{"MQTT, 8883", r.MQTT[0], nil, talk, "", true, "CONNACK 0x00"},
		{"MQTT, 8883, as the builder of Node has it", r.MQTT[0], []string{"x-amzn-mqtt-ca"}, talk, "x-amzn-mqtt-ca", true, "CONNACK 0x00"},
		{"MQTT, 443", r.HTTPS[0], []string{"x-amzn-mqtt-ca"}, talk, "x-amzn-mqtt-ca", true, "CONNACK 0x00"},
		// Custom authorizers are not offered, so that nobody is admitted there.
		{"MQTT, 443, custom", r.HTTPS[0], []string{"mqtt"}, talk, "mqtt", false, "CONNACK 0x87"},
		{"HTTPS, 443, X.509", r.HTTPS[0], []string{"x-amzn-http-ca"}, publish, "x-amzn-http-ca", true, "200 OK"},
		{"HTTPS, 443, X.509, with http/1.1 behind it", r.HTTPS[0], []string{"x-amzn-http-ca", "http/1.1"}, publish, "x-amzn-http-ca", true, "200 OK"},
		{"HTTPS, 8443, X.509", certs, nil, publish, "", true, "200 OK"},
		{"HTTPS, 8443, X.509, http/1.1", certs, []string{"http/1.1"}, publish, "http/1.1", true, "200 OK"},
		// With SigV4 no certificate is asked for; these send no signature either.
		{"HTTPS, 443", r.HTTPS[0], nil, publish, "", false, "403 Forbidden"},
		{"HTTPS, 443, http/1.1", r.HTTPS[0], []string{"http/1.1"}, publish, "http/1.1", false, "403 Forbidden"},
		{"HTTP/2 beside 1.1", r.HTTPS[0], []string{"h2", "http/1.1"}, publish, "http/1.1", false, "403 Forbidden"},
		{"HTTP/2 alone", r.HTTPS[0], []string{"h2"}, nil, "", false, "no application protocol"},
	} {
		t.Run(row.name, func(t *testing.T) {
			asked := false
			conf := y.tls.Clone()
			pair := conf.Certificates[0]
			conf.NextProtos, conf.Certificates = row.alpn, nil
			conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { asked = true; return &pair, nil }
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			nc, err := (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", row.addr)
			if row.then == nil {
				if err == nil || !strings.Contains(err.Error(), row.want) {
					t.Errorf("got %v, want %s", err, row.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			_ = nc.SetDeadline(time.Now().Add(patience))
			c := nc.(*tls.Conn)
			if got := c.ConnectionState().NegotiatedProtocol; got != row.chosen || asked != row.certified {
				t.Errorf("chosen %q, want %q; asked for a certificate: %v, want %v", got, row.chosen, asked, row.certified)
			}
			if got := row.then(c); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

const everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`

// certListener starts another server on the same data, since a yard has no
// listener that asks everybody; it returns the address of one.
func (y *yard) certListener() string {
	y.Helper()
	data := y.server.Ready().Data
	if err := y.server.Close(); err != nil {
		y.Fatal(err)
	}
	s, err := server.Start(y.Context(), server.Config{
		Data: data, Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"}, Hosts: []string{"localhost"},
		HTTPS: []string{y.server.Ready().HTTPS[0]}, MQTT: []string{y.addr}, HTTPSCert: []string{"127.0.0.1:0"},
	})
	if err != nil {
		y.Fatal(err)
	}
	y.Cleanup(func() { s.Close() })
	y.server = s
	return s.Ready().HTTPSCert[0]
}

// A signer says how one client builds its WebSocket URL (iot-mqtt.md, section 9.2).
type signer struct {
	name, service, expires string
	host                   string // as signed and sent
	signed                 string // names of the signed headers
	protocol               string // the subprotocol it offers
	key                    int    // bytes of its Sec-WebSocket-Key
	raw                    bool   // it leaves the slashes of the token as they are
	inside                 bool   // the token is signed
}

// TestWebSocketSigners: every row of the table of signers, with long-lived keys
// and with a session's, over MQTT 5 and 3.1.1 as the subprotocol allows.
func TestWebSocketSigners(t *testing.T) {
	y := raise(t, "", everything)
	const bare = "abc-ats.iot.ap-northeast-1.amazonaws.test"
	port := y.server.Ready().HTTPS[0]
	port = port[strings.LastIndexByte(port, ':'):]
	rows := []signer{
		{"AWSIoTPythonSDK v1", "iotdata", "86400", bare, "host", "mqttv3.1", 128, true, false},
		{"aws-iot-device-sdk for JS v1", "iotdevicegateway", "", bare + port, "host", "mqttv3.1", 16, false, false},
		{"aws-iot-device-sdk for JS v1, port 443", "iotdevicegateway", "", bare, "host", "mqttv3.1", 16, false, false},
		{"awscrt", "iotdevicegateway", "", bare, "host", "mqtt", 16, false, false},
		{"awscrt, with an end", "iotdevicegateway", "3600", bare, "connection;host", "mqtt", 16, false, false},
		{"CRT in a browser, MQTT 3", "iotdevicegateway", "", bare, "host", "mqttv3.1", 16, false, false},
		{"CRT in a browser, MQTT 5", "iotdevicegateway", "", bare, "host", "mqtt", 16, false, false},
		{"Amplify", "iotdevicegateway", "", bare, "host", "mqtt", 16, false, false},
		{"Mobile SDK", "iotdata", "", bare, "host", "mqtt", 16, false, false},
		{"any presigner", "iotdata", "86400", bare, "host", "mqtt", 16, false, true},
	}
	long, session := y.credentials()
	for _, row := range rows {
		for _, creds := range []aws.Credentials{long, session} {
			kind := "a user"
			if creds.SessionToken != "" {
				kind = "a session"
			}
			t.Run(row.name+"/"+kind, func(t *testing.T) {
				conf := y.tls.Clone()
				conf.Certificates, conf.NextProtos = nil, []string{"http/1.1"}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				nc, err := (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", y.server.Ready().HTTPS[0])
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				_ = nc.SetDeadline(time.Now().Add(patience))
				in := bufio.NewReader(nc)
				if head := row.shake(t, nc, in, creds, time.Now()); !strings.HasPrefix(head, "HTTP/1.1 101 Switching Protocols\r\n") {
					t.Fatalf("the handshake is refused: %s", head)
				}
				frame(t, nc, hello("ws"))
				var lead [2]byte
				if _, err := io.ReadFull(in, lead[:]); err != nil || lead[0] != 0x82 {
					t.Fatalf("a frame % x, %v", lead, err)
				}
				if code, err := connack(in); err != nil || code != 0 {
					t.Errorf("CONNACK %#02x, %v", code, err)
				}
			})
		}
	}
	// One byte of the signature, or another host, is refused.
	for name, spoil := range map[string]func(*signer, *aws.Credentials){
		"another key":     func(_ *signer, c *aws.Credentials) { c.SecretAccessKey += "x" },
		"another service": func(s *signer, _ *aws.Credentials) { s.service = "s3" },
	} {
		row, creds := rows[0], long
		spoil(&row, &creds)
		conf := y.tls.Clone()
		conf.Certificates, conf.NextProtos = nil, nil
		nc, err := tls.Dial("tcp", y.server.Ready().HTTPS[0], conf)
		if err != nil {
			t.Fatal(err)
		}
		if head := row.shake(t, nc, bufio.NewReader(nc), creds, time.Now()); !strings.HasPrefix(head, "HTTP/1.1 403") {
			t.Errorf("%s: got %s, want 403", name, head)
		}
		nc.Close()
	}
}

// shake does the handshake and returns the head of the answer, which must be
// what the pickiest client wants (iot-mqtt.md, section 9.3).
func (s *signer) shake(t *testing.T, w io.Writer, r *bufio.Reader, creds aws.Credentials, now time.Time) string {
	t.Helper()
	key := make([]byte, s.key)
	rand.Read(key)
	fmt.Fprintf(w, "GET /mqtt?%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: %s\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
		s.query(creds, now), s.host, base64.StdEncoding.EncodeToString(key), s.protocol)
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		b, err := r.ReadByte()
		if err != nil {
			t.Fatalf("the head ends early: %q, %v", head.String(), err)
		}
		head.WriteByte(b)
	}
	text := head.String()
	if strings.HasPrefix(text, "HTTP/1.1 101") {
		for _, want := range []string{"\r\nsec-websocket-accept: ", "\r\nConnection: Upgrade\r\n", "\r\nUpgrade: websocket\r\n", "\r\nSec-WebSocket-Protocol: " + s.protocol + "\r\n"} {
			if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
				t.Errorf("the answer lacks %q: %s", want, text)
			}
		}
		if !strings.Contains(text, "\r\nsec-websocket-accept: ") {
			t.Error("the Python SDK looks for the accept header in lower case")
		}
		if strings.Contains(strings.ToLower(text), "sec-websocket-extensions") || len(text) > 1024 {
			t.Errorf("an extension, or %d bytes of head: %s", len(text), text)
		}
	}
	return text
}

// query is the signed query.
func (s *signer) query(creds aws.Credentials, now time.Time) string {
	stamp := now.UTC().Format("20060102T150405Z")
	scope := stamp[:8] + "/ap-northeast-1/" + s.service + "/aws4_request"
	q := []string{"X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Credential=" + url.QueryEscape(creds.AccessKeyID+"/"+scope), "X-Amz-Date=" + stamp, "X-Amz-SignedHeaders=" + url.QueryEscape(s.signed)}
	if s.expires != "" {
		q = append(q, "X-Amz-Expires="+s.expires)
	}
	token := ""
	if creds.SessionToken != "" {
		token = "X-Amz-Security-Token=" + url.QueryEscape(creds.SessionToken)
		if s.inside {
			q = append(q, token)
		}
	}
	slices.Sort(q)
	heads := "host:" + s.host + "\n"
	if strings.HasPrefix(s.signed, "connection;") {
		heads = "connection:Upgrade\n" + heads
	}
	empty := sha256.Sum256(nil)
	canonical := "GET\n/mqtt\n" + strings.Join(q, "&") + "\n" + heads + "\n" + s.signed + "\n" + hex.EncodeToString(empty[:])
	sum := sha256.Sum256([]byte(canonical))
	text := "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
	mac := []byte("AWS4" + creds.SecretAccessKey)
	for _, part := range []string{stamp[:8], "ap-northeast-1", s.service, "aws4_request", text} {
		h := hmac.New(sha256.New, mac)
		h.Write([]byte(part))
		mac = h.Sum(nil)
	}
	q = append(q, "X-Amz-Signature="+hex.EncodeToString(mac))
	if token != "" && !s.inside {
		if s.raw {
			token = strings.ReplaceAll(token, "%2F", "/")
		}
		q = append(q, token)
	}
	return strings.Join(q, "&")
}

// frame writes a masked binary frame.
func frame(t *testing.T, w io.Writer, b []byte) {
	t.Helper()
	mask := [4]byte{1, 2, 3, 4}
	out := append([]byte{0x82, 0x80 | byte(len(b))}, mask[:]...)
	for i, c := range b {
		out = append(out, c^mask[i%4])
	}
	if _, err := io.Copy(w, bytes.NewReader(out)); err != nil {
		t.Fatal(err)
	}
}

// credentials are the operator's, and those of a session of a role that may do
// everything.
func (y *yard) credentials() (long, session aws.Credentials) {
	y.Helper()
	admin, err := setup.NewSession(y.Context(), config.WithSharedCredentialsFiles([]string{y.server.Ready().Credentials}))
	if err != nil {
		y.Fatal(err)
	}
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"sts:AssumeRole"}]}`
	made, err := admin.IAM.CreateRole(y.Context(), &iam.CreateRoleInput{RoleName: aws.String("all"), AssumeRolePolicyDocument: &trust})
	if err != nil {
		y.Fatal(err)
	}
	doc := everything
	if _, err := admin.IAM.PutRolePolicy(y.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("all"), PolicyName: aws.String("all"), PolicyDocument: &doc}); err != nil {
		y.Fatal(err)
	}
	out, err := admin.STS.AssumeRole(y.Context(), &sts.AssumeRoleInput{RoleArn: made.Role.Arn, RoleSessionName: aws.String("narrow")})
	if err != nil {
		y.Fatal(err)
	}
	return y.desk().creds, aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}
}
