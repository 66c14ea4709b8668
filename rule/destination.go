package rule

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"strait"
	"strait/state"
)

// A Destination is where HTTP actions may post, once whoever answers there has
// confirmed it: without that, a rule could send anything to anyone.
type Destination struct {
	ID      string
	URL     string // where the confirmation was asked for
	Status  string // one of the statuses below
	Reason  string // why it has the status, or ""
	Created time.Time
	Updated time.Time

	// Token is the secret that confirms it; told to URL only.
	Token string
}

// Statuses of destinations.
const (
	DestinationEnabled    = "ENABLED"
	DestinationInProgress = "IN_PROGRESS" // not confirmed yet
	DestinationDisabled   = "DISABLED"
	DestinationError      = "ERROR" // asking for the confirmation failed
)

// MaxDestinations bounds them; a guard of our own.
const MaxDestinations = 100

const destinationPrefix = "rule/dest/"

// A Poster tells destinations what to do to be confirmed.
type Poster interface {
	// Confirm asks at d.URL for d.Token.
	Confirm(ctx context.Context, d Destination) error
}

// CreateDestination adds a destination and asks for its confirmation, which
// goes on after it returns. Invalid "action", Exists or Limit "destination".
func (e *Engine) CreateDestination(ctx context.Context, url string) (Destination, error) {
	if e.cfg.Poster == nil {
		return Destination{}, strait.Errorf(strait.Unsupported, "destination", "destinations of rules are not offered here")
	}
	if _, err := checkURL(url); err != nil {
		return Destination{}, err
	}
	all, err := e.Destinations(ctx)
	if err != nil {
		return Destination{}, err
	}
	if len(all) >= MaxDestinations {
		return Destination{}, strait.Errorf(strait.Limit, "destination", "there are already %d destinations", MaxDestinations)
	}
	for _, d := range all {
		if d.URL == url {
			return d, strait.Errorf(strait.Exists, "destination", "there is already a destination for this URL")
		}
	}
	now := e.cfg.Now().UTC()
	d := Destination{ID: uuid.NewString(), URL: url, Status: DestinationInProgress, Created: now, Updated: now, Token: rand.Text() + rand.Text()}
	if err := e.saveDestination(ctx, d, state.Absent()); err != nil {
		return d, err
	}
	return d, e.askConfirmation(d)
}

// askConfirmation goes on by itself; its failure is a status.
func (e *Engine) askConfirmation(d Destination) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return strait.Errorf(strait.Unavailable, "destination", "the rules engine is closing; try again later")
	}
	e.work.Go(func() {
		ctx, cancel := context.WithTimeout(e.ctx, invokeTimeout)
		defer cancel()
		if err := e.cfg.Poster.Confirm(ctx, d); err != nil {
			e.cfg.Log.Warn("a destination of rules could not be asked for its confirmation", "destination", d.ID, "err", err)
			_ = e.alterDestination(ctx, d.ID, func(now *Destination) error {
				if now.Status == DestinationInProgress {
					now.Status, now.Reason = DestinationError, "the confirmation could not be sent to the URL"
				}
				return nil
			})
		}
	})
	return nil
}

// Destinations returns all, sorted by id.
func (e *Engine) Destinations(ctx context.Context) ([]Destination, error) {
	facts, err := e.cfg.Store.List(ctx, destinationPrefix, "", 0)
	if err != nil {
		return nil, storeError(err)
	}
	out := make([]Destination, len(facts))
	for i, f := range facts {
		if err := json.Unmarshal(f.Value, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Destination returns one, or NotFound "destination".
func (e *Engine) Destination(ctx context.Context, id string) (Destination, error) {
	all, err := e.Destinations(ctx)
	if err != nil {
		return Destination{}, err
	}
	for _, d := range all {
		if d.ID == id {
			return d, nil
		}
	}
	return Destination{}, noDestination()
}

func noDestination() error {
	return strait.Errorf(strait.NotFound, "destination", "there is no such destination")
}

// ConfirmDestination enables the destination that token was made for.
func (e *Engine) ConfirmDestination(ctx context.Context, token string) error {
	all, err := e.Destinations(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		if subtle.ConstantTimeCompare([]byte(d.Token), []byte(token)) == 1 && token != "" {
			return e.alterDestination(ctx, d.ID, func(d *Destination) error {
				d.Status, d.Reason = DestinationEnabled, ""
				return nil
			})
		}
	}
	return noDestination()
}

// SetDestination changes the status: ENABLED of what was confirmed once,
// DISABLED, or IN_PROGRESS, which asks for a new confirmation.
func (e *Engine) SetDestination(ctx context.Context, id, status string) error {
	var ask *Destination
	err := e.alterDestination(ctx, id, func(d *Destination) error {
		switch {
		case status == DestinationDisabled && d.Status != DestinationInProgress && d.Status != DestinationError:
		case status == DestinationEnabled && (d.Status == DestinationDisabled || d.Status == DestinationEnabled):
		case status == DestinationInProgress:
			d.Token = rand.Text() + rand.Text()
			ask = d
		default:
			return strait.Errorf(strait.Invalid, "destination", "a destination that is %s cannot become %q", d.Status, clip(status))
		}
		d.Status, d.Reason = status, ""
		return nil
	})
	if err == nil && ask != nil {
		err = e.askConfirmation(*ask)
	}
	return err
}

// DeleteDestination removes it; NotFound when there is none.
func (e *Engine) DeleteDestination(ctx context.Context, id string) error {
	_, err := e.cfg.Store.Apply(ctx, state.Write{Key: destinationPrefix + id, Delete: true, Expect: state.Present()})
	if errors.Is(err, state.ErrConflict) {
		return noDestination()
	}
	if err != nil {
		return storeError(err)
	}
	return nil
}

func (e *Engine) alterDestination(ctx context.Context, id string, alter func(*Destination) error) error {
	e.destinations.Lock()
	defer e.destinations.Unlock()
	d, err := e.Destination(ctx, id)
	if err != nil {
		return err
	}
	if err := alter(&d); err != nil {
		return err
	}
	d.Updated = e.cfg.Now().UTC()
	return e.saveDestination(ctx, d, state.Present())
}

func (e *Engine) saveDestination(ctx context.Context, d Destination, expect state.Expect) error {
	value, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = e.cfg.Store.Apply(ctx, state.Write{Key: destinationPrefix + d.ID, Value: value, Expect: expect})
	if errors.Is(err, state.ErrConflict) {
		return noDestination()
	}
	if err != nil {
		return storeError(err)
	}
	return nil
}

// permitted tells whether h may be posted: its confirmation URL is that of an
// enabled destination, and its URL is at the same place.
func (e *Engine) permitted(ctx context.Context, h *HTTP) error {
	confirmed := h.ConfirmationURL
	if confirmed == "" {
		confirmed = h.URL
	}
	to, err := checkURL(h.URL)
	if err != nil {
		return err
	}
	at, err := checkURL(confirmed)
	if err != nil {
		return err
	}
	if to.Scheme != at.Scheme || !strings.EqualFold(to.Host, at.Host) {
		return invalidAction("the url of an http action is at another host than its confirmationUrl")
	}
	all, err := e.Destinations(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.URL == confirmed && d.Status == DestinationEnabled {
			return nil
		}
	}
	return strait.Errorf(strait.Denied, "destination", "no enabled destination has the confirmation URL of this http action")
}
