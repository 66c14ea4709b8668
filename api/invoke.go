package api

import (
	"context"
	"encoding/base64"
	"encoding/json"

	"strait"
	"strait/function"
)

// InvokeInput asks for a function to be run (lambda-runtime.md, section 4).
type InvokeInput struct {
	FunctionName  string `aws:"path,FunctionName"`
	Qualifier     string `aws:"query,Qualifier"`
	Type          string `aws:"header,X-Amz-Invocation-Type"`
	LogType       string `aws:"header,X-Amz-Log-Type"`
	ClientContext string `aws:"header,X-Amz-Client-Context"`
	Payload       []byte `aws:"payload"`

	// Hops counts the events that led to this one by destinations; nothing on
	// the wire sets it.
	Hops int
}

func (in *InvokeInput) function() (string, string) { return in.FunctionName, in.Qualifier }

// InvokeOutput is what came of it.
type InvokeOutput struct {
	Status   int    `aws:"status"`
	Version  string `aws:"header,X-Amz-Executed-Version"`
	Failure  string `aws:"header,X-Amz-Function-Error"`
	Log      string `aws:"header,X-Amz-Log-Result"`
	Response []byte `aws:"payload"`
}

func (k lambdaDesk) invoke(ctx context.Context, c Call, in *InvokeInput) (*InvokeOutput, error) {
	f, t, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	if len(in.Payload) > 0 && !json.Valid(in.Payload) {
		return nil, strait.Errorf(strait.Invalid, "payload", "Could not parse request body into json: it is not valid JSON")
	}
	var client []byte
	if in.ClientContext != "" {
		if client, err = base64.StdEncoding.DecodeString(in.ClientContext); err != nil {
			return nil, strait.Errorf(strait.Invalid, "payload", "Client context must be a valid Base64-encoded JSON object.")
		}
	}
	switch in.Type {
	case "DryRun":
		return &InvokeOutput{Status: 204}, nil
	case "Event":
		if _, err := k.engine.Queue(ctx, f.Name, function.Request{Payload: in.Payload, Trace: c.Caller.Trace, Qualifier: t.qualifier}, in.Hops); err != nil {
			return nil, err
		}
		return &InvokeOutput{Status: 202}, nil
	case "", "RequestResponse":
		r, err := k.engine.Invoke(ctx, f.Name, function.Request{Payload: in.Payload, Trace: c.Caller.Trace, LogTail: in.LogType == "Tail", ClientContext: string(client), Qualifier: t.qualifier})
		if err != nil {
			return nil, err
		}
		return &InvokeOutput{Status: 200, Version: r.Version, Failure: r.FunctionError, Log: base64.StdEncoding.EncodeToString(r.LogTail), Response: r.Payload}, nil
	}
	return nil, strait.Errorf(strait.Invalid, "request", "The invocation type %q is not one of RequestResponse, Event, DryRun.", in.Type)
}
