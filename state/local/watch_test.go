package local_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"testing"

	"strait"
	"strait/state"
	"strait/state/local"
)

// churn writes and deletes n facts below prefix, one at a time.
func churn(t *testing.T, s state.Store, prefix string, n int) {
	t.Helper()
	for i := range n {
		key := fmt.Sprintf("%s%04d", prefix, i)
		for _, w := range []state.Write{{Key: key}, {Key: key, Delete: true}} {
			if _, err := s.Apply(t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestWatchFromBeforeMemory asks for more than is remembered: deletes would be
// missed, so the watch must say so instead of going on.
func TestWatchFromBeforeMemory(t *testing.T) {
	s := open(t, t.TempDir(), local.Options{History: 8})
	r, err := s.Apply(t.Context(), state.Write{Key: "a"}, state.Write{Key: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), state.Write{Key: "a", Delete: true}); err != nil {
		t.Fatal(err)
	}
	churn(t, s, "other/", 100)
	for c, err := range s.Watch(t.Context(), "", r) {
		if strait.KindOf(err) != strait.Unavailable {
			t.Fatalf("watch from a forgotten revision: got %+v, error %v; want kind Unavailable", c, err)
		}
	}
	// From the beginning nobody can expect deletes, so that works.
	for c, err := range s.Watch(t.Context(), "b", 0) {
		if err != nil || c.Key != "b" {
			t.Fatalf("watch from 0: got %+v, error %v", c, err)
		}
		break
	}
}

// TestWatcherBehindMemory lets others' deletes flood the history while a
// watcher sleeps: the one delete that it must hear of is kept for it.
func TestWatcherBehindMemory(t *testing.T) {
	s := open(t, t.TempDir(), local.Options{History: 8})
	if _, err := s.Apply(t.Context(), state.Write{Key: "mine/a"}, state.Write{Key: "mine/b"}); err != nil {
		t.Fatal(err)
	}
	next, stop := iter.Pull2(s.Watch(t.Context(), "mine/", 0))
	defer stop()
	next()
	next()
	if _, err := s.Apply(t.Context(), state.Write{Key: "mine/a", Delete: true}); err != nil {
		t.Fatal(err)
	}
	churn(t, s, "other/", 200)
	last, err := s.Apply(t.Context(), state.Write{Key: "mine/c"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []state.Change{
		{Fact: state.Fact{Key: "mine/a", Revision: 2}, Deleted: true},
		{Fact: state.Fact{Key: "mine/c", Revision: last}},
	} {
		c, err, ok := next()
		if err != nil || !ok || c.Key != want.Key || c.Revision != want.Revision || c.Deleted != want.Deleted {
			t.Fatalf("watch: got %+v, error %v, more %v; want %+v", c, err, ok, want)
		}
	}
}

// TestWatchOfLargeFacts reads more than is kept at once, and changes what has
// not been told yet: the old values must not be told in place of the new ones.
func TestWatchOfLargeFacts(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, local.Options{})
	put := func(key string, v byte) {
		t.Helper()
		if _, err := s.Apply(t.Context(), state.Write{Key: key, Value: bytes.Repeat([]byte{v}, 400<<10)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 14 {
		put(fmt.Sprintf("%02d", i), 'a')
	}
	s.Close()
	s = open(t, dir, local.Options{})
	next, stop := iter.Pull2(s.Watch(t.Context(), "", 0))
	defer stop()
	want := func(key string, r state.Revision, v byte) {
		t.Helper()
		c, err, ok := next()
		if err != nil || !ok || c.Key != key || c.Revision != r || len(c.Value) != 400<<10 || c.Value[0] != v {
			t.Fatalf("watch: got %q at %d, %d bytes, error %v; want %q at %d", c.Key, c.Revision, len(c.Value), err, key, r)
		}
	}
	want("00", 1, 'a')
	put("12", 'b')
	if _, err := s.Apply(t.Context(), state.Write{Key: "13", Delete: true}); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < 12; i++ {
		want(fmt.Sprintf("%02d", i), state.Revision(i+1), 'a')
	}
	want("12", 15, 'b')
	if c, err, _ := next(); err != nil || !c.Deleted || c.Key != "13" {
		t.Fatalf("watch: got %q at %d, error %v; want the delete of 13", c.Key, c.Revision, err)
	}
}

// TestCancelledApplyDidNothing: this store promises more than the contract, that
// an error of the context means that nothing was changed.
func TestCancelledApplyDidNothing(t *testing.T) {
	s := open(t, t.TempDir(), local.Options{})
	cancelled := 0
	for i := range 300 {
		ctx, cancel := context.WithCancel(t.Context())
		ahead := make(chan struct{}) // something for the writer to be busy with
		go func() {
			defer close(ahead)
			if _, err := s.Apply(t.Context(), state.Write{Key: "busy"}); err != nil {
				t.Error(err)
			}
		}()
		go cancel()
		key := fmt.Sprint("k", i)
		_, err := s.Apply(ctx, state.Write{Key: key})
		<-ahead
		_, missing := s.Get(t.Context(), key)
		if (err == nil) != (missing == nil) {
			t.Fatalf("apply answered %v, then get %v", err, missing)
		}
		if err != nil {
			cancelled++
		}
	}
	t.Logf("%d of 300 were cancelled", cancelled)
}
