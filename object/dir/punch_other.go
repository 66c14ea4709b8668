//go:build !linux

package dir

import "os"

// punch does nothing: space inside a living segment waits for the segment.
func punch(*os.File, int64, int64) {}
