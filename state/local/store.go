package local

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"strait"
	"strait/state"
)

// Options tune a Store. The zero Options are right for a server.
type Options struct {
	// CacheBytes is how much memory hot facts may take; 0 means 8 MiB.
	CacheBytes int
	// History is how many recent changes are remembered in full for
	// watchers, and a quarter of how many deletes; 0 means 16,384. A watcher
	// that falls further behind reads the facts again and misses nothing.
	History int
}

// A Store is a state.Store in one directory.
type Store struct {
	lock       *os.File
	readers    *sql.DB    // many connections, reading only
	writer     *sql.DB    // one connection
	read       statements // on readers
	write      writeConn
	statements []*sql.Stmt // all of them, to be closed

	cache   *cache
	history *history
	queue   *queue

	unsettled *group        // the writer's: a failed commit whose outcome is unknown
	written   chan struct{} // closed when the writer has ended
	closing   chan struct{} // closed when Close begins
	closeOnce sync.Once
	closeErr  error
	life      sync.RWMutex // held for reading while SQLite is read from
}

var _ state.Store = (*Store)(nil)

// Open opens the store in dir, and makes it when it is not there (the
// directory for its owner only). It takes a lock on dir; when another process
// has it, the error is a strait.Error of kind Conflict. Close gives it back.
func Open(dir string, opts Options) (*Store, error) {
	if opts.CacheBytes <= 0 {
		opts.CacheBytes = 8 << 20
	}
	if opts.History <= 0 {
		opts.History = 16384
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open the facts: %w", err)
	}
	lock, err := prepare(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		lock:    lock,
		cache:   newCache(opts.CacheBytes),
		queue:   newQueue(),
		written: make(chan struct{}),
		closing: make(chan struct{}),
	}
	revision, err := s.connect(filepath.Join(dir, factsFile))
	if err == nil {
		err = syncDir(dir) // the name of the write-ahead log
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the facts in %s: %w", dir, err), s.disconnect())
	}
	s.history = newHistory(revision, opts.History)
	go s.serve()
	return s, nil
}

// Close lets batches under way finish, ends all watches and gives the lock
// back. Every method answers state.ErrClosed afterwards. Closing again is fine.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		s.queue.close()
		<-s.written
		s.life.Lock() // waits for reads under way
		defer s.life.Unlock()
		s.closeErr = s.disconnect()
	})
	return s.closeErr
}

// closed tells whether Close has begun.
func (s *Store) closed() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// diskError is what a caller is told when SQLite fails: a full or broken disk.
func diskError(doing string, err error) error {
	return &strait.Error{
		Kind: strait.Unavailable, Thing: "disk",
		Message: "the disk is full or failing: could not " + doing + "; nothing was changed",
		Err:     err,
	}
}
