package api

import (
	"context"
	"strings"

	"strait"
	"strait/function"
)

func (k lambdaDesk) functions() []Operation {
	const f = functionsPath
	return []Operation{
		op("CreateFunction", "POST "+f, k.mayCreate, k.createFunction).status(201),
		op("ListFunctions", "GET "+f, k.mayList, k.listFunctions),
		op("GetFunction", "GET "+f+"/{FunctionName}", may[getFunctionInput]("lambda:GetFunction"), k.getFunction),
		op("GetFunctionConfiguration", "GET "+f+"/{FunctionName}/configuration", may[functionInput]("lambda:GetFunctionConfiguration"), k.getConfiguration),
		op("UpdateFunctionCode", "PUT "+f+"/{FunctionName}/code", k.mayUpdateCode, k.updateCode),
		op("UpdateFunctionConfiguration", "PUT "+f+"/{FunctionName}/configuration", k.mayConfigure, k.updateConfiguration),
		op("DeleteFunction", "DELETE "+f+"/{FunctionName}", may[functionInput]("lambda:DeleteFunction"), k.deleteFunction).status(204),
		op("Invoke", "POST "+f+"/{FunctionName}/invocations", may[InvokeInput]("lambda:InvokeFunction"), k.invoke),
	}
}

// mayCreate: whoever makes a function hands it a role, which needs PassRole.
func (k lambdaDesk) mayCreate(_ context.Context, v View, c *Caller, in *createFunctionInput) ([]Ask, error) {
	t, err := wholeFunction(v, &functionInput{FunctionName: in.FunctionName})
	if err != nil {
		return nil, err
	}
	asks := append(ask("lambda:CreateFunction", t.arn), passRole(in.Role, lambdaService), takes(v, lambdaService, in.Role, t.arn, c.Trace))
	return append(asks, in.Code.asks()...), nil
}

func (in *createFunctionInput) check() error {
	switch {
	case in.Role != "" && !executionRoleRE.MatchString(string(in.Role)):
		return misfit(string(in.Role), "role", "Member must satisfy regular expression pattern: "+executionRolePattern)
	case in.PackageType != "" && in.PackageType != "Zip" || in.Code.ImageUri != "":
		return strait.Errorf(strait.Unsupported, "parameter", "Functions from container images are not offered here; use a zip.")
	case in.PublishTo != "":
		return strait.Errorf(strait.Unsupported, "parameter", "PublishTo is not offered here.")
	case in.Code.Key != "":
		return strait.Errorf(strait.Unsupported, "parameter", "A key of its own (SourceKMSKeyArn) is not offered here.")
	case in.Code.Version != "":
		return strait.Errorf(strait.Unsupported, "parameter", "Buckets have no versions here (S3ObjectVersion).")
	case (in.Code.S3Bucket == "") != (in.Code.S3Key == ""), in.Code.fromS3() && len(in.Code.ZipFile) > 0:
		return strait.Errorf(strait.Invalid, "code", "Please do not provide other FunctionCode parameters when providing a ZipFile; code from S3 needs S3Bucket and S3Key.")
	case len(in.Layers) > 0:
		return noLayers()
	case len(in.Code.ZipFile) == 0 && !in.Code.fromS3():
		return strait.Errorf(strait.Invalid, "code", "Please provide a source for function code.")
	}
	return in.unoffered.check()
}

func noLayers() error {
	return strait.Errorf(strait.Unsupported, "parameter", "Layers are not offered; put what they hold into the zip.")
}

func (k lambdaDesk) createFunction(ctx context.Context, c Call, in *createFunctionInput) (*functionConfiguration, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	t, err := wholeFunction(k.directory, &functionInput{FunctionName: in.FunctionName})
	if err != nil {
		return nil, err
	}
	if len(t.name) > 64 {
		return nil, constraint(t.name[:65]+"...", "functionName", "Member must have length less than or equal to 64")
	}
	dead, err := in.DeadLetterConfig.target(k, ctx)
	if err != nil {
		return nil, err
	}
	if err := taken(k.directory, c, in.Role); err != nil {
		return nil, strait.Errorf(strait.Invalid, "role", "The role defined for the function cannot be assumed by Lambda.")
	}
	code, err := k.code(ctx, &in.Code)
	if err != nil {
		return nil, err
	}
	arch, err := architecture(in.Architectures)
	if err != nil {
		return nil, err
	}
	f, err := k.engine.Create(ctx, function.Function{
		Name: t.name, Architecture: arch, Role: in.Role, Runtime: in.Runtime, Handler: in.Handler, Description: in.Description,
		Timeout: in.Timeout, MemorySize: in.MemorySize, Environment: in.Environment.Variables, Tags: in.Tags, DeadLetter: dead,
	}, code)
	if err != nil {
		if strait.KindOf(err) == strait.Exists {
			err = strait.Errorf(strait.Exists, "function", "Function already exist: %s", t.name)
		}
		return nil, err
	}
	out := configuration(f, "")
	if in.Publish {
		if f, err = k.engine.Publish(ctx, f.Name, "", "", ""); err != nil {
			return nil, err
		}
		out = configuration(f, "")
	}
	return out, nil
}

type listFunctionsInput struct {
	Marker   string `aws:"query,Marker"`
	MaxItems int    `aws:"query,MaxItems"`
	Version  string `aws:"query,FunctionVersion"`
}

type listFunctionsOutput struct {
	Functions  []*functionConfiguration
	NextMarker string `json:",omitempty"`
}

func (k lambdaDesk) mayList(_ context.Context, _ View, _ *Caller, _ *listFunctionsInput) ([]Ask, error) {
	return ask("lambda:ListFunctions", "*"), nil
}

func (k lambdaDesk) listFunctions(ctx context.Context, _ Call, in *listFunctionsInput) (*listFunctionsOutput, error) {
	if in.Version != "" && in.Version != "ALL" {
		return nil, strait.Errorf(strait.Invalid, "request", "1 validation error detected: Value '%.50s' at 'functionVersion' failed to satisfy constraint: Member must satisfy enum value set: [ALL]", in.Version)
	}
	limit := in.MaxItems
	if limit <= 0 || limit > 50 {
		limit = 50
	}
	after, versionAfter, _ := strings.Cut(in.Marker, ":")
	out := &listFunctionsOutput{Functions: []*functionConfiguration{}}
	if versionAfter != "" { // the page ended among the versions of this one
		vs, err := k.engine.Versions(ctx, after)
		if err != nil && strait.KindOf(err) != strait.NotFound {
			return nil, err
		}
		for i, v := range vs {
			if i > 0 && newer(v.Version, versionAfter) {
				out.add(v, limit, true)
			}
		}
	}
	fs, err := k.engine.List(ctx, after, limit+1)
	if err != nil {
		return nil, err
	}
	for _, f := range fs {
		if in.Version == "" {
			out.add(f, limit, false)
			continue
		}
		vs, err := k.engine.Versions(ctx, f.Name)
		if err != nil {
			return nil, err
		}
		for _, v := range vs {
			out.add(v, limit, true)
		}
	}
	return out, nil
}

// newer compares the numbers of versions.
func newer(a, b string) bool { return len(a) > len(b) || len(a) == len(b) && a > b }

// add puts f on the page, or says where the next one goes on.
func (out *listFunctionsOutput) add(f function.Function, limit int, all bool) {
	if len(out.Functions) < limit {
		c := configuration(f, "")
		if all {
			c.FunctionArn += strait.ARN(":" + c.Version)
		}
		out.Functions = append(out.Functions, c.listed())
	} else if out.NextMarker == "" {
		last := out.Functions[limit-1]
		if out.NextMarker = last.FunctionName; all && last.Version != function.Latest {
			out.NextMarker += ":" + last.Version
		} else if all {
			out.NextMarker += ":0"
		}
	}
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

type getFunctionInput struct {
	functionInput
	Host string `aws:"header,Host"`
}

func (k lambdaDesk) getFunction(ctx context.Context, c Call, in *getFunctionInput) (*getFunctionOutput, error) {
	f, t, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	out := &getFunctionOutput{Configuration: configuration(f, t.explicit), Tags: f.Tags,
		Code: codeLocation{"S3", k.codes.locate(c.Caller, in.Host, f)}}
	if f.Reserved != nil {
		out.Concurrency = map[string]int{"ReservedConcurrentExecutions": *f.Reserved}
	}
	return out, nil
}

func (k lambdaDesk) getConfiguration(ctx context.Context, _ Call, in *functionInput) (*functionConfiguration, error) {
	f, t, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	return configuration(f, t.explicit), nil
}

type updateCodeInput struct {
	functionCode
	Architectures []string
	Publish       bool
	PublishTo     string
	DryRun        bool
	RevisionId    string
	FunctionName  string `aws:"path,FunctionName" json:"-"`
}

func (in *updateCodeInput) function() (string, string) { return in.FunctionName, "" }

// mayUpdateCode: code in S3 is read as the caller.
func (k lambdaDesk) mayUpdateCode(_ context.Context, v View, _ *Caller, in *updateCodeInput) ([]Ask, error) {
	t, err := wholeFunction(v, in)
	if err != nil {
		return nil, err
	}
	return append(ask("lambda:UpdateFunctionCode", t.arn), in.functionCode.asks()...), nil
}

func (k lambdaDesk) updateCode(ctx context.Context, _ Call, in *updateCodeInput) (*functionConfiguration, error) {
	check := createFunctionInput{Code: in.functionCode, PublishTo: in.PublishTo}
	if err := check.check(); err != nil {
		return nil, err
	}
	arch, err := architecture(in.Architectures)
	if err != nil {
		return nil, err
	}
	f, _, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	code, err := k.code(ctx, &in.functionCode)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return configuration(f, ""), function.CheckCode(code)
	}
	if f, err = k.engine.UpdateCode(ctx, f.Name, in.RevisionId, arch, code); err != nil {
		return nil, err
	}
	if in.Publish {
		if f, err = k.engine.Publish(ctx, f.Name, "", "", ""); err != nil {
			return nil, err
		}
		return configuration(f, f.Version), nil
	}
	return configuration(f, ""), nil
}

type updateConfigurationInput struct {
	FunctionName     string `aws:"path,FunctionName" json:"-"`
	Role             *strait.ARN
	Runtime          *string
	Handler          *string
	Description      *string
	Timeout          *int
	MemorySize       *int
	Environment      *environment
	RevisionId       string
	DeadLetterConfig *deadLetterConfig
	Layers           []string
	unoffered
}

func (in *updateConfigurationInput) function() (string, string) { return in.FunctionName, "" }

func (k lambdaDesk) mayConfigure(_ context.Context, v View, c *Caller, in *updateConfigurationInput) ([]Ask, error) {
	t, err := wholeFunction(v, in)
	if err != nil {
		return nil, err
	}
	asks := ask("lambda:UpdateFunctionConfiguration", t.arn)
	if in.Role != nil {
		asks = append(asks, passRole(*in.Role, lambdaService), takes(v, lambdaService, *in.Role, t.arn, c.Trace))
	}
	return asks, nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func (k lambdaDesk) updateConfiguration(ctx context.Context, c Call, in *updateConfigurationInput) (*functionConfiguration, error) {
	f, _, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	if len(in.Layers) > 0 {
		return nil, noLayers()
	}
	if err := in.unoffered.check(); err != nil {
		return nil, err
	}
	var dead *strait.ARN
	if in.DeadLetterConfig != nil {
		to, err := in.DeadLetterConfig.target(k, ctx)
		if err != nil {
			return nil, err
		}
		dead = &to
	}
	if in.Role != nil {
		if err := taken(k.directory, c, *in.Role); err != nil {
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
		set(&f.DeadLetter, dead)
		if in.Environment != nil {
			f.Environment = in.Environment.Variables
		}
	})
	if err != nil {
		return nil, err
	}
	return configuration(f, ""), nil
}
