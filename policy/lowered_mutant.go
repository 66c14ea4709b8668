//go:build mutant_lowered

package policy

// A fault planted on purpose: names are compared with their case. See TestMutants.

// lowerInto appends s in lower case, as foldMatch understands it.
func lowerInto(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, s[i])
	}
	return b
}
