package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"golang.org/x/term"

	"strait"
	"strait/server"
	"strait/setup"
)

// demoCommand runs the main job in a server of its own and tells what happens.
type demoCommand struct {
	Size string `default:"1GiB" help:"Size of the file that goes through the upload pattern, such as 64MiB or 2GiB."`
	Stay bool   `help:"Leave the server running afterwards, until interrupted."`
	JSON bool   `name:"json" help:"Print one JSON object per step."`
}

// Run is called by kong.
func (c *demoCommand) Run(ctx context.Context) error {
	size, err := parseSize(c.Size)
	if err != nil {
		return usageError{err}
	}
	dir, err := os.MkdirTemp("", "strait-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &demo{dir: dir, size: size, tell: &narrator{json: c.JSON, out: os.Stdout, terminal: term.IsTerminal(int(os.Stdout.Fd()))}}
	defer d.close()
	err = d.play(ctx)
	d.tell.summary(err)
	if err == nil && c.Stay {
		fmt.Fprintf(os.Stderr, "The server goes on; interrupt to end it. Point tools at it:  eval \"$(strait env --data %s)\"\n", filepath.Join(dir, "data"))
		<-ctx.Done()
	}
	if err != nil {
		return fmt.Errorf("the demo did not go through: %w", err)
	}
	return nil
}

// parseSize reads "1GiB", "64MiB", "4096".
func parseSize(s string) (int64, error) {
	units := []struct {
		suffix string
		n      int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1}, {"", 1}}
	for _, u := range units {
		if num, ok := strings.CutSuffix(s, u.suffix); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
			if err != nil || n < 1 || n*float64(u.n) > 1<<40 {
				break
			}
			return int64(n * float64(u.n)), nil
		}
	}
	return 0, fmt.Errorf("the size %q cannot be read: give it like 64MiB or 2GiB", s)
}

// A demo is one run of the main job.
type demo struct {
	dir    string
	size   int64
	tell   *narrator
	offset atomic.Int64 // how far the clock that server and clients share was moved
	server *server.Server
	admin  *setup.Session
	up     uploadPattern

	topicRole   strait.ARN
	topicPolicy string
	topicCreds  aws.Credentials
}

// The names of the cast.
const (
	demoBucket = "uploads"
	demoThing  = "device00"
	demoTopic  = "test"
)

func (d *demo) now() time.Time { return time.Now().Add(time.Duration(d.offset.Load())) }

func (d *demo) close() {
	d.up.close()
	if d.server != nil {
		d.server.Close()
	}
}

// play is the whole demo, act by act.
func (d *demo) play(ctx context.Context) error {
	for _, act := range []func(context.Context) error{d.prologue, d.uploadActs, d.topicActs, d.refusedActs} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prologue starts a private server on free ports.
func (d *demo) prologue(ctx context.Context) error {
	d.tell.title("A private server")
	return d.tell.step("start a server on free ports, with a data directory of its own", func() (string, error) {
		s, err := server.Start(ctx, server.Config{
			Data: filepath.Join(d.dir, "data"), Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"}, Hosts: []string{"localhost"},
			MQTT: []string{"127.0.0.1:0"}, HTTPS: []string{"127.0.0.1:0"}, HTTP: []string{"127.0.0.1:0"},
			Now: d.now, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return "", err
		}
		d.server = s
		r := s.Ready()
		for name, v := range map[string]string{
			"AWS_ENDPOINT_URL": d.url(), "AWS_CA_BUNDLE": r.CA, "AWS_REGION": r.Region, "AWS_SHARED_CREDENTIALS_FILE": r.Credentials,
			// Whatever the person's own shell says must not lead elsewhere.
			"AWS_CONFIG_FILE": os.DevNull, "AWS_PROFILE": "", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "",
		} {
			if err := os.Setenv(name, v); err != nil {
				return "", err
			}
		}
		if d.admin, err = setup.NewSession(ctx, config.WithSharedConfigProfile("default")); err != nil {
			return "", err
		}
		return "mqtt " + r.MQTT[0] + ", https " + r.HTTPS[0], nil
	})
}

// url is the HTTPS side of the server.
func (d *demo) url() string {
	_, port, _ := strings.Cut(d.server.Ready().HTTPS[0], ":")
	return "https://localhost:" + port
}

// A narrator tells step by step what happens, to a person or a program.
type narrator struct {
	json     bool
	out      io.Writer
	terminal bool
	n        int
	refused  int
	begin    time.Time
}

// stepLine is one line of --json.
type stepLine struct {
	Step    string  `json:"step,omitempty"`
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
	Detail  string  `json:"detail,omitempty"`
	Summary bool    `json:"summary,omitempty"`
	Steps   int     `json:"steps,omitempty"`
	Refused int     `json:"refused,omitempty"`
}

func (n *narrator) print(l stepLine) {
	l.Seconds = float64(int(l.Seconds*1000)) / 1000
	b, err := json.Marshal(l)
	if err == nil {
		fmt.Fprintln(n.out, string(b))
	}
}

func (n *narrator) title(s string) {
	if n.begin.IsZero() {
		n.begin = time.Now()
	}
	if !n.json {
		fmt.Fprintf(n.out, "\n%s\n", s)
	}
}

// step does one thing and tells how it went; detail may have several lines.
func (n *narrator) step(what string, do func() (detail string, err error)) error {
	n.n++
	start := time.Now()
	detail, err := do()
	took := time.Since(start).Seconds()
	if err != nil {
		detail = err.Error()
	}
	if n.json {
		n.print(stepLine{Step: what, OK: err == nil, Seconds: took, Detail: detail})
	} else {
		mark := "✓"
		if err != nil {
			mark = "✗"
		}
		if n.terminal {
			fmt.Fprint(n.out, "\r\x1b[K")
		}
		fmt.Fprintf(n.out, "  %s %-72s %7.2f s\n", mark, what, took)
		for line := range strings.Lines(detail) {
			fmt.Fprintf(n.out, "      %s\n", strings.TrimRight(line, "\n"))
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// mustRefuse is a step that succeeds by being refused.
func (n *narrator) mustRefuse(what string, do func() (why string, err error)) error {
	return n.step("refused: "+what, func() (string, error) {
		why, err := do()
		if err == nil {
			n.refused++
		}
		return why, err
	})
}

// progress draws a bar on a terminal.
func (n *narrator) progress(what string, done, total int64, start time.Time) {
	if n.json || !n.terminal || total == 0 {
		return
	}
	const width = 28
	full := int(int64(width) * done / total)
	rate := float64(done) / max(time.Since(start).Seconds(), 0.001)
	left := time.Duration(float64(total-done) / max(rate, 1) * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(n.out, "\r\x1b[K    %s [%s%s] %3d %%  %s/s  %s left", what, strings.Repeat("█", full), strings.Repeat("·", width-full), 100*done/total, bytesOf(int64(rate)), left)
}

func bytesOf(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

func (n *narrator) summary(err error) {
	took := time.Since(n.begin).Seconds()
	if n.json {
		n.print(stepLine{Summary: true, OK: err == nil, Seconds: took, Steps: n.n, Refused: n.refused})
		return
	}
	if err == nil {
		fmt.Fprintf(n.out, "\nBoth patterns ran: %d steps in %.1f s; %d of them were refused as they had to be.\n", n.n, took, n.refused)
	}
}

// errNotRefused is the worst that can happen in a demo of refusals.
var errNotRefused = errors.New("this was allowed, and must not be")
