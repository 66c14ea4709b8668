package device

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	paho "github.com/eclipse/paho.mqtt.golang"

	"strait"
)

const (
	// maxBox is how many messages wait for one handler.
	maxBox = 1000
	// maxUnclaimed is how many messages of a resumed session are kept for
	// handlers that do not exist yet. It is well below what a server sends
	// before it waits for acknowledgements (100 on AWS).
	maxUnclaimed = 50
	subackFailed = 0x80
)

// A subscription is a filter and who handles what comes.
type subscription struct {
	filter  string
	handler func(Message)
	box     chan *delivery
	stop    chan struct{}
	result  chan error // gets what the first SUBSCRIBE came to
	fresh   bool       // not acknowledged so far; guarded by Client.mu
	link    *link      // where it was asked for last; guarded by Client.mu
}

func (s *subscription) tell(err error) {
	select {
	case s.result <- err:
	default:
	}
}

// A delivery is a message that has come; it is acknowledged when every handler
// has returned.
type delivery struct {
	paho.Message
	left atomic.Int32
}

func (d *delivery) finished() {
	if d.left.Add(-1) == 0 {
		d.Ack()
	}
}

// Subscribe asks for the messages of filter with QoS 1 and returns when the
// server has agreed. The handler is called for one message after the other, in
// a goroutine of its own, and may publish; the message is acknowledged when it
// returns. The subscription holds until Unsubscribe or Close, over all
// reconnections. Denied means that the server hung up on it: MQTT 3.1.1's way
// to refuse. Without a connection Subscribe waits until ctx ends.
func (c *Client) Subscribe(ctx context.Context, filter string, handler func(Message)) error {
	if err := checkFilter(filter); err != nil {
		return err
	}
	s := &subscription{filter: filter, handler: handler, box: make(chan *delivery, maxBox), stop: make(chan struct{}), result: make(chan error, 1), fresh: true}
	c.mu.Lock()
	if c.ctx.Err() != nil {
		c.mu.Unlock()
		return errClosed
	}
	for _, other := range c.subs {
		if other.filter == filter {
			c.mu.Unlock()
			return strait.Errorf(strait.Exists, "subscription", "%s is subscribed to already", filter)
		}
	}
	c.subs = append(c.subs, s)
	c.unclaimed = slices.DeleteFunc(c.unclaimed, func(d *delivery) bool {
		if !matches(filter, d.Topic()) {
			return false
		}
		d.left.Store(1)
		s.box <- d // has room: the box is larger than unclaimed ever is
		return true
	})
	c.mu.Unlock()
	go c.handle(s)
	c.poke()
	select {
	case err := <-s.result:
		if err != nil {
			c.drop(s)
		}
		return err
	case <-ctx.Done():
		c.drop(s)
		if _, why := c.Connected(); why != nil {
			return strait.Errorf(strait.Unavailable, "subscription", "subscribe to %s: there is no connection: %v", filter, why)
		}
		return strait.Errorf(strait.Unavailable, "subscription", "subscribe to %s: %w", filter, ctx.Err())
	}
}

// Unsubscribe ends a subscription, here at once, on the server when it has
// acknowledged.
func (c *Client) Unsubscribe(ctx context.Context, filter string) error {
	c.mu.Lock()
	i := slices.IndexFunc(c.subs, func(s *subscription) bool { return s.filter == filter })
	if i < 0 {
		c.mu.Unlock()
		return strait.Errorf(strait.NotFound, "subscription", "%s is not subscribed to", filter)
	}
	s, l := c.subs[i], c.link
	c.mu.Unlock()
	c.drop(s)
	if l == nil {
		return strait.Errorf(strait.Unavailable, "subscription", "unsubscribe from %s: there is no connection to tell the server", filter)
	}
	token, err := c.through(l, func() paho.Token { return l.paho.Unsubscribe(filter) })
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.acknowledged(l, token) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Client) drop(s *subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.subs, s); i >= 0 {
		c.subs = slices.Delete(c.subs, i, i+1)
		close(s.stop)
	}
}

func (c *Client) nextSubscription(l *link) *subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.subs {
		if s.link != l {
			s.link = l
			return s
		}
	}
	return nil
}

// subscribeOn asks for s on l. One is asked for at a time, so that it is clear
// on which the server hung up.
func (c *Client) subscribeOn(l *link, s *subscription) {
	token, err := c.through(l, func() paho.Token { return l.paho.Subscribe(s.filter, 1, nil) })
	if err == nil {
		err = c.acknowledged(l, token)
	}
	if t, ok := token.(*paho.SubscribeToken); ok && t.Result()[s.filter] == subackFailed {
		err = strait.Errorf(strait.Denied, "subscription", "subscribe to %s: the server refused. %s", s.filter, c.hint())
	}
	c.mu.Lock()
	fresh := s.fresh
	if err == nil {
		s.fresh = false
	}
	c.mu.Unlock()
	switch {
	case err == nil:
		s.tell(nil)
	case l.isLost() && l.hungUp() && fresh:
		s.tell(strait.Errorf(strait.Denied, "subscription", "subscribe to %s: the server closed the connection. Refused? %s", s.filter, c.hint()))
		c.drop(s)
	case l.isLost():
		// Asked for again on the next connection.
	default:
		c.cfg.Log.Warn("a subscription was refused", "filter", s.filter, "error", err)
		if fresh {
			s.tell(err)
			c.drop(s)
		}
	}
}

// deliver is called by Paho, in order; it must not block. What has no room is
// not acknowledged: with QoS 1 it comes again on the next connection.
func (c *Client) deliver(l *link, m paho.Message) {
	d := &delivery{Message: m}
	c.poke() // an idle connection is idle from now
	c.mu.Lock()
	defer c.mu.Unlock()
	var to []*subscription
	for _, s := range c.subs {
		if matches(s.filter, m.Topic()) {
			to = append(to, s)
		}
	}
	if len(to) == 0 {
		// A resumed session may deliver before its handlers are there.
		c.unclaimed = append(c.unclaimed, d)
		if len(c.unclaimed) > maxUnclaimed {
			old := c.unclaimed[0]
			c.unclaimed = c.unclaimed[1:]
			c.cfg.Log.Warn("a message that nobody handles was dropped", "topic", old.Topic())
			go old.Ack()
		}
		return
	}
	d.left.Store(int32(len(to)))
	for _, s := range to {
		select {
		case s.box <- d:
		default:
			c.cfg.Log.Warn("a handler is too slow; a message was left out", "filter", s.filter)
		}
	}
}

func (c *Client) handle(s *subscription) {
	for {
		select {
		case <-s.stop:
			return
		case <-c.ctx.Done():
			return
		case d := <-s.box:
			s.handler(Message{Topic: d.Topic(), Payload: d.Payload(), QoS: d.Qos(), Retain: d.Retained()})
			d.finished()
		}
	}
}

func checkFilter(filter string) error {
	bad := filter == "" || len(filter) > maxTopic || strings.ContainsRune(filter, 0)
	levels := strings.Split(filter, "/")
	for i, l := range levels {
		bad = bad || strings.Contains(l, "#") && (l != "#" || i != len(levels)-1) || strings.Contains(l, "+") && l != "+"
	}
	if bad {
		return strait.Errorf(strait.Invalid, "topic filter", "%q is no topic filter: + stands for one whole level, # for all levels at the end, at most %d bytes", filter, maxTopic)
	}
	return nil
}

// matches tells whether a message to topic belongs to filter.
func matches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	if len(f) > 2 && f[0] == "$share" {
		f = f[2:]
	}
	if strings.HasPrefix(topic, "$") && strings.ContainsAny(f[0], "+#") {
		return false
	}
	for i, level := range f {
		if level == "#" {
			return true
		}
		if i >= len(t) || level != "+" && level != t[i] {
			return false
		}
	}
	return len(f) == len(t)
}
