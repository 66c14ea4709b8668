package rule

import (
	"regexp"
	"strconv"
	"strings"

	"strait"
)

// AWS's patterns are Java's. Go's mean the same but for what portable refuses;
// they cannot run wild, whatever the text.

// maxPattern bounds a pattern that comes with the message.
const maxPattern = 1000

// patternFunction reads regexp_matches, regexp_substr (text, pattern) and
// regexp_replace (text, pattern, replacement).
func (p *parser) patternFunction(word token) (term, error) {
	// 1. Arguments; the pattern, and what replaces it, may have backslashes.
	var args []term
	for i := 0; !p.take(")"); i++ {
		if i > 0 && !p.take(",") {
			return term{}, p.unexpected(p.peek())
		}
		t := p.peek()
		if i > 0 && t.kind == textToken {
			if strings.Contains(t.text, `\\`) {
				return term{}, p.refuse(t, `two backslashes in a row are not offered, because it is not documented whether they are one; write [\] for a backslash`)
			}
			p.next++
			args = append(args, constant(quote(t.text), textValue(t.text)))
			continue
		}
		a, err := p.expression()
		if err != nil {
			return term{}, err
		}
		args = append(args, a)
	}
	want := 2
	if word.is("regexp_replace") {
		want = 3
	}
	if len(args) != want {
		return term{}, p.refuse(word, "%s() takes %d arguments", word.text, want)
	}
	// 2. The pattern, once and for all if it is known.
	var fixed *regexp.Regexp
	if c := args[1]; c.constant {
		var err error
		if fixed, err = compilePattern(c.known.text); err != nil || c.known.kind != text {
			return term{}, p.refuse(word, "the pattern of %s() is not offered: %v", word.text, err)
		}
	}
	use := map[string]func(*Input, *regexp.Regexp, []string) value{"m": patternMatches, "s": patternSubstr, "r": patternReplace}[strings.ToLower(word.text[7:8])]
	return apply(word, args, func(in *Input, a []value) value {
		s := make([]string, len(a))
		for i, v := range a {
			var ok bool
			if s[i], ok = v.asText(in); !ok {
				return value{}
			}
		}
		re := fixed
		if re == nil {
			if len(s[1]) > maxPattern || !in.charge(200*len(s[1])) {
				return value{}
			}
			var err error
			if re, err = compilePattern(s[1]); err != nil {
				if strait.KindOf(err) == strait.Unsupported {
					in.fail(err)
				}
				return value{} // as AWS has it for a wrong one
			}
		}
		if !in.charge(len(s[0]) * 4) {
			return value{}
		}
		return use(in, re, s)
	}), nil
}

// compilePattern reads a pattern; Unsupported is one that means something in
// Java only.
func compilePattern(s string) (*regexp.Regexp, error) {
	if what := foreignPattern(s); what != "" {
		return nil, strait.Errorf(strait.Unsupported, "sql", "%s in a pattern is not offered", what)
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, strait.Errorf(strait.Invalid, "sql", "%v", err)
	}
	return re, nil
}

// foreignPattern names what Java reads otherwise than Go, "" when there is
// nothing of that kind.
func foreignPattern(s string) string {
	class := false
	for at := 0; at < len(s); at++ {
		rest := s[at:]
		switch {
		case rest[0] == '\\' && len(rest) > 1:
			if c := rest[1]; c >= '1' && c <= '9' || strings.IndexByte("GXRhHNkVZ", c) >= 0 || c == 'v' {
				return `\` + string(c)
			}
			at++
		case class && rest[0] == '[':
			return "a class within a class"
		case class && strings.HasPrefix(rest, "&&"):
			return "an intersection of classes (&&)"
		case class && rest[0] == ']':
			class = false
		case rest[0] == '[':
			class = true
			// A ']' that comes first is an ordinary character in Go only.
			if strings.HasPrefix(rest, "[]") || strings.HasPrefix(rest, "[^]") {
				return "an empty class"
			}
		case !class && strings.HasPrefix(rest, "(?"):
			for i := 2; i < len(rest); i++ {
				c := rest[i]
				if c == ':' || c == ')' || c == '<' && i+1 < len(rest) && rest[i+1] != '=' && rest[i+1] != '!' {
					break
				}
				if strings.IndexByte("ims-", c) < 0 {
					return "(?" + string(c)
				}
			}
		case !class && len(rest) > 1 && rest[1] == '+' && strings.IndexByte("*+?}", rest[0]) >= 0:
			return "a possessive quantifier (" + rest[:2] + ")"
		}
	}
	return ""
}

func patternMatches(_ *Input, re *regexp.Regexp, s []string) value {
	return boolValue(re.MatchString(s[0]))
}

// patternSubstr is the first match, Undefined when there is none.
func patternSubstr(_ *Input, re *regexp.Regexp, s []string) value {
	at := re.FindStringIndex(s[0])
	if at == nil {
		return value{}
	}
	return textValue(s[0][at[0]:at[1]])
}

// patternReplace replaces every match; $1 and ${name} are its groups. A group
// that does not exist makes it Undefined.
func patternReplace(in *Input, re *regexp.Regexp, s []string) value {
	var out strings.Builder
	last := 0
	for _, at := range re.FindAllStringSubmatchIndex(s[0], -1) {
		out.WriteString(s[0][last:at[0]])
		if !expand(&out, re, s[0], s[2], at) {
			return value{}
		}
		last = at[1]
		if out.Len() > maxText {
			in.fail(errLarge)
			return value{}
		}
	}
	out.WriteString(s[0][last:])
	return textValue(out.String())
}

// expand writes a replacement as Java reads it.
func expand(out *strings.Builder, re *regexp.Regexp, of, with string, at []int) bool {
	for i := 0; i < len(with); i++ {
		switch c := with[i]; {
		case c == '\\':
			if i++; i == len(with) {
				return false
			}
			out.WriteByte(with[i])
		case c == '$':
			group, used := groupOf(re, with[i+1:])
			if group < 0 {
				return false
			}
			i += used
			if at[2*group] >= 0 {
				out.WriteString(of[at[2*group]:at[2*group+1]])
			}
		default:
			out.WriteByte(c)
		}
	}
	return true
}

// groupOf reads what stands behind a '$', and its length; -1 when it is none.
// Of digits it takes as many as still name a group.
func groupOf(re *regexp.Regexp, s string) (group, used int) {
	if name, _, ok := strings.Cut(s, "}"); ok && strings.HasPrefix(name, "{") {
		return re.SubexpIndex(name[1:]), len(name) + 1
	}
	group = -1
	for used < len(s) && s[used] >= '0' && s[used] <= '9' {
		n, err := strconv.Atoi(s[:used+1])
		if err != nil || n > re.NumSubexp() {
			break
		}
		group = n
		used++
	}
	return group, used
}
