package dir

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"strait"
	"strait/object"
	"strait/object/md5lanes"
	"strait/state"
)

// Options of Open; the zero value is good.
type Options struct {
	SegmentSize int64            // bytes at which a segment file ends; 0 means 256 MiB
	Now         func() time.Time // nil means time.Now
	Log         *slog.Logger     // for what no caller is told; nil means nowhere

	inspect bool // change nothing

	sync  func(*os.File) error // tests watch what is made durable
	early func(f *os.File, offset, length int64)
}

// A Store is an object.Store on a directory. It owns the directory and the
// facts below "object/" in its state.Store.
type Store struct {
	facts    state.Store
	segments *segments
	now      func() time.Time
	log      *slog.Logger
	frames   sync.Pool // *[]byte with room for a block and its sum
	digests  *md5lanes.Pool
	lock     *os.File
	pins     pins

	// bucketGate is held for reading while an object or upload comes into
	// being, and for writing while a bucket goes: a state.Store cannot
	// expect "there is no key below this prefix".
	bucketGate sync.RWMutex

	mu     sync.Mutex
	calls  sync.WaitGroup
	closed bool
}

var _ object.Store = (*Store)(nil)

// Open opens the store in path, which is made when missing. It reads every
// record once, to know what each segment holds: about two seconds for a million
// objects. facts stays the caller's, to be closed after the Store. A path that
// another process has open is refused.
func Open(path string, facts state.Store, o Options) (_ *Store, err error) {
	if o.SegmentSize == 0 {
		o.SegmentSize = 256 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.sync == nil {
		o.sync = syncFile
	}
	if o.early == nil && durable {
		o.early = writeBack
	} else if o.early == nil {
		o.early = func(*os.File, int64, int64) {}
	}
	lock, dir, err := openDirs(path)
	if err != nil {
		return nil, fmt.Errorf("open object store: %w", err)
	}
	s := &Store{facts: facts, now: o.Now, log: o.Log, lock: lock}
	s.segments = &segments{dir: dir, size: o.SegmentSize, sync: o.sync, early: o.early, all: map[uint64]*segment{}, next: 1, frozen: o.inspect}
	s.frames.New = func() any { b := make([]byte, blockSize+sumSize); return &b }
	s.digests = md5lanes.New(func(frame *[]byte) { s.frames.Put(frame) })
	s.pins = pins{readers: map[id]int{}, doomed: map[id]manifest{}}
	if err := s.scan(context.Background()); err != nil {
		dir.Close()
		lock.Close()
		return nil, fmt.Errorf("open object store: %w", err)
	}
	return s, nil
}

// openDirs makes path and its segments directory durable, and locks path.
func openDirs(path string) (lock, dir *os.File, err error) {
	inner := filepath.Join(path, "segments")
	if err := os.MkdirAll(inner, 0o700); err != nil {
		return nil, nil, err
	}
	lock, err = os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, nil, fmt.Errorf("%s is in use by another process: %w", path, err)
	}
	for _, name := range []string{filepath.Dir(path), path, inner} {
		if dir, err = os.Open(name); err == nil {
			err = syncFile(dir)
		}
		if err != nil {
			lock.Close()
			return nil, nil, err
		}
		if name != inner {
			dir.Close()
		}
	}
	return lock, dir, nil
}

func syncFile(f *os.File) error {
	if !durable {
		return nil
	}
	return f.Sync()
}

// Close waits for calls under way. Bytes of versions that are still being
// read, though deleted, are reclaimed at the next Open.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.calls.Wait()
	return errors.Join(s.segments.close(), s.lock.Close())
}

// enter begins a call; the caller defers s.calls.Done when it succeeds.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return strait.Errorf(strait.Unavailable, "store", "the object store is closed")
	}
	s.calls.Add(1)
	return nil
}

// clock is the time as records keep it.
func (s *Store) clock() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

// diskError tells the caller of a full or failing disk; other errors pass.
func diskError(err error) error {
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS} {
		if errors.Is(err, e) {
			return strait.Errorf(strait.Unavailable, "disk", "the disk is full or failing; nothing was stored: %w", err)
		}
	}
	return err
}

// get reads one fact; ok is false when there is none.
func (s *Store) get(ctx context.Context, key string) (f state.Fact, ok bool, err error) {
	f, err = s.facts.Get(ctx, key)
	if errors.Is(err, state.ErrNotFound) {
		return f, false, nil
	}
	return f, err == nil, err
}

// each calls fn for every fact below prefix, a page at a time.
func (s *Store) each(ctx context.Context, prefix string, fn func(state.Fact) error) error {
	const page = 1000
	for after := ""; ; {
		facts, err := s.facts.List(ctx, prefix, after, page)
		if err != nil {
			return err
		}
		for _, f := range facts {
			if err := fn(f); err != nil {
				return err
			}
			after = f.Key
		}
		if len(facts) < page {
			return nil
		}
	}
}

// erase deletes facts, which nobody writes any more, in batches.
func (s *Store) erase(ctx context.Context, keys []string) error {
	const batch = 2000 // of our keys, well below state.MaxBatch
	for len(keys) > 0 {
		n := min(batch, len(keys))
		writes := make([]state.Write, n)
		for i, k := range keys[:n] {
			writes[i] = state.Write{Key: k, Delete: true}
		}
		if _, err := s.facts.Apply(ctx, writes...); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}
