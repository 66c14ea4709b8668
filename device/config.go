package device

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"strait"
)

// A Config says where to connect and as whom.
type Config struct {
	// Endpoint is "host:port". Port 443 with a certificate uses ALPN
	// "x-amzn-mqtt-ca". ConnectSigV4 also takes "ws://host:port" and
	// "http://host:port" for a server without TLS on this machine.
	Endpoint string
	// Thing is the device's name: topics of credentials begin with it.
	Thing string
	// ClientID is Thing when empty; one of both is needed.
	ClientID string

	// The certificate, its key and the authority of the server: files, or the
	// PEM itself, which wins. Without an authority the system's are trusted.
	CertFile, KeyFile, CAFile string
	Cert, Key, CA             []byte

	// For ConnectSigV4. The credentials are asked for on each connection.
	Region      string
	Credentials aws.CredentialsProvider

	// CleanSession false keeps subscriptions and messages on the server while
	// the device is away.
	CleanSession bool
	// KeepAlive is 30 s when zero; whole seconds.
	KeepAlive time.Duration
	// Offline lets Connect return at once and connect in the background, so
	// that a device may start without a network.
	Offline bool
	// QueueSize bounds the messages that wait to be acknowledged; 1,000 when zero.
	QueueSize int
	// Timeout bounds one attempt to connect, and the wait for an
	// acknowledgement; 15 s when zero.
	Timeout time.Duration
	// DrainRate is how many messages are sent in a second while several wait,
	// so that a device that comes back does not exceed the server's rate (100
	// on AWS); 50 when zero, negative: as fast as they are acknowledged.
	DrainRate int
	// Idle, if set, ends the connection after so long without anything to do;
	// it is made again when there is. It is for a device that only asks for
	// credentials now and then: messages come only while the connection stands,
	// or, with CleanSession false, the next time.
	Idle time.Duration
	// TakeTurns lets programs of one machine that use the same KeyFile connect
	// one after the other: under one client id they would end each other's
	// connections. Set Idle, too, or the first one keeps the others waiting.
	TakeTurns bool
	// Stall is how long an upload's connection may take no bytes before it
	// counts as dead; 1 min when zero.
	Stall time.Duration
	// Bandwidth bounds all uploads together, in bytes a second; 0: no bound.
	Bandwidth int64

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nothing is logged
}

// Bounds and defaults.
const (
	defaultKeepAlive = 30 * time.Second
	defaultQueue     = 1000
	defaultTimeout   = 15 * time.Second
	defaultStall     = time.Minute
	defaultDrain     = 50
	maxClientID      = 128 // bytes (AWS IoT Core quota)
	maxPEM           = 1 << 20
	alpnMQTT         = "x-amzn-mqtt-ca"
)

func (c *Config) check() error {
	if c.ClientID == "" {
		c.ClientID = c.Thing
	}
	switch {
	case c.Endpoint == "":
		return strait.Errorf(strait.Invalid, "endpoint", "an endpoint is needed, such as localhost:8883")
	case c.ClientID == "":
		return strait.Errorf(strait.Invalid, "client id", "a thing or a client id is needed")
	case len(c.ClientID) > maxClientID:
		return strait.Errorf(strait.Invalid, "client id", "the client id has %d bytes; at most %d are allowed", len(c.ClientID), maxClientID)
	case strings.ContainsAny(c.Thing, "/+#\x00"):
		// It becomes one level of a topic.
		return strait.Errorf(strait.Invalid, "thing", "the thing's name %q must not hold /, + or #", c.Thing)
	}
	c.defaults()
	return nil
}

func (c *Config) defaults() {
	if c.KeepAlive <= 0 {
		c.KeepAlive = defaultKeepAlive
	}
	if c.QueueSize <= 0 {
		c.QueueSize = defaultQueue
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Stall <= 0 {
		c.Stall = defaultStall
	}
	if c.DrainRate == 0 {
		c.DrainRate = defaultDrain
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// hostPort splits the endpoint, and says what it should be like when it cannot.
func (c *Config) hostPort() (host, port string, err error) {
	host, port, err = net.SplitHostPort(c.Endpoint)
	if err != nil || host == "" || port == "" {
		return "", "", strait.Errorf(strait.Invalid, "endpoint", "the endpoint %q is not host:port, such as localhost:8883", c.Endpoint)
	}
	return host, port, nil
}

// read fills in what is given as files.
func (c *Config) read() error {
	for _, f := range []struct {
		what, name string
		to         *[]byte
	}{{"certificate", c.CertFile, &c.Cert}, {"key", c.KeyFile, &c.Key}, {"authority", c.CAFile, &c.CA}} {
		if f.name == "" || len(*f.to) > 0 {
			continue
		}
		info, err := os.Stat(f.name)
		if err == nil && info.Size() > maxPEM {
			err = fmt.Errorf("%s has %d bytes; that is no PEM file", f.name, info.Size())
		}
		if err == nil {
			*f.to, err = os.ReadFile(f.name)
		}
		if err != nil {
			return strait.Errorf(strait.Invalid, f.what, "read the %s: %w", f.what, err)
		}
	}
	return nil
}

// authorities is whom the MQTT connection trusts: the given authority only, or
// the system's (nil).
func (c *Config) authorities() (*x509.CertPool, error) {
	if len(c.CA) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(c.CA) {
		return nil, strait.Errorf(strait.Invalid, "authority", "there is no certificate in the authority's file %s", c.CAFile)
	}
	return pool, nil
}

// deviceTLS is how a device proves itself.
func (c *Config) deviceTLS(host, port string) (*tls.Config, error) {
	if len(c.Cert) == 0 || len(c.Key) == 0 {
		return nil, strait.Errorf(strait.Invalid, "certificate", "a certificate and its key are needed")
	}
	pair, err := tls.X509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, strait.Errorf(strait.Invalid, "certificate", "the certificate and the key cannot be used together: %w", err)
	}
	pool, err := c.authorities()
	if err != nil {
		return nil, err
	}
	t := &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS12}
	if port == "443" {
		t.NextProtos = []string{alpnMQTT}
	}
	return t, nil
}
