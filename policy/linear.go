//go:build !mutant_linear

package policy

func (g *glob) match(s string) bool {
	switch {
	case g.plain: // of its forms the most common
		return s == g.chunks[0].text
	case len(s) < g.size:
		return false
	case g.all:
		return true
	}
	head := &g.chunks[0]
	n, ok := head.prefix(s)
	if !ok {
		return false
	}
	s = s[n:]
	if len(g.chunks) == 1 {
		return s == ""
	}
	tail := &g.chunks[len(g.chunks)-1]
	if n, ok = tail.suffix(s); !ok {
		return false
	}
	s = s[:len(s)-n]
	for i := 1; i < len(g.chunks)-1; i++ {
		if n = g.chunks[i].find(s); n < 0 {
			return false
		}
		s = s[n:]
	}
	return true
}
