package setup

import (
	"context"
	"fmt"
	"time"

	"strait"
)

// A run is one pass over what should be there: each step looks first, and
// changes only what is missing or different.
type run struct {
	s        *Session
	place    strait.Place
	dry      bool
	patience time.Duration
	log      func(step, detail string)
	changed  []string
}

// defaultPatience is more than AWS usually needs to spread a new role.
const defaultPatience = 90 * time.Second

func newRun(ctx context.Context, s *Session, dry bool, patience time.Duration, log func(step, detail string)) (*run, error) {
	c, err := s.Caller(ctx)
	if err != nil {
		return nil, err
	}
	if patience <= 0 {
		patience = defaultPatience
	}
	if log == nil {
		log = func(string, string) {}
	}
	return &run{s: s, place: c.Place, dry: dry, patience: patience, log: log}, nil
}

// change does what is missing; in a dry run it only tells, with the document
// that it would send, if any.
func (r *run) change(ctx context.Context, step, what, document string, do func(context.Context) error) error {
	if r.dry {
		r.changed = append(r.changed, step+": "+what)
		if document != "" {
			what += "\n" + indent(document)
		}
		r.log(step, "would "+what)
		return nil
	}
	if err := do(ctx); err != nil {
		return fmt.Errorf("%s: %s: %w", step, what, plain(err))
	}
	r.changed = append(r.changed, step+": "+what)
	r.log(step, what)
	return nil
}

// fine tells that nothing had to be done.
func (r *run) fine(step, what string) { r.log(step, what+" is as it should be") }

// failed is a look that did not succeed.
func failed(step, what string, err error) error {
	return fmt.Errorf("%s: %s: %w", step, what, plain(err))
}

// insist is insist with the run's patience.
func (r *run) insist(ctx context.Context, again func(error) bool, do func(context.Context) error) error {
	return insist(ctx, r.patience, again, do)
}
