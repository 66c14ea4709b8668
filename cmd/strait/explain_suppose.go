package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"strait/setup"
)

// A question is what strait:SimulateDecision takes.
type question struct {
	Principal         string              `json:"principal"`
	Action            string              `json:"action"`
	Resource          string              `json:"resource,omitempty"`
	Context           map[string][]string `json:"context,omitempty"`
	SessionPolicy     string              `json:"sessionPolicy,omitempty"`
	SessionPolicyARNs []string            `json:"sessionPolicyArns,omitempty"`
	ClientID          string              `json:"clientId,omitempty"`
}

// simulatePath is where it is asked.
const simulatePath = "/_strait/simulate"

// suppose asks what would be decided. A refusal is an answer, not a failure.
func (c *explainCommand) suppose(ctx context.Context, s *setup.Session) error {
	q := question{Principal: c.Principal, Action: c.Action, Resource: c.Resource, SessionPolicyARNs: c.SessionPolicyArn, ClientID: c.ClientID}
	if c.SessionPolicy != "" {
		b, err := os.ReadFile(c.SessionPolicy)
		if err != nil {
			return err
		}
		q.SessionPolicy = string(b)
	}
	for _, kv := range c.Context {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return usageError{fmt.Errorf("--context %s: want key=value; give a key with several values several times", kv)}
		}
		if q.Context == nil {
			q.Context = map[string][]string{}
		}
		q.Context[k] = append(q.Context[k], v)
	}
	raw, err := s.PostStrait(ctx, simulatePath, q)
	if err != nil {
		return err
	}
	return c.print(raw)
}

// checkSupposition tells what is missing of a hypothetical question.
func (c *explainCommand) checkSupposition() error {
	if c.Principal == "" || c.Action == "" {
		return usageError{errors.New("a hypothetical question needs --principal and --action; --resource is * when it is left out")}
	}
	return nil
}
