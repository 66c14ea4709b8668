package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

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
}

// Pauses after a file that could not be sent; others are sent meanwhile.
const (
	firstPause = 5 * time.Second
	longPause  = 5 * time.Minute
)

// watch sends files until ctx ends; that is no failure.
func (s *spool) watch(ctx context.Context, l *link, f *linkFlags, r *report, once bool) error {
	if info, err := os.Stat(s.Dir); err != nil || !info.IsDir() {
		return usageError{fmt.Errorf("%s is no directory that can be read", s.Dir)}
	}
	if s.NoResume {
		return usageError{errors.New("a watched directory needs journals: they prove what was stored")}
	}
	seen := map[string]*candidate{}
	for ctx.Err() == nil {
		if err := s.scan(seen); err != nil {
			return err
		}
		c := s.oldest(seen)
		if c != nil {
			if err := s.take(ctx, l, f, r, c); err != nil && ctx.Err() == nil {
				if once {
					return err
				}
				c.pause = min(max(2*c.pause, firstPause), longPause)
				c.next = time.Now().Add(c.pause)
			}
			continue
		}
		if once && len(seen) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(time.Duration(s.Interval), 10*time.Millisecond)):
		}
	}
	return nil
}

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
		if path != s.Dir && (strings.HasPrefix(name, ".") || d.IsDir() && s.MoveTo != "" && path == s.MoveTo) {
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

// oldest is the next file that is complete, nil when there is none.
func (s *spool) oldest(seen map[string]*candidate) *candidate {
	var ready []*candidate
	now := time.Now()
	for _, c := range seen {
		if now.Sub(c.since) >= time.Duration(s.Settle) && now.After(c.next) {
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
	file := filepath.Join(s.Dir, filepath.FromSlash(c.path))
	if s.KeyTemplate == "" {
		s.KeyTemplate = "{path}"
	}
	in, err := s.input(f, file, c.path)
	if err != nil {
		return err
	}
	in.KeepJournal = true
	if _, err := s.send(ctx, l, r, in); err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.Size() != c.size || !info.ModTime().Equal(c.time) {
		r.say(device.Event{Kind: device.Restarted, Text: c.path + " was written to after it was sent; it is sent again"})
		return nil
	}
	if err := s.leave(file, c.path); err != nil {
		return err
	}
	if err := os.Remove(in.Journal); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (s *spool) leave(file, path string) error {
	if s.MoveTo == "" {
		return os.Remove(file)
	}
	to := filepath.Join(s.MoveTo, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	// Nothing that is there is overwritten.
	for n := 1; ; n++ {
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			return os.Rename(file, to)
		}
		to = fmt.Sprintf("%s.%d", filepath.Join(s.MoveTo, filepath.FromSlash(path)), n)
	}
}
