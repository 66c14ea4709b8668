package device

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"strait"
)

var (
	errClosed = strait.Errorf(strait.Conflict, "client", "the client was closed")
	errNoAck  = errors.New("the server did not acknowledge in time")
)

// Pauses between attempts to connect: each is a random part (a half to the
// whole) of one that doubles, so that a fleet does not come back at once. A
// connection that stood for a while begins anew.
const (
	firstPause = time.Second
	longPause  = 32 * time.Second
	healthy    = 20 * time.Second
)

// A link is one connection. Each has a Paho client of its own, without Paho's
// reconnecting and storing: what must survive a connection is in Client.
type link struct {
	paho   paho.Client
	conn   *watchedConn
	since  time.Time
	lost   chan struct{} // closed when the connection has ended
	once   sync.Once
	err    error     // why; valid after lost
	leave  func()    // ends our turn
	unsure time.Time // when a message went that is not acknowledged (QoS 0); only the loop uses it
	rests  bool      // ended because there was nothing to do; only the loop uses it
}

func (l *link) fail(err error) {
	l.once.Do(func() {
		l.err = err
		close(l.lost)
	})
}

func (l *link) isLost() bool {
	select {
	case <-l.lost:
		return true
	default:
		return false
	}
}

// hungUp tells whether the server ended the connection, which is how MQTT
// 3.1.1 servers refuse.
func (l *link) hungUp() bool {
	var alert tls.AlertError
	return errors.Is(l.err, io.EOF) || errors.Is(l.err, io.ErrUnexpectedEOF) || errors.As(l.err, &alert)
}

// watchedConn remembers why reading ended: Paho tells less.
type watchedConn struct {
	net.Conn
	mu  sync.Mutex
	err error
}

func (w *watchedConn) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.mu.Lock()
		if w.err == nil {
			w.err = err
		}
		w.mu.Unlock()
	}
	return n, err
}

func (w *watchedConn) readErr() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// open makes one attempt to connect.
func (c *Client) open(ctx context.Context) (_ *link, err error) {
	leave, err := c.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			leave()
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	l := &link{lost: make(chan struct{}), since: time.Now(), leave: leave}
	var dialErr error
	stop := func() bool { return true }
	o := paho.NewClientOptions().AddBroker("tcp://" + "device"). // a name only: dialing is ours
									SetClientID(c.cfg.ClientID).SetCleanSession(c.cfg.CleanSession).SetProtocolVersion(4).
									SetKeepAlive(c.cfg.KeepAlive).SetPingTimeout(min(c.cfg.KeepAlive, 10*time.Second)).
									SetConnectTimeout(c.cfg.Timeout).SetWriteTimeout(c.cfg.Timeout).
									SetAutoReconnect(false).SetConnectRetry(false).SetResumeSubs(false).SetAutoAckDisabled(true)
	o.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
		conn, err := c.dial(ctx)
		if err != nil {
			dialErr = err
			return nil, err
		}
		l.conn = &watchedConn{Conn: conn}
		stop = context.AfterFunc(ctx, func() { conn.Close() })
		return l.conn, nil
	})
	o.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { c.deliver(l, m) })
	o.SetConnectionLostHandler(func(_ paho.Client, err error) {
		if e := l.conn.readErr(); e != nil {
			err = e
		}
		l.fail(err)
	})
	l.paho = paho.NewClient(o)
	token := l.paho.Connect()
	<-token.Done() // bounded by ctx
	stop()
	if err := token.Error(); err != nil {
		return nil, c.whyNot(l, dialErr, token.(*paho.ConnectToken).ReturnCode(), err)
	}
	return l, nil
}

// whyNot says what was wrong with an attempt in words that help.
func (c *Client) whyNot(l *link, dialErr error, code byte, err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var known *strait.Error
	where := "connect to " + c.cfg.Endpoint
	switch {
	case dialErr == nil && l.conn == nil:
		return strait.Errorf(strait.Internal, "connection", "%s: %w", where, err)
	case errors.As(dialErr, &known):
		return known
	case errors.As(dialErr, &unknown):
		return strait.Errorf(strait.Unauthenticated, "server certificate", "%s: the server's certificate comes from an authority that is not trusted here; give the server's CA file: %w", where, dialErr)
	case errors.As(dialErr, &name):
		return strait.Errorf(strait.Unauthenticated, "server certificate", "%s: the server's certificate is for other names: %w", where, dialErr)
	case errors.As(dialErr, &invalid) && invalid.Reason == x509.Expired:
		return strait.Errorf(strait.Unauthenticated, "server certificate", "%s: the server's certificate is not valid at %s, which this device takes for now: is its clock right? %w", where, time.Now().UTC().Format(time.RFC3339), dialErr)
	case dialErr != nil:
		return strait.Errorf(strait.Unavailable, "connection", "%s: %w", where, dialErr)
	case errors.Is(l.conn.readErr(), os.ErrDeadlineExceeded), errors.Is(l.conn.readErr(), net.ErrClosed):
		return strait.Errorf(strait.Unavailable, "connection", "%s: the server did not answer in time", where)
	case code >= 1 && code <= 5:
		return strait.Errorf(strait.Denied, "connect", "%s as client %s: the server refused (%v)", where, c.cfg.ClientID, err)
	}
	return strait.Errorf(strait.Denied, "connect", "%s as client %s: the server closed the connection. Refused? %s", where, c.cfg.ClientID, hintIoT(c.cfg.Endpoint, c.cfg.ClientID))
}

// run keeps a connection up until the client is closed.
func (c *Client) run(l *link) {
	defer close(c.done)
	defer c.giveUp()
	pause := firstPause
	for {
		if l != nil {
			c.attach(l)
			c.serve(l)
			// A message that was given up was the trouble, not the network.
			found := c.detach(l)
			if l.rests {
				c.rest()
				l, pause = nil, firstPause
				continue
			}
			if found || time.Since(l.since) > healthy {
				pause = firstPause
			}
			l = nil
		} else if c.ctx.Err() == nil {
			var err error
			if l, err = c.open(c.ctx); err == nil {
				continue
			}
			c.mu.Lock()
			c.lastErr = err
			c.mu.Unlock()
			c.cfg.Log.Warn("no connection yet", "endpoint", c.cfg.Endpoint, "error", err)
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-c.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, longPause)
	}
}

func (c *Client) attach(l *link) {
	c.mu.Lock()
	c.link, c.lastErr = l, nil
	c.mu.Unlock()
	c.cfg.Log.Info("connected", "endpoint", c.cfg.Endpoint, "client", c.cfg.ClientID)
}

// serve does what there is to do on a connection, until it ends. Subscriptions
// come before messages: an answer must find its reader.
func (c *Client) serve(l *link) {
	for !l.isLost() && c.ctx.Err() == nil {
		if s := c.nextSubscription(l); s != nil {
			c.subscribeOn(l, s)
			continue
		}
		if o := c.nextOutgoing(); o != nil {
			c.send(l, o)
			continue
		}
		select {
		case <-c.wake:
		case <-l.lost:
		case <-c.ctx.Done():
		case <-c.idle():
			if !c.busy() {
				l.rests = true
				return
			}
		}
	}
}

// idle is when there was nothing to do for long enough; every message wakes
// the loop and so begins anew.
func (c *Client) idle() <-chan time.Time {
	if c.cfg.Idle <= 0 {
		return nil
	}
	return time.After(c.cfg.Idle)
}

// busy tells whether a connection is needed.
func (c *Client) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) > 0 || c.answer.ch != nil || slices.ContainsFunc(c.subs, func(s *subscription) bool { return s.fresh })
}

// rest waits, without a connection, until there is something to do.
func (c *Client) rest() {
	for !c.busy() {
		select {
		case <-c.wake:
		case <-c.ctx.Done():
			return
		}
	}
}

// detach cleans up behind a connection that has ended, or ends it when the
// client is closed. It tells whether a message was given up.
func (c *Client) detach(l *link) (gaveUp bool) {
	if l.rests || c.ctx.Err() != nil {
		l.paho.Disconnect(250)
		l.leave()
	} else {
		// Paho may still wait for a dead network: it must not hold us up.
		go func() { l.paho.Disconnect(0); l.leave() }()
	}
	l.fail(context.Cause(c.ctx))
	why := c.whyLost(l)
	gaveUp = c.takeBack(l)
	c.mu.Lock()
	c.link, c.unclaimed, c.lastErr = nil, nil, why
	c.mu.Unlock()
	if !l.rests && c.ctx.Err() == nil {
		c.cfg.Log.Warn("the connection was lost", "endpoint", c.cfg.Endpoint, "error", why)
	}
	return gaveUp
}

// rivalry is how often in a row a server must end a connection on which
// nothing can have displeased it before another program is suspected.
const rivalry = 2

// whyLost says why a connection ended, nil when it was we who ended it. A
// server that ends it again and again although nothing was sent has probably
// another client of the same name: MQTT 3.1.1 has no word for that.
func (c *Client) whyLost(l *link) error {
	if l.rests {
		return nil
	}
	c.mu.Lock()
	suspect := time.Since(l.unsure) < suspicion ||
		slices.ContainsFunc(c.queue, func(o *outgoing) bool { return o.inFlight }) ||
		slices.ContainsFunc(c.subs, func(s *subscription) bool { return s.fresh && s.link == l })
	c.mu.Unlock()
	if !l.hungUp() || suspect || time.Since(l.since) > healthy {
		c.rivals = 0
	} else {
		c.rivals++
	}
	switch {
	case c.rivals >= rivalry:
		return strait.Errorf(strait.Conflict, "client id", "the server ended the connection %d times in a row although nothing was sent that it could refuse: another program probably connects as client %s, too, and each ends the other's connection. Give one of them another client id that the policy allows, or stop it", c.rivals, c.cfg.ClientID)
	case l.err == nil:
		return errors.New("the connection ended")
	}
	return l.err
}

// through calls fn, which may block in Paho when the connection is just
// ending, and waits for its token, but no longer than the connection lasts.
func (c *Client) through(l *link, fn func() paho.Token) (paho.Token, error) {
	called := make(chan paho.Token, 1)
	go func() { called <- fn() }()
	var token paho.Token
	timer := time.NewTimer(c.cfg.Timeout)
	defer timer.Stop()
	select {
	case token = <-called:
	case <-l.lost:
		return nil, l.err
	case <-timer.C:
		l.fail(errNoAck)
		return nil, errNoAck
	}
	return token, nil
}

// acknowledged waits for the end of a token.
func (c *Client) acknowledged(l *link, token paho.Token) error {
	timer := time.NewTimer(c.cfg.Timeout)
	defer timer.Stop()
	select {
	case <-token.Done():
		err := token.Error()
		if e := l.conn.readErr(); err != nil && e != nil {
			l.fail(e) // Paho says "not Connected"; this is why
			return e
		}
		return err
	case <-l.lost:
		return l.err
	case <-c.ctx.Done():
		return errClosed
	case <-timer.C:
		l.fail(errNoAck)
		return errNoAck
	}
}

func (c *Client) hint() string { return hintIoT(c.cfg.Endpoint, c.Thing()) }

// hintIoT says where a refusal of AWS IoT or of Strait is explained.
func hintIoT(endpoint, thing string) string {
	if isAWS(endpoint) {
		return "Look in CloudWatch's log group AWSIotLogsV2, where AWS IoT's logging is on"
	}
	return "See: strait explain --thing " + thing
}

// isAWS tells whether an endpoint is AWS's own.
func isAWS(endpoint string) bool { return strings.Contains(endpoint, ".amazonaws.com") }
