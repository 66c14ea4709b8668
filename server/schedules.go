package server

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"strait"
	"strait/api"
	"strait/authz"
	"strait/schedule"
)

// scheduleHands call the targets of schedules, through the corridor: for
// EventBridge Scheduler as a session of the target's role, for a rule as the
// service itself, which the function's resource policy must allow.
type scheduleHands struct{ s *Server }

// A scheduledEvent is what a function gets when its target says nothing.
type scheduledEvent struct {
	Version    string       `json:"version"`
	ID         string       `json:"id"`
	DetailType string       `json:"detail-type"`
	Source     string       `json:"source"`
	Account    string       `json:"account"`
	Time       string       `json:"time"`
	Region     string       `json:"region"`
	Resources  []strait.ARN `json:"resources"`
	Detail     any          `json:"detail"`
}

// Invoke is schedule.Invoker.
func (h scheduleHands) Invoke(ctx context.Context, d schedule.Due) error {
	place := h.s.cfg.Place
	arn, trace := api.ScheduleARN(place, d.Schedule), authz.NewTrace()
	event := scheduledEvent{
		Version: "0", ID: d.ID, DetailType: "Scheduled Event", Source: "aws.events", Account: place.Account,
		Time: d.Time.UTC().Format(time.RFC3339), Region: place.Region, Resources: []strait.ARN{arn}, Detail: struct{}{},
	}
	c := h.s.directory.Service("events.amazonaws.com", arn, trace)
	payload := []byte(d.Target.Input)
	if d.Schedule.Family == api.ScheduleFamily {
		var err error
		if c, err = h.as(d, trace); err != nil {
			return err
		}
		payload = []byte(api.FillInput(d.Target.Input, d, arn))
		event.Source, event.Detail = "aws.scheduler", "{}" // a string, as Scheduler has it
	}
	if len(payload) == 0 {
		var err error
		if payload, err = json.Marshal(event); err != nil {
			return err
		}
	}
	_, err := h.s.corridor.Serve(ctx, &c, h.s.lambda.Find("Invoke"), func(in any) error {
		i := in.(*api.InvokeInput)
		i.FunctionName, i.Type, i.Payload = string(d.Target.ARN), "Event", payload
		return nil
	})
	return err
}

// as lets scheduler.amazonaws.com take the target's role.
func (h scheduleHands) as(d schedule.Due, trace string) (api.Caller, error) {
	name := "schedule-" + d.Schedule.Name // which may be too short for a session's
	return h.s.as("scheduler.amazonaws.com", api.ScheduleGroupARN(h.s.cfg.Place, d.Schedule.Group), d.Target.Role, name, trace, ruleSession)
}

// scheduleEvent writes down that a call was given up.
func (s *Server) scheduleEvent(d schedule.Due, err error) {
	what := fmt.Sprintf("%s %s, due at %s, was not carried out (tries: %d): %s", d.Schedule.Family, d.Schedule.Name, d.Time.UTC().Format(time.RFC3339), d.Attempt+1, err)
	s.cfg.Log.Warn("a schedule's call was given up", "schedule", d.Schedule.Name, "due", d.Time, "err", err)
	s.authorizer.Recorder.Note(authz.Record{
		Trace: authz.NewTrace(), Operation: "Schedule", Event: what, Broken: true, Layer: "schedule", Document: string(api.ScheduleARN(s.cfg.Place, d.Schedule)),
	})
}
