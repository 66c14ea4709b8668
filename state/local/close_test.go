//go:build linux

package local_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strait/state"
	"strait/state/local"
)

// TestCloseLetsGo checks that after Close the process holds no file of the store
// (SQLite keeps them when a statement is forgotten) and that the log is merged.
func TestCloseLetsGo(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, local.Options{})
	if _, err := s.Apply(t.Context(), state.Write{Key: "a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(t.Context(), "", "", 0); err != nil {
		t.Fatal(err)
	}
	if len(openFiles(t, dir)) == 0 {
		t.Fatal("an open store holds no file: this test cannot see them")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if files := openFiles(t, dir); len(files) > 0 {
		t.Errorf("after Close these are open: %q", files)
	}
	if _, err := os.Stat(filepath.Join(dir, "facts.db-wal")); err == nil {
		t.Error("after Close the log is still there")
	}
}

func openFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	for _, table := range []string{"/proc/self/fd/", "/proc/self/map_files/"} {
		entries, err := os.ReadDir(table)
		if err != nil {
			t.Skipf("cannot see open files here: %v", err)
		}
		for _, e := range entries {
			if target, err := os.Readlink(table + e.Name()); err == nil && strings.HasPrefix(target, dir) {
				files = append(files, target)
			}
		}
	}
	return files
}
