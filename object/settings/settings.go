// Package settings keeps what the owner of a bucket has set for it: its rules
// of expiry, who is to be told of its objects, its tags. One Kept holds one kind
// of setting for all buckets, durably.
//
// It knows neither what a setting means nor whether the bucket exists: whoever
// makes a bucket drops what an earlier one of the name left behind.
package settings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"strait"
	"strait/state"
)

// MaxSize is how many bytes of JSON one setting may take.
const MaxSize = 384 << 10

const prefix = "bucket/" // kind "/" bucket

// A Kept holds settings of one kind, by bucket. Its methods may be called from
// many goroutines.
type Kept[T any] struct {
	facts state.Store
	kind  string

	mu     sync.RWMutex
	parsed map[string]parsed[T] // by bucket; right only at its revision
}

type parsed[T any] struct {
	revision state.Revision
	value    T
}

// Open returns the settings called kind ("lifecycle") in facts.
func Open[T any](facts state.Store, kind string) *Kept[T] {
	return &Kept[T]{facts: facts, kind: kind, parsed: map[string]parsed[T]{}}
}

func (k *Kept[T]) key(bucket string) string { return prefix + k.kind + "/" + bucket }

// Get returns what is set for a bucket; ok is false when nothing is. The value
// is shared and must not be changed.
func (k *Kept[T]) Get(ctx context.Context, bucket string) (v T, ok bool, err error) {
	f, err := k.facts.Get(ctx, k.key(bucket))
	if errors.Is(err, state.ErrNotFound) {
		return v, false, nil
	}
	if err != nil {
		return v, false, err
	}
	v, err = k.parse(bucket, f)
	return v, err == nil, err
}

// parse reads a fact, once for each revision of it.
func (k *Kept[T]) parse(bucket string, f state.Fact) (v T, err error) {
	k.mu.RLock()
	p, ok := k.parsed[bucket]
	k.mu.RUnlock()
	if ok && p.revision == f.Revision {
		return p.value, nil
	}
	if err := json.Unmarshal(f.Value, &v); err != nil {
		return v, fmt.Errorf("the %s of bucket %s cannot be read: %w", k.kind, bucket, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.parsed[bucket] = parsed[T]{f.Revision, v}
	return v, nil
}

// Set sets v for a bucket, in place of what was set.
func (k *Kept[T]) Set(ctx context.Context, bucket string, v T) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > MaxSize {
		return strait.Errorf(strait.TooLarge, "xml", "the %s of a bucket has at most %d bytes as it is stored; this has %d", k.kind, MaxSize, len(b))
	}
	_, err = k.facts.Apply(ctx, state.Write{Key: k.key(bucket), Value: b})
	return err
}

// Drop takes back what was set for a bucket, if anything was.
func (k *Kept[T]) Drop(ctx context.Context, bucket string) error {
	if _, err := k.facts.Get(ctx, k.key(bucket)); errors.Is(err, state.ErrNotFound) {
		return nil
	}
	_, err := k.facts.Apply(ctx, state.Write{Key: k.key(bucket), Delete: true})
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.parsed, bucket)
	return err
}

// Each calls fn for every bucket for which something is set, by name.
func (k *Kept[T]) Each(ctx context.Context, fn func(bucket string, v T) error) error {
	const page = 100 // values may be large
	for after := ""; ; {
		facts, err := k.facts.List(ctx, k.key(""), after, page)
		if err != nil {
			return err
		}
		for _, f := range facts {
			bucket := strings.TrimPrefix(f.Key, k.key(""))
			v, err := k.parse(bucket, f)
			if err == nil {
				err = fn(bucket, v)
			}
			if err != nil {
				return err
			}
			after = f.Key
		}
		if len(facts) < page {
			return nil
		}
	}
}
