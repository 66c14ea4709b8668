package rule

import (
	"math/big"
	"strconv"
	"strings"
)

// Arithmetic is exact on decimals of up to maxDigits digits, rounded half to
// even beyond them, as Java's DECIMAL128 does (AWS documents the digits, not
// the rounding).

// operators compute; what is no number is Undefined.
var operators = map[string]func(in *Input, a, b value) value{
	"+": func(in *Input, a, b value) value {
		if a.kind == text || b.kind == text {
			return join(in, a, b)
		}
		return compute(a, b, decimal.add)
	},
	"-": func(_ *Input, a, b value) value {
		return compute(a, b, func(x, y decimal) decimal { y.negative = !y.negative; return x.add(y) })
	},
	"*": func(_ *Input, a, b value) value { return compute(a, b, decimal.times) },
	"/": func(_ *Input, a, b value) value {
		if y, ok := b.asNumber(); !ok || y.sign() == 0 {
			return value{}
		}
		// Int / Int is documented to be an Int; that it is cut off is unverified.
		if a.isInt() && b.isInt() {
			return compute(a, b, decimal.cutQuotient)
		}
		return compute(a, b, decimal.quotient)
	},
	"%": remainder,
}

func remainder(_ *Input, a, b value) value {
	if y, ok := b.asNumber(); !ok || y.sign() == 0 {
		return value{}
	}
	return compute(a, b, decimal.remainder)
}

// compute applies op to two numbers; of two Ints it makes an Int.
func compute(a, b value, op func(x, y decimal) decimal) value {
	x, ok := a.asNumber()
	y, ok2 := b.asNumber()
	if !ok || !ok2 {
		return value{}
	}
	return op(x.rounded(), y.rounded()).value(a.isInt() && b.isInt())
}

// join is + with a text on either side.
func join(in *Input, a, b value) value {
	x, ok := a.asText(in)
	y, ok2 := b.asText(in)
	if !ok || !ok2 || !in.charge(len(x)+len(y)) {
		return value{}
	}
	if len(x)+len(y) > 4*MaxDocument {
		in.fail(errLarge)
		return value{}
	}
	return textValue(x + y)
}

// isInt tells whether v is an Int, not a Decimal or a text.
func (v value) isInt() bool { return v.kind == number && !strings.ContainsAny(string(v.raw), ".eE") }

// value is d as a value; Undefined when it is out of range.
func (d decimal) value(asInt bool) value {
	if d.exp > maxExponent || d.exp < -maxExponent {
		return value{}
	}
	return value{kind: number, raw: []byte(d.written(asInt))}
}

// written is d as JSON: plain where that is short, else with an exponent. A
// whole Decimal keeps its ".0", which tells it from an Int.
func (d decimal) written(asInt bool) string {
	sign := ""
	if d.negative {
		sign = "-"
	}
	switch {
	case d.digits == "" && asInt:
		return "0"
	case d.digits == "":
		return "0.0"
	case d.exp > 2*maxDigits || d.exp < -maxDigits:
		s := sign + d.digits[:1]
		if len(d.digits) > 1 {
			s += "." + d.digits[1:]
		}
		return s + "E" + strconv.Itoa(d.exp-1)
	case d.exp <= 0:
		return sign + "0." + strings.Repeat("0", -d.exp) + d.digits
	case d.exp < len(d.digits):
		return sign + d.digits[:d.exp] + "." + d.digits[d.exp:]
	}
	s := sign + d.digits + strings.Repeat("0", d.exp-len(d.digits))
	if !asInt {
		s += ".0"
	}
	return s
}

// rounded keeps maxDigits digits, half to even.
func (d decimal) rounded() decimal {
	if len(d.digits) <= maxDigits {
		return d
	}
	rest, kept := d.digits[maxDigits:], d.digits[:maxDigits]
	up := rest[0] > '5' || rest[0] == '5' && (len(rest) > 1 || (kept[maxDigits-1]-'0')%2 == 1)
	if up {
		n, _ := new(big.Int).SetString(kept, 10)
		kept = n.Add(n, big.NewInt(1)).String()
		d.exp += len(kept) - maxDigits
	}
	d.digits = strings.TrimRight(kept, "0")
	return d
}

// scaled returns n and e with d = n times ten to the e.
func (d decimal) scaled() (n *big.Int, e int) {
	n = new(big.Int)
	if d.digits == "" {
		return n, 0
	}
	n.SetString(d.digits, 10)
	if d.negative {
		n.Neg(n)
	}
	return n, d.exp - len(d.digits)
}

func unscaled(n *big.Int, e int) decimal {
	s, negative := strings.CutPrefix(n.String(), "-")
	d := decimal{negative: negative, exp: len(s) + e, digits: strings.TrimRight(s, "0")}
	if d.digits == "" {
		return decimal{}
	}
	return d.rounded()
}

func tenTo(e int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(e)), nil) }

// align brings two decimals to the same power of ten.
func align(x, y decimal) (a, b *big.Int, e int) {
	a, ea := x.scaled()
	b, eb := y.scaled()
	if x.sign() == 0 {
		ea = eb
	}
	if y.sign() == 0 {
		eb = ea
	}
	if e = min(ea, eb); ea > e {
		a.Mul(a, tenTo(ea-e))
	} else if eb > e {
		b.Mul(b, tenTo(eb-e))
	}
	return a, b, e
}

func (d decimal) add(o decimal) decimal {
	a, b, e := align(d, o)
	return unscaled(a.Add(a, b), e)
}

func (d decimal) times(o decimal) decimal {
	a, ea := d.scaled()
	b, eb := o.scaled()
	return unscaled(a.Mul(a, b), ea+eb)
}

// quotient needs o not to be zero.
func (d decimal) quotient(o decimal) decimal {
	a, ea := d.scaled()
	b, eb := o.scaled()
	// Enough digits, and one more that says whether something is left over.
	more := maxDigits + 2 + len(o.digits)
	q, rest := new(big.Int).QuoRem(a.Mul(a, tenTo(more)), b, new(big.Int))
	e := ea - eb - more
	if rest.Sign() != 0 {
		q.Mul(q, big.NewInt(10)).Add(q, big.NewInt(int64(d.sign()*o.sign())))
		e--
	}
	return unscaled(q, e)
}

func (d decimal) cutQuotient(o decimal) decimal {
	a, b, _ := align(d, o)
	return unscaled(a.Quo(a, b), 0)
}

func (d decimal) remainder(o decimal) decimal {
	a, b, e := align(d, o)
	return unscaled(a.Rem(a, b), e)
}

// floor is the next whole number below.
func (d decimal) floor() decimal {
	whole := d.cut()
	if d.negative && whole.compare(d) != 0 {
		return whole.add(decimal{negative: true, digits: "1", exp: 1})
	}
	return whole
}

// cut takes the fraction away.
func (d decimal) cut() decimal { return d.cutAt(0) }

// cutAt keeps that many digits of the fraction.
func (d decimal) cutAt(places int) decimal {
	keep := d.exp + places
	if keep <= 0 {
		return decimal{}
	}
	if keep < len(d.digits) {
		d.digits = strings.TrimRight(d.digits[:keep], "0")
	}
	return d
}

// half rounds to whole numbers, half away from zero.
func (d decimal) half() decimal {
	return d.add(decimal{negative: d.negative, digits: "5"}).cut()
}

func (d decimal) negate() decimal {
	d.negative = !d.negative && d.digits != ""
	return d
}

// float is the nearest double.
func (d decimal) float() float64 {
	f, _ := strconv.ParseFloat(d.written(false), 64)
	return f
}
