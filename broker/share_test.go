package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"strait"
	"strait/broker"
)

func TestSharedSubscription(t *testing.T) {
	h := open(t, broker.Config{})
	a, b := h.connect("a", false), h.connect("b", true)
	h.subscribe(a, 1, "$share/g/t/+")
	h.subscribe(b, 0, "$share/g/t/+")
	other := h.connect("other", true)
	h.subscribe(other, 1, "$share/h/t/+", "t/1") // a group of its own, and beside it
	h.publishMessage(&broker.Message{Topic: "t/1", Payload: []byte("kept"), QoS: 1, Retain: true})
	h.ack(other, h.next(other, 2)...)

	// 1. Each message goes to one member of a group, in the end to both.
	const n = 60
	for i := range n {
		h.publish("t/2", fmt.Sprint(i), 1)
	}
	h.publish("only", "mark", 0)
	got := 0
	for _, s := range []*broker.Session{a, b} {
		h.subscribe(s, 0, "only/"+s.ClientID())
		h.publish("only/"+s.ClientID(), "mark", 0)
		mine := 0
		for d := h.next(s, 1)[0]; d.Topic != "only/"+s.ClientID(); d = h.next(s, 1)[0] {
			mine++
			h.ack(s, d)
		}
		if mine < 5 {
			t.Errorf("%s got %d of %d", s.ClientID(), mine, n)
		}
		got += mine
	}
	if got != n+1 {
		t.Errorf("the group got %d messages, want %d", got, n+1)
	}
	h.ack(other, h.next(other, n)...)

	// 2. No retained message.
	h.subscribe(b, 1, "$share/g/t/1")
	h.nothing(b)
	if err := b.Unsubscribe(ctx, []string{"$share/g/t/1"}); err != nil {
		t.Fatal(err)
	}

	// 3. The one who is connected gets it.
	a.End(ctx, broker.EndCause{Clean: true})
	for range 10 {
		h.publish("t/2", "b's", 1)
	}
	h.next(b, 10)
	// 4. With nobody connected QoS 1 is kept by a persistent session, also
	// over a restart; QoS 0 is lost.
	b.End(ctx, broker.EndCause{Clean: true})
	h.publish("t/2", "1", 1)
	h.publish("t/2", "lost", 0)
	h.restart()
	h.publish("t/2", "2", 1)
	a = h.connect("a", false)
	h.want("kept", h.next(a, 2), "1", "2")
	// 5. After the last member nothing is left of the group.
	if err := a.Unsubscribe(ctx, []string{"$share/g/t/+"}); err != nil {
		t.Fatal(err)
	}
	h.publish("t/2", "3", 1)
	h.nothing(a)
}

func TestSharedSubscriptionLimits(t *testing.T) {
	h := open(t, broker.Config{Limits: broker.Limits{Sessions: 103, Subscriptions: 200}})
	s := h.connect("s", true)
	for i := range 100 {
		h.subscribe(s, 0, fmt.Sprintf("$share/%d/t", i))
	}
	refused, err := s.Subscribe(ctx, []broker.Subscription{{Filter: "$share/x/u", QoS: 0}, {Filter: "$share/5/t", QoS: 1}}, nil)
	if err != nil || strait.KindOf(refused[0]) != strait.Limit || refused[1] != nil {
		t.Errorf("group 101: %v, %v", refused, err)
	}
	for i := range 99 {
		h.subscribe(h.connect(fmt.Sprint(i), true), 0, "$share/0/t")
	}
	late := h.connect("late", true)
	if refused, _ := late.Subscribe(ctx, []broker.Subscription{{Filter: "$share/0/t", QoS: 0}}, nil); refused == nil || strait.KindOf(refused[0]) != strait.Limit {
		t.Errorf("member 101: %v", refused)
	}
	s.End(ctx, broker.EndCause{}) // makes room
	h.subscribe(late, 0, "$share/0/t", "$share/x/u")

	for i := range 3 {
		h.connect(strings.Repeat("x", i+1), true)
	}
	if _, _, err := h.Connect(ctx, "one too many", broker.SessionOptions{}); strait.KindOf(err) != strait.Limit {
		t.Errorf("connect beyond the limit: %v", err)
	}
	h.connect("late", false) // taking over needs no room
}
