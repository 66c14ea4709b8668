package device

// An Event is something that happened to an upload and that its owner may want
// to know. Nothing has to be done about it.
type Event struct {
	Kind EventKind
	Text string // one plain sentence
	Err  error  // what caused it; may be nil
}

// An EventKind is a stable word for programs.
type EventKind string

// Kinds of events.
const (
	Resumed   EventKind = "resumed"   // a former process' upload goes on
	Restarted EventKind = "restarted" // from the first byte, and why
	Retrying  EventKind = "retrying"  // a request failed and is repeated
	Renewed   EventKind = "renewed"   // credentials had expired on the way
	Corrected EventKind = "corrected" // the clock was wrong
	Found     EventKind = "found"     // it had been stored before
	Lost      EventKind = "lost"      // a stream whose process died
)
