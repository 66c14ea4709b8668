package api

import (
	"context"
	"fmt"
	"strings"
	"time"

	"strait"
	"strait/logs"
)

// PutLogEventsInput adds lines to a stream.
type PutLogEventsInput struct {
	logStreamInput
	Events []LogEvent `json:"logEvents"`
	Token  string     `json:"sequenceToken"` // not needed since 2023

	// Loose is for lines that nobody was promised, such as a function's: they
	// are not forced to the disk one batch at a time.
	Loose bool `json:"-"`
}

// A LogEvent is a line.
type LogEvent struct {
	Time    int64  `json:"timestamp"` // ms
	Message string `json:"message"`
}

// PutLines reads lines of a function or a rule that are at hand already.
func PutLines(group, stream string, events []LogEvent, loose bool) func(in any) error {
	return func(in any) error {
		i := in.(*PutLogEventsInput)
		i.LogGroupName, i.Stream, i.Events, i.Loose = group, stream, events, loose
		return nil
	}
}

// MakeGroup and MakeStream read what is to be made, likewise.
func MakeGroup(group string) func(in any) error {
	return func(in any) error {
		in.(*createLogGroupInput).LogGroupName = group
		return nil
	}
}

// MakeStream names a stream that is to be made.
func MakeStream(group, stream string) func(in any) error {
	return func(in any) error {
		i := in.(*logStreamInput)
		i.LogGroupName, i.Stream = group, stream
		return nil
	}
}

// mayPut: lines of functions come all the time, and fill no log of decisions.
func (k logsDesk) mayPut(_ context.Context, v View, _ *Caller, in *PutLogEventsInput) ([]Ask, error) {
	asks := ask("logs:PutLogEvents", logARN(v, in.LogGroupName, in.Stream))
	asks[0].Counted = in.Loose
	return asks, nil
}

type rejectedEvents struct {
	New *int `json:"tooNewLogEventStartIndex,omitempty"`
	Old *int `json:"tooOldLogEventEndIndex,omitempty"`
}

type putEventsOutput struct {
	Token    string          `json:"nextSequenceToken"`
	Rejected *rejectedEvents `json:"rejectedLogEventsInfo,omitempty"`
}

func (k logsDesk) putEvents(_ context.Context, _ Call, in *PutLogEventsInput) (*putEventsOutput, error) {
	events := make([]logs.Event, len(in.Events))
	for i, e := range in.Events {
		events[i] = logs.Event{Time: time.UnixMilli(e.Time), Message: e.Message}
	}
	r, err := k.engine.Put(in.LogGroupName, in.Stream, events, !in.Loose)
	if err != nil {
		return nil, err
	}
	out := &putEventsOutput{Token: "0"}
	if r.Old > 0 || r.New < len(events) {
		out.Rejected = &rejectedEvents{}
		if r.Old > 0 {
			out.Rejected.Old = &r.Old
		}
		if r.New < len(events) {
			out.Rejected.New = &r.New
		}
	}
	return out, nil
}

// mostEvents is what one answer tells at most; mostBytes bounds it, too.
const (
	mostEvents = 10_000
	mostBytes  = 1 << 20
)

func eventLimit(limit *int) (int, error) {
	if limit == nil {
		return mostEvents, nil
	}
	if *limit < 1 || *limit > mostEvents {
		return 0, strait.Errorf(strait.Invalid, "request", "1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value between 1 and %d", *limit, mostEvents)
	}
	return *limit, nil
}

type getEventsInput struct {
	logStreamInput
	Identifier string `json:"logGroupIdentifier"`
	Start      *int64 `json:"startTime"`
	End        *int64 `json:"endTime"`
	Token      string `json:"nextToken"`
	Limit      *int   `json:"limit"`
	FromHead   bool   `json:"startFromHead"`
}

func (in *getEventsInput) logs() (string, string) {
	return groupOf(in.LogGroupName, in.Identifier), in.Stream
}

type toldEvent struct {
	Time     int64  `json:"timestamp"`
	Message  string `json:"message"`
	Ingested int64  `json:"ingestionTime"`
}

type getEventsOutput struct {
	Events   []toldEvent `json:"events"`
	Forward  string      `json:"nextForwardToken"`
	Backward string      `json:"nextBackwardToken"`
}

// query reads what the operations on lines have in common.
func query(group string, start, end *int64, limit *int) (logs.Query, error) {
	q := logs.Query{Group: group}
	if start != nil {
		q.From = time.UnixMilli(*start)
	}
	if end != nil {
		q.To = time.UnixMilli(*end)
	}
	var err error
	q.Limit, err = eventLimit(limit)
	return q, err
}

func (k logsDesk) getEvents(_ context.Context, _ Call, in *getEventsInput) (*getEventsOutput, error) {
	q, err := query(groupOf(in.LogGroupName, in.Identifier), in.Start, in.End, in.Limit)
	if err != nil {
		return nil, err
	}
	q.Streams, q.Last = []string{in.Stream}, !in.FromHead
	at := logs.Place{}
	if in.Token != "" {
		way, rest, _ := strings.Cut(in.Token, "/")
		if at, err = logs.ReadPlace(rest); err != nil || way != "f" && way != "b" {
			return nil, strait.Errorf(strait.Invalid, "token", "The specified nextToken is invalid.")
		}
		if q.Last = way == "b"; q.Last {
			q.Before = at
		} else {
			q.After = at
		}
	}
	found, _, err := k.engine.Find(q)
	if err != nil {
		return nil, err
	}
	found = within(found, q.Last)
	out := &getEventsOutput{Events: []toldEvent{}, Forward: "f/" + at.String(), Backward: "b/" + at.String()}
	for _, e := range found {
		out.Events = append(out.Events, toldEvent{milli(e.Time), e.Message, milli(e.Ingested)})
	}
	if n := len(found); n > 0 {
		out.Forward, out.Backward = "f/"+found[n-1].Place().String(), "b/"+found[0].Place().String()
	}
	return out, nil
}

// within cuts lines to what one answer may tell, at least one.
func within(found []logs.Event, last bool) []logs.Event {
	size := 0
	if last {
		for i := len(found) - 1; i >= 0; i-- {
			if size += len(found[i].Message); size > mostBytes && i < len(found)-1 {
				return found[i+1:]
			}
		}
		return found
	}
	for i, e := range found {
		if size += len(e.Message); size > mostBytes && i > 0 {
			return found[:i]
		}
	}
	return found
}

type filterEventsInput struct {
	logGroupInput
	Identifier string   `json:"logGroupIdentifier"`
	Streams    []string `json:"logStreamNames"`
	Prefix     string   `json:"logStreamNamePrefix"`
	Start      *int64   `json:"startTime"`
	End        *int64   `json:"endTime"`
	Pattern    string   `json:"filterPattern"`
	Token      string   `json:"nextToken"`
	Limit      *int     `json:"limit"`
}

func (in *filterEventsInput) logs() (string, string) {
	return groupOf(in.LogGroupName, in.Identifier), ""
}

type filteredEvent struct {
	Stream   string `json:"logStreamName"`
	Time     int64  `json:"timestamp"`
	Message  string `json:"message"`
	Ingested int64  `json:"ingestionTime"`
	ID       string `json:"eventId"`
}

type filterEventsOutput struct {
	Events  []filteredEvent  `json:"events"`
	Streams []map[string]any `json:"searchedLogStreams"`
	Token   string           `json:"nextToken,omitempty"`
}

func (k logsDesk) filterEvents(_ context.Context, _ Call, in *filterEventsInput) (*filterEventsOutput, error) {
	q, err := query(groupOf(in.LogGroupName, in.Identifier), in.Start, in.End, in.Limit)
	if err != nil {
		return nil, err
	}
	if len(in.Streams) > 0 && in.Prefix != "" {
		return nil, strait.Errorf(strait.Invalid, "request", "logStreamNames and logStreamNamePrefix exclude each other.")
	}
	q.Streams, q.StreamPrefix, q.Pattern = in.Streams, in.Prefix, in.Pattern
	if in.Token != "" {
		if q.After, err = logs.ReadPlace(in.Token); err != nil {
			return nil, err
		}
	}
	all, more, err := k.engine.Find(q)
	if err != nil {
		return nil, err
	}
	found := within(all, false)
	out := &filterEventsOutput{Events: []filteredEvent{}, Streams: []map[string]any{}}
	for _, e := range found {
		// AWS's ids are 56 digits.
		p := e.Place()
		out.Events = append(out.Events, filteredEvent{e.Stream, milli(e.Time), e.Message, milli(e.Ingested), fmt.Sprintf("%028d%028d", p.Time, p.Seq)})
	}
	if more || len(found) < len(all) {
		out.Token = found[len(found)-1].Place().String()
	}
	return out, nil
}
