package device_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"strait"
	"strait/device"
)

// small mounts a file system of 64 KiB: a real disk that is really full.
func small(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Skipf("SKIPPED: no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill writes until nothing more fits.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for b := make([]byte, 4096); ; {
		if _, err := f.Write(b); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// Scenario: the disk is full, from the beginning or from the middle, so the
// journal cannot be written. That is often why a device sends a file: it is
// sent all the same, and no journal is left that would mislead the next one.
func TestJournalOnAFullDisk(t *testing.T) {
	h := open(t)
	c := h.connect(nil)
	data := noise(16 * mib)
	for name, after := range map[string]int64{"at the beginning": 0, "in the middle": 5 * mib} {
		t.Run(name, func(t *testing.T) {
			disk := small(t)
			file := h.fileOf(data)
			var once sync.Once
			full := func() { once.Do(func() { fill(t, disk) }) }
			if after == 0 {
				full()
			}
			in := device.UploadInput{File: file, Key: "full/" + name, PartSize: 5 * mib, Concurrency: 1, Journal: filepath.Join(disk, "journal")}
			in.Progress = func(done, _ int64) {
				if done > after {
					full()
				}
			}
			out, err := c.Upload(within(t), in)
			if err != nil {
				t.Fatal(err)
			}
			if _, got := h.stored(out.Key); !bytes.Equal(got, data) {
				t.Error("what is stored differs")
			}
			if _, err := os.Stat(in.Journal); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a journal is left behind (%v)", err)
			}
			// The next one is remembered again.
			if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
				t.Fatal(err)
			}
			in.Progress, in.KeepJournal = nil, true
			if _, err := c.Upload(within(t), in); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(in.Journal); err != nil {
				t.Error(err)
			}
		})
	}
}

// A named pipe is no file to send: opening it would wait for its writer.
func TestNamedPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	up, err := device.NewUploader(device.Config{}, credentials.NewStaticCredentialsProvider("AKIAX", "secret", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	_, err = up.Upload(within(t), device.UploadInput{File: pipe, Key: "k"})
	wantKind(t, "a named pipe", err, strait.Invalid, "not a regular file")
}
