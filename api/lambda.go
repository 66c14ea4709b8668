package api

import (
	"context"
	"strings"
	"sync"

	"strait"
	"strait/authz"
	"strait/function"
	"strait/identity"
	"strait/policy"
)

// Lambda returns the table of functions (lambda-runtime.md, section 6).
func Lambda(d *identity.Directory, a *authz.Authorizer, e *function.Engine) Service {
	k := lambdaDesk{d, a, e, new(sync.Mutex)}
	const f = "/2015-03-31/functions"
	return Service{
		Name: "lambda", Scopes: []string{"lambda"}, Protocol: "rest-json",
		Operations: []Operation{
			op("CreateFunction", "POST "+f, k.mayCreate, k.createFunction).status(201),
			op("ListFunctions", "GET "+f, k.mayList, k.listFunctions),
			op("GetFunction", "GET "+f+"/{FunctionName}", may[functionInput]("lambda:GetFunction"), k.getFunction),
			op("GetFunctionConfiguration", "GET "+f+"/{FunctionName}/configuration", may[functionInput]("lambda:GetFunctionConfiguration"), k.getConfiguration),
			op("UpdateFunctionCode", "PUT "+f+"/{FunctionName}/code", may[updateCodeInput]("lambda:UpdateFunctionCode"), k.updateCode),
			op("UpdateFunctionConfiguration", "PUT "+f+"/{FunctionName}/configuration", k.mayConfigure, k.updateConfiguration),
			op("DeleteFunction", "DELETE "+f+"/{FunctionName}", may[functionInput]("lambda:DeleteFunction"), k.deleteFunction).status(204),
			op("ListVersionsByFunction", "GET "+f+"/{FunctionName}/versions", may[functionInput]("lambda:ListVersionsByFunction"), k.listVersions),
			op("Invoke", "POST "+f+"/{FunctionName}/invocations", may[InvokeInput]("lambda:InvokeFunction"), k.invoke),
			op("AddPermission", "POST "+f+"/{FunctionName}/policy", k.mayAddPermission, k.addPermission).status(201),
			op("GetPolicy", "GET "+f+"/{FunctionName}/policy", may[functionInput]("lambda:GetPolicy"), k.getPolicy),
			op("RemovePermission", "DELETE "+f+"/{FunctionName}/policy/{StatementId}", may[removePermissionInput]("lambda:RemovePermission"), k.removePermission).status(204),
			op("GetFunctionCodeSigningConfig", "GET /2020-06-30/functions/{FunctionName}/code-signing-config", may[functionInput]("lambda:GetFunctionCodeSigningConfig"), k.codeSigning),
			op("PutFunctionConcurrency", "PUT /2017-10-31/functions/{FunctionName}/concurrency", may[concurrencyInput]("lambda:PutFunctionConcurrency"), k.putConcurrency),
			op("DeleteFunctionConcurrency", "DELETE /2017-10-31/functions/{FunctionName}/concurrency", may[functionInput]("lambda:DeleteFunctionConcurrency"), k.deleteConcurrency).status(204),
			op("GetFunctionConcurrency", "GET /2019-09-30/functions/{FunctionName}/concurrency", may[functionInput]("lambda:GetFunctionConcurrency"), k.getConcurrency),
			op("ListTags", "GET /2017-03-31/tags/{Resource}", may[tagsInput]("lambda:ListTags"), k.listTags),
			op("TagResource", "POST /2017-03-31/tags/{Resource}", may[tagInput]("lambda:TagResource"), k.tag).status(204),
			op("UntagResource", "DELETE /2017-03-31/tags/{Resource}", may[untagInput]("lambda:UntagResource"), k.untag).status(204),
		},
	}
}

type lambdaDesk struct {
	directory  *identity.Directory
	authorizer *authz.Authorizer
	engine     *function.Engine
	changing   *sync.Mutex // held while permissions are changed: read, altered and written
}

// ofFunction is the input of an operation on one function. The name may be a
// name, "name:$LATEST", a partial or a full ARN; other qualifiers are refused,
// as there are no versions yet.
type ofFunction interface {
	function() (name, qualifier string)
}

// may makes the asks of an operation on one function.
func may[In any, P interface {
	*In
	ofFunction
}](action strait.Action) func(context.Context, View, *Caller, *In) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *In) ([]Ask, error) {
		arn, _, err := resolve(v, P(in))
		if err != nil {
			return nil, err
		}
		return ask(action, arn), nil
	}
}

// resolve returns the ARN and the name of the function that in names.
func resolve(v View, in ofFunction) (strait.ARN, string, error) {
	name, qualifier := in.function()
	p := v.Place()
	if rest, ok := strings.CutPrefix(name, "arn:aws:lambda:"); ok {
		parts := strings.SplitN(rest, ":", 4)
		if len(parts) < 4 || parts[0] != p.Region || parts[1] != p.Account || parts[2] != "function" {
			return "", "", noFunction(strait.ARN(name))
		}
		name = parts[3]
	} else if rest, ok := strings.CutPrefix(name, p.Account+":function:"); ok {
		name = rest
	} else if rest, ok := strings.CutPrefix(name, "function:"); ok {
		name = rest
	}
	if n, q, ok := strings.Cut(name, ":"); ok {
		name, qualifier = n, q
	}
	if qualifier != "" && qualifier != "$LATEST" {
		return "", "", noFunction(p.Lambda(name + ":" + qualifier))
	}
	return p.Lambda(name), name, nil
}

func noFunction(arn strait.ARN) error {
	return strait.Errorf(strait.NotFound, "function", "Function not found: %s", arn)
}

type functionInput struct {
	FunctionName string `aws:"path,FunctionName" json:"-"`
	Qualifier    string `aws:"query,Qualifier" json:"-"`
}

func (in *functionInput) function() (string, string) { return in.FunctionName, in.Qualifier }

type environment struct {
	Variables map[string]string `json:",omitempty"`
}

type functionCode struct {
	ZipFile  []byte
	S3Bucket string
	S3Key    string
	ImageUri string
}

type createFunctionInput struct {
	FunctionName  string
	Role          strait.ARN
	Runtime       string
	Handler       string
	Description   string
	Timeout       int
	MemorySize    int
	Environment   environment
	Code          functionCode
	PackageType   string
	Architectures []string
	Layers        []string
	Tags          map[string]string
	Publish       bool
}

type functionConfiguration struct {
	FunctionName     string
	FunctionArn      strait.ARN
	Runtime          string `json:",omitempty"`
	Role             strait.ARN
	Handler          string
	CodeSize         int64
	Description      string
	Timeout          int
	MemorySize       int
	LastModified     string
	CodeSha256       string
	Version          string
	Environment      *environment `json:",omitempty"`
	TracingConfig    map[string]string
	RevisionId       string
	State            string
	LastUpdateStatus string
	PackageType      string
	Architectures    []string
	EphemeralStorage map[string]int
	SnapStart        map[string]string
	LoggingConfig    map[string]string
}

func configuration(f function.Function) *functionConfiguration {
	c := &functionConfiguration{
		FunctionName: f.Name, FunctionArn: f.ARN, Runtime: f.Runtime, Role: f.Role, Handler: f.Handler, CodeSize: f.CodeSize,
		Description: f.Description, Timeout: f.Timeout, MemorySize: f.MemorySize, LastModified: f.Modified.UTC().Format("2006-01-02T15:04:05.000-0700"),
		CodeSha256: f.CodeSHA256, Version: "$LATEST", TracingConfig: map[string]string{"Mode": "PassThrough"}, RevisionId: f.Revision,
		State: "Active", LastUpdateStatus: "Successful", PackageType: "Zip", Architectures: []string{"x86_64"},
		EphemeralStorage: map[string]int{"Size": 512}, SnapStart: map[string]string{"ApplyOn": "None", "OptimizationStatus": "Off"},
		LoggingConfig: map[string]string{"LogFormat": "Text", "LogGroup": "/aws/lambda/" + f.Name},
	}
	if len(f.Environment) > 0 {
		c.Environment = &environment{f.Environment}
	}
	return c
}

// mayCreate: whoever makes a function hands it a role, which needs PassRole.
func (k lambdaDesk) mayCreate(_ context.Context, v View, _ *Caller, in *createFunctionInput) ([]Ask, error) {
	arn, _, err := resolve(v, &functionInput{FunctionName: in.FunctionName})
	if err != nil {
		return nil, err
	}
	return append(ask("lambda:CreateFunction", arn), passRole(in.Role, "lambda.amazonaws.com")), nil
}

// passRole is what handing a role to a service needs (iam-evaluation.md,
// section 6.3).
func passRole(role strait.ARN, service string) Ask {
	x := policy.Context{}
	x.Set("iam:PassedToService", service)
	return Ask{Action: "iam:PassRole", Resource: role, Context: x}
}

// assumable tells whether the trust policy of role lets service take it.
func assumable(d *identity.Directory, a *authz.Authorizer, role strait.ARN, service string, source strait.ARN, trace string) error {
	if d.RoleByARN(role) == nil {
		return strait.Errorf(strait.NotFound, "role", "the role %s does not exist", role)
	}
	c := d.Service(service, source, trace)
	_, err := a.Ask(&c, "AssumeRole", Ask{Action: "sts:AssumeRole", Resource: role})
	return err
}

func (in *createFunctionInput) check() error {
	switch {
	case in.PackageType != "" && in.PackageType != "Zip" || in.Code.ImageUri != "":
		return strait.Errorf(strait.Unsupported, "parameter", "Functions from container images are not offered here; use a zip.")
	case in.Code.S3Bucket != "" || in.Code.S3Key != "":
		return strait.Errorf(strait.Unsupported, "parameter", "Code from S3 is not offered yet; send it as ZipFile.")
	case len(in.Layers) > 0:
		return strait.Errorf(strait.Unsupported, "parameter", "Layers are not offered yet.")
	case in.Publish:
		return strait.Errorf(strait.Unsupported, "parameter", "Versions are not offered yet (Publish).")
	case len(in.Code.ZipFile) == 0:
		return strait.Errorf(strait.Invalid, "code", "Please provide a source for function code.")
	}
	return nil
}

func (k lambdaDesk) createFunction(ctx context.Context, c Call, in *createFunctionInput) (*functionConfiguration, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	arn, name, err := resolve(k.directory, &functionInput{FunctionName: in.FunctionName})
	if err != nil {
		return nil, err
	}
	if err := assumable(k.directory, k.authorizer, in.Role, "lambda.amazonaws.com", arn, c.Caller.Trace); err != nil {
		return nil, strait.Errorf(strait.Invalid, "role", "The role defined for the function cannot be assumed by Lambda.")
	}
	f, err := k.engine.Create(ctx, function.Function{
		Name: name, Role: in.Role, Runtime: in.Runtime, Handler: in.Handler, Description: in.Description,
		Timeout: in.Timeout, MemorySize: in.MemorySize, Environment: in.Environment.Variables, Tags: in.Tags,
	}, in.Code.ZipFile)
	if err != nil {
		if strait.KindOf(err) == strait.Exists {
			err = strait.Errorf(strait.Exists, "function", "Function already exist: %s", name)
		}
		return nil, err
	}
	return configuration(f), nil
}

func (k lambdaDesk) find(ctx context.Context, in ofFunction) (function.Function, error) {
	arn, name, err := resolve(k.directory, in)
	if err != nil {
		return function.Function{}, err
	}
	f, err := k.engine.Get(ctx, name)
	if strait.KindOf(err) == strait.NotFound && err != nil {
		err = noFunction(arn)
	}
	return f, err
}

type listFunctionsInput struct {
	Marker   string `aws:"query,Marker"`
	MaxItems int    `aws:"query,MaxItems"`
}

type listFunctionsOutput struct {
	Functions  []*functionConfiguration
	NextMarker string `json:",omitempty"`
}

func (k lambdaDesk) mayList(_ context.Context, _ View, _ *Caller, _ *listFunctionsInput) ([]Ask, error) {
	return ask("lambda:ListFunctions", "*"), nil
}

func (k lambdaDesk) listFunctions(ctx context.Context, _ Call, in *listFunctionsInput) (*listFunctionsOutput, error) {
	limit := in.MaxItems
	if limit <= 0 || limit > 50 {
		limit = 50
	}
	fs, err := k.engine.List(ctx, in.Marker, limit+1)
	if err != nil {
		return nil, err
	}
	out := &listFunctionsOutput{Functions: []*functionConfiguration{}}
	for i, f := range fs {
		if i == limit {
			out.NextMarker = fs[i-1].Name
			break
		}
		out.Functions = append(out.Functions, configuration(f))
	}
	return out, nil
}

type codeLocation struct {
	RepositoryType string
	Location       string
}

type getFunctionOutput struct {
	Configuration *functionConfiguration
	Code          codeLocation
	Tags          map[string]string `json:",omitempty"`
	Concurrency   map[string]int    `json:",omitempty"`
}

func (k lambdaDesk) getFunction(ctx context.Context, _ Call, in *functionInput) (*getFunctionOutput, error) {
	f, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	out := &getFunctionOutput{Configuration: configuration(f), Tags: f.Tags,
		// The zip is kept, but there is no URL for it.
		Code: codeLocation{"S3", "strait://functions/" + f.Name + "/" + f.CodeSHA256}}
	if f.Reserved != nil {
		out.Concurrency = map[string]int{"ReservedConcurrentExecutions": *f.Reserved}
	}
	return out, nil
}

func (k lambdaDesk) getConfiguration(ctx context.Context, _ Call, in *functionInput) (*functionConfiguration, error) {
	f, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	return configuration(f), nil
}

type updateCodeInput struct {
	ZipFile      []byte
	S3Bucket     string
	S3Key        string
	ImageUri     string
	Publish      bool
	DryRun       bool
	RevisionId   string
	FunctionName string `aws:"path,FunctionName" json:"-"`
}

func (in *updateCodeInput) function() (string, string) { return in.FunctionName, "" }

func (k lambdaDesk) updateCode(ctx context.Context, _ Call, in *updateCodeInput) (*functionConfiguration, error) {
	check := createFunctionInput{Publish: in.Publish, Code: functionCode{in.ZipFile, in.S3Bucket, in.S3Key, in.ImageUri}}
	if err := check.check(); err != nil {
		return nil, err
	}
	f, err := k.find(ctx, in)
	if err != nil || in.DryRun {
		return configuration(f), err
	}
	if f, err = k.engine.UpdateCode(ctx, f.Name, in.RevisionId, in.ZipFile); err != nil {
		return nil, err
	}
	return configuration(f), nil
}

type updateConfigurationInput struct {
	FunctionName string `aws:"path,FunctionName" json:"-"`
	Role         *strait.ARN
	Runtime      *string
	Handler      *string
	Description  *string
	Timeout      *int
	MemorySize   *int
	Environment  *environment
	RevisionId   string
}

func (in *updateConfigurationInput) function() (string, string) { return in.FunctionName, "" }

func (k lambdaDesk) mayConfigure(_ context.Context, v View, _ *Caller, in *updateConfigurationInput) ([]Ask, error) {
	arn, _, err := resolve(v, in)
	if err != nil {
		return nil, err
	}
	asks := ask("lambda:UpdateFunctionConfiguration", arn)
	if in.Role != nil {
		asks = append(asks, passRole(*in.Role, "lambda.amazonaws.com"))
	}
	return asks, nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func (k lambdaDesk) updateConfiguration(ctx context.Context, c Call, in *updateConfigurationInput) (*functionConfiguration, error) {
	f, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	if in.Role != nil {
		if err := assumable(k.directory, k.authorizer, *in.Role, "lambda.amazonaws.com", f.ARN, c.Caller.Trace); err != nil {
			return nil, strait.Errorf(strait.Invalid, "role", "The role defined for the function cannot be assumed by Lambda.")
		}
	}
	f, err = k.engine.UpdateConfig(ctx, f.Name, in.RevisionId, func(f *function.Function) {
		set(&f.Role, in.Role)
		set(&f.Runtime, in.Runtime)
		set(&f.Handler, in.Handler)
		set(&f.Description, in.Description)
		set(&f.Timeout, in.Timeout)
		set(&f.MemorySize, in.MemorySize)
		if in.Environment != nil {
			f.Environment = in.Environment.Variables
		}
	})
	if err != nil {
		return nil, err
	}
	return configuration(f), nil
}

func (k lambdaDesk) deleteFunction(ctx context.Context, _ Call, in *functionInput) (*Nothing, error) {
	f, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	// The permissions first: a function without them can be invoked by nobody
	// from outside; permissions without a function would wait for the next one
	// of that name.
	if err := k.directory.DropResourcePolicy(ctx, f.ARN); err != nil {
		return nil, err
	}
	return nil, k.engine.Delete(ctx, f.Name)
}

type listVersionsOutput struct{ Versions []*functionConfiguration }

func (k lambdaDesk) listVersions(ctx context.Context, _ Call, in *functionInput) (*listVersionsOutput, error) {
	f, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	c := configuration(f)
	c.FunctionArn += ":$LATEST"
	return &listVersionsOutput{[]*functionConfiguration{c}}, nil
}

type codeSigningOutput struct{ FunctionName string }

func (k lambdaDesk) codeSigning(ctx context.Context, _ Call, in *functionInput) (*codeSigningOutput, error) {
	f, err := k.find(ctx, in)
	return &codeSigningOutput{f.Name}, err
}

type concurrencyInput struct {
	FunctionName                 string `aws:"path,FunctionName" json:"-"`
	ReservedConcurrentExecutions int
}

func (in *concurrencyInput) function() (string, string) { return in.FunctionName, "" }

type concurrencyOutput struct {
	ReservedConcurrentExecutions *int `json:",omitempty"`
}

func (k lambdaDesk) putConcurrency(ctx context.Context, _ Call, in *concurrencyInput) (*concurrencyOutput, error) {
	f, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	n := in.ReservedConcurrentExecutions
	_, err = k.engine.UpdateConfig(ctx, f.Name, "", func(f *function.Function) { f.Reserved = &n })
	return &concurrencyOutput{&n}, err
}

func (k lambdaDesk) deleteConcurrency(ctx context.Context, _ Call, in *functionInput) (*Nothing, error) {
	f, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	_, err = k.engine.UpdateConfig(ctx, f.Name, "", func(f *function.Function) { f.Reserved = nil })
	return nil, err
}

func (k lambdaDesk) getConcurrency(ctx context.Context, _ Call, in *functionInput) (*concurrencyOutput, error) {
	f, err := k.find(ctx, in)
	return &concurrencyOutput{f.Reserved}, err
}

type tagsInput struct {
	Resource string `aws:"path,Resource" json:"-"`
}

func (in *tagsInput) function() (string, string) { return in.Resource, "" }

type tagsOutput struct{ Tags map[string]string }

func (k lambdaDesk) listTags(ctx context.Context, _ Call, in *tagsInput) (*tagsOutput, error) {
	f, err := k.find(ctx, in)
	if f.Tags == nil {
		f.Tags = map[string]string{}
	}
	return &tagsOutput{f.Tags}, err
}

type tagInput struct {
	Resource string `aws:"path,Resource" json:"-"`
	Tags     map[string]string
}

func (in *tagInput) function() (string, string) { return in.Resource, "" }

func (k lambdaDesk) tag(ctx context.Context, _ Call, in *tagInput) (*Nothing, error) {
	return k.retag(ctx, in, func(t map[string]string) {
		for key, v := range in.Tags {
			t[key] = v
		}
	})
}

type untagInput struct {
	Resource string   `aws:"path,Resource" json:"-"`
	TagKeys  []string `aws:"query,tagKeys" json:"-"`
}

func (in *untagInput) function() (string, string) { return in.Resource, "" }

func (k lambdaDesk) untag(ctx context.Context, _ Call, in *untagInput) (*Nothing, error) {
	return k.retag(ctx, in, func(t map[string]string) {
		for _, key := range in.TagKeys {
			delete(t, key)
		}
	})
}

func (k lambdaDesk) retag(ctx context.Context, in ofFunction, change func(map[string]string)) (*Nothing, error) {
	f, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	_, err = k.engine.UpdateConfig(ctx, f.Name, "", func(f *function.Function) {
		t := map[string]string{}
		for key, v := range f.Tags {
			t[key] = v
		}
		change(t)
		f.Tags = t
	})
	return nil, err
}
