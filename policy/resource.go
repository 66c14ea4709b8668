package policy

import "strings"

const segments = 6 // of an ARN: arn, partition, service, region, account, resource

// An arnTemplate is a pattern for ARNs, in Resource or as the value of an Arn
// operator. The parts are compared one by one, so that no wildcard reaches over
// one of the first five colons.
type arnTemplate struct {
	template
	all   bool      // the lone "*"
	parts [][]token // six, or fewer in a short pattern
	// short: missing parts count as "*" (iam-evaluation §2; AWS unverified)
	short bool
	fixed *arnGlob        // set when nothing is left to fill in
	shown string          // what show says then
	globs [segments]*glob // of the parts that have no variables
	head  string          // the first five parts, with their colons, when they are plain
}

// readResource reads an element of Resource or NotResource: only its sixth
// part may have variables.
func readResource(text string, variables bool) *arnTemplate {
	a := &arnTemplate{template: readTemplate(text, true, false), all: text == "*", short: true}
	if !a.all {
		parts := strings.SplitN(text, ":", segments)
		for i, part := range parts {
			a.parts = append(a.parts, readTemplate(part, true, variables && i == segments-1).tokens)
		}
		if len(parts) == segments && variables {
			head := text[:len(text)-len(parts[segments-1])]
			last := readTemplate(parts[segments-1], true, true)
			a.tokens = append([]token{{kind: tokenText, text: head}}, last.tokens...)
		}
	}
	a.fix()
	return a
}

// readARNValue reads a value of ArnLike and its kin, where variables may stand
// in any part; colons inside a variable are no colons of the ARN.
func readARNValue(text string, variables bool) *arnTemplate {
	a := &arnTemplate{template: readTemplate(text, true, variables), all: text == "*"}
	part := []token(nil)
	for _, tok := range a.tokens {
		for tok.kind == tokenText && len(a.parts) < segments-1 {
			before, after, found := strings.Cut(tok.text, ":")
			if !found {
				break
			}
			if before != "" {
				part = append(part, token{kind: tokenText, text: before})
			}
			a.parts = append(a.parts, part)
			part, tok.text = nil, after
		}
		if tok.kind != tokenText || tok.text != "" {
			part = append(part, tok)
		}
	}
	a.parts = append(a.parts, part)
	a.fix()
	return a
}

func (a *arnTemplate) fix() {
	if !names(a.tokens, func(string) bool { return true }) {
		g, _ := a.fill(nil, false)
		a.fixed = &g
		a.shown, _ = a.show(nil)
		return
	}
	for i, part := range a.parts {
		a.globs[i] = template{tokens: part}.fixed()
	}
	if len(a.parts) < segments || len(a.parts[segments-1]) == 0 {
		return
	}
	head := ""
	for _, g := range a.globs[:segments-1] {
		if g == nil || !g.exact() || strings.Contains(g.chunks[0].text, ":") {
			return
		}
		head += g.chunks[0].text + ":"
	}
	a.head = head
}

// matches is fill and match in one, without allocating where that can be.
func (a *arnTemplate) matches(text string, ctx Context, guess bool) (bool, filling) {
	if a.fixed != nil {
		return a.fixed.match(text), filled
	}
	if len(a.parts) < segments {
		g, f := a.fill(ctx, guess)
		return f == filled && g.match(text), f
	}
	if a.head != "" {
		rest, begins := strings.CutPrefix(text, a.head)
		one, f := matchTokens(a.parts[segments-1], ctx, guess, rest)
		return begins && one, f
	}
	ok := true
	for i := range segments {
		part := text
		if i < segments-1 {
			var found bool
			if part, text, found = strings.Cut(text, ":"); !found {
				ok = false
			}
		}
		if g := a.globs[i]; g != nil {
			ok = ok && g.match(part)
			continue
		}
		one, f := matchTokens(a.parts[i], ctx, guess, part)
		if f != filled { // whatever the other parts say
			return false, f
		}
		ok = ok && one
	}
	return ok, filled
}

// fill makes the matcher; see the function fill.
func (a *arnTemplate) fill(ctx Context, guess bool) (arnGlob, filling) {
	g := arnGlob{all: a.all}
	if a.fixed != nil {
		return *a.fixed, filled
	}
	if a.all {
		g.quick.how = quickAll
		return g, filled
	}
	if len(a.parts) < segments && !a.short {
		// A value that is one variable holding a whole ARN; anything else
		// that is no ARN matches none.
		whole, f := fill(a.tokens, ctx, guess)
		g.whole = &whole
		g.never = len(a.tokens) != 1 || a.tokens[0].kind != tokenVariable
		return g, f
	}
	literal := true // so far
	for i := range segments {
		part := []token{{kind: tokenAny}}
		if i < len(a.parts) {
			part = a.parts[i]
		}
		p, f := fill(part, ctx, guess)
		if f != filled {
			return g, f
		}
		g.parts[i] = p
		literal = literal && p.exact() && !strings.Contains(p.chunks[0].text, ":")
		if literal && i < segments-1 {
			g.prefix += p.chunks[0].text + ":"
			g.after = i + 1
		}
	}
	g.quick = g.simple()
	return g, filled
}

// missed returns the part at which text, which a with its variables does not
// match, goes wrong: one of those without variables, or else the last.
func (a *arnTemplate) missed(text string) int {
	for i := range segments - 1 {
		part, rest, found := strings.Cut(text, ":")
		if !found || i < len(a.parts) && a.globs[i] != nil && !a.globs[i].match(part) {
			return i + 1
		}
		text = rest
	}
	return segments
}

// An arnGlob matches ARNs.
type arnGlob struct {
	quick  quick
	all    bool
	never  bool
	whole  *glob
	prefix string // the leading parts that have no wildcard, with their colons
	after  int    // how many parts prefix covers, at most five
	parts  [segments]glob
}

// match tells whether text, an ARN or "*", is matched.
func (g *arnGlob) match(text string) bool {
	switch ok, sure := g.quick.match(text); {
	case sure:
		return ok
	case g.never || g.whole != nil:
		return g.miss(text) == 0
	}
	n := len(g.prefix)
	if len(text) < n || text[:n] != g.prefix {
		return false
	}
	text = text[n:]
	for i := g.after; i < segments-1; i++ {
		colon := strings.IndexByte(text, ':')
		if colon < 0 || !g.parts[i].match(text[:colon]) {
			return false
		}
		text = text[colon+1:]
	}
	return g.parts[segments-1].match(text)
}

// miss returns the first part, from 1, that does not match; 0 when all do.
func (g *arnGlob) miss(text string) int {
	switch {
	case g.all:
		return 0
	case g.never:
		return 1
	case g.whole != nil:
		if g.whole.match(text) {
			return 0
		}
		return 1
	}
	for i := range segments - 1 {
		colon := strings.IndexByte(text, ':')
		if colon < 0 {
			return i + 1
		}
		if !g.parts[i].match(text[:colon]) {
			return i + 1
		}
		text = text[colon+1:]
	}
	if !g.parts[segments-1].match(text) {
		return segments
	}
	return 0
}

// isARN tells whether text has the six parts of an ARN.
func isARN(text string) bool {
	return strings.HasPrefix(text, "arn:") && strings.Count(text, ":") >= segments-1
}
