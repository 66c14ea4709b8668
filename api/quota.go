package api

import (
	"context"
	"sync"
	"time"

	"strait"
	"strait/shadow"
)

// AWS's rates, which hold when MQTT.Quotas says so.

// A tally holds who did what when, to see whether it may be done again.
type tally struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// maxTally bounds what a tally remembers; it forgets all when it is full, so
// that whoever fills it gains a second at most.
const maxTally = 100_000

// again tells whether key may be used now, which it may once in every.
func (t *tally) again(key string, now time.Time, every time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.last[key]; ok && now.Sub(last) < every && now.Sub(last) >= 0 {
		return false
	}
	if t.last == nil || len(t.last) >= maxTally {
		t.last = map[string]time.Time{}
	}
	t.last[key] = now
	return true
}

// once refuses an operation on a client that comes more than once a second.
func (m *MQTT) once(operation, clientID string) error {
	if !m.Quotas || m.managed.again(operation+" "+clientID, m.Now(), time.Second) {
		return nil
	}
	return strait.Errorf(strait.Limit, "rate", "%s of the client %s comes more than once a second", operation, clientID)
}

// AWS IoT Core's rates of an account, in its large regions [GR].
const (
	accountConnects   = 3000   // CONNECT requests a second
	accountSubscribes = 3000   // SUBSCRIBE requests a second
	accountInbound    = 20_000 // messages published a second
	accountOutbound   = 20_000 // messages delivered a second
	accountRetained   = 500    // retained messages published a second

	shadowRequests = 20 // of one shadow a second
)

// quotas are an account's.
type quotas struct {
	connects, subscribes, inbound, outbound, retained bucket

	topics  tally // retained messages: one a second for each topic
	shadows crowd // requests, by shadow
}

// A crowd has a bucket for each key. Like a tally it forgets all when it is full.
type crowd struct {
	mu sync.Mutex
	of map[shadow.Name]*bucket
}

func (c *crowd) take(key shadow.Name, second float64, now time.Time) bool {
	c.mu.Lock()
	b := c.of[key]
	if b == nil {
		if c.of == nil || len(c.of) >= maxTally {
			c.of = map[shadow.Name]*bucket{}
		}
		b = &bucket{}
		c.of[key] = b
	}
	c.mu.Unlock()
	return b.take(second, now)
}

// mayAsk refuses a request that exceeds the rate of its shadow.
func (m *MQTT) mayAsk(n shadow.Name) error {
	if !m.Quotas || m.quotas.shadows.take(n, shadowRequests, m.Now()) {
		return nil
	}
	return strait.Errorf(strait.Limit, "rate", "the shadow gets more than %d requests a second", shadowRequests)
}

// A bucket holds what may be done at once, and fills as time goes by. A zero
// one is full.
type bucket struct {
	mu     sync.Mutex
	used   float64
	filled time.Time
}

// fill gives back what time has brought; mu is held.
func (b *bucket) fill(second float64, now time.Time) {
	if d := now.Sub(b.filled).Seconds(); d > 0 {
		b.used = max(0, b.used-d*second)
		b.filled = now
	}
}

// take uses one of so many a second, if there is one.
func (b *bucket) take(second float64, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(second, now)
	if b.used+1 > second {
		return false
	}
	b.used++
	return true
}

// owe uses n of so many a second, also such as are not there yet, and returns
// how long it takes until they are.
func (b *bucket) owe(n int, second float64, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(second, now)
	b.used += float64(n)
	return time.Duration(max(0, b.used-second) / second * float64(time.Second))
}

// within refuses what exceeds a rate of the account.
func (m *MQTT) within(b *bucket, second float64, what string) error {
	if !m.Quotas || b.take(second, m.Now()) {
		return nil
	}
	return strait.Errorf(strait.Limit, "rate", "the account has more than %.0f %s a second", second, what)
}

// mayTake refuses a message that exceeds the account's rates.
func (m *MQTT) mayTake(topic string, retain bool) error {
	if !m.Quotas {
		return nil
	}
	if retain {
		if err := m.within(&m.quotas.retained, accountRetained, "retained messages"); err != nil {
			return err
		}
		if !m.quotas.topics.again(topic, m.Now(), time.Second) {
			return strait.Errorf(strait.Limit, "rate", "there is more than one retained message a second for the topic %s", topic)
		}
	}
	return m.within(&m.quotas.inbound, accountInbound, "messages published")
}

// slow waits until the account may deliver n messages.
func (m *MQTT) slow(ctx context.Context, n int) {
	if !m.Quotas || n == 0 {
		return
	}
	d := m.quotas.outbound.owe(n, accountOutbound, m.Now())
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
