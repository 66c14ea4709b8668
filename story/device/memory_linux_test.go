package device_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// memoryAim is what the agent may take while it uploads, in KiB.
const memoryAim = 32 << 10

// The agent's memory is bounded however large the file: what the kernel says
// was resident at most, over TLS and without, with as many parts under way as
// the agent chooses and with more.
func TestMemory(t *testing.T) {
	h := open(t)
	h.s3.set(nil)
	binary := build(t)
	size := int64(192 * mib)
	if long() {
		size = 2 << 30
	}
	file := h.file("big.bin", size)
	for name, args := range map[string][]string{
		"https":          {"--s3-endpoint", "https://" + h.s.Ready().HTTPS[0]},
		"http, 16 parts": {"--s3-endpoint", "http://" + h.s.Ready().HTTP[0], "--concurrency", "16", "--part-size", "5242880"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := h.agent(binary, "upload", append([]string{file, "--object-key", "memory", "--json"}, args...)...)
			peak := watchMemory(t, cmd)
			t.Logf("at most %.1f MiB were resident while %d MiB were sent", float64(peak)/1024, size/mib)
			if peak > memoryAim {
				t.Errorf("%d KiB were resident, want at most %d", peak, memoryAim)
			}
		})
	}
	h.compare("device00/memory", file)
}

// watchMemory runs cmd and returns its largest resident set in KiB. (What
// waiting for a process tells would include this test's own, from before exec.)
func watchMemory(t *testing.T, cmd *exec.Cmd) (peak int) {
	t.Helper()
	program, err := filepath.EvalSymlinks(cmd.Path) // as the kernel tells it
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			if peak == 0 {
				t.Fatal("its memory was never seen")
			}
			return peak
		case <-tick.C:
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
			if exe, linkErr := os.Readlink(fmt.Sprintf("/proc/%d/exe", cmd.Process.Pid)); err != nil || linkErr != nil || exe != program {
				continue // not begun, or ended
			}
			if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
				if n, err := strconv.Atoi(strings.Fields(rest)[0]); err == nil {
					peak = max(peak, n)
				}
			}
		}
	}
}
