package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strconv"

	"strait/setup"
)

// decisionsCommand prints the decision log.
type decisionsCommand struct {
	Follow bool   `short:"f" help:"Go on as decisions are taken, until interrupted."`
	Denied bool   `help:"Only what was refused or broke."`
	Trace  string `help:"Only what belongs to this trace."`
	Last   int    `default:"100" help:"How many of those that were taken already; 1000 at the most."`
	JSON   bool   `name:"json" help:"One JSON object a line, with all reasons."`
}

// pollTime is how many seconds one look at the log may wait.
const pollTime = 20

// Run is called by kong.
func (c *decisionsCommand) Run(ctx context.Context) error {
	s, err := setup.NewSession(ctx)
	if err != nil {
		return err
	}
	if c.Last < 1 || c.Last > 1000 {
		return usageError{fmt.Errorf("--last %d: want 1 to 1000", c.Last)}
	}
	q := url.Values{"last": {strconv.Itoa(c.Last)}}
	if c.Denied {
		q.Set("denied", "true")
	}
	if c.Trace != "" {
		q.Set("trace", c.Trace)
	}
	for {
		next, err := c.page(ctx, s, q)
		if ctx.Err() != nil && c.Follow {
			return nil // interrupted, as it is meant to end
		}
		if err != nil || !c.Follow {
			return err
		}
		q.Set("last", "1000")
		q.Set("after", next)
		q.Set("wait", strconv.Itoa(pollTime))
	}
}

// page prints one answer and returns where the next one goes on.
func (c *decisionsCommand) page(ctx context.Context, s *setup.Session, q url.Values) (next string, err error) {
	raw, err := s.Strait(ctx, "/_strait/decisions?"+q.Encode())
	if err != nil {
		return "", err
	}
	var out struct {
		Decisions []json.RawMessage
		Next      string
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return "", fmt.Errorf("read the server's answer: %w", err)
	}
	for _, raw := range out.Decisions {
		if c.JSON {
			if _, err := os.Stdout.Write(append(raw, '\n')); err != nil {
				return "", err
			}
			continue
		}
		var d decision
		if err := json.Unmarshal(raw, &d); err != nil {
			return "", fmt.Errorf("read the server's answer: %w", err)
		}
		if _, err := fmt.Println(d.line()); err != nil {
			return "", err
		}
	}
	return out.Next, nil
}
