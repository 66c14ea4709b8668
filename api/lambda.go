package api

import (
	"context"
	"sync"
	"time"

	"strait"
	"strait/authz"
	"strait/function"
	"strait/identity"
	"strait/object"
	"strait/policy"
)

// Lambda returns the table of functions (lambda-runtime.md, section 6).
// objects is where code may be.
func Lambda(d *identity.Directory, e *function.Engine, objects object.Store, now func() time.Time) Service {
	k := lambdaDesk{d, e, objects, newCodeDesk(e, now), new(sync.Mutex)}
	s := Service{Name: "lambda", Scopes: []string{"lambda"}, Protocol: "rest-json"}
	for _, rows := range [][]Operation{k.functions(), k.versions(), k.permissionRows(), k.settings(), k.codes.rows()} {
		s.Operations = append(s.Operations, rows...)
	}
	return s
}

const functionsPath = "/2015-03-31/functions"

type lambdaDesk struct {
	directory *identity.Directory
	engine    *function.Engine
	objects   object.Store
	codes     codeDesk
	changing  *sync.Mutex // held while permissions are changed: read, altered and written
}

// ofFunction is the input of an operation on one function. The name may be a
// name, "name:qualifier", a partial or a full ARN.
type ofFunction interface {
	function() (name, qualifier string)
}

// A target is what an input names.
type target struct {
	name      string
	qualifier string     // "" for the function itself, also where it was called $LATEST
	explicit  string     // the qualifier as it was given
	arn       strait.ARN // with the qualifier, if there is one
}

// may makes the asks of an operation on a function, a version or an alias.
func may[In any, P interface {
	*In
	ofFunction
}](action strait.Action) func(context.Context, View, *Caller, *In) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *In) ([]Ask, error) {
		t, err := resolve(v, P(in))
		if err != nil {
			return nil, err
		}
		return ask(action, t.arn), nil
	}
}

// mayWhole makes the asks of an operation on a whole function, which takes no
// qualifier.
func mayWhole[In any, P interface {
	*In
	ofFunction
}](action strait.Action) func(context.Context, View, *Caller, *In) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *In) ([]Ask, error) {
		t, err := wholeFunction(v, P(in))
		if err != nil {
			return nil, err
		}
		return ask(action, t.arn), nil
	}
}

func noFunction(arn strait.ARN) error {
	return strait.Errorf(strait.NotFound, "function", "Function not found: %s", arn)
}

// find returns what in names.
func (k lambdaDesk) find(ctx context.Context, in ofFunction) (function.Function, target, error) {
	t, err := resolve(k.directory, in)
	if err != nil {
		return function.Function{}, t, err
	}
	f, err := k.engine.Resolve(ctx, t.name, t.qualifier)
	if err != nil && strait.KindOf(err) == strait.NotFound {
		err = noFunction(t.arn)
		if whole := t.qualifier == ""; whole && (t.explicit != "" || sayLatest(in)) {
			err = noFunction(t.arn + ":" + function.Latest)
		}
	}
	return f, t, err
}

// sayLatest tells whether an operation calls the function that it does not find
// by its version, which is how it is on AWS.
func sayLatest(in ofFunction) bool {
	switch in.(type) {
	case *InvokeInput, *concurrencyInput:
		return true
	}
	return false
}

// lambdaService is who takes the execution roles of functions.
const lambdaService = "lambda.amazonaws.com"

// passRole is what handing a role to a service needs (iam-evaluation.md,
// section 6.3).
func passRole(role strait.ARN, service string) Ask {
	x := policy.Context{}
	x.Set("iam:PassedToService", service)
	return Ask{Action: "iam:PassRole", Resource: role, Context: x}
}

// takes asks whether the trust policy of role lets service take it, which an
// operation needs that puts the two together. The operation answers a refusal:
// see taken.
func takes(v View, service string, role, source strait.ARN, trace string) Ask {
	as := v.Service(service, source, trace)
	return Ask{Action: "sts:AssumeRole", Resource: role, As: &as, Mode: authz.Answered}
}

// taken is nil when what takes asked about role was allowed, else why not. What
// was not asked, because another role stood there a moment ago, is refused.
func taken(v View, c Call, role strait.ARN) error {
	if v.RoleByARN(role) == nil {
		return strait.Errorf(strait.NotFound, "role", "the role %s does not exist", role)
	}
	for i, asked := range c.Asks {
		if asked.As == nil || asked.Resource != role {
			continue
		}
		if err := c.Verdicts[i].Err; err != nil {
			return err
		}
		return nil
	}
	return strait.Errorf(strait.Conflict, "role", "the role was changed while this was asked; try again")
}
