package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"time"

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
		c.handled++
		return c.publish(ctx, p)
	case *packet.Ack:
		if p.Kind != packet.TypePuback {
			break
		}
		c.acked = true
		err := c.conn.Ack(ctx, p.PacketID)
		if err != nil && strait.KindOf(err) != strait.NotFound {
			return c.failed("acknowledge", err)
		}
		return nil
	case *packet.Subscribe:
		return c.subscribe(ctx, p)
	case *packet.Unsubscribe:
		return c.unsubscribe(ctx, p)
	case *packet.Leave:
		if p.Kind == packet.TypeDisconnect {
			return c.goodbye(p)
		}
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

// withWill is the reason of a DISCONNECT that asks for the will.
const withWill = 0x04

// goodbye is the DISCONNECT of MQTT 5.
func (c *client) goodbye(p *packet.Leave) error {
	if p.Props.Has(packet.SessionExpiry) {
		if !c.kept && p.Props.SessionExpiry > 0 {
			return coded(codeProtocol, "a session that was to end with its connection is to be kept now")
		}
		if e, ok := c.conn.(Expirer); ok {
			e.SetExpiry(min(time.Duration(p.Props.SessionExpiry)*time.Second, c.limits.SessionExpiry))
		}
	}
	if p.Reason != 0 && p.Reason != withWill && p.Reason < 0x80 {
		return coded(codeProtocol, "the reason %#02x in a DISCONNECT", p.Reason)
	}
	if p.Reason != 0 {
		// Any reason but 0 has the will published (MQTT 5, 3.14.4). AWS says
		// that no DISCONNECT has; which holds for these is unverified.
		return errLastWill
	}
	return errGoodbye
}

func (c *client) publish(ctx context.Context, p *packet.Publish) error {
	// 1. What the wire allows.
	m := Message{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain}
	if c.v5 {
		var err error
		switch m.Topic, err = c.topics.resolve(p, c.limits.Aliases); {
		case err != nil:
			return err
		case p.Props.Has(packet.SubscriptionID):
			return coded(codeProtocol, "a subscription identifier in a PUBLISH")
		case p.QoS == 2:
			return coded(codeQoS, "QoS 2, which is not offered")
		}
	}
	if len(p.Payload) > c.limits.Payload {
		return coded(codeTooLarge, "a payload of %d bytes on %q; at most %d are allowed", len(p.Payload), m.Topic, c.limits.Payload)
	}
	if p.QoS == 2 {
		// AWS: no PUBACK. That the message goes nowhere and that the
		// connection stays open is unverified.
		c.tellQoS2("publish to " + p.Topic)
		return nil
	}
	if c.bytes != nil {
		c.drained(true)
		c.bytes.wait(ctx, len(m.Topic)+len(m.Payload))
	}
	if p.QoS == 0 {
		_, err := c.hand(ctx, m, p.Props)
		return c.published(err, &m)
	}

	// 2. QoS 1: a place in the window first, so that no more than a window is
	// ever accepted and not safe.
	select {
	case c.slots <- struct{}{}:
	default:
		if c.v5 {
			return coded(codeReceiveMaximum, "more than %d messages at once", c.limits.Inflight)
		}
		c.drained(true)
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	id := p.PacketID
	wait, err := c.hand(ctx, m, p.Props)
	refused := err
	if err != nil {
		if err := c.published(err, &m); err != nil || !c.v5 {
			<-c.slots
			return err
		}
	}

	// 3. The PUBACK: at once if it is its turn, else behind the others.
	if wait == nil && c.waiting.Load() == 0 {
		<-c.slots
		return c.puback(id, refused)
	}
	if c.queue == nil {
		c.queue = make(chan unacked, c.limits.Inflight)
		c.workers.Go(func() { c.acknowledge(ctx) })
	}
	c.waiting.Add(1)
	c.queue <- unacked{id, wait, refused} // never blocks: it has as many places as slots
	return nil
}

// hand gives a message to the Conn, if the quotas and limits admit it.
func (c *client) hand(ctx context.Context, m Message, ps *packet.Properties) (wait func(context.Context) error, err error) {
	if !c.publishes.take(1) {
		return nil, strait.Errorf(strait.Limit, "rate", "more than %d messages a second", c.limits.Publishes)
	}
	if m.Properties, err = c.limits.properties(ps); err != nil {
		return nil, err
	}
	return c.conn.Publish(ctx, m, &c.later)
}

// published says what an error of hand means for the connection: nil when it
// lives on, and the message is dropped.
func (c *client) published(err error, m *Message) error {
	if err == nil {
		return nil
	}
	// AWS drops what exceeds a rate, without PUBACK in 3.1.1. In MQTT 5 it
	// tells most refusals in the PUBACK; what it does with QoS 0, where there
	// is none, is unverified: dropped if it is forbidden, and the end of the
	// connection if the topic is wrong, for which DISCONNECT has a code.
	kind, own := strait.KindOf(err), errors.As(err, new(*codeError))
	drop := kind == strait.Limit
	if c.v5 {
		drop = drop || own || kind == strait.Denied || m.QoS > 0 && (kind == strait.Invalid || kind == strait.TooLarge)
		select {
		case <-c.conn.Done(): // it was refused because it has ended
			drop = false
		default:
		}
	}
	switch {
	case drop:
		c.tell(slog.LevelDebug, "mqtt: dropped a publish", "topic", m.Topic, "err", err)
		return nil
	case c.v5 && kind == strait.Invalid:
		return coded(codeTopic, "%s", plainly(err))
	}
	return c.failed("publish to "+m.Topic, err)
}

// puback answers a message of QoS 1; refused is what there is to say in MQTT 5.
func (c *client) puback(id uint16, refused error) error {
	if refused == nil {
		if !c.out.puback(id) {
			return errWriter
		}
		return nil
	}
	p := &packet.Ack{Kind: packet.TypePuback, PacketID: id, V5: true, Reason: refusalCode(refused, codeTopic)}
	if c.reasons {
		p.Props = withReason(plainly(refused))
	}
	return c.send(p)
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
		// The place first: the client may fill it as soon as it has the PUBACK.
		<-c.slots
		if c.puback(m.packetID, m.refused) != nil {
			return
		}
		// What waits next may take its time, so this one goes out now.
		c.rouse(c.waiting.Add(-1) == 0)
	}
}

func (c *client) subscribe(ctx context.Context, p *packet.Subscribe) error {
	if len(p.Subscriptions) > c.limits.Filters {
		return coded(codeQuota, "%d filters in a SUBSCRIBE; at most %d are allowed", len(p.Subscriptions), c.limits.Filters)
	}
	if p.Props.Has(packet.SubscriptionID) {
		return coded(codeIdentifiers, "a subscription identifier, which is not offered")
	}
	if err := c.limits.users(p.Props); err != nil {
		return err
	}
	subs := make([]Subscription, len(p.Subscriptions))
	for i, s := range p.Subscriptions {
		if s.QoS == 2 && c.v5 {
			return coded(codeQoS, "QoS 2, which is not offered")
		}
		if s.QoS == 2 {
			// AWS: no SUBACK. That nothing of the packet takes effect and
			// that the connection stays open is unverified.
			c.tellQoS2("subscribe to " + s.Filter)
			return nil
		}
		subs[i] = Subscription{Filter: s.Filter, QoS: s.QoS, NoLocal: s.NoLocal, RetainAsPublished: s.RetainAsPublished, Retained: s.RetainHandling}
	}
	id := p.PacketID
	c.drained(true)
	refused, err := c.conn.Subscribe(ctx, subs, &c.later)
	if err != nil {
		return c.failed("subscribe", err)
	}
	granted := make([]byte, len(subs))
	for i := range subs {
		granted[i] = subs[i].QoS
	}
	codes, props, err := c.codes("subscribe", granted, refused)
	if err != nil {
		return err
	}
	return c.send(&packet.Suback{PacketID: id, V5: c.v5, Codes: codes, Props: props})
}

// codes puts codes for what was refused among those that were granted, and the
// first reason beside them. In MQTT 3.1.1 only a quota has a code; anything
// else is an error.
func (c *client) codes(op string, granted []byte, refused []error) ([]byte, *packet.Properties, error) {
	if refused == nil {
		return granted, nil, nil
	}
	if len(refused) != len(granted) {
		return nil, nil, c.failed(op, errors.New("not as many answers as filters"))
	}
	var props *packet.Properties
	for i, err := range refused {
		switch {
		case err == nil:
		case c.v5:
			granted[i] = refusalCode(err, codeFilter)
			if c.reasons && props == nil {
				props = withReason(plainly(err))
			}
		case strait.KindOf(err) == strait.Limit:
			granted[i] = codeUnspecified
		default:
			return nil, nil, c.failed(op, err)
		}
	}
	return granted, props, nil
}

func (c *client) unsubscribe(ctx context.Context, p *packet.Unsubscribe) error {
	if len(p.Filters) > c.limits.Filters {
		return coded(codeQuota, "%d filters in an UNSUBSCRIBE; at most %d are allowed", len(p.Filters), c.limits.Filters)
	}
	if err := c.limits.users(p.Props); err != nil {
		return err
	}
	c.drained(true)
	refused, err := c.conn.Unsubscribe(ctx, p.Filters)
	if err != nil {
		return c.failed("unsubscribe", err)
	}
	codes, props, err := c.codes("unsubscribe", make([]byte, len(p.Filters)), refused)
	if err != nil {
		return err
	}
	ack := &packet.Ack{Kind: packet.TypeUnsuback, PacketID: p.PacketID}
	if c.v5 {
		ack.V5, ack.Codes, ack.Props = true, codes, props
	}
	return c.send(ack)
}

// tellQoS2 logs the first time that a client is met with silence.
func (c *client) tellQoS2(what string) {
	if !c.told {
		c.told = true
		c.tell(slog.LevelInfo, "mqtt: ignored QoS 2, which is not offered", "what", what)
	}
}

func (c *client) send(p packet.Packet) error {
	if !c.out.send(p) {
		return errWriter
	}
	return nil
}
