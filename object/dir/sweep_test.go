package dir_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"strait/object"
	"strait/object/dir"
	"strait/state"
)

// Small objects that go one by one, each too small for a hole of its own, leave
// segments that are almost empty. A sweep gives back what lies between the few
// that stay.
func TestSweep(t *testing.T) {
	h := newHome(t, dir.Options{SegmentSize: 4 << 20})
	const objects, stay = 500, 100
	want := map[string][]byte{}
	for i := range objects {
		key := fmt.Sprint(i)
		b := bytes.Repeat([]byte(key+" "), 12_000/(len(key)+1))
		h.put(key, b)
		if i%stay == 0 {
			want[key] = b
		}
	}
	for i := range objects {
		if i%stay != 0 {
			if err := h.Delete(t.Context(), "bucket", fmt.Sprint(i), object.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.again(func() {}) // so that no segment is being appended to
	before := h.blocks()
	if _, err := h.AbortOlder(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	after := h.blocks()
	t.Logf("%d objects of 12 kB, of which %d stay: %d bytes on the disk, after a sweep %d", objects, len(want), before, after)
	if after == before {
		t.Skip("this file system keeps holes")
	}
	if most := int64(len(want))*(12_000+2*4096) + 1<<20; after > most { // one segment is not worth it
		t.Errorf("%d bytes are still taken, want %d at the most", after, most)
	}
	for key, b := range want {
		h.holds(key, b)
	}
	h.check()
}

// Sweeps go on while others put, read and delete: nothing that is there is lost.
func TestSweepAmongOthers(t *testing.T) {
	h := newHome(t, dir.Options{SegmentSize: 3 << 20})
	var freed int64
	var writers, sweeper sync.WaitGroup
	done := make(chan struct{})
	sweeper.Go(func() {
		for {
			n, err := h.Sweep(t.Context())
			if freed += n; err != nil {
				t.Errorf("sweep: %v", err)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for w := range 4 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 7))
			for i := range 40 {
				key := fmt.Sprintf("%d-%d", w, i)
				b := bytes.Repeat([]byte(key+" "), 1+r.IntN(10_000))
				if err := putEitherWay(t.Context(), h.Store, key, b, r.IntN(4) == 0); err != nil {
					t.Errorf("put: %v", err)
				}
				if got, err := read(h.Store, key); err != nil || !bytes.Equal(got, b) {
					t.Errorf("%s: read %d of %d bytes, %v", key, len(got), len(b), err)
				}
				if r.IntN(10) > 0 {
					if err := h.Delete(t.Context(), "bucket", key, object.DeleteOptions{}); err != nil {
						t.Errorf("delete: %v", err)
					}
				}
			}
		})
	}
	writers.Wait()
	close(done)
	sweeper.Wait()
	if h.check(); freed == 0 {
		t.Log("no sweep gave anything back: this file system keeps holes, or all went in time")
	}
}

// slow is a state.Store that keeps one object waiting.
type slow struct {
	state.Store
	begun, release chan struct{}
}

func (s *slow) Apply(ctx context.Context, w ...state.Write) (state.Revision, error) {
	if strings.HasSuffix(w[len(w)-1].Key, "\x00slow") {
		close(s.begun)
		<-s.release
	}
	return s.Store.Apply(ctx, w...)
}

// The bytes of an object that no record names yet lie in a segment that is full
// and almost dead: a sweep at this moment spares them.
func TestSweepSparesWhatIsOnItsWay(t *testing.T) {
	facts := &slow{Store: openFacts(t, t.TempDir()), begun: make(chan struct{}), release: make(chan struct{})}
	s := openStore(t, filepath.Join(t.TempDir(), "objects"), facts, dir.Options{SegmentSize: 2 << 20})
	if err := s.CreateBucket(t.Context(), "bucket", ""); err != nil {
		t.Fatal(err)
	}
	put := func(key string, b []byte) {
		if _, err := s.Put(t.Context(), "bucket", key, bytes.NewReader(b), object.PutOptions{Size: -1}); err != nil {
			t.Errorf("put %s: %v", key, err)
		}
	}
	for i := range 40 {
		put(fmt.Sprint(i), make([]byte, 40_000))
	}
	for i := range 39 {
		if err := s.Delete(t.Context(), "bucket", fmt.Sprint(i), object.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	body := bytes.Repeat([]byte("0123456789abcdef"), 3<<20/16) // the first of it fills the segment
	var writer sync.WaitGroup
	writer.Go(func() { put("slow", body) })
	<-facts.begun
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("sweep while an object is on its way: %d bytes, %v", n, err)
	}
	close(facts.release)
	writer.Wait()
	if got, err := read(s, "slow"); err != nil || !bytes.Equal(got, body) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	if n, err := s.Sweep(t.Context()); n < 1<<20 || err != nil {
		t.Logf("a later sweep gave back %d bytes, %v: this file system keeps holes", n, err)
	}
	if got, err := read(s, "slow"); err != nil || !bytes.Equal(got, body) {
		t.Errorf("after a sweep: read %d bytes, %v", len(got), err)
	}
}
