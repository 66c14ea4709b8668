package function

import (
	"container/heap"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"strait/state"
)

// This file is how queued events lie in the store.

// store writes the parts of the payload and then, with the last of them, the
// item: what has no item is swept at the next start.
func (q *queue) store(ctx context.Context, it *item, payload []byte) error {
	var last state.Write
	for {
		part := payload[:min(len(payload), payloadPart)]
		payload = payload[len(part):]
		last = state.Write{Key: partKey(it.ID, it.Parts), Value: part}
		it.Parts++
		if len(payload) == 0 {
			break
		}
		if _, err := q.engine.cfg.Store.Apply(ctx, last); err != nil {
			return err
		}
	}
	w, err := it.write()
	if err != nil {
		return err
	}
	w.Expect = state.Absent()
	_, err = q.engine.cfg.Store.Apply(ctx, last, w)
	return err
}

func partKey(id string, n int) string { return fmt.Sprintf("%s%s/%04d", payloadKey, id, n) }

func (it *item) write() (state.Write, error) {
	data, err := json.Marshal(it)
	return state.Write{Key: queueKey + it.ID, Value: data}, err
}

func (q *queue) payload(ctx context.Context, it *item) ([]byte, error) {
	q.mu.Lock()
	if f := it.fresh; f != nil && !f.kept {
		defer q.mu.Unlock()
		return f.payload, nil
	}
	q.mu.Unlock()
	var all []byte
	for n := range it.Parts {
		fact, err := q.engine.cfg.Store.Get(ctx, partKey(it.ID, n))
		if err != nil {
			return nil, err
		}
		all = append(all, fact.Value...)
	}
	return all, nil
}

// load takes up what an earlier engine left.
func (q *queue) load(ctx context.Context) error {
	known := map[string]bool{}
	err := q.each(ctx, queueKey, func(fact state.Fact) error {
		it := &item{}
		if err := json.Unmarshal(fact.Value, it); err != nil {
			return fmt.Errorf("read the fact %s: %w", fact.Key, err)
		}
		known[it.ID] = true
		heap.Push(&q.waiting, it)
		q.count++
		return nil
	})
	if err != nil {
		return err
	}
	return q.each(ctx, payloadKey, func(fact state.Fact) error {
		id, _, _ := strings.Cut(strings.TrimPrefix(fact.Key, payloadKey), "/")
		if known[id] {
			return nil
		}
		_, err := q.engine.cfg.Store.Apply(ctx, state.Write{Key: fact.Key, Delete: true})
		return err
	})
}

// each calls fn for all facts below prefix, a page at a time.
func (q *queue) each(ctx context.Context, prefix string, fn func(state.Fact) error) error {
	after := ""
	for {
		facts, err := q.engine.cfg.Store.List(ctx, prefix, after, 100)
		if err != nil {
			return err
		}
		for _, fact := range facts {
			if err := fn(fact); err != nil {
				return err
			}
			after = fact.Key
		}
		if len(facts) < 100 {
			return nil
		}
	}
}
