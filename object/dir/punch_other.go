//go:build !linux

package dir

import (
	"errors"
	"os"
)

// punch does nothing: space inside a living segment waits for the segment.
func punch(*os.File, int64, int64) error { return errors.ErrUnsupported }

func taken(i os.FileInfo) int64 { return i.Size() }
