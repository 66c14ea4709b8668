package function

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"strait"
)

const (
	maxLine  = 64 << 10 // a longer line is cut into several
	maxBatch = 512      // lines that a Logger gets at once
	backlog  = 1 << 20  // bytes of lines that wait for the Logger; a process that writes more waits, too
)

// A Logger keeps what functions write.
type Logger interface {
	// Log takes lines of one stream, in order, as the session of f's execution
	// role whose credentials are creds. It may take its time. What it cannot
	// keep is lost: a function does not stop for its log.
	Log(f Function, creds strait.Credentials, stream string, lines []LogLine)
}

// A writer is what one environment, or one run of a native function, writes
// to; it remembers the tail of the current invocation.
type writer struct {
	engine      *Engine
	function    Function
	credentials strait.Credentials
	stream      string

	mu      sync.Mutex
	room    *sync.Cond // lines have been taken
	tail    []byte
	waiting []LogLine
	bytes   int
	busy    bool // the waiting lines are being handed over
}

func (e *Engine) newWriter(f Function, creds strait.Credentials, stream string) *writer {
	w := &writer{engine: e, function: f, credentials: creds, stream: stream}
	w.room = sync.NewCond(&w.mu)
	return w
}

// newStream makes the name of a stream of f.
func (e *Engine) newStream(f Function) string {
	return e.cfg.Now().UTC().Format("2006/01/02") + "/[" + f.version() + "]" + strings.ReplaceAll(newID(), "-", "")
}

func (w *writer) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tail = nil
}

func (w *writer) line(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tail = append(append(w.tail, text...), '\n')
	if over := len(w.tail) - LogTailSize; over > 0 {
		w.tail = append([]byte(nil), w.tail[over:]...)
	}
	if text == "" || w.engine.cfg.Logs == nil {
		return // an empty line is no event
	}
	for w.bytes > backlog && w.busy {
		w.room.Wait()
	}
	w.waiting = append(w.waiting, LogLine{w.engine.cfg.Now(), text})
	w.bytes += len(text)
	if !w.busy {
		w.busy = w.engine.logging(w.drain)
	}
}

// drain hands lines over until none waits.
func (w *writer) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.waiting) > 0 {
		n, size := 0, 0
		for n < len(w.waiting) && n < maxBatch && size < backlog/2 {
			size += len(w.waiting[n].Text)
			n++
		}
		some := w.waiting[:n:n]
		w.mu.Unlock()
		w.engine.cfg.Logs.Log(w.function, w.credentials, w.stream, some)
		w.mu.Lock()
		w.waiting, w.bytes = w.waiting[n:], w.bytes-size
		w.room.Broadcast()
	}
	w.waiting, w.busy = nil, false
}

// logging runs fn, which Close waits for; false when it is too late.
func (e *Engine) logging(fn func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.silent {
		return false
	}
	e.writing.Go(fn)
	return true
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
