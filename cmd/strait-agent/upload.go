package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"strait"
)

// uploadCommand sends files one after the other.
type uploadCommand struct {
	Files []string `arg:"" name:"file" help:"Files to send; - is what comes in."`
	linkFlags
	sendFlags
	ObjectKey string `name:"object-key" help:"Name of the object instead of the file's; for one file."`
	JSON      bool   `name:"json" help:"Print JSON lines, on a terminal, too."`
}

// Run is called by kong.
func (c *uploadCommand) Run(ctx context.Context) error {
	if c.ObjectKey != "" && len(c.Files) > 1 {
		return usageError{errors.New("--object-key names one object, but there are several files: use --key-template")}
	}
	if err := c.checkTemplate(); err != nil {
		return err
	}
	for _, f := range c.Files {
		if f == "-" && c.ObjectKey == "" {
			return usageError{errors.New("what comes in has no name: say --object-key")}
		}
		if f == "-" {
			continue
		}
		switch info, err := os.Stat(f); {
		case err != nil:
			return usageError{fmt.Errorf("%q is no file that can be read: %w", f, errors.Unwrap(err))}
		case !info.Mode().IsRegular():
			return usageError{fmt.Errorf("%q is no regular file (what comes through a pipe: -)", f)}
		}
	}
	report := newReport(os.Stdout, c.JSON)
	l, err := c.open(ctx, c.Purpose, false)
	if err != nil {
		return err
	}
	defer l.close()
	// What is wrong with one file does not keep the others back; a network that
	// does not work would hold each of them up as long.
	var failures []error
	for _, f := range c.Files {
		if f == "-" {
			err = c.stream(ctx, l, report)
		} else {
			err = c.one(ctx, l, report, f)
		}
		if err != nil {
			failures = append(failures, err)
		}
		if ctx.Err() != nil || strait.KindOf(err) == strait.Unavailable {
			break
		}
	}
	return errors.Join(failures...)
}

func (c *uploadCommand) one(ctx context.Context, l *link, report *report, file string) error {
	in, err := c.input(&c.linkFlags, file, filepath.Base(file))
	if err != nil {
		return err
	}
	if c.ObjectKey != "" {
		in.Key = c.ObjectKey
	}
	_, err = c.send(ctx, l, report, in)
	return err
}

// stream sends what comes in. What a dead process left is reported first.
func (c *uploadCommand) stream(ctx context.Context, l *link, report *report) error {
	spool := c.State
	if spool == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return usageError{errors.New("there is no place to spool: say --state")}
		}
		spool = filepath.Join(cache, "strait-agent")
	}
	if err := os.MkdirAll(spool, 0o700); err != nil {
		return err
	}
	report.start = time.Now()
	if err := l.LostStreams(ctx, spool, report.say); err != nil {
		return err
	}
	in := c.common()
	in.Key = c.ObjectKey
	in.Progress, in.Say = report.begin("-"), report.say
	out, err := l.UploadStream(ctx, os.Stdin, spool, in)
	report.end("-", out, err)
	return err
}
