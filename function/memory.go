package function

import "fmt"

// outOfMemory is the type of the error of a function that took more than its
// MemorySize. Its message is that of any process that was killed.
const outOfMemory = "Runtime.OutOfMemory"

// Memory says how MemorySize is enforced on this host.
func (e *Engine) Memory() string { return e.warden.String() }

// megabytes rounds up, so that what was taken is never told as less.
func megabytes(bytes int64) int { return int((bytes + 1<<20 - 1) >> 20) }

// heapOfNode limits V8's old objects to nine tenths of MemorySize, as AWS's
// runtime does: V8 would otherwise think of the whole machine's memory and
// collect too late.
func heapOfNode(memorySize int) string {
	return fmt.Sprintf("--max-old-space-size=%d", memorySize*9/10)
}
