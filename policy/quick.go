package policy

import "strings"

// A quick is the whole of a simple pattern for ARNs, small enough to lie in a
// row with others.
type quick struct {
	how          quickHow
	text, suffix string
}

type quickHow uint8

const (
	quickNot    quickHow = iota // not simple: ask the glob
	quickAll                    // *
	quickExact                  // text
	quickPrefix                 // text*
	quickPlaces                 // text, any region, any account, suffix: arn:aws:iot:*:*:topic/a
	quickEnds                   // text at the beginning and suffix at the end, or it does not match
)

// match tells whether text matches, and whether q knows.
func (q *quick) match(text string) (ok, sure bool) {
	switch q.how {
	case quickExact:
		return text == q.text, true
	case quickPrefix:
		return strings.HasPrefix(text, q.text), true
	case quickAll:
		return true, true
	case quickPlaces:
		if len(text) <= len(q.text)+len(q.suffix) || text[:len(q.text)] != q.text || text[len(text)-len(q.suffix):] != q.suffix {
			return false, true
		}
		// What is left must be region:account, so hold one colon.
		text = text[len(q.text) : len(text)-len(q.suffix)]
		colon := strings.IndexByte(text, ':')
		return colon >= 0 && strings.IndexByte(text[colon+1:], ':') < 0, true
	case quickEnds:
		return false, len(text) < len(q.text)+len(q.suffix) || text[:len(q.text)] != q.text || text[len(text)-len(q.suffix):] != q.suffix
	}
	return false, false
}

// ends is the quick form of a pattern with variables, whatever they are worth.
func (a *arnTemplate) ends() quick {
	if a.head == "" {
		return quick{}
	}
	last := a.parts[segments-1]
	q := quick{how: quickEnds, text: a.head}
	if tok := last[0]; tok.kind == tokenText {
		q.text += tok.text
	}
	if tok := last[len(last)-1]; tok.kind == tokenText {
		q.suffix = tok.text
	}
	return q
}

// simple returns the quick form of g, where it has one. A wildcard in the last
// part reaches over colons, so a prefix up to there is enough.
func (g *arnGlob) simple() quick {
	last := &g.parts[segments-1]
	switch {
	case g.after == segments-1 && last.plain:
		return quick{how: quickExact, text: g.prefix + last.chunks[0].text}
	case g.after == segments-1 && last.all:
		return quick{how: quickPrefix, text: g.prefix}
	case g.after == segments-1 && len(last.chunks) == 2 && last.chunks[0].ones == nil && last.chunks[1].text == "":
		return quick{how: quickPrefix, text: g.prefix + last.chunks[0].text}
	case g.after == 3 && g.parts[3].all && g.parts[4].all && last.plain && !strings.Contains(last.chunks[0].text, ":"):
		return quick{how: quickPlaces, text: g.prefix, suffix: ":" + last.chunks[0].text}
	}
	return quick{}
}
