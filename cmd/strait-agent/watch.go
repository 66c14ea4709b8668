package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"strait"
	"strait/device"
)

// spool says which directory is watched and what becomes of its files. It is
// also a field of run's configuration.
type spool struct {
	Dir      string `arg:"" help:"The directory; hidden files and those that end in .tmp or .part are left alone." type:"path"`
	MoveTo   string `help:"Move what is stored there; default: it is deleted." type:"path"`
	Settle   span   `default:"2s" help:"A file is complete when its size and time have not changed for so long."`
	Interval span   `default:"1s" help:"How often to look."`
	sendFlags

	moved fs.FileInfo // of MoveTo, nil without it
}

// watchCommand watches one directory.
type watchCommand struct {
	spool
	linkFlags
	Once bool `help:"End when the directory is empty."`
	JSON bool `name:"json" help:"Print JSON lines, on a terminal, too."`
}

// Run is called by kong.
func (c *watchCommand) Run(ctx context.Context) error {
	l, err := c.open(ctx, c.Purpose, !c.Once)
	if err != nil {
		return err
	}
	defer l.close()
	return c.watch(ctx, l, &c.linkFlags, newReport(os.Stdout, c.JSON), c.Once)
}

// A candidate is a file that was seen.
type candidate struct {
	path  string // below the directory
	size  int64
	time  time.Time
	since time.Time // unchanged
	pause time.Duration
	next  time.Time // not before, because it failed
	given bool      // given up, with --once
}

// Pauses after a file that could not be sent; others are sent meanwhile.
const (
	firstPause = 5 * time.Second
	longPause  = 5 * time.Minute
)

// prepare refuses what could not work, before the first file is sent.
func (s *spool) prepare() error {
	dir, err := os.Stat(s.Dir)
	if err != nil || !dir.IsDir() {
		return usageError{fmt.Errorf("%q is no directory that can be read", s.Dir)}
	}
	if s.NoResume {
		return usageError{errors.New("a watched directory needs journals: they prove what was stored")}
	}
	if s.MoveTo == "" {
		return s.checkTemplate()
	}
	if err := os.MkdirAll(s.MoveTo, 0o700); err != nil {
		return usageError{fmt.Errorf("make the directory for what is stored: %w", err)}
	}
	if s.moved, err = os.Stat(s.MoveTo); err != nil {
		return usageError{fmt.Errorf("read the directory for what is stored: %w", err)}
	}
	if os.SameFile(dir, s.moved) {
		return usageError{fmt.Errorf("what is stored cannot be moved to %s: that is the directory that is watched", s.MoveTo)}
	}
	return s.checkTemplate()
}

// watch sends files until ctx ends; that is no failure.
func (s *spool) watch(ctx context.Context, l *link, f *linkFlags, r *report, once bool) error {
	if err := s.prepare(); err != nil {
		return err
	}
	interval := max(time.Duration(s.Interval), 10*time.Millisecond)
	seen := map[string]*candidate{}
	var scanned time.Time
	var failures []error // with once
	for ctx.Err() == nil {
		c := s.oldest(seen)
		if c == nil || time.Since(scanned) >= interval {
			if err := s.scan(seen); err != nil {
				return err
			}
			scanned = time.Now()
			c = s.oldest(seen)
		}
		if c != nil {
			err := s.take(ctx, l, f, r, c)
			switch {
			case ctx.Err() != nil:
			case err == nil:
				delete(seen, s.file(c)) // whatever is there now is new
			case once:
				// What is wrong with one file does not keep the others back; a
				// network that does not work would hold each of them up as long.
				failures = append(failures, fmt.Errorf("%s: %w", c.path, err))
				if c.given = true; strait.KindOf(err) == strait.Unavailable {
					return errors.Join(failures...)
				}
			default:
				c.pause = min(max(2*c.pause, firstPause), longPause)
				c.next = time.Now().Add(c.pause)
				r.say(device.Event{Kind: device.Retrying, Err: err, Text: fmt.Sprintf("%s: %v; trying again in %s", c.path, err, c.pause)})
			}
			continue
		}
		if once && !slices.ContainsFunc(slices.Collect(maps.Values(seen)), func(c *candidate) bool { return !c.given }) {
			return errors.Join(failures...)
		}
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		}
	}
	return nil
}

// file is where c is.
func (s *spool) file(c *candidate) string { return filepath.Join(s.Dir, filepath.FromSlash(c.path)) }

// scan looks at what is there.
func (s *spool) scan(seen map[string]*candidate) error {
	here := map[string]bool{}
	now := time.Now()
	err := filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if path == s.Dir {
				return err
			}
			return nil // gone meanwhile, or not ours to read
		}
		name := d.Name()
		if path != s.Dir && (strings.HasPrefix(name, ".") || d.IsDir() && s.holdsMoved(d)) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".part") {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		here[path] = true
		c := seen[path]
		if c == nil || c.size != info.Size() || !c.time.Equal(info.ModTime()) {
			rel, err := filepath.Rel(s.Dir, path)
			if err != nil {
				return err
			}
			seen[path] = &candidate{path: filepath.ToSlash(rel), size: info.Size(), time: info.ModTime(), since: now}
		}
		return nil
	})
	for path := range seen {
		if !here[path] {
			delete(seen, path)
		}
	}
	return err
}

// holdsMoved tells whether d is the directory for what is stored, however it
// was written: what is in it must not be sent again.
func (s *spool) holdsMoved(d fs.DirEntry) bool {
	if s.moved == nil {
		return false
	}
	info, err := d.Info()
	return err == nil && os.SameFile(info, s.moved)
}

// oldest is the next file that is complete, nil when there is none.
func (s *spool) oldest(seen map[string]*candidate) *candidate {
	var ready []*candidate
	now := time.Now()
	for _, c := range seen {
		if now.Sub(c.since) >= time.Duration(s.Settle) && now.After(c.next) && !c.given {
			ready = append(ready, c)
		}
	}
	if len(ready) == 0 {
		return nil
	}
	return slices.MinFunc(ready, func(a, b *candidate) int {
		return cmp.Or(a.time.Compare(b.time), strings.Compare(a.path, b.path))
	})
}

// take sends a file and deletes or moves it when the store has confirmed its
// checksum. The journal stays until then: a process that dies in between finds
// that the file was stored.
func (s *spool) take(ctx context.Context, l *link, f *linkFlags, r *report, c *candidate) error {
	file := s.file(c)
	if s.KeyTemplate == "" {
		s.KeyTemplate = "{path}"
	}
	in, err := s.input(f, file, c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody took it away
	}
	if err != nil {
		return err
	}
	in.KeepJournal = true
	if _, err := s.send(ctx, l, r, in); err != nil {
		return err
	}
	if !c.unchanged(file) {
		r.say(device.Event{Kind: device.Restarted, Text: c.path + " was written to after it was sent; it is sent again"})
		return nil
	}
	if err := s.leave(file, c); err != nil {
		return fmt.Errorf("it is stored, but could not be put away: %w", err)
	}
	if err := os.Remove(in.Journal); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// unchanged tells whether file is still what was seen.
func (c *candidate) unchanged(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Size() == c.size && info.ModTime().Equal(c.time)
}

// leave deletes or moves what is stored.
func (s *spool) leave(file string, c *candidate) error {
	if s.MoveTo == "" {
		return os.Remove(file)
	}
	to := filepath.Join(s.MoveTo, filepath.FromSlash(c.path))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	// Nothing that is there is overwritten.
	for n := 1; ; n++ {
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		}
		to = fmt.Sprintf("%s.%d", filepath.Join(s.MoveTo, filepath.FromSlash(c.path)), n)
	}
	if os.Rename(file, to) == nil {
		return nil
	}
	// Another file system, or another mount of the same one, as a service
	// manager makes them.
	if err := copyFile(file, to, c.time); err != nil {
		return err
	}
	if !c.unchanged(file) {
		return errors.Join(errors.New("it was written to while it was moved"), os.Remove(to))
	}
	return os.Remove(file)
}

// copyFile copies from to to, which is whole and on disk when it is there.
func copyFile(from, to string, at time.Time) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	part, err := os.CreateTemp(filepath.Dir(to), ".moving-*.part") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(part.Name())
	_, err = io.Copy(part, src)
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return err
	}
	if err := os.Chtimes(part.Name(), at, at); err != nil {
		return err
	}
	return os.Rename(part.Name(), to)
}
