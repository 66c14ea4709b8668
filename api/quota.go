package api

import (
	"sync"
	"time"

	"strait"
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
