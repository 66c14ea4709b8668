package dir_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"strait"
	"strait/object"
	"strait/object/dir"
)

// Whatever happens to a segment, a reader gets the bytes that were put or an
// error, and Check names what is damaged.
func TestDamageIsFoundOut(t *testing.T) {
	h := newHome(t, dir.Options{})
	want := make([]byte, 400_000)
	rand.NewChaCha8([32]byte{}).Read(want)
	h.put("k", want)
	u, err := h.CreateUpload(t.Context(), "bucket", "u", object.UploadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.PutPart(t.Context(), "bucket", "u", u.ID, 3, bytes.NewReader(want), object.PutOptions{Size: -1}); err != nil {
		t.Fatal(err)
	}
	file := h.files()[0]
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	half := len(good) / 2
	const block = 128<<10 + 4
	for name, change := range map[string]func(b []byte) []byte{
		"one bit of the object": func(b []byte) []byte { b[300_000] ^= 1; return b },
		"one bit of a sum":      func(b []byte) []byte { b[block-1] ^= 1; return b },
		"one bit of the part":   func(b []byte) []byte { b[half+10] ^= 1; return b },
		"blocks exchanged":      func(b []byte) []byte { copy(b, good[block:2*block]); copy(b[block:], good[:block]); return b },
		"a block of the part in the object, the same bytes": func(b []byte) []byte { copy(b, good[half:half+block]); return b },
		"cut short": func(b []byte) []byte { return b[:200_000] },
		"empty":     func(b []byte) []byte { return nil },
		"zeros":     func(b []byte) []byte { clear(b); return b },
	} {
		if err := os.WriteFile(file, change(bytes.Clone(good)), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := read(h.Store, "k")
		if err != nil && strait.KindOf(err) != strait.Internal || err == nil && !bytes.Equal(got, want) || !bytes.HasPrefix(want, got) {
			t.Errorf("%s: read %d bytes, %v", name, len(got), err)
		}
		var problems []object.Problem
		if err := h.Check(t.Context(), func(p object.Problem) { problems = append(problems, p) }); err != nil {
			t.Fatal(err)
		}
		if len(problems) == 0 {
			t.Errorf("%s: check found nothing", name)
		}
		for _, p := range problems {
			if p.Bucket != "bucket" || p.Message == "" || !(p.Key == "k" || p.Key == "u" && p.Upload == u.ID && p.Part == 3) {
				t.Errorf("%s: check found %+v", name, p)
			}
		}
		if name == "one bit of the part" && (len(problems) != 1 || problems[0].Part != 3) ||
			name == "one bit of the object" && (len(problems) != 1 || problems[0].Key != "k") {
			t.Errorf("%s: check found %+v", name, problems)
		}
	}
}

// A record that does not decode is one damaged object, not the end of the
// store; while it is there nothing is unlinked, and deleting it heals.
func TestDamagedRecord(t *testing.T) {
	h := newHome(t, dir.Options{})
	h.put("bad", []byte("x"))
	h.put("good", []byte("y"))
	h.again(func() {
		facts := openFacts(t, h.factsPath)
		defer facts.Close()
		spoil(t, facts, "object/o/bucket\x00bad")
	})
	h.holds("good", []byte("y"))
	if _, err := h.Head(t.Context(), "bucket", "bad"); strait.KindOf(err) != strait.Internal || strings.Contains(err.Error(), "\x00") {
		t.Errorf("head: %v", err)
	}
	found := 0
	if err := h.Check(t.Context(), func(object.Problem) { found++ }); err != nil || found != 1 {
		t.Errorf("check: found %d, %v", found, err)
	}
	if err := h.Delete(t.Context(), "bucket", "bad", object.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	h.check()
}

// While the disk is full puts are refused, leave nothing, and harm nothing;
// when there is room again the store goes on.
func TestSyncFails(t *testing.T) {
	if !dir.Durable {
		t.Skip("nothing is synced")
	}
	var full atomic.Bool
	h := newHome(t, dir.Options{}.WithSync(func(f *os.File, next func() error) error {
		if full.Load() {
			return &os.PathError{Op: "sync", Path: f.Name(), Err: syscall.ENOSPC}
		}
		return next()
	}))
	h.put("old", []byte("old"))
	full.Store(true)
	for range 3 {
		_, err := h.Put(t.Context(), "bucket", "k", strings.NewReader("x"), object.PutOptions{Size: -1})
		var e *strait.Error
		if !errors.As(err, &e) || e.Kind != strait.Unavailable || e.Thing != "disk" {
			t.Errorf("put on a full disk: %v", err)
		}
	}
	if _, err := h.Head(t.Context(), "bucket", "k"); strait.KindOf(err) != strait.NotFound {
		t.Errorf("head: %v", err)
	}
	h.holds("old", []byte("old"))
	full.Store(false)
	h.put("k", []byte("x"))
	h.holds("k", []byte("x"))
	h.check()
	if n := len(h.files()); n != 2 {
		t.Errorf("%d segments are left, want that of old and that of k", n)
	}
}
