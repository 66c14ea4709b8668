package device_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"strait/await"
	"strait/device"
)

// remembered reads a journal's upload id and its number of parts.
func remembered(t *testing.T, file string) (id string, parts int) {
	t.Helper()
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return "", 0
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var r struct {
			Begin *struct{ UploadID string }
			Part  *struct{}
		}
		if len(line) < 10 || json.Unmarshal([]byte(line[9:]), &r) != nil {
			break // torn
		}
		if r.Begin != nil {
			id = r.Begin.UploadID
		}
		if r.Part != nil {
			parts++
		}
	}
	return id, parts
}

// Scenario: the agent is killed (kill -9) at random moments of uploads, again
// and again. Each life goes on with what the last one finished; nothing that
// was finished is sent again, and the file arrives intact.
func TestKilled(t *testing.T) {
	kills := 20
	if long() {
		kills = 200
	}
	r := rand.New(rand.NewPCG(seed(t), 1))
	h := open(t)
	binary := build(t)
	const size, part = 64 * mib, 5 * mib
	const whole = (size + part - 1) / part
	file := h.file("big.bin", size)
	journal := device.JournalFor(file)
	h.s3.set(nil)
	files, killed := 0, 0
	id, parts, lives, before := "", 0, 0, 0
	var took time.Duration
	for killed < kills || lives > 0 {
		cmd := h.agent(binary, "upload", file, "--s3-endpoint", h.web.URL, "--part-size", strconv.Itoa(part), "--concurrency", "2", "--bandwidth", strconv.Itoa(80*mib), "--json")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lives++
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		// The first file is left alone, to learn how long one takes here and now.
		moment := time.Minute
		begin := time.Now()
		if took > 0 && killed < kills {
			moment = someTime(r, took)
		}
		var err error
		select {
		case err = <-ended:
		case <-time.After(moment):
			cmd.Process.Kill()
			err = <-ended
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.ExitCode() == -1 {
				killed++
				newID, newParts := remembered(t, journal)
				_, puts, _ := h.s3.counts()
				if newID == "" && (id != "" || puts > before) { // it had ended, and forgotten, just before
					h.compare("device00/big.bin", file)
					files, id, parts, lives, before = files+1, "", 0, 0, puts
					continue
				}
				if id != "" && newID != id && newID != "" || newParts < parts {
					t.Fatalf("killed %d times: the journal went from %d parts of %s to %d of %s\n%s", killed, parts, id, newParts, newID, out.String())
				}
				id, parts = newID, newParts
				continue
			}
		}
		if err != nil {
			t.Fatalf("the agent failed: %v\n%s", err, out.String())
		}
		// It goes on, or finds that the one before was killed when all was stored
		// and only the journal was still there.
		went := strings.Contains(out.String(), `"resumed"`) || parts == whole && strings.Contains(out.String(), `"found"`)
		if strings.Contains(out.String(), `"restarted"`) || parts > 0 && !went {
			t.Errorf("after %d parts it said\n%s", parts, out.String())
		}
		_, puts, _ := h.s3.counts()
		if sent := puts - before; sent > whole+2*lives {
			t.Errorf("%d parts were sent for a file of %d in %d lives: more than those under way were sent again", sent, whole, lives)
		}
		before = puts
		h.compare("device00/big.bin", file)
		if _, err := os.Stat(journal); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the journal is left behind: %v", err)
		}
		files++
		if took == 0 {
			took = time.Since(begin)
		}
		id, parts, lives = "", 0, 0
	}
	_, puts, _ := h.s3.counts()
	t.Logf("%d kills, %d files, %d parts sent for %d", killed, files, puts, files*whole)
}

// someTime is a random moment before end.
func someTime(r *rand.Rand, end time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(end)))
}

// A stream has no second chance: after the agent's death it is reported lost,
// its upload is aborted, its spool emptied. A living one arrives.
func TestStream(t *testing.T) {
	h := open(t)
	binary := build(t)
	state := filepath.Join(h.dir, "state")
	file := h.file("stream.bin", 30*mib)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	start := func(stdin *os.File) (*exec.Cmd, *bytes.Buffer) {
		cmd := h.agent(binary, "upload", "-", "--object-key", "s", "--state", state, "--s3-endpoint", h.web.URL, "--json")
		var out bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, &out
	}
	// 1. It dies while it waits for more.
	in, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd, _ := start(in)
	in.Close()
	if _, err := to.Write(data[:20*mib]); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "a part", func() bool { _, puts, _ := h.s3.counts(); return puts >= 1 })
	cmd.Process.Kill()
	cmd.Wait()
	to.Close()
	// 2. The next one reports it and sends its own.
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd, out := start(f)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(out.String(), `"event":"lost"`) || !strings.Contains(out.String(), "uploads/device00/s") {
		t.Errorf("it did not report the lost stream:\n%s", out)
	}
	h.compare("device00/s", file)
	if left, _ := os.ReadDir(state); len(left) > 0 {
		t.Errorf("the spool holds %v", left)
	}
}

// elsewhere is a directory on another file system than temporary ones, if there
// is one.
func elsewhere(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "strait-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A watched directory: files are taken when complete, oldest first, and are
// gone when they are stored.
func TestWatch(t *testing.T) {
	h := open(t)
	binary := build(t)
	dir, done := filepath.Join(h.dir, "spool"), elsewhere(t)
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for i, name := range []string{"b.txt", "sub/a.bin", "c"} {
		src := h.file("src", int64(1000+i*6*mib))
		b, _ := os.ReadFile(src)
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-time.Duration(i+1) * time.Hour)
		os.Chtimes(path, at, at)
		want[name] = src
	}
	os.WriteFile(filepath.Join(dir, "half.part"), []byte("x"), 0o600)
	out, err := h.agent(binary, "watch", dir, "--move-to", done, "--settle", "100ms", "--interval", "50ms", "--s3-endpoint", h.web.URL, "--part-size", "5242880", "--once", "--json").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var order []string
	for line := range strings.Lines(string(out)) {
		var l struct{ Event, Key string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Event == "done" {
			order = append(order, strings.TrimPrefix(l.Key, "device00/"))
		}
	}
	if got := strings.Join(order, " "); got != "c sub/a.bin b.txt" {
		t.Errorf("sent %q, want oldest first\n%s", got, out)
	}
	for name, src := range want {
		h.compare("device00/"+name, src)
		was, err1 := os.ReadFile(src)
		is, err2 := os.ReadFile(filepath.Join(done, name))
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(was, is) {
			t.Errorf("%s was not moved as it was: %v", name, err)
		}
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	hidden, _ := filepath.Glob(filepath.Join(dir, ".*.strait-upload"))
	if len(left) != 2 || len(hidden) != 0 { // half.part and the empty sub
		t.Errorf("left in the directory: %v %v", left, hidden)
	}

}

// The service watches directories and keeps a file of credentials, as its
// configuration says.
func TestService(t *testing.T) {
	h := open(t)
	binary := build(t)
	dir, src := t.TempDir(), h.file("src", 1000)
	config := filepath.Join(h.dir, "agent.json")
	kept := filepath.Join(h.dir, "credentials.json")
	text, err := json.Marshal(map[string]any{
		"endpoint": h.mqtt.addr, "thing": "device00", "cert": h.thing.Certificate, "key": h.thing.Key, "ca": h.s.Ready().CA, "credentialsFile": kept,
		"watch": []any{map[string]any{"dir": dir, "settle": "100ms", "interval": "50ms", "s3Endpoint": h.web.URL, "keyTemplate": "{thing}/{date}/{name}", "moveTo": dir + "/sent//"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(binary, "run", "--config", config)
	cmd.Stdout, cmd.Stderr, cmd.Env = &said, &said, []string{}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(src)
	path := filepath.Join(dir, "new.txt")
	os.WriteFile(path, b, 0o600)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	os.Chtimes(path, at, at)
	gone := await.Within(await.Patience, func() bool {
		_, err1 := os.Stat(path)
		_, err2 := os.Stat(kept)
		return errors.Is(err1, os.ErrNotExist) && err2 == nil
	})
	if !gone {
		cmd.Process.Kill()
		cmd.Wait()
		t.Fatalf("the service did not do it:\n%s", said.String())
	}
	h.compare("device00/2026-01-02/new.txt", src)
	// Credentials from the service's file need no connection.
	got, err := exec.Command(binary, "credentials", "--cache", kept).Output()
	if err != nil || !strings.Contains(string(got), `"Version":1`) || !strings.Contains(string(got), `"Expiration"`) {
		t.Errorf("credentials: %s (%v)", got, err)
	}
	// What cannot be put away is said, and holds nobody else up. What is put
	// away is not sent again.
	os.WriteFile(filepath.Join(dir, "sent", "clash"), nil, 0o600)
	os.Mkdir(filepath.Join(dir, "clash"), 0o700)
	os.WriteFile(filepath.Join(dir, "clash", "x"), b, 0o600)
	os.Chtimes(filepath.Join(dir, "clash", "x"), at, at)
	later := filepath.Join(dir, "later.txt")
	os.WriteFile(later, b, 0o600)
	if !await.Within(await.Patience, func() bool { _, err := os.Stat(later); return errors.Is(err, os.ErrNotExist) }) {
		t.Error("a file that cannot be put away holds the others up")
	}
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the service ended with %v\n%s", err, said.String())
	}
	if n := strings.Count(said.String(), `"event":"done"`); n != 3 {
		t.Errorf("%d files were sent, want 3:\n%s", n, said.String())
	}
	if !strings.Contains(said.String(), `"event":"retrying"`) || !strings.Contains(said.String(), "clash/x: it is stored, but could not be put away") {
		t.Errorf("the file that cannot be put away is not told of:\n%s", said.String())
	}
	got, err = h.agent(binary, "credentials").Output()
	if err != nil || !strings.Contains(string(got), `"SessionToken"`) {
		t.Errorf("credentials: %s (%v)", got, err)
	}
}

// What could never work is refused before anything is sent.
func TestWatchRefused(t *testing.T) {
	h := open(t)
	binary := build(t)
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)
	for want, args := range map[string][]string{
		"is no directory that can be read": {filepath.Join(dir, "none")},
		"that is the directory":            {dir, "--move-to", dir + "/."},
		"make the directory":               {dir, "--move-to", filepath.Join(dir, "file", "x")},
		"{bogus}, which is no field":       {dir, "--key-template", "{name}-{bogus}"},
		"needs journals":                   {dir, "--no-resume"},
	} {
		out, err := h.agent(binary, "watch", append(args, "--once")...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), want) {
			t.Errorf("watch %v: %v, %s; want status 2 and %q", args, err, out, want)
		}
	}
}

// What is wrong with one file does not keep the others back.
func TestUploadFiles(t *testing.T) {
	h := open(t)
	binary := build(t)
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := filepath.Join(dir, "b")
	if err := os.Mkdir(device.JournalFor(b), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := h.agent(binary, "upload", filepath.Join(dir, "a"), b, filepath.Join(dir, "c"), "--s3-endpoint", h.web.URL, "--json").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || strings.Count(string(out), `"event":"failed"`) != 1 {
		t.Errorf("one of three files cannot be sent: %v\n%s", err, out)
	}
	h.compare("device00/a", filepath.Join(dir, "a"))
	h.compare("device00/c", filepath.Join(dir, "c"))
	// The directory for journals need not be there.
	state := filepath.Join(h.dir, "new", "state")
	if out, err := h.agent(binary, "upload", filepath.Join(dir, "a"), "--state", state, "--s3-endpoint", h.web.URL).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if left, err := os.ReadDir(state); err != nil || len(left) > 0 {
		t.Errorf("the journals' directory holds %v (%v)", left, err)
	}
	// Nor in a directory that is emptied once.
	out, err = h.agent(binary, "watch", dir, "--once", "--settle", "1ms", "--s3-endpoint", h.web.URL, "--json").CombinedOutput()
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || strings.Count(string(out), `"event":"done"`) != 2 {
		t.Errorf("one of three files cannot be sent: %v\n%s", err, out)
	}
	left, err := filepath.Glob(filepath.Join(dir, "[abc]"))
	if err != nil || len(left) != 1 || left[0] != b {
		t.Errorf("left in the directory: %v (%v)", left, err)
	}
}
