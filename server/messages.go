package server

import (
	"context"
	"time"

	"strait"
	"strait/api"
	"strait/broker"
	"strait/door/mqtt"
)

// connector joins the MQTT door to the corridor.
type connector struct{ m *api.MQTT }

// Connect is mqtt.Connector.
func (k connector) Connect(ctx context.Context, c mqtt.Connect) (mqtt.Conn, bool, error) {
	in := api.ConnectInput{ClientID: c.ClientID, Clean: c.Clean, V5: c.V5, Expiry: c.Expiry, Receive: c.Receive, Addr: c.Peer.Addr, Wake: c.Wake, Local: c.Peer.Local, KeepAlive: c.KeepAlive, Certificate: c.Peer.Certificate, Secure: c.Peer.TLS != nil}
	if c.Peer.TLS != nil {
		in.Domain = c.Peer.TLS.ServerName
	}
	if c.Peer.WebSocket != nil {
		caller, ok := c.Peer.Identity.(api.Caller)
		if !ok {
			return nil, false, strait.Errorf(strait.Unauthenticated, "credentials", "the connection has no proven caller")
		}
		in.Caller, in.Certificate = &caller, nil
	}
	if w := c.Will; w != nil {
		in.Will = message((*mqtt.Message)(w))
	}
	conn, present, err := k.m.Connect(ctx, in)
	if err != nil {
		return nil, false, err
	}
	return &connection{c: conn, now: k.m.Now}, present, nil
}

func message(m *mqtt.Message) *broker.Message {
	return &broker.Message{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Properties: (*broker.Properties)(m.Properties)}
}

// connection is a mqtt.Conn.
type connection struct {
	c   *api.Connection
	now func() time.Time
	buf []broker.Delivery
}

func (c *connection) Publish(ctx context.Context, m mqtt.Message, later *mqtt.Wakes) (func(context.Context) error, error) {
	return c.c.Publish(ctx, message(&m), (*broker.Wakes)(later))
}

func (c *connection) Subscribe(ctx context.Context, subs []mqtt.Subscription, later *mqtt.Wakes) ([]error, error) {
	in := make([]broker.Subscription, len(subs))
	for i, s := range subs {
		in[i] = broker.Subscription{Filter: s.Filter, QoS: s.QoS, NoLocal: s.NoLocal, RetainAsPublished: s.RetainAsPublished, Retained: broker.Replay(s.Retained)}
	}
	return c.c.Subscribe(ctx, in, (*broker.Wakes)(later))
}

func (c *connection) Unsubscribe(ctx context.Context, filters []string) ([]error, error) {
	return c.c.Unsubscribe(ctx, filters)
}

// Next is called by one goroutine only, which is why one buffer is enough.
func (c *connection) Next(ctx context.Context, buf []mqtt.Delivery) ([]mqtt.Delivery, error) {
	if cap(c.buf) < cap(buf) {
		c.buf = make([]broker.Delivery, 0, cap(buf))
	}
	got, err := c.c.Next(ctx, c.buf[:0:cap(buf)])
	buf = buf[:0]
	for _, d := range got {
		out := mqtt.Delivery{Topic: d.Topic, Payload: d.Payload, QoS: d.QoS, PacketID: d.PacketID, Dup: d.Dup, Retain: d.Retain}
		if d.Properties != nil {
			out.Properties = (*mqtt.Properties)(d.Properties)
			out.Left, _ = d.Remaining(c.now())
		}
		buf = append(buf, out)
	}
	clear(got)
	return buf, err
}

func (c *connection) Ack(ctx context.Context, packetID uint16) error { return c.c.Ack(ctx, packetID) }

func (c *connection) Done() <-chan struct{} { return c.c.Done() }

func (c *connection) SetExpiry(d time.Duration) { c.c.SetExpiry(d) }

// Cause is mqtt.Causer.
func (c *connection) Cause() (mqtt.Reason, string) {
	reason, why := c.c.Cause()
	return mqtt.Reason(reason), why
}

func (c *connection) Close(ctx context.Context, clean bool) {
	why := mqtt.Ended
	if clean {
		why = mqtt.Disconnected
	}
	c.End(ctx, why)
}

// End is mqtt.Ender.
func (c *connection) End(_ context.Context, why mqtt.Reason) {
	if why == mqtt.DisconnectedWithWill {
		c.c.End(string(mqtt.Disconnected), false)
		return
	}
	c.c.End(string(why), why.Clean())
}
