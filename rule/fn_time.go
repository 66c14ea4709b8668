package rule

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // time zones must not depend on the machine
)

// timeFunctions are read by timeFunction, which knows their patterns.
var timeFunctions = map[string]builtin{}

// A timePart is a piece of a pattern: a letter so many times, or plain text.
type timePart struct {
	letter byte // 0 for text
	count  int
	text   string
}

// timeParts cuts a pattern. In quotes stands text; two quotes are one.
func timeParts(pattern string) ([]timePart, error) {
	var parts []timePart
	literal := func(s string) {
		if n := len(parts); n > 0 && parts[n-1].letter == 0 {
			parts[n-1].text += s
			return
		}
		parts = append(parts, timePart{text: s})
	}
	for at := 0; at < len(pattern); {
		c := pattern[at]
		switch {
		case c == '\'':
			if strings.HasPrefix(pattern[at:], "''") {
				literal("'")
				at += 2
				continue
			}
			at++
			for {
				end := strings.IndexByte(pattern[at:], '\'')
				if end < 0 {
					return nil, fmt.Errorf("a quote is not closed")
				}
				literal(pattern[at : at+end])
				at += end + 1
				if at >= len(pattern) || pattern[at] != '\'' {
					break
				}
				literal("'")
				at++
			}
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			n := 1
			for at+n < len(pattern) && pattern[at+n] == c {
				n++
			}
			parts = append(parts, timePart{letter: c, count: n})
			at += n
		default:
			literal(string(c))
			at++
		}
	}
	return parts, nil
}

const maxTimePattern = 200

// jodaLetters may stand in parse_time's pattern; jdkLetters in time_to_epoch's.
const (
	jodaLetters = "GCYyxwedEDMaKhHkmsSzZ"
	jdkLetters  = "yuMLdDEaHhKkmsSXxZzV"
)

func checkTimePattern(pattern, letters string) ([]timePart, error) {
	if len(pattern) > maxTimePattern {
		return nil, fmt.Errorf("it has more than %d bytes", maxTimePattern)
	}
	parts, err := timeParts(pattern)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		if p.letter != 0 && strings.IndexByte(letters, p.letter) < 0 {
			return nil, fmt.Errorf("the letter %c is not offered", p.letter)
		}
		if strings.ContainsAny(p.text, "[]{}#") && letters == jdkLetters {
			return nil, fmt.Errorf("%q is not offered", p.text)
		}
	}
	return parts, nil
}

// timeFunction reads parse_time(pattern, milliseconds [, zone]) and
// time_to_epoch(text, pattern).
func (p *parser) timeFunction(word token) (term, error) {
	if err := p.newer(word, "the function "+word.text+"()"); err != nil {
		return term{}, err
	}
	letters, at, most, eval := jodaLetters, 0, 3, parseTime
	if word.is("time_to_epoch") {
		letters, at, most, eval = jdkLetters, 1, 2, timeToEpoch
	}
	args, err := p.arguments(word, 2, most, false)
	if err != nil {
		return term{}, err
	}
	if c := args[at]; c.constant {
		if _, err := checkTimePattern(c.known.text, letters); err != nil || c.known.kind != text {
			return term{}, p.refuse(word, "the pattern of %s() is not offered: %v", word.text, err)
		}
	}
	return apply(word, args, eval), nil
}

// maxMillis is the year 9999, beyond which years have more digits than here.
const maxMillis = 253402300799999

// parseTime is parse_time: it writes a time [Joda-Time, DateTimeFormat].
func parseTime(_ *Input, a []value) value {
	ms, ok := a[1].asInt64()
	if !ok || a[0].kind != text || ms > maxMillis || ms < -62135596800000 {
		return value{}
	}
	zone := time.UTC
	if len(a) == 3 {
		if a[2].kind != text {
			return value{}
		}
		var err error
		if zone, err = zoneNamed(a[2].text); err != nil {
			return value{}
		}
	}
	parts, err := checkTimePattern(a[0].text, jodaLetters)
	if err != nil {
		return value{}
	}
	var b strings.Builder
	t := time.UnixMilli(ms).In(zone)
	for _, p := range parts {
		if p.letter == 0 {
			b.WriteString(p.text)
		} else {
			b.WriteString(writeTime(t, p))
		}
	}
	return textValue(b.String())
}

// zoneNamed reads UTC, Europe/Berlin or +01:00.
func zoneNamed(name string) (*time.Location, error) {
	if name == "" || len(name) > 64 || name == "Local" {
		return nil, fmt.Errorf("no such zone")
	}
	for _, layout := range []string{"-07:00", "-0700"} {
		if t, err := time.Parse(layout, name); err == nil {
			_, offset := t.Zone()
			return time.FixedZone(name, offset), nil
		}
	}
	return time.LoadLocation(name)
}

func writeTime(t time.Time, p timePart) string {
	number := func(n int) string { return fmt.Sprintf("%0*d", p.count, n) }
	year := func(n int) string {
		if p.count == 2 {
			return fmt.Sprintf("%02d", n%100)
		}
		return number(n)
	}
	named := func(full string, short int) string {
		if p.count >= 4 {
			return full
		}
		return full[:short]
	}
	weekyear, week := t.ISOWeek()
	weekday := (int(t.Weekday())+6)%7 + 1
	switch p.letter {
	case 'G':
		return "AD"
	case 'C':
		return number(t.Year() / 100)
	case 'y', 'Y':
		return year(t.Year())
	case 'x':
		return year(weekyear)
	case 'w':
		return number(week)
	case 'e':
		return number(weekday)
	case 'E':
		return named(t.Weekday().String(), 3)
	case 'D':
		return number(t.YearDay())
	case 'M':
		if p.count >= 3 {
			return named(t.Month().String(), 3)
		}
		return number(int(t.Month()))
	case 'd':
		return number(t.Day())
	case 'a':
		return t.Format("PM")
	case 'K':
		return number(t.Hour() % 12)
	case 'h':
		return number((t.Hour()+11)%12 + 1)
	case 'H':
		return number(t.Hour())
	case 'k':
		return number((t.Hour()+23)%24 + 1)
	case 'm':
		return number(t.Minute())
	case 's':
		return number(t.Second())
	case 'S':
		digits := fmt.Sprintf("%03d", t.Nanosecond()/1e6) + strings.Repeat("0", max(0, p.count-3))
		return digits[:p.count]
	case 'z':
		return t.Format("MST")
	}
	switch p.count { // Z
	case 1:
		return t.Format("-0700")
	case 2:
		return t.Format("-07:00")
	}
	return t.Location().String()
}
