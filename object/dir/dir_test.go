package dir_test

import (
	"testing"

	"strait/object"
	"strait/object/dir"
	"strait/object/objecttest"
	"strait/state"
	"strait/state/local"
)

func openFacts(t testing.TB, path string) state.Store {
	t.Helper()
	facts, err := local.Open(path, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { facts.Close() })
	return facts
}

func openStore(t testing.TB, path string, facts state.Store, o dir.Options) *dir.Store {
	t.Helper()
	s, err := dir.Open(path, facts, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestContract(t *testing.T) {
	objecttest.Run(t, func(t *testing.T) object.Store {
		return openStore(t, t.TempDir(), openFacts(t, t.TempDir()), dir.Options{})
	})
}

// With segments of little more than two blocks, every body spans several.
func TestContractSmallSegments(t *testing.T) {
	objecttest.Run(t, func(t *testing.T) object.Store {
		return openStore(t, t.TempDir(), openFacts(t, t.TempDir()), dir.Options{SegmentSize: 300_000})
	})
}
