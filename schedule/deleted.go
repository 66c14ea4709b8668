package schedule

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"strait/state"
)

const (
	deletedPrefix = "schedule/deleted/"
	// How long and of how many deletions the token is known: SDKs ask again
	// within minutes.
	deletedFor = time.Hour
	maxDeleted = 1000
)

// A deletion is what a request deleted that had a token, so that the same
// request again, because its answer was lost, finds that it is done, and does
// not delete what has the name by then.
type deletion struct {
	What  string // a path of a schedule, or "group/" and a name
	Token string
	At    time.Time
}

func (d *deletion) key() string { return deletedPrefix + d.What }

// deleted tells whether the request with that token has deleted what. The
// caller holds the change lock, as for note.
func (e *Engine) deleted(what, token string) bool {
	return token != "" && slices.ContainsFunc(e.deletions, func(d *deletion) bool {
		return d.What == what && d.Token == token && e.cfg.Now().Sub(d.At) < deletedFor
	})
}

// note returns the writes that remember a deletion and forget old ones, and
// what to do when they are durable.
func (e *Engine) note(what, token string) ([]state.Write, func()) {
	if token == "" {
		return nil, func() {}
	}
	now := e.cfg.Now().UTC()
	next := []*deletion{}
	var writes []state.Write
	for i, d := range e.deletions {
		switch {
		case d.What == what: // its fact is written anew
		case len(e.deletions)-i >= maxDeleted || now.Sub(d.At) >= deletedFor:
			writes = append(writes, state.Write{Key: d.key(), Delete: true})
		default:
			next = append(next, d)
		}
	}
	d := &deletion{what, token, now}
	value, _ := json.Marshal(d) // strings and a time cannot fail
	writes = append(writes, state.Write{Key: d.key(), Value: value})
	return writes, func() { e.deletions = append(next, d) }
}

// sortDeletions puts those that were read into the order of their times.
func (e *Engine) sortDeletions() {
	slices.SortFunc(e.deletions, func(a, b *deletion) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return strings.Compare(a.What, b.What)
	})
}
