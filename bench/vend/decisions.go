package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// A decision is a record of Strait's own API, as far as it is asserted.
type decision struct{ ID, Trace, Thing, Action, Resource, Principal, Effect, Event string }

// The chain of one request: who was allowed to do what to what, in this order.
var chain = []struct{ name, action, resource, principal string }{
	{"Publish", "iot:Publish", "topic/" + thing + "/token/req", ":cert/"},
	{"InvokeFunction", "lambda:InvokeFunction", ":function:create-token", "iot.amazonaws.com"},
	{"AssumeRole", "sts:AssumeRole", ":role/s3-role", ":assumed-role/create-token/"},
	{"Publish", "iot:Publish", "topic/" + thing + "/token/res", ":assumed-role/create-token/"},
	{"Receive", "iot:Receive", "topic/" + thing + "/token/res", ":cert/"},
}

func chainNames() (out []string) {
	for _, link := range chain {
		out = append(out, link.name)
	}
	return out
}

// decisions are all that the server still has, oldest first.
func (w *way) decisions(ctx context.Context) ([]decision, error) {
	raw, err := w.session.Strait(ctx, "/_strait/decisions?last=1000")
	if err != nil {
		return nil, err
	}
	var out struct{ Decisions []decision }
	return out.Decisions, json.Unmarshal(raw, &out)
}

// assert looks at what came between before and after: exactly n traces that
// begin with the device's request, each with the whole chain, and no refusal.
func assert(before, after []decision, n int) error {
	old := map[string]bool{}
	for _, d := range before {
		old[d.ID] = true
	}
	stories := map[string][]decision{}
	var order []string
	for _, d := range after {
		if old[d.ID] || d.Action == "" {
			continue
		}
		if d.Effect != "allow" {
			return fmt.Errorf("refused: %s on %s by %s", d.Action, d.Resource, d.Principal)
		}
		if stories[d.Trace] == nil {
			order = append(order, d.Trace)
		}
		stories[d.Trace] = append(stories[d.Trace], d)
	}
	found := 0
	for _, trace := range order {
		story := stories[trace]
		if !strings.HasSuffix(story[0].Resource, chain[0].resource) {
			continue
		}
		found++
		next := 0
		for _, d := range story {
			if next < len(chain) && d.Action == chain[next].action && strings.HasSuffix(d.Resource, chain[next].resource) && strings.Contains(d.Principal, chain[next].principal) {
				next++
			}
		}
		if next < len(chain) {
			return fmt.Errorf("trace %s has no %s where it belongs: %+v", trace, chain[next].name, story)
		}
	}
	if found != n {
		return fmt.Errorf("%d requests were made, %d are recorded", n, found)
	}
	return nil
}
