package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"strait/object"
	"strait/state"
)

// The keys of facts. An upload is named by the hash of its bucket, key and id:
// ids of other stores have any form and length.
const (
	bucketPrefix = "far/b/" // name
	uploadPrefix = "far/u/" // hash
	endedPrefix  = "far/t/" // hash
)

func hashOf(bucket, key, id string) string {
	h := sha256.New()
	for _, s := range []string{bucket, key, id} {
		sum := sha256.Sum256([]byte(s))
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// An ended upload is what is left of one for object.CompleteAgain.
type ended struct {
	At       time.Time
	Complete bool
	Parts    []byte      // the hash of those that Complete named
	Info     object.Info // that it answered
}

// read gets one fact; ok is false when there is none. One that cannot be read
// is none: what it says can be asked of the other store, or is lost.
func read[T any](ctx context.Context, facts state.Store, key string) (v T, ok bool, err error) {
	f, err := facts.Get(ctx, key)
	if errors.Is(err, state.ErrNotFound) {
		return v, false, nil
	}
	if err != nil {
		return v, false, err
	}
	if json.Unmarshal(f.Value, &v) != nil {
		return *new(T), false, nil
	}
	return v, true, nil
}

func write(key string, v any) state.Write {
	b, err := json.Marshal(v)
	if err != nil {
		panic("s3: a fact that JSON does not know: " + err.Error()) // our own types only
	}
	return state.Write{Key: key, Value: b}
}

func erase(key string) state.Write { return state.Write{Key: key, Delete: true} }

// each calls fn for every fact below prefix, a page at a time.
func (s *Store) each(ctx context.Context, prefix string, fn func(state.Fact) error) error {
	const page = 1000
	for after := ""; ; {
		facts, err := s.facts.List(ctx, prefix, after, page)
		if err != nil {
			return err
		}
		for _, f := range facts {
			if err := fn(f); err != nil {
				return err
			}
			after = f.Key
		}
		if len(facts) < page {
			return nil
		}
	}
}

// endedUpload returns what is left of an upload that has ended not long ago.
func (s *Store) endedUpload(ctx context.Context, bucket, key, id string) (ended, bool) {
	e, ok, err := read[ended](ctx, s.facts, endedPrefix+hashOf(bucket, key, id))
	return e, ok && err == nil && s.now().Sub(e.At) < object.CompleteAgain
}

// forget deletes what is old enough.
func (s *Store) forget(ctx context.Context) error {
	return s.each(ctx, endedPrefix, func(f state.Fact) error {
		var e ended
		if json.Unmarshal(f.Value, &e) == nil && s.now().Sub(e.At) < object.CompleteAgain {
			return nil
		}
		_, err := s.facts.Apply(ctx, erase(f.Key))
		return err
	})
}
