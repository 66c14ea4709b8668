package api

import (
	"context"
	"encoding/json"
	"sort"
	"strings"
	"time"

	"strait"
	"strait/authz"
	"strait/policy"
)

// suggestPolicyInput asks for the least policy of a thing, a role or a user.
type suggestPolicyInput struct {
	Thing string `aws:"query,thing"`
	Role  string `aws:"query,role"`
	User  string `aws:"query,user"`
	Since string `aws:"query,since"` // RFC 3339
}

type suggestPolicyOutput struct {
	Policy   json.RawMessage `json:"policy"`
	Note     string          `json:"note"` // what it was made from
	Requests []authz.Use     `json:"requests"`
}

// whose names the account of the input, and the kind of policy for it.
func (in *suggestPolicyInput) whose(v View) (who string, kind policy.Kind, err error) {
	given := 0
	for _, s := range []string{in.Thing, in.Role, in.User} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		return "", 0, strait.Errorf(strait.Invalid, "request", "Give one of thing, role and user.")
	}
	switch {
	case in.Thing != "":
		return "thing/" + in.Thing, policy.IoT, nil
	case in.User != "":
		u, err := v.User(in.User)
		if err != nil {
			return "", 0, err
		}
		return string(u.ARN(v.Place())), policy.Identity, nil
	}
	r, err := v.Role(in.Role[strings.LastIndex(in.Role, "/")+1:])
	if err != nil {
		return "", 0, err
	}
	return string(r.ARN(v.Place())), policy.Identity, nil
}

// maySuggest: what somebody did is what the log tells.
func (k straitDesk) maySuggest(_ context.Context, v View, _ *Caller, in *suggestPolicyInput) ([]Ask, error) {
	resource := k.arn("decision/*")
	if in.Thing != "" {
		resource = k.arn("thing/" + in.Thing)
	}
	return ask("strait:ListDecisions", resource), nil
}

func (k straitDesk) suggestPolicy(_ context.Context, _ Call, in *suggestPolicyInput) (*suggestPolicyOutput, error) {
	who, kind, err := in.whose(k.directory)
	if err != nil {
		return nil, err
	}
	var since time.Time
	if in.Since != "" {
		if since, err = time.Parse(time.RFC3339, in.Since); err != nil {
			return nil, strait.Errorf(strait.Invalid, "request", "since must be a time such as 2006-01-02T15:04:05Z.")
		}
	}
	used, whole := k.authorizer.Recorder.Uses(who, since)
	sort.Slice(used, func(i, j int) bool {
		if used[i].Action != used[j].Action {
			return used[i].Action < used[j].Action
		}
		return used[i].Resource < used[j].Resource
	})
	var needed, refused []policy.Request
	out := &suggestPolicyOutput{Requests: []authz.Use{}}
	for _, u := range used {
		switch {
		case strings.HasPrefix(string(u.Action), "strait:"):
			continue
		case u.Refused:
			refused = append(refused, u.Request())
		default:
			needed = append(needed, u.Request())
		}
		out.Requests = append(out.Requests, u)
	}
	text := policy.Least(kind, needed, refused...)
	if text == "" {
		return nil, strait.Errorf(strait.NotFound, "suggestion", "Nothing that was allowed to %s is remembered.", who)
	}
	out.Policy = json.RawMessage(text)
	out.Note = "What was refused is not in it. Only what was asked for while this server ran counts, and what is remembered of it."
	if !whole {
		out.Note += " There was more than is remembered: the policy lacks some of it."
	}
	return out, nil
}
