package device

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockFile takes a lock that ends with the process, or fails at once. It locks
// a byte far behind the content, because Windows' locks hinder reading.
func lockFile(f *os.File) error {
	at := &windows.Overlapped{OffsetHigh: 1 << 30}
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
}

// tryLock is lockFile that tells a lock that is taken from one that cannot be.
func tryLock(f *os.File) (taken bool, err error) {
	err = lockFile(f)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return true, nil
	}
	return false, err
}

// syncDir is not needed: NTFS journals names.
func syncDir(string) error { return nil }
