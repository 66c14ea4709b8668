//go:build !mutant_lowered

package policy

// lowerInto appends s in lower case, as foldMatch understands it.
func lowerInto(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, lower(s[i]))
	}
	return b
}
