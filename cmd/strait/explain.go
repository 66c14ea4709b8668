package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"strait/setup"
)

// explainCommand prints a recorded decision, or the story of a thing's last
// request.
type explainCommand struct {
	ID    string `arg:"" optional:"" help:"Id of a recorded decision, as refusals name it."`
	Last  bool   `help:"The last refusal."`
	Thing string `help:"The last request of this thing, through the whole chain."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// decision is a record as the server tells it.
type decision struct {
	ID, Time, Trace, Thing, Operation string
	Principal, Action, Resource       string
	Effect, Layer, Because, Event     string
	Summary                           string
	Refused                           []string
	Broken                            bool
	Count                             int
	Explanation                       string
}

// Run is called by kong.
func (c *explainCommand) Run(ctx context.Context) error {
	s, err := setup.NewSession(ctx)
	if err != nil {
		return err
	}
	chosen := 0
	for _, b := range []bool{c.ID != "", c.Last, c.Thing != ""} {
		if b {
			chosen++
		}
	}
	switch {
	case chosen != 1:
		return usageError{errors.New("say what to explain: an id, --last, or --thing T")}
	case c.Thing != "":
		return c.trace(ctx, s)
	case c.Last:
		return c.last(ctx, s)
	}
	raw, err := s.Strait(ctx, "/_strait/decisions/"+url.PathEscape(c.ID))
	if err != nil {
		return err
	}
	return c.print(raw)
}

func (c *explainCommand) print(raw []byte) error {
	if c.JSON {
		_, err := os.Stdout.Write(append(raw, '\n'))
		return err
	}
	var d decision
	if err := json.Unmarshal(raw, &d); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	d.write()
	return nil
}

func (d *decision) write() {
	if d.Summary != "" {
		fmt.Printf("%s: %s\n\n", d.at(), d.Summary)
	}
	fmt.Println(d.line())
	d.why()
}

func (d *decision) why() {
	if d.Explanation != "" {
		fmt.Println()
		fmt.Println(strings.TrimSpace(d.Explanation))
	}
}

// at names the step of a chain.
func (d *decision) at() string {
	if d.Operation == "" {
		return "Decision " + d.ID
	}
	return d.Operation
}

// line is a decision in one line.
func (d *decision) line() string {
	when := d.Time
	if len(when) > 19 {
		when = when[11:19]
	}
	if d.Event != "" {
		return fmt.Sprintf("%s  %-14s %s", when, mark(d.Broken, "note"), d.Event)
	}
	s := fmt.Sprintf("%s  %-14s %s on %s by %s", when, mark(d.Broken, d.Effect), d.Action, d.Resource, d.Principal)
	if d.Because != "" {
		s += " " + d.Because
	}
	if d.Count > 1 {
		s += fmt.Sprintf(" (%d times)", d.Count)
	}
	return s + "  [" + d.ID + "]"
}

func mark(broken bool, word string) string {
	if broken {
		return "✗ " + strings.TrimSpace(strings.Replace(word, "note", "broken", 1))
	}
	return "  " + word
}

func (c *explainCommand) list(ctx context.Context, s *setup.Session, path string) ([]json.RawMessage, error) {
	raw, err := s.Strait(ctx, path)
	if err != nil {
		return nil, err
	}
	var out struct{ Decisions []json.RawMessage }
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("read the server's answer: %w", err)
	}
	return out.Decisions, nil
}

func (c *explainCommand) last(ctx context.Context, s *setup.Session) error {
	ds, err := c.list(ctx, s, "/_strait/decisions?denied=true&last=1")
	if err != nil {
		return err
	}
	if len(ds) == 0 {
		return errors.New("nothing was refused so far")
	}
	return c.print(ds[0])
}

// trace prints which link of the chain of the thing's last request is broken,
// then the chain, then why.
func (c *explainCommand) trace(ctx context.Context, s *setup.Session) error {
	raw, err := s.Strait(ctx, "/_strait/things/"+url.PathEscape(c.Thing)+"/trace")
	if err != nil {
		return err
	}
	if c.JSON {
		_, err := os.Stdout.Write(append(raw, '\n'))
		return err
	}
	var story struct {
		Broken    *decision
		Decisions []*decision
	}
	if err := json.Unmarshal(raw, &story); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	b := story.Broken
	if b == nil {
		fmt.Printf("No link of the last request of thing %s is broken.\n\n", c.Thing)
	} else {
		fmt.Printf("The last request of thing %s breaks at %s: %s\n\n", c.Thing, b.at(), b.Summary)
	}
	for _, d := range story.Decisions {
		fmt.Println(d.line())
	}
	if b != nil {
		fmt.Println("\nThe first broken link:")
		fmt.Println(b.line())
		b.why()
	}
	return nil
}
