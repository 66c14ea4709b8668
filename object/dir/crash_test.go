package dir_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strait/await"
	"strait/object"
	"strait/object/dir"
	"strait/state"
)

// A power is what is left when the current fails: of each file what was synced,
// under names that were synced, and the facts that were applied.
type power struct {
	state.Store
	applying sync.RWMutex // held by a failure, so that no batch is under way

	mu     sync.Mutex
	length map[string]int64 // of each file, when it was last synced
	names  map[string]bool  // when the directory was
	begun  int              // syncs so far
	latest map[string]int   // of each file, the sync that was begun last among those that are over
}

func (p *power) Apply(ctx context.Context, w ...state.Write) (state.Revision, error) {
	p.applying.RLock()
	defer p.applying.RUnlock()
	return p.Store.Apply(ctx, w...)
}

func (p *power) sync(f *os.File, next func() error) error {
	if !dir.Durable {
		return nil
	}
	// What a sync covers is what was there when it began. Several may be under
	// way, and one that began earlier may end later: it must not take back what
	// a later one has made safe.
	p.mu.Lock()
	p.begun++
	turn := p.begun
	info, err := f.Stat()
	var names []string
	if err == nil && info.IsDir() {
		entries, e := os.ReadDir(f.Name())
		for _, n := range entries {
			names = append(names, n.Name())
		}
		err = e
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	if err := next(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	base := filepath.Base(f.Name())
	if p.latest[base] > turn {
		return nil
	}
	p.latest[base] = turn
	if !info.IsDir() {
		p.length[base] = info.Size()
		return nil
	}
	p.names = map[string]bool{}
	for _, n := range names {
		p.names[n] = true
	}
	return nil
}

// fail copies what would be left to a new directory and new facts. seen is
// called while no batch is under way.
func (p *power) fail(t *testing.T, segments string, seen func()) *dir.Store {
	path, facts := filepath.Join(t.TempDir(), "objects"), openFacts(t, t.TempDir())
	inner := filepath.Join(path, "segments")
	if err := os.MkdirAll(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	p.applying.Lock()
	all, err := p.List(t.Context(), "", "", 0)
	p.mu.Lock()
	length, names := maps.Clone(p.length), p.names
	p.mu.Unlock()
	seen()
	for name, n := range length {
		if !names[name] || err != nil {
			continue
		}
		var b []byte
		if b, err = os.ReadFile(filepath.Join(segments, name)); os.IsNotExist(err) {
			err = nil // unlinked: nothing that was applied names it
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(inner, name), b[:min(n, int64(len(b)))], 0o600)
		}
	}
	p.applying.Unlock()
	for some := range slices.Chunk(all, 500) {
		var writes []state.Write
		for _, f := range some {
			writes = append(writes, state.Write{Key: f.Key, Value: f.Value})
		}
		if err == nil {
			_, err = facts.Apply(t.Context(), writes...)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return openStore(t, path, facts, dir.Options{})
}

// Scenario: the power fails at any moment while many write. What was answered
// before is there and whole; nothing is there in part; the store goes on.
// With the build tag nosync this test must fail.
func TestPowerFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "objects")
	p := &power{Store: openFacts(t, t.TempDir()), length: map[string]int64{}, latest: map[string]int{}}
	s := openStore(t, path, p, dir.Options{SegmentSize: 300_000}.WithSync(p.sync))
	if err := s.CreateBucket(t.Context(), "bucket", ""); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	answered, total := map[string]int64{}, 0
	const writing, perWriter, failures = 4, 20, 6
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range writing {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for i := 0; i < perWriter && ctx.Err() == nil; i++ {
				key := fmt.Sprintf("%d-%d", w, i)
				b := bytes.Repeat([]byte(key+" "), r.IntN(150_000)*r.IntN(2)+1)
				if err := putEitherWay(ctx, s, key, b, r.IntN(3) == 0); err != nil {
					if ctx.Err() == nil {
						t.Errorf("put: %v", err)
					}
					return
				}
				mu.Lock()
				answered[key] = int64(len(b))
				total++
				mu.Unlock()
				if i%3 == 0 { // make room, so that segments are unlinked, too
					mu.Lock()
					delete(answered, key)
					mu.Unlock()
					s.Delete(context.WithoutCancel(ctx), "bucket", key, object.DeleteOptions{})
				}
			}
		})
	}
	for n := range failures {
		await.Until(t, "some writes", func() bool { mu.Lock(); defer mu.Unlock(); return total > n*writing*perWriter/failures })
		var before map[string]int64
		left := p.fail(t, filepath.Join(path, "segments"), func() {
			mu.Lock()
			before = maps.Clone(answered)
			mu.Unlock()
		})
		afterCrash(t, left, before)
	}
	stop()
	writers.Wait()
}

// putEitherWay puts an object, or makes it of one part.
func putEitherWay(ctx context.Context, s *dir.Store, key string, b []byte, upload bool) error {
	o := object.PutOptions{Size: int64(len(b))}
	if !upload {
		_, err := s.Put(ctx, "bucket", key, bytes.NewReader(b), o)
		return err
	}
	u, err := s.CreateUpload(ctx, "bucket", key, object.UploadOptions{})
	if err != nil {
		return err
	}
	p, err := s.PutPart(ctx, "bucket", key, u.ID, 1, bytes.NewReader(b), o)
	if err != nil {
		return err
	}
	_, err = s.Complete(ctx, "bucket", key, u.ID, []object.CompletePart{{Number: 1, ETag: p.ETag}}, object.CompleteOptions{Size: -1})
	return err
}

func afterCrash(t *testing.T, s *dir.Store, before map[string]int64) {
	t.Helper()
	for key, n := range before {
		if b, err := read(s, key); err != nil || int64(len(b)) != n || !strings.HasPrefix(string(b), key+" ") {
			t.Errorf("%s, answered before: read %d of %d bytes, %v", key, len(b), n, err)
		}
	}
	if err := s.Check(t.Context(), func(p object.Problem) { t.Errorf("check: %+v", p) }); err != nil {
		t.Error(err)
	}
	if err := putEitherWay(t.Context(), s, "after", []byte("after"), false); err != nil {
		t.Errorf("put afterwards: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Scenario: the process is killed at a random moment of many uploads at a time,
// again and again on what the last life left. What it said to have put is there,
// what is there is whole, and once all is deleted no space is taken.
func TestKilled(t *testing.T) {
	if path := os.Getenv("OBJECT_DIR_TEST_KILLED"); path != "" {
		putForever(t, path)
	}
	lives, most := 2, 60
	if os.Getenv("STRAIT_CRASH_LONG") != "" {
		lives, most = 30, 1500
	}
	path, random := t.TempDir(), rand.New(rand.NewPCG(3, 4))
	old := map[string]bool{} // objects of the lives before the last
	for life := range lives {
		child := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		child.Env = append(os.Environ(), "OBJECT_DIR_TEST_KILLED="+path)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		child.Stderr = os.Stderr
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		before, enough := map[string]int64{}, 1+random.IntN(most)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var key string
			var n int64
			if _, err := fmt.Sscanf(lines.Text(), "put %s %d", &key, &n); err == nil {
				before[key] = n
			}
			if len(before) == enough {
				child.Process.Kill()
			}
		}
		child.Wait()
		if len(before) < enough {
			t.Fatalf("the child put %d objects only", len(before))
		}
		checkLife(t, path, before, old, life == lives-1)
	}
}

// checkLife compares what a killed process has left with what it has said. What
// has outlived another life, too, has been seen often enough: it is deleted, so
// that lives stay equally long, and segments empty under those that come.
func checkLife(t *testing.T, path string, before map[string]int64, old map[string]bool, last bool) {
	t.Helper()
	began := time.Now()
	facts := openFacts(t, filepath.Join(path, "facts"))
	defer facts.Close()
	found, err := dir.Inspect(t.Context(), filepath.Join(path, "objects"), facts, func(p object.Problem) { t.Errorf("inspect: %+v", p) })
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, filepath.Join(path, "objects"), facts, dir.Options{SegmentSize: 1 << 20})
	defer s.Close()
	keys := allKeys(t, s)
	for _, key := range keys {
		b, err := read(s, key)
		word := key + " "
		if err != nil || len(b) == 0 || string(b) != strings.Repeat(word, len(b)/len(word)) {
			t.Errorf("%s is there, but not whole: %d bytes, %v", key, len(b), err)
		}
		if n, ok := before[key]; ok && n != int64(len(b)) {
			t.Errorf("%s has %d bytes, not the %d that were put", key, len(b), n)
		}
		delete(before, key)
	}
	for key := range before {
		t.Errorf("%s was put, and is not there", key)
	}
	t.Logf("%d objects, %d open uploads, unused: %d; checked in %v", found.Objects, found.Uploads, len(found.Orphans), time.Since(began).Round(time.Millisecond))
	if !last {
		for _, key := range keys {
			if !old[key] {
				old[key] = true
			} else if err := s.Delete(t.Context(), "bucket", key, object.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	// The sweep: open uploads go, too, and nothing is left.
	if _, err := s.AbortOlder(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if err := s.Delete(t.Context(), "bucket", key, object.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := taken(t, filepath.Join(path, "objects")); n != 0 {
		t.Errorf("all is deleted, and segments still take %d bytes", n)
	}
}

func allKeys(t *testing.T, s *dir.Store) (keys []string) {
	t.Helper()
	for q := (object.Query{}); ; {
		page, err := s.List(t.Context(), "bucket", q)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Objects {
			keys = append(keys, o.Key)
		}
		if !page.Truncated {
			return keys
		}
		q.After = page.Next
	}
}

func putForever(t *testing.T, path string) {
	s := openStore(t, filepath.Join(path, "objects"), openFacts(t, filepath.Join(path, "facts")), dir.Options{SegmentSize: 1 << 20})
	s.CreateBucket(t.Context(), "bucket", "") // exists the second time
	var stdout sync.Mutex
	uploads := 100
	if os.Getenv("STRAIT_CRASH_LONG") != "" {
		uploads = 1000
	}
	for w := range uploads {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				b := bytes.Repeat([]byte(key+" "), i%7*9000+1)
				if err := putEitherWay(t.Context(), s, key, b, i%3 == 0); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				stdout.Lock()
				io.WriteString(os.Stdout, fmt.Sprintf("put %s %d\n", key, len(b)))
				stdout.Unlock()
			}
		}()
	}
	time.Sleep(5 * time.Minute) // the parent kills long before
	os.Exit(1)
}
