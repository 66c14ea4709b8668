package rule

import (
	"math"
	"strconv"

	"strait"
)

// This file has the conversions of the SQL [DG Data types] and the makers of
// values. Every function that takes a value of the wrong type is Undefined.

var errLarge = strait.Errorf(strait.TooLarge, "document", "the rule makes more than %d bytes of this message", MaxDocument)

func textValue(s string) value { return value{kind: text, text: s} }

func boolValue(b bool) value { return value{kind: boolean, flag: b} }

func intValue(n int64) value { return value{kind: number, raw: strconv.AppendInt(nil, n, 10)} }

// floatValue is a double as Java writes it, with ".0" when it is whole;
// Undefined when it is no number (imaginary, or infinite).
func floatValue(f float64) value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return value{}
	}
	d, ok := parseDecimal(strconv.FormatFloat(f, 'e', -1, 64))
	if !ok {
		return value{}
	}
	return d.value(false)
}

// asText converts to a String; ok is false for Null and Undefined.
func (v value) asText(in *Input) (s string, ok bool) {
	switch v.kind {
	case text:
		return v.text, true
	case boolean:
		return strconv.FormatBool(v.flag), true
	case number:
		return string(v.output(in).raw), true
	case objectKind, arrayKind:
		return string(v.raw), true
	}
	return "", false
}

// asInteger converts to an Int: numbers are rounded down, texts cut off.
func (v value) asInteger() (d decimal, ok bool) {
	if d, ok = v.asNumber(); !ok {
		return d, false
	}
	if v.kind == text {
		return d.cut(), true
	}
	return d.floor(), true
}

// asIndex is asInteger for small numbers: what is larger is clamped.
func (v value) asIndex() (n int, ok bool) {
	d, ok := v.asInteger()
	if !ok {
		return 0, false
	}
	if d.exp > 9 {
		return d.sign() * math.MaxInt32, true
	}
	n, err := strconv.Atoi(d.integer())
	return n, err == nil
}

// asInt64 is asInteger for what fits.
func (v value) asInt64() (n int64, ok bool) {
	d, ok := v.asInteger()
	if !ok || d.exp > 19 {
		return 0, false
	}
	n, err := strconv.ParseInt(d.integer(), 10, 64)
	return n, err == nil
}
