package policy

import "strings"

type family int

const (
	familyString family = iota
	familyNumeric
	familyDate
	familyBool
	familyBinary
	familyIP
	familyARN
	familyNull
)

type setKind int

const (
	single setKind = iota
	forAllValues
	forAnyValue
)

type comparison int

const (
	equal comparison = iota
	less
	lessOrEqual
	greater
	greaterOrEqual
)

// An operator is what a condition does with its values.
type operator struct {
	name     string // as written
	family   family
	set      setKind
	negated  bool
	ifExists bool
	like     bool // wildcards
	fold     bool // case is ignored
	compare  comparison
}

// readOperator reads an operator's name; names are case-sensitive (unverified).
func readOperator(name string) (operator, bool) {
	op := operator{name: name}
	base := name
	if rest, ok := strings.CutPrefix(base, "ForAllValues:"); ok {
		op.set, base = forAllValues, rest
	} else if rest, ok := strings.CutPrefix(base, "ForAnyValue:"); ok {
		op.set, base = forAnyValue, rest
	}
	base, op.ifExists = strings.CutSuffix(base, "IfExists")
	switch base {
	case "StringEquals":
	case "StringNotEquals":
		op.negated = true
	case "StringEqualsIgnoreCase":
		op.fold = true
	case "StringNotEqualsIgnoreCase":
		op.fold, op.negated = true, true
	case "StringLike":
		op.like = true
	case "StringNotLike":
		op.like, op.negated = true, true
	case "Bool":
		op.family = familyBool
	case "BinaryEquals":
		op.family = familyBinary
	case "IpAddress":
		op.family = familyIP
	case "NotIpAddress":
		op.family, op.negated = familyIP, true
	case "ArnEquals", "ArnLike":
		op.family, op.like = familyARN, true
	case "ArnNotEquals", "ArnNotLike":
		op.family, op.like, op.negated = familyARN, true, true
	case "Null":
		op.family = familyNull
		return op, !op.ifExists && op.set == single
	default:
		return op.readOrder(base)
	}
	return op, true
}

// readOrder reads the operators of numbers and dates.
func (op operator) readOrder(base string) (operator, bool) {
	rest, ok := strings.CutPrefix(base, "Numeric")
	op.family = familyNumeric
	if !ok {
		if rest, ok = strings.CutPrefix(base, "Date"); !ok {
			return op, false
		}
		op.family = familyDate
	}
	switch rest {
	case "Equals":
	case "NotEquals":
		op.negated = true
	case "LessThan":
		op.compare = less
	case "LessThanEquals":
		op.compare = lessOrEqual
	case "GreaterThan":
		op.compare = greater
	case "GreaterThanEquals":
		op.compare = greaterOrEqual
	default:
		return op, false
	}
	return op, true
}

// variables tells whether values of the operator may hold policy variables
// (iam-evaluation §4).
func (op operator) variables() bool {
	return op.family == familyString || op.family == familyARN || op.family == familyBool
}

// holds tells whether sign, the order of found against wanted, satisfies c.
func (c comparison) holds(sign int) bool {
	switch c {
	case less:
		return sign < 0
	case lessOrEqual:
		return sign <= 0
	case greater:
		return sign > 0
	case greaterOrEqual:
		return sign >= 0
	}
	return sign == 0
}
