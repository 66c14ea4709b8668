package rule

import (
	"strconv"
	"strings"
	"time"
)

// This file is time_to_epoch: it reads a text by a pattern of the JDK's
// DateTimeFormatter. What does not fit is Undefined.

// A clock collects what a text says of a time.
type clock struct {
	year, month, day, hour, minute, second, nano, yearday int
	afternoon, half                                       bool // half: the hour is one of twelve
	weekday                                               int  // 0: not said; 1 is Monday
	zone                                                  *time.Location
}

func timeToEpoch(_ *Input, a []value) value {
	if a[0].kind != text || a[1].kind != text || len(a[0].text) > maxTimePattern {
		return value{}
	}
	parts, err := checkTimePattern(a[1].text, jdkLetters)
	if err != nil {
		return value{}
	}
	c := clock{year: -1, month: 1, day: 1, zone: time.UTC}
	rest := a[0].text
	for i, p := range parts {
		adjacent := i+1 < len(parts) && parts[i+1].letter != 0 && parts[i+1].numeric()
		var ok bool
		if rest, ok = c.read(rest, p, adjacent); !ok {
			return value{}
		}
	}
	if rest != "" {
		return value{}
	}
	t, ok := c.time()
	if !ok {
		return value{}
	}
	return intValue(t.UnixMilli())
}

// numeric tells whether p is written in digits.
func (p timePart) numeric() bool {
	return strings.IndexByte("yudDHhKkmsS", p.letter) >= 0 || (p.letter == 'M' || p.letter == 'L') && p.count < 3
}

// time puts it together; days that do not exist are none.
func (c *clock) time() (time.Time, bool) {
	if c.year < 0 {
		return time.Time{}, false
	}
	if c.half {
		if c.hour > 11 {
			return time.Time{}, false
		}
		if c.afternoon {
			c.hour += 12
		}
	}
	if c.yearday > 0 {
		c.month, c.day = 1, c.yearday
	}
	t := time.Date(c.year, time.Month(c.month), c.day, c.hour, c.minute, c.second, c.nano, c.zone)
	right := c.month >= 1 && c.month <= 12 && c.hour < 24 && c.minute < 60 && c.second < 60
	if c.yearday > 0 {
		right = right && t.Year() == c.year
	} else {
		d := time.Date(c.year, time.Month(c.month), c.day, 0, 0, 0, 0, time.UTC)
		right = right && d.Day() == c.day && c.day > 0
		if c.weekday != 0 {
			right = right && (int(d.Weekday())+6)%7+1 == c.weekday
		}
	}
	return t, right
}

// read takes what p stands for from the front of s.
func (c *clock) read(s string, p timePart, adjacent bool) (rest string, ok bool) {
	if p.letter == 0 {
		return strings.CutPrefix(s, p.text)
	}
	if p.numeric() {
		return c.number(s, p, adjacent)
	}
	switch p.letter {
	case 'M', 'L':
		for m := time.January; m <= time.December; m++ {
			if rest, ok := strings.CutPrefix(s, shortened(m.String(), p)); ok {
				c.month = int(m)
				return rest, true
			}
		}
	case 'E':
		for d := time.Sunday; d <= time.Saturday; d++ {
			if rest, ok := strings.CutPrefix(s, shortened(d.String(), p)); ok {
				c.weekday = (int(d)+6)%7 + 1
				return rest, true
			}
		}
	case 'a':
		if rest, ok := strings.CutPrefix(s, "AM"); ok {
			return rest, true
		}
		rest, c.afternoon = strings.CutPrefix(s, "PM")
		return rest, c.afternoon
	}
	return c.offset(s, p)
}

func shortened(name string, p timePart) string {
	if p.count >= 4 {
		return name
	}
	return name[:3]
}

func (c *clock) number(s string, p timePart, adjacent bool) (string, bool) {
	// Two letters or more, or digits that follow at once, fix the width; a
	// year of four takes four.
	most := 9
	switch {
	case p.count > 1 || adjacent:
		most = p.count
	case p.letter != 'y' && p.letter != 'u' && p.letter != 'S':
		most = 2
		if p.letter == 'D' {
			most = 3
		}
	}
	n := 0
	for n < len(s) && n < most && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	if n == 0 || p.count > 1 && n < p.count {
		return s, false
	}
	v, err := strconv.Atoi(s[:n])
	if err != nil {
		return s, false
	}
	switch p.letter {
	case 'y', 'u':
		if p.count == 2 {
			v += 2000 // the JDK's base
		}
		c.year = v
		return s[n:], v <= 9999
	case 'M', 'L':
		c.month = v
	case 'd':
		c.day = v
	case 'D':
		c.yearday = v
		return s[n:], v > 0
	case 'H':
		c.hour = v
	case 'k':
		c.hour = v % 24
		return s[n:], v >= 1 && v <= 24
	case 'h':
		c.hour, c.half = v%12, true
		return s[n:], v >= 1 && v <= 12
	case 'K':
		c.hour, c.half = v, true
	case 'm':
		c.minute = v
	case 's':
		c.second = v
	case 'S':
		for range 9 - n {
			v *= 10
		}
		c.nano = v
		return s[n:], n == p.count
	}
	return s[n:], true
}

// offset reads a zone: X and x are offsets (X writes Z for none), Z is +0100,
// z and V are names.
func (c *clock) offset(s string, p timePart) (string, bool) {
	if p.letter == 'V' || p.letter == 'z' {
		n := strings.IndexFunc(s, func(r rune) bool {
			return r == ' ' || r == ',' || r == ']' || r == ')'
		})
		if n < 0 {
			n = len(s)
		}
		name := s[:n]
		if name == "Z" {
			name = "UTC"
		}
		zone, err := zoneNamed(name)
		c.zone = zone
		return s[n:], err == nil
	}
	if p.letter == 'X' || p.letter == 'Z' && p.count == 5 {
		if rest, ok := strings.CutPrefix(s, "Z"); ok {
			c.zone = time.UTC
			return rest, true
		}
	}
	layouts := map[int]string{1: "-07", 2: "-0700", 3: "-07:00"}
	layout := layouts[p.count]
	switch {
	case p.letter == 'Z' && p.count <= 3:
		layout = "-0700"
	case p.letter == 'Z' && p.count == 5:
		layout = "-07:00"
	case p.letter != 'Z' && p.count == 1 && len(s) >= 5 && s[3] >= '0' && s[3] <= '9' && s[4] >= '0' && s[4] <= '9':
		layout = "-0700" // X takes minutes when there are some
	}
	if layout == "" || len(s) < len(layout) {
		return s, false
	}
	t, err := time.Parse(layout, s[:len(layout)])
	if err != nil {
		return s, false
	}
	_, seconds := t.Zone()
	c.zone = time.FixedZone("", seconds)
	return s[len(layout):], true
}
