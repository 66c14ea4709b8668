package api

import (
	"context"

	"strait"
	"strait/function"
)

// settings are the rows for what a function has beside code and configuration.
func (k lambdaDesk) settings() []Operation {
	const reserved, events = "/functions/{FunctionName}/concurrency", "/2019-09-25/functions/{FunctionName}/event-invoke-config"
	return []Operation{
		op("GetFunctionCodeSigningConfig", "GET /2020-06-30/functions/{FunctionName}/code-signing-config", mayWhole[functionInput]("lambda:GetFunctionCodeSigningConfig"), k.codeSigning),
		op("PutFunctionConcurrency", "PUT /2017-10-31"+reserved, mayWhole[concurrencyInput]("lambda:PutFunctionConcurrency"), k.putConcurrency),
		op("DeleteFunctionConcurrency", "DELETE /2017-10-31"+reserved, mayWhole[functionInput]("lambda:DeleteFunctionConcurrency"), k.deleteConcurrency).status(204),
		op("GetFunctionConcurrency", "GET /2019-09-30"+reserved, mayWhole[functionInput]("lambda:GetFunctionConcurrency"), k.getConcurrency),
		op("PutFunctionEventInvokeConfig", "PUT "+events, may[eventConfigInput]("lambda:PutFunctionEventInvokeConfig"), k.putEvents),
		op("UpdateFunctionEventInvokeConfig", "POST "+events, may[eventConfigInput]("lambda:UpdateFunctionEventInvokeConfig"), k.updateEvents),
		op("GetFunctionEventInvokeConfig", "GET "+events, may[functionInput]("lambda:GetFunctionEventInvokeConfig"), k.getEvents),
		op("DeleteFunctionEventInvokeConfig", "DELETE "+events, may[functionInput]("lambda:DeleteFunctionEventInvokeConfig"), k.deleteEvents).status(204),
		op("ListFunctionEventInvokeConfigs", "GET "+events+"/list", mayWhole[functionVersionsInput]("lambda:ListFunctionEventInvokeConfigs"), k.listEvents),
		op("ListTags", "GET /2017-03-31/tags/{Resource}", mayWhole[tagsInput]("lambda:ListTags"), k.listTags),
		op("TagResource", "POST /2017-03-31/tags/{Resource}", mayWhole[tagInput]("lambda:TagResource"), k.tag).status(204),
		op("UntagResource", "DELETE /2017-03-31/tags/{Resource}", mayWhole[untagInput]("lambda:UntagResource"), k.untag).status(204),
		op("GetAccountSettings", "GET /2016-08-19/account-settings", on[Nothing]("lambda:GetAccountSettings", "*"), k.account),
	}
}

// codeSigningOutput has an empty ARN, for the model wants one.
type codeSigningOutput struct{ CodeSigningConfigArn, FunctionName string }

func (k lambdaDesk) codeSigning(ctx context.Context, _ Call, in *functionInput) (*codeSigningOutput, error) {
	f, _, err := k.find(ctx, in)
	return &codeSigningOutput{FunctionName: f.Name}, err
}

type concurrencyInput struct {
	FunctionName                 string `aws:"path,FunctionName" json:"-"`
	ReservedConcurrentExecutions *int
}

func (in *concurrencyInput) function() (string, string) { return in.FunctionName, "" }

type concurrencyOutput struct {
	ReservedConcurrentExecutions *int `json:",omitempty"`
}

func (k lambdaDesk) putConcurrency(ctx context.Context, _ Call, in *concurrencyInput) (*concurrencyOutput, error) {
	f, _, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	if in.ReservedConcurrentExecutions == nil {
		return nil, strait.Errorf(strait.Invalid, "request", "1 validation error detected: Value null at 'reservedConcurrentExecutions' failed to satisfy constraint: Member must not be null")
	}
	n := *in.ReservedConcurrentExecutions
	_, others, err := k.used(ctx, f.Name)
	if err != nil {
		return nil, err
	}
	if n > accountConcurrency-unreserved-others {
		return nil, strait.Errorf(strait.Invalid, "concurrency", "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", unreserved)
	}
	_, err = k.engine.UpdateSettings(ctx, f.Name, func(s *function.Settings) { s.Reserved = &n })
	return &concurrencyOutput{&n}, err
}

func (k lambdaDesk) deleteConcurrency(ctx context.Context, _ Call, in *functionInput) (*Nothing, error) {
	f, _, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	_, err = k.engine.UpdateSettings(ctx, f.Name, func(s *function.Settings) { s.Reserved = nil })
	return nil, err
}

func (k lambdaDesk) getConcurrency(ctx context.Context, _ Call, in *functionInput) (*concurrencyOutput, error) {
	f, _, err := k.find(ctx, in)
	return &concurrencyOutput{f.Reserved}, err
}

type tagsInput struct {
	Resource string `aws:"path,Resource" json:"-"`
}

func (in *tagsInput) function() (string, string) { return in.Resource, "" }

type tagsOutput struct{ Tags map[string]string }

func (k lambdaDesk) listTags(ctx context.Context, _ Call, in *tagsInput) (*tagsOutput, error) {
	f, _, err := k.find(ctx, in)
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
	f, _, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	_, err = k.engine.UpdateSettings(ctx, f.Name, func(s *function.Settings) {
		if s.Tags == nil {
			s.Tags = map[string]string{}
		}
		change(s.Tags)
	})
	return nil, err
}

// An account's concurrency, as AWS has it [Lambda quotas]: what is not reserved
// is for all others.
const (
	accountConcurrency = 1000
	unreserved         = 100
	accountCode        = 75 << 30
)

// used tells how many bytes of code there are, and how much concurrency is
// reserved, but for one function.
func (k lambdaDesk) used(ctx context.Context, but string) (code int64, reserved int, err error) {
	all, err := k.engine.List(ctx, "", 0)
	for _, f := range all {
		code += f.CodeSize
		if f.Reserved != nil && f.Name != but {
			reserved += *f.Reserved
		}
	}
	return code, reserved, err
}

type accountOutput struct {
	AccountLimit struct {
		TotalCodeSize, CodeSizeUnzipped, CodeSizeZipped      int64
		ConcurrentExecutions, UnreservedConcurrentExecutions int
	}
	AccountUsage struct {
		TotalCodeSize int64
		FunctionCount int
	}
}

func (k lambdaDesk) account(ctx context.Context, _ Call, _ *Nothing) (*accountOutput, error) {
	code, reserved, err := k.used(ctx, "")
	if err != nil {
		return nil, err
	}
	all, err := k.engine.List(ctx, "", 0)
	if err != nil {
		return nil, err
	}
	out := &accountOutput{}
	l := &out.AccountLimit
	l.TotalCodeSize, l.CodeSizeUnzipped, l.CodeSizeZipped = accountCode, function.MaxUnpacked, function.MaxCode
	l.ConcurrentExecutions, l.UnreservedConcurrentExecutions = accountConcurrency, accountConcurrency-reserved
	out.AccountUsage.TotalCodeSize, out.AccountUsage.FunctionCount = code, len(all)
	return out, nil
}
