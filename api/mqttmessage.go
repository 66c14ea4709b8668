package api

import (
	"context"
	"time"

	"strait"
	"strait/broker"
)

// maxNoted bounds what a client can make a connection remember.
const maxNoted = 64

// checkTopic refuses what nobody may publish to: wrong topics, and topics of
// the house other than those that it takes (iot-mqtt.md, section 8).
func checkTopic(topic string) error {
	if err := broker.ValidTopic(topic); err != nil {
		return err
	}
	if len(topic) > 0 && topic[0] == '$' && !hasPrefix(topic, "$aws/rules/") {
		if _, ok := shadowTopic(topic); ok {
			return nil
		}
		return strait.Errorf(strait.Denied, "reserved topic", "the topic %s is reserved", topic)
	}
	return nil
}

// mayRetain is checkTopic for a message that may be retained, which no message
// to a topic of the house may.
func mayRetain(topic string, retain bool) error {
	if err := checkTopic(topic); err != nil {
		return err
	}
	if retain && topic[0] == '$' {
		return strait.Errorf(strait.Denied, "reserved topic", "the topic %s is reserved: it keeps no retained message", topic)
	}
	return nil
}

// checkFilter refuses what nobody may subscribe to: wrong filters, and topics
// that begin with $ and are not AWS's, such as brokers' $SYS.
func checkFilter(filter string) error {
	if err := broker.ValidFilter(filter); err != nil {
		return err
	}
	if filter[0] == '$' && !hasPrefix(filter, "$aws/") && !hasPrefix(filter, "$share/") {
		return strait.Errorf(strait.Denied, "reserved topic", "the topic filter %s is reserved", filter)
	}
	return nil
}

func hasPrefix(s, prefix string) bool { return len(s) >= len(prefix) && s[:len(prefix)] == prefix }

// Publish takes a message from the client, which the broker owns from then on.
// When wait is not nil the message is safe once it has returned nil. Those who
// get it are woken by the caller, who finds them in later, unless that is nil.
func (c *Connection) Publish(ctx context.Context, m *broker.Message, later *broker.Wakes) (wait func(context.Context) error, err error) {
	deed := publishing(m) // the broker owns m afterwards
	wait, err = c.publish(ctx, m, later)
	c.meter.count(deed, err)
	return c.timed(wait), err
}

func (c *Connection) publish(ctx context.Context, m *broker.Message, later *broker.Wakes) (wait func(context.Context) error, err error) {
	topic := m.Topic
	// Whoever was expelled or taken over publishes no more.
	if err := c.session.Cause(); err != nil {
		return nil, err
	}
	request, provisions := provisionTopic(topic)
	provisions = provisions && c.m.Provisioner != nil
	if err := mayRetain(topic, m.Retain); err != nil && (!provisions || m.Retain) {
		c.m.Authorizer.Recorder.Event(c.trace, c.session.ClientID(), "Publish", plainly(err), true)
		return nil, err
	}
	// A message that rules take begins a story of its own.
	trace, traced := c.trace, false
	if c.m.Rules.Takes(topic) {
		trace, traced = NewTrace(), true
	} else {
		traced = c.first(topic)
	}
	if err := c.mayPublish(topic, trace, traced); err != nil {
		return nil, err
	}
	if m.Retain {
		if err := c.m.check(c.guard, rowRetainPublish, topic, trace, traced, nil); err != nil {
			return nil, err
		}
	}
	if err := c.m.mayTake(topic, m.Retain); err != nil {
		return nil, err
	}
	if provisions {
		c.provisioning(request, m.Payload, trace)
		return nil, nil
	}
	m.Publisher = c.session.ClientID()
	if trace != c.trace {
		m.Trace = trace
	} else if traced {
		c.m.Authorizer.Recorder.Event(trace, m.Publisher, "Publish", "no rule matches the topic "+topic, false)
	}
	return c.m.publish(ctx, m, &c.shadows, later)
}

// first tells whether this is the first message to topic on this connection
// that no rule takes; only that is recorded. It is called by one goroutine.
func (c *Connection) first(topic string) bool {
	if c.noted[topic] || len(c.noted) >= maxNoted {
		return false
	}
	if c.noted == nil {
		c.noted = map[string]bool{}
	}
	c.noted[topic] = true
	return true
}

// PrincipalOf returns the id of the principal behind a connected client.
func (m *MQTT) PrincipalOf(clientID string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.live[clientID]; c != nil {
		return c.guard.Caller().ID
	}
	return ""
}

// Subscribe grants what may be granted. refused is nil when that is all, else
// it has one error for each filter that was not. In MQTT 3.1.1, where AWS closes
// the connection, a filter that is forbidden or wrong makes that none is granted.
// later is to be called when the client has its answer, see [broker.Session.Subscribe].
func (c *Connection) Subscribe(ctx context.Context, subs []broker.Subscription, later *broker.Wakes) (refused []error, err error) {
	refused, err = c.subscribe(ctx, subs, later)
	for i := range subs {
		of := err
		if refused != nil {
			of = refused[i]
		}
		c.meter.count(didSubscribe, of)
	}
	return refused, err
}

func (c *Connection) subscribe(ctx context.Context, subs []broker.Subscription, later *broker.Wakes) (refused []error, err error) {
	if err := c.m.within(&c.m.quotas.subscribes, accountSubscribes, "subscribes"); err != nil {
		refused = make([]error, len(subs))
		for i := range refused {
			refused[i] = err
		}
		return refused, nil
	}
	refused = make([]error, len(subs))
	// 1. What may be asked for.
	granted, at := make([]broker.Subscription, 0, len(subs)), make([]int, 0, len(subs))
	for i, s := range subs {
		err := checkFilter(s.Filter)
		if err == nil {
			err = c.m.check(c.guard, rowSubscribe, s.Filter, c.trace, true, nil)
		}
		if err != nil && !c.v5 {
			refused[i] = err
			return refused, nil
		}
		if err != nil {
			refused[i] = err
			continue
		}
		granted, at = append(granted, s), append(at, i)
	}
	// 2. What there is room for.
	full, err := c.session.Subscribe(ctx, granted, later)
	if err != nil {
		return nil, err
	}
	for j, err := range full {
		if refused[at[j]] = err; err != nil {
			c.m.Authorizer.Recorder.Event(c.trace, c.session.ClientID(), "Subscribe", plainly(err), false)
		}
	}
	// 3. Who wants to know.
	var filters []string
	for i, s := range subs {
		if refused[i] == nil {
			filters = append(filters, s.Filter)
		}
	}
	c.tellSubscribed("subscribed", filters)
	if len(filters) == len(subs) {
		return nil, nil
	}
	return refused, nil
}

// Unsubscribe ends subscriptions; refused has an error for each filter that is
// none, and is nil without such.
func (c *Connection) Unsubscribe(ctx context.Context, filters []string) (refused []error, err error) {
	ended := make([]string, 0, len(filters))
	for i, f := range filters {
		if err := broker.ValidFilter(f); err != nil {
			if refused == nil {
				refused = make([]error, len(filters))
			}
			refused[i] = err
			continue
		}
		ended = append(ended, f)
	}
	c.meter[didUnsubscribe][wentWell].Add(uint64(len(ended)))
	if err := c.session.Unsubscribe(ctx, ended); err != nil {
		return nil, err
	}
	c.tellSubscribed("unsubscribed", ended)
	return refused, nil
}

// SetExpiry changes how long a session of MQTT 5 outlives its connection.
func (c *Connection) SetExpiry(d time.Duration) { c.session.SetExpiry(d) }

// Next returns what there is of messages that the client may receive, without
// waiting. It is asked for each one now, as it goes on the wire, and not when it was
// queued: a session that was wide and is resumed narrow gets only what the
// narrow one may.
func (c *Connection) Next(ctx context.Context, buf []broker.Delivery) ([]broker.Delivery, error) {
	ds, err := c.session.Take(ctx, buf, c.admit)
	c.carried(ds)
	c.m.slow(ctx, len(ds))
	return ds, err
}

func (c *Connection) admit(m *broker.Message) bool {
	trace := m.Trace
	if trace == "" {
		trace = c.trace
	}
	err := c.mayReceive(m.Topic, trace, m.Trace != "")
	if err != nil {
		c.meter.count(didDeliver0+int(m.QoS&1), err)
	}
	return err == nil
}

// Ack says that the client has a delivery.
func (c *Connection) Ack(ctx context.Context, packetID uint16) error {
	return c.session.Ack(ctx, packetID)
}
