package rule

import (
	"strconv"
	"strings"
)

// maxDepth bounds parentheses and NOTs within each other.
const maxDepth = 64

// A parser reads one statement, by recursive descent.
type parser struct {
	source string
	tokens []token
	next   int
	depth  int
}

// A term is a compiled expression.
type term struct {
	text  string // in the fixed form of Statement.String
	level int    // how tightly the text binds, one of the levels below
	name  string // the key it gets without AS; "" when it needs an AS
	eval  func(*Input) value
}

// Levels of expressions, loosest first. AWS does not document them; these are
// the ones of ANSI SQL.
const (
	orLevel = iota
	andLevel
	notLevel
	compareLevel
	valueLevel
)

// within writes t as an operand of something that needs at least level.
func (t term) within(level int) string {
	if t.level < level {
		return "(" + t.text + ")"
	}
	return t.text
}

func (p *parser) peek() token { return p.tokens[p.next] }

// take goes past the next token if it is word.
func (p *parser) take(word string) bool {
	if !p.peek().is(word) {
		return false
	}
	p.next++
	return true
}

func (p *parser) statement() (*Statement, error) {
	// 1. SELECT and its items.
	if err := p.lex(); err != nil {
		return nil, err
	}
	if !p.take("SELECT") {
		if p.peek().is("SET") {
			return nil, p.refuse(p.peek(), "the SET clause is not offered")
		}
		return nil, p.refuse(p.peek(), "a statement begins with SELECT")
	}
	if t := p.peek(); t.is("VALUE") && p.valueClause(p.tokens[p.next+1]) {
		return nil, p.refuse(t, "SELECT VALUE is not offered; select named items")
	}
	s := &Statement{}
	for more := true; more; more = p.take(",") {
		it, err := p.item()
		if err != nil {
			return nil, err
		}
		s.items = append(s.items, it)
	}
	// 2. FROM.
	if p.take("FROM") {
		t := p.peek()
		if t.kind != textToken {
			return nil, p.refuse(t, "FROM takes a topic filter in quotes; nested queries are not offered")
		}
		if wrong := checkFilter(t.text); wrong != "" {
			return nil, p.refuse(t, "%s", wrong)
		}
		s.filter = t.text
		p.next++
	}
	// 3. WHERE.
	if p.take("WHERE") {
		cond, err := p.expression()
		if err != nil {
			return nil, err
		}
		s.where = &cond
	}
	if t := p.peek(); t.kind != endToken {
		return nil, p.unexpected(t)
	}
	return s, nil
}

// valueClause tells whether the word VALUE before t is the keyword: an
// attribute may be called value, too.
func (p *parser) valueClause(t token) bool {
	switch t.kind {
	case wordToken:
		return !t.reserved() || t.is("NOT") || t.is("CASE")
	case textToken, numberToken:
		return true
	}
	return t.is("*")
}

// unexpected refuses t where a statement cannot go on with it.
func (p *parser) unexpected(t token) error {
	switch {
	case t.kind == endToken:
		return p.refuse(t, "the statement ends too early")
	case t.kind == signToken && strings.Contains("+-*/%|", t.text):
		return p.refuse(t, "arithmetic (%s) is not offered; a name with a hyphen cannot be selected", t.text)
	case t.kind == signToken && strings.Contains("[]{}", t.text):
		return p.refuse(t, "lists and objects (%s) in the statement are not offered", t.text)
	case t.kind == signToken && strings.Contains("!@$;", t.text):
		return p.refuse(t, "%q is not offered", t.text)
	case t.is("IN"), t.is("LIKE"), t.is("BETWEEN"), t.is("IS"):
		return p.refuse(t, "the operator %s is not offered", strings.ToUpper(t.text))
	case t.is("CASE"):
		return p.refuse(t, "CASE is not offered")
	case t.is("SELECT"):
		return p.refuse(t, "nested queries are not offered")
	}
	return p.refuse(t, "%q does not belong here", clip(t.text))
}

func (p *parser) item() (item, error) {
	var it item
	start := p.peek()
	if p.take("*") {
		it.star = true
	} else {
		var err error
		if it.term, err = p.expression(); err != nil {
			return item{}, err
		}
	}
	if p.take("AS") {
		path, err := p.path()
		it.path = path
		return it, err
	}
	if !it.star {
		if it.term.name == "" {
			if t := p.peek(); t.kind != endToken && !t.is(",") && !t.is("FROM") && !t.is("WHERE") {
				return item{}, p.unexpected(t)
			}
			return item{}, p.refuse(start, "this item needs a name: add AS name")
		}
		it.path = []string{it.term.name}
	}
	return it, nil
}

// path reads name{.name}; any word will do.
func (p *parser) path() ([]string, error) {
	var path []string
	for more := true; more; more = p.take(".") {
		t := p.peek()
		if t.kind != wordToken {
			if t.is("*") {
				return nil, p.refuse(t, "* behind a dot is not offered")
			}
			if t.kind == endToken {
				return nil, p.unexpected(t)
			}
			return nil, p.refuse(t, "%q is not a name", clip(t.text))
		}
		p.next++
		path = append(path, t.text)
	}
	return path, nil
}

// expression reads an OR and all that binds more tightly.
func (p *parser) expression() (term, error) {
	return p.chain("OR", orLevel, func() (term, error) {
		return p.chain("AND", andLevel, p.negation)
	})
}

// chain reads operands joined by word. A chain is one list, not a tree, so
// that a long one is not deep.
func (p *parser) chain(word string, level int, operand func() (term, error)) (term, error) {
	first, err := operand()
	if err != nil || !p.peek().is(word) {
		return first, err
	}
	list := []term{first}
	texts := []string{first.within(level + 1)}
	for p.take(word) {
		t, err := operand()
		if err != nil {
			return term{}, err
		}
		list = append(list, t)
		texts = append(texts, t.within(level+1))
	}
	return term{text: strings.Join(texts, " "+word+" "), level: level, eval: junction(list, word == "AND")}, nil
}

func (p *parser) negation() (term, error) {
	t := p.peek()
	if !p.take("NOT") {
		return p.comparison()
	}
	if err := p.enter(t); err != nil {
		return term{}, err
	}
	defer p.leave()
	of, err := p.negation()
	if err != nil {
		return term{}, err
	}
	return term{text: "NOT " + of.within(notLevel), level: notLevel, eval: not(of)}, nil
}

func (p *parser) comparison() (term, error) {
	left, err := p.value()
	if err != nil {
		return term{}, err
	}
	t := p.peek()
	test := comparisons(t)
	if test == nil {
		return left, nil
	}
	p.next++
	right, err := p.value()
	if err != nil {
		return term{}, err
	}
	if after := p.peek(); comparisons(after) != nil {
		return term{}, p.refuse(after, "comparisons cannot follow each other; use AND")
	}
	l, r := left.eval, right.eval
	return term{
		text:  left.within(valueLevel) + " " + t.text + " " + right.within(valueLevel),
		level: compareLevel,
		eval:  func(in *Input) value { return test(l(in), r(in)) },
	}, nil
}

// value reads a literal, a path, a function or something in parentheses.
func (p *parser) value() (term, error) {
	t := p.peek()
	switch {
	case t.kind == textToken:
		p.next++
		return constant(quote(t.text), value{kind: text, text: t.text}), nil
	case t.kind == numberToken:
		p.next++
		digits := trimZeros(t.text)
		if d, ok := parseDecimal(digits); !ok || len(d.digits) > maxDigits {
			return term{}, p.refuse(t, "a number has at most %d digits and lies between 1E-999 and 1E999", maxDigits)
		}
		return constant(digits, value{kind: number, raw: []byte(digits)}), nil
	case t.is("("):
		return p.parentheses()
	case t.kind != wordToken || t.reserved():
		return term{}, p.unexpected(t)
	case p.tokens[p.next+1].is("("):
		return p.function()
	case t.is("true"), t.is("false"):
		p.next++
		return constant(strings.ToLower(t.text), value{kind: boolean, flag: t.is("true")}), nil
	case t.is("null"):
		p.next++
		return constant("null", value{kind: null}), nil
	}
	path, err := p.path()
	if err != nil {
		return term{}, err
	}
	return term{text: strings.Join(path, "."), level: valueLevel, name: path[len(path)-1],
		eval: func(in *Input) value { return in.lookup(path) }}, nil
}

func constant(written string, v value) term {
	return term{text: written, level: valueLevel, eval: func(*Input) value { return v }}
}

// parentheses vanish here; within puts back those that are needed.
func (p *parser) parentheses() (term, error) {
	t := p.peek()
	p.next++
	if err := p.enter(t); err != nil {
		return term{}, err
	}
	defer p.leave()
	inner, err := p.expression()
	if err != nil {
		return term{}, err
	}
	if !p.take(")") {
		if p.peek().kind == endToken {
			return term{}, p.refuse(t, "the parenthesis is not closed")
		}
		return term{}, p.unexpected(p.peek())
	}
	return inner, nil
}

func (p *parser) enter(t token) error {
	if p.depth++; p.depth > maxDepth {
		return p.refuse(t, "more than %d levels of parentheses and NOT", maxDepth)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

// position reads the argument of topic(n).
func (p *parser) position() (int, error) {
	t := p.peek()
	n, err := strconv.Atoi(t.text)
	if t.kind != numberToken || err != nil || n < 1 {
		return 0, p.refuse(t, "topic(n) takes a whole number; the first level of the topic is 1")
	}
	p.next++
	return n, nil
}
