package rule

import (
	"strconv"
	"strings"
)

// A builtin is a function of the SQL. Its arguments come evaluated, and their
// sizes are charged already.
type builtin struct {
	min, max int  // arguments
	modern   bool // not in Version2015
	star     bool // * may be its first argument
	eval     func(in *Input, a []value) value
}

// many is the most arguments of a function that takes any number.
const many = 1000

// builtinNamed looks through the tables, one a topic.
func builtinNamed(name string) (builtin, bool) {
	name = strings.ToLower(name)
	for _, table := range []map[string]builtin{messageFunctions, numberFunctions, textFunctions, collectionFunctions, timeFunctions} {
		if f, ok := table[name]; ok {
			return f, true
		}
	}
	return builtin{}, false
}

// foreign are the functions that need a service of AWS that is not here.
var foreign = map[string]string{
	"get_dynamodb":            "DynamoDB",
	"get_secret":              "Secrets Manager",
	"machinelearning_predict": "Amazon Machine Learning",
}

// function reads name(arguments).
func (p *parser) function() (term, error) {
	word := p.peek()
	p.next += 2 // the name and "("
	if err := p.enter(word); err != nil {
		return term{}, err
	}
	defer p.leave()
	var t term
	var err error
	switch strings.ToLower(word.text) {
	case "topic":
		t, err = p.topicFunction(word)
	case "cast":
		t, err = p.castFunction(word)
	case "encode", "decode":
		t, err = p.codeFunction(word)
	case "regexp_matches", "regexp_replace", "regexp_substr":
		t, err = p.patternFunction(word)
	case "parse_time", "time_to_epoch":
		t, err = p.timeFunction(word)
	case "get_or_default":
		t, err = p.defaultFunction(word)
	case "aws_lambda", "get_thing_shadow", "get_registry_data":
		t, err = p.askFunction(word)
	default:
		t, err = p.plainFunction(word)
	}
	t.name, t.level = word.text, valueLevel
	return t, err
}

func (p *parser) plainFunction(word token) (term, error) {
	f, ok := builtinNamed(word.text)
	if !ok {
		if service := foreign[strings.ToLower(word.text)]; service != "" {
			return term{}, p.refuse(word, "the function %s() is not offered, because it needs %s", word.text, service)
		}
		return term{}, p.refuse(word, "there is no function %s()", clip(word.text))
	}
	if f.modern {
		if err := p.newer(word, "the function "+word.text+"()"); err != nil {
			return term{}, err
		}
	}
	args, err := p.arguments(word, f.min, f.max, f.star)
	if err != nil {
		return term{}, err
	}
	return apply(word, args, f.eval), nil
}

// apply is the call of eval with args.
func apply(word token, args []term, eval func(*Input, []value) value) term {
	texts := make([]string, len(args))
	for i, a := range args {
		texts[i] = a.text
	}
	return term{text: word.text + "(" + strings.Join(texts, ", ") + ")", eval: func(in *Input) value {
		values := make([]value, len(args))
		size := 0
		for i, a := range args {
			values[i] = a.eval(in)
			size += values[i].size()
		}
		if !in.charge(size) {
			return value{}
		}
		return eval(in, values)
	}}
}

// arguments reads what stands between the parentheses, and the closing one.
func (p *parser) arguments(word token, least, most int, star bool) ([]term, error) {
	var args []term
	for !p.peek().is(")") {
		if args != nil && !p.take(",") {
			return nil, p.unexpected(p.peek())
		}
		if t := p.peek(); t.is("*") && star && args == nil {
			p.next++
			args = append(args, wholeTerm)
			continue
		}
		a, err := p.expression()
		if err != nil {
			return nil, err
		}
		args = append(args, a)
	}
	switch {
	case len(args) < least:
		return nil, p.refuse(p.peek(), "%s() takes more arguments", word.text)
	case len(args) > most:
		return nil, p.refuse(word, "%s() takes no more than %d arguments", word.text, most)
	}
	p.next++
	return args, nil
}

// wholeTerm is * as an argument: the payload, Undefined when it is no JSON.
var wholeTerm = term{text: "*", level: valueLevel, eval: func(in *Input) value {
	if in.here == nil {
		return value{}
	}
	return fromJSON(in.here)
}}

func (p *parser) topicFunction(word token) (term, error) {
	if p.take(")") {
		return term{text: word.text + "()", eval: func(in *Input) value { return textValue(in.Topic) }}, nil
	}
	t := p.peek()
	n, err := strconv.Atoi(t.text)
	if t.kind != numberToken || err != nil || n < 1 {
		return term{}, p.refuse(t, "topic(n) takes a whole number; the first level of the topic is 1")
	}
	p.next++
	if !p.take(")") {
		return term{}, p.refuse(p.peek(), "%s() takes no more arguments", word.text)
	}
	return term{text: word.text + "(" + strconv.Itoa(n) + ")", eval: func(in *Input) value { return topicLevel(in.Topic, n) }}, nil
}

// topicLevel is the nth level of topic, counted from 1.
func topicLevel(topic string, n int) value {
	if topic == "" {
		return value{}
	}
	for level := range strings.SplitSeq(topic, "/") {
		if n--; n == 0 {
			return textValue(level)
		}
	}
	return value{}
}

// casts are the types of cast(); true for those that Version2015 lacks.
var casts = map[string]bool{
	"string": false, "nvarchar": false, "text": false, "ntext": false, "varchar": false,
	"int": false, "integer": false, "double": false, "decimal": true, "bool": true, "boolean": true,
}

// castFunction reads cast(expression AS type).
func (p *parser) castFunction(word token) (term, error) {
	of, err := p.expression()
	if err != nil {
		return term{}, err
	}
	if !p.take("AS") {
		return term{}, p.refuse(p.peek(), "cast() is written cast(value AS type)")
	}
	t := p.peek()
	modern, known := casts[strings.ToLower(t.text)]
	if t.kind != wordToken || !known {
		return term{}, p.refuse(t, "%q is no type; cast() knows String, Int, Double, Decimal, Boolean and their other names", clip(t.text))
	}
	if modern {
		if err := p.newer(t, "cast() to "+t.text); err != nil {
			return term{}, err
		}
	}
	p.next++
	if !p.take(")") {
		return term{}, p.unexpected(p.peek())
	}
	name := strings.ToLower(t.text)
	return term{text: word.text + "(" + of.text + " AS " + t.text + ")", eval: func(in *Input) value { return cast(in, of.eval(in), name) }}, nil
}

// cast differs from the usual conversions: a Boolean becomes 1 or 0, a number
// is true unless it is zero, and Null is Undefined.
func cast(in *Input, v value, to string) value {
	switch to {
	case "int", "integer", "double", "decimal":
		if v.kind == boolean {
			v = intValue(map[bool]int64{true: 1}[v.flag])
		}
		if to[0] == 'i' {
			if d, ok := v.asInteger(); ok {
				return d.value(true)
			}
		} else if d, ok := v.asNumber(); ok {
			return d.value(false)
		}
		return value{}
	case "bool", "boolean":
		if v.kind == number {
			d, ok := v.asNumber()
			if !ok {
				return value{}
			}
			return boolValue(d.sign() != 0)
		}
		if b, ok := v.asBoolean(); ok {
			return boolValue(b)
		}
		return value{}
	}
	if s, ok := v.asText(in); ok {
		return textValue(s)
	}
	return value{}
}

// defaultFunction reads get_or_default(expression [, default]), which outlives
// what fails outside; its default may not ask outside itself.
func (p *parser) defaultFunction(word token) (term, error) {
	if err := p.newer(word, "the function "+word.text+"()"); err != nil {
		return term{}, err
	}
	of, err := p.expression()
	if err != nil {
		return term{}, err
	}
	args := []term{of}
	if p.take(",") {
		asked := p.asks
		p.asks = false
		t := p.peek()
		or, err := p.expression()
		if err != nil {
			return term{}, err
		}
		if p.asks {
			return term{}, p.refuse(t, "the default of %s() may not ask outside itself", word.text)
		}
		p.asks = asked
		args = append(args, or)
	}
	if !p.take(")") {
		return term{}, p.refuse(p.peek(), "%s() takes an expression and a default", word.text)
	}
	t := apply(word, args, nil) // for its text
	t.eval = func(in *Input) value {
		v := of.eval(in)
		if in.err != nil && in.outside {
			in.err, in.outside, v = nil, false, value{}
		}
		if v.kind != undefined && v.kind != null || len(args) == 1 && v.kind == undefined {
			return v
		}
		if len(args) == 1 {
			return value{}
		}
		return args[1].eval(in)
	}
	return t, nil
}
