package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"strait/policy"
	"strait/setup"
)

// policyCommand helps to write policies.
type policyCommand struct {
	Lint    lintCommand    `cmd:"" help:"Find what is allowed in a policy and probably not meant. Needs no server."`
	Suggest suggestCommand `cmd:"" help:"The least policy that recorded requests needed."`
}

type lintCommand struct {
	File []string `arg:"" help:"Policy documents." type:"existingfile"`
	Kind string   `default:"" enum:",identity,session,boundary,trust,bucket,function,iot" help:"What the policy is for; default is guessed from what it says."`
	JSON bool     `name:"json" help:"One JSON object a finding."`
}

var policyKinds = map[string]policy.Kind{
	"identity": policy.Identity, "session": policy.Session, "boundary": policy.Boundary, "trust": policy.Trust,
	"bucket": policy.Bucket, "function": policy.Function, "iot": policy.IoT,
}

// Run is called by kong. Findings are a failure, so that CI stops at them.
func (c *lintCommand) Run() error {
	found := 0
	for _, name := range c.File {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		kind, known := policyKinds[c.Kind]
		if !known {
			kind = guessKind(b)
		}
		for _, f := range policy.Lint(kind, string(b)) {
			found++
			if err := c.print(name, f); err != nil {
				return err
			}
		}
	}
	if found > 0 {
		return fmt.Errorf("%d findings", found)
	}
	return nil
}

func (c *lintCommand) print(name string, f policy.Finding) error {
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(struct {
			File string `json:"file"`
			policy.Finding
		}{name, f})
	}
	_, err := fmt.Printf("%s:%d: %s [%s]\n    %s\n", name, f.Line, f.Sentence, f.Code, f.Fix)
	return err
}

// guessKind says what a policy is for: one with principals belongs to a
// resource; one that is about messages alone, and knows nothing but IoT, to a
// certificate.
func guessKind(text []byte) policy.Kind {
	var doc struct{ Statement json.RawMessage }
	if json.Unmarshal(text, &doc) != nil {
		return policy.Identity
	}
	var list []map[string]any
	if json.Unmarshal(doc.Statement, &list) != nil {
		list = make([]map[string]any, 1)
		if json.Unmarshal(doc.Statement, &list[0]) != nil {
			return policy.Identity
		}
	}
	all := strings.ToLower(string(doc.Statement))
	devices := len(list) > 0
	for _, s := range list {
		if s["Principal"] != nil || s["NotPrincipal"] != nil {
			switch {
			case s["Resource"] == nil && s["NotResource"] == nil:
				return policy.Trust
			case strings.Contains(all, `"lambda:`):
				return policy.Function
			}
			return policy.Bucket
		}
		actions, ok := s["Action"].([]any)
		if !ok {
			actions = []any{s["Action"]}
		}
		for _, a := range actions {
			name, _ := a.(string)
			switch strings.ToLower(name) {
			case "iot:connect", "iot:publish", "iot:subscribe", "iot:receive", "iot:retainpublish", "iot:*":
			default:
				devices = false
			}
		}
	}
	if devices {
		return policy.IoT
	}
	return policy.Identity
}

type suggestCommand struct {
	Thing string        `help:"The IoT policy for what this thing did."`
	Role  string        `help:"The identity policy for what sessions of this role did."`
	User  string        `help:"The identity policy for what this user did."`
	Since time.Duration `help:"Only what was done in this time, such as 24h; default all that is recorded."`
	JSON  bool          `name:"json" help:"Print JSON, with the requests."`
}

// Run is called by kong.
func (c *suggestCommand) Run(ctx context.Context) error {
	q, chosen := url.Values{}, 0
	for name, value := range map[string]string{"thing": c.Thing, "role": c.Role, "user": c.User} {
		if value != "" {
			q.Set(name, value)
			chosen++
		}
	}
	if chosen != 1 {
		return usageError{errors.New("say for whom: --thing T, --role R or --user U")}
	}
	if c.Since > 0 {
		q.Set("since", time.Now().Add(-c.Since).UTC().Format(time.RFC3339))
	}
	s, err := setup.NewSession(ctx)
	if err != nil {
		return err
	}
	raw, err := s.Strait(ctx, "/_strait/suggestion?"+q.Encode())
	if err != nil {
		return err
	}
	if c.JSON {
		_, err := os.Stdout.Write(append(raw, '\n'))
		return err
	}
	var out struct {
		Policy   json.RawMessage
		Note     string
		Requests []json.RawMessage
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	text, err := json.MarshalIndent(out.Policy, "", "  ")
	if err != nil {
		return err
	}
	fmt.Println(string(text))
	fmt.Fprintf(os.Stderr, "From %d different requests. %s\n", len(out.Requests), out.Note)
	return nil
}
