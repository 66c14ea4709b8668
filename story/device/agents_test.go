package device_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// Several agents of one device at the same time on one machine: they share the
// device's name in turns instead of ending each other's connections.
func TestAgentsShareAName(t *testing.T) {
	h := open(t)
	h.s3.set(nil)
	binary := build(t)
	file := h.file("f.bin", 6*mib)
	type running struct {
		*exec.Cmd
		out bytes.Buffer
	}
	var all []*running
	for i := range 4 {
		r := &running{}
		if i == 3 {
			r.Cmd = h.agent(binary, "credentials")
		} else {
			r.Cmd = h.agent(binary, "upload", file, "--no-resume", "--object-key", fmt.Sprint("shared", i), "--s3-endpoint", h.web.URL, "--part-size", "5242880", "--json")
		}
		r.Stdout, r.Stderr = &r.out, &r.out
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	for i, r := range all {
		if err := r.Wait(); err != nil || strings.Contains(r.out.String(), "level=WARN") {
			t.Errorf("agent %d: %v\n%s", i, err, r.out.String())
		}
	}
	for i := range 3 {
		h.compare(fmt.Sprint("device00/shared", i), file)
	}
}
