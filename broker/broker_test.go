package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strait"
	"strait/await"
	"strait/broker"
	"strait/state"
	"strait/state/local"
)

// A house is a broker on a real store, which can be restarted.
type house struct {
	*testing.T
	*broker.Broker
	dir    string
	store  *local.Store
	config broker.Config
}

func open(t *testing.T, c broker.Config) *house {
	h := &house{T: t, dir: t.TempDir(), config: c}
	h.start()
	t.Cleanup(h.stop)
	return h
}

func (h *house) start() {
	h.Helper()
	var err error
	if h.store, err = local.Open(h.dir, local.Options{}); err != nil {
		h.Fatal(err)
	}
	c := h.config
	if c.Store == nil {
		c.Store = h.store
	}
	if h.Broker, err = broker.Open(ctx, c); err != nil {
		h.Fatal(err)
	}
}

func (h *house) stop() {
	h.Helper()
	if err := h.Close(ctx); err != nil {
		h.Error(err)
	}
	if err := h.store.Close(); err != nil {
		h.Error(err)
	}
}

func (h *house) restart() { h.Helper(); h.stop(); h.start() }

var ctx = context.Background()

func all(*broker.Message) bool { return true }

func (h *house) connect(id string, clean bool) *broker.Session {
	h.Helper()
	s, _, err := h.Connect(ctx, id, broker.SessionOptions{Clean: clean})
	if err != nil {
		h.Fatalf("connect %s: %v", id, err)
	}
	return s
}

func (h *house) subscribe(s *broker.Session, qos byte, filters ...string) {
	h.Helper()
	var subs []broker.Subscription
	for _, f := range filters {
		subs = append(subs, broker.Subscription{Filter: f, QoS: qos})
	}
	if refused, err := s.Subscribe(ctx, subs, nil); err != nil || refused != nil {
		h.Fatalf("subscribe %s to %v: %v, %v", s.ClientID(), filters, refused, err)
	}
}

// publish publishes and waits until the message is safe.
func (h *house) publish(topic, payload string, qos byte) {
	h.Helper()
	h.publishMessage(&broker.Message{Topic: topic, Payload: []byte(payload), QoS: qos})
}

func (h *house) publishMessage(m *broker.Message) {
	h.Helper()
	wait, err := h.Publish(ctx, m)
	if err == nil && wait != nil {
		err = wait(ctx)
	}
	if err != nil {
		h.Fatalf("publish to %s: %v", m.Topic, err)
	}
}

// next returns exactly n deliveries, within some seconds.
func (h *house) next(s *broker.Session, n int) []broker.Delivery {
	h.Helper()
	c, cancel := context.WithTimeout(ctx, await.Patience)
	defer cancel()
	var got []broker.Delivery
	for len(got) < n {
		ds, err := s.Next(c, make([]broker.Delivery, 0, n-len(got)), all)
		if err != nil {
			h.Fatalf("next of %s after %d of %d: %v", s.ClientID(), len(got), n, err)
		}
		got = append(got, ds...)
	}
	return got
}

// nothing checks that Next has nothing to give: a message published now, to a
// topic of its own, is the next one.
func (h *house) nothing(s *broker.Session) {
	h.Helper()
	h.subscribe(s, 0, "only/"+s.ClientID())
	h.publish("only/"+s.ClientID(), "mark", 0)
	if d := h.next(s, 1)[0]; d.Topic != "only/"+s.ClientID() {
		h.Errorf("%s got %q on %s, want nothing", s.ClientID(), d.Payload, d.Topic)
	}
}

func (h *house) ack(s *broker.Session, ds ...broker.Delivery) {
	h.Helper()
	for _, d := range ds {
		if d.QoS == 0 {
			continue
		}
		if err := s.Ack(ctx, d.PacketID); err != nil {
			h.Fatalf("ack: %v", err)
		}
	}
}

func payloads(ds []broker.Delivery) (p []string) {
	for _, d := range ds {
		p = append(p, string(d.Payload))
	}
	return p
}

func (h *house) want(what string, got []broker.Delivery, want ...string) {
	h.Helper()
	if !slices.Equal(payloads(got), want) {
		h.Errorf("%s: got %q, want %q", what, payloads(got), want)
	}
}

func TestEffectiveQoS(t *testing.T) {
	h := open(t, broker.Config{})
	s := h.connect("s", true)
	h.subscribe(s, 1, "one")
	h.subscribe(s, 0, "zero")
	h.publish("one", "a", 1)
	h.publish("one", "b", 0)
	h.publish("zero", "c", 1)
	ds := h.next(s, 3)
	for i, want := range []byte{1, 0, 0} {
		if ds[i].QoS != want || (ds[i].PacketID != 0) != (want == 1) || ds[i].Dup || ds[i].Retain {
			t.Errorf("delivery %d: %+v, want QoS %d", i, ds[i], want)
		}
	}
}

func TestOverlappingFiltersDeliverOnceAtTheHighestQoS(t *testing.T) {
	h := open(t, broker.Config{})
	s := h.connect("s", true)
	h.subscribe(s, 0, "a/b", "#")
	h.subscribe(s, 1, "a/+")
	h.subscribe(s, 0, "a/#")
	h.publish("a/b", "x", 1)
	if d := h.next(s, 1)[0]; d.QoS != 1 {
		t.Errorf("got QoS %d, want 1", d.QoS)
	}
	h.nothing(s)
}

func TestChangingASubscription(t *testing.T) {
	h := open(t, broker.Config{})
	s := h.connect("s", true)
	for _, qos := range []byte{0, 1, 0} {
		h.subscribe(s, qos, "t")
		h.publish("t", "x", 1)
		if d := h.next(s, 1)[0]; d.QoS != qos {
			t.Errorf("got QoS %d, want %d", d.QoS, qos)
		}
	}
	if err := s.Unsubscribe(ctx, []string{"t", "never"}); err != nil {
		t.Fatal(err)
	}
	h.publish("t", "x", 1)
	h.nothing(s)
}

func TestRefusals(t *testing.T) {
	h := open(t, broker.Config{Limits: broker.Limits{Subscriptions: 2}})
	s := h.connect("s", true)
	refused, err := s.Subscribe(ctx, []broker.Subscription{{Filter: "a#", QoS: 0}, {Filter: "a", QoS: 2}, {Filter: "$share//a", QoS: 1}, {Filter: "a", QoS: 1}, {Filter: "b", QoS: 1}, {Filter: "c", QoS: 1}, {Filter: "a", QoS: 0}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []strait.Kind{strait.Invalid, strait.Invalid, strait.Invalid, -1, -1, strait.Limit, -1}
	for i, w := range want {
		if w == -1 && refused[i] != nil || w != -1 && strait.KindOf(refused[i]) != w {
			t.Errorf("subscription %d: got %v, want kind %d", i, refused[i], w)
		}
	}
	for _, c := range []struct {
		m    broker.Message
		kind strait.Kind
	}{
		{broker.Message{Topic: "a/#"}, strait.Invalid},
		{broker.Message{Topic: "a", QoS: 2}, strait.Invalid},
		{broker.Message{Topic: "a", Payload: make([]byte, 128<<10+1)}, strait.TooLarge},
	} {
		if _, err := h.Publish(ctx, &c.m); strait.KindOf(err) != c.kind {
			t.Errorf("publish to %s: got %v, want kind %d", c.m.Topic, err, c.kind)
		}
		if _, _, err := h.Connect(ctx, "w", broker.SessionOptions{Will: &c.m}); strait.KindOf(err) != c.kind {
			t.Errorf("connect with will to %s: got %v, want kind %d", c.m.Topic, err, c.kind)
		}
	}
	if _, err := s.Next(ctx, nil, nil); err == nil {
		t.Error("Next without admit returned no error")
	}
}

func TestTakeOver(t *testing.T) {
	h := open(t, broker.Config{})
	watcher := h.connect("watcher", true)
	h.subscribe(watcher, 0, "will")
	old, _, err := h.Connect(ctx, "s", broker.SessionOptions{Will: &broker.Message{Topic: "will", Payload: []byte("gone")}})
	if err != nil {
		t.Fatal(err)
	}
	blocked := make(chan error)
	go func() { _, err := old.Next(ctx, nil, all); blocked <- err }()
	s, present, err := h.Connect(ctx, "s", broker.SessionOptions{})
	if err != nil || !present {
		t.Fatalf("second connect: present %v, %v", present, err)
	}
	select {
	case <-old.Done():
	default:
		t.Error("the older session is not done when Connect has returned")
	}
	_, subErr := old.Subscribe(ctx, []broker.Subscription{{Filter: "x", QoS: 0}}, nil)
	for i, err := range []error{<-blocked, old.Cause(), old.Ack(ctx, 1), old.Unsubscribe(ctx, nil), subErr} {
		if !errors.Is(err, broker.ErrTakenOver) {
			t.Errorf("error %d of the older session: %v, want ErrTakenOver", i, err)
		}
	}
	old.End(ctx, broker.EndCause{}) // must not end the new one
	if s.Cause() != nil {
		t.Errorf("the new session has ended: %v", s.Cause())
	}
	h.want("will", h.next(watcher, 1), "gone")
	h.nothing(watcher)
}

func TestWills(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*house, *broker.Session)
		want bool
	}{
		{"disconnect", func(h *house, s *broker.Session) { s.End(ctx, broker.EndCause{Clean: true}) }, false},
		{"connection lost", func(h *house, s *broker.Session) { s.End(ctx, broker.EndCause{}) }, true},
		{"kicked", func(h *house, s *broker.Session) {
			if !h.Kick("s", nil) || h.Kick("s", nil) || !errors.Is(s.Cause(), broker.ErrKicked) {
				t.Errorf("kick: cause %v", s.Cause())
			}
		}, true},
		{"taken over", func(h *house, s *broker.Session) { h.connect("s", true) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, broker.Config{})
			watcher := h.connect("watcher", true)
			h.subscribe(watcher, 1, "will")
			will := &broker.Message{Topic: "will", Payload: []byte("gone"), QoS: 1, Retain: true}
			s, _, err := h.Connect(ctx, "s", broker.SessionOptions{Clean: true, Will: will})
			if err != nil {
				t.Fatal(err)
			}
			c.end(h, s)
			if c.want {
				d := h.next(watcher, 1)[0]
				if string(d.Payload) != "gone" || d.QoS != 1 || d.Retain || d.Publisher != "s" || d.Time.IsZero() {
					t.Errorf("got will %+v", d)
				}
			}
			h.nothing(watcher)
			if _, err := h.Retained(ctx, "will"); (err == nil) != c.want {
				t.Errorf("retained will: %v", err)
			}
		})
	}
}

func TestCloseEndsSessionsAndPublishesWills(t *testing.T) {
	h := open(t, broker.Config{})
	w := h.connect("keeper", false)
	h.subscribe(w, 1, "will")
	w.End(ctx, broker.EndCause{Clean: true})
	s, _, err := h.Connect(ctx, "s", broker.SessionOptions{Will: &broker.Message{Topic: "will", Payload: []byte("gone"), QoS: 1}})
	if err != nil {
		t.Fatal(err)
	}
	h.restart()
	if !errors.Is(s.Cause(), broker.ErrClosed) {
		t.Errorf("cause %v, want ErrClosed", s.Cause())
	}
	h.want("will", h.next(h.connect("keeper", false), 1), "gone")
}

func TestRetained(t *testing.T) {
	h := open(t, broker.Config{Limits: broker.Limits{Retained: 2}})
	live := h.connect("live", true)
	h.subscribe(live, 1, "r/#")
	h.publishMessage(&broker.Message{Topic: "r/1", Payload: []byte("x"), QoS: 1, Retain: true})
	if d := h.next(live, 1)[0]; d.Retain {
		t.Error("a live delivery carries RETAIN")
	}
	h.nothing(live)

	for round := range 2 { // the second one after a restart
		s := h.connect("s", round == 0)
		h.subscribe(s, 0, "r/+", "r/#") // wildcards get nothing
		h.nothing(s)
		for range 2 { // repeating it delivers again
			h.subscribe(s, 1, "r/1")
			if d := h.next(s, 1)[0]; !d.Retain || d.QoS != 1 || string(d.Payload) != "x" {
				t.Errorf("got %+v, want the retained message", d)
			}
		}
		h.restart()
	}
	// 1. A persistent session that did not read its copy finds it, as retained.
	s := h.connect("s", false)
	ds := h.next(s, 2)
	if !ds[0].Retain || !ds[1].Retain {
		t.Errorf("queued retained messages came without RETAIN: %+v", ds)
	}
	// 2. The limit.
	h.publishMessage(&broker.Message{Topic: "r/2", Payload: []byte("y"), Retain: true})
	if _, err := h.Publish(ctx, &broker.Message{Topic: "r/3", Payload: []byte("z"), Retain: true}); strait.KindOf(err) != strait.Limit {
		t.Errorf("a third retained message: %v, want Limit", err)
	}
	if l, err := h.ListRetained(ctx, "r/1", 10); err != nil || len(l) != 1 || l[0].Topic != "r/2" {
		t.Errorf("ListRetained after r/1: %v, %v", l, err)
	}
	// 3. An empty one deletes, and is itself delivered.
	h.want("live", h.next(s, 1), "y")
	h.nothing(s)
	h.publishMessage(&broker.Message{Topic: "r/1", QoS: 1, Retain: true})
	if d := h.next(s, 1)[0]; len(d.Payload) != 0 {
		t.Errorf("got %q", d.Payload)
	}
	h.restart()
	if _, err := h.Retained(ctx, "r/1"); strait.KindOf(err) != strait.NotFound {
		t.Errorf("deleted retained message: %v", err)
	}
}

// Who leaves it to the broker's caller to say when the subscription is answered
// gets nothing before; afterwards everything, in order, and is woken for it.
func TestRetainedWaitsForTheAnswer(t *testing.T) {
	h := open(t, broker.Config{})
	h.publishMessage(&broker.Message{Topic: "r/1", Payload: []byte("x"), QoS: 1, Retain: true})
	woken := 0
	s, _, err := h.Connect(ctx, "s", broker.SessionOptions{Clean: true, Wake: func(bool) { woken++ }})
	if err != nil {
		t.Fatal(err)
	}
	var later broker.Wakes
	if refused, err := s.Subscribe(ctx, []broker.Subscription{{Filter: "r/1", QoS: 1}, {Filter: "r/+", QoS: 1}}, &later); refused != nil || err != nil || len(later) == 0 {
		t.Fatalf("%v, %v, %d to be woken later", refused, err, len(later))
	}
	h.publish("r/2", "y", 1)
	if got, err := s.Take(ctx, make([]broker.Delivery, 0, 4), all); len(got) > 0 || err != nil {
		t.Fatalf("before the answer: %+v, %v", got, err)
	}
	woken = 0
	for _, wake := range later {
		wake(false)
	}
	if woken == 0 {
		t.Error("nobody was woken")
	}
	got, err := s.Take(ctx, make([]broker.Delivery, 0, 4), all)
	if err != nil {
		t.Fatal(err)
	}
	h.want("s", got, "x", "y")
}

func TestPersistentSession(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart=%v", restart), func(t *testing.T) {
			h := open(t, broker.Config{})
			s := h.connect("s", false)
			h.subscribe(s, 1, "one")
			h.subscribe(s, 0, "zero")
			h.publish("one", "1", 1)
			h.publish("one", "2", 1)
			h.publish("one", "3", 1)
			h.ack(s, h.next(s, 3)[1])
			s.End(ctx, broker.EndCause{Clean: true})
			h.publish("one", "4", 1)
			h.publish("one", "lost", 0)
			h.publish("zero", "lost", 1)
			if restart {
				h.restart()
			}
			s, present, err := h.Connect(ctx, "s", broker.SessionOptions{})
			if err != nil || !present {
				t.Fatalf("resume: present %v, %v", present, err)
			}
			// Unacknowledged ones come again at once, in order, with DUP
			// as far as is known after a restart.
			ds := h.next(s, 3)
			h.want("resumed", ds, "1", "3", "4")
			if !restart && (!ds[0].Dup || !ds[1].Dup || ds[2].Dup) {
				t.Errorf("DUP is %v %v %v, want true true false", ds[0].Dup, ds[1].Dup, ds[2].Dup)
			}
			h.ack(s, ds...)
			h.nothing(s)
			// A clean connection ends it.
			c, present, err := h.Connect(ctx, "s", broker.SessionOptions{Clean: true})
			if err != nil || present {
				t.Fatalf("clean connect: present %v, %v", present, err)
			}
			h.publish("one", "5", 1)
			c.End(ctx, broker.EndCause{Clean: true})
			if restart {
				h.restart()
			}
			if _, present, err = h.Connect(ctx, "s", broker.SessionOptions{}); err != nil || present {
				t.Fatalf("connect after clean: present %v, %v", present, err)
			}
		})
	}
}

func TestExpiry(t *testing.T) {
	var mu sync.Mutex
	now := time.Unix(1e9, 0)
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	pass := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
	h := open(t, broker.Config{Now: clock})
	leave := func(id string) {
		s := h.connect(id, false)
		h.subscribe(s, 1, "t")
		s.End(ctx, broker.EndCause{Clean: true})
	}
	leave("early")
	leave("resumed")
	pass(59 * time.Minute)
	leave("late")
	h.connect("connected", false)
	h.publish("t", "x", 1)
	h.restart() // the time that has passed is remembered
	resumed := h.connect("resumed", false)
	pass(time.Minute)
	if n, err := h.Expire(ctx); n != 1 || err != nil {
		t.Errorf("Expire: %d, %v, want 1", n, err)
	}
	h.want("resumed", h.next(resumed, 1), "x")
	for id, want := range map[string]bool{"early": false, "late": true, "connected": true} {
		if _, present, err := h.Connect(ctx, id, broker.SessionOptions{}); present != want || err != nil {
			t.Errorf("connect %s: present %v, want %v, %v", id, present, want, err)
		}
	}
	// Without a sweep an expired session is new, too.
	leave("unswept")
	pass(time.Hour)
	if _, present, _ := h.Connect(ctx, "unswept", broker.SessionOptions{}); present {
		t.Error("an expired session was resumed")
	}
	// Nothing of what was forgotten is left in the store.
	h.Kick("late", nil)
	h.Kick("resumed", nil)
	h.Kick("connected", nil)
	h.Kick("unswept", nil)
	h.Kick("early", nil)
	pass(time.Hour)
	if n, err := h.Expire(ctx); n != 5 || err != nil {
		t.Errorf("Expire: %d, %v, want 5", n, err)
	}
	h.restart()
	if facts, err := h.store.List(ctx, "broker/", "", 0); len(facts) != 0 || err != nil {
		t.Errorf("left in the store: %v, %v", facts, err)
	}
}

// Receive is decided when a message is put on the wire: a session that was wide
// and is resumed narrow gets only what the narrow one may receive, and what it
// may not is gone.
func TestAdmission(t *testing.T) {
	h := open(t, broker.Config{})
	s := h.connect("s", false)
	h.subscribe(s, 1, "#")
	h.publish("open", "1", 1)
	h.publish("secret", "2", 1)
	h.publish("secret", "3", 0)
	h.publish("secret", "4", 1)
	h.next(s, 2) // on the wire once, and not acknowledged
	s = h.connect("s", false)
	narrow := func(m *broker.Message) bool { return m.Topic != "secret" }
	h.publish("open", "5", 1)
	got, err := s.Next(ctx, make([]broker.Delivery, 0, 9), narrow)
	if err != nil {
		t.Fatal(err)
	}
	h.want("narrow", got, "1", "5")
	h.restart()
	h.want("wide again, after a restart", h.next(h.connect("s", false), 2), "1", "5")
	h.nothing(h.connect("s", true))
}

func TestInFlightWindow(t *testing.T) {
	h := open(t, broker.Config{})
	s := h.connect("s", true)
	h.subscribe(s, 1, "t")
	for i := range 250 {
		h.publish("t", fmt.Sprint(i), 1)
	}
	ds := h.next(s, 100)
	ids := make(map[uint16]bool)
	for _, d := range ds {
		ids[d.PacketID] = true
	}
	if len(ids) != 100 || ids[0] {
		t.Errorf("packet ids are not 100 different ones")
	}
	c, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if got, err := s.Next(c, nil, all); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the 101st was delivered: %v, %v", got, err)
	}
	more := make(chan []broker.Delivery)
	go func() { more <- h.next(s, 2) }()
	h.ack(s, ds[50], ds[7])
	h.ack(s, broker.Delivery{QoS: 1, PacketID: 60000}) // unknown: ignored
	h.want("after two acks", <-more, "100", "101")
}

func TestRedeliveryKeepsTheOrder(t *testing.T) {
	h := open(t, broker.Config{})
	s := h.connect("s", false)
	h.subscribe(s, 1, "t")
	for i := range 120 {
		if _, err := h.Publish(ctx, &broker.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	first := h.next(s, 100)
	again := h.next(h.connect("s", false), 100)
	h.want("again", again, payloads(first)...)
	for i, d := range again {
		if !d.Dup || d.PacketID != first[i].PacketID {
			t.Fatalf("message %d again: dup %v, id %d, first %d", i, d.Dup, d.PacketID, first[i].PacketID)
		}
	}
}

func TestManyQueuedOfflineArriveInOrder(t *testing.T) {
	n := 20_000
	if raced {
		n = 4_000
	}
	h := open(t, broker.Config{})
	s := h.connect("s", false)
	h.subscribe(s, 1, "t")
	s.End(ctx, broker.EndCause{Clean: true})
	var last func(context.Context) error
	for i := range n {
		wait, err := h.Publish(ctx, &broker.Message{Topic: "t", Payload: fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", 100)), QoS: 1})
		if err != nil {
			t.Fatal(err)
		}
		last = wait
	}
	if err := last(ctx); err != nil {
		t.Fatal(err)
	}
	if r := h.Resident("s"); r != 0 {
		t.Errorf("%d bytes of an offline queue are in memory", r)
	}
	h.restart()
	s = h.connect("s", false)
	for i := 0; i < n; {
		ds := h.next(s, 50)
		for _, d := range ds {
			if !strings.HasPrefix(string(d.Payload), fmt.Sprintf("%d ", i)) {
				t.Fatalf("message %d is %q", i, d.Payload)
			}
			i++
		}
		h.ack(s, ds...)
	}
	h.nothing(s)
	h.restart()
	if facts, err := h.store.List(ctx, "broker/q/", "", 10); len(facts) != 0 || err != nil {
		t.Errorf("acknowledged messages are left in the store: %d, %v", len(facts), err)
	}
}

func TestOverflowIsAnnounced(t *testing.T) {
	for _, clean := range []bool{false, true} {
		var drops []broker.Drop
		h := open(t, broker.Config{
			Limits:  broker.Limits{QueueMessages: 3},
			Dropped: func(d broker.Drop) { drops = append(drops, d) },
		})
		s := h.connect("s", clean)
		h.subscribe(s, 1, "t")
		for i := range 5 {
			h.publish("t", fmt.Sprint(i), 1)
		}
		ds := h.next(s, 3)
		h.want("kept", ds, "0", "1", "2")
		if len(drops) != 2 || string(drops[0].Message.Payload) != "3" || drops[1].Total != 2 || drops[1].ClientID != "s" || h.Stats().Dropped != 2 {
			t.Errorf("clean %v: drops %+v", clean, drops)
		}
		h.ack(s, ds...) // there is room again
		h.publish("t", "5", 1)
		h.want("after", h.next(s, 1), "5")
	}
	var drops int
	h := open(t, broker.Config{Limits: broker.Limits{QueueBytes: 1000, MemoryBytes: 1000}, Dropped: func(broker.Drop) { drops++ }})
	h.subscribe(h.connect("p", false), 1, "t")
	h.subscribe(h.connect("m", true), 0, "t")
	for range 10 {
		h.publish("t", strings.Repeat("x", 300), 1)
	}
	if drops != 16 { // each keeps two
		t.Errorf("%d drops by size, want 16", drops)
	}
}

// A subscriber that does not read slows nobody else down.
func TestSlowSubscriber(t *testing.T) {
	h := open(t, broker.Config{Limits: broker.Limits{QueueMessages: 10}})
	h.subscribe(h.connect("slow", true), 1, "t")
	s := h.connect("fast", true)
	h.subscribe(s, 1, "t")
	for i := range 1000 {
		h.publish("t", fmt.Sprint(i), 1)
		d := h.next(s, 1)[0]
		if string(d.Payload) != fmt.Sprint(i) {
			t.Fatalf("got %q, want %d", d.Payload, i)
		}
		h.ack(s, d)
	}
}

func TestMatchedIsJoined(t *testing.T) {
	var told []string
	refuse := errors.New("journal of rules is full")
	h := open(t, broker.Config{Matched: func(m *broker.Message) func(context.Context) error {
		told = append(told, m.Topic)
		if m.Topic == "rule" {
			return func(context.Context) error { return refuse }
		}
		return nil
	}})
	s := h.connect("s", false)
	h.subscribe(s, 1, "#")
	wait, err := h.Publish(ctx, &broker.Message{Topic: "rule", QoS: 1, Retain: true, Payload: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	if err := wait(ctx); !errors.Is(err, refuse) {
		t.Errorf("wait: %v, want the error of the rule", err)
	}
	if wait, err := h.Publish(ctx, &broker.Message{Topic: "free"}); wait != nil || err != nil {
		t.Errorf("a message with nothing to store has something to wait for: %v", err)
	}
	if _, err := h.Publish(ctx, &broker.Message{Topic: "bad/#"}); err == nil {
		t.Error("no error")
	}
	if !slices.Equal(told, []string{"rule", "free"}) {
		t.Errorf("told %v", told)
	}
}

// A faulty store fails or holds up writes when told to.
type faulty struct {
	state.Store
	mu   sync.Mutex
	err  error
	hold chan struct{}
}

func (f *faulty) Apply(ctx context.Context, w ...state.Write) (state.Revision, error) {
	f.mu.Lock()
	err, hold := f.err, f.hold
	f.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if err != nil {
		return 0, err
	}
	return f.Store.Apply(ctx, w...)
}

func (f *faulty) set(err error, hold chan struct{}) {
	f.mu.Lock()
	f.err, f.hold = err, hold
	f.mu.Unlock()
}

func TestDiskFull(t *testing.T) {
	f := &faulty{}
	store, err := local.Open(t.TempDir(), local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() }) // after the broker
	f.Store = store
	h := open(t, broker.Config{Store: f, Limits: broker.Limits{QueueMessages: 5}})
	s := h.connect("s", false)
	h.subscribe(s, 1, "t")
	h.publish("t", "safe", 1)
	ds := h.next(s, 1)
	s.End(ctx, broker.EndCause{})
	if err := wait(h, "t", "flush"); err != nil {
		t.Fatal(err)
	}

	f.set(errors.New("no space left on device"), nil)
	for range 20 { // more than the queue holds: what failed takes no room
		if err := wait(h, "t", "refused"); strait.KindOf(err) != strait.Unavailable {
			t.Fatalf("wait on a full disk: %v, want Unavailable", err)
		}
	}
	if _, _, err := h.Connect(ctx, "new", broker.SessionOptions{}); strait.KindOf(err) != strait.Unavailable {
		t.Errorf("connect on a full disk: %v, want Unavailable", err)
	}
	if _, _, err := h.Connect(ctx, "s", broker.SessionOptions{}); strait.KindOf(err) != strait.Unavailable {
		t.Errorf("resume on a full disk: %v, want Unavailable", err)
	}
	if wait, err := h.Publish(ctx, &broker.Message{Topic: "kept", Payload: []byte("x"), Retain: true}); err != nil || wait(ctx) == nil {
		t.Errorf("retained on a full disk: %v", err)
	}
	f.set(nil, nil) // space returns
	h.publish("t", "again", 1)
	s, present, err := h.Connect(ctx, "s", broker.SessionOptions{})
	if err != nil || !present {
		t.Fatalf("resume: %v, %v", present, err)
	}
	got := h.next(s, 3)
	h.want("after", got, "safe", "flush", "again")
	if got[0].PacketID != ds[0].PacketID {
		t.Errorf("redelivered with id %d, first %d", got[0].PacketID, ds[0].PacketID)
	}
	h.nothing(s)
	// What is no message in a queue is written after all; an acknowledgement, too.
	f.set(errors.New("no space left on device"), nil)
	h.ack(s, got...)
	if err := wait(h, "other", ""); err != nil { // nobody keeps it
		t.Error(err)
	}
	if err := wait(h, "t", "refused"); strait.KindOf(err) != strait.Unavailable { // the flush with the acks has failed
		t.Error(err)
	}
	f.set(nil, nil)
	h.publish("t", "last", 1)
	facts, err := store.List(ctx, "broker/q/", "", 0)
	if err != nil || len(facts) != 1 {
		t.Errorf("%d messages are in the store, want the last one only: %v", len(facts), err)
	}
	if facts, err = store.List(ctx, "broker/r/", "", 0); err != nil || len(facts) != 1 {
		t.Errorf("%d retained messages are in the store: %v", len(facts), err)
	}
}

func wait(h *house, topic, payload string) error {
	w, err := h.Publish(ctx, &broker.Message{Topic: topic, Payload: []byte(payload), QoS: 1})
	if err != nil || w == nil {
		return err
	}
	return w(ctx)
}

// Deliveries start at once; only the acknowledgement waits for the store. What
// is acknowledged by its subscriber before its turn is never written.
func TestDeliveryDoesNotWaitForTheStore(t *testing.T) {
	f := &faulty{}
	store, err := local.Open(t.TempDir(), local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() }) // after the broker
	f.Store = store
	h := open(t, broker.Config{Store: f})
	s := h.connect("s", false)
	h.subscribe(s, 1, "t")
	hold := make(chan struct{})
	f.set(nil, hold)
	done := make(chan error, 2)
	for i := range 2 {
		w, err := h.Publish(ctx, &broker.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: 1})
		if err != nil {
			t.Fatal(err)
		}
		d := h.next(s, 1)
		h.want("while the store hangs", d, fmt.Sprint(i))
		if i == 1 {
			h.ack(s, d...)
		}
		go func() { done <- w(ctx) }()
	}
	select {
	case err := <-done:
		t.Errorf("wait returned before the store did: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	// A publisher that runs away is held up, as long as it wishes to wait.
	big := make([]byte, 128<<10)
	c, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	for i := 0; err == nil && i < 1000; i++ {
		_, err = h.Publish(c, &broker.Message{Topic: "t", Payload: big, QoS: 1})
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a runaway publisher: %v, want it to wait", err)
	}
	f.set(nil, nil)
	close(hold)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
