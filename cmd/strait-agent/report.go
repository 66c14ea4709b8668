package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"strait/device"
)

// A report shows how uploads go on: a bar on a terminal, JSON lines elsewhere.
type report struct {
	w     io.Writer
	bar   bool
	width func() int // of the terminal, in characters
	start time.Time
	last  time.Time // of a JSON line
	shown bool
	file  string
	mu    sync.Mutex
}

// everyLine is how often a line of progress is written.
const everyLine = 2 * time.Second

func newReport(f *os.File, lines bool) *report {
	fd := int(f.Fd())
	width := func() int {
		n, _, err := term.GetSize(fd)
		if err != nil || n <= 0 {
			return 80
		}
		return n
	}
	return &report{w: f, bar: !lines && term.IsTerminal(fd), width: width}
}

// A line is one JSON object.
type line struct {
	Event   string  `json:"event"` // progress, done, failed, or a kind of device.Event
	File    string  `json:"file"`
	Done    int64   `json:"done"`
	Total   int64   `json:"total"`
	Seconds float64 `json:"seconds"`
	Bucket  string  `json:"bucket,omitempty"`
	Key     string  `json:"key,omitempty"`
	ETag    string  `json:"etag,omitempty"`
	CRC     string  `json:"crc64nvme,omitempty"`
	Parts   int     `json:"parts,omitempty"`
	Text    string  `json:"text,omitempty"`
	Error   string  `json:"error,omitempty"`
}

func (r *report) write(l line) {
	l.Seconds = time.Since(r.start).Seconds()
	if b, err := json.Marshal(l); err == nil {
		fmt.Fprintf(r.w, "%s\n", b)
	}
}

// begin returns what is to be called with the progress of a file.
func (r *report) begin(file string) func(done, total int64) {
	r.start, r.last, r.shown, r.file = time.Now(), time.Now(), false, file
	before := int64(-1) // what earlier lives sent is no rate of this one
	return func(done, total int64) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if before < 0 || done < before {
			before = done
		}
		switch {
		case r.bar:
			r.shown = true
			fmt.Fprint(r.w, "\r\x1b[K"+fit(filepath.Base(file), bar(before, done, total, time.Since(r.start)), r.width()))
		case time.Since(r.last) >= everyLine:
			r.last = time.Now()
			r.write(line{Event: "progress", File: file, Done: done, Total: total})
		}
	}
}

// say reports what happens on the way.
func (r *report) say(e device.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bar {
		if r.shown {
			fmt.Fprintln(r.w)
		}
		r.shown = false
		fmt.Fprintf(r.w, "%s: %s\n", e.Kind, e.Text)
		return
	}
	r.write(line{Event: string(e.Kind), File: r.file, Text: e.Text})
}

func (r *report) end(file string, out *device.UploadOutput, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shown {
		fmt.Fprintln(r.w)
	}
	switch {
	case err != nil:
		if !r.bar {
			r.write(line{Event: "failed", File: file, Error: err.Error()})
		}
	case r.bar:
		fmt.Fprintf(r.w, "stored %s/%s (%s, crc64nvme %s)\n", out.Bucket, out.Key, humanize.IBytes(uint64(out.Size)), out.CRC64NVME)
	default:
		r.write(line{Event: "done", File: file, Done: out.Size, Total: out.Size, Bucket: out.Bucket, Key: out.Key, ETag: out.ETag, CRC: out.CRC64NVME, Parts: out.Parts})
	}
}

// width is how many characters the bar itself has.
const width = 24

// bar is bar, share, rate and time left. before is what was already there.
func bar(before, done, total int64, took time.Duration) string {
	share := 1.0
	if total > 0 {
		share = float64(done) / float64(total)
	}
	full := int(share * width)
	rate := float64(done-before) / max(took.Seconds(), 0.001)
	left := "--"
	if done > before {
		left = time.Duration(float64(total-done) / rate * float64(time.Second)).Round(time.Second).String()
	}
	return fmt.Sprintf("[%s%s] %3.0f%%  %s of %s  %s/s  %s left", strings.Repeat("=", full), strings.Repeat(" ", width-full), share*100,
		humanize.IBytes(uint64(done)), humanize.IBytes(uint64(total)), humanize.IBytes(uint64(rate)), left)
}

// fit puts a file's name before its bar, in one line of a terminal: a line that
// wraps could not be written over.
func fit(name, bar string, columns int) string {
	room := columns - 1
	if short := []rune(name); len(short)+1+len(bar) > room {
		name = string(short[:max(0, min(len(short), room-len(bar)-4))])
		if name != "" {
			name += "..."
		}
	}
	if name != "" {
		bar = name + " " + bar
	}
	return bar[:min(len(bar), max(room, 0))]
}
