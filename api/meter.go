package api

import (
	"context"
	"sync/atomic"
	"time"

	"strait"
	"strait/broker"
	"strait/metric"
)

// Meters are what connections are measured with.
type Meters struct {
	Ended     *metric.Counter   // connections, by the reason of their end
	Safe      *metric.Histogram // from a PUBLISH of QoS 1 until it may be acknowledged, of some
	Delivered *metric.Histogram // from accepting a message until it goes on the wire, of some
}

// What connections are counted for, and how it ended.
const (
	didConnect = iota
	didPublish0
	didPublish1
	didDeliver0
	didDeliver1
	didSubscribe
	didUnsubscribe
	deeds
)

const (
	wentWell = iota
	wasDenied
	wasInvalid
	wasLimited
	hasFailed
	outcomes
)

var (
	deedNames    = [deeds][2]string{{"connect", ""}, {"publish", "0"}, {"publish", "1"}, {"deliver", "0"}, {"deliver", "1"}, {"subscribe", ""}, {"unsubscribe", ""}}
	outcomeNames = [outcomes]string{"ok", "denied", "invalid", "limited", "failed"}
)

// A meter counts. Each connection has its own, so that counting costs those
// who publish at the same time nothing.
type meter [deeds][outcomes]atomic.Uint64

func (t *meter) count(deed int, err error) { t[deed][outcomeOf(err)].Add(1) }

func outcomeOf(err error) int {
	if err == nil {
		return wentWell
	}
	switch strait.KindOf(err) {
	case strait.Denied, strait.Unauthenticated:
		return wasDenied
	case strait.Invalid, strait.TooLarge, strait.Unsupported:
		return wasInvalid
	case strait.Limit:
		return wasLimited
	}
	return hasFailed
}

func publishing(m *broker.Message) int { return didPublish0 + int(m.QoS&1) }

// meet makes the meter of a new connection one that Counts sees; leave adds
// what it counted to those that have left.
func (m *MQTT) meet(c *Connection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.met == nil {
		m.met = map[*Connection]bool{}
	}
	m.met[c] = true
}

func (m *MQTT) leave(c *Connection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.met[c] {
		return
	}
	delete(m.met, c)
	for deed := range deeds {
		for outcome := range outcomes {
			if n := c.meter[deed][outcome].Load(); n > 0 {
				m.meter[deed][outcome].Add(n)
			}
		}
	}
}

// Counts tells how often clients did what since the start, with which QoS where
// that matters, and how it went: "ok", "denied", "invalid", "limited" or
// "failed". For "connect", "subscribe" (a filter) and so on the QoS is "".
func (m *MQTT) Counts(tell func(n uint64, deed, qos, outcome string)) {
	var sum [deeds][outcomes]uint64
	add := func(t *meter) {
		for deed := range deeds {
			for outcome := range outcomes {
				sum[deed][outcome] += t[deed][outcome].Load()
			}
		}
	}
	m.mu.Lock()
	add(&m.meter)
	for c := range m.met {
		add(&c.meter)
	}
	m.mu.Unlock()
	for deed, row := range sum {
		for outcome, n := range row {
			tell(n, deedNames[deed][0], deedNames[deed][1], outcomeNames[outcome])
		}
	}
}

// sampleEvery is how many messages, or batches of them, one is timed of.
const sampleEvery = 16

// timed makes wait be timed, for some messages; it is called by one goroutine.
func (c *Connection) timed(wait func(context.Context) error) func(context.Context) error {
	if c.m.Meters == nil || wait == nil {
		return wait
	}
	if c.published++; c.published%sampleEvery != 1 {
		return wait
	}
	begin := time.Now()
	return func(ctx context.Context) error {
		err := wait(ctx)
		if err == nil {
			c.m.Meters.Safe.Observe(time.Since(begin))
		}
		return err
	}
}

// carried counts what goes on the wire, and times some of it; it is called by
// one goroutine.
func (c *Connection) carried(ds []broker.Delivery) {
	var n [2]uint64
	for i := range ds {
		n[ds[i].QoS&1]++
	}
	for qos, n := range n {
		if n > 0 {
			c.meter[didDeliver0+qos][wentWell].Add(n)
		}
	}
	if c.m.Meters == nil || len(ds) == 0 {
		return
	}
	if c.fetched++; c.fetched%sampleEvery != 1 {
		return
	}
	// What waited for the client itself says nothing about the server.
	if d := &ds[len(ds)-1]; !d.Dup && !d.Retain && d.Time.After(c.passport.since) {
		c.m.Meters.Delivered.Observe(c.m.Now().Sub(d.Time))
	}
}
