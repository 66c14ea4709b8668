package api

import (
	"context"
	"io"
	"strings"

	"strait"
	"strait/function"
)

// This file has the shapes of functions: what is given, what is refused and
// what is told.

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
	Version  string `json:"S3ObjectVersion"`
	ImageUri string
	Key      string `json:"SourceKMSKeyArn"`
}

func (c *functionCode) fromS3() bool { return c.S3Bucket != "" || c.S3Key != "" }

// asks are those for code in S3, which is read as the caller.
func (c *functionCode) asks() []Ask {
	if !c.fromS3() {
		return nil
	}
	return ask("s3:GetObject", strait.S3(c.S3Bucket+"/"+c.S3Key))
}

// code returns the zip.
func (k lambdaDesk) code(ctx context.Context, c *functionCode) ([]byte, error) {
	if !c.fromS3() {
		return c.ZipFile, nil
	}
	info, r, err := k.objects.Get(ctx, c.S3Bucket, c.S3Key)
	if err != nil {
		if _, gone := k.objects.Bucket(ctx, c.S3Bucket); gone != nil && strait.KindOf(err) == strait.NotFound {
			return nil, strait.Errorf(strait.Invalid, "code", "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist")
		}
		if strait.KindOf(err) == strait.NotFound {
			return nil, strait.Errorf(strait.Invalid, "code", "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.")
		}
		return nil, err
	}
	defer r.Close()
	if info.Size > function.MaxCode {
		return nil, strait.Errorf(strait.TooLarge, "code", "The zip in S3 has %d bytes; at most %d are taken.", info.Size, function.MaxCode)
	}
	return io.ReadAll(io.NewSectionReader(r, 0, info.Size))
}

// A deadLetterConfig names what gets the events that failed. AWS has queues and
// topics, which there are none of here, and takes no function.
type deadLetterConfig struct {
	TargetArn strait.ARN `json:",omitempty"`
}

func (d *deadLetterConfig) target(k lambdaDesk, ctx context.Context) (strait.ARN, error) {
	if d == nil || d.TargetArn == "" {
		return "", nil
	}
	return d.TargetArn, k.checkDestination(ctx, "", d.TargetArn)
}

// unoffered are settings that would be silently wrong if they were passed over.
type unoffered struct {
	VpcConfig *struct {
		SubnetIds, SecurityGroupIds []string
	}
	FileSystemConfigs []any
	KMSKeyArn         string
	CodeSigning       string `json:"CodeSigningConfigArn"`
	TracingConfig     *struct{ Mode string }
	SnapStart         *struct{ ApplyOn string }
	EphemeralStorage  *struct{ Size int }
	LoggingConfig     *struct{ LogFormat, LogGroup string }
	CapacityProvider  any `json:"CapacityProviderConfig"`
	DurableConfig     any
	TenancyConfig     any
}

func (u *unoffered) check() error {
	what := ""
	switch {
	case u.VpcConfig != nil && len(u.VpcConfig.SubnetIds)+len(u.VpcConfig.SecurityGroupIds) > 0:
		what = "A network of its own (VpcConfig)"
	case len(u.FileSystemConfigs) > 0:
		what = "A file system (FileSystemConfigs)"
	case u.KMSKeyArn != "":
		what = "A key of its own (KMSKeyArn)"
	case u.CodeSigning != "":
		what = "Code signing (CodeSigningConfigArn)"
	case u.TracingConfig != nil && u.TracingConfig.Mode == "Active":
		what = "Tracing (TracingConfig Active)"
	case u.SnapStart != nil && u.SnapStart.ApplyOn != "" && u.SnapStart.ApplyOn != "None":
		what = "SnapStart"
	case u.EphemeralStorage != nil && u.EphemeralStorage.Size != 0 && u.EphemeralStorage.Size != 512:
		what = "Another size of /tmp than 512 (EphemeralStorage)"
	case u.LoggingConfig != nil && (u.LoggingConfig.LogFormat == "JSON" || u.LoggingConfig.LogGroup != ""):
		what = "Another log format or log group (LoggingConfig)"
	case u.CapacityProvider != nil || u.DurableConfig != nil || u.TenancyConfig != nil:
		what = "A capacity provider, durable or tenancy configuration"
	}
	if what == "" {
		return nil
	}
	return strait.Errorf(strait.Unsupported, "parameter", "%s is not offered here.", what)
}

type createFunctionInput struct {
	FunctionName     string
	Role             strait.ARN
	Runtime          string
	Handler          string
	Description      string
	Timeout          int
	MemorySize       int
	Environment      environment
	Code             functionCode
	PackageType      string
	Architectures    []string
	Layers           []string
	Tags             map[string]string
	Publish          bool
	PublishTo        string
	DeadLetterConfig *deadLetterConfig
	unoffered
}

// architecture is the one of a list, "" for none.
func architecture(list []string) (string, error) {
	switch len(list) {
	case 0:
		return "", nil
	case 1:
		return list[0], nil
	}
	return "", misfit("["+strings.Join(list, ", ")+"]", "architectures", "Member must have length less than or equal to 1")
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
	State            string `json:",omitempty"`
	LastUpdateStatus string `json:",omitempty"`
	PackageType      string
	Architectures    []string
	EphemeralStorage map[string]int
	SnapStart        map[string]string
	LoggingConfig    map[string]string
	DeadLetterConfig *deadLetterConfig `json:",omitempty"`
}

// listed is c without what GetFunction alone tells.
func (c *functionConfiguration) listed() *functionConfiguration {
	c.State, c.LastUpdateStatus = "", ""
	return c
}

// configuration tells f, as it was called by a qualifier, or by none.
func configuration(f function.Function, qualifier string) *functionConfiguration {
	c := &functionConfiguration{
		FunctionName: f.Name, FunctionArn: f.ARN, Runtime: f.Runtime, Role: f.Role, Handler: f.Handler, CodeSize: f.CodeSize,
		Description: f.Description, Timeout: f.Timeout, MemorySize: f.MemorySize, LastModified: f.Modified.UTC().Format("2006-01-02T15:04:05.000-0700"),
		CodeSha256: f.CodeSHA256, Version: function.Latest, TracingConfig: map[string]string{"Mode": "PassThrough"}, RevisionId: f.Revision,
		State: "Active", LastUpdateStatus: "Successful", PackageType: "Zip", Architectures: []string{"x86_64"},
		EphemeralStorage: map[string]int{"Size": 512}, SnapStart: map[string]string{"ApplyOn": "None", "OptimizationStatus": "Off"},
		LoggingConfig: map[string]string{"LogFormat": "Text", "LogGroup": "/aws/lambda/" + f.Name},
	}
	if f.Version != "" {
		c.Version = f.Version
	}
	if f.Architecture != "" {
		c.Architectures = []string{f.Architecture}
	}
	if qualifier != "" {
		c.FunctionArn += strait.ARN(":" + qualifier)
	}
	if f.DeadLetter != "" {
		c.DeadLetterConfig = &deadLetterConfig{f.DeadLetter}
	}
	if len(f.Environment) > 0 {
		c.Environment = &environment{f.Environment}
	}
	return c
}
