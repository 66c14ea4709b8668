package broker

import (
	"context"
	"log/slog"
	"time"

	"strait/state"
)

// Limits bound what a stranger can make the broker hold. A zero field stands
// for its default, which is AWS's where AWS has one.
type Limits struct {
	Payload       int           // bytes of a message; 131,072, at most 262,144
	Subscriptions int           // of one session; 50
	InFlight      int           // QoS 1 messages of a session sent and not acknowledged; 100
	QueueMessages int           // QoS 1 messages waiting for a session; 20,000
	QueueBytes    int64         // bytes of them, on disk when the session is persistent; 64 MiB
	MemoryBytes   int64         // bytes of what waits in memory only: QoS 0, and all of a clean session; 16 MiB
	Retained      int           // retained messages; 500,000
	SessionExpiry time.Duration // how long a persistent session outlives its connection; 1 h
}

// Config is what a Broker needs.
type Config struct {
	Store  state.Store // keys below "broker/" belong to the broker
	Now    func() time.Time
	Log    *slog.Logger
	Limits Limits
	// Matched, when set, is told every accepted message, at once, in the
	// goroutine of its publisher; it must not block. The wait it returns
	// (nil: nothing to wait for) is joined with that of Publish.
	Matched func(m *Message) (wait func(context.Context) error)
	// Dropped, when set, is told every message that a queue had no room for,
	// in the goroutine of the publisher; it must not block.
	Dropped func(Drop)
}

// A Drop is a message that one subscriber will not get because its queue is full.
type Drop struct {
	ClientID string
	Message  *Message
	QoS      byte
	Total    uint64 // drops of this session so far, this one included
}
