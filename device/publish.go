package device

import (
	"context"
	"slices"
	"strings"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"strait"
)

// A Message is what is published or has come.
type Message struct {
	Topic   string
	Payload []byte
	QoS     byte // 0 or 1
	Retain  bool
}

// Limits of a message (AWS IoT Core quotas).
const (
	maxTopic   = 256
	maxPayload = 128 << 10
)

func (m *Message) check() error {
	switch {
	case m.Topic == "" || len(m.Topic) > maxTopic:
		return strait.Errorf(strait.Invalid, "topic", "a topic has 1 to %d bytes", maxTopic)
	case strings.ContainsAny(m.Topic, "+#\x00"):
		return strait.Errorf(strait.Invalid, "topic", "the topic %q must not hold + or #", m.Topic)
	case m.QoS > 1:
		return strait.Errorf(strait.Invalid, "QoS", "QoS %d is not offered: use 0 or 1", m.QoS)
	case len(m.Payload) > maxPayload:
		return strait.Errorf(strait.TooLarge, "payload", "the message has %d bytes; at most %d are allowed", len(m.Payload), maxPayload)
	}
	return nil
}

const (
	// window is how many messages are under way at once.
	window = 50
	// maxTries is how often the server may hang up on a message before it is
	// given up: a refused one must not keep the others waiting for ever.
	maxTries = 3
	// suspicion is how soon after sending a hang-up counts against a message.
	suspicion = 10 * time.Second
)

// outgoing is a message that waits to be acknowledged. Guarded by Client.mu.
type outgoing struct {
	Message
	result   chan error // gets one value
	inFlight bool
	sent     time.Time
	tries    int // connections that the server ended on it
	limit    int // of tries
}

// Publish sends m and returns when the server has acknowledged it (QoS 1) or
// it is on the wire (QoS 0). Without a connection it waits in the queue; when
// ctx ends first it is taken out. A message that the server hangs up on again
// and again is given up as Denied: MQTT 3.1.1 knows no other refusal. With QoS
// 1 it may arrive more than once.
func (c *Client) Publish(ctx context.Context, m Message) error {
	return c.publish(ctx, m, maxTries)
}

func (c *Client) publish(ctx context.Context, m Message, limit int) error {
	o, err := c.enqueue(m, limit)
	if err != nil {
		return err
	}
	select {
	case err := <-o.result:
		return err
	case <-ctx.Done():
		c.mu.Lock()
		why := c.lastErr
		c.remove(o)
		c.mu.Unlock()
		if why != nil {
			return strait.Errorf(strait.Unavailable, "publish", "publish to %s: %w; there is no connection: %v", m.Topic, ctx.Err(), why)
		}
		return strait.Errorf(strait.Unavailable, "publish", "publish to %s: not acknowledged: %w", m.Topic, ctx.Err())
	}
}

// Queue hands m over and returns at once; it is sent when there is a
// connection, in order, and again until it is acknowledged. It fails when the
// queue is full. What waits is in memory only.
func (c *Client) Queue(m Message) error {
	m.Payload = slices.Clone(m.Payload)
	_, err := c.enqueue(m, maxTries)
	return err
}

// Flush waits until nothing waits to be acknowledged.
func (c *Client) Flush(ctx context.Context) error {
	for {
		c.mu.Lock()
		if len(c.queue) == 0 {
			c.mu.Unlock()
			return nil
		}
		if c.drained == nil {
			c.drained = make(chan struct{})
		}
		drained := c.drained
		c.mu.Unlock()
		select {
		case <-drained:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.done:
			return errClosed
		}
	}
}

func (c *Client) enqueue(m Message, limit int) (*outgoing, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	o := &outgoing{Message: m, result: make(chan error, 1), limit: limit}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return nil, errClosed
	}
	if len(c.queue) >= c.cfg.QueueSize {
		return nil, strait.Errorf(strait.Limit, "queue", "%d messages wait already; the message to %s was not taken", len(c.queue), m.Topic)
	}
	c.queue = append(c.queue, o)
	c.poke()
	return o, nil
}

// nextOutgoing takes the first message that may be sent now. While one is
// under suspicion they go one by one, so that the right one is found.
func (c *Client) nextOutgoing() *outgoing {
	c.mu.Lock()
	defer c.mu.Unlock()
	room := window
	for _, o := range c.queue {
		if o.tries > 0 {
			room = 1
			break
		}
	}
	for _, o := range c.queue {
		if o.inFlight {
			if room--; room <= 0 {
				return nil
			}
			continue
		}
		o.inFlight, o.sent = true, time.Now()
		return o
	}
	return nil
}

// slow waits so that a queue drains at Config.DrainRate; the first messages of
// a second go at once.
func (c *Client) slow(l *link) {
	rate := c.cfg.DrainRate
	if rate <= 0 {
		return
	}
	now := time.Now()
	if earliest := now.Add(-time.Second); c.paced.Before(earliest) {
		c.paced = earliest
	}
	c.paced = c.paced.Add(time.Second / time.Duration(rate))
	if pause := c.paced.Sub(now); pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.lost:
		case <-c.ctx.Done():
		}
	}
}

func (c *Client) send(l *link, o *outgoing) {
	c.slow(l)
	if o.QoS == 0 {
		l.unsure = time.Now()
	}
	token, err := c.through(l, func() paho.Token { return l.paho.Publish(o.Topic, o.QoS, o.Retain, o.Payload) })
	if err != nil {
		return // the connection has ended
	}
	go func() {
		if err := c.acknowledged(l, token); err != nil {
			l.fail(err)
			return
		}
		c.finish(o, nil)
	}()
}

func (c *Client) finish(o *outgoing, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(o, err)
	c.poke()
}

// settle and remove are called with mu held.
func (c *Client) settle(o *outgoing, err error) {
	if c.remove(o) {
		o.result <- err
	}
}

func (c *Client) remove(o *outgoing) bool {
	i := slices.Index(c.queue, o)
	if i < 0 {
		return false
	}
	c.queue = slices.Delete(c.queue, i, i+1)
	if len(c.queue) == 0 && c.drained != nil {
		close(c.drained)
		c.drained = nil
	}
	return true
}

// takeBack puts what was under way on l back to the front: the queue is in
// order, so it is enough to say that it is not under way. It tells whether a
// message was given up.
func (c *Client) takeBack(l *link) (gaveUp bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range slices.Clone(c.queue) {
		if !o.inFlight {
			continue
		}
		o.inFlight = false
		if !l.hungUp() || time.Since(o.sent) > suspicion {
			continue
		}
		if o.tries++; o.tries >= o.limit {
			c.cfg.Log.Error("a message was given up: the server hangs up on it", "topic", o.Topic)
			c.settle(o, strait.Errorf(strait.Denied, "publish", "publish to %s: the server closed the connection when it was sent. Refused? %s", o.Topic, c.hint()))
			gaveUp = true
		}
	}
	return gaveUp
}

// giveUp ends whoever still waits when the client is closed.
func (c *Client) giveUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range slices.Clone(c.queue) {
		c.settle(o, errClosed)
	}
	for _, s := range c.subs {
		s.tell(errClosed)
	}
}
