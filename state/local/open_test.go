package local_test

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strait"
	"strait/state"
	"strait/state/local"
)

func TestFilesAreForTheOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "facts")
	s := open(t, dir, local.Options{})
	if _, err := s.Apply(t.Context(), state.Write{Key: "secret"}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, error %v; want 0700", info.Mode(), err)
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, error %v; want 0600", e.Name(), info.Mode(), err)
		}
	}
	if len(entries) < 4 {
		t.Errorf("the directory has %d files, want the facts, two beside them and the lock", len(entries))
	}
}

func TestAwkwardDirectoryNames(t *testing.T) {
	for _, name := range []string{"with space", "q?a=b#c", "per%20cent", "ümlaut", "semi;colon&amp"} {
		dir := filepath.Join(t.TempDir(), name)
		s := open(t, dir, local.Options{})
		if _, err := s.Apply(t.Context(), state.Write{Key: "a"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "facts.db")); err != nil {
			t.Errorf("%s: the facts are elsewhere: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "facts.db-wal")); err != nil {
			t.Errorf("%s: the log is elsewhere: %v", name, err)
		}
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, local.Options{})
	_, err := local.Open(dir, local.Options{})
	if strait.KindOf(err) != strait.Conflict || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Fatalf("open the same directory twice: got %v, want kind Conflict and the process id", err)
	}
	out, err := child(t, dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is in use by process") {
		t.Fatalf("open in a second process: %v, %s", err, out)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := child(t, dir).CombinedOutput(); err != nil {
		t.Fatalf("open in a second process after Close: %v, %s", err, out)
	}
}

// child runs this test binary as a process that opens the store in dir, once.
func child(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildOpens$", "-test.v")
	cmd.Env = append(os.Environ(), "STRAIT_TEST_OPEN="+dir)
	return cmd
}

func TestChildOpens(t *testing.T) {
	dir := os.Getenv("STRAIT_TEST_OPEN")
	if dir == "" {
		t.Skip("only for TestOneProcessAtATime")
	}
	open(t, dir, local.Options{})
}

func TestOpenRefuses(t *testing.T) {
	t.Run("a file that holds no facts", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "facts.db"), []byte(strings.Repeat("not a database ", 500)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := local.Open(dir, local.Options{}); err == nil {
			t.Fatal("no error")
		}
	})
	t.Run("facts of a later version", func(t *testing.T) {
		dir := t.TempDir()
		open(t, dir, local.Options{}).Close()
		db, err := sql.Open("sqlite", filepath.Join(dir, "facts.db"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("PRAGMA user_version = 99"); err != nil {
			t.Fatal(err)
		}
		db.Close()
		if _, err := local.Open(dir, local.Options{}); err == nil || !strings.Contains(err.Error(), "later version") {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a directory that is a file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := local.Open(path, local.Options{}); err == nil {
			t.Fatal("no error")
		}
	})
}

// TestOpenIsFast opens a store of five thousand facts and reads the one that a
// server would want first. The bound is a hundred times the aim, for slow and busy machines.
func TestOpenIsFast(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, local.Options{})
	for i := range 10 {
		var writes []state.Write
		for k := range 500 {
			writes = append(writes, state.Write{Key: fmt.Sprintf("role/%02d/%03d", i, k), Value: make([]byte, 500)})
		}
		if _, err := s.Apply(t.Context(), writes...); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	best := time.Hour
	for range 5 {
		start := time.Now()
		s := open(t, dir, local.Options{})
		if _, err := s.Get(t.Context(), "role/05/005"); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(start))
		s.Close()
	}
	t.Logf("opened 5,000 facts in %v", best)
	if best > 3*time.Second {
		t.Errorf("opening took %v, the aim is 30 ms", best)
	}
}
