package local

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"strait"
)

// Names of the files in a store's directory. SQLite adds facts.db-wal and
// facts.db-shm, with the mode of facts.db.
const (
	factsFile = "facts.db"
	lockFile  = "lock"
)

// prepare makes dir and an empty facts file, both for the owner only and both
// safe from power loss, and locks dir until the returned file is closed.
func prepare(dir string) (lock *os.File, err error) {
	// 1. The directory, and its name in its parent.
	_, err = os.Stat(dir)
	fresh := errors.Is(err, os.ErrNotExist)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory for facts: %w", err)
	}
	if fresh {
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return nil, err
		}
	}

	// 2. One process at a time.
	lock, err = lockDir(dir)
	if err != nil {
		return nil, err
	}

	// 3. The file, made here because SQLite would make it readable to others.
	f, err := os.OpenFile(filepath.Join(dir, factsFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = errors.Join(f.Close(), syncDir(dir))
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("make the file for facts: %w", err)
	}
	return lock, nil
}

// lockDir takes the lock of dir, which the kernel gives back when the process
// ends in any way. The file holds the process id, for the message only.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the directory for facts: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		pid, _ := io.ReadAll(io.LimitReader(f, 20))
		f.Close()
		return nil, strait.Errorf(strait.Conflict, "directory",
			"%s is in use by process %s: stop that process, or choose another directory", dir, strings.TrimSpace(string(pid)))
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock the directory for facts: %w", err)
	}
	// A pid that cannot be written (disk full) must not keep the store shut.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

// syncDir makes the names in dir safe from power loss.
func syncDir(dir string) error {
	if !durable {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
