package local

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"strait/state"
)

// format is stored as SQLite's user_version; a store of a later one is refused.
const format = 1

// schema is one table of facts, in the order of the keys' bytes (SQLite
// compares blobs with memcmp), and the number of the last batch. The revision
// stands before the value, so that reading it alone never follows a long value.
const schema = `
CREATE TABLE IF NOT EXISTS fact (
	key      BLOB PRIMARY KEY,
	revision INTEGER NOT NULL,
	value    BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch (
	only INTEGER PRIMARY KEY CHECK (only = 1),
	last INTEGER NOT NULL
);
INSERT INTO batch (only, last) VALUES (1, 0) ON CONFLICT DO NOTHING;
PRAGMA user_version = 1;
`

// statements are the questions that readers ask.
type statements struct {
	get, list, changes *sql.Stmt
}

// A writeConn is the one connection that writes, and its statements.
type writeConn struct {
	conn                      *sql.Conn
	begin, commit, rollback   *sql.Stmt
	put, delete, revisionOf   *sql.Stmt
	lastRevision, setRevision *sql.Stmt
}

// source names the file at path for the driver with what every connection sets.
// The page cache is kept small (in KiB): hot facts have a cache of their own.
func source(path string, cacheKiB int, more ...string) string {
	sync := "synchronous(FULL)"
	if !durable {
		sync = "synchronous(OFF)"
	}
	q := url.Values{"_pragma": append([]string{
		"busy_timeout(10000)", sync,
		fmt.Sprintf("cache_size(-%d)", cacheKiB),
	}, more...)}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// connect opens the connections and returns the last revision.
func (s *Store) connect(path string) (state.Revision, error) {
	ctx := context.Background()
	var err error

	// 1. The writer makes the tables.
	s.writer, err = sql.Open("sqlite", source(path, 2048, "journal_mode(WAL)", "journal_size_limit(16777216)"))
	if err != nil {
		return 0, err
	}
	s.writer.SetMaxOpenConns(1)
	conn, err := s.writer.Conn(ctx)
	if err != nil {
		return 0, err
	}
	s.write.conn = conn
	if err := migrate(ctx, conn); err != nil {
		return 0, err
	}
	if err := s.prepareWriter(ctx); err != nil {
		return 0, err
	}
	last, err := s.write.last(ctx)
	if err != nil {
		return 0, err
	}

	// 2. The readers.
	s.readers, err = sql.Open("sqlite", source(path, 512, "query_only(1)"))
	if err != nil {
		return 0, err
	}
	s.readers.SetMaxOpenConns(4)
	s.readers.SetMaxIdleConns(4)
	for query, stmt := range map[string]**sql.Stmt{
		`SELECT revision, value FROM fact WHERE key = ?`:                                        &s.read.get,
		`SELECT key, revision, value FROM fact WHERE key >= ? AND key < ? ORDER BY key LIMIT ?`: &s.read.list,
		`SELECT key, revision, value FROM fact WHERE key >= ? AND key < ? AND revision > ?`:     &s.read.changes,
	} {
		if *stmt, err = s.readers.PrepareContext(ctx, query); err != nil {
			return 0, err
		}
		s.statements = append(s.statements, *stmt)
	}
	return last, nil
}

// migrate brings the tables to this format.
func migrate(ctx context.Context, conn *sql.Conn) error {
	var version int
	if err := conn.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	if version == format {
		return nil
	}
	if version > format {
		return fmt.Errorf("the facts were written by a later version of strait (format %d, this one knows %d): use that version", version, format)
	}
	_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE;"+schema+"COMMIT;")
	return err
}

func (s *Store) prepareWriter(ctx context.Context) error {
	w := &s.write
	for query, stmt := range map[string]**sql.Stmt{
		`BEGIN IMMEDIATE`: &w.begin,
		`COMMIT`:          &w.commit,
		`ROLLBACK`:        &w.rollback,
		`INSERT INTO fact (key, revision, value) VALUES (?, ?, ?)
		 ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, value = excluded.value`: &w.put,
		`DELETE FROM fact WHERE key = ?`:           &w.delete,
		`SELECT revision FROM fact WHERE key = ?`:  &w.revisionOf,
		`SELECT last FROM batch WHERE only = 1`:    &w.lastRevision,
		`UPDATE batch SET last = ? WHERE only = 1`: &w.setRevision,
	} {
		prepared, err := w.conn.PrepareContext(ctx, query)
		if err != nil {
			return err
		}
		*stmt = prepared
		s.statements = append(s.statements, prepared)
	}
	return nil
}

// last reads the number of the last batch.
func (w *writeConn) last(ctx context.Context) (state.Revision, error) {
	var r int64
	err := w.lastRevision.QueryRowContext(ctx).Scan(&r)
	return state.Revision(r), err
}

// disconnect closes whatever connect opened, and the lock. The statements are
// closed one by one: SQLite keeps the files of a connection open, and its write-
// ahead log unmerged, as long as one of its statements lives.
func (s *Store) disconnect() error {
	var errs []error
	for _, stmt := range s.statements {
		errs = append(errs, stmt.Close())
	}
	if s.readers != nil {
		errs = append(errs, s.readers.Close())
	}
	if s.write.conn != nil {
		errs = append(errs, s.write.conn.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}
