package authz

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"strait/identity"
)

// A Log keeps decisions on disk: files of JSON lines, each a Told, oldest
// first, rotated and bounded in size and number. It reads what the Recorder
// holds once a second, when the counts of a second are final, so that no
// request ever waits for a disk, and memory stays what the Recorder takes. The
// Recorder is its buffer: what is dropped there before it was written is a loss,
// and a loss is written down as a line of its own.
//
// A flood of one source does not push out what others need to read: of equal
// refusals in a second the first is kept with the count of all, and a source
// has perSecond lines a second.
type Log struct {
	dir       string
	recorder  *Recorder
	directory *identity.Directory
	log       *slog.Logger
	limits    LogLimits

	last   uint64 // number of the last record that was read
	file   *os.File
	size   int64
	serial int  // of file
	missed int  // records that a failed write left out
	failed bool // the last write failed; said once

	uses    *usesLog
	samples bool // the last write of samples failed
}

// LogLimits bound a Log. Zero members take the defaults: 16 files of 8 MiB.
type LogLimits struct {
	FileSize int64 // bytes after which the next file begins
	Files    int   // the oldest are removed
}

const (
	defaultFileSize = 8 << 20
	defaultFiles    = 16
	perSecond       = 64   // lines of one source
	perFlush        = 1024 // lines of all
	restored        = 1024 // records that a restart brings back into memory
	maxLine         = 1 << 20
)

// OpenLog opens the log in dir, made when missing, and gives the latest of
// what is there back to the recorder, so that it can be explained after a
// restart. It must be called before anything is recorded.
func OpenLog(dir string, r *Recorder, d *identity.Directory, limits LogLimits, log *slog.Logger) (*Log, error) {
	if limits.FileSize <= 0 {
		limits.FileSize = defaultFileSize
	}
	if limits.Files <= 0 {
		limits.Files = defaultFiles
	}
	l := &Log{dir: dir, recorder: r, directory: d, log: log, limits: limits}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the decision log: %w", err)
	}
	files, err := l.files()
	if err != nil {
		return nil, fmt.Errorf("open the decision log: %w", err)
	}
	var old []*Told
	for i := len(files) - 1; i >= 0 && len(old) < restored; i-- {
		old = append(readLog(files[i], restored-len(old)), old...)
	}
	l.last = r.restore(old)
	if n := len(files); n > 0 {
		fmt.Sscanf(filepath.Base(files[n-1]), logName, &l.serial)
	} else {
		l.serial = 1
	}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("open the decision log: %w", err)
	}
	if l.uses, err = openUses(dir, &r.used); err != nil {
		l.file.Close()
		return nil, err
	}
	return l, nil
}

const logName = "decisions-%08d.jsonl"

func (l *Log) name(serial int) string { return filepath.Join(l.dir, fmt.Sprintf(logName, serial)) }

// files returns the log's files, oldest first.
func (l *Log) files() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(l.dir, "decisions-????????.jsonl"))
	slices.Sort(files)
	return files, err
}

// open goes on in the file with the present serial. A line that a crash cut
// off is ended, so that the next one can be read.
func (l *Log) open() error {
	f, err := os.OpenFile(l.name(l.serial), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	l.file, l.size = f, info.Size()
	var end [1]byte
	if n, _ := f.ReadAt(end[:], max(l.size-1, 0)); n == 1 && end[0] != '\n' {
		return l.write([]byte("\n"))
	}
	return nil
}

func (l *Log) write(b []byte) error {
	n, err := l.file.Write(b)
	l.size += int64(n)
	return err
}

// Run writes what is recorded until ctx ends.
func (l *Log) Run(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			l.flush(l.recorder.now().Truncate(time.Second))
			l.sample(l.uses.flush(&l.recorder.used))
		}
	}
}

// Close writes what is left. Run must have ended.
func (l *Log) Close() error {
	l.flush(time.Time{})
	l.sample(l.uses.close(&l.recorder.used))
	return l.file.Close()
}

// sample tells, once, that samples cannot be written: they are lost with a
// restart, and nothing else is.
func (l *Log) sample(err error) {
	if err != nil && !l.samples {
		l.log.Error("the samples for policy suggestions cannot be written", "error", err)
	}
	l.samples = err != nil
}

// flush writes the records from before the moment (zero: all) that have not
// been written yet. A failure is told to the program's log, once, and counted as a loss:
// no request may fail because the log's disk is full.
func (l *Log) flush(before time.Time) {
	batch, last := l.recorder.after(l.last, before)
	lost := int(last-l.last) - len(batch) + l.missed
	l.last = last
	lines, over := thin(batch)
	if len(lines) > perFlush {
		over[""] += len(lines) - perFlush
		lines = lines[len(lines)-perFlush:]
	}
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	for _, rec := range lines {
		if out.Encode(Tell(rec, l.directory, true)) != nil {
			lost++
		}
	}
	if lost > 0 {
		out.Encode(l.loss(lost, "they came faster than they could be written"))
	}
	for source, n := range over {
		of := source
		if of == "" {
			of = "strangers"
		}
		out.Encode(l.loss(n, fmt.Sprintf("%s caused more than %d records in a second", of, perSecond)))
	}
	if b.Len() == 0 {
		return
	}
	err := l.rotate(int64(b.Len()))
	if err == nil {
		err = l.write(b.Bytes())
	}
	if err != nil && !l.failed {
		l.log.Error("decisions are lost: the decision log cannot be written", "error", err)
	}
	if l.failed = err != nil; l.failed {
		l.missed = lost + len(lines)
	} else {
		l.missed = 0
	}
}

// loss is the record of records that are not kept.
func (l *Log) loss(n int, why string) *Told {
	what := fmt.Sprintf("%d records were not kept: %s", n, why)
	return &Told{Record: Record{Time: l.recorder.now().UTC(), Operation: "Log", Event: what, Count: n}, Summary: what + "."}
}

// rotate begins the next file when more bytes do not fit, and removes the
// oldest ones.
func (l *Log) rotate(more int64) error {
	if l.size == 0 || l.size+more <= l.limits.FileSize {
		return nil
	}
	if err := l.file.Close(); err != nil {
		return err
	}
	l.serial++
	if err := l.open(); err != nil {
		return err
	}
	files, err := l.files()
	if err != nil {
		return err
	}
	for len(files) > l.limits.Files {
		if err := os.Remove(files[0]); err != nil {
			return err
		}
		files = files[1:]
	}
	return nil
}

// thin leaves of equal refusals in one second the first, with the count of
// all, and of each source at most perSecond records a second. over counts what
// was left out beyond that, by source.
func thin(batch []sourced) (lines []*Record, over map[string]int) {
	type same struct {
		repeat
		second int64
	}
	type account struct {
		source string
		second int64
	}
	first, used := map[same]*Record{}, map[account]int{}
	over = map[string]int{}
	for _, s := range batch {
		rec, second := s.rec, s.rec.Time.Unix()
		refused := rec.Effect != "" && rec.Effect != "allow"
		key := same{repeat{action: string(rec.Action), resource: string(rec.Resource), principal: string(rec.Principal), layer: rec.Layer, event: rec.Effect}, second}
		if earlier := first[key]; refused && earlier != nil {
			earlier.Count += rec.Count
			continue
		}
		if a := (account{s.source, second}); used[a] >= perSecond {
			over[s.source] += rec.Count
			continue
		} else {
			used[a]++
		}
		copied := *rec // its count may grow here, not in memory
		if refused {
			first[key] = &copied
		}
		lines = append(lines, &copied)
	}
	return lines, over
}

// Find returns the record with that id from the files, newest first; nil when
// it is not there.
func (l *Log) Find(id string) *Record {
	files, err := l.files()
	if err != nil || id == "" {
		return nil
	}
	want := []byte(`"id":"` + id + `"`)
	for _, name := range slices.Backward(files) {
		b, err := os.ReadFile(name)
		if err != nil || !bytes.Contains(b, want) {
			continue
		}
		for line := range bytes.Lines(b) {
			if !bytes.Contains(line, want) {
				continue
			}
			t := &Told{}
			if json.Unmarshal(line, t) == nil && t.ID == id {
				rec := t.Record
				rec.told = t
				return &rec
			}
		}
	}
	return nil
}

// readLog returns at most the last n records of a file. Lines that cannot be
// read, such as one that a crash cut off, are passed over.
func readLog(name string, n int) []*Told {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	var lines [][]byte
	in := bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 && len(line) < maxLine {
			if lines = append(lines, line); len(lines) > 2*n {
				lines = slices.Clone(lines[len(lines)-n:])
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil
		}
	}
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	var out []*Told
	for _, line := range lines {
		t := &Told{}
		if json.Unmarshal(line, t) == nil && t.ID != "" {
			out = append(out, t)
		}
	}
	return out
}

// A sourced is a record and on whose account it is.
type sourced struct {
	rec    *Record
	source string
}

// after returns what was recorded after the record with that number and before
// the moment (zero: all), oldest first, and the number of the last of them.
func (r *Recorder) after(number uint64, before time.Time) (batch []sourced, last uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last = number
	for el := r.all.Back(); el != nil; el = el.Prev() {
		e := el.Value.(*entry)
		if e.rec.number <= number {
			break
		}
		if before.IsZero() || e.rec.Time.Before(before) {
			batch = append(batch, sourced{e.read(), e.source})
			last = max(last, e.rec.number)
		}
	}
	slices.Reverse(batch)
	return batch, last
}

// restore takes back records that were kept, oldest first, and returns the
// number of the last.
func (r *Recorder) restore(old []*Told) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range old {
		rec := t.Record
		rec.told = t
		r.number++
		rec.number = r.number
		e := &entry{rec: &rec, source: r.sourceOf(&rec)}
		r.makeRoom(e.source)
		r.keep(e)
	}
	r.first = r.number
	return r.number
}

// Find returns the record with that id, from memory or the log; nil when it is
// not kept.
func (a *Authorizer) Find(id string) *Record {
	if r := a.Recorder.Get(id); r != nil || a.Log == nil {
		return r
	}
	return a.Log.Find(id)
}
