package mqtt

import (
	"context"
	"errors"

	"strait"
	"strait/door/mqtt/packet"
)

// errWriter: the writer has ended, and has told why.
var errWriter = errors.New("the connection takes no more")

// read reads and handles packets until one of them ends the connection. The
// error is never nil.
func (c *client) read(ctx context.Context) error {
	for {
		p, err := c.in.Read()
		if err != nil {
			return err
		}
		// Once the end is decided nothing more is done for this client, even
		// if more of what it sent is at hand.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.conn.Done():
			return c.failed("read", errors.New("ended from the other side"))
		default:
		}
		if err := c.handle(ctx, p); err != nil {
			return err
		}
	}
}

func (c *client) handle(ctx context.Context, p packet.Packet) error {
	switch p := p.(type) {
	case *packet.Publish:
		return c.publish(ctx, p)
	case *packet.Ack:
		if p.Kind != packet.TypePuback {
			break
		}
		err := c.conn.Ack(ctx, p.PacketID)
		if err != nil && strait.KindOf(err) != strait.NotFound {
			return c.failed("acknowledge", err)
		}
		return nil
	case *packet.Subscribe:
		return c.subscribe(ctx, p)
	case *packet.Unsubscribe:
		return c.unsubscribe(ctx, p)
	case *packet.Empty:
		switch p.Kind {
		case packet.TypePingreq:
			return c.send(&packet.Empty{Kind: packet.TypePingresp})
		case packet.TypeDisconnect:
			return errGoodbye
		}
	}
	// A second CONNECT, a step of QoS 2 that was never begun, or what only
	// servers send.
	return protocolError("packet type %d is not expected here", p.Type())
}

func (c *client) publish(ctx context.Context, p *packet.Publish) error {
	// 1. What the wire allows.
	if len(p.Payload) > c.limits.Payload {
		return protocolError("a payload of %d bytes on %q; at most %d are allowed", len(p.Payload), p.Topic, c.limits.Payload)
	}
	if p.QoS == 2 {
		// AWS: no PUBACK. That the message goes nowhere and that the
		// connection stays open is unverified.
		c.tellQoS2("publish to " + p.Topic)
		return nil
	}
	m := Message{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain}
	if p.QoS == 0 {
		_, err := c.conn.Publish(ctx, m)
		return c.published(err, p.Topic)
	}

	// 2. QoS 1: a place in the window first, so that no more than a window is
	// ever accepted and not safe.
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	id := p.PacketID
	wait, err := c.conn.Publish(ctx, m)
	if err != nil {
		<-c.slots
		return c.published(err, p.Topic)
	}

	// 3. The PUBACK: at once if it is its turn, else behind the others.
	if wait == nil && c.waiting.Load() == 0 {
		<-c.slots
		if !c.out.puback(id) {
			return errWriter
		}
		return nil
	}
	if c.queue == nil {
		c.queue = make(chan unacked, c.limits.Inflight)
		c.workers.Go(func() { c.acknowledge(ctx) })
	}
	c.waiting.Add(1)
	c.queue <- unacked{id, wait} // never blocks: it has as many places as slots
	return nil
}

// published says what an error of Publish means for the connection.
func (c *client) published(err error, topic string) error {
	if err == nil {
		return nil
	}
	if strait.KindOf(err) == strait.Limit {
		// AWS drops what exceeds a rate, without PUBACK.
		c.log.Debug("mqtt: dropped a publish", "topic", topic, "err", err)
		return nil
	}
	return c.failed("publish to "+topic, err)
}

// acknowledge sends the PUBACKs of messages that are not safe yet, in order.
func (c *client) acknowledge(ctx context.Context) {
	for {
		var m unacked
		select {
		case m = <-c.queue:
		case <-ctx.Done():
			return
		}
		if m.wait != nil {
			if err := m.wait(ctx); err != nil {
				// The client will send it again on its next connection.
				err = c.failed("make a message safe", err)
				c.end(c.reason(err), err)
				return
			}
		}
		if !c.out.puback(m.packetID) {
			return
		}
		c.waiting.Add(-1)
		<-c.slots
	}
}

func (c *client) subscribe(ctx context.Context, p *packet.Subscribe) error {
	if len(p.Subscriptions) > c.limits.Filters {
		return protocolError("%d filters in a SUBSCRIBE; at most %d are allowed", len(p.Subscriptions), c.limits.Filters)
	}
	subs := make([]Subscription, len(p.Subscriptions))
	for i, s := range p.Subscriptions {
		if s.QoS == 2 {
			// AWS: no SUBACK. That nothing of the packet takes effect and
			// that the connection stays open is unverified.
			c.tellQoS2("subscribe to " + s.Filter)
			return nil
		}
		subs[i] = Subscription{Filter: s.Filter, QoS: s.QoS}
	}
	codes, err := c.conn.Subscribe(ctx, subs)
	if err != nil {
		return c.failed("subscribe", err)
	}
	if len(codes) != len(subs) {
		return c.failed("subscribe", errors.New("not as many return codes as filters"))
	}
	return c.send(&packet.Suback{PacketID: p.PacketID, Codes: codes})
}

func (c *client) unsubscribe(ctx context.Context, p *packet.Unsubscribe) error {
	if len(p.Filters) > c.limits.Filters {
		return protocolError("%d filters in an UNSUBSCRIBE; at most %d are allowed", len(p.Filters), c.limits.Filters)
	}
	if err := c.conn.Unsubscribe(ctx, p.Filters); err != nil {
		return c.failed("unsubscribe", err)
	}
	return c.send(&packet.Ack{Kind: packet.TypeUnsuback, PacketID: p.PacketID})
}

// tellQoS2 logs the first time that a client is met with silence.
func (c *client) tellQoS2(what string) {
	if !c.told {
		c.told = true
		c.log.Info("mqtt: ignored QoS 2, which is not offered", "what", what)
	}
}

func (c *client) send(p packet.Packet) error {
	if !c.out.send(p) {
		return errWriter
	}
	return nil
}
