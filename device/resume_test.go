package device_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"strait"
	"strait/device"
)

// events collects what an upload says.
type events struct {
	mu   sync.Mutex
	list []device.Event
}

func (e *events) say(v device.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, v)
}

func (e *events) count(kind device.EventKind) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.list {
		if v.Kind == kind {
			n++
		}
	}
	return n
}

// puts counts the parts that the server has taken.
func (h *house) puts() (n int) {
	for _, r := range h.s.Recorder().Records() {
		if r.Action == "s3:PutObject" && r.Effect == "allow" {
			n++
		}
	}
	return n
}

// A dying upload is one that ends after so many parts, as a killed process'
// would: its journal stays.
func (h *house) dying(c *device.Client, in device.UploadInput, parts int64) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	in.Concurrency = 1
	in.Progress = func(done, _ int64) {
		if done >= parts*in.PartSize {
			cancel()
		}
	}
	if _, err := c.Upload(ctx, in); !errors.Is(err, context.Canceled) && ctx.Err() == nil {
		h.t.Fatalf("the upload that should die: %v", err)
	}
	if _, err := os.Stat(in.Journal); err != nil {
		h.t.Fatalf("no journal is left: %v", err)
	}
}

func (h *house) fileOf(data []byte) string {
	h.t.Helper()
	file := filepath.Join(h.t.TempDir(), "f.bin")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		h.t.Fatal(err)
	}
	return file
}

// A process dies in the middle of a file. What happens to the file, the upload
// and the journal meanwhile decides what the next one does, and says.
func TestResumeUpload(t *testing.T) {
	h := open(t)
	c := h.connect(nil)
	data := noise(40 * mib)
	for name, test := range map[string]struct {
		meanwhile func(t *testing.T, file string)
		in        func(*device.UploadInput)
		want      device.EventKind
	}{
		"nothing": {func(*testing.T, string) {}, nil, device.Resumed},
		"the upload was aborted": {func(t *testing.T, _ string) {
			up, err := h.admin.S3.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(bucket)})
			if err != nil || len(up.Uploads) != 1 {
				t.Fatalf("%d uploads are open (%v)", len(up.Uploads), err)
			}
			if _, err := h.admin.S3.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: up.Uploads[0].Key, UploadId: up.Uploads[0].UploadId}); err != nil {
				t.Fatal(err)
			}
		}, nil, device.Restarted},
		"the file changed":                  {func(t *testing.T, file string) { overwrite(t, file, 100, false) }, nil, device.Restarted},
		"the file changed and shows it not": {func(t *testing.T, file string) { overwrite(t, file, 100, true) }, nil, device.Restarted},
		"the file grew": {func(t *testing.T, file string) {
			b, _ := os.ReadFile(file)
			os.WriteFile(file, append(b, "more"...), 0o600)
		}, nil, device.Restarted},
		"the journal was damaged":        {func(t *testing.T, file string) { overwrite(t, device.JournalFor(file), 3, false) }, nil, ""},
		"the server has another address": {func(*testing.T, string) {}, func(in *device.UploadInput) { in.Endpoint = "http://" + h.s.Ready().HTTP[0] }, device.Resumed},
		"another type":                   {func(*testing.T, string) {}, func(in *device.UploadInput) { in.ContentType = "text/plain" }, device.Restarted},
	} {
		t.Run(name, func(t *testing.T) {
			file := h.fileOf(data)
			in := device.UploadInput{File: file, Key: "resume/" + name, PartSize: 5 * mib, Journal: device.JournalFor(file)}
			h.dying(c, in, 4)
			test.meanwhile(t, file)
			if test.in != nil {
				test.in(&in)
			}
			before := h.puts()
			var said events
			in.Say = said.say
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			out, err := c.Upload(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			if test.want != "" && said.count(test.want) == 0 {
				t.Errorf("it said %v, want %s", said.list, test.want)
			}
			want, _ := os.ReadFile(file)
			if _, got := h.stored(out.Key); !bytes.Equal(got, want) {
				t.Error("what is stored differs from the file")
			}
			// Eight parts in all, at least three of them before: the rest and the end.
			if n := h.puts() - before; test.want == device.Resumed && n > 6 {
				t.Errorf("%d puts after four parts of eight", n)
			}
			if _, err := os.Stat(in.Journal); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the journal is still there: %v", err)
			}
			up, err := h.admin.S3.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(bucket)})
			if err != nil || len(up.Uploads) > 0 && name != "the journal was damaged" {
				t.Errorf("%d uploads are left over (%v)", len(up.Uploads), err)
			}
			for _, x := range up.Uploads {
				h.admin.S3.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: x.Key, UploadId: x.UploadId})
			}
		})
	}

	t.Run("kept", func(t *testing.T) {
		file := h.fileOf(data[:12*mib])
		var said events
		in := device.UploadInput{File: file, Key: "kept", PartSize: 5 * mib, Journal: device.JournalFor(file), KeepJournal: true, Say: said.say}
		first, err := c.Upload(within(t), in)
		if err != nil {
			t.Fatal(err)
		}
		before := h.puts()
		second, err := c.Upload(within(t), in)
		if err != nil || *second != *first || said.count(device.Found) != 1 || h.puts() != before {
			t.Errorf("a file that was stored is sent again: %+v, %v, %v", second, err, said.list)
		}
	})
	t.Run("two processes", func(t *testing.T) {
		file := h.fileOf(data[:12*mib])
		in := device.UploadInput{File: file, Key: "two", PartSize: 5 * mib, Journal: device.JournalFor(file)}
		other, err := device.OpenJournal(in.Journal)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Upload(within(t), in)
		wantKind(t, "a second upload of the same file", err, strait.Conflict, "another process")
		other.Close()
		if _, err := c.Upload(within(t), in); err != nil {
			t.Fatal(err)
		}
	})
}

// overwrite changes one byte; quietly, so that size and time stay.
func overwrite(t *testing.T, file string, at int64, quietly bool) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	when := info.ModTime()
	if !quietly {
		when = when.Add(time.Second)
	}
	if err := os.Chtimes(file, when, when); err != nil {
		t.Fatal(err)
	}
}

// The device's clock is off by a day, to either side: it is measured from the
// server's refusal, corrected, and said.
func TestClockOffByADay(t *testing.T) {
	h := open(t)
	for name, off := range map[string]time.Duration{"behind": -24 * time.Hour, "ahead": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			var wrong clock
			wrong.move(off)
			c := h.connect(func(cfg *device.Config) { cfg.Now = wrong.Now })
			defer c.Close()
			var said events
			out, err := c.Upload(within(t), device.UploadInput{Body: bytes.NewReader(noise(11 * mib)), Size: 11 * mib, Key: "clock", PartSize: 5 * mib, Say: said.say})
			if err != nil {
				t.Fatal(err)
			}
			if n := said.count(device.Corrected); n != 1 {
				t.Errorf("the clock was corrected %d times: %v", n, said.list)
			}
			if _, got := h.stored(out.Key); !bytes.Equal(got, noise(11*mib)) {
				t.Error("what is stored differs")
			}
			creds := c.Credentials(device.CredentialsOptions{})
			a, err1 := creds.Grant(within(t))
			b, err2 := creds.Grant(within(t))
			if err1 != nil || err2 != nil || a.AccessKeyID != b.AccessKeyID {
				t.Errorf("the credentials are not kept (%v, %v)", err1, err2)
			}
		})
	}
}

// A refusal is tried again for a bounded time, then told in the server's words.
func TestRefusedForAWhile(t *testing.T) {
	h := open(t)
	c := h.connect(nil)
	var said events
	start := time.Now()
	_, err := c.Upload(within(t), device.UploadInput{Body: bytes.NewReader([]byte("x")), Size: 1, FullKey: "device01/x", RefusedFor: 3 * time.Second, Say: said.say})
	wantKind(t, "an upload elsewhere", err, strait.Denied, "is not authorized to perform: s3:PutObject", "no session policy allows", "strait explain --thing device00")
	// How many tries that is, the server's speed decides, too.
	if took := time.Since(start); took < 3*time.Second || said.count(device.Retrying) < 1 {
		t.Errorf("told after %s and %d tries", took, said.count(device.Retrying))
	}
	// No network at all: bounded, too.
	w := newWire(t, "127.0.0.1:1")
	_, err = c.Upload(within(t), device.UploadInput{Body: bytes.NewReader([]byte("x")), Size: 1, Key: "x", Endpoint: "http://" + w.addr, Patience: time.Second})
	wantKind(t, "an upload without a network", err, strait.Unavailable, "nothing worked for 1s")
	if !slices.ContainsFunc(said.list, func(e device.Event) bool { return e.Err != nil }) {
		t.Error("no event says why")
	}
}
