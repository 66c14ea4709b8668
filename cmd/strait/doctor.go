package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"strait/setup"
)

// doctorCommand looks for what is broken in a pattern before anybody uses it.
type doctorCommand struct {
	Upload doctorUploadCommand `cmd:"" help:"Walk the chain of the upload pattern for one thing and name the broken link."`
}

// A finding is one link of a chain, as the doctor found it.
type finding struct {
	Link     string `json:"link"`
	OK       bool   `json:"ok"`
	Skipped  string `json:"skipped,omitempty"` // why it could not be looked at
	Layer    string `json:"layer,omitempty"`   // who refuses: "certificate", "topic rule", "iot policy", ...
	Document string `json:"document,omitempty"`
	Sentence string `json:"sentence,omitempty"` // what is wrong
	Fix      string `json:"fix,omitempty"`      // what to do, or the whole explanation

}

// A doctor walks a chain.
type doctor struct {
	s        *setup.Session
	findings []*finding
}

// fine writes down that a link holds.
func (d *doctor) fine(link string) { d.findings = append(d.findings, &finding{Link: link, OK: true}) }

// broken writes down that it does not.
func (d *doctor) broken(link, layer, document, sentence, fix string) {
	d.findings = append(d.findings, &finding{Link: link, Layer: layer, Document: document, Sentence: sentence, Fix: fix})
}

// skipped writes down that it could not be looked at.
func (d *doctor) skipped(why string, links ...string) {
	for _, l := range links {
		d.findings = append(d.findings, &finding{Link: l, Skipped: why})
	}
}

// may asks whether a request would be allowed, and writes the answer down. hint
// is added to what is said of a refusal.
func (d *doctor) may(ctx context.Context, link string, q question, hint string) error {
	raw, err := d.s.PostStrait(ctx, simulatePath, q)
	if err != nil {
		return fmt.Errorf("%s: %w", link, err)
	}
	var a decision
	if err := json.Unmarshal(raw, &a); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if a.Effect == "allow" {
		d.fine(link)
		return nil
	}
	d.broken(link, a.Layer, a.Document, a.Summary+hint, a.Explanation)
	return nil
}

// report prints what was found. A broken link is a failure.
func (d *doctor) report(what string, asJSON bool) error {
	var broken []*finding
	for _, f := range d.findings {
		if !f.OK && f.Skipped == "" {
			broken = append(broken, f)
		}
	}
	if asJSON {
		if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"ok": len(broken) == 0, "links": d.findings}); err != nil {
			return err
		}
	} else {
		d.print(what, broken)
	}
	switch len(broken) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s: one link is broken: %s", what, broken[0].Link)
	}
	return fmt.Errorf("%s: %d links are broken", what, len(broken))
}

func (d *doctor) print(what string, broken []*finding) {
	if len(broken) == 0 {
		fmt.Printf("Every link of %s holds.\n\n", what)
	} else {
		fmt.Printf("%s breaks at %s: %s\n\n", sentenceCase(what), broken[0].Link, broken[0].Sentence)
	}
	for _, f := range d.findings {
		switch {
		case f.OK:
			fmt.Printf("    %s\n", f.Link)
		case f.Skipped != "":
			fmt.Printf("  ? %s: not looked at, %s\n", f.Link, f.Skipped)
		default:
			fmt.Printf("  ✗ %s: %s\n", f.Link, f.Sentence)
		}
	}
	for _, f := range broken {
		if f.Fix != "" {
			fmt.Printf("\n%s:\n%s\n", f.Link, strings.TrimSpace(f.Fix))
		}
	}
}

func sentenceCase(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
