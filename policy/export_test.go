package policy

// Match matches s against a pattern with * and ?, for tests.
func Match(pattern, s string) bool {
	g, _ := fill(readTemplate(pattern, true, false).tokens, nil, false)
	return g.match(s)
}

// FoldMatch is the matcher of actions, for tests.
var FoldMatch = foldMatch

// Quote writes a JSON string.
var Quote = quote
