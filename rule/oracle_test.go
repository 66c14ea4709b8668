package rule_test

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"strait/rule"
)

// The oracle is a second, slow and plain reading of the reference: it makes an
// expression and its value together, with big fractions and Go's own values,
// and knows nothing of the engine's code. The expression is then written as
// SQL, with all of its parentheses, and both must agree.

// Values of the oracle are nil (Null), bool, string, *big.Rat, []any,
// map[string]any and absent (Undefined).
type absent struct{}

// A maker turns bytes into an expression.
type maker struct{ data []byte }

func (m *maker) pick(n int) int {
	if len(m.data) == 0 {
		return 0
	}
	b := m.data[0]
	m.data = m.data[1:]
	return int(b) % n
}

// oraclePayload has one of everything; names of it are picked by the maker.
const oraclePayload = `{"i":7,"neg":-3,"d":2.5,"s":"12.5","w":"word","t":"true","yes":true,"no":false,"z":null,"l":[1,"x",{"a":2}],"o":{"a":4,"b":"q"},"e":[{"n":1},{"n":5},{"m":0},{"n":"9"}]}`

var oracleNames = []string{"i", "neg", "d", "s", "w", "t", "yes", "no", "z", "l", "o", "o.a", "o.b", "missing", "o.missing"}

func fromDocument(path string) any {
	dec := json.NewDecoder(strings.NewReader(oraclePayload))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		panic(err)
	}
	for name := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return absent{}
		}
		if v, ok = m[name]; !ok {
			return absent{}
		}
	}
	return rational(v)
}

func rational(v any) any {
	switch v := v.(type) {
	case json.Number:
		r, _ := new(big.Rat).SetString(string(v))
		return r
	case []any:
		for i := range v {
			v[i] = rational(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = rational(v[k])
		}
	}
	return v
}

func (m *maker) expression(depth int) (string, any) {
	if depth == 0 || len(m.data) == 0 {
		switch m.pick(4) {
		case 0:
			n := m.pick(40) - 10
			return "(" + strconv.Itoa(n) + ")", big.NewRat(int64(n), 1)
		case 1:
			s := []string{"", "a", "5", "-0.5", "TRUE", "word"}[m.pick(6)]
			return "'" + s + "'", s
		}
		name := oracleNames[m.pick(len(oracleNames))]
		return name, fromDocument(name)
	}
	switch m.pick(8) {
	case 0, 1:
		a, x := m.expression(depth - 1)
		b, y := m.expression(depth - 1)
		op := []string{"+", "-", "*"}[m.pick(3)]
		return "(" + a + " " + op + " " + b + ")", slowArithmetic(op, x, y)
	case 2:
		a, x := m.expression(depth - 1)
		b, y := m.expression(depth - 1)
		op := []string{"<", "<=", ">", ">=", "=", "<>"}[m.pick(6)]
		return "(" + a + " " + op + " " + b + ")", slowComparison(op, x, y)
	case 3:
		a, x := m.expression(depth - 1)
		b, y := m.expression(depth - 1)
		op := []string{"AND", "OR"}[m.pick(2)]
		p, ok := slowBoolean(x)
		q, ok2 := slowBoolean(y)
		if !ok || !ok2 {
			return "(" + a + " " + op + " " + b + ")", absent{}
		}
		return "(" + a + " " + op + " " + b + ")", op == "AND" && p && q || op == "OR" && (p || q)
	case 4:
		a, x := m.expression(depth - 1)
		if p, ok := slowBoolean(x); ok {
			return "(NOT " + a + ")", !p
		}
		return "(NOT " + a + ")", absent{}
	case 5:
		a, x := m.expression(depth - 1)
		b, y := m.expression(depth - 1)
		c, z := m.expression(depth - 1)
		d, e := m.expression(depth - 1)
		sql := "(CASE " + a + " WHEN " + b + " THEN " + c + " ELSE " + d + " END)"
		if x == (absent{}) {
			return sql, absent{}
		}
		if slowComparison("=", x, y) == true {
			return sql, z
		}
		return sql, e
	case 6:
		a, x := m.expression(depth - 1)
		switch m.pick(4) {
		case 0:
			return "isUndefined(" + a + ")", x == absent{}
		case 1:
			return "isNull(" + a + ")", x == nil
		case 2:
			if x == (absent{}) || x == nil {
				x = "none"
			}
			return "nanvl(" + a + ", 'none')", x
		}
		if n := slowNumber(x); n != nil {
			return "sign(" + a + ")", big.NewRat(int64(n.Sign()), 1)
		}
		return "sign(" + a + ")", absent{}
	}
	// A nested query over the elements, each of which is an object.
	n := m.pick(10)
	var kept []any
	for _, e := range fromDocument("e").([]any) {
		v, ok := e.(map[string]any)["n"]
		if ok && slowComparison(">", v, big.NewRat(int64(n), 1)) == true {
			kept = append(kept, v)
		}
	}
	if kept == nil {
		kept = []any{}
	}
	return "(SELECT VALUE n FROM e WHERE n > " + strconv.Itoa(n) + ")", kept
}

func slowNumber(v any) *big.Rat {
	switch v := v.(type) {
	case *big.Rat:
		return v
	case string:
		if r, ok := new(big.Rat).SetString(v); ok && v != "" && !strings.HasPrefix(v, "+") && !strings.HasPrefix(v, ".") {
			return r
		}
	}
	return nil
}

func slowBoolean(v any) (value, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case string:
		return strings.EqualFold(v, "true"), strings.EqualFold(v, "true") || strings.EqualFold(v, "false")
	}
	return false, false
}

func slowArithmetic(op string, x, y any) any {
	a, b := slowNumber(x), slowNumber(y)
	_, s := x.(string)
	_, s2 := y.(string)
	if op == "+" && (s || s2) {
		p, ok := slowText(x)
		q, ok2 := slowText(y)
		if !ok || !ok2 {
			return absent{}
		}
		return p + q
	}
	if a == nil || b == nil {
		return absent{}
	}
	switch op {
	case "+":
		return new(big.Rat).Add(a, b)
	case "-":
		return new(big.Rat).Sub(a, b)
	}
	return new(big.Rat).Mul(a, b)
}

func slowText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case nil, absent:
		return "", false
	}
	return slowJSON(v), true
}

func slowJSON(v any) string {
	switch v := v.(type) {
	case *big.Rat:
		if v.IsInt() {
			return v.Num().String()
		}
		return strings.TrimRight(v.FloatString(40), "0")
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = slowJSON(e)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case map[string]any:
		var parts []string
		for _, k := range []string{"a", "b", "m", "n"} {
			if e, ok := v[k]; ok {
				parts = append(parts, `"`+k+`":`+slowJSON(e))
			}
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	b, _ := json.Marshal(v)
	return string(b)
}

func slowComparison(op string, x, y any) any {
	if x == (absent{}) || y == (absent{}) {
		return absent{}
	}
	if op == "=" || op == "<>" {
		kind := func(v any) string {
			switch v.(type) {
			case *big.Rat:
				return "number"
			case string:
				return "string"
			case bool:
				return "boolean"
			case []any:
				return "array"
			case map[string]any:
				return "object"
			}
			return "null"
		}
		return (kind(x) == kind(y) && slowJSON(x) == slowJSON(y)) == (op == "=")
	}
	a, b := slowNumber(x), slowNumber(y)
	if a == nil || b == nil {
		return absent{}
	}
	c := a.Cmp(b)
	return op == "<" && c < 0 || op == "<=" && c <= 0 || op == ">" && c > 0 || op == ">=" && c >= 0
}

// FuzzOracle: the engine and the oracle agree.
func FuzzOracle(f *testing.F) {
	for _, seed := range []string{"", "\x00\x01\x02\x03", "\x02\x03\x00\x07\x01\x02", "\x05\x02\x03\x04\x05\x06\x07\x08\x09", "\x07\x03", "\x06\x02\x05\x03\x01\x03\x02\x02", "\x03\x02\x02\x06\x04\x00\x01\x01\x05\x01\x04"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) { agree(t, data) })
}

func agree(t *testing.T, data []byte) {
	t.Helper()
	m := &maker{data: data}
	sql, want := m.expression(4)
	s, err := rule.Parse("SELECT "+sql+" AS v FROM 't'", rule.Version2016)
	if err != nil {
		if len(sql) > rule.MaxSQL-30 {
			return
		}
		t.Fatalf("%s: %v", sql, err)
	}
	doc, ok, err := s.Eval(input(oraclePayload))
	if err != nil || !ok {
		t.Fatalf("%s: %v, %v", sql, ok, err)
	}
	expect := "{}"
	if want != (any)(absent{}) {
		expect = `{"v":` + slowJSON(want) + `}`
	}
	if string(doc) != expect {
		t.Fatalf("%s\n got %s\nwant %s", sql, doc, expect)
	}
}

// TestOracle asks many expressions, always the same ones.
func TestOracle(t *testing.T) {
	state := uint32(1)
	for range 5_000 {
		data := make([]byte, 60)
		for i := range data {
			state = state*1664525 + 1013904223
			data[i] = byte(state >> 24)
		}
		agree(t, data)
	}
}
