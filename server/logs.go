package server

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"strait"
	"strait/api"
	"strait/authz"
	"strait/function"
	"strait/rule"
)

// functionLogs hands what functions write to the log groups, through the
// corridor, as a session of the execution role: a role without logs:* leaves no
// lines, as on AWS.
type functionLogs struct {
	s *Server

	mu     sync.Mutex
	traces map[string]string // of streams: what is refused for one is one story
}

// maxTraces bounds the streams that are remembered.
const maxTraces = 1000

func (l *functionLogs) trace(stream string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.traces[stream] == "" {
		if len(l.traces) >= maxTraces {
			clear(l.traces)
		}
		l.traces[stream] = authz.NewTrace()
	}
	return l.traces[stream]
}

// Log is function.Logger.
func (l *functionLogs) Log(f function.Function, creds strait.Credentials, stream string, lines []function.LogLine) {
	group := "/aws/lambda/" + f.Name
	events := make([]api.LogEvent, 0, len(lines))
	latest := int64(0)
	for _, line := range lines {
		latest = max(latest, line.Time.UnixMilli()) // the clock may have been set back
		events = append(events, api.LogEvent{Time: latest, Message: line.Text})
	}
	session, _, err := l.s.issuer.Open(creds.AccessKeyID, creds.SessionToken)
	if err != nil {
		l.lost(f, err)
		return
	}
	c := api.Caller{Principal: l.s.directory.ForSession(&session), KeyID: creds.AccessKeyID, Session: &session, Trace: l.trace(stream), Secure: true}
	if err := l.put(&c, group, stream, api.PutLines(group, stream, events, true)); err != nil {
		l.lost(f, err)
	}
}

// put writes lines, and makes the group and the stream when they are missing
// and the caller may.
func (l *functionLogs) put(c *api.Caller, group, stream string, lines func(any) error) error {
	do := func(name string, in func(any) error) error {
		// Also while the server closes: what was written last says why.
		_, err := l.s.corridor.Serve(context.WithoutCancel(l.s.ctx), c, l.s.logs.Find(name), in)
		return err
	}
	err := do("PutLogEvents", lines)
	if strait.KindOf(err) != strait.NotFound || err == nil {
		return err
	}
	if err := do("CreateLogStream", api.MakeStream(group, stream)); strait.KindOf(err) == strait.NotFound && err != nil {
		if err := do("CreateLogGroup", api.MakeGroup(group)); err != nil && strait.KindOf(err) != strait.Exists {
			return err
		}
		if err := do("CreateLogStream", api.MakeStream(group, stream)); err != nil && strait.KindOf(err) != strait.Exists {
			return err
		}
	} else if err != nil && strait.KindOf(err) != strait.Exists {
		return err
	}
	return do("PutLogEvents", lines)
}

// lost tells the operator why a function's log has nothing. A refusal is in the
// log of decisions already.
func (l *functionLogs) lost(f function.Function, err error) {
	if _, refused := authz.IsRefusal(err); refused {
		return
	}
	l.s.cfg.Log.Warn("lines of a function are lost", "function", f.Name, "error", err)
}

// write puts a rule's document into a log group, which must be there, in a
// stream that is named like the rule (AWS's name for it is not documented). The
// lines are on disk when it returns.
func (h ruleHands) write(ctx context.Context, c *api.Caller, r rule.Rule, t rule.Task) error {
	events, err := linesOf(t, h.s.cfg.Now())
	if err != nil {
		return err
	}
	group := t.Action.Logs.Group
	put := func() error {
		_, err := h.s.corridor.Serve(ctx, c, h.s.logs.Find("PutLogEvents"), api.PutLines(group, r.Name, events, false))
		return err
	}
	err = put()
	var missing *strait.Error
	if !errors.As(err, &missing) || missing.Kind != strait.NotFound || missing.Thing != "log stream" {
		return err
	}
	if _, err := h.s.corridor.Serve(ctx, c, h.s.logs.Find("CreateLogStream"), api.MakeStream(group, r.Name)); err != nil && strait.KindOf(err) != strait.Exists {
		return err
	}
	return put()
}

// linesOf reads what a cloudwatchLogs action writes [DG CloudWatch Logs]: the
// document as one line, or, in batch mode, the array of lines that it must be.
func linesOf(t rule.Task, now time.Time) ([]api.LogEvent, error) {
	if !t.Action.Logs.Batch {
		return []api.LogEvent{{Time: now.UnixMilli(), Message: string(t.Payload)}}, nil
	}
	var batch []struct {
		Time    *int64          `json:"timestamp"`
		Message json.RawMessage `json:"message"`
	}
	bad := strait.Errorf(strait.Invalid, "payload", `in batch mode the document must be an array of {"timestamp": MILLISECONDS, "message": ...}`)
	if json.Unmarshal(t.Payload, &batch) != nil || len(batch) == 0 {
		return nil, bad
	}
	events := make([]api.LogEvent, len(batch))
	for i, b := range batch {
		if b.Time == nil || len(b.Message) == 0 {
			return nil, bad
		}
		var text string
		if json.Unmarshal(b.Message, &text) != nil {
			text = string(b.Message)
		}
		events[i] = api.LogEvent{Time: *b.Time, Message: text}
	}
	return events, nil
}
