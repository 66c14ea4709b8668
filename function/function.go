package function

import (
	"context"
	"log/slog"
	"time"

	"strait"
	"strait/state"
)

// A Function is the configuration of one function.
type Function struct {
	Name    string     // 1 to 64 of [a-zA-Z0-9_-]
	ARN     strait.ARN // set by Create
	Role    strait.ARN // the execution role
	Runtime string     // "provided.al2023", "provided.al2", "python3.N", "nodejsN.x"
	Handler string     // "module.function"; opaque for provided.*
	// Architecture is what the code was made for, "x86_64" or "arm64"; "" was
	// not said. Code of provided.* must be this machine's.
	Architecture string `json:",omitempty"`
	Description  string // at most 256 bytes
	Timeout      int    // seconds, 1 to 900; 0 on Create means 3
	MemorySize   int    // MB, 128 to 10240; 0 on Create means 128
	// Environment holds the customer's variables, 4 KB in all, no reserved names.
	Environment map[string]string
	CodeSHA256  string // base64 of the SHA-256 of the zip
	CodeSize    int64  // bytes of the zip
	Modified    time.Time
	Revision    string // changes on every update
	Tags        map[string]string
	DeadLetter  strait.ARN // a function that gets the events that failed; "" for none
	Version     string     `json:",omitempty"` // the number of a version; "" for the function itself
	LastVersion int        `json:",omitempty"` // the number of the last version
	Published   string     `json:",omitempty"` // digest of what the last version keeps
	Reserved    *int       // reserved concurrency: at most so many events at a time; 0 is off, nil unlimited
}

// Limits of functions. Sizes are bytes.
const (
	MaxCode      = 50 << 20         // of a zip
	MaxUnpacked  = 250 << 20        // of what a zip holds
	MaxSync      = 6 << 20          // payload of Invoke
	MaxAsync     = 1 << 20          // payload of Enqueue
	MaxResponse  = 6<<20 + 100      // result of a function
	MaxVariables = 4 << 10          // customer's environment, names and values
	InitLimit    = 10 * time.Second // from the start of a process to its first call of next
	MaxEventAge  = 6 * time.Hour    // of a queued event that is throttled
	MaxQueue     = 100_000          // queued events of all functions
	LogTailSize  = 4 << 10          // of Result.LogTail
	DefaultMax   = 10               // Config.MaxEnvironments when 0
	idleLimit    = 10 * time.Minute // an environment without work is ended
)

// A Config says what an Engine works with.
type Config struct {
	Store state.Store
	// Dir keeps the zips; nothing in it is readable by a function.
	Dir string
	// Run is where a directory for unpacked code and scratch space is made; it
	// must allow execution, and be searchable by everyone when the server is
	// root. "" means /var/tmp, or the temporary directory where there is none.
	Run string
	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nothing is logged
	// Credentials mints sessions of execution roles.
	Credentials Credentialer
	// Logs keeps what functions write; nil: nobody does.
	Logs Logger
	// Sender tells destinations of events; nil: none is told.
	Sender Sender
	// Natives are built-in functions by name and version, such as "vend 1".
	Natives map[string]Native
	// Environment gives variables that the server adds ("NAME=value"), such as
	// AWS_ENDPOINT_URL. Files named by AWS_CA_BUNDLE, SSL_CERT_FILE,
	// NODE_EXTRA_CA_CERTS and REQUESTS_CA_BUNDLE are copied to where the
	// process can read them. May be nil.
	Environment func(f Function) []string
	// Trust runs processes even where they cannot be confined.
	Trust bool
	Place strait.Place
	// Events is told what an explanation needs: failures of invocations. It must not block. May be nil.
	Events func(Event)
	// MaxEnvironments is how many processes one function may have at a time; 0 means DefaultMax.
	MaxEnvironments int
	// Backoff says how long to wait before the attempt n (1, 2) of a queued
	// event whose function failed. nil: n minutes.
	Backoff func(n int) time.Duration
}

// A Credentialer mints a session of f's execution role, named like f. It fails
// when the role's trust policy does not allow lambda.amazonaws.com.
type Credentialer interface {
	Credentials(ctx context.Context, f Function) (strait.Credentials, error)
}

// A Native is a function that runs inside the server, with credentials that
// were minted for this invocation alone. Its error is the function's error.
type Native func(ctx context.Context, inv Invocation) (result []byte, err error)

// An Invocation is one event on its way through a Native.
type Invocation struct {
	Function    Function
	RequestID   string
	Event       []byte
	Credentials strait.Credentials
	Trace       string
	Deadline    time.Time
}

// A Request asks for a function to be run.
type Request struct {
	Payload []byte // JSON; empty means {}
	Trace   string // the story this belongs to; "" starts none
	LogTail bool   // Result.LogTail is wanted
	// RequestID is used when given (a UUID); otherwise one is made.
	RequestID string
	// ClientContext is JSON handed to the runtime; at most 3583 bytes.
	ClientContext string
	// Qualifier is a number, an alias or Latest; "" is Latest.
	Qualifier string
}

// A Result is what a function said.
type Result struct {
	Payload       []byte
	FunctionError string // "" or "Unhandled"
	LogTail       []byte // the last LogTailSize bytes of the log, when asked for
	Version       string // that ran: Latest or a number
	RequestID     string
}

// An Event tells of something that went wrong with an invocation.
type Event struct {
	Time      time.Time
	Function  string
	RequestID string
	Trace     string
	// Kind is "failed" (the function reported an error, crashed or timed out),
	// "refused" (it could not be started: role, code, sandbox) or "dropped" (a queued
	// event was given up).
	Kind    string
	Message string // a plain sentence or the function's error payload, cut to 1 KiB
	Attempt int    // 1 for the first
}

// A LogLine is a line of a function's log.
type LogLine struct {
	Time time.Time
	Text string
}
