package rule

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"strait"
)

type tokenKind uint8

const (
	endToken    tokenKind = iota
	wordToken             // a name or keyword
	numberToken           // text is a JSON number but for leading zeros
	textToken             // text is what stands between the quotes
	signToken             // an operator or punctuation
)

type token struct {
	kind tokenKind
	text string
	at   int // byte offset
}

// is tells whether t is the keyword or sign.
func (t token) is(word string) bool {
	return t.kind == signToken && t.text == word || t.kind == wordToken && strings.EqualFold(t.text, word)
}

// reserved are the words that cannot begin a path or stand as a name of their
// own; behind a dot or AS they can.
func (t token) reserved() bool {
	for _, w := range []string{"SELECT", "FROM", "WHERE", "AS", "AND", "OR", "NOT", "CASE", "WHEN", "THEN", "ELSE"} {
		if t.is(w) {
			return true
		}
	}
	return false
}

// operand tells whether a value can end with t.
func (t token) operand() bool {
	return t.kind == wordToken && !t.reserved() || t.kind == numberToken || t.kind == textToken || t.is(")") || t.is("]") || t.is("}")
}

// lex cuts the source into p.tokens, with an endToken at the end.
func (p *parser) lex() error {
	for at := 0; ; {
		rest := p.source[at:]
		trimmed := strings.TrimLeft(rest, " \t\r\n")
		at += len(rest) - len(trimmed)
		rest = trimmed
		t := token{at: at}
		if rest == "" {
			p.tokens = append(p.tokens, t)
			return nil
		}
		first, _ := utf8.DecodeRuneInString(rest)
		var size int
		switch {
		case first == '\'' || first == '"':
			end := strings.IndexByte(rest[1:], byte(first))
			if end < 0 {
				return p.refuse(t, "the text has no closing %c", first)
			}
			t.kind, t.text, size = textToken, rest[1:1+end], end+2
		case nameRune(first, true):
			size = strings.IndexFunc(rest, func(r rune) bool { return !nameRune(r, false) })
			if size < 0 {
				size = len(rest)
			}
			t.kind, t.text = wordToken, rest[:size]
		case '0' <= first && first <= '9', first == '-' && p.signed(rest):
			t.kind = numberToken
			if size = numberEnd(rest); size == 0 {
				return p.refuse(t, "%q is no number", clip(rest))
			}
			t.text = rest[:size]
			if next, _ := utf8.DecodeRuneInString(rest[size:]); nameRune(next, false) || next == '.' {
				return p.refuse(t, "%q is neither a number nor a name; a name begins with a letter", clip(rest))
			}
		default:
			t.kind, size = signToken, utf8.RuneLen(first)
			if strings.HasPrefix(rest, "<>") || strings.HasPrefix(rest, "<=") || strings.HasPrefix(rest, ">=") {
				size = 2
			}
			t.text = rest[:size]
		}
		p.tokens = append(p.tokens, t)
		at += size
	}
}

// signed tells whether the '-' that rest begins with belongs to a number and
// is no subtraction.
func (p *parser) signed(rest string) bool {
	digit := len(rest) > 1 && '0' <= rest[1] && rest[1] <= '9'
	return digit && (len(p.tokens) == 0 || !p.tokens[len(p.tokens)-1].operand())
}

func nameRune(r rune, first bool) bool {
	if r == utf8.RuneError {
		return false
	}
	return r == '_' || unicode.IsLetter(r) || !first && unicode.IsDigit(r)
}

// numberEnd returns the length of the number s begins with, 0 for none:
// -?digits[.digits][e[+-]digits].
func numberEnd(s string) int {
	digits := func(at int) int {
		for at < len(s) && '0' <= s[at] && s[at] <= '9' {
			at++
		}
		return at
	}
	start := 0
	if strings.HasPrefix(s, "-") {
		start = 1
	}
	at := digits(start)
	if at == start {
		return 0
	}
	if at < len(s) && s[at] == '.' {
		end := digits(at + 1)
		if end == at+1 {
			return 0
		}
		at = end
	}
	if at < len(s) && (s[at] == 'e' || s[at] == 'E') {
		exp := at + 1
		if exp < len(s) && (s[exp] == '+' || s[exp] == '-') {
			exp++
		}
		end := digits(exp)
		if end == exp {
			return 0
		}
		at = end
	}
	return at
}

// refuse makes the error of Parse for what stands at t.
func (p *parser) refuse(t token, format string, args ...any) error {
	at := utf8.RuneCountInString(p.source[:t.at]) + 1
	return strait.Errorf(strait.Invalid, "sql", "the SQL statement is refused at character %d: "+format, append([]any{at}, args...)...)
}

// clip keeps a caller's text in a message short.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	cut := most
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}

// quote writes s as a text; s has been one, so it does not hold both quotes.
func quote(s string) string {
	if strings.Contains(s, "'") {
		return `"` + s + `"`
	}
	return "'" + s + "'"
}
