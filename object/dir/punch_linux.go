package dir

import (
	"os"
	"syscall"
)

// punch gives a stretch of f back to the file system; it reads as zeros then.
// Not every file system can.
func punch(f *os.File, offset, length int64) error {
	const keepSize, punchHole = 1, 2 // FALLOC_FL_*, linux/falloc.h
	return syscall.Fallocate(int(f.Fd()), keepSize|punchHole, offset, length)
}

// taken is the space that a file takes on the disk.
func taken(i os.FileInfo) int64 { return i.Sys().(*syscall.Stat_t).Blocks * 512 }
