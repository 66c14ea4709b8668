package dir

import (
	"os"
	"syscall"
)

// writeBack begins to write a stretch of f to the disk, and does not wait for
// it: then there is less to wait for when it is made durable. It promises nothing.
func writeBack(f *os.File, offset, length int64) {
	const begin = 2 // SYNC_FILE_RANGE_WRITE, linux/fs.h
	_ = syscall.SyncFileRange(int(f.Fd()), offset, length, begin)
}
