package rule

import (
	"cmp"
	"strconv"
	"strings"
)

// Numbers of the SQL have up to 34 digits and lie between 1E-999 and 9.99E999
// [DG Data types]. Those of payloads may have more digits; they are compared
// exactly, and beyond maxExponent they are Undefined.
const (
	maxDigits   = 34
	maxExponent = 1000
)

// A decimal is 0.digits times ten to the exp, without zeros around digits;
// zero has none. It is never computed with, so no number can cost much.
type decimal struct {
	negative bool
	digits   string
	exp      int
}

// parseDecimal reads a JSON number; ok is false when it is out of range.
func parseDecimal(s string) (d decimal, ok bool) {
	s, d.negative = strings.CutPrefix(s, "-")
	exp := 0
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		var err error
		exp, err = strconv.Atoi(s[at+1:])
		// A far exponent of zero would do no harm, but who writes that.
		if err != nil || exp > 10*maxExponent || exp < -10*maxExponent {
			return decimal{}, false
		}
		s = s[:at]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	d.exp = len(whole) + exp - (len(whole) + len(fraction) - len(digits))
	d.digits = strings.TrimRight(digits, "0")
	if d.digits == "" {
		return decimal{}, true
	}
	return d, d.exp >= -maxExponent && d.exp <= maxExponent
}

// compare returns -1, 0 or 1.
func (d decimal) compare(o decimal) int {
	if c := cmp.Compare(d.sign(), o.sign()); c != 0 || d.digits == "" {
		return c
	}
	c := cmp.Compare(d.exp, o.exp)
	if c == 0 {
		c = strings.Compare(d.digits, o.digits) // a prefix is smaller: what follows is not zero
	}
	return c * d.sign()
}

func (d decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.negative:
		return -1
	}
	return 1
}

// whole tells whether d is an Int of the SQL: whole, with at most maxDigits.
func (d decimal) whole() bool { return len(d.digits) <= d.exp && d.exp <= maxDigits || d.digits == "" }

// integer writes a whole d.
func (d decimal) integer() string {
	if d.digits == "" {
		return "0"
	}
	s := d.digits + strings.Repeat("0", d.exp-len(d.digits))
	if d.negative {
		return "-" + s
	}
	return s
}

// trimZeros takes away the leading zeros that JSON does not allow.
func trimZeros(s string) string {
	s, negative := strings.CutPrefix(s, "-")
	for len(s) > 1 && s[0] == '0' && '0' <= s[1] && s[1] <= '9' {
		s = s[1:]
	}
	if negative {
		return "-" + s
	}
	return s
}
