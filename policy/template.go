package policy

import "strings"

type tokenKind int

const (
	tokenText tokenKind = iota
	tokenAny            // *
	tokenOne            // ?
	tokenVariable
)

// A token is a piece of a template.
type token struct {
	kind       tokenKind
	text       string // of text; the key of a variable, as written
	lower      string // the key in lower case
	supplied   bool   // whether the key ever has a value
	fallback   string // of a variable, where hasDefault
	hasDefault bool
}

// A template is a text of a policy with its wildcards and variables found,
// before anything is filled in: what is filled in later stays literal.
type template struct {
	source string
	tokens []token
}

// readTemplate splits text. wild says whether * and ? are wildcards, variables
// whether ${...} is looked at at all (Version 2012-10-17 only).
func readTemplate(text string, wild, variables bool) template {
	t := template{source: text}
	start, open := 0, false // open: a ${ has no end, so no later one has
	flush := func(end int) {
		if end > start {
			t.tokens = append(t.tokens, token{kind: tokenText, text: text[start:end]})
		}
	}
	for i := 0; i < len(text); {
		var tok token
		n := 1
		switch c := text[i]; {
		case wild && c == '*':
			tok.kind = tokenAny
		case wild && c == '?':
			tok.kind = tokenOne
		case variables && !open && strings.HasPrefix(text[i:], "${"):
			end := strings.IndexByte(text[i:], '}')
			if open = end < 0; open { // plain text, and so matches nothing useful
				i += 2
				continue
			}
			n = end + 1
			tok = readVariable(text[i+2 : i+end])
		default:
			i++
			continue
		}
		flush(i)
		t.tokens = append(t.tokens, tok)
		i += n
		start = i
	}
	flush(len(text))
	return t
}

// readVariable reads what stands between ${ and }.
func readVariable(text string) token {
	if text == "*" || text == "?" || text == "$" {
		return token{kind: tokenText, text: text}
	}
	key, rest, found := strings.Cut(text, ",")
	tok := token{kind: tokenVariable, text: strings.TrimSpace(key)}
	tok.lower = strings.ToLower(tok.text)
	tok.supplied = Supplied(tok.lower)
	rest = strings.TrimSpace(rest)
	if found && len(rest) >= 2 && rest[0] == '\'' && rest[len(rest)-1] == '\'' {
		tok.fallback, tok.hasDefault = rest[1:len(rest)-1], true
	}
	return tok
}

// A filling says how the variables of a template came out.
type filling int

const (
	filled     filling = iota
	unresolved         // a key is absent and has no default: matches nothing
	unsupplied         // a key that Strait never supplies: nothing can be known
)

// variable returns the value of a variable. Only single values are filled in,
// and of a certificate's fields only those without * $ + ? # (iot-policies §5).
func (c Context) variable(tok token) (string, filling) {
	values := c.get(tok.lower)
	switch {
	case len(values) == 0 && !tok.supplied:
		return "", unsupplied
	case len(values) == 1 && !(strings.HasPrefix(tok.lower, certificateKeys) && strings.ContainsAny(values[0], "*$+?#")):
		return values[0], filled
	case len(values) == 0 && tok.hasDefault:
		return tok.fallback, filled
	}
	return "", unresolved
}

// fill makes a glob of tokens. Where guess is set a variable that is never
// supplied stands for any text (for a Deny, which must then hit).
func fill(tokens []token, ctx Context, guess bool) (glob, filling) {
	var b builder
	for _, tok := range tokens {
		switch tok.kind {
		case tokenText:
			b.literal(tok.text)
		case tokenAny:
			b.any()
		case tokenOne:
			b.one()
		case tokenVariable:
			value, f := ctx.variable(tok)
			switch {
			case f == filled:
				b.literal(value)
			case f == unsupplied && guess:
				b.any()
			default:
				return glob{}, f
			}
		}
	}
	return b.glob(), filled
}

// fixed returns the glob of a template that has no variables, nil of others.
func (t template) fixed() *glob {
	if names(t.tokens, func(string) bool { return true }) {
		return nil
	}
	g, _ := fill(t.tokens, nil, false)
	return &g
}

// show returns the source with the variables that have values filled in, for
// people, and one sentence for each variable that it names.
func (t template) show(ctx Context) (string, []string) {
	var out strings.Builder
	var notes []string
	for _, tok := range t.tokens {
		switch tok.kind {
		case tokenText:
			out.WriteString(tok.text)
		case tokenAny:
			out.WriteByte('*')
		case tokenOne:
			out.WriteByte('?')
		case tokenVariable:
			value, f := ctx.variable(tok)
			name := "${" + tok.text + "}"
			switch {
			case f == filled:
				out.WriteString(Literal(value))
				notes = append(notes, name+" is "+quote(value))
				continue
			case f == unsupplied:
				notes = append(notes, name+" is a key that Strait never supplies")
			case len(ctx.Get(tok.text)) > 1:
				notes = append(notes, name+" has several values here, so it is not filled in")
			case len(ctx.Get(tok.text)) == 1:
				notes = append(notes, name+" has a value with one of * $ + ? #, so it is not filled in")
			default:
				note := name + " has no value in this request"
				if hint := absentHint(tok.text); hint != "" {
					note += ": " + hint
				}
				notes = append(notes, note)
			}
			out.WriteString(name)
		}
	}
	return out.String(), notes
}

// names tells whether one of the variables' keys satisfies yes.
func names(tokens []token, yes func(key string) bool) bool {
	for _, tok := range tokens {
		if tok.kind == tokenVariable && yes(tok.lower) {
			return true
		}
	}
	return false
}
