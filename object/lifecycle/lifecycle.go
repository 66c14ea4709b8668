// Package lifecycle carries out what the owner of a bucket has ordered for
// objects that grow old and for uploads that nobody finishes.
//
// Its nouns: a Rule says which objects (its Filter) go when; a Configuration is
// the rules of one bucket; a Sweeper looks through the buckets that have rules
// and removes what is due. It knows no XML and asks nobody for permission: the
// owner did, by setting the rules. Begin at Rule.
package lifecycle

import (
	"encoding/json"
	"strings"
	"time"

	"strait"
	"strait/object"
)

// Limits of a configuration, AWS's.
const (
	MaxRules = 1000
	MaxID    = 255
)

const day = 24 * time.Hour

// A Configuration is what is set for one bucket.
type Configuration struct {
	Rules []Rule
	// Shape is the configuration as the caller wrote it; the rules are what
	// counts, this is given back untouched.
	Shape json.RawMessage `json:",omitempty"`
}

// A Rule says what goes when.
type Rule struct {
	ID       string
	Disabled bool
	Filter   Filter
	Days     int       // objects of that age go; 0 for none
	Date     time.Time // all objects go from that midnight on; zero for none
	// AbortDays is the age at which uploads are aborted; 0 for never.
	AbortDays int
}

// A Filter selects objects; the zero Filter all of them. What it names must all
// hold. Uploads have a key only.
type Filter struct {
	Prefix  string
	Tags    map[string]string
	Greater *int64 // more bytes than that
	Less    *int64 // fewer bytes than that
}

// Valid refuses rules that cannot be kept.
func (c Configuration) Valid() error {
	if n := len(c.Rules); n == 0 || n > MaxRules {
		return strait.Errorf(strait.Invalid, "xml", "a lifecycle configuration has 1 to %d rules; this one has %d", MaxRules, n)
	}
	ids := map[string]bool{}
	for _, r := range c.Rules {
		if r.ID == "" || len(r.ID) > MaxID {
			return strait.Errorf(strait.Invalid, "argument", "ID length should not exceed allowed limit of %d", MaxID)
		}
		if ids[r.ID] {
			return strait.Errorf(strait.Invalid, "argument", "Rule ID must be unique. Found same ID for more than one rule: %s", r.ID)
		}
		ids[r.ID] = true
		if err := r.check(); err != nil {
			return err
		}
	}
	return nil
}

func (r Rule) check() error {
	f := r.Filter
	switch {
	case r.Days < 0 || r.Days > 1<<24 || r.AbortDays < 0 || r.AbortDays > 1<<24:
		return strait.Errorf(strait.Invalid, "argument", "a number of days must be a positive integer")
	case r.Days > 0 && !r.Date.IsZero():
		return strait.Errorf(strait.Invalid, "xml", "a rule expires objects by Days or by Date, not by both")
	case !r.Date.Equal(midnight(r.Date)):
		return strait.Errorf(strait.Invalid, "argument", "'Date' must be at midnight GMT")
	case len(f.Prefix) > object.MaxKey:
		return strait.Errorf(strait.Invalid, "request", "The maximum size of a prefix is %d.", object.MaxKey)
	case f.Greater != nil && *f.Greater < 0 || f.Less != nil && *f.Less < 1:
		return strait.Errorf(strait.Invalid, "request", "a filter's size must not be negative, and ObjectSizeLessThan at least 1")
	case f.Greater != nil && f.Less != nil && *f.Greater >= *f.Less:
		return strait.Errorf(strait.Invalid, "request", "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
	case r.AbortDays > 0 && len(f.Tags) > 0:
		return strait.Errorf(strait.Invalid, "request", "AbortIncompleteMultipartUpload cannot be specified with Tags.")
	case r.AbortDays > 0 && (f.Greater != nil || f.Less != nil):
		return strait.Errorf(strait.Invalid, "request", "AbortIncompleteMultipartUpload cannot be specified with Object Size.")
	}
	return nil
}

func midnight(t time.Time) time.Time { return t.UTC().Truncate(day) }

// due is when something of that time and age is: the midnight (UTC) that
// follows the full days, as AWS rounds.
func due(t time.Time, days int) time.Time { return midnight(t.Add(time.Duration(days) * day)).Add(day) }

// takes tells whether the filter selects an object.
func (f Filter) takes(i object.Info) bool {
	if !strings.HasPrefix(i.Key, f.Prefix) || f.Greater != nil && i.Size <= *f.Greater || f.Less != nil && i.Size >= *f.Less {
		return false
	}
	for k, v := range f.Tags {
		if got, ok := i.Meta.Tags[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// Expires returns when the rule removes an object; ok is false when never.
func (r Rule) Expires(i object.Info) (at time.Time, ok bool) {
	switch {
	case r.Disabled || !r.Filter.takes(i):
		return at, false
	case r.Days > 0:
		return due(i.Modified, r.Days), true
	}
	return r.Date, !r.Date.IsZero()
}

// Expires returns when an object goes, and the rule that will be the first to
// remove it.
func (c Configuration) Expires(i object.Info) (at time.Time, rule string, ok bool) {
	for _, r := range c.Rules {
		if t, yes := r.Expires(i); yes && (!ok || t.Before(at)) {
			at, rule, ok = t, r.ID, true
		}
	}
	return at, rule, ok
}

// aborts returns when the rule aborts an upload; ok is false when never.
func (r Rule) aborts(u object.Upload) (at time.Time, ok bool) {
	if r.Disabled || r.AbortDays == 0 || !strings.HasPrefix(u.Key, r.Filter.Prefix) {
		return at, false
	}
	return due(u.Initiated, r.AbortDays), true
}
