package policy

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A value is one wanted value of a condition, compiled for its operator.
type value struct {
	template
	fixed  *glob // of strings and booleans without variables
	arn    *arnTemplate
	number number
	date   time.Time
	net    netip.Prefix
	bytes  []byte
	valid  bool // false: cannot be read as what the operator compares
}

func readValue(op operator, text string, variables bool) value {
	v := value{valid: true}
	v.template = readTemplate(text, op.like, variables && op.variables())
	switch op.family {
	case familyString, familyBool:
		v.fixed = v.template.fixed()
	case familyARN:
		v.arn = readARNValue(text, variables)
	case familyNumeric:
		v.number, v.valid = readNumber(text)
	case familyDate:
		v.date, v.valid = readDate(text)
	case familyIP:
		v.net, v.valid = readNet(text)
	case familyBinary:
		v.bytes, v.valid = readBinary(text)
	}
	return v
}

// An outcome is how one found value compares with one wanted value.
type outcome int

const (
	differs outcome = iota
	matches
	unreadable // one of them is no number, date, ... : the condition fails
	unknowable // a variable that Strait never supplies
)

func is(b bool) outcome {
	if b {
		return matches
	}
	return differs
}

// compare compares found, a value of the request, with v.
func (v *value) compare(op operator, found string, ctx Context) outcome {
	if !v.valid {
		return unreadable
	}
	switch op.family {
	case familyString, familyBool:
		return v.compareText(op, found, ctx)
	case familyARN:
		ok, f := v.arn.matches(found, ctx, false)
		if f == unsupplied {
			return unknowable
		}
		return is(ok && isARN(found))
	case familyNumeric:
		if n, ok := readNumber(found); ok {
			return is(op.compare.holds(n.order(v.number)))
		}
	case familyDate:
		if d, ok := readDate(found); ok {
			return is(op.compare.holds(d.Compare(v.date)))
		}
	case familyIP:
		if a, err := netip.ParseAddr(found); err == nil {
			return is(v.net.Contains(a.Unmap().WithZone("")))
		}
	case familyBinary:
		if b, ok := readBinary(found); ok {
			return is(bytes.Equal(b, v.bytes))
		}
	}
	return unreadable
}

func (v *value) compareText(op operator, found string, ctx Context) outcome {
	fold := op.fold || op.family == familyBool
	switch {
	case v.fixed != nil && fold:
		return is(strings.EqualFold(v.fixed.chunks[0].text, found))
	case v.fixed != nil:
		return is(v.fixed.match(found))
	case fold:
		g, f := fill(v.tokens, ctx, false)
		if f == unsupplied {
			return unknowable
		}
		return is(f == filled && strings.EqualFold(g.chunks[0].text, found))
	}
	ok, f := matchTokens(v.tokens, ctx, false, found)
	if f == unsupplied {
		return unknowable
	}
	return is(ok)
}

// A number is a whole number where it can be, so that large ones are exact.
type number struct {
	whole   int64
	float   float64
	isWhole bool
}

func readNumber(text string) (number, bool) {
	if text == "" || strings.Trim(text, "0123456789+-.eE") != "" {
		return number{}, false // ParseFloat would take "inf" and "0x1p4"
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return number{}, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return number{n, f, err == nil}, true
}

func (n number) order(m number) int {
	if n.isWhole && m.isWhole {
		return cmp.Compare(n.whole, m.whole)
	}
	return cmp.Compare(n.float, m.float)
}

// readDate reads the W3C profile of ISO 8601, or seconds since 1970. Four
// digits are a year.
func readDate(text string) (time.Time, bool) {
	for _, layout := range [...]string{
		time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "2006",
		"2006-01-02T15:04:05Z0700",
	} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	n, ok := readNumber(text)
	const limit = 1 << 40 // seconds; some 35,000 years
	switch {
	case !ok || n.float > limit || n.float < -limit:
		return time.Time{}, false
	case n.isWhole:
		return time.Unix(n.whole, 0), true
	}
	return time.UnixMilli(int64(n.float * 1000)), true
}

// readNet reads a CIDR, or an address as the net of itself.
func readNet(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}

func readBinary(text string) ([]byte, bool) {
	b, err := base64.StdEncoding.DecodeString(text)
	return b, err == nil
}
