//go:build linux

package local_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"testing"

	"strait"
	"strait/await"
	"strait/state"
	"strait/state/local"
)

// TestDiskFull fills a real, small file system, sees what callers are told,
// makes room and sees the store go on.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m,mode=0700"); err != nil {
		t.Skipf("cannot mount a small file system here: %v", err)
	}
	t.Cleanup(func() { unmount(t, dir) })
	ballast := dir + "/ballast"
	trouble(t, dir+"/facts",
		func() { fillUp(t, ballast) },
		func() {
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
		})
}

// unmount waits for the kernel to let go of what has just been closed.
func unmount(t *testing.T, at string) {
	t.Helper()
	await.Until(t, "umount "+at, func() bool { return exec.Command("umount", at).Run() == nil })
}

// fillUp writes until nothing fits any more.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}
}

// TestWriteError makes the kernel refuse writes beyond a size of file, which
// SQLite sees as an input/output error and not as a full disk.
func TestWriteError(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	set := func(r syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &r); err != nil {
			t.Fatal(err)
		}
	}
	defer set(was)
	trouble(t, t.TempDir(),
		func() { set(syscall.Rlimit{Cur: 1536 << 10, Max: was.Max}) },
		func() { set(was) })
}

// trouble runs writers while the disk is broken and again when it has healed.
// What each was answered must be what is there: then, and after opening again.
func trouble(t *testing.T, dir string, breakDisk, healDisk func()) {
	s := open(t, dir, local.Options{})
	acks := &acknowledged{facts: map[string]bool{}}
	w := s.Watch(t.Context(), "", 0)
	watched := map[string]bool{}

	acks.write(t, s, "before", 8, 10)
	if acks.failed > 0 {
		t.Fatalf("%d writes failed on a healthy disk", acks.failed)
	}
	breakDisk()
	acks.write(t, s, "during", 8, 40)
	if acks.failed == 0 {
		t.Fatal("no write failed on a broken disk")
	}
	t.Logf("on the broken disk %d writes failed, the first with: %v (cause: %v)", acks.failed, acks.first, errors.Unwrap(acks.first))
	acks.check(t, s, "on the broken disk")
	healDisk()
	failed := acks.failed
	acks.write(t, s, "after", 8, 10)
	if acks.failed > failed {
		t.Fatalf("%d writes failed after the disk had healed", acks.failed-failed)
	}
	acks.check(t, s, "after it had healed")

	// A watcher was told of exactly what was acknowledged.
	if _, err := s.Apply(t.Context(), state.Write{Key: "end"}); err != nil {
		t.Fatal(err)
	}
	for c, err := range w {
		if err != nil {
			t.Fatal(err)
		}
		if c.Key == "end" {
			break
		}
		watched[c.Key] = true
	}
	for key := range watched {
		if !acks.facts[key] {
			t.Errorf("a watcher was told of %q, which failed", key)
		}
	}
	if len(watched) != len(acks.facts) {
		t.Errorf("a watcher was told of %d facts, want %d", len(watched), len(acks.facts))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, local.Options{})
	if _, err := s.Apply(t.Context(), state.Write{Key: "end", Delete: true}); err != nil {
		t.Fatal(err)
	}
	acks.check(t, s, "after opening again")
}

// acknowledged remembers which facts Apply answered for.
type acknowledged struct {
	mu     sync.Mutex
	facts  map[string]bool
	lost   []string // keys of batches that failed
	failed int
	first  error
}

// write makes pairs of facts from many goroutines.
func (a *acknowledged) write(t *testing.T, s state.Store, phase string, writers, each int) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				one, two := fmt.Sprintf("%s/%d/%d/a", phase, w, i), fmt.Sprintf("%s/%d/%d/b", phase, w, i)
				value := make([]byte, 3<<10)
				if phase == "during" && i%10 == 9 {
					value = make([]byte, 200<<10) // more than SQLite holds back until the commit
				}
				_, err := s.Apply(context.Background(), state.Write{Key: one, Value: value}, state.Write{Key: two, Value: value, Expect: state.Absent()})
				a.note(t, err, one, two)
			}
		})
	}
	wg.Wait()
}

func (a *acknowledged) note(t *testing.T, err error, keys ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		for _, key := range keys {
			a.facts[key] = true
		}
		return
	}
	var e *strait.Error
	if !errors.As(err, &e) || e.Kind != strait.Unavailable || e.Thing != "disk" {
		t.Errorf("a write failed with %v, want kind Unavailable and thing disk", err)
	}
	a.lost = append(a.lost, keys...)
	if a.failed++; a.first == nil {
		a.first = err
	}
}

// check compares the store, by List and by Get, with what was acknowledged.
func (a *acknowledged) check(t *testing.T, s state.Store, when string) {
	t.Helper()
	facts, err := s.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatalf("list %s: %v", when, err)
	}
	for _, f := range facts {
		if !a.facts[f.Key] {
			t.Errorf("%s %q is there although its write failed", when, f.Key)
		}
	}
	if len(facts) != len(a.facts) {
		t.Errorf("%s there are %d facts, want %d", when, len(facts), len(a.facts))
	}
	for key := range a.facts {
		if _, err := s.Get(t.Context(), key); err != nil {
			t.Errorf("%s get %q: %v", when, key, err)
		}
	}
	for _, key := range a.lost {
		if _, err := s.Get(t.Context(), key); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("%s get %q, whose write failed: got %v, want ErrNotFound", when, key, err)
		}
	}
}
