package dir_test

import (
	"errors"
	"strings"
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

// TestAlsoIsOneBatch: what is to be true together with an object cannot be
// without it, nor the object without that.
func TestAlsoIsOneBatch(t *testing.T) {
	facts := openFacts(t, t.TempDir())
	s := openStore(t, t.TempDir(), facts, dir.Options{})
	ctx := t.Context()
	if err := s.CreateBucket(ctx, "bucket", "owner"); err != nil {
		t.Fatal(err)
	}
	also := func(size int) object.Also {
		return func(object.Info) []state.Write { return []state.Write{{Key: "note", Value: make([]byte, size)}} }
	}
	_, err := s.Put(ctx, "bucket", "k", strings.NewReader("x"), object.PutOptions{Size: 1, Also: also(state.MaxBatch)})
	if _, head := s.Head(ctx, "bucket", "k"); !errors.Is(err, state.ErrTooLarge) || head == nil {
		t.Errorf("put with a note that cannot be kept: %v, and the object is there: %v", err, head == nil)
	}
	if _, err := s.Put(ctx, "bucket", "k", strings.NewReader("x"), object.PutOptions{Size: 1, Also: also(1)}); err != nil {
		t.Fatal(err)
	}
	made, err := facts.List(ctx, "object/o/", "", 0)
	note, err2 := facts.Get(ctx, "note")
	if err != nil || err2 != nil || len(made) != 1 || made[0].Revision != note.Revision {
		t.Errorf("object and note: %v %v, %v %v", made, err, note.Revision, err2)
	}
	if err := s.Delete(ctx, "bucket", "k", object.DeleteOptions{Also: also(state.MaxBatch)}); !errors.Is(err, state.ErrTooLarge) {
		t.Errorf("delete with a note that cannot be kept: %v", err)
	}
	if _, err := s.Head(ctx, "bucket", "k"); err != nil {
		t.Errorf("a delete whose note was not kept: %v", err)
	}
}
