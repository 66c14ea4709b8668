package function

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"unicode/utf8"

	"strait"
)

const (
	maxEntries  = 100_000
	maxPath     = 1024 // bytes of an entry's path
	maxLevels   = 64
	nativeEntry = "strait-native"
)

// An entry is one checked file of a zip.
type entry struct {
	path string // clean, relative, with slashes
	file *zip.File
}

// readZip checks a zip without unpacking it: sizes as the zip states them
// (unpack counts the real ones), and every path. Failures are Invalid or TooLarge "code".
func readZip(data []byte) ([]entry, error) {
	if len(data) > MaxCode {
		return nil, strait.Errorf(strait.TooLarge, "code", "the zip has %d bytes; at most %d are taken", len(data), MaxCode)
	}
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, strait.Errorf(strait.Invalid, "code", "Could not unzip uploaded file. Please check your file, then try to upload again. (%w)", err)
	}
	if len(r.File) == 0 {
		return nil, strait.Errorf(strait.Invalid, "code", "uploaded file must be a non-empty zip")
	}
	if len(r.File) > maxEntries {
		return nil, strait.Errorf(strait.TooLarge, "code", "the zip has %d files; at most %d are taken", len(r.File), maxEntries)
	}
	var total uint64
	entries := make([]entry, 0, len(r.File))
	for _, f := range r.File {
		p, err := entryPath(f)
		if err != nil {
			return nil, strait.Errorf(strait.Invalid, "code", "the zip's entry %.100q %w", f.Name, err)
		}
		if total += min(f.UncompressedSize64, MaxUnpacked+1); total > MaxUnpacked {
			return nil, tooBig()
		}
		if p != "." {
			entries = append(entries, entry{p, f})
		}
	}
	return entries, nil
}

func tooBig() error {
	return strait.Errorf(strait.TooLarge, "code", "unzipped size must be smaller than %d bytes", MaxUnpacked)
}

func entryPath(f *zip.File) (string, error) {
	name := strings.TrimSuffix(f.Name, "/")
	switch mode := f.Mode(); {
	case mode.IsRegular(), mode.IsDir(), mode&fs.ModeSymlink != 0:
	default:
		return "", errors.New("is neither file, directory nor symbolic link")
	}
	name = strings.TrimPrefix(name, "./")
	switch {
	case name == "" || name == ".":
		if f.Mode().IsDir() {
			return ".", nil
		}
		return "", errors.New("has no name")
	case !utf8.ValidString(name) || strings.ContainsAny(name, "\x00\\"):
		return "", errors.New("has a name with forbidden characters")
	case len(name) > maxPath || strings.Count(name, "/") >= maxLevels:
		return "", errors.New("has a path that is too long")
	case !fs.ValidPath(name): // no "..", no "", not absolute
		return "", errors.New("leads out of the code directory or is not a clean path")
	}
	return name, nil
}

// unpack writes the entries below dir, which must be empty and ours, readable
// for the group gid (0: as it is) and writable by nobody. What a file is (its x bit) comes from the zip.
//
// Everything goes through an os.Root: even a path whose first part is a
// symbolic link of the same zip cannot lead out.
func unpack(entries []entry, dir string, gid int) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	left := int64(MaxUnpacked)
	var dirs []string
	made := map[string]bool{".": true}
	for _, e := range entries {
		parent := path.Dir(e.path)
		if e.file.Mode().IsDir() {
			parent = e.path
		}
		for p := parent; !made[p]; p = path.Dir(p) {
			made[p] = true
			dirs = append(dirs, p)
		}
		if err := root.MkdirAll(parent, 0o700); err != nil {
			return unzipError(e, err)
		}
		switch mode := e.file.Mode(); {
		case mode.IsDir():
		case mode&fs.ModeSymlink != 0:
			err = unpackLink(root, e, gid)
		default:
			left, err = unpackFile(root, e, gid, left)
		}
		if err != nil {
			return unzipError(e, err)
		}
	}
	// Directories last: they could not be written to afterwards.
	for _, d := range append(dirs, ".") {
		if err := errors.Join(giveGroup(root, d, gid), root.Chmod(d, 0o550)); err != nil {
			return err
		}
	}
	return nil
}

func unzipError(e entry, err error) error {
	var known *strait.Error
	if errors.As(err, &known) {
		return err
	}
	return strait.Errorf(strait.Invalid, "code", "could not unzip %.100q: %w", e.path, err)
}

func unpackFile(root *os.Root, e entry, gid int, left int64) (int64, error) {
	in, err := e.file.Open()
	if err != nil {
		return left, err
	}
	defer in.Close()
	out, err := root.OpenFile(e.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return left, err
	}
	n, err := io.Copy(out, io.LimitReader(in, left+1))
	if left -= n; err == nil && left < 0 {
		err = tooBig()
	}
	if err == nil && gid != 0 {
		err = out.Chown(-1, gid)
	}
	if err == nil {
		mode := fs.FileMode(0o440)
		if e.file.Mode().Perm()&0o111 != 0 {
			mode = 0o550
		}
		err = out.Chmod(mode)
	}
	return left, errors.Join(err, out.Close())
}

// unpackLink makes a link that stays inside, judged by its text; os.Root holds
// whatever a chain of links would do beyond that.
func unpackLink(root *os.Root, e entry, gid int) error {
	in, err := e.file.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	to, err := io.ReadAll(io.LimitReader(in, maxPath+1))
	if err != nil {
		return err
	}
	target := string(to)
	if target == "" || len(target) > maxPath || path.IsAbs(target) || strings.ContainsAny(target, "\x00\\") ||
		!fs.ValidPath(path.Join(path.Dir(e.path), target)) {
		return fmt.Errorf("the link leads out of the code directory")
	}
	if err := root.Symlink(target, e.path); err != nil {
		return err
	}
	return giveGroup(root, e.path, gid)
}

func giveGroup(root *os.Root, p string, gid int) error {
	if gid == 0 {
		return nil
	}
	return root.Lchown(p, -1, gid)
}

// nativeOf returns what the zip's file strait-native says, such as "vend 1",
// or "".
func nativeOf(entries []entry) string {
	for _, e := range entries {
		if e.path != nativeEntry || !e.file.Mode().IsRegular() || e.file.UncompressedSize64 > 256 {
			continue
		}
		in, err := e.file.Open()
		if err != nil {
			return ""
		}
		defer in.Close()
		text, err := io.ReadAll(io.LimitReader(in, 256))
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(text))
	}
	return ""
}
