package policy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Our own reader: encoding/json takes the last of two equal keys, so that a
// person and the evaluator may read two different policies in one text, and it
// knows no lines.

// Limits of any document, whatever its kind; CheckSize has the finer ones.
const (
	MaxText  = 404600 // bytes: the largest text any AWS policy field takes
	maxDepth = 16     // a policy needs six
)

type nodeKind int

const (
	nodeNull nodeKind = iota
	nodeText
	nodeNumber
	nodeBool
	nodeList
	nodeObject
)

// A node is a JSON value and the line on which it begins.
type node struct {
	kind    nodeKind
	text    string // of a string, or a number or boolean as written
	items   []*node
	members []member
	line    int
}

type member struct {
	key   string
	value *node
	line  int
}

func (n *node) member(key string) *node {
	for _, m := range n.members {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

// A jsonError is what is wrong with a text as JSON.
type jsonError struct {
	line int
	text string
}

func (e *jsonError) Error() string { return e.text }

type reader struct {
	text string
	pos  int
	line int
}

// readJSON reads one JSON value and nothing after it.
func readJSON(text string) (*node, error) {
	if len(text) > MaxText {
		return nil, &jsonError{1, fmt.Sprintf("the document is longer than %d bytes", MaxText)}
	}
	r := &reader{text: text, line: 1}
	n, err := r.value(0)
	if err != nil {
		return nil, err
	}
	if r.space(); r.pos < len(text) {
		return nil, r.fail("something follows the end of the document")
	}
	return n, nil
}

func (r *reader) fail(format string, args ...any) error {
	return &jsonError{r.line, fmt.Sprintf(format, args...)}
}

func (r *reader) space() {
	for ; r.pos < len(r.text); r.pos++ {
		switch r.text[r.pos] {
		case '\n':
			r.line++
		case ' ', '\t', '\r':
		default:
			return
		}
	}
}

// peek skips white space and returns the next byte, 0 at the end.
func (r *reader) peek() byte {
	r.space()
	if r.pos == len(r.text) {
		return 0
	}
	return r.text[r.pos]
}

func (r *reader) value(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, r.fail("nested more than %d levels deep", maxDepth)
	}
	c := r.peek()
	n := &node{line: r.line}
	var err error
	switch {
	case c == '{':
		n.kind = nodeObject
		err = r.object(n, depth)
	case c == '[':
		n.kind = nodeList
		err = r.list(n, depth)
	case c == '"':
		n.kind = nodeText
		n.text, err = r.str()
	case c == '-' || c >= '0' && c <= '9':
		n.kind = nodeNumber
		n.text, err = r.number()
	case c == 0 && r.pos == len(r.text):
		err = r.fail("the document ends too early")
	default:
		err = r.word(n)
	}
	if err != nil {
		return nil, err
	}
	return n, nil
}

func (r *reader) object(n *node, depth int) error {
	seen := map[string]bool{}
	r.pos++
	if r.peek() == '}' {
		r.pos++
		return nil
	}
	for {
		if r.peek() != '"' {
			return r.fail("expected a key in double quotes")
		}
		line := r.line
		key, err := r.str()
		if err != nil {
			return err
		}
		if seen[key] {
			return r.fail("the key %s is there twice", quote(key))
		}
		seen[key] = true
		if r.peek() != ':' {
			return r.fail("expected : after the key %s", quote(key))
		}
		r.pos++
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.members = append(n.members, member{key, v, line})
		switch r.peek() {
		case ',':
			r.pos++
		case '}':
			r.pos++
			return nil
		default:
			return r.fail("expected , or } after the value of %s", quote(key))
		}
	}
}

func (r *reader) list(n *node, depth int) error {
	r.pos++
	if r.peek() == ']' {
		r.pos++
		return nil
	}
	for {
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.items = append(n.items, v)
		switch r.peek() {
		case ',':
			r.pos++
		case ']':
			r.pos++
			return nil
		default:
			return r.fail("expected , or ] in a list")
		}
	}
}

func (r *reader) word(n *node) error {
	for _, w := range [...]struct {
		text string
		kind nodeKind
	}{{"true", nodeBool}, {"false", nodeBool}, {"null", nodeNull}} {
		if strings.HasPrefix(r.text[r.pos:], w.text) {
			r.pos += len(w.text)
			n.kind, n.text = w.kind, w.text
			return nil
		}
	}
	return r.fail("expected a value")
}

// number reads a number by JSON's grammar and keeps it as written.
func (r *reader) number() (string, error) {
	start := r.pos
	digits := func() bool {
		from := r.pos
		for r.pos < len(r.text) && r.text[r.pos] >= '0' && r.text[r.pos] <= '9' {
			r.pos++
		}
		return r.pos > from
	}
	at := func(set string) bool {
		if r.pos < len(r.text) && strings.IndexByte(set, r.text[r.pos]) >= 0 {
			r.pos++
			return true
		}
		return false
	}
	at("-")
	zero := r.pos < len(r.text) && r.text[r.pos] == '0'
	from := r.pos
	ok := digits() && (!zero || r.pos == from+1)
	if ok && at(".") {
		ok = digits()
	}
	if ok && at("eE") {
		at("+-")
		ok = digits()
	}
	if !ok {
		return "", r.fail("not a number")
	}
	return r.text[start:r.pos], nil
}

func (r *reader) str() (string, error) {
	r.pos++
	start := r.pos
	for r.pos < len(r.text) {
		c := r.text[r.pos]
		switch {
		case c == '"':
			s := r.text[start:r.pos]
			if !utf8.ValidString(s) {
				return "", r.fail("a string is not valid UTF-8")
			}
			r.pos++
			return s, nil
		case c == '\\':
			return r.escaped(start)
		case c < 0x20:
			return "", r.fail("a control character in a string")
		}
		r.pos++
	}
	return "", r.fail("a string has no end")
}

// escaped goes on from the first backslash of a string that began at start.
func (r *reader) escaped(start int) (string, error) {
	b := []byte(r.text[start:r.pos])
	for r.pos < len(r.text) {
		c := r.text[r.pos]
		switch {
		case c == '"':
			r.pos++
			if !utf8.Valid(b) {
				return "", r.fail("a string is not valid UTF-8")
			}
			return string(b), nil
		case c < 0x20:
			return "", r.fail("a control character in a string")
		case c != '\\':
			b = append(b, c)
			r.pos++
			continue
		}
		ch, err := r.escape()
		if err != nil {
			return "", err
		}
		b = utf8.AppendRune(b, ch)
	}
	return "", r.fail("a string has no end")
}

func (r *reader) escape() (rune, error) {
	if r.pos+1 >= len(r.text) {
		return 0, r.fail("a string has no end")
	}
	c := r.text[r.pos+1]
	r.pos += 2
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		return rune("\"\\/\b\f\n\r\t"[i]), nil
	}
	if c != 'u' {
		return 0, r.fail("unknown escape \\%c", c)
	}
	hi, ok := r.hex4()
	if !ok {
		return 0, r.fail("\\u needs four hex digits")
	}
	if hi < 0xD800 || hi > 0xDFFF {
		return hi, nil
	}
	if hi < 0xDC00 && strings.HasPrefix(r.text[r.pos:], `\u`) {
		r.pos += 2
		if lo, ok := r.hex4(); ok && lo >= 0xDC00 && lo <= 0xDFFF {
			return (hi-0xD800)<<10 + (lo - 0xDC00) + 0x10000, nil
		}
	}
	return 0, r.fail("half of a surrogate pair")
}

func (r *reader) hex4() (rune, bool) {
	if r.pos+4 > len(r.text) {
		return 0, false
	}
	v, err := strconv.ParseUint(r.text[r.pos:r.pos+4], 16, 32)
	if err != nil {
		return 0, false
	}
	r.pos += 4
	return rune(v), true
}

// print appends n to b as JSON without white space.
func (n *node) print(b []byte) []byte {
	switch n.kind {
	case nodeText:
		return appendQuoted(b, n.text)
	case nodeList:
		b = append(b, '[')
		for i, v := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = v.print(b)
		}
		return append(b, ']')
	case nodeObject:
		b = append(b, '{')
		for i, m := range n.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendQuoted(b, m.key), ':')
			b = m.value.print(b)
		}
		return append(b, '}')
	case nodeNull:
		return append(b, "null"...)
	}
	return append(b, n.text...)
}

// quote returns s as a JSON string.
func quote(s string) string { return string(appendQuoted(nil, s)) }
