// Package house runs the real strait binary as a process of its own and reads
// what the kernel says of it, so that a benchmark measures what people run and
// its own work is not counted as the server's.
//
// Begin at Build, then Start.
package house

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"strait/setup"
)

// Build builds one of the repository's commands, such as "strait", into dir
// and returns the file. It works in the folder bench and below.
func Build(ctx context.Context, dir, command string) (string, error) {
	out := filepath.Join(dir, command)
	// Strait's module chooses the versions that are measured, not this one.
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "strait").Output()
	if err != nil {
		return "", fmt.Errorf("find the module strait: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", out, "./cmd/"+command)
	cmd.Dir = strings.TrimSpace(string(root))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", command, err, said)
	}
	return out, nil
}

// Ready is what the server's ready file says.
type Ready struct {
	MQTT, HTTPS, HTTP []string
	CA, Credentials   string
	Region, Account   string
	PID               int
}

// A House is a running server.
type House struct {
	Ready
	Data string
	// Took is the time from starting the process to seeing its ready file.
	Took time.Duration

	cmd *exec.Cmd
	log string
}

// Start starts binary on data, on free ports of this machine, and waits for
// the ready file. The server's log is beside data.
func Start(ctx context.Context, binary, data string) (*House, error) {
	h := &House{Data: data, log: data + ".log"}
	ready := data + ".ready.json"
	if err := os.Remove(ready); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	log, err := os.OpenFile(h.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	const free = "127.0.0.1:0"
	h.cmd = exec.Command(binary, "serve", "--data", data, "--mqtt", free, "--https", free, "--http", free, "--ready-file", ready)
	h.cmd.Stdout, h.cmd.Stderr = log, log
	begin := time.Now()
	if err := h.cmd.Start(); err != nil {
		return nil, err
	}
	if err := h.await(ctx, ready); err != nil {
		return nil, errors.Join(err, h.Stop())
	}
	h.Took = time.Since(begin)
	return h, nil
}

// await polls: the file is renamed into place, and a look each half
// millisecond is less than what is to be measured.
func (h *House) await(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if b, err := os.ReadFile(file); err == nil {
			return json.Unmarshal(b, &h.Ready)
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(h.log)
			return fmt.Errorf("the server was not ready: %w\n%s", ctx.Err(), said)
		case <-time.After(500 * time.Microsecond):
		}
	}
}

// Stop interrupts the server and waits until it has ended.
func (h *House) Stop() error {
	if err := h.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return h.cmd.Wait()
}

// Session is the operator's session of AWS's public APIs at this server.
func (h *House) Session(ctx context.Context) (*setup.Session, error) {
	return setup.NewSession(ctx, config.WithBaseEndpoint("http://"+h.HTTP[0]), config.WithRegion(h.Region),
		config.WithSharedConfigProfile("default"), config.WithSharedConfigFiles([]string{h.Credentials}),
		config.WithSharedCredentialsFiles([]string{h.Credentials}))
}
