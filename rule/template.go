package rule

import (
	"strings"
	"unicode/utf8"

	"strait"
)

// A Template is a text of an action in which ${expression} stands for a value
// of the message: of the original one, not of what SELECT made.
type Template struct {
	texts []string // one more than terms
	terms []term
	ints  bool
	asks  bool
	roles []strait.ARN
	calls []strait.ARN
	wants []string
}

// ParseTemplate reads a template. Its failures are of kind Invalid, "action".
func ParseTemplate(s, version string) (*Template, error) {
	t := &Template{ints: version == Version2016 || version == VersionBeta}
	if len(s) > MaxSQL || !utf8.ValidString(s) {
		return nil, strait.Errorf(strait.Invalid, "action", "a text of an action is not UTF-8, or has more than %d bytes", MaxSQL)
	}
	for {
		before, rest, found := strings.Cut(s, "${")
		t.texts = append(t.texts, before)
		if !found {
			return t, nil
		}
		end := templateEnd(rest)
		if end < 0 {
			return nil, strait.Errorf(strait.Invalid, "action", "a substitution template is not closed: ${%s", clip(rest))
		}
		p := &parser{source: rest[:end], modern: t.ints}
		expr, err := p.alone()
		if err != nil {
			return nil, strait.Errorf(strait.Invalid, "action", "the substitution template ${%s}: %w", clip(rest[:end]), err)
		}
		t.terms = append(t.terms, expr)
		t.asks = t.asks || p.asks
		t.roles = append(t.roles, p.roles...)
		t.calls = append(t.calls, p.functions...)
		t.wants = append(t.wants, p.wants...)
		s = rest[end+1:]
	}
}

// alone reads a statement's expression that stands for itself.
func (p *parser) alone() (term, error) {
	if err := p.lex(); err != nil {
		return term{}, err
	}
	t, err := p.expression()
	if err == nil && p.peek().kind != endToken {
		err = p.unexpected(p.peek())
	}
	return t, err
}

// templateEnd finds the brace that closes a template, -1 when there is none.
func templateEnd(s string) int {
	depth := 0
	for at := 0; at < len(s); at++ {
		switch c := s[at]; c {
		case '\'', '"':
			end := strings.IndexByte(s[at+1:], c)
			if end < 0 {
				return -1
			}
			at += end + 1
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return at
			}
			depth--
		}
	}
	return -1
}

// Plain tells whether there is nothing to be filled in.
func (t *Template) Plain() bool { return len(t.terms) == 0 }

// Eval fills the template in. What is Undefined or Null is empty.
func (t *Template) Eval(in *Input) (string, error) {
	in.begin(t.ints)
	var b strings.Builder
	for i, s := range t.texts {
		b.WriteString(s)
		if i == len(t.terms) {
			break
		}
		s, _ := t.terms[i].eval(in).asText(in)
		if b.WriteString(s); b.Len() > MaxDocument {
			in.fail(errLarge)
		}
		if in.err != nil {
			return "", in.err
		}
	}
	return b.String(), nil
}
