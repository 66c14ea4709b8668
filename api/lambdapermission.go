package api

import (
	"context"
	"encoding/json"
	"regexp"

	"github.com/google/uuid"

	"strait"
	"strait/function"
	"strait/policy"
)

func (k lambdaDesk) permissionRows() []Operation {
	const p = functionsPath + "/{FunctionName}/policy"
	return []Operation{
		op("AddPermission", "POST "+p, k.mayAddPermission, k.addPermission).status(201),
		op("GetPolicy", "GET "+p, may[functionInput]("lambda:GetPolicy"), k.getPolicy),
		op("RemovePermission", "DELETE "+p+"/{StatementId}", may[removePermissionInput]("lambda:RemovePermission"), k.removePermission).status(204),
	}
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
	ViaURL              bool `json:"InvokedViaFunctionUrl"`
}

func (in *addPermissionInput) function() (string, string) { return in.FunctionName, in.Qualifier }

func (k lambdaDesk) mayAddPermission(_ context.Context, v View, _ *Caller, in *addPermissionInput) ([]Ask, error) {
	t, err := resolve(v, in)
	if err != nil {
		return nil, err
	}
	x := policy.Context{}
	x.Set("lambda:Principal", in.Principal)
	return askWith("lambda:AddPermission", t.arn, x), nil
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

// What AWS's model allows in a permission.
var (
	statementRE  = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,100}$`)
	permissionRE = regexp.MustCompile(`^(lambda:(\*|[a-zA-Z]+)|\*)$`)
	serviceRE    = regexp.MustCompile(`\.(amazonaws\.com(\.cn)?|amazon\.com)$`)
	principalRE  = regexp.MustCompile(`^[^\s]{1,256}$`)
)

func (in *addPermissionInput) statement(arn strait.ARN) (permission, error) {
	s := permission{Sid: in.StatementId, Effect: "Allow", Action: in.Action, Resource: arn}
	if in.EventSourceToken != "" || in.PrincipalOrgID != "" || in.FunctionUrlAuthType != "" || in.ViaURL {
		return s, strait.Errorf(strait.Unsupported, "parameter", "EventSourceToken, PrincipalOrgID, FunctionUrlAuthType and InvokedViaFunctionUrl are not offered here.")
	}
	for _, m := range []struct {
		at, value string
		re        *regexp.Regexp
		pattern   string
	}{
		{"statementId", in.StatementId, statementRE, "([a-zA-Z0-9-_]+)"},
		{"action", in.Action, permissionRE, `(lambda:[*]|lambda:[a-zA-Z]+|[*])`},
		{"principal", in.Principal, principalRE, `[^\s]+`},
	} {
		if !m.re.MatchString(m.value) {
			return s, strait.Errorf(strait.Invalid, "request", "1 validation error detected: Value '%.130s' at '%s' failed to satisfy constraint: Member must satisfy regular expression pattern: %s", m.value, m.at, m.pattern)
		}
	}
	if a := in.SourceAccount; a != "" && (len(a) != 12 || !digits(a)) {
		return s, strait.Errorf(strait.Invalid, "request", "1 validation error detected: Value '%.130s' at 'sourceAccount' failed to satisfy constraint: Member must satisfy regular expression pattern: \\d{12}", a)
	}
	switch {
	case in.Principal == "*":
		s.Principal = "*"
	case len(in.Principal) == 12 && digits(in.Principal):
		s.Principal = map[string]string{"AWS": "arn:aws:iam::" + in.Principal + ":root"}
	case hasPrefix(in.Principal, "arn:"):
		s.Principal = map[string]string{"AWS": in.Principal}
	case serviceRE.MatchString(in.Principal):
		s.Principal = map[string]string{"Service": in.Principal}
	default:
		return s, strait.Errorf(strait.Invalid, "principal", "The provided principal was invalid. Please check the principal and try again.")
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
	f, t, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	if t.explicit == function.Latest {
		return nil, strait.Errorf(strait.Invalid, "qualifier", "We currently do not support adding policies for $LATEST.")
	}
	s, err := in.statement(t.arn)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	// The first permission knows no revision but that of what it is for.
	if in.RevisionId != "" && k.directory.ResourcePolicy(t.arn) == nil {
		own, err := k.revision(ctx, f, t)
		if err != nil {
			return nil, err
		}
		if in.RevisionId == own {
			in.RevisionId = ""
		}
	}
	return &addPermissionOutput{string(text)}, k.changePermissions(ctx, t.arn, in.RevisionId, func(p *permissions) error {
		if find(p, in.StatementId) >= 0 {
			return strait.Errorf(strait.Exists, "permission", "The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", in.StatementId)
		}
		p.Statement = append(p.Statement, text)
		return nil
	})
}

// revision is that of the alias, or of the version or function, that t names.
func (k lambdaDesk) revision(ctx context.Context, f function.Function, t target) (string, error) {
	if digits(t.qualifier) {
		return f.Revision, nil
	}
	a, err := k.engine.Alias(ctx, t.name, t.qualifier)
	return a.Revision, err
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
	_, t, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	r := k.directory.ResourcePolicy(t.arn)
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
	_, t, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	return nil, k.changePermissions(ctx, t.arn, in.RevisionId, func(p *permissions) error {
		i := find(p, in.StatementId)
		switch {
		case len(p.Statement) == 0:
			return strait.Errorf(strait.NotFound, "policy", "No policy is associated with the given resource.")
		case i < 0:
			return strait.Errorf(strait.NotFound, "policy", "Statement %.100s is not found in resource policy.", in.StatementId)
		}
		p.Statement = append(p.Statement[:i], p.Statement[i+1:]...)
		return nil
	})
}
