package setup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// is tells whether err is the service's answer with one of these codes.
func is(err error, codes ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}

// says tells whether err is the service's answer with this code and words.
func says(err error, code, words string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == code && strings.Contains(api.ErrorMessage(), words)
}

// status is the HTTP status that err came with, 0 for none. HEAD has no body,
// so that there is no code.
func status(err error) int {
	var r *smithyhttp.ResponseError
	if errors.As(err, &r) {
		return r.HTTPStatusCode()
	}
	return 0
}

func missing(err error) bool {
	return is(err, "NoSuchEntity", "NoSuchEntityException", "ResourceNotFoundException", "NoSuchBucket", "NotFound") ||
		status(err) == http.StatusNotFound
}

// plain says what the service said, without the SDK's wrapping of it.
func plain(err error) error {
	var api smithy.APIError
	var unreached *url.Error
	switch {
	case errors.As(err, &api):
	case errors.As(err, &unreached) && !errors.Is(err, context.Canceled):
		where := "the endpoint"
		if u, bad := url.Parse(unreached.URL); bad == nil {
			where = u.Scheme + "://" + u.Host
		}
		return fmt.Errorf("reach %s: %w", where, unreached.Err)
	default:
		return err
	}
	if api.ErrorMessage() == "" {
		return fmt.Errorf("%s%w", api.ErrorCode(), hidden{err})
	}
	return fmt.Errorf("%s (%s)%w", api.ErrorMessage(), api.ErrorCode(), hidden{err})
}

// hidden keeps a cause for errors.As without its text.
type hidden struct{ error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.error }

// insist calls do until it succeeds, fails with something that again does not
// excuse, or patience is over. AWS spreads what was changed in IAM over some
// seconds, and until then refuses what builds upon it.
func insist(ctx context.Context, patience time.Duration, again func(error) bool, do func(context.Context) error) error {
	deadline := time.Now().Add(patience)
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := do(ctx)
		if err == nil || !again(err) {
			return err
		}
		if time.Now().Add(pause).After(deadline) {
			return err
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}
