package function

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	maxLine      = 64 << 10 // a longer line is cut into several
	journalLines = 4096     // kept in memory
	journalBytes = 1 << 20  // kept in memory
	journalFile  = 4 << 20  // then the file becomes the older one of two
)

// A journal is the log of one function: the last lines in memory, and some
// more in two files, for people and for the next start.
type journal struct {
	path string

	mu      sync.Mutex
	lines   []LogLine
	bytes   int
	file    *os.File
	written int64
	closed  bool
}

// openJournal reads what an earlier engine wrote; a file that cannot be read is left.
func openJournal(path string) *journal {
	j := &journal{path: path}
	for _, p := range []string{path + ".1", path} {
		f, err := os.Open(p)
		if err != nil {
			continue
		}
		s := bufio.NewScanner(f)
		s.Buffer(nil, 8*maxLine) // JSON may need six bytes for one
		for s.Scan() {
			var l LogLine
			if json.Unmarshal(s.Bytes(), &l) == nil {
				j.keep(l)
			}
		}
		f.Close()
	}
	return j
}

func (j *journal) keep(l LogLine) {
	j.lines = append(j.lines, l)
	j.bytes += len(l.Text)
	drop := 0
	for drop < len(j.lines)-1 && (len(j.lines)-drop > journalLines || j.bytes > journalBytes) {
		j.bytes -= len(j.lines[drop].Text)
		drop++
	}
	if drop > 0 {
		j.lines = append(j.lines[:0], j.lines[drop:]...)
	}
}

// add keeps a line. A failing disk costs the file, not the function.
func (j *journal) add(now time.Time, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	l := LogLine{now.UTC(), strings.ToValidUTF8(text, "\uFFFD")}
	j.keep(l)
	if j.file == nil || j.written > journalFile {
		j.rotate()
	}
	if j.file != nil {
		data, _ := json.Marshal(l)
		n, _ := j.file.Write(append(data, '\n'))
		j.written += int64(n)
	}
}

func (j *journal) rotate() {
	if j.file != nil {
		j.file.Close()
		os.Rename(j.path, j.path+".1")
	}
	j.file, _ = os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	j.written = 0
	if j.file != nil {
		if st, err := j.file.Stat(); err == nil {
			j.written = st.Size()
		}
	}
}

func (j *journal) since(t time.Time) []LogLine {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, l := range j.lines {
		if !l.Time.Before(t) {
			return append([]LogLine(nil), j.lines[i:]...)
		}
	}
	return nil
}

func (j *journal) close(remove bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	var err error
	if j.file != nil {
		err = j.file.Close()
		j.file = nil
	}
	if remove {
		j.lines = nil
		for _, p := range []string{j.path, j.path + ".1"} {
			if e := os.Remove(p); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
	}
	return err
}

// A writer is what one environment, or one run of a native function, writes
// to its function's journal; it remembers the tail of the current invocation.
type writer struct {
	journal *journal
	now     func() time.Time

	mu   sync.Mutex
	tail []byte
}

func (w *writer) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tail = nil
}

func (w *writer) line(text string) {
	w.mu.Lock()
	w.tail = append(append(w.tail, text...), '\n')
	if over := len(w.tail) - LogTailSize; over > 0 {
		w.tail = append([]byte(nil), w.tail[over:]...)
	}
	w.mu.Unlock()
	w.journal.add(w.now(), text)
}

func (w *writer) last() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.tail)
}

// A logPipe carries stdout and stderr of a process to its writer. To know that
// everything written before a response has been read, the server sends a mark
// through the same pipe.
type logPipe struct {
	out  *writer
	r, w *os.File
	mark string
	seen chan struct{} // one for each mark that came through
}

func newLogPipe(out *writer) (*logPipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &logPipe{out: out, r: r, w: w, mark: "\x00" + newID(), seen: make(chan struct{}, 1)}
	go p.read()
	return p, nil
}

func (p *logPipe) read() {
	in := bufio.NewReaderSize(p.r, maxLine)
	for {
		// The slice ends at a newline, at the buffer's end or at the pipe's.
		line, err := in.ReadSlice('\n')
		text := strings.TrimSuffix(string(line), "\n")
		before, marked := strings.CutSuffix(text, p.mark)
		if before != "" || !marked && len(line) > 0 {
			p.out.line(before)
		}
		if marked {
			select {
			case p.seen <- struct{}{}:
			default:
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// flush waits until what was written so far is in the log, a moment at most:
// a process may write without end.
func (p *logPipe) flush() {
	select {
	case <-p.seen: // of an earlier, late mark
	default:
	}
	go p.w.WriteString(p.mark + "\n")
	select {
	case <-p.seen:
	case <-time.After(200 * time.Millisecond):
	}
}

func (p *logPipe) close() {
	p.w.Close()
	p.r.Close()
}
