package rule

import (
	"strings"

	"strait"
)

// maxDepth bounds parentheses and NOTs within each other.
const maxDepth = 64

// A parser reads one statement, by recursive descent.
type parser struct {
	source string
	modern bool // Version2016 or later
	tokens []token
	next   int
	depth  int

	wants     []string     // what functions ask outside, see Asker.Offers
	asks      bool         // a function of the statement asks outside
	roles     []strait.ARN // that such functions take
	functions []strait.ARN // that aws_lambda invokes
	heavy     int          // calls of functions of which AWS allows one
}

// A term is a compiled expression.
type term struct {
	text  string // in the fixed form of Statement.String
	level int    // how tightly the text binds, one of the levels below
	name  string // the key it gets without AS; "" when it needs an AS
	eval  func(*Input) value

	constant bool // a literal, whose value is known
	known    value
}

// Levels of expressions, loosest first. AWS does not document them; these are
// the ones of ANSI SQL.
const (
	orLevel = iota
	andLevel
	notLevel
	compareLevel
	sumLevel
	productLevel
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
	s := &Statement{}
	if err := p.list(&s.selection); err != nil {
		return nil, err
	}
	// 2. FROM.
	if p.take("FROM") {
		t := p.peek()
		if t.kind != textToken {
			return nil, p.refuse(t, "FROM takes a topic filter in quotes")
		}
		if wrong := checkFilter(t.text); wrong != "" {
			return nil, p.refuse(t, "%s", wrong)
		}
		s.filter = t.text
		p.next++
	}
	// 3. WHERE.
	if err := p.condition(&s.selection); err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != endToken {
		return nil, p.unexpected(t)
	}
	s.wants, s.asks, s.roles, s.functions = p.wants, p.asks, p.roles, p.functions
	return s, nil
}

// list reads [VALUE] item {, item}, behind SELECT.
func (p *parser) list(s *selection) error {
	if t := p.peek(); t.is("VALUE") && p.valueClause(p.tokens[p.next+1]) {
		p.next++
		s.bare = true
	}
	start := p.peek()
	for more := true; more; more = p.take(",") {
		it, err := p.item(s.bare)
		if err != nil {
			return err
		}
		s.items = append(s.items, it)
	}
	if s.bare && len(s.items) > 1 {
		return p.refuse(start, "SELECT VALUE takes one item; for more leave VALUE out")
	}
	return nil
}

// condition reads [WHERE condition].
func (p *parser) condition(s *selection) error {
	if !p.take("WHERE") {
		return nil
	}
	cond, err := p.expression()
	if err == nil {
		s.where = &cond
	}
	return err
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
	return t.is("*") || t.is("(") || t.is("{") || t.is("[")
}

// unexpected refuses t where a statement cannot go on with it.
func (p *parser) unexpected(t token) error {
	switch {
	case t.kind == endToken:
		return p.refuse(t, "the statement ends too early")
	case t.is("-"), t.is("+"):
		return p.refuse(t, "a sign is offered before a number only; write 0 - name")
	case t.is("["):
		return p.refuse(t, "elements are chosen by get(array, index), not by [ ]")
	case t.kind == signToken && strings.Contains("!@$;|", t.text):
		return p.refuse(t, "%q is not offered", t.text)
	case t.is("IN"), t.is("LIKE"), t.is("BETWEEN"), t.is("IS"), t.is("EXISTS"):
		return p.refuse(t, "the operator %s is not offered", strings.ToUpper(t.text))
	case t.is("SELECT"):
		return p.refuse(t, "a nested query stands in parentheses")
	}
	return p.refuse(t, "%q does not belong here", clip(t.text))
}

// item reads an element of SELECT's list; a bare one has no name.
func (p *parser) item(bare bool) (item, error) {
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
	if t := p.peek(); bare && t.is("AS") {
		return item{}, p.refuse(t, "SELECT VALUE gives no names")
	}
	if p.take("AS") {
		path, err := p.path()
		it.path = path
		return it, err
	}
	if !it.star && !bare {
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
	left, err := p.sum()
	if err != nil {
		return term{}, err
	}
	t := p.peek()
	test := comparisons(t)
	if test == nil {
		return left, nil
	}
	p.next++
	right, err := p.sum()
	if err != nil {
		return term{}, err
	}
	if after := p.peek(); comparisons(after) != nil {
		return term{}, p.refuse(after, "comparisons cannot follow each other; use AND")
	}
	l, r := left.eval, right.eval
	return term{
		text:  left.within(sumLevel) + " " + t.text + " " + right.within(sumLevel),
		level: compareLevel,
		eval: func(in *Input) value {
			a, b := l(in), r(in)
			if !in.charge(len(a.raw) + len(b.raw)) {
				return value{}
			}
			return test(a, b)
		},
	}, nil
}

func (p *parser) sum() (term, error) { return p.arithmetic("+-", sumLevel, p.product) }

func (p *parser) product() (term, error) { return p.arithmetic("*/%", productLevel, p.value) }

// arithmetic reads operands joined by one of the signs, from left to right.
func (p *parser) arithmetic(signs string, level int, operand func() (term, error)) (term, error) {
	first, err := operand()
	if err != nil {
		return term{}, err
	}
	type step struct {
		with func(*Input, value, value) value
		of   func(*Input) value
	}
	var steps []step
	text := first.within(level)
	for t := p.peek(); t.kind == signToken && strings.Contains(signs, t.text); t = p.peek() {
		p.next++
		next, err := operand()
		if err != nil {
			return term{}, err
		}
		steps = append(steps, step{operators[t.text], next.eval})
		text += " " + t.text + " " + next.within(level+1)
	}
	if steps == nil {
		return first, nil
	}
	start := first.eval
	return term{text: text, level: level, eval: func(in *Input) value {
		v := start(in)
		for _, s := range steps {
			v = s.with(in, v, s.of(in))
		}
		return v
	}}, nil
}

// value reads an operand, and the path that may follow one: get(a, 0).b.
func (p *parser) value() (term, error) {
	t, err := p.primary()
	if err != nil || !p.peek().is(".") || t.constant {
		return t, err
	}
	p.next++
	path, err := p.path()
	if err != nil {
		return term{}, err
	}
	of := t.eval
	return term{text: t.within(valueLevel) + "." + strings.Join(path, "."), level: valueLevel, name: path[len(path)-1],
		eval: func(in *Input) value { return in.walk(of(in).raw, path) }}, nil
}

// primary reads a literal, a path, a function, CASE or something in parentheses.
func (p *parser) primary() (term, error) {
	t := p.peek()
	switch {
	case t.kind == textToken:
		if strings.Contains(t.text, `\`) {
			return term{}, p.refuse(t, `a backslash is offered in the pattern of regexp_matches, regexp_replace and regexp_substr only, because its meaning elsewhere is not documented`)
		}
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
	case t.is("CASE"):
		return p.choice()
	case t.is("{"):
		return p.objectLiteral()
	case t.is("["):
		return p.arrayLiteral()
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
		eval: func(in *Input) value { return in.walk(in.here, path) }}, nil
}

func constant(written string, v value) term {
	return term{text: written, level: valueLevel, constant: true, known: v, eval: func(*Input) value { return v }}
}

// parentheses vanish here; within puts back those that are needed.
func (p *parser) parentheses() (term, error) {
	t := p.peek()
	p.next++
	if err := p.enter(t); err != nil {
		return term{}, err
	}
	defer p.leave()
	read := p.expression
	if p.peek().is("SELECT") {
		read = p.nested
	}
	inner, err := read()
	if err != nil {
		return term{}, err
	}
	if err := p.close(t); err != nil {
		return term{}, err
	}
	return inner, nil
}

// close goes past the parenthesis that closes the one at t.
func (p *parser) close(t token) error {
	switch {
	case p.take(")"):
		return nil
	case p.peek().kind == endToken:
		return p.refuse(t, "the parenthesis is not closed")
	}
	return p.unexpected(p.peek())
}

func (p *parser) enter(t token) error {
	if p.depth++; p.depth > maxDepth {
		return p.refuse(t, "more than %d levels of parentheses and NOT", maxDepth)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }
