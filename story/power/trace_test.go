package power_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strait/story/power"
)

func inHex(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, `\x%02x`, s[i])
	}
	return b.String()
}

// A trace as strace 6.1 writes it, with one call cut in two by another thread.
func sample() string {
	return strings.NewReplacer("PATH", inHex("/d/f"), "DIR", inHex("/d"), "BYTES", inHex(`a,b)"`), "NAME", inHex("f")).Replace(
		`10  openat(-100<DIR>, "NAME", 0x80042, 0600) = 3<PATH>
10  pwrite64(3<PATH>, "BYTES", 5, 4096 <unfinished ...>
11  write(7<TCP:[127.0.0.1:80->127.0.0.1:4711]>, "BYTES", 5) = 5
10  <... pwrite64 resumed>) = 5
11  openat(-100<DIR>, "NAME", 0x800c2, 0600) = -1 EEXIST (File exists)
11  writev(7<TCP:[127.0.0.1:80->127.0.0.1:4711]>, [{iov_base="BYTES", iov_len=5}, {iov_base="", iov_len=0}], 2) = 5
10  fsync(3<PATH>(deleted) <unfinished ...>
11  --- SIGCHLD {si_signo=17} ---
11  +++ killed by 9 +++
12  fsync(3<PATH> <detached ...>
13  pwrite64(3<PATH>, "BYTES", 5, 0 <unfinished ...>
13  <... pwrite64 resumed> <detached ...>
`)
}

func read(t *testing.T, trace string) (calls []power.Call, err error) {
	err = power.ReadTrace(strings.NewReader(trace), func(c power.Call) error {
		calls = append(calls, c)
		return nil
	})
	return calls, err
}

func TestReadTrace(t *testing.T) {
	calls, err := read(t, sample())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range calls {
		got = append(got, fmt.Sprintf("%s/%d %d-%d = %d", c.Name, len(c.Args), c.Enter, c.Exit, c.Result))
	}
	want := []string{"openat/4 1-1 = 3", "write/3 3-3 = 5", "pwrite64/4 2-4 = 5", "openat/4 5-5 = -1", "writev/3 6-6 = 5",
		fmt.Sprintf("fsync/1 7-%d = 0", power.Never), fmt.Sprintf("fsync/1 10-%d = 0", power.Never), fmt.Sprintf("pwrite64/4 11-%d = 0", power.Never)}
	slices.Sort(got) // what never ended comes in no order
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("calls:\ngot  %q\nwant %q", got, want)
	}
}

// A trace that is not whole proves nothing.
func TestReadTraceRefuses(t *testing.T) {
	for _, bad := range []string{
		"10\n", "10  fsync\n", "10  fsync(3\n", "10  fsync(3) = x\n", `10  write(3, "\x41) = 1` + "\n",
		"10  <... fsync resumed>) = 0\n", "10  fsync(3 <unfinished ...>\n10  fsync(3 <unfinished ...>\n",
		"10  fsync(3 <unfinished ...>\n10  fsync(3 <detached ...>\n",
	} {
		if calls, err := read(t, bad); err == nil {
			t.Errorf("read %q: got %+v, want an error", bad, calls)
		}
	}
}

// Whatever is read can be written again as whole lines, and reads the same.
func FuzzReadTrace(f *testing.F) {
	f.Add(sample())
	f.Add("1  mmap(NULL, 1, 0x3, 0x22, -1, 0) = 0x7f1176f04000\n1  exit(0) = ?\n")
	f.Fuzz(func(t *testing.T, trace string) {
		calls, err := read(t, trace)
		if err != nil {
			return
		}
		var again strings.Builder
		for i, c := range calls {
			if c.Enter < 1 || c.Exit < c.Enter || c.Exit != power.Never && c.Exit > strings.Count(trace, "\n") {
				t.Fatalf("call %+v lies outside of its trace", c)
			}
			fmt.Fprintf(&again, "%d  %s(%s) = %d\n", i, c.Name, strings.Join(c.Args, ", "), c.Result)
		}
		twice, err := read(t, again.String())
		if err != nil || len(twice) != len(calls) {
			t.Fatalf("%q read again: %d calls of %d, %v", again.String(), len(twice), len(calls), err)
		}
		for i, c := range calls {
			if c.Name != twice[i].Name || !slices.Equal(c.Args, twice[i].Args) || c.Result != twice[i].Result {
				t.Fatalf("read %+v, and again %+v", c, twice[i])
			}
		}
	})
}

// follow makes a disk of calls, each written without its thread.
func follow(t *testing.T, calls ...string) *power.Disk {
	t.Helper()
	d := power.NewDisk("/d")
	if err := feed(d, calls...); err != nil {
		t.Fatal(err)
	}
	return d
}

func feed(d *power.Disk, calls ...string) error {
	var trace strings.Builder
	for _, c := range calls {
		// 'text' stands for a string or path in hex.
		for i, part := range strings.Split(c, "'") {
			if i%2 == 1 {
				part = inHex(part)
			}
			trace.WriteString(part)
		}
		trace.WriteString("\n")
	}
	return power.ReadTrace(strings.NewReader("1  "+strings.ReplaceAll(strings.TrimSuffix(trace.String(), "\n"), "\n", "\n1  ")+"\n"), d.Add)
}

// left lists what is on a rebuilt disk.
func left(t *testing.T, d *power.Disk, moment int, keep float64) string {
	t.Helper()
	dir := t.TempDir()
	if _, _, err := d.Rebuild(dir, moment, power.Chance{Keep: keep}); err != nil {
		t.Fatal(err)
	}
	var out []string
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			var b []byte
			b, err = os.ReadFile(p)
			out = append(out, fmt.Sprintf("%s=%s", strings.TrimPrefix(p, dir+"/"), strings.ReplaceAll(string(b), "\x00", "0")))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

func TestRebuild(t *testing.T) {
	const open, sync = `openat(-100<'/'>, "'/d/a'", 0x80042, 0600) = 3<'/d/a'>`, `fsync(3<'/d/a'>) = 0`
	const dir, dirSync = `openat(-100<'/'>, "'/d'", 0x80000) = 4<'/d'>`, `fsync(4<'/d'>) = 0`
	write := func(s string, at int) string {
		return fmt.Sprintf(`pwrite64(3<'/d/a'>, "'%s'", %d, %d) = %d`, s, len(s), at, len(s))
	}
	const rename = `renameat(-100<'/'>, "'/d/a'", -100<'/'>, "'/d/b'") = 0`
	for _, c := range []struct {
		name       string
		calls      []string
		none, kept string
	}{
		{"a file without a synced name", []string{open, write("xy", 0), sync}, "", "a=xy"},
		{"a name without synced bytes", []string{dir, open, dirSync, write("xy", 0)}, "a=", "a=xy"},
		{"both", []string{dir, open, write("xy", 0), sync, dirSync}, "a=xy", "a=xy"},
		{"a later write", []string{dir, open, write("xy", 0), sync, dirSync, write("z", 1)}, "a=xy", "a=xz"},
		{"a gap", []string{dir, open, dirSync, write("z", 2), sync}, "a=00z", "a=00z"},
		{"a failed sync", []string{dir, open, dirSync, write("z", 0), `fsync(3<'/d/a'>) = -1 EIO (x)`}, "a=", "a=z"},
		{"cut shorter", []string{dir, open, write("xyz", 0), sync, dirSync, `ftruncate(3<'/d/a'>, 1) = 0`}, "a=xyz", "a=x"},
		{"a hole", []string{dir, open, write("xyz", 0), sync, dirSync, `fallocate(3<'/d/a'>, 0x3, 1, 1) = 0`}, "a=xyz", "a=x0z"},
		{"renamed", []string{dir, open, write("xy", 0), sync, dirSync, rename}, "a=xy", "b=xy"},
		{"renamed for good", []string{dir, open, write("xy", 0), sync, rename, dirSync}, "b=xy", "b=xy"},
		{"written under its new name", []string{dir, open, rename, `write(3<'/d/b'>, "'xy'", 2) = 2`, `write(3<'/d/b'>, "'z'", 1) = 1`, `fdatasync(3<'/d/b'>) = 0`, dirSync}, "b=xyz", "b=xyz"},
		{"unlinked", []string{dir, open, dirSync, `unlinkat(-100<'/'>, "'/d/a'", 0) = 0`}, "a=", ""},
		{"linked", []string{dir, open, write("xy", 0), sync, dirSync, `linkat(-100<'/'>, "'/d/a'", -100<'/'>, "'/d/c'", 0) = 0`}, "a=xy", "a=xy c=xy"},
		{"in an unsynced directory", []string{dir, `mkdirat(-100<'/'>, "'/d/s'", 0700) = 0`, `openat(-100<'/'>, "'/d/s/a'", 0x42, 0600) = 5<'/d/s/a'>`,
			`openat(-100<'/'>, "'/d/s'", 0) = 6<'/d/s'>`, `fsync(6<'/d/s'>) = 0`}, "", "s/a="},
		{"emptied at opening", []string{dir, open, write("xy", 0), sync, dirSync, `openat(-100<'/'>, "'/d/a'", 0x242, 0600) = 5<'/d/a'>`}, "a=xy", "a="},
		{"appended", []string{dir, open, write("xy", 0), `openat(-100<'/'>, "'/d/a'", 0x401) = 5<'/d/a'>`, `write(5<'/d/a'>, "'z'", 1) = 1`, sync, dirSync}, "a=xyz", "a=xyz"},
	} {
		d := follow(t, c.calls...)
		if got := left(t, d, len(c.calls)+1, 0); got != c.none {
			t.Errorf("%s, all unsynced lost: got %q, want %q", c.name, got, c.none)
		}
		if got := left(t, d, len(c.calls)+1, 1); got != c.kept {
			t.Errorf("%s, nothing lost: got %q, want %q", c.name, got, c.kept)
		}
		if got := left(t, d, 1, 1); got != "" {
			t.Errorf("%s, before it began: got %q", c.name, got)
		}
	}
}

// A write that is under way when a sync begins is not covered by it, and a sync
// that has not returned covers nothing.
func TestRebuildOverlapping(t *testing.T) {
	d := power.NewDisk("/d")
	trace := strings.NewReplacer("A", inHex("/d/a"), "D", inHex("/d"), "X", inHex("x")).Replace(`1  openat(-100<D>, "D", 0) = 4<D>
1  openat(-100<D>, "A", 0x42, 0600) = 3<A>
1  fsync(4<D>) = 0
1  pwrite64(3<A>, "X", 1, 0 <unfinished ...>
2  fsync(3<A> <unfinished ...>
1  <... pwrite64 resumed>) = 1
2  <... fsync resumed>) = 0
1  fsync(3<A> <unfinished ...>
2  fsync(4<D>) = 0
1  <... fsync resumed>) = 0
`)
	if err := power.ReadTrace(strings.NewReader(trace), d.Add); err != nil {
		t.Fatal(err)
	}
	for moment, want := range map[int]string{8: "a=", 10: "a=", 11: "a=x"} {
		if got := left(t, d, moment, 0); got != want {
			t.Errorf("at %d: got %q, want %q", moment, got, want)
		}
	}
}

// What the disk does not follow is an error below its base, not a hole.
func TestDiskRefuses(t *testing.T) {
	const open = `openat(-100<'/'>, "'/d/a'", 0x42, 0600) = 3<'/d/a'>`
	for _, bad := range []string{
		`copy_file_range(9<'/x'>, NULL, 3<'/d/a'>, NULL, 5, 0) = 5`, `writev(3<'/d/a'>, [{iov_base="'x'", iov_len=1}], 1) = 1`,
		`mmap(NULL, 4096, 0x3, 0x1, 3<'/d/a'>, 0) = 0x7f00`, `openat(-100<'/'>, "'/d/b'", 0x101042, 0600) = 4<'/d/b'>`,
		`sync() = 0`, `io_uring_setup(8, 0x1) = 5`, `symlinkat("'/x'", -100<'/'>, "'/d/l'") = 0`, `write(8<'/d/never'>, "'x'", 1) = 1`,
	} {
		if err := feed(power.NewDisk("/d"), open, bad); err == nil {
			t.Errorf("%s: followed", bad)
		}
	}
	if err := feed(power.NewDisk("/d"), `copy_file_range(9<'/x'>, NULL, 3<'/y'>, NULL, 5, 0) = 5`, `mmap(NULL, 4096, 0x3, 0x1, 3<'/y'>, 0) = 0x7f00`); err != nil {
		t.Errorf("calls elsewhere: %v", err)
	}
}

// A real program under a real strace: what the disk keeps is what the program
// left. (This test is the program, too.)
func TestFollowsAProgram(t *testing.T) {
	if dir := os.Getenv("STRAIT_TEST_FOLLOWED"); dir != "" {
		followed(t, dir)
		return
	}
	needStrace(t)
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", append(power.StraceArgs(trace), os.Args[0], "-test.run=^TestFollowsAProgram$")...)
	cmd.Env = append(os.Environ(), "STRAIT_TEST_FOLLOWED="+base)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	d := power.NewDisk(base)
	if err := power.ReadTrace(strings.NewReader(string(b)), d.Add); err != nil {
		t.Fatal(err)
	}
	if got, want := left(t, d, power.Never, 1), "b=onetwo d=three"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := left(t, d, power.Never, 0), "d="; got != want {
		t.Errorf("only the name d was synced, and %q is left", got)
	}
}

func followed(t *testing.T, dir string) {
	in := func(name string) string { return filepath.Join(dir, name) }
	add := func(name, s string) error {
		f, err := os.OpenFile(in(name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err == nil {
			_, err = f.WriteString(s)
			f.Close()
		}
		return err
	}
	syncDir := func() error {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		return errors.Join(d.Sync(), d.Close())
	}
	for _, err := range []error{
		os.Mkdir(in("s"), 0o700), add("s/a", "one"), add("s/a", "two"), add("c", "three"), os.Link(in("c"), in("d")), os.Remove(in("c")),
		syncDir(), os.Rename(in("s/a"), in("b")), os.Remove(in("s")), os.WriteFile(in("e"), []byte("e"), 0o600), os.Remove(in("e")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}
