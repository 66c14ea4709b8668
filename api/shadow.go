package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"

	"strait"
	"strait/broker"
	"strait/shadow"
)

// This file is shadows over HTTP, as rows; shadowmqtt.go is those over MQTT.

func (k dataDesk) shadows() []Operation {
	const one = "/things/{thingName}/shadow"
	return []Operation{
		op("GetThingShadow", "GET "+one, onIoT[shadowInput]("iot:GetThingShadow"), k.getShadow),
		op("UpdateThingShadow", "POST "+one, onIoT[updateShadowInput]("iot:UpdateThingShadow"), k.updateShadow),
		op("DeleteThingShadow", "DELETE "+one, onIoT[shadowInput]("iot:DeleteThingShadow"), k.deleteShadow),
		op("ListNamedShadowsForThing", "GET /api/things/shadow/ListNamedShadowsForThing/{thingName}",
			onIoT[listShadowsInput]("iot:ListNamedShadowsForThing"), k.listShadows),
	}
}

// shadowInput names a shadow.
type shadowInput struct {
	Thing  string `aws:"path,thingName"`
	Shadow string `aws:"query,name"`
}

func shadowResource(thing, name string) string {
	if name == "" {
		return "thing/" + thing
	}
	return "thing/" + thing + "/" + name
}

func (in *shadowInput) resource() string { return shadowResource(in.Thing, in.Shadow) }

// OfShadow reads a request about one shadow.
func OfShadow(thing, name string) func(in any) error {
	return func(in any) error {
		i := in.(*shadowInput)
		i.Thing, i.Shadow = thing, name
		return nil
	}
}

// ShadowOutput is a document, as it is told over MQTT, too.
type ShadowOutput struct {
	Document []byte `aws:"payload"`
}

type updateShadowInput struct {
	Thing   string `aws:"path,thingName"`
	Shadow  string `aws:"query,name"`
	Payload []byte `aws:"payload"`
}

func (in *updateShadowInput) resource() string { return shadowResource(in.Thing, in.Shadow) }

func (k dataDesk) getShadow(ctx context.Context, c Call, in *shadowInput) (*ShadowOutput, error) {
	return k.m.shadow(ctx, c, shadow.Request{Name: shadow.Name{Thing: in.Thing, Shadow: in.Shadow}, Op: shadow.Get})
}

func (k dataDesk) updateShadow(ctx context.Context, c Call, in *updateShadowInput) (*ShadowOutput, error) {
	return k.m.shadow(ctx, c, shadow.Request{Name: shadow.Name{Thing: in.Thing, Shadow: in.Shadow}, Op: shadow.Update, Document: in.Payload})
}

func (k dataDesk) deleteShadow(ctx context.Context, c Call, in *shadowInput) (*ShadowOutput, error) {
	return k.m.shadow(ctx, c, shadow.Request{Name: shadow.Name{Thing: in.Thing, Shadow: in.Shadow}, Op: shadow.Delete})
}

// shadow does what was asked over HTTP. What was changed is told over MQTT as
// if it had been asked there; a refusal, and what was only read, is not.
func (m *MQTT) shadow(ctx context.Context, c Call, r shadow.Request) (*ShadowOutput, error) {
	if err := m.mayAsk(r.Name); err != nil {
		return nil, err
	}
	var waits waits
	a, err := m.Shadows.Do(ctx, r, func(a shadow.Answer) {
		if a.Err == nil && r.Op != shadow.Get {
			waits = m.tellShadow(r, a, &broker.Message{Trace: c.Caller.Trace})
		}
	})
	if err == nil {
		err = waits.wait(ctx)
	}
	if err != nil {
		return nil, err
	}
	return &ShadowOutput{a.Document}, nil
}

type listShadowsInput struct {
	Thing    string `aws:"path,thingName"`
	Token    string `aws:"query,nextToken"`
	PageSize *int   `aws:"query,pageSize"`
}

func (in *listShadowsInput) resource() string { return "thing/" + in.Thing }

type listShadowsOutput struct {
	Results   []string `json:"results"`
	NextToken string   `json:"nextToken,omitempty"`
	Timestamp int64    `json:"timestamp"`
}

func (k dataDesk) listShadows(ctx context.Context, _ Call, in *listShadowsInput) (*listShadowsOutput, error) {
	size := 25
	if in.PageSize != nil {
		size = *in.PageSize
	}
	if size < 1 || size > 100 {
		return nil, strait.Errorf(strait.Invalid, "request", "pageSize must be between 1 and 100")
	}
	after, err := base64.StdEncoding.DecodeString(in.Token)
	if err != nil {
		return nil, strait.Errorf(strait.Invalid, "request", "The nextToken is invalid.")
	}
	names, more, err := k.m.Shadows.List(ctx, in.Thing, string(after), size)
	if err != nil {
		return nil, err
	}
	out := &listShadowsOutput{Results: append([]string{}, names...), Timestamp: k.m.Now().Unix()}
	if more {
		out.NextToken = base64.StdEncoding.EncodeToString([]byte(names[len(names)-1]))
	}
	return out, nil
}

// refusedShadow is how a refusal is told over MQTT (iot-shadow-and-data.md,
// section 4).
type refusedShadow struct {
	Code      int    `json:"code"`
	Message   string `json:"message"`
	Timestamp int64  `json:"timestamp"`
	Token     string `json:"clientToken,omitempty"`
}

func shadowRefusal(a shadow.Answer) []byte {
	code, message := 500, "Internal service failure"
	var e *strait.Error
	errors.As(a.Err, &e)
	switch strait.KindOf(a.Err) {
	case strait.Invalid:
		code = 400
		if e.Thing == "encoding" {
			code = 415
		}
	case strait.NotFound:
		code = 404
	case strait.Conflict:
		code = 409
	case strait.TooLarge:
		code = 413
	case strait.Limit:
		code = 429
	case strait.Unavailable:
		code = 503
	}
	if code != 500 {
		message = plainly(a.Err)
	}
	b, err := json.Marshal(refusedShadow{code, message, a.Time.Unix(), a.Token})
	if err != nil {
		panic(err) // numbers and strings only
	}
	return b
}
