//go:build !race

package mqtt

import (
	"syscall"
	"unsafe"
)

// readNow and writeNow are read and write on a socket that never blocks. Go's
// scheduler is not told of them. It would prepare for a call that blocks: if
// nothing else is going on, that wakes the runtime's monitoring thread, which
// looks around every 20 µs until all is idle again. For a server of few messages
// this is more work than the messages.

func readNow(fd int, b []byte) (int, error)  { return now(syscall.SYS_READ, fd, b) }
func writeNow(fd int, b []byte) (int, error) { return now(syscall.SYS_WRITE, fd, b) }

func now(call uintptr, fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
