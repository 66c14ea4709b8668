package dir_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"strait/object"
	"strait/object/dir"
)

// opened counts the segments below path that this process has open, and those
// of them that are unlinked.
func opened(t *testing.T, path string) (n, unlinked int) {
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(fds) == 0 {
		t.Fatal("no list of open files", err)
	}
	for _, fd := range fds {
		name, err := os.Readlink(fd)
		if err != nil || !strings.HasPrefix(name, path) || !strings.Contains(name, ".seg") {
			continue
		}
		n++
		if strings.HasSuffix(name, "(deleted)") {
			unlinked++
		}
	}
	return n, unlinked
}

// Segments stay open for readers, but not many of them, and none that is gone:
// its space would not come back.
func TestHandles(t *testing.T) {
	const objects, most = 100, 32 + 8 // for readers, and for the next writers
	h := newHome(t, dir.Options{SegmentSize: 10_000})
	want := make([]byte, 9000)
	rand.NewChaCha8([32]byte{}).Read(want)
	for i := range objects {
		h.put(fmt.Sprint(i), want)
	}
	var g sync.WaitGroup
	for w := range 8 {
		g.Go(func() {
			for i := range objects {
				h.holds(fmt.Sprint((i*(w+1))%objects), want)
			}
		})
	}
	g.Wait()
	if n, _ := opened(t, h.path); n == 0 || n > most {
		t.Errorf("%d segments are open, at most %d should be", n, most)
	}
	_, r, err := h.Get(t.Context(), "bucket", "7")
	if err != nil {
		t.Fatal(err)
	}
	half := make([]byte, 4000)
	if _, err := r.ReadAt(half, 0); err != nil {
		t.Fatal(err)
	}
	for i := range objects {
		if err := h.Delete(t.Context(), "bucket", fmt.Sprint(i), object.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	r.Close()
	if n, unlinked := opened(t, h.path); unlinked != 0 || n > most {
		t.Errorf("%d segments are open, %d of them unlinked", n, unlinked)
	}
	h.again(func() {
		if n, _ := opened(t, h.path); n != 0 {
			t.Errorf("%d segments are open after Close", n)
		}
	})
}

// Check looks at the files that are there, not at those that were.
func TestCheckSeesAMissingFile(t *testing.T) {
	h := newHome(t, dir.Options{})
	h.put("k", []byte("x"))
	h.holds("k", []byte("x"))
	if err := os.Remove(h.files()[0]); err != nil {
		t.Fatal(err)
	}
	found := 0
	if err := h.Check(t.Context(), func(object.Problem) { found++ }); err != nil || found != 1 {
		t.Errorf("check found %d, %v", found, err)
	}
}
