package rule

import (
	"bytes"
	"encoding/json"
	"strings"
)

type kind uint8

const (
	undefined kind = iota // a missing attribute or a wrong type; contagious
	null
	boolean
	number
	text
	objectKind
	arrayKind
)

// A value is what an expression yields. The zero value is Undefined.
type value struct {
	kind kind
	flag bool   // of a boolean
	text string // of a text
	raw  []byte // compact JSON: of a number, an object, an array; and of a text that came as JSON
}

// fromJSON makes a value of compact, valid JSON.
func fromJSON(raw []byte) value {
	switch raw[0] {
	case '{':
		return value{kind: objectKind, raw: raw}
	case '[':
		return value{kind: arrayKind, raw: raw}
	case '"':
		return value{kind: text, text: unquote(raw), raw: raw}
	case 't', 'f':
		return value{kind: boolean, flag: raw[0] == 't'}
	case 'n':
		return value{kind: null}
	}
	return value{kind: number, raw: raw}
}

// append writes v as JSON; Undefined must have been left out before.
func (v value) append(to []byte) []byte {
	switch {
	case v.raw != nil:
		return append(to, v.raw...)
	case v.kind == text:
		return appendText(to, v.text)
	case v.kind == boolean && v.flag:
		return append(to, "true"...)
	case v.kind == boolean:
		return append(to, "false"...)
	}
	return append(to, "null"...)
}

func (v value) size() int { return max(len(v.raw), len(v.text), 4) }

// appendText writes s as a JSON text. Markup is not escaped, as AWS does not.
func appendText(to []byte, s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string can always be encoded
	return append(to, bytes.TrimRight(buf.Bytes(), "\n")...)
}

// wholeNumber turns 10.0 into 10.
func (v value) wholeNumber() value {
	if v.kind != number || !bytes.ContainsAny(v.raw, ".eE") {
		return v
	}
	if d, ok := parseDecimal(string(v.raw)); ok && d.whole() {
		v.raw = []byte(d.integer())
	}
	return v
}

// output is v as it goes into a document: Version2016 turns 10.0 into 10.
func (v value) output(in *Input) value {
	if in.ints {
		return v.wholeNumber()
	}
	return v
}

// asBoolean converts for AND, OR and NOT; ok is false for Undefined.
func (v value) asBoolean() (b, ok bool) {
	switch {
	case v.kind == boolean:
		return v.flag, true
	case v.kind == text && strings.EqualFold(v.text, "true"):
		return true, true
	case v.kind == text && strings.EqualFold(v.text, "false"):
		return false, true
	}
	return false, false
}

// asNumber converts for < <= > >=; ok is false for Undefined.
func (v value) asNumber() (d decimal, ok bool) {
	switch v.kind {
	case number:
		return parseDecimal(string(v.raw))
	case text:
		// AWS's pattern for texts knows neither "+5" nor "5E+5".
		if !strings.Contains(v.text, "+") && numberEnd(v.text) == len(v.text) && v.text != "" {
			return parseDecimal(v.text)
		}
	}
	return decimal{}, false
}

// junction is AND (all) or OR of list. Every operand must be a Boolean, or the
// whole is Undefined: no short cut is documented.
func junction(list []term, all bool) func(*Input) value {
	return func(in *Input) value {
		result, ok := all, true
		for _, t := range list {
			b, known := t.eval(in).asBoolean()
			ok = ok && known
			if b != all {
				result = !all
			}
			if in.err != nil {
				return value{}
			}
		}
		if !ok {
			return value{}
		}
		return value{kind: boolean, flag: result}
	}
}

func not(of term) func(*Input) value {
	return func(in *Input) value {
		b, ok := of.eval(in).asBoolean()
		if !ok {
			return value{}
		}
		return value{kind: boolean, flag: !b}
	}
}

// comparisons returns what the operator t does, nil when it is none.
func comparisons(t token) func(a, b value) value {
	if t.kind != signToken {
		return nil
	}
	switch t.text {
	case "=":
		return func(a, b value) value { return equality(a, b, true) }
	case "<>":
		return func(a, b value) value { return equality(a, b, false) }
	case "<":
		return func(a, b value) value { return order(a, b, func(c int) bool { return c < 0 }) }
	case "<=":
		return func(a, b value) value { return order(a, b, func(c int) bool { return c <= 0 }) }
	case ">":
		return func(a, b value) value { return order(a, b, func(c int) bool { return c > 0 }) }
	case ">=":
		return func(a, b value) value { return order(a, b, func(c int) bool { return c >= 0 }) }
	}
	return nil
}

func order(a, b value, holds func(int) bool) value {
	x, ok := a.asNumber()
	y, ok2 := b.asNumber()
	if !ok || !ok2 {
		return value{}
	}
	return value{kind: boolean, flag: holds(x.compare(y))}
}

// equality is = (want true) and <>: nothing is converted, and values of two
// kinds are simply not equal.
func equality(a, b value, want bool) value {
	if a.kind == undefined || b.kind == undefined {
		return value{}
	}
	same := a.kind == b.kind
	if same {
		switch a.kind {
		case boolean:
			same = a.flag == b.flag
		case text:
			same = a.text == b.text
		case number, objectKind, arrayKind:
			same = equalJSON(a.raw, b.raw)
		}
	}
	return value{kind: boolean, flag: same == want}
}

func equalJSON(a, b []byte) bool {
	var x, y any
	for raw, to := range map[*any][]byte{&x: a, &y: b} {
		dec := json.NewDecoder(bytes.NewReader(to))
		dec.UseNumber()
		if dec.Decode(raw) != nil {
			return false
		}
	}
	return equalValues(x, y)
}

func equalValues(x, y any) bool {
	switch x := x.(type) {
	case json.Number:
		y, ok := y.(json.Number)
		if !ok {
			return false
		}
		a, ok1 := parseDecimal(string(x))
		b, ok2 := parseDecimal(string(y))
		return ok1 && ok2 && a.compare(b) == 0 || x == y
	case []any:
		y, ok := y.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !equalValues(x[i], y[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		y, ok := y.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k, v := range x {
			w, ok := y[k]
			if !ok || !equalValues(v, w) {
				return false
			}
		}
		return true
	}
	return x == y
}
