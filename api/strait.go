package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"strait"
	"strait/authz"
	"strait/identity"
)

// Strait returns the table of what only Strait has: decisions to be read.
func Strait(d *identity.Directory, a *authz.Authorizer) Service {
	k := straitDesk{d, a}
	return Service{
		Name: "strait", Scopes: []string{"strait"}, Protocol: "rest-json",
		Operations: []Operation{
			op("GetDecision", "GET /_strait/decisions/{id}", k.mayGet, k.getDecision),
			op("ListDecisions", "GET /_strait/decisions", k.mayList, k.listDecisions),
			op("GetTrace", "GET /_strait/things/{thing}/trace", k.mayTrace, k.getTrace),
			op("SimulateDecision", "POST /_strait/simulate", k.maySimulate, k.simulateDecision),
			op("SuggestPolicy", "GET /_strait/suggestion", k.maySuggest, k.suggestPolicy),
		},
	}
}

type straitDesk struct {
	directory  *identity.Directory
	authorizer *authz.Authorizer
}

// arn names a resource of Strait's own: "decision/..." or "thing/...".
func (k straitDesk) arn(resource string) strait.ARN {
	p := k.directory.Place()
	return strait.ARN("arn:aws:strait:" + p.Region + ":" + p.Account + ":" + resource)
}

type getDecisionInput struct {
	ID string `aws:"path,id"`
}

// Told is a decision as it is told.
type Told = authz.Told

// mayGet: a caller may always read decisions about itself.
func (k straitDesk) mayGet(_ context.Context, _ View, c *Caller, in *getDecisionInput) ([]Ask, error) {
	a := Ask{Action: "strait:GetDecision", Resource: k.arn("decision/" + in.ID)}
	if k.own(c, in.ID) {
		a.Mode = authz.Probing
	}
	return []Ask{a}, nil
}

func (k straitDesk) own(c *Caller, id string) bool {
	r := k.authorizer.Find(id)
	return r != nil && r.Principal == c.ARN
}

func (k straitDesk) getDecision(_ context.Context, c Call, in *getDecisionInput) (*Told, error) {
	r := k.authorizer.Find(in.ID)
	if r == nil {
		return nil, strait.Errorf(strait.NotFound, "decision", "There is no decision %s. Only the latest are kept, and of equal refusals within a second the first.", in.ID)
	}
	// About itself everyone may read what was decided, but not others' documents.
	return k.tell(r, c.Verdicts[0].Allowed), nil
}

func (k straitDesk) tell(r *authz.Record, documents bool) *Told {
	return authz.Tell(r, k.directory, documents)
}

type listDecisionsInput struct {
	Trace  string `aws:"query,trace"`
	Denied bool   `aws:"query,denied"`
	Last   int    `aws:"query,last"`
	// After is Next of an earlier answer: only what was recorded since. With
	// it, Wait is how many seconds to wait for something to tell.
	After string `aws:"query,after"`
	Wait  int    `aws:"query,wait"`
}

type listDecisionsOutput struct {
	Decisions []*Told `json:"decisions"`
	Next      string  `json:"next"`
}

func (k straitDesk) mayList(context.Context, View, *Caller, *listDecisionsInput) ([]Ask, error) {
	return ask("strait:ListDecisions", k.arn("decision/*")), nil
}

// maxTold bounds how many decisions one answer holds, maxWait how long it lets
// wait.
const (
	maxTold = 1000
	maxWait = 20 * time.Second
)

func (k straitDesk) listDecisions(ctx context.Context, _ Call, in *listDecisionsInput) (*listDecisionsOutput, error) {
	limit := in.Last
	if limit <= 0 || limit > maxTold {
		limit = maxTold
	}
	r := k.authorizer.Recorder
	enough := time.NewTimer(min(time.Duration(max(in.Wait, 0))*time.Second, maxWait))
	defer enough.Stop()
	for {
		woken := r.Wait() // before looking: what comes while we look wakes us, too
		records, next := r.Since(in.After)
		var chosen []*authz.Record
		for i := len(records) - 1; i >= 0 && len(chosen) < limit; i-- {
			if in.wants(records[i]) {
				chosen = append(chosen, records[i])
			}
		}
		if len(chosen) > 0 || in.Wait <= 0 || in.After == "" {
			out := &listDecisionsOutput{Decisions: []*Told{}, Next: next}
			for _, rec := range slices.Backward(chosen) {
				out.Decisions = append(out.Decisions, k.tell(rec, true))
			}
			return out, nil
		}
		in.After = next
		select {
		case <-woken:
		case <-enough.C:
			in.Wait = 0
		case <-r.Done():
			in.Wait = 0
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (in *listDecisionsInput) wants(r *authz.Record) bool {
	switch {
	case in.Trace != "" && r.Trace != in.Trace, in.Denied && !r.Broken:
		return false
	}
	// Reading the log is not what one wants to find in it.
	return !strings.HasPrefix(string(r.Action), "strait:")
}

type getTraceInput struct {
	Thing string `aws:"path,thing"`
}

func (k straitDesk) mayTrace(_ context.Context, _ View, _ *Caller, in *getTraceInput) ([]Ask, error) {
	return ask("strait:ListDecisions", k.arn("thing/"+in.Thing)), nil
}

type getTraceOutput struct {
	Thing     string  `json:"thing"`
	Broken    *Told   `json:"broken,omitempty"` // the first broken link; absent: none
	Decisions []*Told `json:"decisions"`
}

func (k straitDesk) getTrace(_ context.Context, _ Call, in *getTraceInput) (*getTraceOutput, error) {
	records := k.authorizer.Recorder.LastTrace(in.Thing)
	if len(records) == 0 {
		return nil, strait.Errorf(strait.NotFound, "trace", "Nothing is recorded of thing %s: it has not connected, or too long ago.", in.Thing)
	}
	out := &getTraceOutput{Thing: in.Thing}
	for _, r := range records {
		out.Decisions = append(out.Decisions, k.tell(r, true))
	}
	if r := authz.FirstBroken(in.Thing, records); r != nil {
		out.Broken = k.tell(r, true)
	}
	return out, nil
}
