package logs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"strait"
)

// An Event is one line.
type Event struct {
	Seq      uint64 // numbers the lines of a group; set by Put
	Stream   string
	Time     time.Time // when it happened, says whoever wrote it; milliseconds
	Ingested time.Time
	Message  string
}

// A Stream is where one writer's lines are.
type Stream struct {
	Name        string
	Created     time.Time
	First, Last time.Time // of its lines; zero when there are none
	Ingested    time.Time // when the last of them came
}

// A record is a line of a file: an event, or the making or end of a stream.
type record struct {
	Seq     uint64 `json:"n,omitempty"`
	Time    int64  `json:"t,omitempty"` // ms
	In      int64  `json:"i,omitempty"` // ms: ingested; of a stream: created
	Stream  string `json:"s"`
	Message string `json:"m,omitempty"`
	Gone    bool   `json:"x,omitempty"` // the stream was deleted here
	Again   bool   `json:"h,omitempty"` // the stream's making, told again in a new file
}

// A group is a Group with its files. Files are read when the group is first used.
type group struct {
	Group
	dir string
	max int64

	mu      sync.Mutex
	loaded  bool
	closed  bool
	streams map[string]*Stream
	seq     uint64
	file    *os.File
	size    int64 // of the newer file
	older   int64 // bytes of the older one
}

func (g *group) newer() string     { return filepath.Join(g.dir, "new.jsonl") }
func (g *group) olderName() string { return filepath.Join(g.dir, "old.jsonl") }

// load reads which streams there are. g.mu is held.
func (g *group) load() error {
	if g.closed {
		return noGroup()
	}
	if g.loaded {
		return nil
	}
	g.streams = map[string]*Stream{}
	var sizes [2]int64
	for i, name := range []string{g.olderName(), g.newer()} {
		if err := scan(name, g.seen); err != nil {
			return err
		}
		if st, err := os.Stat(name); err == nil {
			sizes[i] = st.Size()
		}
	}
	g.older, g.size, g.loaded = sizes[0], sizes[1], true
	return nil
}

// seen takes r into the streams.
func (g *group) seen(r record) {
	g.seq = max(g.seq, r.Seq)
	if r.Gone {
		delete(g.streams, r.Stream)
		return
	}
	s := g.streams[r.Stream]
	if s == nil {
		s = &Stream{Name: r.Stream, Created: time.UnixMilli(r.In)}
		g.streams[r.Stream] = s
	}
	if r.Message == "" {
		return
	}
	at := time.UnixMilli(r.Time)
	if s.First.IsZero() || at.Before(s.First) {
		s.First = at
	}
	if at.After(s.Last) {
		s.Last = at
	}
	s.Ingested = time.UnixMilli(r.In)
}

// maxLine bounds a line of a file: JSON may need six bytes for one.
const maxLine = 6*MaxMessage + 8<<10

// scan calls fn for each record of a file. A line that cannot be read, such as
// one that a crash cut off, is left out.
func scan(name string, fn func(r record)) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read a log: %w", err)
	}
	defer f.Close()
	return scanIn(f, fn)
}

func scanIn(from io.Reader, fn func(r record)) error {
	s := bufio.NewScanner(from)
	s.Buffer(make([]byte, 64<<10), maxLine)
	for s.Scan() {
		if r, ok := readRecord(s.Bytes()); ok {
			fn(r)
		}
	}
	if err := s.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("read a log: %w", err)
	}
	return nil
}

// snapshot opens the files as they are at one moment, the older one first.
// g.mu is held.
func (g *group) snapshot() (files []*os.File, from []io.Reader, err error) {
	for i, name := range []string{g.olderName(), g.newer()} {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			closeAll(files)
			return nil, nil, fmt.Errorf("read a log: %w", err)
		}
		files = append(files, f)
		from = append(from, io.LimitReader(f, []int64{g.older, g.size}[i]))
	}
	return files, from, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func readRecord(line []byte) (r record, ok bool) {
	if json.Unmarshal(line, &r) != nil || r.Stream == "" {
		return record{}, false
	}
	return r, true
}

func (g *group) told() (Group, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.load()
	told := g.Group
	told.Bytes = g.size + g.older
	return told, err
}

func (g *group) list(prefix string) ([]Stream, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.load(); err != nil {
		return nil, err
	}
	var out []Stream
	for name, s := range g.streams {
		if strings.HasPrefix(name, prefix) {
			out = append(out, *s)
		}
	}
	slices.SortFunc(out, func(a, b Stream) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func noStream() error {
	return strait.Errorf(strait.NotFound, "log stream", "The specified log stream does not exist.")
}

func (g *group) createStream(name string, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.load(); err != nil {
		return err
	}
	if g.streams[name] != nil {
		return strait.Errorf(strait.Exists, "log stream", "The specified log stream already exists")
	}
	if len(g.streams) >= MaxStreams {
		g.dropStream()
	}
	return g.write([]record{{Stream: name, In: now.UnixMilli()}}, false)
}

// dropStream forgets the stream that was written to longest ago, so that there
// is room for another.
func (g *group) dropStream() {
	var oldest *Stream
	for _, s := range g.streams {
		if oldest == nil || last(s).Before(last(oldest)) {
			oldest = s
		}
	}
	if oldest != nil {
		delete(g.streams, oldest.Name)
	}
}

func last(s *Stream) time.Time {
	if s.Ingested.IsZero() {
		return s.Created
	}
	return s.Ingested
}

func (g *group) deleteStream(name string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.load(); err != nil {
		return err
	}
	if g.streams[name] == nil {
		return noStream()
	}
	return g.write([]record{{Stream: name, Seq: g.seq + 1, Gone: true}}, true)
}

func (g *group) put(stream string, events []Event, now time.Time, sync bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.load(); err != nil {
		return err
	}
	if g.streams[stream] == nil {
		return noStream()
	}
	if len(events) == 0 {
		return nil // all were too old or too new
	}
	records := make([]record, len(events))
	for i, ev := range events {
		records[i] = record{Seq: g.seq + uint64(i) + 1, Time: ev.Time.UnixMilli(), In: now.UnixMilli(), Stream: stream, Message: strings.ToValidUTF8(ev.Message, "\uFFFD")}
	}
	return g.write(records, sync)
}

// write appends records. What a failing disk wrote of them is cut off again,
// or left out by readers. g.mu is held.
func (g *group) write(records []record, sync bool) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, r := range records {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	if g.size > 0 && g.size+int64(b.Len()) > g.max {
		if err := g.turn(); err != nil {
			return err
		}
	}
	if err := g.open(); err != nil {
		return err
	}
	_, err := g.file.Write(b.Bytes())
	if err == nil && sync {
		err = g.file.Sync()
	}
	if err != nil {
		err = errors.Join(err, g.file.Truncate(g.size))
		return fmt.Errorf("write a log: %w", err)
	}
	g.size += int64(b.Len())
	for _, r := range records {
		g.seen(r)
	}
	return nil
}

func (g *group) open() (err error) {
	if g.file != nil {
		return nil
	}
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		return fmt.Errorf("write a log: %w", err)
	}
	if g.file, err = os.OpenFile(g.newer(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return fmt.Errorf("write a log: %w", err)
	}
	// A crash may have cut the last line off: the next one begins anew.
	if g.size > 0 {
		if _, err := g.file.WriteString("\n"); err != nil {
			return fmt.Errorf("write a log: %w", err)
		}
		g.size++
	}
	for _, dir := range []string{g.dir, filepath.Dir(g.dir)} {
		if err := syncDir(dir); err != nil {
			return fmt.Errorf("write a log: %w", err)
		}
	}
	return nil
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// turn makes the newer file the older one, and forgets streams that have
// nothing left in it. Those that stay are named at the head of the new file:
// when they were made is told nowhere else. g.mu is held.
func (g *group) turn() error {
	if err := g.open(); err != nil {
		return err
	}
	kept := map[string]bool{}
	if err := scan(g.newer(), func(r record) { kept[r.Stream] = kept[r.Stream] || !r.Again }); err != nil {
		return err
	}
	err := g.file.Close()
	g.file = nil
	if err = errors.Join(err, os.Rename(g.newer(), g.olderName())); err != nil {
		return fmt.Errorf("write a log: %w", err)
	}
	g.older, g.size = g.size, 0
	var heads []record
	for name, s := range g.streams {
		if !kept[name] {
			delete(g.streams, name)
			continue
		}
		heads = append(heads, record{Stream: name, In: s.Created.UnixMilli(), Seq: g.seq, Again: true})
	}
	if len(heads) == 0 {
		return nil
	}
	return g.write(heads, false)
}

func (g *group) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if g.file == nil {
		return nil
	}
	err := g.file.Close()
	g.file = nil
	return err
}
