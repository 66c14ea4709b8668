package policy_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"strait/policy"
)

// slow is the definition of a wildcard match, filled in as a table: whether
// each end of s is matched by each end of pattern.
func slow(pattern, s []rune) bool {
	next := make([]bool, len(s)+1) // for the pattern's end one letter later
	next[len(s)] = true
	for p := len(pattern) - 1; p >= 0; p-- {
		now := make([]bool, len(s)+1)
		for i := len(s); i >= 0; i-- {
			if pattern[p] == '*' {
				now[i] = next[i] || i < len(s) && now[i+1]
			} else {
				now[i] = i < len(s) && (pattern[p] == '?' || pattern[p] == s[i]) && next[i+1]
			}
		}
		next = now
	}
	return next[0]
}

func FuzzMatch(f *testing.F) {
	for _, s := range [][2]string{
		{"*", ""}, {"a*b?c", "axxbyc"}, {"?*?", "é"}, {"*??", "€"}, {"a**b", "ab"}, {"*ab*ab", "abab"},
		{"a*a", "a"}, {"*a?b*", "aab"}, {"?b*b?", "abba"}, {"", ""}, {"*?é?*", "aéb"}, {"a*??*", "a€"}, {"a*?b?*c", "a€bc"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(s) || len(s) > 100 || len(pattern) > 100 {
			return
		}
		want := slow([]rune(pattern), []rune(s))
		if got := policy.Match(pattern, s); got != want {
			t.Errorf("match %q against %q: got %t, want %t", s, pattern, got, want)
		}
		if isASCII(pattern) && isASCII(s) {
			want = slow([]rune(strings.ToLower(pattern)), []rune(strings.ToLower(s)))
			if got := policy.FoldMatch(pattern, s); got != want {
				t.Errorf("fold match %q against %q: got %t, want %t", s, pattern, got, want)
			}
		}
	})
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// Patterns that make backtracking matchers run for years are done at once.
func TestMatchStaysLinear(t *testing.T) {
	start := processorTime()
	text := strings.Repeat("a", 100_000)
	for _, pattern := range []string{
		strings.Repeat("a*", 1000) + "b",
		strings.Repeat("*a", 1000) + "*b*",
		"*" + strings.Repeat("a", 1000) + "b*",
		strings.Repeat("*?", 1000) + "b",
		strings.Repeat("*", 2000) + "b*c",
	} {
		if policy.Match(pattern, text) {
			t.Errorf("%.20q... matched", pattern)
		}
	}
	if d := processorTime() - start; d > 3*time.Second {
		t.Errorf("five matches took %v", d)
	}
}
