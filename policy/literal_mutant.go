//go:build mutant_literal

package policy

import "strings"

// A fault planted on purpose: a star in a name stays a wildcard. See TestMutants.

// Literal returns text written so that it stands for itself in the sixth part
// of a Resource of Version 2012-10-17: wildcards and variables in it are
// escaped.
func Literal(text string) string {
	if !strings.ContainsAny(text, "?$") {
		return text
	}
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; c {
		case '?', '$':
			b.WriteString("${" + string(c) + "}")
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
