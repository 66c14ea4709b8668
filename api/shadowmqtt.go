package api

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"strait"
	"strait/broker"
	"strait/shadow"
)

// A request for a shadow is a message to a topic of the house. Whoever may
// publish to the topic asks, and whoever may subscribe to and receive from the
// topics of the answers learns them: the policies say no more and no less than
// for any other topic. The request itself is delivered, too, and rules see both.

// maxInFlight is how many requests of one thing a connection may have under way
// (iot-shadow-and-data.md, section 3).
const maxInFlight = 10

var shadowOps = map[string]shadow.Op{"get": shadow.Get, "update": shadow.Update, "delete": shadow.Delete}

// shadowTopic reads the topic of a request.
func shadowTopic(topic string) (r shadow.Request, ok bool) {
	rest, ok := strings.CutPrefix(topic, "$aws/things/")
	if !ok {
		return r, false
	}
	parts := strings.Split(rest, "/")
	switch {
	case len(parts) == 3 && parts[1] == "shadow":
	case len(parts) == 5 && parts[1] == "shadow" && parts[2] == "name" && parts[3] != "":
		r.Name.Shadow = parts[3]
	default:
		return r, false
	}
	r.Name.Thing = parts[0]
	r.Op, ok = shadowOps[parts[len(parts)-1]]
	return r, ok && r.Name.Valid() == nil
}

// shadowBase is where the topics of a shadow begin.
func shadowBase(r shadow.Request) string {
	base := "$aws/things/" + r.Name.Thing + "/shadow/"
	if r.Name.Shadow != "" {
		base += "name/" + r.Name.Shadow + "/"
	}
	for word, op := range shadowOps {
		if op == r.Op {
			base += word
		}
	}
	return base
}

// waits are what must be durable before a message is acknowledged.
type waits []func(context.Context) error

func (w waits) wait(ctx context.Context) (err error) {
	for _, wait := range w {
		if wait != nil {
			err = errors.Join(err, wait(ctx))
		}
	}
	return err
}

// inFlight counts the requests that a connection has under way, by thing.
type inFlight struct {
	mu sync.Mutex
	n  map[string]int
}

func (f *inFlight) begin(thing string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n[thing] >= maxInFlight {
		return false
	}
	if f.n == nil {
		f.n = map[string]int{}
	}
	f.n[thing]++
	return true
}

func (f *inFlight) end(thing string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n[thing]--; f.n[thing] == 0 {
		delete(f.n, thing)
	}
}

// publish hands an admitted message to the broker and, when it is a request
// for a shadow, has that answered. The wait is over when what the request did,
// and its answer, is durable. under counts the requests of a connection; it is
// nil for publishers that have none.
func (m *MQTT) publish(ctx context.Context, msg *broker.Message, under *inFlight, later *broker.Wakes) (func(context.Context) error, error) {
	r, isRequest := shadowTopic(msg.Topic)
	wait, err := m.Broker.PublishLater(ctx, msg, later)
	if err != nil || !isRequest {
		return wait, err
	}
	r.Document = msg.Payload
	answered := m.ask(r, msg, under)
	return func(ctx context.Context) error {
		err := waits{wait}.wait(ctx)
		select {
		case told := <-answered:
			answered <- told // the wait may be called again
			return errors.Join(err, told.wait(ctx))
		case <-ctx.Done():
			return ctx.Err()
		}
	}, nil
}

func (m *MQTT) ask(r shadow.Request, msg *broker.Message, under *inFlight) chan waits {
	answered := make(chan waits, 1)
	refuse := func(err error) chan waits {
		answered <- m.tellShadow(r, shadow.Answer{Err: err, Time: m.Now(), Token: shadow.TokenOf(r.Document)}, msg)
		return answered
	}
	if err := m.mayAsk(r.Name); err != nil {
		return refuse(err)
	}
	if under != nil && !under.begin(r.Name.Thing) {
		return refuse(strait.Errorf(strait.Limit, "shadow requests", "Too many requests are in flight; at most %d of a thing on a connection", maxInFlight))
	}
	err := m.Shadows.Submit(r, func(a shadow.Answer) {
		told := m.tellShadow(r, a, msg)
		if under != nil {
			under.end(r.Name.Thing)
		}
		answered <- told
	})
	if err != nil {
		if under != nil {
			under.end(r.Name.Thing)
		}
		return refuse(err)
	}
	return answered
}

// tellShadow publishes what came of a request, in the order in which clients
// can use it.
func (m *MQTT) tellShadow(r shadow.Request, a shadow.Answer, of *broker.Message) (w waits) {
	base := shadowBase(r)
	if a.Err != nil {
		if of.Trace != "" && of.Publisher != "" {
			m.Authorizer.Recorder.Event(of.Trace, of.Publisher, "Shadow", "the shadow service refused what came on "+of.Topic+": "+plainly(a.Err), true)
		}
		return append(w, m.say(base+"/rejected", shadowRefusal(a), of))
	}
	w = append(w, m.say(base+"/accepted", a.Document, of))
	if a.Delta != nil {
		w = append(w, m.say(base+"/delta", a.Delta, of))
	}
	if a.Documents != nil {
		w = append(w, m.say(base+"/documents", a.Documents, of))
	}
	return w
}

// sayTime is how long a message of the house may wait for a store that is behind.
const sayTime = 5 * time.Second

// say publishes a message of the house that belongs to the story of another
// one, if anybody wants it, with QoS 1 (which AWS uses is not documented).
func (m *MQTT) say(topic string, payload []byte, of *broker.Message) func(context.Context) error {
	taken := m.Rules.Takes(topic)
	if !taken && !m.Broker.Wanted(topic) {
		return nil
	}
	// Hops are kept, so that a rule that answers a shadow's messages with
	// requests to it comes to an end.
	msg := &broker.Message{Topic: topic, Payload: payload, QoS: 1, Trace: of.Trace, Hops: of.Hops}
	if taken && msg.Trace == "" {
		msg.Trace = NewTrace()
	}
	ctx, cancel := context.WithTimeout(context.Background(), sayTime)
	defer cancel()
	wait, err := m.Broker.Publish(ctx, msg)
	if err != nil {
		return func(context.Context) error { return err }
	}
	return wait
}
