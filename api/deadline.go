package api

import "time"

// look is how often deadlines are looked at: the clock may be moved, so that no
// timer alone can tell.
const look = 5 * time.Second

// watch sees to it that c ends when its credentials do. One goroutine looks
// after all connections, as long as there are any.
func (m *MQTT) watch(c *Connection) {
	m.mu.Lock()
	start := !m.watching
	m.watching = true
	m.mu.Unlock()
	if start {
		go m.watchAll()
	}
	c.due()
}

func (m *MQTT) watchAll() {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for range tick.C {
		now := m.Now()
		m.mu.Lock()
		if len(m.live) == 0 {
			m.watching = false
			m.mu.Unlock()
			return
		}
		var late []*Connection
		for _, c := range m.live {
			if c.guard.Deadline().Sub(now) < look {
				late = append(late, c)
			}
		}
		m.mu.Unlock()
		for _, c := range late {
			c.due()
		}
	}
}

// due ends the connection if its credentials have expired, and comes back when
// they do if that is before the next look.
func (c *Connection) due() {
	left := c.guard.Deadline().Sub(c.m.Now())
	switch {
	case c.session.Cause() != nil || left >= look:
	case left > 0:
		time.AfterFunc(left, c.due)
	default:
		why := authError
		if c.guard.Caller().Certificate == nil {
			why = "WEBSOCKET_TTL_EXPIRATION"
		}
		c.expel(why, "the credentials of the connection have expired")
	}
}
