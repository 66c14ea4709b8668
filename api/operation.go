// Package api is the corridor: every operation that the outside may ask for,
// one row each, and the one function that serves them all.
//
// A row (Operation) says how the operation is called, what shape it takes and
// gives, what it needs to be allowed (its asks) and what it does. Corridor.Serve
// walks a row: read the input, ask permission, run. No row checks permission
// by itself, and none can be reached without a Caller. Doors choose a row and
// put shapes into bytes; engines do the work.
//
// Begin with Operation and Corridor in this file; tables are in sts.go, iam.go,
// iot.go, iotdata.go, s3.go, lambda.go, strait.go and, for MQTT, mqtt.go.
package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"reflect"

	"strait"
	"strait/authz"
	"strait/identity"
	"strait/policy"
)

// A Caller is who asks, once proven.
type Caller = identity.Caller

// Signing is how an S3 request was signed.
type Signing = identity.Signing

// An Ask is one thing that an operation needs to be allowed.
type Ask = authz.Ask

// A View is what the asks of a row may read besides the input: what depends
// on who or what exists (the role behind an ARN, the bucket of a copy).
type View interface {
	Place() strait.Place
	RoleByARN(strait.ARN) *identity.Role
	Role(name string) (*identity.Role, error)
	User(name string) (*identity.User, error)
	AccessKey(id string) *identity.AccessKey
	CertificateByID(id string) *identity.CertificateRecord
	Thing(name string) (*identity.Thing, error)
	RoleAlias(name string) (*identity.RoleAlias, error)
	Service(name string, source strait.ARN, trace string) Caller
}

// A Call is what the running operation may know about its request.
type Call struct {
	Caller   *Caller
	Asks     []Ask
	Verdicts []authz.Verdict // one for each ask, in order
}

// An Operation is one row of a service's table.
type Operation struct {
	Name string // as AWS calls it
	// Route is method, path template and query keys for the rest protocols:
	// "PUT /{Bucket}/{Key+}?partNumber&uploadId". {X+} takes slashes, too.
	// A key may have a value: "?list-type=2". A third word is a header that
	// must be there: "PUT /{Bucket}/{Key+} X-Amz-Copy-Source".
	Route string
	// Status is the HTTP status of success; 0 is 200.
	Status int
	// Open is true for rows that anonymous callers may reach; what they may
	// do is still decided by policies.
	Open bool
	// Own is true for rows that AWS does not have.
	Own bool

	in   func() any
	asks func(context.Context, View, *Caller, any) ([]Ask, error)
	run  func(context.Context, Call, any) (any, error)
}

// A Service is a table of operations that speak one protocol.
type Service struct {
	Name      string   // "sts"
	Scopes    []string // service names that a signature's scope may have
	Version   string   // of the query protocol
	Protocol  string   // "query", "rest-json", "rest-xml", "json-1.1"
	Namespace string   // of XML answers
	Account   string   // who owns the buckets of S3
	Target    string   // of json-1.1: what stands before the operation's name in X-Amz-Target

	Operations []Operation
}

// op makes a row. asks may be nil only for what nobody needs permission for.
func op[In, Out any](name, route string,
	asks func(context.Context, View, *Caller, *In) ([]Ask, error),
	run func(context.Context, Call, *In) (*Out, error)) Operation {
	o := Operation{Name: name, Route: route,
		in: func() any { return new(In) },
		run: func(ctx context.Context, c Call, in any) (any, error) {
			out, err := run(ctx, c, in.(*In))
			if err != nil || out == nil {
				return nil, err
			}
			return out, nil
		},
	}
	if asks != nil {
		o.asks = func(ctx context.Context, v View, c *Caller, in any) ([]Ask, error) { return asks(ctx, v, c, in.(*In)) }
	}
	return o
}

// status returns o with another status of success.
func (o Operation) status(code int) Operation {
	o.Status = code
	return o
}

// open returns o as a row that anonymous callers may reach.
func (o Operation) open() Operation {
	o.Open = true
	return o
}

// own returns o as a row that AWS does not have.
func (o Operation) own() Operation {
	o.Own = true
	return o
}

// ask is the usual answer of asks: one action on one resource.
func ask(action strait.Action, resource strait.ARN) []Ask {
	return []Ask{{Action: action, Resource: resource}}
}

// askWith is ask with condition keys of the operation.
func askWith(action strait.Action, resource strait.ARN, x policy.Context) []Ask {
	return []Ask{{Action: action, Resource: resource, Context: x}}
}

// Nothing is the shape of what is empty.
type Nothing struct{}

// A Corridor serves operations.
type Corridor struct {
	Directory  *identity.Directory
	Authorizer *authz.Authorizer
	Log        *slog.Logger
}

// Serve runs o for c. decode reads the request into the operation's own shape
// without touching a body that streams; what Serve returns is encoded by the
// door. Every error is a *strait.Error.
func (k *Corridor) Serve(ctx context.Context, c *Caller, o *Operation, decode func(in any) error) (any, error) {
	out, err := k.serve(ctx, c, o, decode)
	if err == nil {
		return out, nil
	}
	var e *strait.Error
	if !errors.As(err, &e) {
		e = &strait.Error{Kind: strait.Internal, Thing: "server", Message: "an internal error occurred", Err: err}
	}
	if e.Kind == strait.Internal {
		k.Log.Error("operation failed", "operation", o.Name, "error", err, "trace", c.Trace)
	}
	return nil, e
}

func (k *Corridor) serve(ctx context.Context, c *Caller, o *Operation, decode func(in any) error) (any, error) {
	if c.Kind == strait.Anonymous && !o.Open {
		return nil, strait.Errorf(strait.Unauthenticated, "credentials", "Request is missing Authentication Token")
	}
	// 1. Read the request into the operation's own shape.
	in := o.in()
	if err := decode(in); err != nil {
		return nil, err
	}
	// 2. Ask permission, before anything is touched.
	call := Call{Caller: c}
	if o.asks != nil {
		asks, err := o.asks(ctx, k.Directory, c, in)
		if err != nil {
			return nil, err
		}
		if len(asks) == 0 {
			return nil, &strait.Error{Kind: strait.Internal, Thing: "server", Message: "an operation that must ask asked nothing"}
		}
		call.Asks = asks
		if call.Verdicts, err = k.Authorizer.Ask(c, o.Name, asks...); err != nil {
			return nil, err
		}
	}
	// 3. Do it.
	return o.run(ctx, call, in)
}

// Find returns the row called name.
func (s *Service) Find(name string) *Operation {
	for i := range s.Operations {
		if s.Operations[i].Name == name {
			return &s.Operations[i]
		}
	}
	return nil
}

// A Payload is a body that streams. Its Reader returns an error instead of
// io.EOF when the body is not what was signed.
type Payload struct {
	io.Reader
	Size    int64                    // -1 when it is not known before the end
	Trailer func() map[string]string // trailing headers, after io.EOF
}

// Input returns an empty input of o, for those who look at its shape.
func (o *Operation) Input() any { return o.in() }

// Reads tells whether the input of o has a member for the query key.
func (o *Operation) Reads(key string) bool {
	t := reflect.TypeOf(o.in()).Elem()
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("aws") == "query,"+key {
			return true
		}
	}
	return false
}

// NewTrace makes the id of a trace, for a request that belongs to none.
func NewTrace() string { return authz.NewTrace() }
