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

// explainCommand prints a recorded decision, the story of a thing's last
// request, or what would be decided.
type explainCommand struct {
	ID    string `arg:"" optional:"" help:"Id of a recorded decision, as refusals name it."`
	Last  bool   `help:"The last refusal."`
	Thing string `help:"The last request of this thing, through the whole chain."`
	Batch string `placeholder:"FILE" help:"Answer every line of JSON in this file (- is standard input), without a server; exit status 1 when a decision is not the expected one."`

	Principal        string   `placeholder:"ARN" help:"What if: this user, role, role session, certificate, thing, service or anonymous ..."`
	Action           string   `help:"... did this, such as s3:PutObject ..."`
	Resource         string   `placeholder:"ARN" help:"... to this; default *."`
	SessionPolicy    string   `placeholder:"FILE" help:"The session is narrowed by this policy." type:"existingfile"`
	SessionPolicyArn []string `placeholder:"ARN" help:"The session is narrowed by this managed policy; repeatable."`
	ClientID         string   `name:"client-id" help:"MQTT client id of the connection; default the certificate's only thing."`
	Context          []string `placeholder:"KEY=VALUE" sep:"none" help:"A condition key of the request; repeatable, also for one key with several values."`

	JSON bool `name:"json" help:"Print JSON."`
}

// decision is a record as the server tells it.
type decision struct {
	ID, Time, Trace, Thing, Operation string
	Principal, Action, Resource       string
	Effect, Layer, Because, Event     string
	Summary, Document                 string
	Refused                           []string
	Broken                            bool
	Count                             int
	Explanation                       string
	Documents                         []struct{ Layer, Name, Version, SHA256 string }
}

// Run is called by kong.
func (c *explainCommand) Run(ctx context.Context) error {
	hypothetical := c.Principal != "" || c.Action != "" || c.Resource != ""
	chosen := 0
	for _, b := range []bool{c.ID != "", c.Last, c.Thing != "", c.Batch != "", hypothetical} {
		if b {
			chosen++
		}
	}
	if chosen != 1 {
		return usageError{errors.New("say what to explain: an id, --last, --thing T, --batch FILE, or --principal ARN --action A --resource R")}
	}
	if c.Batch != "" {
		return c.batch()
	}
	if hypothetical {
		if err := c.checkSupposition(); err != nil {
			return err
		}
	}
	s, err := setup.NewSession(ctx)
	if err != nil {
		return err
	}
	switch {
	case hypothetical:
		return c.suppose(ctx, s)
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
	if len(d.Documents) > 0 {
		fmt.Println("\nDecided by:")
	}
	for _, doc := range d.Documents {
		version := ""
		if doc.Version != "" {
			version = " version " + doc.Version
		}
		fmt.Printf("- %s%s (%s, sha256 %s)\n", doc.Name, version, doc.Layer, doc.SHA256)
	}
}

// at names the step of a chain.
func (d *decision) at() string {
	if d.ID == "" && d.Event == "" {
		return "What if"
	}
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
	if d.ID == "" {
		return s // nobody asked
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
