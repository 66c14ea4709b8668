package dir_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strait/object"
	"strait/object/dir"
)

// Inspect says what is wrong with a directory, and leaves it as it is.
func TestInspect(t *testing.T) {
	for _, c := range []struct {
		name    string
		harm    func(h *home)
		damaged []string // of keys
		orphans int
	}{
		{"nothing", func(*home) {}, nil, 0},
		{"one byte", func(h *home) { flip(h, h.files()[0], 5) }, []string{"a"}, 0},
		{"a segment", func(h *home) { h.remove(h.files()[0]) }, []string{"a", "b", "u"}, 0},
		{"a record", func(h *home) { spoil(h.T, h.facts, "object/o/bucket\x00a") }, []string{"a"}, 0},
		{"the record of an upload", func(h *home) {
			all, err := h.facts.List(h.Context(), "object/u/", "", 1)
			if err != nil || len(all) != 1 {
				h.Fatal(all, err)
			}
			spoil(h.T, h.facts, all[0].Key)
		}, []string{"u"}, 0},
		{"a file of a crash", func(h *home) { appendTo(h.T, filepath.Join(h.path, "segments", "00000000000000ff.seg"), []byte("x")) }, nil, 1},
		{"an end of a crash", func(h *home) { appendTo(h.T, h.files()[0], []byte("x")) }, nil, 1},
		{"a stranger's file", func(h *home) { appendTo(h.T, filepath.Join(h.path, "segments", "notes.txt"), []byte("x")) }, nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHome(t, dir.Options{})
			h.put("a", []byte("first"))
			h.put("b", make([]byte, 200_000))
			u, err := h.CreateUpload(t.Context(), "bucket", "u", object.UploadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.PutPart(t.Context(), "bucket", "u", u.ID, 1, strings.NewReader("part"), object.PutOptions{Size: 4}); err != nil {
				t.Fatal(err)
			}
			if err := h.Store.Close(); err != nil {
				t.Fatal(err)
			}
			h.T = t
			c.harm(h)
			before := listing(t, h.path)
			var keys []string
			found, err := dir.Inspect(t.Context(), h.path, h.facts, func(p object.Problem) { keys = append(keys, p.Key) })
			slices.Sort(keys)
			if err != nil || !slices.Equal(keys, c.damaged) || found.Damaged != len(keys) || len(found.Orphans) != c.orphans {
				t.Errorf("found %+v, damaged %q, %v; want %q and %d orphans", found, keys, err, c.damaged, c.orphans)
			}
			if found.Objects != 2 || found.Uploads != 1 || found.Parts != 1 || found.Buckets != 1 {
				t.Errorf("counted %+v", found)
			}
			if after := listing(t, h.path); after != before {
				t.Errorf("the directory was changed:\n%s\nnow:\n%s", before, after)
			}
		})
	}
	if _, err := dir.Inspect(t.Context(), t.TempDir(), openFacts(t, t.TempDir()), nil); err == nil {
		t.Error("an empty directory is no object store, and was inspected")
	}
}

func (h *home) remove(name string) {
	h.Helper()
	if err := os.Remove(name); err != nil {
		h.Fatal(err)
	}
}

func flip(h *home, name string, at int) {
	h.Helper()
	b, err := os.ReadFile(name)
	if err == nil {
		b[at] ^= 1
		err = os.WriteFile(name, b, 0o600)
	}
	if err != nil {
		h.Fatal(err)
	}
}

func listing(t *testing.T, path string) string {
	t.Helper()
	var b strings.Builder
	files, err := filepath.Glob(filepath.Join(path, "segments", "*"))
	for _, f := range files {
		text, e := os.ReadFile(f)
		if err = e; err != nil {
			break
		}
		b.WriteString(f + " " + string(text) + "\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
