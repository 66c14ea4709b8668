//go:build mutant_linear

package policy

// A fault planted on purpose: a match goes back over all the ways to fit. See TestMutants.

func (g *glob) match(s string) bool { return matchFrom(g.chunks, s, true) }

func matchFrom(chunks []chunk, s string, first bool) bool {
	if len(chunks) == 0 {
		return s == ""
	}
	for i := 0; i <= len(s); i++ {
		if n, ok := chunks[0].prefix(s[i:]); ok && (len(chunks) > 1 || i+n == len(s)) && matchFrom(chunks[1:], s[i+n:], false) {
			return true
		}
		if first {
			return false
		}
	}
	return false
}
