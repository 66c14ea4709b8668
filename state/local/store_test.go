package local_test

import (
	"testing"
	"time"

	"strait/state"
	"strait/state/local"
)

func open(t testing.TB, dir string) *local.Store {
	t.Helper()
	s, err := local.Open(dir, local.Options{})
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestOpenAgain(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	r, err := s.Apply(t.Context(), state.Write{Key: "a", Value: []byte("1")})
	if r != 1 || err != nil {
		t.Fatalf("apply: got revision %d and %v, want 1", r, err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	start := time.Now()
	s = open(t, dir)
	t.Log("opened in", time.Since(start))
	f, err := s.Get(t.Context(), "a")
	if err != nil || string(f.Value) != "1" || f.Revision != 1 {
		t.Fatalf("get after opening again: got %+v, %v", f, err)
	}
}
