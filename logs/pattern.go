package logs

import (
	"strings"

	"strait"
)

// pattern reads a filter pattern: words that a line must hold, in any order;
// "a phrase"; -word, which it must not hold; and ?word, of which it must hold
// one [Filter pattern syntax, unstructured log events]. Patterns for JSON
// ({...}), for columns ([...]) and regular expressions (%...%) are refused.
func pattern(s string) (func(line string) bool, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return func(string) bool { return true }, nil
	}
	if strings.ContainsAny(s[:1], "{[%") {
		return nil, strait.Errorf(strait.Invalid, "filter pattern", "Filter patterns for JSON, for columns and regular expressions are not offered here; words, \"phrases\", -word and ?word are.")
	}
	if len(s) > 1024 {
		return nil, strait.Errorf(strait.Invalid, "filter pattern", "A filter pattern has at most 1024 characters.")
	}
	var all, none, some []string
	for s != "" {
		list := &all
		switch s[0] {
		case '-':
			list, s = &none, s[1:]
		case '?':
			list, s = &some, s[1:]
		}
		word, rest, err := nextWord(s)
		if err != nil {
			return nil, err
		}
		*list = append(*list, word)
		s = strings.TrimLeft(rest, " \t\r\n")
	}
	return func(line string) bool { return holds(line, all, none, some) }, nil
}

func holds(line string, all, none, some []string) bool {
	for _, w := range all {
		if !strings.Contains(line, w) {
			return false
		}
	}
	for _, w := range none {
		if strings.Contains(line, w) {
			return false
		}
	}
	for _, w := range some {
		if strings.Contains(line, w) {
			return true
		}
	}
	return len(some) == 0
}

// nextWord cuts a word or a phrase off s; in a phrase a backslash keeps a quote.
func nextWord(s string) (word, rest string, err error) {
	bad := strait.Errorf(strait.Invalid, "filter pattern", "Invalid character(s) in term: a word is expected, or a phrase between quotes.")
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexAny(s, " \t\r\n")
		if i < 0 {
			i = len(s)
		}
		if i == 0 || strings.Contains(s[:i], `"`) {
			return "", "", bad
		}
		return s[:i], s[i:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '"' && b.Len() > 0:
			return b.String(), s[i+1:], nil
		case c == '"':
			return "", "", bad
		default:
			b.WriteByte(c)
		}
	}
	return "", "", bad
}
