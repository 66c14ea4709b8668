package local

import (
	"context"
	"database/sql"
	"errors"

	"strait/state"
)

// serve is the writer: the only goroutine that changes facts.
func (s *Store) serve() {
	defer close(s.written)
	for {
		batches := s.queue.take()
		if batches == nil {
			return
		}
		s.writeGroup(batches)
	}
}

// A group is some batches in one transaction.
type group struct {
	before, last state.Revision            // the store's revision before and after
	changes      []state.Change            // in the order of revisions
	now          map[string]state.Revision // what changes did to a key; 0 is deleted
}

// writeGroup applies batches in order in one transaction and answers all of
// them after its commit. A batch whose expectations fail is answered then, too:
// what it failed on must be visible to its caller.
func (s *Store) writeGroup(batches []*batch) {
	err := s.settle()
	var g *group
	if err == nil {
		g, err = s.applyAll(batches)
	}
	if err == nil {
		err = s.commit(g)
	}
	for _, b := range batches {
		if err != nil {
			b.revision, b.err = 0, diskError("write the facts", err)
		}
		close(b.done)
	}
}

// applyAll writes every batch whose expectations hold, and sets each one's
// answer. On an error the transaction is rolled back.
func (s *Store) applyAll(batches []*batch) (g *group, err error) {
	ctx := context.Background()
	if _, err := s.write.begin.ExecContext(ctx); err != nil {
		return nil, err
	}
	before := s.history.current()
	g = &group{before: before, last: before, now: map[string]state.Revision{}}
	for _, b := range batches {
		if err := s.applyBatch(ctx, g, b); err != nil {
			s.rollback(ctx)
			return nil, err
		}
	}
	return g, nil
}

// applyBatch checks what b expects, then makes its writes as revision
// g.last+1, which is used up only if something changed.
func (s *Store) applyBatch(ctx context.Context, g *group, b *batch) error {
	for _, w := range b.writes {
		if w.Expect == (state.Expect{}) {
			continue
		}
		r, err := s.revisionOf(ctx, g, w.Key)
		if err != nil {
			return err
		}
		if !w.Expect.Holds(r) {
			b.err = state.ErrConflict
			return nil
		}
	}
	changed := false
	revision := g.last + 1
	for _, w := range b.writes {
		ok, err := s.applyWrite(ctx, g, w, revision)
		if err != nil {
			return err
		}
		changed = changed || ok
	}
	if changed {
		g.last = revision
	}
	b.revision = g.last
	return nil
}

// applyWrite makes one write and tells whether it changed anything.
func (s *Store) applyWrite(ctx context.Context, g *group, w state.Write, revision state.Revision) (bool, error) {
	f := state.Fact{Key: w.Key, Value: w.Value, Revision: revision}
	if !w.Delete {
		if _, err := s.write.put.ExecContext(ctx, []byte(w.Key), int64(revision), w.Value); err != nil {
			return false, err
		}
		g.now[w.Key] = revision
		g.changes = append(g.changes, state.Change{Fact: f})
		return true, nil
	}
	res, err := s.write.delete.ExecContext(ctx, []byte(w.Key))
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	if n == 0 || err != nil {
		return false, err
	}
	g.now[w.Key] = 0
	g.changes = append(g.changes, state.Change{Fact: f, Deleted: true})
	return true, nil
}

// revisionOf returns the revision of the fact under key in the middle of a
// group, 0 when there is none.
func (s *Store) revisionOf(ctx context.Context, g *group, key string) (state.Revision, error) {
	if r, ok := g.now[key]; ok {
		return r, nil
	}
	if f, ok, _ := s.cache.get(key); ok {
		return f.Revision, nil
	}
	var r int64
	err := s.write.revisionOf.QueryRowContext(ctx, []byte(key)).Scan(&r)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return state.Revision(r), err
}

// commit makes g durable, and then visible in the cache and to watchers.
func (s *Store) commit(g *group) error {
	ctx := context.Background()
	if len(g.changes) == 0 {
		s.rollback(ctx)
		return nil
	}
	if _, err := s.write.setRevision.ExecContext(ctx, int64(g.last)); err != nil {
		s.rollback(ctx)
		return err
	}
	s.cache.hold(g.changes)
	_, err := s.write.commit.ExecContext(ctx)
	if err != nil {
		s.rollback(ctx)
		s.unsettled = g
		return errors.Join(err, s.settle())
	}
	s.publish(g)
	return nil
}

func (s *Store) publish(g *group) {
	s.cache.release(g.changes)
	s.history.publish(g.changes, g.last)
}

// settle finds out what became of a commit that answered with an error, so that
// memory says what the disk says. Until that is known its keys stay held (reads
// ask SQLite) and nothing is written. Its callers were told that it failed; that
// SQLite kept it all the same has not been seen, but is not ruled out here.
func (s *Store) settle() error {
	g := s.unsettled
	if g == nil {
		return nil
	}
	last, err := s.write.last(context.Background())
	if err != nil {
		return err
	}
	s.unsettled = nil
	if last == g.before {
		s.cache.release(nil)
	} else {
		s.publish(g)
	}
	return nil
}

// rollback ends the transaction. SQLite has often done so itself after an
// error, and then this one's error says just that; if there is a transaction
// left, the next BEGIN fails and tells.
func (s *Store) rollback(ctx context.Context) { _, _ = s.write.rollback.ExecContext(ctx) }
