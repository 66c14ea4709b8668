package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"strait"
	"strait/door/mqtt/packet"
	"strait/door/mqtt/websocket"
)

// closeTime is what a Conn has for closing.
const closeTime = 10 * time.Second

// A client is one admitted connection. Its life has one goroutine as long as
// nothing happens: run reads. The pump writes when there is something to write,
// and acknowledge, when something must be waited for, sends PUBACKs.
type client struct {
	limits Limits
	nc     net.Conn
	input  *input
	in     *packet.Reader
	out    *writer
	conn   Conn
	log    *slog.Logger
	id     string
	addr   netip.AddrPort

	v5      bool
	kept    bool // in MQTT 5: the session was to outlive the connection
	quick   bool // Next never waits: the pump may be run by others
	reasons bool // reason strings are sent
	topics  aliases
	// Quotas, nil for none.
	publishes *rate
	bytes     *rate

	ctx    context.Context // ends with the connection; for the pump
	cancel context.CancelFunc
	once   sync.Once
	why    Reason // after cancel
	cause  error
	other  bool // the other side had ended the connection then

	begun    atomic.Bool // what is above and below is set
	state    atomic.Uint32
	pump     pump
	spawn    func()        // runs the pump, for a goroutine
	gone     chan struct{} // closed when the pump will never run again
	finished chan struct{} // closed when the socket is

	// Of the reader, until the client says nothing for a moment.
	later   Wakes // whom it has sent something
	handled int   // how many messages it has sent
	acked   bool  // it has acknowledged something

	slots   chan struct{} // one taken for each inbound message that is not safe yet
	queue   chan unacked  // these messages, in order; made when there is the first
	waiting atomic.Int32  // how many are in queue or being waited for
	told    bool          // that QoS 2 is not offered; once is enough
	workers sync.WaitGroup
}

// unacked is a message of QoS 1 whose PUBACK has to wait for its turn.
type unacked struct {
	packetID uint16
	wait     func(context.Context) error // nil: only for its turn
	refused  error                       // in MQTT 5: what the PUBACK says
}

// newClient returns a client that waits for its Conn; its wake may be called.
func newClient() *client {
	c := &client{gone: make(chan struct{}), finished: make(chan struct{})}
	c.spawn = func() { c.run1(false) }
	c.state.Store(running)
	return c
}

// run serves the client until it ends; then nothing of it runs any more and
// its Conn has been closed.
func (c *client) run(ctx context.Context) {
	c.begin(ctx)
	c.tell(slog.LevelDebug, "mqtt: connected")

	err := c.read(c.ctx)
	c.drained(true)
	// The Conn before the socket: a client that said goodbye may connect again
	// the moment it sees the end, and must not take over what has a will still.
	c.decide(c.reason(err), err)
	c.close()
	c.cancel()
	<-c.finished
	c.workers.Wait()

	level := slog.LevelDebug
	switch c.why {
	case ServerError:
		level = slog.LevelError
	case ClientError, Refused:
		level = slog.LevelInfo
	}
	c.tell(level, "mqtt: disconnected", "reason", string(c.why), "err", c.cause)
}

// tell logs something about the client.
func (c *client) tell(level slog.Level, what string, args ...any) {
	if ctx := context.Background(); c.log.Enabled(ctx, level) {
		c.log.With("client", c.id, "addr", c.addr).Log(ctx, level, what, args...)
	}
}

// end notes why the client ends, if it is the first to know, and ends it.
func (c *client) end(why Reason, cause error) {
	c.decide(why, cause)
	c.cancel()
}

// decide is end without the end.
func (c *client) decide(why Reason, cause error) {
	c.once.Do(func() {
		c.why, c.cause = why, cause
		select {
		case <-c.conn.Done():
			c.other = true
		default:
		}
	})
}

// farewell returns the DISCONNECT that tells a client of MQTT 5 why it ends,
// nil when there is nobody to tell.
func (c *client) farewell() packet.Packet {
	if !c.v5 || c.why == Disconnected || c.why == DisconnectedWithWill || c.why == Lost {
		return nil
	}
	why, text := c.why, plainly(c.cause)
	cause := c.cause
	if k, ok := c.conn.(Causer); ok && c.other {
		why, text = k.Cause()
		cause = nil
	}
	p := &packet.Leave{Kind: packet.TypeDisconnect, Reason: byeCode(why, cause)}
	if c.reasons {
		p.Props = withReason(text)
	}
	return p
}

// close closes the Conn. It comes after the last packet of the client.
func (c *client) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if e, ok := c.conn.(Ender); ok {
		e.End(ctx, c.why)
		return
	}
	c.conn.Close(ctx, c.why.Clean())
}

// slow waits until the quotas, if there are any, admit ds.
func (c *client) slow(ctx context.Context, ds []Delivery) {
	if c.publishes == nil && c.bytes == nil {
		return
	}
	n := 0
	for i := range ds {
		n += len(ds[i].Topic) + len(ds[i].Payload)
	}
	c.publishes.wait(ctx, len(ds))
	c.bytes.wait(ctx, n)
}

// waive acknowledges deliveries that the client can never take: MQTT 5 has
// them dropped as if they had been sent (3.1.2.11.4).
func (c *client) waive(ctx context.Context, ids []uint16) error {
	for _, id := range ids {
		if id == 0 {
			continue
		}
		if err := c.conn.Ack(ctx, id); err != nil && strait.KindOf(err) != strait.NotFound {
			return c.failed("acknowledge", err)
		}
	}
	return nil
}

// A connError is a failure of the Conn, with the reason that it makes.
type connError struct {
	why Reason
	op  string
	err error
}

func (e *connError) Error() string { return e.op + ": " + e.err.Error() }
func (e *connError) Unwrap() error { return e.err }

// failed wraps an error of the Conn.
func (c *client) failed(op string, err error) error {
	why := ServerError
	switch strait.KindOf(err) {
	case strait.Internal:
		if errors.Is(err, context.Canceled) {
			why = Ended // its context ended, so the end came from elsewhere
		}
	case strait.Denied, strait.Unauthenticated:
		why = Refused
	case strait.Invalid, strait.TooLarge, strait.Unsupported, strait.Limit:
		why = ClientError
	}
	select {
	case <-c.conn.Done():
		why = Ended
	default:
	}
	return &connError{why, op, err}
}

// errProtocol is in every error that says what the client did wrong.
var errProtocol = errors.New("protocol error")

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errProtocol, fmt.Sprintf(format, args...))
}

// errGoodbye is the DISCONNECT packet.
var errGoodbye = errors.New("disconnect")

// errLastWill is a DISCONNECT that wants the will to be published.
var errLastWill = errors.New("disconnect with will")

// reason says what an error of reading, or of handling what was read, means.
func (c *client) reason(err error) Reason {
	var ce *connError
	switch {
	case errors.As(err, &ce):
		return ce.why
	case errors.Is(err, errLastWill):
		return DisconnectedWithWill
	case errors.Is(err, errGoodbye), errors.Is(err, websocket.ErrGoodbye):
		return Disconnected
	case errors.Is(err, os.ErrDeadlineExceeded):
		return KeepAliveTimeout
	case errors.Is(err, errProtocol), errors.Is(err, packet.ErrMalformed),
		errors.Is(err, packet.ErrTooLarge), errors.Is(err, websocket.ErrProtocol):
		return ClientError
	}
	return Lost
}
