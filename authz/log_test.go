package authz_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strait/authz"
)

// keep opens a log over the house's recorder.
func (h *house) keep(dir string, limits authz.LogLimits) *authz.Log {
	h.t.Helper()
	l, err := authz.OpenLog(dir, h.Recorder, h.d, limits, slog.New(slog.DiscardHandler))
	h.must(err)
	h.Authorizer.Log = l
	return l
}

func lines(t *testing.T, dir string) (out []*authz.Told) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "decisions-*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(f)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			told := &authz.Told{}
			if err := json.Unmarshal(in.Bytes(), told); err != nil {
				t.Errorf("%s: %v: %s", name, err, in.Text())
			}
			out = append(out, told)
		}
		f.Close()
	}
	return out
}

// What was refused before a restart is explained after it, with its documents
// and their versions as they were.
func TestLogSurvives(t *testing.T) {
	h, dir := open(t), filepath.Join(t.TempDir(), "decisions")
	l := h.keep(dir, authz.LogLimits{})
	id := h.refuse(h.user("alice", doc(allow("s3:PutObject", "arn:aws:s3:::b/mine/*"))), "x")
	before := authz.Tell(h.Recorder.Get(id), h.d, true)
	h.must(l.Close())
	info, err := os.Stat(dir)
	h.must(err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the directory's mode is %v", info.Mode())
	}

	h.Recorder = authz.NewRecorder(h.Now)
	l = h.keep(dir, authz.LogLimits{})
	defer l.Close()
	r := h.Find(id)
	if r == nil {
		t.Fatal("the refusal is not there after a restart")
	}
	after := authz.Tell(r, h.d, true)
	if after.Explanation != before.Explanation || after.Summary != before.Summary || len(after.Documents) != 1 || after.Documents[0].Hash == "" {
		t.Errorf("after the restart:\n%+v\nbefore:\n%+v", after, before)
	}
	if told := authz.Tell(r, h.d, false); told.Explanation != "" || told.Documents != nil || told.Document != "" || told.Because == "" {
		t.Errorf("without documents: %+v", told)
	}
	if again := h.refuse(h.user("bob", ""), "y"); again == id {
		t.Error("an id was given twice")
	}
	// What is read back is not written again.
	h.must(l.Close())
	if n := len(lines(t, dir)); n != 2 {
		t.Errorf("%d lines, want 2", n)
	}
}

// A flood fills neither the disk nor what others need to read.
func TestLogFlood(t *testing.T) {
	h, dir := open(t), filepath.Join(t.TempDir(), "decisions")
	l := h.keep(dir, authz.LogLimits{FileSize: 64 << 10, Files: 3})
	bob, mallory := h.user("bob", ""), h.user("mallory", "")
	want := h.refuse(bob, "x")
	for i := range 3000 { // one refusal, in requests of its own
		mallory.Trace = fmt.Sprint("request-", i)
		h.refuse(mallory, "x")
	}
	for i := range 3000 { // ever new ones
		h.refuse(mallory, fmt.Sprint(i))
	}
	h.must(l.Close())
	got := lines(t, dir)
	counted, losses, full := 0, 0, 0
	for _, told := range got {
		if told.Operation == "Log" {
			losses += told.Count
			continue
		}
		full++
		if told.Resource == "arn:aws:s3:::b/x" && told.Principal == mallory.ARN {
			counted += told.Count
		}
	}
	if full > 100 || losses < 5000 || h.Find(want) == nil {
		t.Errorf("%d full lines and %d lost of 6001 records, bob's kept: %v", full, losses, h.Find(want) != nil)
	}
	t.Logf("%d full lines, %d counted as lost, %d counted in the first", full, losses, counted)
	// Files are bounded in size and number.
	h.Recorder = authz.NewRecorder(h.Now)
	l = h.keep(dir, authz.LogLimits{FileSize: 64 << 10, Files: 3})
	ctx, stop := context.WithCancel(context.Background())
	stop()
	for i := range 40 {
		h.clock = h.clock.Add(time.Second)
		for k := range 30 {
			h.refuse(mallory, fmt.Sprint(i, "-", k))
		}
		l.Run(ctx)
		h.must(l.Close())
		l = h.keep(dir, authz.LogLimits{FileSize: 64 << 10, Files: 3})
	}
	h.must(l.Close())
	files, _ := filepath.Glob(filepath.Join(dir, "decisions-*"))
	if len(files) > 3 {
		t.Errorf("%d files, want at most 3", len(files))
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() > 3*64<<10 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, info, err)
		}
	}
}

// A line that a crash cut off harms no other.
func TestLogTorn(t *testing.T) {
	h, dir := open(t), filepath.Join(t.TempDir(), "decisions")
	l := h.keep(dir, authz.LogLimits{})
	first := h.refuse(h.user("alice", ""), "x")
	h.must(l.Close())
	name := filepath.Join(dir, "decisions-00000001.jsonl")
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	h.must(err)
	_, err = f.WriteString(`{"id":"d1-torn","time":"20`)
	h.must(err)
	h.must(f.Close())
	h.Recorder = authz.NewRecorder(h.Now)
	l = h.keep(dir, authz.LogLimits{})
	second := h.refuse(h.user("bob", ""), "x")
	h.must(l.Close())
	for _, id := range []string{first, second} {
		if l.Find(id) == nil {
			t.Errorf("%s is not found", id)
		}
	}
	b, err := os.ReadFile(name)
	h.must(err)
	if n := strings.Count(string(b), "\n"); n != 3 {
		t.Errorf("%d lines, want 3", n)
	}
}
