package device_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal makes a terminal of so many columns: what programs write to, and
// where it can be read.
func terminal(t *testing.T, columns uint16) (program, reader *os.File) {
	t.Helper()
	reader, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { reader.Close() })
	fd := int(reader.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err == nil {
		program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return program, reader
}

var barLine = regexp.MustCompile(`^(\S+ )?\[=* *\] +(\d+)%  \S+ \w+ of 24 MiB  \S+ \w+/s  (--|\S+) left$`)

// On a terminal the agent draws a bar with rate and time left, over and over in
// one line that never wraps, and says at the end what is stored where.
func TestBar(t *testing.T) {
	h := open(t)
	h.s3.set(nil)
	binary := build(t)
	for columns, name := range map[uint16]string{200: "short.bin", 80: strings.Repeat("a-very-long-name", 8) + ".bin"} {
		file := h.file(name, 24*mib)
		program, reader := terminal(t, columns)
		cmd := h.agent(binary, "upload", file, "--bandwidth", strconv.Itoa(24*mib))
		var errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = program, &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		program.Close() // the reader sees the end with the agent's
		var last string
		shown, highest := 0, 0
		text := bufio.NewScanner(reader)
		text.Split(func(data []byte, end bool) (int, []byte, error) {
			if i := bytes.IndexAny(data, "\r\n"); i >= 0 {
				return i + 1, data[:i], nil
			}
			return 0, nil, nil
		})
		for text.Scan() {
			line := strings.TrimPrefix(text.Text(), "\x1b[K")
			if line == "" {
				continue
			}
			if last = line; strings.HasPrefix(line, "stored ") {
				continue
			}
			m := barLine.FindStringSubmatch(line)
			if m == nil || len(line) >= int(columns) {
				t.Errorf("in %d columns: %q", columns, line)
				continue
			}
			shown++
			percent, _ := strconv.Atoi(m[2])
			if percent < highest {
				t.Errorf("from %d%% back to %d%%", highest, percent)
			}
			highest = percent
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v\n%s", err, errs.String())
		}
		if shown < 3 || highest != 100 || !strings.HasPrefix(last, "stored uploads/device00/") {
			t.Errorf("%d bars, up to %d%%, and at the end %q", shown, highest, last)
		}
	}
}
