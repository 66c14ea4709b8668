package function

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"strait"
)

// A Sender tells a destination, which is a function, what became of an event.
type Sender interface {
	// Send starts the function to asynchronously with payload, as a session of
	// f's execution role. When it returns nil the event is durable or over.
	// hops counts the events that led to this one.
	Send(ctx context.Context, f Function, to strait.ARN, payload []byte, trace string, hops int) error
}

// maxHops is how many events may follow from each other by destinations:
// functions that tell each other must come to an end. AWS stops such loops
// after 16, too [Recursive loop detection].
const maxHops = 16

// Reasons for which an event is over, as its destination is told.
const (
	succeeded = "Success"
	exhausted = "RetriesExhausted"
	tooOldNow = "EventAgeExceeded"
)

// An attempt is what came of running an item once.
type attempt struct {
	function Function
	async    Async
	payload  []byte
	result   Result
	ran      bool // there is a result
}

// deliver tells the destinations of it that it is over. An error says that one
// could not be told; then it is lost for that one.
func (q *queue) deliver(it *item, a attempt, condition string) error {
	type message struct {
		to      strait.ARN
		payload []byte
	}
	var messages []message
	to := a.async.OnFailure
	if condition == succeeded {
		to = a.async.OnSuccess
	}
	if to != "" {
		messages = append(messages, message{to, q.record(it, a, condition)})
	}
	if a.function.DeadLetter != "" && condition != succeeded {
		messages = append(messages, message{a.function.DeadLetter, a.payload})
	}
	if len(messages) == 0 {
		return nil
	}
	if q.engine.cfg.Sender == nil || it.Hops >= maxHops {
		return fmt.Errorf("%d events followed from each other by destinations; they end here", it.Hops)
	}
	var failed error
	for _, m := range messages {
		if err := q.send(it, a, m.to, m.payload); err != nil {
			failed = fmt.Errorf("its destination %s could not be told: %w", m.to, err)
		}
	}
	return failed
}

// send tries some times where trying again may help.
func (q *queue) send(it *item, a attempt, to strait.ARN, payload []byte) error {
	e := q.engine
	for n := 1; ; n++ {
		// Also while the engine closes: otherwise the event would run again.
		err := e.cfg.Sender.Send(context.WithoutCancel(e.ctx), a.function, to, payload, it.Trace, it.Hops+1)
		kind := strait.KindOf(err)
		if err == nil || n == 3 || kind != strait.Unavailable && kind != strait.Limit {
			return err
		}
		select {
		case <-e.ctx.Done():
			return err
		case <-time.After(time.Duration(n) * 200 * time.Millisecond):
		}
	}
}

// record is what a destination is told [Invocation record].
func (q *queue) record(it *item, a attempt, condition string) []byte {
	type request struct {
		ID        string     `json:"requestId"`
		Function  strait.ARN `json:"functionArn"`
		Condition string     `json:"condition"`
		Count     int        `json:"approximateInvokeCount"`
	}
	type response struct {
		Status  int    `json:"statusCode"`
		Version string `json:"executedVersion"`
		Error   string `json:"functionError,omitempty"`
	}
	doc := struct {
		Version  string          `json:"version"`
		Time     string          `json:"timestamp"`
		Request  request         `json:"requestContext"`
		Payload  json.RawMessage `json:"requestPayload,omitempty"`
		Context  *response       `json:"responseContext,omitempty"`
		Response json.RawMessage `json:"responsePayload,omitempty"`
	}{
		"1.0", q.engine.cfg.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
		request{it.ID, a.function.ARN + strait.ARN(":"+normal(it.Qualifier)), condition, it.Attempt}, a.payload, nil, nil,
	}
	if a.ran {
		doc.Context = &response{200, a.result.Version, a.result.FunctionError}
		if doc.Response = a.result.Payload; !json.Valid(doc.Response) {
			doc.Response, _ = json.Marshal(string(a.result.Payload)) // strings cannot fail
		}
	}
	data, err := json.Marshal(doc)
	// What a function cannot take is left out of what it is told.
	if len(data) > MaxAsync {
		doc.Response = nil
		data, err = json.Marshal(doc)
	}
	if len(data) > MaxAsync {
		doc.Payload = nil
		data, err = json.Marshal(doc)
	}
	if err != nil { // both payloads are valid JSON
		return []byte("{}")
	}
	return data
}
