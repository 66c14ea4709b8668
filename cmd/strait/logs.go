package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"strait/setup"
)

// logsCommand prints what a function wrote.
type logsCommand struct {
	Function string        `arg:"" help:"Name of the function, or of a log group if it begins with a slash."`
	Follow   bool          `short:"f" help:"Go on as lines are written, until interrupted."`
	Since    time.Duration `default:"10m" help:"How far back to begin."`
	Filter   string        `help:"Only lines with these words: word, \"a phrase\", -not, ?one ?of."`
	JSON     bool          `name:"json" help:"One JSON object a line."`
}

const (
	logPause = time.Second
	// late is how far back a look goes on: lines come later than they say, and
	// those that were printed are known by their ids.
	late = 10 * time.Second
)

// Run is called by kong.
func (c *logsCommand) Run(ctx context.Context) error {
	if c.Since < 0 {
		return usageError{fmt.Errorf("--since %s: want how far back, such as 10m", c.Since)}
	}
	s, err := setup.NewSession(ctx)
	if err != nil {
		return err
	}
	group := c.Function
	if !strings.HasPrefix(group, "/") {
		group = "/aws/lambda/" + group
	}
	since := time.Now().Add(-c.Since)
	printed := map[string]int64{}
	for {
		err := c.page(ctx, s, group, since, printed)
		if ctx.Err() != nil && c.Follow {
			return nil // interrupted, as it is meant to end
		}
		if err != nil || !c.Follow {
			return err
		}
		if t := time.Now().Add(-late); t.After(since) {
			since = t
		}
		for id, at := range printed {
			if at < since.UnixMilli() {
				delete(printed, id)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(logPause):
		}
	}
}

// page prints all lines that are there now and were not printed.
func (c *logsCommand) page(ctx context.Context, s *setup.Session, group string, since time.Time, printed map[string]int64) error {
	for token := ""; ; {
		lines, next, err := s.LogLines(ctx, group, since, c.Filter, token)
		if err != nil {
			return fmt.Errorf("%s: %w (a function's log begins with its first run, if its role may write it: AWSLambdaBasicExecutionRole)", group, err)
		}
		for _, l := range lines {
			if _, known := printed[l.ID]; known {
				continue
			}
			printed[l.ID] = l.Time
			if err := c.print(l); err != nil {
				return err
			}
		}
		if token = next; token == "" {
			return nil
		}
	}
}

func (c *logsCommand) print(l setup.LogLine) error {
	if c.JSON {
		doc, err := json.Marshal(l)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(append(doc, '\n'))
		return err
	}
	_, err := fmt.Println(time.UnixMilli(l.Time).UTC().Format("2006-01-02T15:04:05.000Z"), strings.TrimRight(l.Message, "\n"))
	return err
}
