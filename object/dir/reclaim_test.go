package dir_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"strait"
	"strait/object"
	"strait/object/dir"
	"strait/state"
)

// home is a store in a directory that can be closed and opened again.
type home struct {
	*testing.T
	path, factsPath string
	options         dir.Options
	facts           state.Store
	*dir.Store
}

func newHome(t *testing.T, o dir.Options) *home {
	h := &home{T: t, path: filepath.Join(t.TempDir(), "objects"), factsPath: t.TempDir(), options: o}
	h.open()
	if err := h.CreateBucket(t.Context(), "bucket", ""); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *home) open() {
	h.Helper()
	h.facts = openFacts(h, h.factsPath)
	h.Store = openStore(h, h.path, h.facts, h.options)
}

// again closes the store, does something behind its back, and opens it.
func (h *home) again(between func()) {
	h.Helper()
	if err := errors.Join(h.Store.Close(), h.facts.Close()); err != nil {
		h.Fatal(err)
	}
	between()
	h.open()
}

func (h *home) put(key string, b []byte) {
	h.Helper()
	if _, err := h.Put(h.Context(), "bucket", key, bytes.NewReader(b), object.PutOptions{Size: -1}); err != nil {
		h.Fatal(err)
	}
}

func (h *home) holds(key string, want []byte) {
	h.Helper()
	got, err := read(h.Store, key)
	if err != nil || !bytes.Equal(got, want) {
		h.Errorf("%q: got %d bytes, %v, want %d", key, len(got), err, len(want))
	}
}

func read(s *dir.Store, key string) ([]byte, error) {
	_, r, err := s.Get(context.Background(), "bucket", key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (h *home) files() (all []string) {
	h.Helper()
	all, err := filepath.Glob(filepath.Join(h.path, "segments", "*.seg"))
	if err != nil {
		h.Fatal(err)
	}
	return all
}

// blocks is the space that all segments take on the disk.
func (h *home) blocks() (n int64) {
	h.Helper()
	return taken(h, h.path)
}

// taken is what du says of the segments of a store.
func taken(t testing.TB, path string) (n int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(path, "segments", "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		n += info.Sys().(*syscall.Stat_t).Blocks * 512
	}
	return n
}

func (h *home) check() {
	h.Helper()
	if err := h.Check(h.Context(), func(p object.Problem) { h.Errorf("check: %+v", p) }); err != nil {
		h.Error(err)
	}
}

// Whatever way bytes go out of use, their space comes back.
func TestSpaceComesBack(t *testing.T) {
	h := newHome(t, dir.Options{SegmentSize: 1 << 20})
	ctx := t.Context()
	big := bytes.Repeat([]byte("0123456789abcdef"), 3<<20/16)
	upload := func() object.Upload {
		u, err := h.CreateUpload(ctx, "bucket", "u", object.UploadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= 2; n++ {
			if _, err := h.PutPart(ctx, "bucket", "u", u.ID, n, bytes.NewReader(big), object.PutOptions{Size: -1}); err != nil {
				t.Fatal(err)
			}
		}
		return u
	}
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"delete", func() error { h.put("k", big); return h.Delete(ctx, "bucket", "k", object.DeleteOptions{}) }},
		{"overwrite", func() error { h.put("k", big); h.put("k", nil); return nil }},
		{"broken off", func() error {
			body := io.MultiReader(bytes.NewReader(big), brokenBody{})
			if _, err := h.Put(ctx, "bucket", "k", body, object.PutOptions{Size: -1}); err != errBroken {
				return err
			}
			return nil
		}},
		{"wrong digest", func() error {
			_, err := h.Put(ctx, "bucket", "k", bytes.NewReader(big), object.PutOptions{Size: -1, MD5: make([]byte, 16)})
			if strait.KindOf(err) != strait.Invalid {
				return err
			}
			return nil
		}},
		{"abort", func() error { return h.Abort(ctx, "bucket", "u", upload().ID) }},
		{"abort old", func() error { upload(); _, err := h.AbortOlder(ctx, time.Now().Add(time.Hour)); return err }},
		{"delete bucket", func() error {
			upload()
			if err := h.Delete(ctx, "bucket", "k", object.DeleteOptions{}); err != nil {
				return err
			}
			return errors.Join(h.DeleteBucket(ctx, "bucket"), h.CreateBucket(ctx, "bucket", ""))
		}},
		{"part again", func() error { u := upload(); return errors.Join(again(h, u), h.Abort(ctx, "bucket", "u", u.ID)) }},
		{"complete, then delete", func() error {
			u := upload()
			page, err := h.Parts(ctx, "bucket", "u", u.ID, 0, 0)
			if err != nil {
				return err
			}
			parts := []object.CompletePart{{Number: 2, ETag: page.Parts[1].ETag}}
			if _, err := h.Complete(ctx, "bucket", "u", u.ID, parts, object.CompleteOptions{Size: -1}); err != nil {
				return err
			}
			h.holds("u", big)
			return h.Delete(ctx, "bucket", "u", object.DeleteOptions{})
		}},
		{"deleted while read", func() error {
			h.put("k", big)
			_, r, err := h.Get(ctx, "bucket", "k")
			if err != nil {
				return err
			}
			if err := h.Delete(ctx, "bucket", "k", object.DeleteOptions{}); err != nil {
				return err
			}
			if h.blocks() < int64(len(big)) {
				t.Error("space was given back under a reader")
			}
			return r.Close()
		}},
	} {
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if n := h.blocks(); n != 0 {
			t.Errorf("%s: %d bytes are still taken", c.name, n)
		}
	}
}

func again(h *home, u object.Upload) error {
	before := h.blocks()
	for range 3 {
		if _, err := h.PutPart(h.Context(), "bucket", "u", u.ID, 2, bytes.NewReader(make([]byte, 3<<20)), object.PutOptions{Size: -1}); err != nil {
			return err
		}
	}
	if now := h.blocks(); now > before+1<<20 {
		return fmt.Errorf("a part written four times takes %d bytes, once %d", now, before)
	}
	return nil
}

var errBroken = errors.New("broken")

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errBroken }

// A small object that lives on in a segment does not hold the rest of it.
func TestHolesAreGivenBack(t *testing.T) {
	h := newHome(t, dir.Options{})
	h.put("before", []byte("small"))
	h.put("k", make([]byte, 4<<20))
	h.put("after", []byte("small"))
	full := h.blocks()
	if err := h.Delete(t.Context(), "bucket", "k", object.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if now := h.blocks(); now > full-3<<20 {
		t.Skipf("this file system keeps holes: %d of %d bytes are still taken", now, full)
	}
	h.holds("before", []byte("small"))
	h.holds("after", []byte("small"))
	h.check()
}

// Closed and opened again, everything is there, garbage is not, and space is
// still accounted for.
func TestReopen(t *testing.T) {
	h := newHome(t, dir.Options{SegmentSize: 1 << 20})
	ctx := t.Context()
	want := map[string][]byte{}
	for i := range 20 {
		key := fmt.Sprint("k", i)
		want[key] = bytes.Repeat([]byte(key), i*5000)
		h.put(key, want[key])
	}
	u, err := h.CreateUpload(ctx, "bucket", "u", object.UploadOptions{Algorithm: object.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	want["u"] = make([]byte, 2<<20)
	p, err := h.PutPart(ctx, "bucket", "u", u.ID, 7, bytes.NewReader(want["u"]), object.PutOptions{Size: -1})
	if err != nil {
		t.Fatal(err)
	}

	h.again(func() {
		// Garbage behind what is named, and a segment that nothing names.
		for _, f := range h.files() {
			appendTo(t, f, make([]byte, 100_000))
		}
		appendTo(t, filepath.Join(h.path, "segments", "00000000000fffff.seg"), []byte("garbage"))
	})
	for _, f := range h.files() {
		if strings.HasSuffix(f, "fffff.seg") {
			t.Error("a segment that nothing names is still there")
		}
	}
	if _, err := h.Complete(ctx, "bucket", "u", u.ID, []object.CompletePart{{Number: 7, ETag: p.ETag, Checksum: p.Checksum.Value}}, object.CompleteOptions{Size: -1}); err != nil {
		t.Fatal(err)
	}
	h.again(func() {})
	if _, err := h.Complete(ctx, "bucket", "u", u.ID, []object.CompletePart{{Number: 7, ETag: p.ETag, Checksum: p.Checksum.Value}}, object.CompleteOptions{Size: -1}); err != nil {
		t.Errorf("complete again, after a restart: %v", err)
	}
	h.check()
	for key, b := range want {
		h.holds(key, b)
		if err := h.Delete(ctx, "bucket", key, object.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
	if n := h.blocks(); n != 0 {
		t.Errorf("all is deleted, and %d bytes are still taken", n)
	}
}

func appendTo(t *testing.T, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
}

// A Complete or Abort is remembered for a day, and then forgotten.
func TestAgainForADay(t *testing.T) {
	now := time.Now()
	h := newHome(t, dir.Options{Now: func() time.Time { return now }})
	ctx := t.Context()
	var ids []string
	for range 2 {
		u, err := h.CreateUpload(ctx, "bucket", "u", object.UploadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, u.ID)
	}
	p, err := h.PutPart(ctx, "bucket", "u", ids[0], 1, strings.NewReader("x"), object.PutOptions{Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	do := func() (complete, abort error) {
		_, complete = h.Complete(ctx, "bucket", "u", ids[0], []object.CompletePart{{Number: 1, ETag: p.ETag}}, object.CompleteOptions{Size: -1})
		return complete, h.Abort(ctx, "bucket", "u", ids[1])
	}
	for _, c := range []struct {
		later time.Duration
		kind  strait.Kind // Internal stands for no error
	}{{0, 0}, {23 * time.Hour, 0}, {2 * time.Hour, strait.NotFound}} {
		now = now.Add(c.later)
		complete, abort := do()
		if strait.KindOf(complete) != c.kind || strait.KindOf(abort) != c.kind || (c.kind == 0) != (complete == nil && abort == nil) {
			t.Errorf("after %v more: complete %v, abort %v", c.later, complete, abort)
		}
		if _, err := h.AbortOlder(ctx, time.Time{}); err != nil {
			t.Error(err)
		}
	}
}

// Only one process has the directory.
func TestLocked(t *testing.T) {
	h := newHome(t, dir.Options{})
	if s, err := dir.Open(h.path, openFacts(t, t.TempDir()), dir.Options{}); err == nil {
		s.Close()
		t.Error("opened twice")
	}
	for path, want := range map[string]os.FileMode{h.path: 0o700, filepath.Join(h.path, "lock"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %o", path, info.Mode(), err, want)
		}
	}
}
