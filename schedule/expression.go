package schedule

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"strait"
)

// An Expression says when something is due.
type Expression struct {
	text string
	at   time.Time // of at(): the wall clock's words, as if in UTC
	rate time.Duration
	cron *cron
}

// maxRate keeps a rate within what a time can be moved by.
const maxRate = 100 * 365 * 24 * time.Hour

var (
	ratePattern = regexp.MustCompile(`^rate\(([0-9]{1,9}) (minute|hour|day)(s?)\)$`)
	units       = map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
)

// Parse reads rate(N unit), cron(six fields) or at(yyyy-mm-ddThh:mm:ss). It
// fails with Invalid "expression".
func Parse(text string) (*Expression, error) {
	e := &Expression{text: text}
	word, rest, ok := strings.Cut(text, "(")
	inside, closed := strings.CutSuffix(rest, ")")
	if !ok || !closed || len(text) > 256 {
		return nil, bad("it must be rate(...), cron(...) or at(...)")
	}
	switch word {
	case "rate":
		m := ratePattern.FindStringSubmatch(text)
		if m == nil {
			return nil, bad("a rate is a number, a blank, and minutes, hours or days: rate(5 minutes)")
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil || n == 0 || n > int64(maxRate/units[m[2]]) {
			return nil, bad("the number of a rate is 1 or more, and not over a hundred years")
		}
		e.rate = time.Duration(n) * units[m[2]]
		return e, nil
	case "at":
		at, err := time.Parse("2006-01-02T15:04:05", inside)
		if err != nil || len(inside) != len("2006-01-02T15:04:05") {
			return nil, bad("a moment is written at(yyyy-mm-ddThh:mm:ss)")
		}
		e.at = at
		return e, nil
	case "cron":
		c, err := parseCron(inside)
		e.cron = c
		if err != nil {
			return nil, err
		}
		return e, nil
	}
	return nil, bad("it must be rate(...), cron(...) or at(...)")
}

func bad(why string, args ...any) error {
	return strait.Errorf(strait.Invalid, "expression", "the schedule expression is not valid: "+why, args...)
}

// String is the expression as it was given.
func (e *Expression) String() string { return e.text }

// Once tells whether e is a moment.
func (e *Expression) Once() bool { return !e.at.IsZero() }

// Agrees tells whether the unit of a rate is in the singular for 1 and in the
// plural for more, as some insist on; it is true for what is no rate.
func (e *Expression) Agrees() bool {
	return e.rate == 0 || strings.HasPrefix(e.text, "rate(1 ") == !strings.HasSuffix(e.text, "s)")
}

// Next returns the first moment after the given one at which e is due; ok is
// false when there is none. zone is where its clock hangs; a rate counts from
// begin, at which it is due for the first time.
//
// In the hour that a zone leaves out nothing is due; in the one that it has
// twice, all is due the first time.
func (e *Expression) Next(after, begin time.Time, zone *time.Location) (next time.Time, ok bool) {
	switch {
	case e.rate > 0:
		if after.Before(begin) {
			return begin, true
		}
		n := after.Sub(begin) / e.rate
		next := begin.Add((n + 1) * e.rate)
		return next, next.After(after)
	case e.cron != nil:
		return e.cron.next(after, zone)
	}
	y, m, d := e.at.Date()
	next, ok = moment(y, m, d, e.at.Hour(), e.at.Minute(), e.at.Second(), zone)
	return next, ok && next.After(after)
}

// moment returns the first moment at which the clocks of zone show that time;
// ok is false when they never do.
func moment(y int, m time.Month, d, hour, minute, second int, zone *time.Location) (t time.Time, ok bool) {
	wall := time.Date(y, m, d, hour, minute, second, 0, time.UTC)
	// The offset is that of some hours before, or that of some hours after.
	for _, near := range []time.Duration{-26 * time.Hour, 26 * time.Hour} {
		_, offset := wall.Add(near).In(zone).Zone()
		c := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		if c.Hour() == hour && c.Minute() == minute && c.Second() == second && c.Day() == d && (!ok || c.Before(t)) {
			t, ok = c, true
		}
	}
	return t, ok
}
