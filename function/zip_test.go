package function

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strait"
)

// These tests reach inside: what unpacking does to the files around the code
// directory cannot be seen through an Engine.

func zipBytes(t testing.TB, method uint16, files ...[3]string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files { // name, mode (octal or "link"), body
		h := &zip.FileHeader{Name: f[0], Method: method}
		var mode fs.FileMode
		if f[1] == "link" {
			mode = fs.ModeSymlink | 0o777
		} else {
			fmt.Sscanf(f[1], "%o", &mode)
		}
		h.SetMode(mode)
		out, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		out.Write([]byte(f[2]))
	}
	w.Close()
	return b.Bytes()
}

func TestUnpack(t *testing.T) {
	entries, err := readZip(zipBytes(t, zip.Deflate, [3]string{"bootstrap", "755", "x"}, [3]string{"./lib/a.txt", "666", "y"}, [3]string{"lib/b", "link", "a.txt"}, [3]string{nativeEntry, "644", " vend 1\n"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := nativeOf(entries); got != "vend 1" {
		t.Errorf("native: got %q", got)
	}
	dir := t.TempDir()
	defer removeTree(dir)
	if err := unpack(entries, dir, 0); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{".": 0o550, "bootstrap": 0o550, "lib": 0o550, "lib/a.txt": 0o440} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: got %v, %v, want mode %o", name, st.Mode().Perm(), err, want)
		}
	}
	if data, err := os.ReadFile(filepath.Join(dir, "lib/b")); err != nil || string(data) != "y" {
		t.Errorf("through a link: got %q, %v", data, err)
	}
}

func TestHostileZips(t *testing.T) {
	bomb := strings.Repeat("\x00", 32<<20)
	var bombs [][3]string
	for i := range 9 {
		bombs = append(bombs, [3]string{fmt.Sprint(i), "644", bomb})
	}
	for what, z := range map[string][]byte{
		"no zip":              []byte("PK nothing"),
		"empty":               zipBytes(t, zip.Store),
		"parent":              zipBytes(t, zip.Store, [3]string{"../x", "644", ""}),
		"parent inside":       zipBytes(t, zip.Store, [3]string{"a/../../x", "644", ""}),
		"absolute":            zipBytes(t, zip.Store, [3]string{"/x", "644", ""}),
		"backslash":           zipBytes(t, zip.Store, [3]string{`..\x`, "644", ""}),
		"zero":                zipBytes(t, zip.Store, [3]string{"a\x00b", "644", ""}),
		"twice":               zipBytes(t, zip.Store, [3]string{"x", "644", ""}, [3]string{"x", "644", ""}),
		"link out":            zipBytes(t, zip.Store, [3]string{"l", "link", "../x"}),
		"link absolute":       zipBytes(t, zip.Store, [3]string{"l", "link", "/etc"}),
		"through a link":      zipBytes(t, zip.Store, [3]string{"d/l", "link", "../"}, [3]string{"m", "link", "d/l/../.."}, [3]string{"m/x", "644", ""}),
		"over a link":         zipBytes(t, zip.Store, [3]string{"l", "link", "y"}, [3]string{"l", "644", ""}),
		"a file as directory": zipBytes(t, zip.Store, [3]string{"f", "644", ""}, [3]string{"f/x", "644", ""}),
		"deep":                zipBytes(t, zip.Store, [3]string{strings.Repeat("d/", 100) + "x", "644", ""}),
		"bomb":                zipBytes(t, zip.Deflate, bombs...),
	} {
		around := t.TempDir()
		dir := filepath.Join(around, "a", "b")
		os.MkdirAll(dir, 0o700)
		entries, err := readZip(z)
		if err == nil {
			err = unpack(entries, dir, 0)
		}
		if k := strait.KindOf(err); k != strait.Invalid && k != strait.TooLarge {
			t.Errorf("%s: got %v, want Invalid or TooLarge", what, err)
		}
		if left := outside(around, dir); len(left) != 0 {
			t.Errorf("%s: wrote %v outside of its directory", what, left)
		}
		removeTree(around)
	}
}

// A zip whose directory states small sizes, but holds more: the real bytes count.
func TestLyingZip(t *testing.T) {
	z := zipBytes(t, zip.Store, [3]string{"x", "644", "0123456789"})
	entries, err := readZip(z)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := unpackFile(root, entries[0], 0, 5); strait.KindOf(err) != strait.TooLarge {
		t.Errorf("ten bytes where five are left: got %v, want TooLarge", err)
	}
}

// outside lists what is below around but not below dir.
func outside(around, dir string) []string {
	var found []string
	filepath.WalkDir(around, func(p string, d fs.DirEntry, err error) error {
		if p == dir {
			return filepath.SkipDir
		}
		if !strings.HasPrefix(dir, p) {
			found = append(found, p)
		}
		return nil
	})
	return found
}

// FuzzUnpack: whatever the names and the links, nothing appears outside of the
// directory, and no link in it leads out.
func FuzzUnpack(f *testing.F) {
	for _, s := range [][4]string{{"a", "b", "link", "c"}, {"../x", "y", "644", "z"}, {"l", "../..", "link", "l/x"}, {"a/l", "..", "link", "a/l/../x"}, {"d/l", "../e", "link", "d/l/f"}} {
		f.Add(s[0], s[1], s[2] == "link", s[3])
	}
	f.Fuzz(func(t *testing.T, name, body string, link bool, second string) {
		mode := "644"
		if link {
			mode = "link"
		}
		if len(name) > 1<<12 || len(second) > 1<<12 {
			return
		}
		z := zipBytes(t, zip.Store, [3]string{name, mode, body}, [3]string{second, "755", "two"}, [3]string{"z/y", "link", name})
		around, err := os.MkdirTemp("", "fuzz-")
		if err != nil {
			t.Fatal(err)
		}
		defer removeTree(around)
		dir := filepath.Join(around, "a", "b")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		entries, err := readZip(z)
		if err == nil {
			err = unpack(entries, dir, 0)
		}
		if left := outside(around, dir); len(left) != 0 {
			t.Fatalf("%q %q %q: wrote %v outside", name, body, second, left)
		}
		if err != nil {
			return
		}
		filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if d.Type()&fs.ModeSymlink == 0 {
				return nil
			}
			if to, err := filepath.EvalSymlinks(p); err == nil && to != dir && !strings.HasPrefix(to, dir+"/") {
				t.Errorf("%q %q %q: the link %s leads to %s", name, body, second, p, to)
			}
			return nil
		})
	})
}
