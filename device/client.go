package device

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// A Client is one device's connection. It reconnects by itself, with growing
// pauses, subscribes again and sends again what was not acknowledged, until it
// is closed. Its methods may be called from several goroutines.
type Client struct {
	cfg  Config
	dial func(context.Context) (net.Conn, error)

	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the loop has ended
	wake   chan struct{} // something to do for the loop

	mu        sync.Mutex
	link      *link // nil while there is no connection
	subs      []*subscription
	unclaimed []*delivery // of the link, at most maxUnclaimed
	queue     []*outgoing // in the order of publishing; the acknowledged are gone
	drained   chan struct{}
	lastErr   error

	paced  time.Time  // see slow; only the loop uses it
	rivals int        // see whyLost; only the loop uses it
	asking sync.Mutex // one request for credentials at a time
	answer answerer
	vended map[CredentialsOptions]*Credentials
	// shadows are those that were asked for, by name.
	shadows map[string]*Shadow
	clock   *clock
	up      *Uploader
}

// Connect connects with a certificate (mutual TLS). It makes one attempt and
// returns what was wrong with it; afterwards the Client keeps the connection
// up. With Config.Offline it does not wait for the first attempt. The context
// bounds only the first attempt.
func Connect(ctx context.Context, cfg Config) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	host, port, err := cfg.hostPort()
	if err != nil {
		return nil, err
	}
	if err := cfg.read(); err != nil {
		return nil, err
	}
	t, err := cfg.deviceTLS(host, port)
	if err != nil {
		return nil, err
	}
	dialer := &tls.Dialer{NetDialer: &net.Dialer{KeepAlive: 15 * time.Second}, Config: t}
	return start(ctx, cfg, func(ctx context.Context) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	})
}

// ConnectSigV4 connects over a WebSocket that is signed with cfg.Credentials,
// anew on each connection. Otherwise it is like Connect.
func ConnectSigV4(ctx context.Context, cfg Config) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := cfg.read(); err != nil {
		return nil, err
	}
	s, err := newSocket(&cfg)
	if err != nil {
		return nil, err
	}
	return start(ctx, cfg, s.dial)
}

func start(ctx context.Context, cfg Config, dial func(context.Context) (net.Conn, error)) (*Client, error) {
	c := &Client{
		cfg: cfg, dial: dial, done: make(chan struct{}), wake: make(chan struct{}, 1),
		vended: map[CredentialsOptions]*Credentials{},
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.clock = &clock{now: cfg.Now}
	c.up = newUploader(&c.cfg, c.clock, c.Credentials, c.ctx)
	var first *link
	if !cfg.Offline {
		var err error
		if first, err = c.open(ctx); err != nil {
			c.cancel(errClosed)
			return nil, err
		}
	}
	go c.run(first)
	return c, nil
}

// ClientID is the name of the connection.
func (c *Client) ClientID() string { return c.cfg.ClientID }

// Thing is the device's name.
func (c *Client) Thing() string {
	if c.cfg.Thing == "" {
		return c.cfg.ClientID
	}
	return c.cfg.Thing
}

// Connected tells whether the connection stands now; when not, err says why
// the last one ended or the last attempt failed.
func (c *Client) Connected() (up bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link != nil, c.lastErr
}

// Close says goodbye and ends everything. Messages that still wait are given
// up: call Flush before when they matter.
func (c *Client) Close() error {
	c.cancel(errClosed)
	<-c.done
	c.up.Close()
	return nil
}

func (c *Client) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
