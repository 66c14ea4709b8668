package dir_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"strait/object"
	"strait/object/dir"
)

// A large body is on its way to the disk while more of it comes: without gaps,
// nothing twice, never beyond what is written, and again from where a body was
// taken back. Nothing of it counts as durable: the sync comes all the same.
func TestEarly(t *testing.T) {
	type stretch struct{ from, to int64 }
	seen, synced := map[string][]stretch{}, 0
	h := newHome(t, dir.Options{}.WithEarly(func(f *os.File, offset, length int64) {
		name := filepath.Base(f.Name())
		if i, err := f.Stat(); err != nil || offset+length > i.Size() {
			t.Errorf("%s: from %d on %d bytes were begun, but it ends at %d (%v)", name, offset, length, i.Size(), err)
		}
		seen[name] = append(seen[name], stretch{offset, offset + length})
	}).WithSync(func(_ *os.File, next func() error) error { synced++; return next() }))

	// 1. A small body: nothing is worth it.
	h.put("small", make([]byte, 100_000))
	if len(seen) != 0 {
		t.Fatalf("for a small body: %v", seen)
	}

	// 2. A large one: all but its end.
	large := bytes.Repeat([]byte("strait's early bytes"), 5<<20/20)
	before := synced
	h.put("large", large)
	h.holds("large", large)
	if synced == before {
		t.Error("a large body was not synced")
	}
	if len(seen) != 1 {
		t.Fatalf("for a large body: %v", seen)
	}
	for name, all := range seen {
		at := int64(0)
		for _, s := range all {
			if s.from != at {
				t.Errorf("%s: from %d on was begun, but the last ended at %d", name, s.from, at)
			}
			at = s.to
		}
		if left := int64(len(large)) + 100_000 - at; left > 1<<20 {
			t.Errorf("%s: %d bytes were left to the end", name, left)
		}
	}

	// 3. One that breaks off is cut away, and what comes in its place is begun, too.
	broken := errors.New("broken off")
	clear(seen)
	_, err := h.Put(t.Context(), "bucket", "broken", io.MultiReader(bytes.NewReader(large), failing{broken}), object.PutOptions{Size: -1})
	if !errors.Is(err, broken) {
		t.Fatalf("a body that broke off: %v", err)
	}
	h.put("next", large)
	h.holds("next", large)
	for name, all := range seen {
		again := false
		for i := 1; i < len(all); i++ {
			again = again || all[i].from < all[i-1].to
		}
		if !again {
			t.Errorf("%s: %v, the second body in the place of the first was not begun", name, all)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
