package rule

import (
	"bytes"
	"context"
	"sync"
	"time"

	"strait"
)

// A Batch lets an HTTP action send several documents at once, as a JSON array
// [DG Batching HTTP action messages]. It is sent when the first of its bounds
// is reached.
type Batch struct {
	Open         time.Duration // how long the first document waits for others
	Size         int           // documents
	Bytes        int           // of the array; a larger document goes alone
	AcrossTopics bool          // documents of messages on different topics, too
}

// Bounds of a Batch, and what is meant where nothing is said.
const (
	minBatchOpen, maxBatchOpen   = 5 * time.Millisecond, 200 * time.Millisecond
	minBatchSize, maxBatchSize   = 2, 10
	minBatchBytes, maxBatchBytes = 100, 128 << 10

	batchOpen, batchSize, batchBytes = 20 * time.Millisecond, 10, 5 << 10
)

func (b *Batch) check() error {
	if b == nil {
		return nil
	}
	if b.Open == 0 {
		b.Open = batchOpen
	}
	if b.Size == 0 {
		b.Size = batchSize
	}
	if b.Bytes == 0 {
		b.Bytes = batchBytes
	}
	switch {
	case b.Open < minBatchOpen || b.Open > maxBatchOpen:
		return invalidAction("maxBatchOpenMs is between %d and %d", minBatchOpen.Milliseconds(), maxBatchOpen.Milliseconds())
	case b.Size < minBatchSize || b.Size > maxBatchSize:
		return invalidAction("maxBatchSize is between %d and %d", minBatchSize, maxBatchSize)
	case b.Bytes < minBatchBytes || b.Bytes > maxBatchBytes:
		return invalidAction("maxBatchSizeBytes is between %d and %d", minBatchBytes, maxBatchBytes)
	}
	return nil
}

// batches are the arrays that are being gathered. Each run stays what it is:
// it is kept, tried again and reported by itself, whatever its array was.
type batches struct {
	mu   sync.Mutex
	open map[batchKey]*openBatch
}

// Documents with the same key may travel together. Headers are those of the
// one that came last, as on AWS.
type batchKey struct{ rule, url, topic string }

type openBatch struct {
	task  Task // of the last one, with the whole array in the end
	docs  [][]byte
	bytes int           // of the array
	full  chan struct{} // closed when nothing more is taken in
	sent  chan struct{} // closed when err is known
	err   error
}

// send puts t into an array and returns when that has been sent, with its
// result. Whoever opens an array sends it.
func (b *batches) send(ctx context.Context, key batchKey, limits Batch, t Task, send func(Task) error) error {
	one, first := b.join(key, limits, t)
	if !first {
		<-one.sent // the first one always comes to an end
		return one.err
	}
	timer := time.NewTimer(limits.Open)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-one.full:
	case <-ctx.Done():
	}
	b.mu.Lock()
	if b.open[key] == one {
		delete(b.open, key)
	}
	b.mu.Unlock()
	// Nobody finds it any more.
	if one.err = ctx.Err(); one.err == nil {
		one.task.Payload = append(append([]byte{'['}, bytes.Join(one.docs, []byte{','})...), ']')
		one.err = send(one.task)
	}
	close(one.sent)
	return one.err
}

// join adds t to the array of key, or opens one.
func (b *batches) join(key batchKey, limits Batch, t Task) (one *openBatch, first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one = b.open[key]
	if one != nil && one.bytes+1+len(t.Payload) > limits.Bytes {
		b.shut(key, one)
		one = nil
	}
	if first = one == nil; first {
		one = &openBatch{bytes: 1, full: make(chan struct{}), sent: make(chan struct{})}
		if b.open == nil {
			b.open = map[batchKey]*openBatch{}
		}
		b.open[key] = one
	}
	one.task, one.docs, one.bytes = t, append(one.docs, t.Payload), one.bytes+1+len(t.Payload)
	if len(one.docs) >= limits.Size || one.bytes >= limits.Bytes {
		b.shut(key, one)
	}
	return one, first
}

func (b *batches) shut(key batchKey, one *openBatch) {
	delete(b.open, key)
	close(one.full)
}

// gather sends the document of r's action with others, if that is wished.
func (e *Engine) gather(ctx context.Context, rule Rule, r *run, t Task) error {
	limits := t.Action.HTTP.Batch
	if limits == nil {
		return e.cfg.Actor.Act(ctx, rule, t)
	}
	if !t.JSON {
		return strait.Errorf(strait.Invalid, "payload", "the payload is not JSON, and a batch is a JSON array; select encode(*, 'base64') AS data")
	}
	key := batchKey{rule: rule.Name, url: t.Action.HTTP.URL}
	if !limits.AcrossTopics {
		key.topic = r.entry.Topic
	}
	return e.batches.send(ctx, key, *limits, t, func(all Task) error { return e.cfg.Actor.Act(ctx, rule, all) })
}
