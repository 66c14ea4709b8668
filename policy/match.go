package policy

import "strings"

// maxElements is how many tokens matchTokens handles without allocating.
const maxElements = 8

// An element is a token with its variable filled in.
type element struct {
	kind tokenKind // tokenText, tokenAny or tokenOne
	text string
}

// matchTokens is fill and match in one, without making a glob: for a decision
// that is taken once. It gives the same answers.
func matchTokens(tokens []token, ctx Context, guess bool, s string) (bool, filling) {
	if len(tokens) > maxElements {
		g, f := fill(tokens, ctx, guess)
		return f == filled && g.match(s), f
	}
	var list [maxElements]element
	n := 0
	for i := range tokens {
		tok := &tokens[i]
		e := element{tok.kind, tok.text}
		if tok.kind == tokenVariable {
			value, f := ctx.variable(*tok)
			switch {
			case f == filled:
				e = element{tokenText, value}
			case f == unsupplied && guess:
				e = element{kind: tokenAny}
			default:
				return false, f
			}
		}
		list[n] = e
		n++
	}
	return matchElements(list[:n], s), filled
}

// matchElements matches as glob.match does: what stands between stars takes the
// first place where it fits, and the last piece the end.
func matchElements(list []element, s string) bool {
	end := star(list)
	n, ok := elementsPrefix(list[:end], s)
	if !ok {
		return false
	}
	if s = s[n:]; end == len(list) {
		return s == ""
	}
	for list = list[end+1:]; ; list = list[end+1:] {
		if end = star(list); end == len(list) {
			return elementsSuffix(list, s)
		}
		if n = elementsFind(list[:end], s); n < 0 {
			return false
		}
		s = s[n:]
	}
}

func star(list []element) int {
	for i := range list {
		if list[i].kind == tokenAny {
			return i
		}
	}
	return len(list)
}

func elementsPrefix(list []element, s string) (int, bool) {
	pos := 0
	for i := range list {
		if list[i].kind == tokenText {
			if !strings.HasPrefix(s[pos:], list[i].text) {
				return 0, false
			}
			pos += len(list[i].text)
			continue
		}
		c := chunk{text: "?", ones: one1}
		n, ok := c.prefix(s[pos:])
		if !ok {
			return 0, false
		}
		pos += n
	}
	return pos, true
}

var one1 = []bool{true} // never written

func elementsSuffix(list []element, s string) bool {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].kind == tokenText {
			rest, ok := strings.CutSuffix(s, list[i].text)
			if !ok {
				return false
			}
			s = rest
			continue
		}
		c := chunk{text: "?", ones: one1}
		n, ok := c.suffix(s)
		if !ok {
			return false
		}
		s = s[:len(s)-n]
	}
	return true
}

// elementsFind returns the end of the first place where list fits, or -1. A
// list that begins with text is looked for where that text is.
func elementsFind(list []element, s string) int {
	for pos := 0; ; {
		if len(list) > 0 && list[0].kind == tokenText {
			next := strings.Index(s[pos:], list[0].text)
			if next < 0 {
				return -1
			}
			pos += next
		}
		if n, ok := elementsPrefix(list, s[pos:]); ok {
			return pos + n
		}
		if pos == len(s) {
			return -1
		}
		c := chunk{text: "?", ones: one1}
		n, _ := c.prefix(s[pos:])
		pos += n
	}
}
