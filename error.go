package strait

import (
	"errors"
	"fmt"
)

// A Kind is a class of failure. Together with a Thing it says what went wrong
// in plain words; each door knows how to say that on its own wire (NotFound
// and "bucket" is NoSuchBucket in S3 and 404 in HTTP).
type Kind int

// Kinds of failure.
const (
	Internal        Kind = iota // our fault; the caller learns nothing more
	Invalid                     // the request is wrong and will stay wrong
	Unauthenticated             // the caller could not be proven
	Denied                      // proven, and not allowed
	NotFound                    // the thing does not exist
	Exists                      // the thing exists already
	Conflict                    // the thing is in a state that forbids this
	TooLarge                    // more bytes than allowed
	Limit                       // a quota is used up
	Precondition                // a condition the caller gave does not hold
	Unsupported                 // understood, and not offered here
	Unavailable                 // not now; try again
)

// Error is a failure that may be told to the caller.
type Error struct {
	Kind Kind
	// Thing is what failed, lower case: "bucket", "role", "session policy".
	// Doors map (Kind, Thing) to their codes, so it must be a stable word.
	Thing string
	// Message is a plain sentence for the caller. It never holds a secret.
	Message string
	// Detail is what a protocol adds as elements of its own, such as S3's
	// "Region" or "BucketName"; may be nil.
	Detail map[string]string
	// Err is the cause, for the log only; it is never sent.
	Err error
}

// Errorf returns an Error; the message is formatted, and an error among the
// arguments given with %w becomes the cause.
func Errorf(kind Kind, thing, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Thing: thing, Message: err.Error(), Err: errors.Unwrap(err)}
}

func (e *Error) Error() string {
	if e.Err != nil && e.Kind == Internal {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of err, Internal when it is no *Error.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
