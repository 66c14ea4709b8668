package schedule

import (
	"strings"
	"time"
	_ "time/tzdata" // hosts without zones of their own know them, too

	"strait"
)

// A Key names a schedule.
type Key struct {
	Family string // what kind of schedule its owner calls it; a lower-case word
	Group  string
	Name   string
}

// A Schedule says when its targets are called.
type Schedule struct {
	Key
	Expression  string
	Zone        string `json:",omitempty"` // "" is UTC
	Description string `json:",omitempty"`
	Disabled    bool   `json:",omitempty"`
	// Start and End, unless zero, bound when it may be due. What is due on
	// Start itself is; what is due after End is not.
	Start, End time.Time
	// Window is within which time after it is due it is begun; the moment in
	// it is chosen evenly.
	Window time.Duration `json:",omitempty"`
	// FirstAfter: a rate is due for the first time one period after it began,
	// not when it begins.
	FirstAfter bool `json:",omitempty"`
	// DeleteAfter: it is deleted when it is never due again.
	DeleteAfter bool              `json:",omitempty"`
	Targets     []Target          `json:",omitempty"`
	Tags        map[string]string `json:",omitempty"`
	// Token, unless empty, is a word of who created it: creating the same once
	// more with it is no second creation.
	Token string `json:",omitempty"`

	Created, Modified time.Time
	Begun             time.Time // since when the expression holds
}

// A Target is called when its schedule is due.
type Target struct {
	ID    string
	ARN   strait.ARN
	Role  strait.ARN `json:",omitempty"`
	Input string     `json:",omitempty"`
	Retry Retry
}

// Retry bounds how often and how long a call that fails is tried again.
type Retry struct {
	Attempts int // after the first
	Age      time.Duration
}

// Limits of schedules.
const (
	MaxTargets   = 5
	maxText      = 512
	maxInput     = 256 << 10
	defaultGroup = "default"
)

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// validName tells whether s can name a schedule or a group.
func validName(s string) bool { return s != "" && len(s) <= 64 && strings.Trim(s, letters) == "" }

func invalid(format string, args ...any) error {
	return strait.Errorf(strait.Invalid, "schedule", format, args...)
}

// plan is a schedule made ready.
type plan struct {
	expression *Expression
	zone       *time.Location
}

// check judges s.
func (s *Schedule) check() (p plan, err error) {
	if !validName(s.Name) || !validName(s.Group) {
		return p, invalid("a name has 1 to 64 letters, digits, and - _ .")
	}
	if p.expression, err = Parse(s.Expression); err != nil {
		return p, err
	}
	if p.zone, err = loadZone(s.Zone); err != nil {
		return p, err
	}
	switch {
	case len(s.Description) > maxText:
		return p, invalid("a description has at most %d characters", maxText)
	case !s.Start.IsZero() && !s.End.IsZero() && !s.Start.Before(s.End):
		return p, invalid("the start must be before the end")
	case s.Window < 0 || s.Window > 24*time.Hour:
		return p, invalid("a window has at most a day")
	case len(s.Targets) > MaxTargets:
		return p, strait.Errorf(strait.Limit, "targets", "a schedule has at most %d targets", MaxTargets)
	}
	for _, t := range s.Targets {
		if len(t.Input) > maxInput {
			return p, strait.Errorf(strait.TooLarge, "schedule", "the input of a target has at most %d bytes", maxInput)
		}
	}
	return p, nil
}

// loadZone finds a zone by its name in the tz database. What the host calls
// its own is none, and neither is a path.
func loadZone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	z, err := time.LoadLocation(name)
	if err != nil || name == "Local" || len(name) > 50 {
		return nil, invalid("the time zone %q is not known", name)
	}
	return z, nil
}

// next is the first moment after the given one at which s is due.
func (s *Schedule) next(p plan, after time.Time) (time.Time, bool) {
	begin := s.Begun
	if s.Start.After(begin) {
		begin = s.Start
	}
	if s.FirstAfter && p.expression.rate > 0 {
		begin = begin.Add(p.expression.rate)
	}
	// Nothing before it began, nor before the start.
	if before := begin.Add(-1); after.Before(before) {
		after = before
	}
	t, ok := p.expression.Next(after, begin, p.zone)
	if !ok || !s.End.IsZero() && t.After(s.End) {
		return time.Time{}, false
	}
	return t, true
}
