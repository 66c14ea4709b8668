package schedule

import (
	"strconv"
	"strings"
	"time"
)

// A cron is six fields: minutes, hours, day of month, month, day of week
// (Sunday is 1), year. One of the two days is "?".
type cron struct {
	minutes, hours, months, years set
	monthDay                      *monthDay // nil: ?
	weekDay                       *weekDay  // nil: ?
}

// A set is which numbers a field means.
type set map[int]bool

// monthDay: days, L for the last one, nW for the weekday nearest to n.
type monthDay struct {
	days    set
	last    bool
	nearest int
}

// weekDay: days with Sunday as 1, nL for the last one of the month, n#k for the
// k-th one.
type weekDay struct {
	days      set
	last      int
	nth, week int
}

var (
	monthNames = map[string]int{"JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6, "JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12}
	dayNames   = map[string]int{"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
)

const firstYear, lastYear = 1970, 2199

// A field is what may stand in it.
type field struct {
	name     string
	min, max int
	names    map[string]int
	steps    bool
}

func parseCron(text string) (*cron, error) {
	f := strings.Split(text, " ")
	if len(f) != 6 {
		return nil, bad("cron takes six fields with one blank between them: minutes hours day-of-month month day-of-week year")
	}
	c := &cron{}
	var err error
	read := func(to *set, text string, f field) {
		if err == nil {
			*to, err = f.parse(text)
		}
	}
	read(&c.minutes, f[0], field{"minutes", 0, 59, nil, true})
	read(&c.hours, f[1], field{"hours", 0, 23, nil, true})
	read(&c.months, f[3], field{"month", 1, 12, monthNames, true})
	read(&c.years, f[5], field{"year", firstYear, lastYear, nil, true})
	if err == nil && (f[2] == "?") == (f[4] == "?") {
		err = bad("exactly one of day-of-month and day-of-week must be ?")
	}
	if err == nil && f[2] != "?" {
		c.monthDay, err = parseMonthDay(f[2])
	}
	if err == nil && f[4] != "?" {
		c.weekDay, err = parseWeekDay(f[4])
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

func parseMonthDay(text string) (*monthDay, error) {
	f := field{"day-of-month", 1, 31, nil, true}
	if text == "L" {
		return &monthDay{last: true}, nil
	}
	if day, ok := strings.CutSuffix(text, "W"); ok {
		n, err := f.number(day)
		return &monthDay{nearest: n}, err
	}
	days, err := f.parse(text)
	return &monthDay{days: days}, err
}

func parseWeekDay(text string) (*weekDay, error) {
	f := field{"day-of-week", 1, 7, dayNames, false}
	if text == "L" {
		return &weekDay{days: set{7: true}}, nil // the last day of the week
	}
	if day, ok := strings.CutSuffix(text, "L"); ok {
		n, err := f.number(day)
		return &weekDay{last: n}, err
	}
	if day, week, ok := strings.Cut(text, "#"); ok {
		n, err := f.number(day)
		if err != nil {
			return nil, err
		}
		k, err := field{"week of day-of-week", 1, 5, nil, false}.number(week)
		return &weekDay{nth: n, week: k}, err
	}
	days, err := f.parse(text)
	return &weekDay{days: days}, err
}

// parse reads a list of numbers, names, ranges and steps.
func (f field) parse(text string) (set, error) {
	out := set{}
	for part := range strings.SplitSeq(text, ",") {
		span, by, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			n, err := strconv.Atoi(by)
			if !f.steps || err != nil || n < 1 || n > f.max || !plain(by) {
				return nil, bad("%q cannot stand in %s", part, f.name)
			}
			step = n
		}
		from, to := f.min, f.max
		if span != "*" {
			low, high, ranged := strings.Cut(span, "-")
			var err error
			if from, err = f.number(low); err != nil {
				return nil, err
			}
			switch {
			case ranged:
				if to, err = f.number(high); err != nil {
					return nil, err
				}
			case !stepped:
				to = from
			}
			if from > to {
				return nil, bad("the range %q in %s runs backwards", span, f.name)
			}
		}
		for n := from; n <= to; n += step {
			out[n] = true
		}
	}
	return out, nil
}

// plain tells whether s is digits only.
func plain(s string) bool { return s != "" && len(s) <= 4 && strings.Trim(s, "0123456789") == "" }

// number reads one number, or a name that stands for one.
func (f field) number(s string) (int, error) {
	if n, ok := f.names[strings.ToUpper(s)]; ok {
		return n, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < f.min || n > f.max || !plain(s) {
		return 0, bad("%q cannot stand in %s, which is %d to %d", s, f.name, f.min, f.max)
	}
	return n, nil
}

// next returns the first moment after the given one that c means.
func (c *cron) next(after time.Time, zone *time.Location) (time.Time, bool) {
	after = after.In(zone)
	y, m, d := after.Date()
	day := time.Date(y, m, d, 0, 0, 0, 0, time.UTC) // a date; its zone has no meaning
	for {
		switch y := day.Year(); {
		case y > lastYear:
			return time.Time{}, false
		case !c.years[y]:
			day = time.Date(y+1, 1, 1, 0, 0, 0, 0, time.UTC)
			continue
		case !c.months[int(day.Month())]:
			day = time.Date(y, day.Month()+1, 1, 0, 0, 0, 0, time.UTC)
			continue
		}
		if c.onDay(day) {
			if t, ok := c.inDay(day, after, zone); ok {
				return t, true
			}
		}
		day = day.AddDate(0, 0, 1)
	}
}

func (c *cron) inDay(day, after time.Time, zone *time.Location) (time.Time, bool) {
	y, m, d := day.Date()
	for hour := range 24 {
		if !c.hours[hour] {
			continue
		}
		for minute := range 60 {
			if !c.minutes[minute] {
				continue
			}
			if t, ok := moment(y, m, d, hour, minute, 0, zone); ok && t.After(after) {
				return t, true
			}
		}
	}
	return time.Time{}, false
}

// onDay tells whether c means the day.
func (c *cron) onDay(day time.Time) bool {
	d := day.Day()
	last := time.Date(day.Year(), day.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	if m := c.monthDay; m != nil {
		switch {
		case m.last:
			return d == last
		case m.nearest > 0:
			return m.nearest <= last && d == nearestWeekday(day, m.nearest, last)
		}
		return m.days[d]
	}
	w := c.weekDay
	number := int(day.Weekday()) + 1
	switch {
	case w.last > 0:
		return number == w.last && d+7 > last
	case w.nth > 0:
		return number == w.nth && (d+6)/7 == w.week
	}
	return w.days[number]
}

// nearestWeekday is the working day nearest to the n-th, in the same month.
func nearestWeekday(in time.Time, n, last int) int {
	switch time.Date(in.Year(), in.Month(), n, 0, 0, 0, 0, time.UTC).Weekday() {
	case time.Saturday:
		if n == 1 {
			return 3
		}
		return n - 1
	case time.Sunday:
		if n == last {
			return n - 2
		}
		return n + 1
	}
	return n
}
