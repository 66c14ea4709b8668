package local

import (
	"bytes"
	"context"
	"database/sql"
	"errors"

	"strait/state"
)

// Get is documented at state.Store. A hot fact costs no more than a map lookup.
func (s *Store) Get(ctx context.Context, key string) (state.Fact, error) {
	if err := ctx.Err(); err != nil {
		return state.Fact{}, err
	}
	if s.closed() {
		return state.Fact{}, state.ErrClosed
	}
	f, ok, epoch := s.cache.get(key)
	if !ok {
		var err error
		if f, err = s.readFact(key); err != nil {
			return state.Fact{}, err
		}
		s.cache.fill(f, epoch)
	}
	if f.Revision == 0 {
		return state.Fact{}, state.ErrNotFound
	}
	return f, nil
}

// readFact reads one fact from SQLite; its revision is 0 when there is none.
func (s *Store) readFact(key string) (state.Fact, error) {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed() {
		return state.Fact{}, state.ErrClosed
	}
	f := state.Fact{Key: key}
	// Not the caller's context: the driver starts a goroutine for each one
	// that can be cancelled, and this takes microseconds.
	err := s.read.get.QueryRowContext(context.Background(), []byte(key)).Scan(&f.Revision, &f.Value)
	if errors.Is(err, sql.ErrNoRows) {
		return state.Fact{Key: key}, nil
	}
	if err != nil {
		return state.Fact{}, diskError("read a fact", err)
	}
	return f, nil
}

// List is documented at state.Store. It is one statement and so one moment.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]state.Fact, error) {
	lower := prefix
	if after >= prefix && after != "" {
		lower = after + "\x00" // the very next key
	}
	if limit <= 0 {
		limit = -1
	}
	var facts []state.Fact
	err := s.scan(ctx, s.read.list, func(f state.Fact) { facts = append(facts, f) }, []byte(lower), upper(prefix), limit)
	if err != nil {
		return nil, err
	}
	return facts, nil
}

// scan runs a query for facts and hands each to fn.
func (s *Store) scan(ctx context.Context, query *sql.Stmt, fn func(state.Fact), args ...any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed() {
		return state.ErrClosed
	}
	rows, err := query.QueryContext(context.Background(), args...)
	if err != nil {
		return diskError("read the facts", err)
	}
	defer rows.Close()
	var key sql.RawBytes
	for n := 1; rows.Next(); n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		var f state.Fact
		if err := rows.Scan(&key, &f.Revision, &f.Value); err != nil {
			return diskError("read the facts", err)
		}
		f.Key = string(key)
		fn(f)
	}
	if err := rows.Err(); err != nil {
		return diskError("read the facts", err)
	}
	return nil
}

// aboveAll is greater than every key.
var aboveAll = bytes.Repeat([]byte{0xff}, state.MaxKey+1)

// upper returns a bound above every key that begins with prefix and below all
// others that are greater. There is always one, because SQLite uses the index
// only for a plain comparison.
func upper(prefix string) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			u := []byte(prefix[:i+1])
			u[i]++
			return u
		}
	}
	return aboveAll
}
