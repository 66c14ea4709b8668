// Package notify tells functions what becomes of objects.
//
// Its nouns: a Target is a function and what it wants to hear of; a
// Configuration is the targets of one bucket; a Delivery is one message to one
// function. The message of an event is written to a journal in the very batch
// that makes the object visible or removes it (object.Also), so there is none
// without the other; the Engine hands what is in the journal to a Teller, at
// least once, and takes it out then. Order is not promised.
//
// It knows neither what a message says nor who may be told: the message comes
// from whoever notes the event, and the Teller asks. Begin at Engine.Note.
package notify

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"strait"
	"strait/object"
)

// MaxTargets is the number of targets of a bucket, AWS's limit.
const MaxTargets = 100

// A Configuration is what is set for one bucket.
type Configuration struct {
	Targets []Target
	// Shape is the configuration as the caller wrote it; the targets are what
	// counts, this is given back untouched.
	Shape json.RawMessage `json:",omitempty"`
}

// A Target is a function that wants to be told.
type Target struct {
	ID       string
	Function strait.ARN
	Events   []string // "ObjectCreated:Put"; "ObjectCreated:*" for all of a kind
	// Prefix and Suffix are what a key begins and ends with, percent-encoded
	// where they hold other than plain characters.
	Prefix, Suffix string
}

// events that there are: ObjectRemoved:DeleteMarkerCreated and its like never
// happen here, because there are no versions.
var events = map[string][]string{
	"ObjectCreated":       {"Put", "Post", "Copy", "CompleteMultipartUpload"},
	"ObjectRemoved":       {"Delete", "DeleteMarkerCreated"},
	"LifecycleExpiration": {"Delete", "DeleteMarkerCreated"},
}

// Offered tells whether an event, or all of a kind ("ObjectCreated:*"), can be
// told of.
func Offered(event string) bool {
	kind, what, _ := strings.Cut(event, ":")
	if what == "*" {
		return events[kind] != nil
	}
	for _, e := range events[kind] {
		if e == what {
			return true
		}
	}
	return false
}

// hears tells whether the target wants to hear of an event.
func (t Target) hears(event string) bool {
	kind, _, _ := strings.Cut(event, ":")
	for _, e := range t.Events {
		if e == event || e == kind+":*" {
			return true
		}
	}
	return false
}

// takes tells whether the target is for a key.
func (t Target) takes(key string) bool {
	return strings.HasPrefix(key, plain(t.Prefix)) && strings.HasSuffix(key, plain(t.Suffix))
}

// plain undoes the encoding of a filter; what cannot be decoded stands for
// itself.
func plain(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

// Valid refuses targets that cannot be kept: at most one may hear of one event
// of one key, as with AWS.
func (c Configuration) Valid() error {
	if n := len(c.Targets); n > MaxTargets {
		return strait.Errorf(strait.Invalid, "argument", "a bucket has at most %d notification configurations; these are %d", MaxTargets, n)
	}
	ids := map[string]bool{}
	for i, t := range c.Targets {
		switch {
		case t.ID == "" || len(t.ID) > 255:
			return strait.Errorf(strait.Invalid, "argument", "the id of a notification configuration has 1 to 255 characters")
		case ids[t.ID]:
			return strait.Errorf(strait.Invalid, "argument", "Same ID used for multiple configurations. IDs must be unique")
		case len(t.Events) == 0:
			return strait.Errorf(strait.Invalid, "xml", "a notification configuration names at least one event")
		case len(t.Prefix) > object.MaxKey || len(t.Suffix) > object.MaxKey:
			return strait.Errorf(strait.Invalid, "argument", "filter rule value cannot be longer than %d characters", object.MaxKey)
		}
		ids[t.ID] = true
		for _, e := range t.Events {
			if !Offered(e) {
				return strait.Errorf(strait.Unsupported, "event", "notifications of s3:%s are not implemented here", e)
			}
		}
		for _, other := range c.Targets[:i] {
			if t.overlaps(other) {
				return strait.Errorf(strait.Invalid, "argument", "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping for the same event type.")
			}
		}
	}
	return nil
}

// overlaps tells whether both could hear of the same event of the same key.
func (t Target) overlaps(o Target) bool {
	p, q, s, u := plain(t.Prefix), plain(o.Prefix), plain(t.Suffix), plain(o.Suffix)
	if !strings.HasPrefix(p, q) && !strings.HasPrefix(q, p) || !strings.HasSuffix(s, u) && !strings.HasSuffix(u, s) {
		return false
	}
	for _, e := range t.Events {
		kind, what, _ := strings.Cut(e, ":")
		for _, f := range o.Events {
			if e == f || f == kind+":*" || what == "*" && strings.HasPrefix(f, kind+":") {
				return true
			}
		}
	}
	return false
}

// A Delivery is one message to one function.
type Delivery struct {
	Bucket   string
	Function strait.ARN
	Trace    string // the story that the event belongs to
	Noted    time.Time
	Message  json.RawMessage
}
