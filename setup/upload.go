package setup

import (
	"context"
	"time"

	"strait"
	"strait/vend"
)

// An UploadInput says what the upload pattern is to be made of. Only Bucket
// is required; empty names get their defaults.
type UploadInput struct {
	Bucket string
	// Things may ask for credentials; none given: all. A later run adds to the
	// things of earlier ones and takes none away. Certificates that the things
	// already have get the policy attached.
	Things []string
	// Strict gives s3:PutObject alone; otherwise s3:AbortMultipartUpload, too.
	Strict bool
	// TrustAccount makes the upload role trust the whole account, so that IAM
	// decides who may assume it; otherwise it trusts the function's role alone.
	TrustAccount bool
	// VendFile is the built cmd/strait-vend for Linux; "": it is built with Go,
	// or found beside this program.
	VendFile string
	// Endpoint is where devices are told to find S3; "": the session's.
	Endpoint string

	FunctionName string // default "create-token"
	FunctionRole string // default "create-token"
	UploadRole   string // default "s3-role"
	RuleName     string // default "create_token"; rules' names take no hyphen
	ThingPolicy  string // default DefaultThingPolicy

	// DryRun logs the steps with their documents and changes nothing.
	DryRun bool
	// Patience bounds the wait for one change to spread on AWS; 0: 90 s.
	Patience time.Duration
	// Log is told of every step when it is done; nil: nobody is.
	Log func(step, detail string)
}

// DefaultThingPolicy is the IoT policy that Upload and Thing share.
const DefaultThingPolicy = "strait-upload-thing"

// A Result names what Upload made or found.
type Result struct {
	Bucket       string
	FunctionRole strait.ARN
	UploadRole   strait.ARN
	Function     strait.ARN
	Rule         strait.ARN
	ThingPolicy  strait.ARN
	// Changed has a line for everything that was made or changed, or would be
	// in a dry run; empty: all was as it should be.
	Changed []string
}

// Upload makes the upload pattern: the bucket, the role of the function, the
// role that may write to the bucket, the function that narrows it to one
// thing, the topic rule that calls the function, and the things' policy. It
// stops at the first failure; run again, it goes on where it stopped. The
// Result is good as far as it came.
func Upload(ctx context.Context, s *Session, in UploadInput) (Result, error) {
	in.defaults(s)
	if err := in.check(); err != nil {
		return Result{}, err
	}
	r, err := newRun(ctx, s, in.DryRun, in.Patience, in.Log)
	if err != nil {
		return Result{}, err
	}
	out := Result{Bucket: in.Bucket}
	err = r.upload(ctx, &in, &out)
	out.Changed = r.changed
	return out, err
}

func (r *run) upload(ctx context.Context, in *UploadInput, out *Result) (err error) {
	if err := r.bucket(ctx, "bucket", in.Bucket); err != nil {
		return err
	}
	// The function's role first: the upload role's trust names it.
	if err := r.functionRole(ctx, "function role", in, out); err != nil {
		return err
	}
	if err := r.uploadRole(ctx, "upload role", in, out); err != nil {
		return err
	}
	variables, err := in.variables(r.place, out.UploadRole)
	if err != nil {
		return err
	}
	if out.Function, err = r.function(ctx, "function", vendFunction{in.FunctionName, out.FunctionRole, variables, in.VendFile}); err != nil {
		return err
	}
	// The permission before the rule: a message in between would find a rule
	// that may not call.
	out.Rule = r.place.IoT("rule/" + in.RuleName)
	if err := r.permission(ctx, "permission", in.FunctionName, out.Function, out.Rule); err != nil {
		return err
	}
	if err := r.rule(ctx, "rule", in.RuleName, out.Function); err != nil {
		return err
	}
	if out.ThingPolicy, err = r.thingPolicy(ctx, "thing policy", in.ThingPolicy); err != nil {
		return err
	}
	for _, t := range in.Things {
		if err := r.equip(ctx, "things", t, in.ThingPolicy); err != nil {
			return err
		}
	}
	return nil
}

// lambdaLogs lets a function write its log; without it only that stops.
const lambdaLogs = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"

func (r *run) functionRole(ctx context.Context, step string, in *UploadInput, out *Result) (err error) {
	made := false
	out.FunctionRole, made, err = r.role(ctx, step, in.FunctionRole, trustDocument("Service", "lambda.amazonaws.com"), "Of the function that hands out upload credentials")
	if err != nil {
		return err
	}
	if err := r.attach(ctx, step, in.FunctionRole, made, lambdaLogs); err != nil {
		return err
	}
	upload, err := r.roleARN(ctx, step, in.UploadRole)
	if err != nil {
		return err
	}
	return r.inline(ctx, step, in.FunctionRole, made, "answer-things", func(have string) string {
		things := in.Things
		if len(things) == 0 {
			things = []string{"*"}
		}
		return answerDocument(r.place, joined(things, answered(r.place, have)), upload)
	})
}

func (r *run) uploadRole(ctx context.Context, step string, in *UploadInput, out *Result) (err error) {
	trusted := out.FunctionRole
	if in.TrustAccount {
		trusted = r.place.IAM("root")
	}
	made := false
	out.UploadRole, made, err = r.role(ctx, step, in.UploadRole, trustDocument("AWS", string(trusted)), "What upload credentials are cut from")
	if err != nil {
		return err
	}
	return r.inline(ctx, step, in.UploadRole, made, "put-objects", func(string) string { return uploadDocument(in.Bucket, in.Strict) })
}

// variables are the function's, checked by who will read them.
func (in *UploadInput) variables(p strait.Place, role strait.ARN) (map[string]string, error) {
	v := map[string]string{vend.EnvRole: string(role), vend.EnvBucket: in.Bucket, vend.EnvRegion: p.Region}
	if in.Endpoint != "" {
		v[vend.EnvEndpoint] = in.Endpoint
	}
	if in.Strict {
		v[vend.EnvStrict] = "true"
	}
	_, err := vend.ConfigFromEnv(func(name string) string { return v[name] })
	return v, err
}
