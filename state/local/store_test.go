package local_test

import (
	"testing"

	"strait/state"
	"strait/state/local"
	"strait/state/statetest"
)

func open(t testing.TB, dir string, opts local.Options) *local.Store {
	t.Helper()
	s, err := local.Open(dir, opts)
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestContract runs the suite with a store as it is, and with one so small that
// hardly anything fits into its cache and its history.
func TestContract(t *testing.T) {
	for name, opts := range map[string]local.Options{
		"usual": {},
		"tiny":  {CacheBytes: 16 << 10, History: 4},
	} {
		t.Run(name, func(t *testing.T) {
			statetest.Run(t, func(t *testing.T) state.Store { return open(t, t.TempDir(), opts) })
		})
	}
}

func TestDurable(t *testing.T) {
	statetest.RunDurable(t, func(dir string) (state.Store, error) { return local.Open(dir, local.Options{}) })
}
