package function

import (
	"context"
	"time"

	"strait"
	"strait/state"
)

// An Engine keeps functions and runs them. Its methods may be called from many
// goroutines. Failures that a caller may be told are *strait.Error with the
// things "function", "code", "runtime", "handler", "timeout", "memory",
// "environment", "role", "payload", "concurrency", "revision", "sandbox", "queue".
type Engine struct{}

// Open starts an engine and takes up the queued events of an earlier one.
func Open(ctx context.Context, cfg Config) (*Engine, error) { panic("contract") }

// Close ends all processes and removes what they wrote. Events that were
// running are still queued and run again after the next Open.
func (e *Engine) Close() error { panic("contract") }

// Create keeps a new function with its zip; writes in also (such as its
// documents in identity) are made in the same batch. Exists "function".
func (e *Engine) Create(ctx context.Context, f Function, code []byte, also ...state.Write) (Function, error) {
	panic("contract")
}

// Get returns the function called name, or NotFound "function".
func (e *Engine) Get(ctx context.Context, name string) (Function, error) { panic("contract") }

// List returns up to limit functions (0: all) with names after the given one, sorted by name.
func (e *Engine) List(ctx context.Context, after string, limit int) ([]Function, error) {
	panic("contract")
}

// Code returns the zip of a function.
func (e *Engine) Code(ctx context.Context, name string) ([]byte, error) { panic("contract") }

// UpdateCode replaces the zip. With a revision that is not "" and not the
// function's own it fails with Precondition "revision".
func (e *Engine) UpdateCode(ctx context.Context, name, revision string, code []byte) (Function, error) {
	panic("contract")
}

// UpdateConfig lets change alter the configuration (role, runtime, handler,
// description, timeout, memory, environment, tags, reserved); other fields
// are put back. revision is as in UpdateCode.
func (e *Engine) UpdateConfig(ctx context.Context, name, revision string, change func(*Function)) (Function, error) {
	panic("contract")
}

// Delete forgets a function, its queued events and its log, and ends its
// processes; writes in also are made in the same batch.
func (e *Engine) Delete(ctx context.Context, name string, also ...state.Write) error {
	panic("contract")
}

// Invoke runs a function and waits for its result, at most for its start and
// its timeout; it goes on when ctx ends. A failure of the function itself is
// no error but a Result with FunctionError.
func (e *Engine) Invoke(ctx context.Context, name string, req Request) (Result, error) {
	panic("contract")
}

// Enqueue keeps an event durably and returns its request id; the function is
// run soon, and again after failures (Config.Backoff), at least once.
func (e *Engine) Enqueue(ctx context.Context, name string, payload []byte, trace string) (requestID string, err error) {
	panic("contract")
}

// Current tells for which trace the process (or native function) that holds
// the credentials with this access key id is working right now.
func (e *Engine) Current(accessKeyID string) (trace string, ok bool) { panic("contract") }

// Logs returns the kept log lines of a function from since on, oldest first.
func (e *Engine) Logs(name string, since time.Time) []LogLine { panic("contract") }

// MaybeSandboxMain must be called first thing in main of every binary that
// opens an Engine (and in TestMain of its tests). When this process is the
// helper that confines a function, it becomes that function's runtime and
// does not return; otherwise it does nothing.
func MaybeSandboxMain() { panic("contract") }

var _ strait.Error
