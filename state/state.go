// Package state is the contract for facts: what the house knows and must not
// forget. A Store keeps small facts under keys and changes several of them at
// once or not at all; a Bus carries messages between the nodes of a house.
//
// The package holds contracts only. state/local keeps facts in one directory;
// every home runs the suite in state/statetest. What a fact means is not
// known here: each room owns the keys below its own prefix.
package state

import (
	"context"
	"errors"
	"iter"
)

// Limits of the contract; a write beyond them is refused with ErrTooLarge.
const (
	MaxKey   = 1536       // bytes of a key
	MaxBatch = 512 * 1024 // bytes of all keys and values of a batch together
)

// Errors that a Store returns, to be told apart with errors.Is.
var (
	ErrNotFound = errors.New("no such fact")
	ErrConflict = errors.New("the fact has changed meanwhile")
	ErrTooLarge = errors.New("key or batch too large")
	ErrClosed   = errors.New("the store is closed")
)

// A Revision numbers the batches of a store, from 1 upwards, without gaps seen
// by a watcher being promised. 0 is before the first batch.
type Revision uint64

// A Fact is a value under a key, and the revision that wrote it last.
// Key and Value must not be changed by whoever receives them.
type Fact struct {
	Key      string // any bytes, 1 to MaxKey of them
	Value    []byte
	Revision Revision
}

// A Write sets or deletes the fact under one key.
type Write struct {
	Key    string
	Value  []byte
	Delete bool
	// Expect is what must hold for the whole batch to be applied.
	Expect Expect
}

// An Expect is a condition on a key. The zero Expect always holds.
type Expect struct {
	kind     int
	revision Revision
}

// Absent expects that there is no fact under the key.
func Absent() Expect { return Expect{kind: 1} }

// At expects that the fact was last written by revision r.
func At(r Revision) Expect { return Expect{kind: 2, revision: r} }

// Present expects that there is some fact under the key.
func Present() Expect { return Expect{kind: 3} }

// Holds tells whether e holds for a key whose fact was last written by
// revision r, where 0 means that there is none.
func (e Expect) Holds(r Revision) bool {
	switch e.kind {
	case 1:
		return r == 0
	case 2:
		return r == e.revision && r != 0
	case 3:
		return r != 0
	}
	return true
}

// A Store keeps facts. All methods may be called from many goroutines.
type Store interface {
	// Get returns the fact under key, or ErrNotFound.
	Get(ctx context.Context, key string) (Fact, error)

	// List returns up to limit facts (0: no limit) whose keys begin with
	// prefix and are greater than after, sorted by the bytes of their keys.
	// The answer is one moment of the store.
	List(ctx context.Context, prefix, after string, limit int) ([]Fact, error)

	// Apply makes all writes at once, or none: ErrConflict when an
	// expectation does not hold, ErrTooLarge beyond the limits. When it
	// returns without error the batch is durable and visible to every
	// later Get and List of this store. A key may occur once in a batch. A
	// Write that deletes what is not there changes nothing and is no error.
	Apply(ctx context.Context, writes ...Write) (Revision, error)

	// Watch yields every change to facts below prefix made by revisions
	// greater than from, in order, batch by batch, and goes on until ctx is
	// done or the store is closed. Changes that were overwritten before
	// the watcher got there may be left out; the last one of each key
	// never is. A watcher that asks for revisions from before the store was
	// opened gets what is there now. One that asks from where deletes are no
	// longer remembered gets an error of kind Unavailable, and lists anew.
	Watch(ctx context.Context, prefix string, from Revision) iter.Seq2[Change, error]

	// Close waits for batches under way and releases the store.
	Close() error
}

// A Change is one write of one revision, as a watcher sees it.
type Change struct {
	Fact
	Deleted bool // Value is nil
}

// A Bus carries messages between the nodes of a house: whatever one node
// publishes every subscriber of the subject receives, at most once, in the
// order in which that node published. Nothing is kept.
type Bus interface {
	// Publish hands data to every subscriber of subject, other nodes' too.
	Publish(ctx context.Context, subject string, data []byte) error
	// Subscribe calls fn for each message until cancel is called. fn must
	// not block for long: it holds up later messages of this subscription.
	Subscribe(subject string, fn func(data []byte)) (cancel func(), err error)
}
