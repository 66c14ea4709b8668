package dir_test

import (
	"errors"
	"io"
	"path/filepath"
	"syscall"
	"testing"

	"strait"
	"strait/object"
	"strait/object/dir"
)

// A small file system, where root may make one, is full again and again: puts
// are refused, leave nothing behind, and what was there stays.
func TestFullDisk(t *testing.T) {
	path := t.TempDir()
	if err := syscall.Mount("none", path, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	defer syscall.Unmount(path, 0)
	facts := openFacts(t, t.TempDir())
	s := openStore(t, filepath.Join(path, "objects"), facts, dir.Options{SegmentSize: 1 << 20})
	defer s.Close()
	if err := s.CreateBucket(t.Context(), "bucket", ""); err != nil {
		t.Fatal(err)
	}
	put := func(key string, n int) error {
		_, err := s.Put(t.Context(), "bucket", key, io.LimitReader(zeros{}, int64(n)), object.PutOptions{Size: -1})
		return err
	}
	for range 5 { // again and again, so that nothing may leak
		for _, key := range []string{"a", "b"} {
			if err := put(key, 2<<20); err != nil {
				t.Fatal(err)
			}
		}
		var e *strait.Error
		if err := put("c", 9<<20); !errors.As(err, &e) || e.Kind != strait.Unavailable || e.Thing != "disk" {
			t.Errorf("put on a full disk: %v", err)
		}
		if _, err := s.Head(t.Context(), "bucket", "c"); strait.KindOf(err) != strait.NotFound {
			t.Errorf("head: %v", err)
		}
		if got, err := read(s, "a"); err != nil || len(got) != 2<<20 {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
