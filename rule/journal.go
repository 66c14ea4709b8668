package rule

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"strait"
	"strait/state"
)

// The journal holds the runs that were accepted and are not handed over: one
// fact a run, sorted by time. A fact is three parts, each a length (4 bytes,
// big endian) and so many bytes: the entry as JSON, the payload, the original.
// JSON for all of it would grow binary payloads beyond state.MaxBatch.
const journalPrefix = "rule/run/"

const journalPage = 64 // runs read at a time; each may be hundreds of KiB

func newRunID(at time.Time) string {
	return fmt.Sprintf("%016x-%s", uint64(at.UnixNano()), rand.Text())
}

// save writes r to the journal. It goes on while the engine closes.
func (e *Engine) save(r *run) error {
	header, err := json.Marshal(r.entry)
	if err != nil {
		return &strait.Error{Kind: strait.Internal, Thing: "rule journal", Message: "the rule's actions could not be written down", Err: err}
	}
	value := make([]byte, 0, 12+len(header)+len(r.payload)+len(r.original))
	for _, part := range [][]byte{header, r.payload, r.original} {
		value = binary.BigEndian.AppendUint32(value, uint32(len(part)))
		value = append(value, part...)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), saveTimeout)
	defer cancel()
	if _, err = e.cfg.Store.Apply(ctx, state.Write{Key: journalPrefix + r.id, Value: value}); err != nil {
		e.cfg.Log.Error("a rule's run is not in the journal", "rule", r.entry.Rule, "trace", r.entry.Trace, "err", err)
		return &strait.Error{Kind: strait.Unavailable, Thing: "rule journal", Message: "the rule's actions could not be made durable; try again later", Err: err}
	}
	r.saved = true
	return nil
}

// forget removes r from the journal. If that fails the run is done again
// after a restart, which is allowed.
func (e *Engine) forget(r *run) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), saveTimeout)
	defer cancel()
	if _, err := e.cfg.Store.Apply(ctx, state.Write{Key: journalPrefix + r.id, Delete: true}); err != nil {
		e.cfg.Log.Error("a finished run is still in the journal", "rule", r.entry.Rule, "trace", r.entry.Trace, "err", err)
	}
}

// loadJournal reads every run for Resume.
func (e *Engine) loadJournal(ctx context.Context) error {
	for after := ""; ; {
		facts, err := e.cfg.Store.List(ctx, journalPrefix, after, journalPage)
		if err != nil {
			return err
		}
		for _, f := range facts {
			r, err := readRun(f)
			if err != nil {
				return fmt.Errorf("the journal of rules is damaged at %q: %w", f.Key, err)
			}
			e.replayed = append(e.replayed, r)
			e.pending++
			e.bytes += r.bytes
			after = f.Key
		}
		if len(facts) < journalPage {
			return nil
		}
	}
}

func readRun(f state.Fact) (*run, error) {
	var parts [3][]byte
	rest := f.Value
	for i := range parts {
		if len(rest) < 4 || uint64(binary.BigEndian.Uint32(rest)) > uint64(len(rest)-4) {
			return nil, errors.New("a part is cut short")
		}
		n := binary.BigEndian.Uint32(rest)
		parts[i], rest = rest[4:4+n:4+n], rest[4+n:]
	}
	r := &run{id: f.Key[len(journalPrefix):], payload: parts[1], original: parts[2], saved: true, safe: make(chan struct{})}
	if err := json.Unmarshal(parts[0], &r.entry); err != nil {
		return nil, err
	}
	r.bytes = int64(len(r.payload) + len(r.original))
	r.settle(nil)
	return r, nil
}
