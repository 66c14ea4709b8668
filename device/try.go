package device

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"strait"
)

// A verdict is what a failed request calls for.
type verdict int

const (
	hopeless verdict = iota // it will fail again
	again                   // the network or the server; later
	expired                 // new credentials
	skewed                  // the right time
	refused                 // not allowed; perhaps a moment later
	vanished                // the upload is not there any more: anew
)

// verdicts by the codes of S3 (s3-upload.md, 11; sigv4.md).
var verdicts = map[string]verdict{
	"ExpiredToken": expired, "ExpiredTokenException": expired, "TokenRefreshRequired": expired, "InvalidToken": expired,
	"RequestTimeTooSkewed": skewed, "RequestExpired": skewed, "RequestInTheFuture": skewed,
	"AccessDenied": refused, "AccessDeniedException": refused, "InvalidAccessKeyId": refused, "SignatureDoesNotMatch": refused, "AllAccessDisabled": refused,
	"NoSuchUpload": vanished, "InvalidPart": vanished, "InvalidPartOrder": vanished,
	"SlowDown": again, "RequestTimeout": again, "BadDigest": again, "IncompleteBody": again, "XAmzContentSHA256Mismatch": again, "XAmzContentChecksumMismatch": again,
	"InternalError": again, "ServiceUnavailable": again, "OperationAborted": again, "ConditionalRequestConflict": again, "Throttling": again, "ThrottlingException": again,
}

// errDamaged says that the server's checksum of a part is not ours.
var errDamaged = errors.New("the server has other bytes than were sent")

func judge(err error) verdict {
	var anew *anewError
	if errors.As(err, &anew) {
		return hopeless // here; the whole upload begins anew
	}
	var known *strait.Error
	if errors.As(err, &known) {
		switch known.Kind {
		case strait.Unavailable:
			return again
		case strait.Denied, strait.Unauthenticated:
			return refused
		}
		return hopeless
	}
	code := errorCode(err)
	if v, ok := verdicts[code]; ok {
		return v
	}
	var status interface{ HTTPStatusCode() int }
	if errors.As(err, &status) && status.HTTPStatusCode() > 0 {
		switch n := status.HTTPStatusCode(); {
		case n >= 500, n == http.StatusRequestTimeout, n == http.StatusTooManyRequests:
			return again
		case n >= 300:
			return hopeless
		}
	}
	if code != "" && code != "UnknownError" {
		// An error in the body of a 200, which Complete may give.
		return hopeless
	}
	return again
}

func errorCode(err error) string {
	var api interface{ ErrorCode() string }
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// Pauses between tries: a random part, a half to the whole, of one that doubles.
const (
	firstTry = 200 * time.Millisecond
	longTry  = 32 * time.Second
	// maxRenewals and maxCures are how often new credentials and the right time
	// are tried for one request: a server that always calls them wrong refuses.
	// Credentials twice, because the first new ones may be an old answer's.
	maxRenewals, maxCures = 2, 4
)

// try calls fn until it succeeds or there is no hope. Failures of the network
// and the server are tried again until nothing at all has succeeded for
// in.Patience; a refusal until in.RefusedFor has passed.
func (u *upload) try(ctx context.Context, fn func(context.Context) error) error {
	pause, renewals, cures := firstTry, 0, 0
	var refusedAt time.Time
	for {
		g, err := u.creds.Grant(ctx)
		if err == nil {
			err = fn(ctx)
		}
		if err == nil {
			u.succeeded()
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		v := judge(err)
		switch {
		case v == refused && g.doubtful && renewals < maxRenewals && u.doubt(g):
			renewals++
			u.creds.Invalidate(g.AccessKeyID)
			u.say(Renewed, err, "the credentials are refused, and their answer named no request: it may be an old one; asking for new ones")
			continue
		case v == expired && renewals < maxRenewals:
			renewals++
			u.creds.Invalidate(g.AccessKeyID)
			u.say(Renewed, err, "the credentials had expired; asking for new ones")
			continue
		case v == skewed && cures < maxCures:
			if by, changed := u.c.clock.correct(); changed {
				cures++
				u.say(Corrected, nil, "the clock of this device is wrong by %s; signing with the server's time", by.Round(time.Second))
				continue
			}
			return err
		case v == again:
			if u.silence() >= u.in.Patience {
				return fmt.Errorf("nothing worked for %s: %w", u.in.Patience, err)
			}
		case v == refused || v == expired:
			// A permission may have been given a moment ago: it takes AWS some
			// seconds to know it everywhere. New credentials may know more.
			if refusedAt.IsZero() {
				refusedAt = time.Now()
			}
			if time.Since(refusedAt) >= u.in.RefusedFor {
				return err
			}
			u.creds.Invalidate(g.AccessKeyID)
			pause = max(pause, time.Second)
		default:
			return err
		}
		u.gate.failed()
		u.say(Retrying, err, "trying again: %s", short(err))
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
		pause = min(2*pause, longTry)
	}
}

// short is an error without the SDK's wrapping.
func short(err error) string {
	var api interface {
		ErrorCode() string
		ErrorMessage() string
	}
	if errors.As(err, &api) && api.ErrorCode() != "" {
		return strings.TrimSuffix(api.ErrorCode()+": "+api.ErrorMessage(), ": ")
	}
	for e := err; ; {
		next := errors.Unwrap(e)
		if next == nil || strings.HasPrefix(e.Error(), "dial ") || strings.HasPrefix(e.Error(), "read ") || strings.HasPrefix(e.Error(), "write ") {
			return e.Error()
		}
		e = next
	}
}

// explain says what failed, in the server's words, and where to look when it
// was refused.
func (u *upload) explain(what string, err error) error {
	var known *strait.Error
	if errors.As(err, &known) {
		return known // the SDK wraps what the credentials failed with
	}
	if ctxErr := context.Cause(u.c.ended); ctxErr != nil {
		return ctxErr
	}
	what = fmt.Sprintf("%s %s/%s", what, u.bucket, u.key)
	var api interface {
		ErrorCode() string
		ErrorMessage() string
	}
	if errors.As(err, &api) && api.ErrorCode() != "" {
		said := api.ErrorCode() + ": " + strings.TrimSuffix(api.ErrorMessage(), ".")
		switch judge(err) {
		case refused, expired, skewed:
			return strait.Errorf(strait.Denied, "upload", "%s: refused (%s). %s", what, said, u.c.hint(u.endpoint))
		}
		if api.ErrorCode() == "NoSuchBucket" {
			return strait.Errorf(strait.NotFound, "bucket", "%s: %s", what, said)
		}
		return strait.Errorf(strait.Unavailable, "upload", "%s: %s", what, said)
	}
	return strait.Errorf(strait.Unavailable, "upload", "%s: %w", what, err)
}
