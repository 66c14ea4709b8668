package broker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"strait/await"
	"strait/broker"
	"strait/state/local"
)

// A modelClient is what a client should see, in the simplest words.
type modelClient struct {
	persistent bool
	session    *broker.Session
	subs       map[string]byte
	queue      []modelMessage // not yet delivered
	flight     []modelMessage // delivered, not acknowledged
}

type modelMessage struct {
	payload  string
	qos      byte
	retained bool
	id       uint16
}

// Random publishes, subscribes, acks, reconnects and restarts, one after the
// other, against the model.
func TestModel(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { playModel(t, seed, 1000) })
	}
}

func playModel(t *testing.T, seed uint64, steps int) {
	r := rand.New(rand.NewPCG(seed, 1))
	h := open(t, broker.Config{Limits: broker.Limits{InFlight: 4}})
	topics := []string{"a", "a/", "a/b", "a/b/c", "b/b", "$x/b"}
	filters := append([]string{"#", "+", "a/#", "+/b", "a/+", "a/+/c", "$x/#", "+/+/#"}, topics...)
	clients := make(map[string]*modelClient)
	ids := []string{"c0", "c1", "c2", "c3"}
	for _, id := range ids {
		clients[id] = &modelClient{subs: map[string]byte{}}
	}
	retained := make(map[string]modelMessage)
	gone := func(c *modelClient) { // its connection is lost
		c.session = nil
		if !c.persistent {
			*c = modelClient{subs: map[string]byte{}}
			return
		}
		c.queue = slices.DeleteFunc(append(c.flight, c.queue...), func(m modelMessage) bool { return m.qos == 0 })
		c.flight = nil
	}
	pick := func(from []string) string { return from[r.IntN(len(from))] }

	for step := range steps {
		id := pick(ids)
		c := clients[id]
		switch p := r.IntN(100); {
		case p < 40: // publish
			m := &broker.Message{Topic: pick(topics), Payload: fmt.Append(nil, step), QoS: byte(r.IntN(2)), Retain: r.IntN(8) == 0}
			if m.Retain && r.IntN(3) == 0 {
				m.Payload = nil
			}
			h.publishMessage(m)
			if m.Retain {
				retained[m.Topic] = modelMessage{payload: string(m.Payload), qos: m.QoS}
				if m.Payload == nil {
					delete(retained, m.Topic)
				}
			}
			for _, c := range clients {
				best := -1
				for f, qos := range c.subs {
					if broker.Match(f, m.Topic) {
						best = max(best, int(qos))
					}
				}
				if best < 0 {
					continue
				}
				qos := min(m.QoS, byte(best))
				if c.session != nil || c.persistent && qos == 1 {
					c.queue = append(c.queue, modelMessage{payload: string(m.Payload), qos: qos})
				}
			}
		case p < 50: // connect
			clean := r.IntN(2) == 0
			s, present, err := h.Connect(ctx, id, broker.SessionOptions{Clean: clean})
			if err != nil {
				t.Fatal(err)
			}
			gone(c)
			if want := c.persistent && !clean; present != want {
				t.Fatalf("step %d: connect %s: present %v, want %v", step, id, present, want)
			}
			if !present {
				*c = modelClient{subs: map[string]byte{}}
			}
			c.session, c.persistent = s, !clean
		case p < 52:
			h.restart()
			for _, c := range clients {
				gone(c)
			}
		case c.session == nil:
		case p < 62: // subscribe
			f, qos := pick(filters), byte(r.IntN(2))
			h.subscribe(c.session, qos, f)
			c.subs[f] = qos
			if m, ok := retained[f]; ok {
				c.queue = append(c.queue, modelMessage{payload: m.payload, qos: min(m.qos, qos), retained: true})
			}
		case p < 67: // unsubscribe
			f := pick(filters)
			if err := c.session.Unsubscribe(ctx, []string{f}); err != nil {
				t.Fatal(err)
			}
			delete(c.subs, f)
		case p < 72: // end
			c.session.End(ctx, broker.EndCause{Clean: r.IntN(2) == 0})
			gone(c)
		case p < 85: // ack, in any order
			if len(c.flight) > 0 {
				i := r.IntN(len(c.flight))
				if err := c.session.Ack(ctx, c.flight[i].id); err != nil {
					t.Fatal(err)
				}
				c.flight = slices.Delete(c.flight, i, i+1)
			}
		default: // receive
			if len(c.queue) == 0 || c.queue[0].qos == 1 && len(c.flight) == 4 {
				continue
			}
			refuse := r.IntN(10) == 0 // what comes first
			asked := 0
			done, cancel := context.WithTimeout(ctx, await.Patience)
			if refuse {
				cancel() // there may be nothing else
			}
			ds, err := c.session.Next(done, make([]broker.Delivery, 0, 1+r.IntN(5)), func(*broker.Message) bool { asked++; return !refuse || asked > 1 })
			cancel()
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatalf("step %d: next: %v", step, err)
			}
			if refuse && asked > 0 { // not when it had to be read from the store
				c.queue = c.queue[1:]
			}
			for _, d := range ds {
				want := c.queue[0]
				c.queue = c.queue[1:]
				if string(d.Payload) != want.payload || d.QoS != want.qos || d.Retain != want.retained {
					t.Fatalf("step %d: %s got %q QoS %d retain %v, want %+v", step, id, d.Payload, d.QoS, d.Retain, want)
				}
				if d.QoS == 1 {
					want.id = d.PacketID
					for _, f := range c.flight {
						if f.id == want.id {
							t.Fatalf("step %d: packet id %d is in flight twice", step, want.id)
						}
					}
					c.flight = append(c.flight, want)
				}
			}
		}
	}
}

// Twenty take-overs under load lose nothing and end in order.
func TestTakeOversUnderLoad(t *testing.T) {
	const publishers, each = 4, 500
	h := open(t, broker.Config{})
	s := h.connect("s", false)
	h.subscribe(s, 1, "t/#")
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				w, err := h.Publish(ctx, &broker.Message{Topic: fmt.Sprintf("t/%d", p), Payload: fmt.Append(nil, i), QoS: 1})
				if err != nil {
					t.Error(err)
					return
				}
				if i%50 == 0 {
					if err := w(ctx); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	seen := make(map[string]bool)
	last := make(map[string]int) // by topic: first deliveries come in order
	for _, c := range []string{"t/0", "t/1", "t/2", "t/3"} {
		last[c] = -1
	}
	takeovers, got := 0, 0
	for len(seen) < publishers*each {
		if got/80 > takeovers && takeovers < 20 {
			takeovers++
			s = h.connect("s", false)
		}
		ds, err := s.Next(ctx, make([]broker.Delivery, 0, 10), all)
		if err != nil {
			t.Fatal(err)
		}
		for i, d := range ds {
			got++
			key := d.Topic + " " + string(d.Payload)
			if n, _ := strconv.Atoi(string(d.Payload)); !seen[key] && !d.Dup {
				if n != last[d.Topic]+1 {
					t.Fatalf("%s: %d after %d", d.Topic, n, last[d.Topic])
				}
				last[d.Topic] = n
			}
			seen[key] = true
			if i%4 != 3 || takeovers == 20 { // some stay unacknowledged
				h.ack(s, d)
			}
		}
	}
	wg.Wait()
	if takeovers != 20 {
		t.Errorf("%d take-overs", takeovers)
	}
}

// Everything at once, for the race detector; at the end nothing may hang.
func TestConcurrentUse(t *testing.T) {
	h := open(t, broker.Config{})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 2))
			for range 60 {
				id := fmt.Sprint("c", r.IntN(3))
				s, _, err := h.Connect(ctx, id, broker.SessionOptions{Clean: r.IntN(3) == 0, Will: &broker.Message{Topic: "w/" + id, QoS: 1}})
				if err != nil {
					t.Error(err)
					return
				}
				s.Subscribe(ctx, []broker.Subscription{{Filter: "#", QoS: 1}, {Filter: fmt.Sprint("t/", r.IntN(3)), QoS: 1}}, nil)
				for range 5 {
					h.Publish(ctx, &broker.Message{Topic: fmt.Sprint("t/", r.IntN(3)), Payload: []byte("x"), QoS: 1, Retain: r.IntN(2) == 0})
				}
				if ds, err := s.Next(ctx, nil, func(*broker.Message) bool { return r.IntN(5) > 0 }); err == nil {
					for _, d := range ds {
						s.Ack(ctx, d.PacketID)
					}
				}
				if r.IntN(2) == 0 {
					h.Kick(id, nil)
				}
				h.Expire(ctx)
			}
		})
	}
	wg.Wait()
}

// A child process publishes until it is killed; what it was told is safe is
// there afterwards, in order.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("STRAIT_BROKER_CHILD"); dir != "" {
		publishUntilKilled(t, dir)
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), "STRAIT_BROKER_CHILD="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	safe := -1
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if n, ok := strings.CutPrefix(lines.Text(), "safe "); ok {
			safe, _ = strconv.Atoi(n)
		}
		if safe == 200 {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	if safe < 200 {
		t.Fatalf("the child published %d messages only", safe)
	}

	h := &house{T: t, dir: dir}
	h.start()
	defer h.stop()
	s, present, err := h.Connect(ctx, "s", broker.SessionOptions{})
	if err != nil || !present {
		t.Fatalf("resume: present %v, %v", present, err)
	}
	// The first three were delivered; 1 was acknowledged long before the end.
	for want := 0; want <= safe; want++ {
		if want == 1 {
			continue
		}
		d := h.next(s, 1)[0]
		if string(d.Payload) != fmt.Sprint(want) {
			t.Fatalf("got %q, want %d", d.Payload, want)
		}
		h.ack(s, d)
	}
	if m, err := h.Retained(ctx, "kept"); err != nil || string(m.Payload) < "safe" {
		t.Errorf("retained message: %v, %v", m, err)
	}
}

func publishUntilKilled(t *testing.T, dir string) {
	store, err := local.Open(dir, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Open(ctx, broker.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{T: t, Broker: b}
	s := h.connect("s", false)
	h.subscribe(s, 1, "t")
	h.publishMessage(&broker.Message{Topic: "kept", Payload: []byte("safe"), Retain: true})
	for i := range 1_000_000 {
		h.publish("t", fmt.Sprint(i), 1)
		fmt.Printf("safe %d\n", i)
		if i == 2 {
			h.ack(s, h.next(s, 3)[1])
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, subscribers := range []int{1, 100} {
		b.Run(fmt.Sprintf("QoS0/%d", subscribers), func(b *testing.B) {
			store, err := local.Open(b.TempDir(), local.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			br, err := broker.Open(ctx, broker.Config{Store: store})
			if err != nil {
				b.Fatal(err)
			}
			defer br.Close(ctx)
			for i := range subscribers {
				s, _, err := br.Connect(ctx, fmt.Sprint(i), broker.SessionOptions{Clean: true})
				if err != nil {
					b.Fatal(err)
				}
				s.Subscribe(ctx, []broker.Subscription{{Filter: "a/+", QoS: 0}}, nil)
				go func() {
					buf := make([]broker.Delivery, 0, 256)
					for {
						if _, err := s.Next(ctx, buf, all); err != nil {
							return
						}
					}
				}()
			}
			payload := make([]byte, 256)
			b.ReportAllocs()
			for b.Loop() {
				br.Publish(ctx, &broker.Message{Topic: "a/b", Payload: payload})
			}
			b.ReportMetric(float64(br.Stats().Dropped)/float64(b.N), "drops/op")
		})
	}
}

// How many QoS 1 messages a second are made durable for one persistent session.
func BenchmarkDurable(b *testing.B) {
	store, err := local.Open(b.TempDir(), local.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	br, err := broker.Open(ctx, broker.Config{Store: store, Limits: broker.Limits{QueueMessages: 1 << 30, QueueBytes: 1 << 40}})
	if err != nil {
		b.Fatal(err)
	}
	defer br.Close(ctx)
	s, _, err := br.Connect(ctx, "s", broker.SessionOptions{})
	if err != nil {
		b.Fatal(err)
	}
	s.Subscribe(ctx, []broker.Subscription{{Filter: "a", QoS: 1}}, nil)
	s.End(ctx, broker.EndCause{})
	payload := make([]byte, 256)
	b.SetParallelism(64)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			wait, err := br.Publish(ctx, &broker.Message{Topic: "a", Payload: payload, QoS: 1})
			if err == nil {
				err = wait(ctx)
			}
			if err != nil {
				b.Error(err)
			}
		}
	})
}
