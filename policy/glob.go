package policy

import (
	"strings"
	"unicode/utf8"
)

// A glob is a pattern with its variables filled in: chunks with any run of
// characters between them. Text that was filled in is literal, so nothing a
// caller chooses (a tag, a client id) becomes a wildcard.
//
// Matching takes the first place where each chunk fits and never goes back:
// that is enough, because a later place could only leave less room for the
// rest. So it costs the text's length times a chunk's at the very worst (a
// chunk with "?"), and just the text's length otherwise; patterns come from
// strangers in session policies.
type glob struct {
	chunks []chunk // one: no star
	size   int     // bytes or characters that a match has at least
	plain  bool    // no wildcard at all
	all    bool    // just a star
}

// A chunk is text without stars. Where ones has a true, any one character is
// wanted in place of the byte in text; nil means none.
type chunk struct {
	text string
	ones []bool
}

// exact tells whether g has no wildcard at all.
func (g *glob) exact() bool { return len(g.chunks) == 1 && g.chunks[0].ones == nil }

// prefix tells whether s begins with c, and how many bytes of s that takes.
func (c *chunk) prefix(s string) (int, bool) {
	if c.ones == nil {
		return len(c.text), strings.HasPrefix(s, c.text)
	}
	pos := 0
	for i := 0; i < len(c.text); i++ {
		if pos >= len(s) {
			return 0, false
		}
		if c.ones[i] {
			_, n := utf8.DecodeRuneInString(s[pos:])
			pos += n
			continue
		}
		if s[pos] != c.text[i] {
			return 0, false
		}
		pos++
	}
	return pos, true
}

// suffix tells whether s ends with c, and how many bytes of s that takes.
func (c *chunk) suffix(s string) (int, bool) {
	if c.ones == nil {
		return len(c.text), strings.HasSuffix(s, c.text)
	}
	pos := len(s)
	for i := len(c.text) - 1; i >= 0; i-- {
		if pos == 0 {
			return 0, false
		}
		if c.ones[i] {
			_, n := utf8.DecodeLastRuneInString(s[:pos])
			pos -= n
			continue
		}
		if pos--; s[pos] != c.text[i] {
			return 0, false
		}
	}
	return len(s) - pos, true
}

// find returns the end of the first place in s where c fits, or -1.
func (c *chunk) find(s string) int {
	if c.ones == nil {
		if i := strings.Index(s, c.text); i >= 0 {
			return i + len(c.text)
		}
		return -1
	}
	for i := 0; i <= len(s); {
		if n, ok := c.prefix(s[i:]); ok {
			return i + n
		}
		if i == len(s) {
			break
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		i += n
	}
	return -1
}

// A builder puts a glob together.
type builder struct {
	chunks []chunk
	text   []byte
	ones   []bool
	wild   bool // ones has a true
	size   int
}

func (b *builder) literal(s string) {
	b.text = append(b.text, s...)
	for range len(s) {
		b.ones = append(b.ones, false)
	}
	b.size += len(s)
}

func (b *builder) one() {
	b.text = append(b.text, '?')
	b.ones = append(b.ones, true)
	b.wild = true
	b.size++
}

func (b *builder) any() {
	if len(b.chunks) > 0 && len(b.text) == 0 {
		return // "**" is "*"
	}
	b.cut()
}

func (b *builder) cut() {
	c := chunk{text: string(b.text)}
	if b.wild {
		c.ones = append([]bool(nil), b.ones...)
	}
	b.chunks = append(b.chunks, c)
	b.text, b.ones, b.wild = b.text[:0], b.ones[:0], false
}

func (b *builder) glob() glob {
	b.cut()
	g := glob{chunks: b.chunks, size: b.size}
	g.plain = g.exact()
	g.all = len(g.chunks) == 2 && b.size == 0
	return g
}

// foldMatch matches an action name against a pattern with * and ?, without
// regard to the case of ASCII letters. Action names are short, so the simple
// two-pointer walk will do.
func foldMatch(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || lower(pattern[p]) == lower(s[i])):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
