package broker_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"strait/await"
	"strait/broker"
)

// connect5 connects a client of MQTT 5.
func (h *house) connect5(id string, o broker.SessionOptions) (*broker.Session, bool) {
	h.Helper()
	o.V5 = true
	s, present, err := h.Connect(ctx, id, o)
	if err != nil {
		h.Fatalf("connect %s: %v", id, err)
	}
	return s, present
}

// leave5 ends a session and tells whether the next one, which ends as well, goes on with it.
func (h *house) leave5(s *broker.Session, o broker.SessionOptions) (present bool) {
	h.Helper()
	s.End(ctx, broker.EndCause{Clean: true})
	_, present = h.connect5(s.ClientID(), o)
	return present
}

func TestSessionExpiryOfMQTT5(t *testing.T) {
	c := &clock{now: time.Unix(1e9, 0)}
	h := open(t, broker.Config{Now: c.Now})
	minute := broker.SessionOptions{Expiry: time.Minute}
	s, _ := h.connect5("none", broker.SessionOptions{})
	if h.leave5(s, minute) {
		t.Error("a session without expiry is there again")
	}
	s, _ = h.connect5("kept", minute)
	c.add(59 * time.Second)
	if !h.leave5(s, minute) {
		t.Error("a session of a minute is gone at once")
	}
	s, _ = h.connect5("late", minute)
	s.End(ctx, broker.EndCause{})
	c.add(time.Minute)
	if _, present := h.connect5("late", minute); present {
		t.Error("a session of a minute is there after a minute")
	}
	// Clean forgets what was, and keeps what comes.
	s, present := h.connect5("kept", broker.SessionOptions{Clean: true, Expiry: time.Minute})
	if present {
		t.Error("Clean goes on with what was")
	}
	h.subscribe(s, 1, "t")
	if !h.leave5(s, broker.SessionOptions{}) { // resumed, and now to be forgotten
		t.Error("a clean start with an expiry kept nothing")
	}
	h.Kick("kept", nil)
	if _, present := h.connect5("kept", minute); present {
		t.Error("a session resumed without expiry outlived its connection")
	}
	// DISCONNECT may say otherwise.
	s, _ = h.connect5("changed", minute)
	s.SetExpiry(0)
	if h.leave5(s, minute) {
		t.Error("a session whose expiry became 0 is there again")
	}
	// At most the limit, also over a restart.
	s, _ = h.connect5("long", broker.SessionOptions{Expiry: 1000 * time.Hour})
	s.End(ctx, broker.EndCause{})
	h.restart()
	c.add(time.Hour)
	if _, present := h.connect5("long", minute); present {
		t.Error("a session is kept for longer than the limit")
	}
}

// A clock is moved by hand.
type clock struct {
	now   time.Time
	added atomic.Int64
}

func (c *clock) Now() time.Time      { return c.now.Add(time.Duration(c.added.Load())) }
func (c *clock) add(d time.Duration) { c.added.Add(int64(d)) }

func TestVersionsDoNotShareSessions(t *testing.T) {
	h := open(t, broker.Config{})
	for range 2 {
		s, present := h.connect5("c", broker.SessionOptions{Expiry: time.Minute})
		if present {
			t.Error("MQTT 5 goes on with a session of 3.1.1")
		}
		h.subscribe(s, 1, "t")
		s.End(ctx, broker.EndCause{})
		old, present, err := h.Connect(ctx, "c", broker.SessionOptions{})
		if err != nil || present || len(old.Subscriptions()) != 0 {
			t.Errorf("3.1.1 goes on with a session of MQTT 5: %v, %v", present, err)
		}
		old.End(ctx, broker.EndCause{})
		h.restart() // it is remembered whose session it is
	}
}

func TestReceiveMaximum(t *testing.T) {
	h := open(t, broker.Config{})
	s, _ := h.connect5("s", broker.SessionOptions{Expiry: time.Minute, Receive: 10})
	h.subscribe(s, 1, "t")
	const n = 5000
	for range n {
		h.publish("t", "x", 1)
	}
	for got := 0; got < n; {
		c, cancel := context.WithTimeout(ctx, await.Patience)
		ds, err := s.Next(c, make([]broker.Delivery, 0, 64), all)
		cancel()
		if err != nil || len(ds) > 10 {
			t.Fatalf("%d in flight after %d, %v; want at most 10", len(ds), got, err)
		}
		got += len(ds)
		h.ack(s, ds...)
	}
}

var said = &broker.Properties{Format: 2, Expiry: 100, ContentType: "text/plain", ResponseTopic: "r", Correlation: []byte{0, 1},
	User: [][2]string{{"a", "1"}, {"a", "2"}, {"", ""}}}

func TestPropertiesAreHandedOn(t *testing.T) {
	h := open(t, broker.Config{})
	s := h.connect("s", false)
	h.subscribe(s, 1, "t")
	h.publishMessage(&broker.Message{Topic: "t", Payload: []byte("live"), QoS: 1, Properties: said})
	h.ack(s, h.next(s, 1)...)
	s.End(ctx, broker.EndCause{})
	h.publishMessage(&broker.Message{Topic: "t", Payload: []byte("kept"), QoS: 1, Retain: true, Properties: said})
	h.restart()
	s = h.connect("s", false)
	if d := h.next(s, 1)[0]; !reflect.DeepEqual(d.Properties, said) {
		t.Errorf("after a restart the properties are %+v", d.Properties)
	}
	h.subscribe(s, 0, "t")
	if d := h.next(s, 1)[0]; !d.Retain || !reflect.DeepEqual(d.Properties, said) {
		t.Errorf("the retained message has %+v", d.Properties)
	}
}

func TestMessageExpiry(t *testing.T) {
	c := &clock{now: time.Unix(1e9, 0)}
	h := open(t, broker.Config{Now: c.Now})
	s := h.connect("s", false) // a client of 3.1.1
	h.subscribe(s, 1, "t")
	s.End(ctx, broker.EndCause{})
	short := &broker.Properties{Expiry: 10}
	h.publishMessage(&broker.Message{Topic: "t", Payload: []byte("short"), QoS: 1, Retain: true, Properties: short})
	h.publishMessage(&broker.Message{Topic: "t", Payload: []byte("long"), QoS: 1, Properties: said})
	c.add(11 * time.Second)
	s = h.connect("s", false)
	ds := h.next(s, 1)
	h.want("after the expiry", ds, "long")
	if left, ok := ds[0].Remaining(c.Now()); left != 89 || !ok {
		t.Errorf("%d seconds are left, want 89", left)
	}
	h.subscribe(s, 1, "t") // the retained one has expired, too
	h.nothing(s)
	if _, err := h.Retained(ctx, "t"); err == nil {
		t.Error("an expired message is retained")
	}
	m := &broker.Message{Time: c.Now(), Properties: short}
	for after, want := range map[time.Duration]uint32{0: 10, 999 * time.Millisecond: 10, time.Second: 9, 10 * time.Second: 0, time.Hour: 0} {
		if got, ok := m.Remaining(m.Time.Add(after)); got != want || !ok {
			t.Errorf("after %s there are %d left, want %d", after, got, want)
		}
	}
}

func TestSubscriptionOptions(t *testing.T) {
	h := open(t, broker.Config{})
	h.publishMessage(&broker.Message{Topic: "t", Payload: []byte("retained"), QoS: 1, Retain: true})
	s, _ := h.connect5("s", broker.SessionOptions{Expiry: time.Minute})
	grant := func(sub broker.Subscription) {
		t.Helper()
		if refused, err := s.Subscribe(ctx, []broker.Subscription{sub}, nil); refused != nil || err != nil {
			t.Fatal(refused, err)
		}
	}
	grant(broker.Subscription{Filter: "t", QoS: 1, Retained: broker.Nothing})
	h.nothing(s)
	grant(broker.Subscription{Filter: "t", QoS: 1, Retained: broker.IfNew})
	h.nothing(s)
	grant(broker.Subscription{Filter: "t", QoS: 1, NoLocal: true, RetainAsPublished: true})
	ds := h.next(s, 1)
	h.want("always", ds, "retained")
	h.ack(s, ds...)
	s.End(ctx, broker.EndCause{})
	h.restart() // the options are remembered
	s, _ = h.connect5("s", broker.SessionOptions{Expiry: time.Minute})
	h.publishMessage(&broker.Message{Topic: "t", Payload: []byte("own"), Publisher: "s"})
	h.publishMessage(&broker.Message{Topic: "t", Payload: []byte("other"), Publisher: "o", Retain: true})
	if d := h.next(s, 1)[0]; string(d.Payload) != "other" || !d.Retain {
		t.Errorf("got %q, retain %v, want the other's as it was published", d.Payload, d.Retain)
	}
}

// TestReplayRate: what was queued comes slowly, what is new does not wait for
// more than that.
func TestReplayRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, broker.Config{Limits: broker.Limits{ReplayRate: 20}})
		s := h.connect("s", false)
		h.subscribe(s, 1, "t")
		h.publish("t", "live", 1)
		h.ack(s, h.next(s, 1)...)
		s.End(ctx, broker.EndCause{})
		for range 6 {
			h.publish("t", "queued", 1)
		}
		s = h.connect("s", false)
		begin := time.Now()
		h.next(s, 6)
		if took := time.Since(begin); took != 250*time.Millisecond {
			t.Errorf("6 messages at 20 a second took %s", took)
		}
	})
}

// TestHeldBytes: when too much waits in memory, publishers are slowed; who
// reads loses nothing, who does not loses what exceeds a small share.
func TestHeldBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, broker.Config{Limits: broker.Limits{HeldBytes: 256 << 10}})
		idle, busy := h.connect("idle", true), h.connect("busy", true)
		h.subscribe(idle, 0, "t")
		h.subscribe(busy, 0, "t")
		payload := strings.Repeat("x", 32<<10)
		var slowest time.Duration
		for range 12 {
			begin := time.Now()
			h.publish("t", payload, 0)
			slowest = max(slowest, time.Since(begin))
			h.next(busy, 1)
		}
		if slowest != time.Second {
			t.Errorf("the slowest publish took %s, want a second", slowest)
		}
		if got := h.Stats().Dropped; got == 0 || got > 5 {
			t.Errorf("%d were dropped, want 1 to 5", got)
		}
		h.Kick("idle", nil) // gives all back
		begin := time.Now()
		h.publish("t", payload, 0)
		if took := time.Since(begin); took > 0 {
			t.Errorf("a publish took %s although there is room", took)
		}
	})
}

func TestBasicIngestIsNotDelivered(t *testing.T) {
	var matched []string
	h := open(t, broker.Config{Matched: func(m *broker.Message) func(context.Context) error { matched = append(matched, m.Topic); return nil }})
	s := h.connect("s", true)
	h.subscribe(s, 0, "$aws/rules/r/t", "$aws/#")
	h.publish("$aws/rules/r/t", "x", 1)
	h.nothing(s)
	if !slices.Contains(matched, "$aws/rules/r/t") {
		t.Errorf("rules were told of %q", matched)
	}
}

func TestWanted(t *testing.T) {
	h := open(t, broker.Config{})
	h.subscribe(h.connect("s", true), 0, "$aws/events/+/x")
	if !h.Wanted("$aws/events/a/x") || h.Wanted("$aws/events/a/y") {
		t.Error("Wanted is wrong")
	}
}

// TestGivenUp: what is not acknowledged for too long is given up. In MQTT 3.1.1
// the next one comes then; in MQTT 5 the client still counts what it has.
func TestGivenUp(t *testing.T) {
	for _, v5 := range []bool{false, true} {
		now := time.Now()
		h := open(t, broker.Config{Now: func() time.Time { return now }, Limits: broker.Limits{InFlight: 2}})
		connect := func() *broker.Session {
			s, _, err := h.Connect(ctx, "s", broker.SessionOptions{V5: v5, Expiry: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := connect()
		h.subscribe(s, 1, "t")
		for _, p := range []string{"1", "2", "3", "4"} {
			h.publish("t", p, 1)
		}
		ds := h.next(s, 2)
		limit := time.Hour
		if v5 {
			limit = 16 * time.Minute
		}
		now = now.Add(limit - 2*time.Minute)
		if _, err := h.Expire(ctx); err != nil || h.Stats().Dropped != 0 {
			t.Errorf("early: %v, %d dropped", err, h.Stats().Dropped)
		}
		now = now.Add(3 * time.Minute)
		if _, err := h.Expire(ctx); err != nil || h.Stats().Dropped != 2 {
			t.Errorf("late: %v, %d dropped, want 2", err, h.Stats().Dropped)
		}
		if v5 {
			h.ack(s, ds...) // late PUBACKs make room
		}
		h.want("the next ones", h.next(s, 2), "3", "4")
		h.ack(s, ds...)
		// On the next connection those that were given up do not come again.
		s.End(ctx, broker.EndCause{})
		s = connect()
		ds = h.next(s, 2)
		h.want("again", ds, "3", "4")
		h.ack(s, ds...)
		h.nothing(s)
		if d := h.Depth(); d != (broker.Depth{}) {
			t.Errorf("the queues hold %+v", d)
		}
	}
}

// TestSharedReplayRate: what came by a shared subscription has a rate of its
// own, and all sessions together have one.
func TestSharedReplayRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, broker.Config{Limits: broker.Limits{ReplayRate: 1, SharedReplayRate: 20}})
		s := h.connect("s", false)
		h.subscribe(s, 1, "$share/g/t")
		s.End(ctx, broker.EndCause{})
		for range 6 {
			h.publish("t", "queued", 1)
		}
		s = h.connect("s", false)
		begin := time.Now()
		h.ack(s, h.next(s, 6)...)
		if took := time.Since(begin); took != 250*time.Millisecond {
			t.Errorf("6 messages at 20 a second took %s", took)
		}
		h = open(t, broker.Config{Limits: broker.Limits{ReplayAll: 20}})
		var all []*broker.Session
		for _, id := range []string{"a", "b"} {
			s := h.connect(id, false)
			h.subscribe(s, 1, "t")
			s.End(ctx, broker.EndCause{})
		}
		for range 3 {
			h.publish("t", "queued", 1)
		}
		begin = time.Now()
		for _, id := range []string{"a", "b"} {
			all = append(all, h.connect(id, false))
		}
		for _, s := range all {
			h.next(s, 3)
		}
		if took := time.Since(begin); took != 250*time.Millisecond {
			t.Errorf("6 messages of two sessions at 20 a second took %s", took)
		}
	})
}
