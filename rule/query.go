package rule

import "strings"

// This file reads and evaluates what Version2016 has more than Version2015
// (literals of objects and arrays, nested queries), and CASE.

// newer refuses t in a statement of Version2015.
func (p *parser) newer(t token, what string) error {
	if p.modern {
		return nil
	}
	return p.refuse(t, "%s needs the SQL version %s", what, Version2016)
}

// nested reads SELECT ... FROM path [WHERE ...], in parentheses. Its FROM is
// looked up where the query stands; its names in each element.
func (p *parser) nested() (term, error) {
	start := p.peek()
	p.next++
	if err := p.newer(start, "a nested query"); err != nil {
		return term{}, err
	}
	var s selection
	if err := p.list(&s); err != nil {
		return term{}, err
	}
	if !p.take("FROM") {
		return term{}, p.refuse(p.peek(), "a nested query needs its FROM")
	}
	if t := p.peek(); t.kind == textToken {
		return term{}, p.refuse(t, "the FROM of a nested query takes a path without quotes")
	}
	from, err := p.path()
	if err != nil {
		return term{}, err
	}
	if err := p.condition(&s); err != nil {
		return term{}, err
	}
	return term{
		text: "(" + s.written(" FROM "+strings.Join(from, ".")) + ")", level: valueLevel,
		eval: func(in *Input) value { return s.over(in, in.walk(in.here, from)) },
	}, nil
}

// over applies a nested query: to each element of an array, which gives an
// array, or to an object, which gives one result.
func (s *selection) over(in *Input, from value) value {
	switch from.kind {
	case objectKind:
		v, _ := s.at(in, from.raw)
		return v
	case arrayKind:
		out := []byte{'['}
		for raw := range elements(from.raw) {
			// What is Undefined has no place in an array (unverified).
			v, ok := s.at(in, raw)
			if ok && v.kind != undefined {
				out = appendElement(out, v)
			}
			if !in.charge(len(raw)+v.size()) || len(out) > 4*MaxDocument {
				in.fail(errLarge)
				return value{}
			}
		}
		return value{kind: arrayKind, raw: append(out, ']')}
	}
	return value{}
}

// at applies a nested query to one element; ok is false when WHERE is not true.
func (s *selection) at(in *Input, raw []byte) (v value, ok bool) {
	here, inner := in.here, in.inner
	in.here, in.inner = raw, true
	defer func() { in.here, in.inner = here, inner }()
	if s.where != nil {
		if v := s.where.eval(in); v.kind != boolean || !v.flag || in.err != nil {
			return value{}, false
		}
	}
	return s.project(in), true
}

// choice reads CASE v WHEN t THEN r {WHEN t THEN r} [ELSE r] END.
func (p *parser) choice() (term, error) {
	start := p.peek()
	p.next++
	if err := p.enter(start); err != nil {
		return term{}, err
	}
	defer p.leave()
	if t := p.peek(); t.is("WHEN") {
		return term{}, p.refuse(t, "CASE takes a value before WHEN; it is compared with =")
	}
	of, err := p.expression()
	if err != nil {
		return term{}, err
	}
	type branch struct{ when, then func(*Input) value }
	var branches []branch
	written := "CASE " + of.text
	for p.take("WHEN") {
		when, err := p.expression()
		if err != nil {
			return term{}, err
		}
		if !p.take("THEN") {
			return term{}, p.refuse(p.peek(), "WHEN needs its THEN")
		}
		then, err := p.expression()
		if err != nil {
			return term{}, err
		}
		branches = append(branches, branch{when.eval, then.eval})
		written += " WHEN " + when.text + " THEN " + then.text
	}
	if branches == nil {
		return term{}, p.refuse(p.peek(), "CASE needs a WHEN")
	}
	otherwise := func(*Input) value { return value{} }
	if p.take("ELSE") {
		e, err := p.expression()
		if err != nil {
			return term{}, err
		}
		otherwise = e.eval
		written += " ELSE " + e.text
	}
	if !p.take("END") {
		return term{}, p.refuse(p.peek(), "CASE needs its END")
	}
	return term{text: written + " END", level: valueLevel, eval: func(in *Input) value {
		v := of.eval(in)
		if v.kind == undefined {
			return value{}
		}
		for _, b := range branches {
			w := b.when(in)
			if !in.charge(len(v.raw) + len(w.raw)) {
				return value{}
			}
			if same := equality(v, w, true); same.kind == boolean && same.flag {
				return b.then(in)
			}
		}
		return otherwise(in)
	}}, nil
}

// objectLiteral reads {'name': expression, ...}; what is Undefined is left out.
func (p *parser) objectLiteral() (term, error) {
	start := p.peek()
	p.next++
	if err := p.newer(start, "an object in the statement"); err != nil {
		return term{}, err
	}
	if err := p.enter(start); err != nil {
		return term{}, err
	}
	defer p.leave()
	type member struct {
		name string
		of   func(*Input) value
	}
	var all []member
	var texts []string
	for !p.take("}") {
		if all != nil && !p.take(",") {
			return term{}, p.unexpected(p.peek())
		}
		t := p.peek()
		if t.kind != textToken && t.kind != wordToken || strings.Contains(t.text, `\`) {
			return term{}, p.refuse(t, "an object has names in quotes")
		}
		p.next++
		if !p.take(":") {
			return term{}, p.refuse(p.peek(), "a name in an object needs its colon")
		}
		of, err := p.expression()
		if err != nil {
			return term{}, err
		}
		all = append(all, member{t.text, of.eval})
		texts = append(texts, quote(t.text)+": "+of.text)
	}
	return term{text: "{" + strings.Join(texts, ", ") + "}", level: valueLevel, eval: func(in *Input) value {
		var out object
		for _, m := range all {
			v := m.of(in).output(in)
			if !in.charge(v.size()) {
				return value{}
			}
			out.set([]string{m.name}, v)
		}
		return value{kind: objectKind, raw: out.append(nil)}
	}}, nil
}

// arrayLiteral reads [expression, ...]; what is Undefined is left out.
func (p *parser) arrayLiteral() (term, error) {
	start := p.peek()
	p.next++
	if err := p.newer(start, "an array in the statement"); err != nil {
		return term{}, err
	}
	if err := p.enter(start); err != nil {
		return term{}, err
	}
	defer p.leave()
	var all []func(*Input) value
	var texts []string
	for !p.take("]") {
		if all != nil && !p.take(",") {
			return term{}, p.unexpected(p.peek())
		}
		of, err := p.expression()
		if err != nil {
			return term{}, err
		}
		all = append(all, of.eval)
		texts = append(texts, of.text)
	}
	return term{text: "[" + strings.Join(texts, ", ") + "]", level: valueLevel, eval: func(in *Input) value {
		out := []byte{'['}
		for _, of := range all {
			v := of(in).output(in)
			if !in.charge(v.size()) {
				return value{}
			}
			if v.kind != undefined {
				out = appendElement(out, v)
			}
		}
		return value{kind: arrayKind, raw: append(out, ']')}
	}}, nil
}
