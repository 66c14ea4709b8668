package api

import (
	"cmp"
	"context"
	"slices"
	"time"

	"strait"
	"strait/function"
)

type eventConfigInput struct {
	FunctionName string `aws:"path,FunctionName" json:"-"`
	Qualifier    string `aws:"query,Qualifier" json:"-"`

	MaximumRetryAttempts     *int
	MaximumEventAgeInSeconds *int
	DestinationConfig        *destinationConfig
}

func (in *eventConfigInput) function() (string, string) { return in.FunctionName, in.Qualifier }

type eventTarget struct {
	Destination strait.ARN `json:",omitempty"`
}

type destinationConfig struct {
	OnSuccess eventTarget
	OnFailure eventTarget
}

type eventConfig struct {
	LastModified             Epoch
	FunctionArn              strait.ARN
	MaximumRetryAttempts     *int `json:",omitempty"`
	MaximumEventAgeInSeconds *int `json:",omitempty"`
	DestinationConfig        destinationConfig
}

func (k lambdaDesk) eventConfig(a function.Async) *eventConfig {
	c := &eventConfig{Epoch(a.Modified), k.directory.Place().Lambda(a.Function + ":" + a.Qualifier), a.Retries, nil, destinationConfig{eventTarget{a.OnSuccess}, eventTarget{a.OnFailure}}}
	if a.MaxAge > 0 {
		n := int(a.MaxAge / time.Second)
		c.MaximumEventAgeInSeconds = &n
	}
	return c
}

// checkDestination refuses what events of a function cannot be sent to.
func (k lambdaDesk) checkDestination(ctx context.Context, of string, arn strait.ARN) error {
	if arn == "" {
		return nil
	}
	if p, err := arn.Parse(); err != nil || p.Service != "lambda" {
		return strait.Errorf(strait.Invalid, "destination", "The destination %.300s is not offered here: there are no queues, topics and buses, only functions.", arn)
	}
	_, t, err := k.find(ctx, &functionInput{FunctionName: string(arn)})
	switch {
	case err != nil:
		return strait.Errorf(strait.Invalid, "destination", "The destination ARN %.300s is invalid.", arn)
	case t.name == of:
		return strait.Errorf(strait.Invalid, "destination", "You can't specify the function as a destination for itself.")
	}
	return nil
}

func (k lambdaDesk) putEvents(ctx context.Context, _ Call, in *eventConfigInput) (*eventConfig, error) {
	return k.setEvents(ctx, in, true)
}

// updateEvents leaves what is not given as it is.
func (k lambdaDesk) updateEvents(ctx context.Context, _ Call, in *eventConfigInput) (*eventConfig, error) {
	if _, err := k.getEvents(ctx, Call{}, &functionInput{in.FunctionName, in.Qualifier}); err != nil {
		return nil, err
	}
	return k.setEvents(ctx, in, false)
}

func (k lambdaDesk) setEvents(ctx context.Context, in *eventConfigInput, anew bool) (*eventConfig, error) {
	_, t, err := k.find(ctx, in)
	switch {
	case strait.KindOf(err) == strait.NotFound:
		return nil, strait.Errorf(strait.NotFound, "function", "The function doesn't exist.")
	case err != nil:
		return nil, err
	case anew && in.MaximumRetryAttempts == nil && in.MaximumEventAgeInSeconds == nil && in.DestinationConfig == nil:
		return nil, strait.Errorf(strait.Invalid, "request of events", "You must specify at least one of error handling or destination setting.")
	}
	if d := in.DestinationConfig; d != nil {
		for _, arn := range []strait.ARN{d.OnSuccess.Destination, d.OnFailure.Destination} {
			if err := k.checkDestination(ctx, t.name, arn); err != nil {
				return nil, err
			}
		}
	}
	if n := in.MaximumEventAgeInSeconds; n != nil && (*n < 60 || *n > 21600) {
		return nil, strait.Errorf(strait.Invalid, "request", "1 validation error detected: Value '%d' at 'maximumEventAgeInSeconds' failed to satisfy constraint: Member must have value between 60 and 21600", *n)
	}
	a, err := k.engine.SetAsync(ctx, t.name, t.qualifier, func(a *function.Async) {
		if anew {
			*a = function.Async{}
		}
		if in.MaximumRetryAttempts != nil {
			a.Retries = in.MaximumRetryAttempts
		}
		if n := in.MaximumEventAgeInSeconds; n != nil {
			a.MaxAge = time.Duration(*n) * time.Second
		}
		if d := in.DestinationConfig; d != nil {
			a.OnSuccess, a.OnFailure = d.OnSuccess.Destination, d.OnFailure.Destination
		}
	})
	if err != nil {
		return nil, err
	}
	return k.eventConfig(a), nil
}

func noEvents(arn strait.ARN) error {
	return strait.Errorf(strait.NotFound, "event invoke config", "The function %s doesn't have an EventInvokeConfig", arn)
}

func (k lambdaDesk) getEvents(ctx context.Context, _ Call, in *functionInput) (*eventConfig, error) {
	_, t, err := k.find(ctx, in)
	if strait.KindOf(err) == strait.NotFound {
		err = noEvents(k.directory.Place().Lambda(t.name + ":" + cmp.Or(t.qualifier, function.Latest)))
	}
	if err != nil {
		return nil, err
	}
	a, err := k.engine.Async(ctx, t.name, t.qualifier)
	if err != nil {
		return nil, err
	}
	return k.eventConfig(a), nil
}

func (k lambdaDesk) deleteEvents(ctx context.Context, _ Call, in *functionInput) (*Nothing, error) {
	_, t, err := k.find(ctx, in)
	if strait.KindOf(err) == strait.NotFound {
		err = noEvents(k.directory.Place().Lambda(t.name + ":" + cmp.Or(t.qualifier, function.Latest)))
	}
	if err != nil {
		return nil, err
	}
	return nil, k.engine.DeleteAsync(ctx, t.name, t.qualifier)
}

type listEventsOutput struct {
	Configs    []*eventConfig `json:"FunctionEventInvokeConfigs"`
	NextMarker string         `json:",omitempty"`
}

func (k lambdaDesk) listEvents(ctx context.Context, _ Call, in *functionVersionsInput) (*listEventsOutput, error) {
	f, _, err := k.find(ctx, in)
	if err != nil {
		return nil, err
	}
	all, err := k.engine.Asyncs(ctx, f.Name)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(a function.Async) bool { return a.Qualifier <= in.Marker })
	limit := in.MaxItems
	if limit <= 0 || limit > 50 {
		limit = 50
	}
	out := &listEventsOutput{Configs: []*eventConfig{}}
	for i, a := range all {
		if i == limit {
			out.NextMarker = all[i-1].Qualifier
			break
		}
		out.Configs = append(out.Configs, k.eventConfig(a))
	}
	return out, nil
}
