package server

import (
	"context"

	"strait"
	"strait/api"
	"strait/broker"
	"strait/door/mqtt"
)

// connector joins the MQTT door to the corridor.
type connector struct{ m *api.MQTT }

// Connect is mqtt.Connector.
func (k connector) Connect(ctx context.Context, c mqtt.Connect) (mqtt.Conn, bool, error) {
	in := api.ConnectInput{ClientID: c.ClientID, Clean: c.Clean, Addr: c.Peer.Addr, Certificate: c.Peer.Certificate, Secure: c.Peer.TLS != nil}
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
		in.Will = &broker.Message{Topic: w.Topic, Payload: w.Payload, QoS: w.QoS, Retain: w.Retain}
	}
	conn, present, err := k.m.Connect(ctx, in)
	if err != nil {
		return nil, false, err
	}
	return &connection{c: conn}, present, nil
}

// connection is a mqtt.Conn.
type connection struct {
	c   *api.Connection
	buf []broker.Delivery
}

func (c *connection) Publish(ctx context.Context, m mqtt.Message) (func(context.Context) error, error) {
	return c.c.Publish(ctx, m.Topic, m.Payload, m.QoS, m.Retain)
}

func (c *connection) Subscribe(ctx context.Context, subs []mqtt.Subscription) ([]byte, error) {
	in := make([]broker.Subscription, len(subs))
	for i, s := range subs {
		in[i] = broker.Subscription{Filter: s.Filter, QoS: s.QoS}
	}
	return c.c.Subscribe(ctx, in)
}

func (c *connection) Unsubscribe(ctx context.Context, filters []string) error {
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
		buf = append(buf, mqtt.Delivery{Topic: d.Topic, Payload: d.Payload, QoS: d.QoS, PacketID: d.PacketID, Dup: d.Dup, Retain: d.Retain})
	}
	clear(got)
	return buf, err
}

func (c *connection) Ack(ctx context.Context, packetID uint16) error { return c.c.Ack(ctx, packetID) }

func (c *connection) Done() <-chan struct{} { return c.c.Done() }

func (c *connection) Close(_ context.Context, clean bool) { c.c.Close(clean) }
