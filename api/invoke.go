package api

import (
	"context"
	"encoding/base64"
	"encoding/json"

	"github.com/google/uuid"

	"strait"
	"strait/function"
	"strait/policy"
)

// InvokeInput asks for a function to be run (lambda-runtime.md, section 4).
type InvokeInput struct {
	FunctionName  string `aws:"path,FunctionName"`
	Qualifier     string `aws:"query,Qualifier"`
	Type          string `aws:"header,X-Amz-Invocation-Type"`
	LogType       string `aws:"header,X-Amz-Log-Type"`
	ClientContext string `aws:"header,X-Amz-Client-Context"`
	Payload       []byte `aws:"payload"`
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
	f, err := k.find(ctx, in)
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
		if _, err := k.engine.Enqueue(ctx, f.Name, in.Payload, c.Caller.Trace); err != nil {
			return nil, err
		}
		return &InvokeOutput{Status: 202}, nil
	case "", "RequestResponse":
		r, err := k.engine.Invoke(ctx, f.Name, function.Request{Payload: in.Payload, Trace: c.Caller.Trace, LogTail: in.LogType == "Tail", ClientContext: string(client)})
		if err != nil {
			return nil, err
		}
		return &InvokeOutput{Status: 200, Version: r.Version, Failure: r.FunctionError, Log: base64.StdEncoding.EncodeToString(r.LogTail), Response: r.Payload}, nil
	}
	return nil, strait.Errorf(strait.Invalid, "request", "The invocation type %q is not one of RequestResponse, Event, DryRun.", in.Type)
}

type addPermissionInput struct {
	FunctionName  string `aws:"path,FunctionName" json:"-"`
	Qualifier     string `aws:"query,Qualifier" json:"-"`
	StatementId   string
	Action        string
	Principal     string
	SourceArn     string
	SourceAccount string
	RevisionId    string
	// Conditions that are not offered: kept out, so that a permission is never
	// wider than it was asked for.
	EventSourceToken    string
	PrincipalOrgID      string
	FunctionUrlAuthType string
}

func (in *addPermissionInput) function() (string, string) { return in.FunctionName, in.Qualifier }

func (k lambdaDesk) mayAddPermission(_ context.Context, v View, _ *Caller, in *addPermissionInput) ([]Ask, error) {
	arn, _, err := resolve(v, in)
	if err != nil {
		return nil, err
	}
	x := policy.Context{}
	x.Set("lambda:Principal", in.Principal)
	return askWith("lambda:AddPermission", arn, x), nil
}

type permission struct {
	Sid       string
	Effect    string
	Principal any
	Action    string
	Resource  strait.ARN
	Condition map[string]map[string]string `json:",omitempty"`
}

type permissions struct {
	Version   string
	Id        string
	Statement []json.RawMessage
}

func (k lambdaDesk) permissions(arn strait.ARN) (permissions, string, error) {
	p := permissions{Version: "2012-10-17", Id: "default"}
	r := k.directory.ResourcePolicy(arn)
	if r == nil {
		return p, "", nil
	}
	return p, r.Revision, json.Unmarshal([]byte(r.Document.Text), &p)
}

type addPermissionOutput struct{ Statement string }

func (in *addPermissionInput) statement(arn strait.ARN) (permission, error) {
	s := permission{Sid: in.StatementId, Effect: "Allow", Action: in.Action, Resource: arn}
	if in.EventSourceToken != "" || in.PrincipalOrgID != "" || in.FunctionUrlAuthType != "" {
		return s, strait.Errorf(strait.Unsupported, "parameter", "EventSourceToken, PrincipalOrgID and FunctionUrlAuthType are not offered here.")
	}
	if in.StatementId == "" || in.Action == "" || in.Principal == "" {
		return s, strait.Errorf(strait.Invalid, "request", "1 validation error detected: StatementId, Action and Principal must not be empty")
	}
	switch {
	case in.Principal == "*":
		s.Principal = "*"
	case len(in.Principal) == 12 && digits(in.Principal):
		s.Principal = map[string]string{"AWS": "arn:aws:iam::" + in.Principal + ":root"}
	case hasPrefix(in.Principal, "arn:"):
		s.Principal = map[string]string{"AWS": in.Principal}
	default:
		s.Principal = map[string]string{"Service": in.Principal}
	}
	if in.SourceArn != "" || in.SourceAccount != "" {
		s.Condition = map[string]map[string]string{}
		if in.SourceArn != "" {
			s.Condition["ArnLike"] = map[string]string{"AWS:SourceArn": in.SourceArn}
		}
		if in.SourceAccount != "" {
			s.Condition["StringEquals"] = map[string]string{"AWS:SourceAccount": in.SourceAccount}
		}
	}
	return s, nil
}

func digits(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func (k lambdaDesk) addPermission(ctx context.Context, _ Call, in *addPermissionInput) (*addPermissionOutput, error) {
	f, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	s, err := in.statement(f.ARN)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return &addPermissionOutput{string(text)}, k.changePermissions(ctx, f.ARN, in.RevisionId, func(p *permissions) error {
		if find(p, in.StatementId) >= 0 {
			return strait.Errorf(strait.Exists, "permission", "The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", in.StatementId)
		}
		p.Statement = append(p.Statement, text)
		return nil
	})
}

func find(p *permissions, sid string) int {
	for i, raw := range p.Statement {
		var s struct{ Sid string }
		if json.Unmarshal(raw, &s) == nil && s.Sid == sid {
			return i
		}
	}
	return -1
}

func (k lambdaDesk) changePermissions(ctx context.Context, arn strait.ARN, revision string, change func(*permissions) error) error {
	k.changing.Lock()
	defer k.changing.Unlock()
	p, current, err := k.permissions(arn)
	if err != nil {
		return err
	}
	if revision != "" && revision != current {
		return strait.Errorf(strait.Precondition, "revision", "The RevisionId provided does not match the latest RevisionId.")
	}
	if err := change(&p); err != nil {
		return err
	}
	if len(p.Statement) == 0 {
		return k.directory.DropResourcePolicy(ctx, arn)
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return k.directory.SetResourcePolicy(ctx, policy.Function, arn, string(text), uuid.NewString())
}

type getPolicyOutput struct {
	Policy     string
	RevisionId string
}

func noPermissions() error {
	return strait.Errorf(strait.NotFound, "policy", "The resource you requested does not exist.")
}

func (k lambdaDesk) getPolicy(ctx context.Context, _ Call, in *functionInput) (*getPolicyOutput, error) {
	f, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	r := k.directory.ResourcePolicy(f.ARN)
	if r == nil {
		return nil, noPermissions()
	}
	return &getPolicyOutput{r.Document.Text, r.Revision}, nil
}

type removePermissionInput struct {
	FunctionName string `aws:"path,FunctionName"`
	StatementId  string `aws:"path,StatementId"`
	RevisionId   string `aws:"query,RevisionId"`
	Qualifier    string `aws:"query,Qualifier"`
}

func (in *removePermissionInput) function() (string, string) { return in.FunctionName, in.Qualifier }

func (k lambdaDesk) removePermission(ctx context.Context, _ Call, in *removePermissionInput) (*Nothing, error) {
	f, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	return nil, k.changePermissions(ctx, f.ARN, in.RevisionId, func(p *permissions) error {
		i := find(p, in.StatementId)
		if i < 0 {
			return noPermissions()
		}
		p.Statement = append(p.Statement[:i], p.Statement[i+1:]...)
		return nil
	})
}
