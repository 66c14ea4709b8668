package mqtt_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strait"
	"strait/await"
	"strait/broker"
	"strait/door/mqtt"
	"strait/door/mqtt/packet"
	"strait/state/local"
)

// patience is how long a test waits for what must come.
const patience = await.Patience

// A house is a door with the real broker behind it. Topics that begin with
// "denied" are forbidden, "wrong" is Invalid, "dropped" is over a Limit;
// clients called "nobody" are not admitted.
type house struct {
	t      *testing.T
	broker *broker.Broker
	server *mqtt.Server
	addr   string
	ends   chan mqtt.Reason  // one for each connection that ended
	came   chan mqtt.Connect // one for each CONNECT that was asked about

	ending func() // called before the session ends, if it is set

	mu     sync.Mutex
	safe   func(topic string) func(context.Context) error // replaces the broker's wait, if it returns one
	guests map[string]*guest
}

// open opens a house whose door listens.
func open(t *testing.T, limits mqtt.Limits) *house {
	t.Helper()
	h := build(t, limits)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(ctx, mqtt.Listener(l)) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-served:
			if err != nil {
				t.Errorf("Serve = %v", err)
			}
		case <-time.After(patience):
			t.Error("Serve does not return although its context has ended")
		}
	})
	return h
}

// build opens a house that nobody can dial: see pipe.
func build(t *testing.T, limits mqtt.Limits) *house {
	t.Helper()
	store, err := local.Open(t.TempDir(), local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Open(t.Context(), broker.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, broker: b, ends: make(chan mqtt.Reason, 100), came: make(chan mqtt.Connect, 100), guests: map[string]*guest{}}
	h.server = &mqtt.Server{Connector: h, Limits: limits}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Errorf("close the broker: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return h
}

func (h *house) Connect(ctx context.Context, c mqtt.Connect) (mqtt.Conn, bool, error) {
	h.came <- c
	if c.ClientID == "nobody" {
		return nil, false, strait.Errorf(strait.Denied, "connect", "nobody may not connect")
	}
	o := broker.SessionOptions{Clean: c.Clean, V5: c.V5, Expiry: c.Expiry, Receive: c.Receive, Wake: c.Wake}
	if w := c.Will; w != nil {
		if err := judge(w.Topic); err != nil {
			return nil, false, err
		}
		o.Will = message(mqtt.Message(*w), "")
	}
	s, present, err := h.broker.Connect(ctx, c.ClientID, o)
	if err != nil {
		return nil, false, err
	}
	g := &guest{h: h, s: s}
	h.mu.Lock()
	h.guests[c.ClientID] = g
	h.mu.Unlock()
	return g, present, nil
}

// ended waits for the next end of a connection.
func (h *house) ended(want mqtt.Reason) {
	h.t.Helper()
	select {
	case got := <-h.ends:
		if got != want {
			h.t.Errorf("the connection ended with %s, want %s", got, want)
		}
	case <-time.After(patience):
		h.t.Errorf("no connection ended, want %s", want)
	}
}

// A guest is a session of the broker as the door wants it.
type guest struct {
	h          *house
	s          *broker.Session
	subscribed atomic.Bool
}

func judge(name string) error {
	switch {
	case strings.HasPrefix(name, "denied"):
		return strait.Errorf(strait.Denied, "topic", "not allowed")
	case strings.HasPrefix(name, "wrong"):
		return strait.Errorf(strait.Invalid, "topic", "wrong")
	case strings.HasPrefix(name, "dropped"):
		return strait.Errorf(strait.Limit, "publish", "too fast")
	case strings.HasPrefix(name, "broken"):
		return errors.New("broken")
	}
	return nil
}

func (g *guest) Publish(ctx context.Context, m mqtt.Message, later *mqtt.Wakes) (func(context.Context) error, error) {
	if err := judge(m.Topic); err != nil {
		return nil, err
	}
	wait, err := g.h.broker.PublishLater(ctx, message(m, g.s.ClientID()), (*broker.Wakes)(later))
	g.h.mu.Lock()
	defer g.h.mu.Unlock()
	if g.h.safe != nil {
		wait = g.h.safe(m.Topic)
	}
	return wait, err
}

func message(m mqtt.Message, publisher string) *broker.Message {
	return &broker.Message{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Publisher: publisher, Properties: (*broker.Properties)(m.Properties)}
}

func (g *guest) Subscribe(ctx context.Context, subs []mqtt.Subscription, later *mqtt.Wakes) (refused []error, err error) {
	for i, s := range subs {
		err := judge(s.Filter)
		if err == nil {
			var errs []error
			errs, err = g.s.Subscribe(ctx, []broker.Subscription{{Filter: s.Filter, QoS: s.QoS, NoLocal: s.NoLocal, RetainAsPublished: s.RetainAsPublished, Retained: broker.Replay(s.Retained)}}, (*broker.Wakes)(later))
			if err != nil {
				return nil, err
			}
			if errs != nil {
				err = errs[0]
			}
		}
		if err != nil && refused == nil {
			refused = make([]error, len(subs))
		}
		if err != nil {
			refused[i] = err
		}
	}
	g.subscribed.Store(true)
	return refused, nil
}

func (g *guest) Unsubscribe(ctx context.Context, filters []string) (refused []error, err error) {
	for i, f := range filters {
		if err := judge(f); err != nil {
			if refused == nil {
				refused = make([]error, len(filters))
			}
			refused[i] = err
		}
	}
	return refused, g.s.Unsubscribe(ctx, filters)
}

func (g *guest) SetExpiry(d time.Duration) { g.s.SetExpiry(d) }

func (g *guest) Cause() (mqtt.Reason, string) {
	if errors.Is(g.s.Cause(), broker.ErrTakenOver) {
		return mqtt.TakenOver, "the same client id has connected again"
	}
	return mqtt.Kicked, "kicked"
}

func (g *guest) Ack(ctx context.Context, id uint16) error { return g.s.Ack(ctx, id) }
func (g *guest) Done() <-chan struct{}                    { return g.s.Done() }
func (g *guest) Close(context.Context, bool)              { panic("End is there") }

func (g *guest) End(ctx context.Context, why mqtt.Reason) {
	if g.h.ending != nil {
		g.h.ending()
	}
	g.s.End(ctx, broker.EndCause{Clean: why.Clean()})
	g.h.ends <- why
}

func (g *guest) Next(ctx context.Context, buf []mqtt.Delivery) ([]mqtt.Delivery, error) {
	ds, err := g.s.Take(ctx, make([]broker.Delivery, 0, cap(buf)), func(m *broker.Message) bool { return true })
	buf = buf[:0]
	for _, d := range ds {
		left, _ := d.Remaining(time.Now())
		buf = append(buf, mqtt.Delivery{Topic: d.Topic, Payload: d.Payload, QoS: d.QoS, PacketID: d.PacketID, Dup: d.Dup, Retain: d.Retain,
			Properties: (*mqtt.Properties)(d.Properties), Left: left})
	}
	return buf, err
}

// A rawClient speaks in packets.
type rawClient struct {
	t  *testing.T
	nc net.Conn
	in *packet.Reader
}

func dial(t *testing.T, addr string) *rawClient {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return raw(t, nc)
}

// pipe connects without a network, so that the time of a bubble of synctest
// passes while all wait.
func (h *house) pipe() *rawClient {
	h.t.Helper()
	nc, there := net.Pipe()
	served := make(chan struct{})
	go func() {
		h.server.ServeConn(context.Background(), there)
		close(served)
	}()
	h.t.Cleanup(func() {
		_ = nc.Close()
		<-served
	})
	return &rawClient{h.t, nc, packet.NewReader(bufio.NewReader(nc), packet.MaxRemaining)}
}

func raw(t *testing.T, nc net.Conn) *rawClient {
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return &rawClient{t, nc, packet.NewReader(bufio.NewReader(nc), packet.MaxRemaining)}
}

// connect dials, connects and takes the CONNACK.
func (h *house) connect(c packet.Connect) *rawClient {
	h.t.Helper()
	r := dial(h.t, h.addr)
	r.hello(c)
	<-h.came
	return r
}

func (r *rawClient) hello(c packet.Connect) (present bool) {
	r.t.Helper()
	return r.greet(c).SessionPresent
}

func (r *rawClient) greet(c packet.Connect) *packet.Connack {
	r.t.Helper()
	if c.Version == 0 {
		c.Version = packet.V311
	}
	r.in.Version = c.Version
	r.send(&c)
	ack, ok := r.next().(*packet.Connack)
	if !ok || ack.Code != 0 {
		r.t.Fatalf("CONNECT was answered with %+v", ack)
	}
	return ack
}

func (r *rawClient) send(ps ...packet.Packet) {
	r.t.Helper()
	var b []byte
	for _, p := range ps {
		var err error
		if b, err = p.Append(b); err != nil {
			r.t.Fatal(err)
		}
	}
	r.write(b)
}

func (r *rawClient) write(b []byte) {
	r.t.Helper()
	if _, err := r.nc.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rawClient) next() packet.Packet {
	r.t.Helper()
	p, err := r.in.Read()
	if err != nil {
		r.t.Fatalf("waiting for a packet: %v", err)
	}
	return p
}

func (r *rawClient) expect(want packet.Packet) {
	r.t.Helper()
	if got := r.next(); !reflect.DeepEqual(got, want) {
		r.t.Fatalf("got %T %+v, want %T %+v", got, got, want, want)
	}
}

// closed expects the end of the connection and not one byte before it.
func (r *rawClient) closed() {
	r.t.Helper()
	p, err := r.in.Read()
	if err == nil {
		r.t.Fatalf("got %T %+v, want the connection to be closed", p, p)
	}
	// A reset instead of an end is what TCP makes of bytes that were not read.
	if !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
		r.t.Fatalf("got %v, want the connection to be closed", err)
	}
}

func (r *rawClient) subscribe(filter string, qos byte) {
	r.t.Helper()
	r.send(&packet.Subscribe{PacketID: 77, Subscriptions: []packet.Subscription{{Filter: filter, QoS: qos}}})
	r.expect(&packet.Suback{PacketID: 77, Codes: []byte{qos}})
}

func (r *rawClient) ping() {
	r.t.Helper()
	r.send(&packet.Empty{Kind: packet.TypePingreq})
	r.expect(&packet.Empty{Kind: packet.TypePingresp})
}

func puback(id uint16) packet.Packet { return &packet.Ack{Kind: packet.TypePuback, PacketID: id} }

var (
	disconnect = &packet.Empty{Kind: packet.TypeDisconnect}
	large      = bytes.Repeat([]byte("x"), 128<<10)
)
