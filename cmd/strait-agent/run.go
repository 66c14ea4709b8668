package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// runCommand is the service.
type runCommand struct {
	Config string `required:"" help:"JSON file: the flags of watch as fields (thing, cert, ...), \"watch\" is a list of directories." type:"existingfile"`
}

// configuration is the file's content. Names are those of the flags without
// dashes, in any case: "credentialsEndpoint".
type configuration struct {
	linkFlags
	Watch []spool
	// CredentialsFile is kept filled for `strait-agent credentials --cache`.
	CredentialsFile string
}

func read(file string) (*configuration, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	var c configuration
	if err := d.Decode(&c); err != nil {
		return nil, usageError{fmt.Errorf("read %s: %w", file, err)}
	}
	if d.More() {
		return nil, usageError{fmt.Errorf("read %s: something follows after the configuration's end", file)}
	}
	if len(c.Watch) == 0 && c.CredentialsFile == "" {
		return nil, usageError{fmt.Errorf("%s names nothing to do: neither watch nor credentialsFile", file)}
	}
	switch c.From {
	case "":
		c.From = "mqtt"
	case "mqtt", "x509", "environment":
	default:
		return nil, usageError{fmt.Errorf("%s: credentials come from mqtt, x509 or environment, not from %q", file, c.From)}
	}
	for i := range c.Watch {
		w := &c.Watch[i]
		if w.Settle == 0 {
			w.Settle = span(2 * time.Second)
		}
		if w.Interval == 0 {
			w.Interval = span(time.Second)
		}
		if w.RefusedFor == 0 {
			w.RefusedFor = span(5 * time.Second)
		}
	}
	return &c, nil
}

// Run is called by kong. It ends when the service manager says so.
func (c *runCommand) Run(ctx context.Context) error {
	cfg, err := read(c.Config)
	if err != nil {
		return err
	}
	l, err := cfg.open(ctx, "", true)
	if err != nil {
		return err
	}
	defer l.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for i := range cfg.Watch {
		all.Go(func() {
			if err := cfg.Watch[i].watch(ctx, l, &cfg.linkFlags, newReport(os.Stdout, true), false); err != nil {
				cancel(err)
			}
		})
	}
	if cfg.CredentialsFile != "" {
		all.Go(func() { cfg.keepFilled(ctx, l) })
	}
	all.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// keepFilled renews the file of credentials. The device's Credentials renew
// themselves in time; what is asked for here is what they hold.
func (c *configuration) keepFilled(ctx context.Context, l *link) {
	for last := ""; ; {
		v, err := l.granted(ctx)
		if err == nil && v.AccessKeyID != last {
			if err = keep(c.CredentialsFile, v); err == nil {
				last = v.AccessKeyID
			}
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "strait-agent: the file of credentials was not renewed:", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(30 * time.Second):
		}
	}
}
