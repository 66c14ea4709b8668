package setup

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"strait"
	"strait/vend"
)

// What the function is on Lambda. Time and memory are only for a new one:
// whoever tuned them keeps them.
const (
	functionTimeout = 30  // seconds
	functionMemory  = 128 // MB
	functionHandler = "bootstrap"
)

// A vendFunction is the function as it should be.
type vendFunction struct {
	name      string
	role      strait.ARN
	variables map[string]string // STRAIT_VEND_*
	file      string            // as UploadInput.VendFile
}

// ours tells whether a variable is set by setup alone; others, such as
// vend.EnvDuration, belong to whoever added them.
func ours(name string) bool {
	return slices.Contains([]string{vend.EnvRole, vend.EnvBucket, vend.EnvRegion, vend.EnvEndpoint, vend.EnvStrict}, name)
}

// function makes the function, or brings its code and settings up to date.
func (r *run) function(ctx context.Context, step string, f vendFunction) (strait.ARN, error) {
	out, err := r.s.Lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &f.name})
	switch {
	case missing(err):
		return r.place.Lambda(f.name), r.createFunction(ctx, step, f)
	case err != nil:
		return "", failed(step, "look at function "+f.name, err)
	}
	have := out.Configuration
	arn := strait.ARN(aws.ToString(have.FunctionArn))
	code, err := r.updateCode(ctx, step, f, have)
	if err != nil {
		return "", err
	}
	settings, err := r.updateSettings(ctx, step, f, have)
	if err != nil {
		return "", err
	}
	if !code && !settings {
		r.fine(step, "function "+f.name)
	}
	return arn, r.settle(ctx, step, f.name)
}

func (r *run) createFunction(ctx context.Context, step string, f vendFunction) error {
	err := r.change(ctx, step, "create function "+f.name, text(f.variables), func(ctx context.Context) error {
		code, err := zipOf(ctx, f.file)
		if err != nil {
			return err
		}
		return r.insist(ctx, roleNotKnown, func(ctx context.Context) error {
			_, err := r.s.Lambda.CreateFunction(ctx, &lambda.CreateFunctionInput{
				FunctionName: &f.name, Role: aws.String(string(f.role)), Code: &types.FunctionCode{ZipFile: code.data},
				Description: aws.String("Hands a device credentials for its own prefix (strait setup upload)"),
				Runtime:     types.RuntimeProvidedal2023, Handler: aws.String(functionHandler), Architectures: []types.Architecture{code.machine},
				Timeout: aws.Int32(functionTimeout), MemorySize: aws.Int32(functionMemory), Environment: &types.Environment{Variables: f.variables},
			})
			return err
		})
	})
	if err != nil {
		return err
	}
	return r.settle(ctx, step, f.name)
}

// roleNotKnown is Lambda not knowing yet a role that was just made.
func roleNotKnown(err error) bool {
	return says(err, "InvalidParameterValueException", "cannot be assumed by Lambda")
}

// busy is Lambda still working on the last change.
func busy(err error) bool { return is(err, "ResourceConflictException") || roleNotKnown(err) }

func (r *run) updateCode(ctx context.Context, step string, f vendFunction, have *types.FunctionConfiguration) (bool, error) {
	if r.dry {
		r.log(step, "the code of function "+f.name+" is not compared in a dry run")
		return false, nil
	}
	code, err := zipOf(ctx, f.file)
	if err != nil {
		return false, fmt.Errorf("%s: %w", step, err)
	}
	sum := sha256.Sum256(code.data)
	if aws.ToString(have.CodeSha256) == base64.StdEncoding.EncodeToString(sum[:]) {
		return false, nil
	}
	return true, r.change(ctx, step, "update the code of function "+f.name, "", func(ctx context.Context) error {
		return r.insist(ctx, busy, func(ctx context.Context) error {
			_, err := r.s.Lambda.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{
				FunctionName: &f.name, ZipFile: code.data, Architectures: []types.Architecture{code.machine}})
			return err
		})
	})
}

func (r *run) updateSettings(ctx context.Context, step string, f vendFunction, have *types.FunctionConfiguration) (bool, error) {
	before := map[string]string{}
	if have.Environment != nil {
		before = have.Environment.Variables
	}
	after := maps.Clone(f.variables)
	for k, v := range before {
		if !ours(k) {
			after[k] = v
		}
	}
	if maps.Equal(before, after) && aws.ToString(have.Role) == string(f.role) && have.Runtime == types.RuntimeProvidedal2023 &&
		aws.ToString(have.Handler) == functionHandler {
		return false, nil
	}
	return true, r.change(ctx, step, "update the settings of function "+f.name, text(after), func(ctx context.Context) error {
		return r.insist(ctx, busy, func(ctx context.Context) error {
			_, err := r.s.Lambda.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
				FunctionName: &f.name, Role: aws.String(string(f.role)), Runtime: types.RuntimeProvidedal2023, Handler: aws.String(functionHandler),
				Environment: &types.Environment{Variables: after}})
			return err
		})
	})
}

var errNotReady = errors.New("the function is not ready yet")

// settle waits until the function can be called with what was last set.
func (r *run) settle(ctx context.Context, step, name string) error {
	if r.dry {
		return nil
	}
	err := r.insist(ctx, func(err error) bool { return err == errNotReady || missing(err) }, func(ctx context.Context) error {
		c, err := r.s.Lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name})
		switch {
		case err != nil:
			return err
		case c.State == types.StateFailed:
			return errors.New(aws.ToString(c.StateReason))
		case c.LastUpdateStatus == types.LastUpdateStatusFailed:
			return errors.New(aws.ToString(c.LastUpdateStatusReason))
		case c.State == types.StatePending || c.LastUpdateStatus == types.LastUpdateStatusInProgress:
			return errNotReady
		}
		return nil
	})
	if err != nil {
		return failed(step, "wait for function "+name, err)
	}
	return nil
}

// permission lets the rule, and nothing else of IoT, call the function.
func (r *run) permission(ctx context.Context, step, name string, function, rule strait.ARN) error {
	sid := "rule-" + strings.TrimPrefix(rule.Resource(), "rule/")
	want := permissionDocument(r.place, sid, function, rule)
	have, err := r.permitted(ctx, name, sid)
	if err != nil {
		return failed(step, "look at the permissions of function "+name, err)
	}
	if have != "" && same(have, want) {
		r.fine(step, "permission "+sid+" of function "+name)
		return nil
	}
	return r.change(ctx, step, "let "+rule.Resource()+" call function "+name, want, func(ctx context.Context) error {
		if have != "" {
			// A statement cannot be changed, only made anew.
			if _, err := r.s.Lambda.RemovePermission(ctx, &lambda.RemovePermissionInput{FunctionName: &name, StatementId: &sid}); err != nil && !missing(err) {
				return err
			}
		}
		_, err := r.s.Lambda.AddPermission(ctx, &lambda.AddPermissionInput{
			FunctionName: &name, StatementId: &sid, Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("iot.amazonaws.com"),
			SourceArn: aws.String(string(rule)), SourceAccount: &r.place.Account})
		return err
	})
}

// permitted is the statement called sid of the function's policy, "" for none.
func (r *run) permitted(ctx context.Context, name, sid string) (string, error) {
	out, err := r.s.Lambda.GetPolicy(ctx, &lambda.GetPolicyInput{FunctionName: &name})
	switch {
	case missing(err):
		return "", nil
	case err != nil:
		return "", err
	}
	var doc struct{ Statement []json.RawMessage }
	if err := json.Unmarshal([]byte(aws.ToString(out.Policy)), &doc); err != nil {
		return "", err
	}
	for _, raw := range doc.Statement {
		var s struct{ Sid string }
		if json.Unmarshal(raw, &s) == nil && s.Sid == sid {
			return string(raw), nil
		}
	}
	return "", nil
}
