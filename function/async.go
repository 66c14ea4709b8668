package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"strait"
	"strait/state"
)

const asyncKey = "function/i/" // + name + "/" + qualifier: an Async

// An Async says what becomes of a function's asynchronous events.
type Async struct {
	Function  string
	Qualifier string        // as they are invoked: Latest, a number or an alias
	Retries   *int          // after a failure, 0 to 2; nil is 2
	MaxAge    time.Duration // 1 minute to 6 hours; 0 is 6 hours
	OnSuccess strait.ARN    // a function that is told; "" for none
	OnFailure strait.ARN
	Modified  time.Time
}

func (a *Async) retries() int {
	if a.Retries == nil {
		return maxAttempts - 1
	}
	return *a.Retries
}

func (a *Async) age() time.Duration {
	if a.MaxAge == 0 {
		return MaxEventAge
	}
	return a.MaxAge
}

func (a *Async) check() error {
	switch {
	case a.Retries != nil && (*a.Retries < 0 || *a.Retries > maxAttempts-1):
		return strait.Errorf(strait.Invalid, "request", "1 validation error detected: Value '%d' at 'maximumRetryAttempts' failed to satisfy constraint: Member must have value between 0 and 2", *a.Retries)
	case a.MaxAge != 0 && (a.MaxAge < time.Minute || a.MaxAge > MaxEventAge):
		return strait.Errorf(strait.Invalid, "request", "1 validation error detected: Value '%d' at 'maximumEventAgeInSeconds' failed to satisfy constraint: Member must have value between 60 and 21600", int(a.MaxAge.Seconds()))
	}
	return nil
}

func normal(qualifier string) string {
	if qualifier == "" {
		return Latest
	}
	return qualifier
}

// SetAsync keeps what change makes of the settings for a qualifier, which begin
// empty.
func (e *Engine) SetAsync(ctx context.Context, name, qualifier string, change func(*Async)) (Async, error) {
	qualifier = normal(qualifier)
	if _, err := e.Resolve(ctx, name, qualifier); err != nil {
		return Async{}, err
	}
	a, _, err := e.async(ctx, name, qualifier)
	if err != nil {
		return Async{}, err
	}
	change(&a)
	a.Function, a.Qualifier, a.Modified = name, qualifier, e.cfg.Now().UTC()
	if err := a.check(); err != nil {
		return Async{}, err
	}
	data, err := json.Marshal(a)
	if err == nil {
		_, err = e.cfg.Store.Apply(ctx, state.Write{Key: asyncKey + name + "/" + qualifier, Value: data})
	}
	if err != nil {
		return Async{}, fmt.Errorf("keep the event settings of function %s: %w", name, err)
	}
	return a, nil
}

func (e *Engine) async(ctx context.Context, name, qualifier string) (a Async, found bool, err error) {
	fact, err := e.cfg.Store.Get(ctx, asyncKey+name+"/"+normal(qualifier))
	if errors.Is(err, state.ErrNotFound) {
		return Async{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(fact.Value, &a)
	}
	if err != nil {
		return a, false, fmt.Errorf("read the event settings of function %s: %w", name, err)
	}
	return a, true, nil
}

// Async returns the settings for a qualifier. NotFound "event invoke config".
func (e *Engine) Async(ctx context.Context, name, qualifier string) (Async, error) {
	if _, err := e.Resolve(ctx, name, qualifier); err != nil {
		return Async{}, err
	}
	a, found, err := e.async(ctx, name, qualifier)
	if err == nil && !found {
		err = e.noAsync(name, qualifier)
	}
	return a, err
}

func (e *Engine) noAsync(name, qualifier string) error {
	return strait.Errorf(strait.NotFound, "event invoke config", "The function %s doesn't have an EventInvokeConfig", e.cfg.Place.Lambda(name+":"+normal(qualifier)))
}

// Asyncs returns all settings of a function, sorted by qualifier.
func (e *Engine) Asyncs(ctx context.Context, name string) ([]Async, error) {
	if _, err := e.Get(ctx, name); err != nil {
		return nil, err
	}
	facts, err := e.cfg.Store.List(ctx, asyncKey+name+"/", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list the event settings of function %s: %w", name, err)
	}
	all := make([]Async, len(facts))
	for i, fact := range facts {
		if err := json.Unmarshal(fact.Value, &all[i]); err != nil {
			return nil, fmt.Errorf("read the fact %s: %w", fact.Key, err)
		}
	}
	return all, nil
}

// DeleteAsync forgets the settings for a qualifier. NotFound "event invoke config".
func (e *Engine) DeleteAsync(ctx context.Context, name, qualifier string) error {
	if _, err := e.Async(ctx, name, qualifier); err != nil {
		return err
	}
	if _, err := e.cfg.Store.Apply(ctx, state.Write{Key: asyncKey + name + "/" + normal(qualifier), Delete: true}); err != nil {
		return fmt.Errorf("delete the event settings of function %s: %w", name, err)
	}
	return nil
}
