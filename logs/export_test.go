package logs

import "encoding/json"

// Pattern reads a filter pattern.
func Pattern(s string) (func(string) bool, error) { return pattern(s) }

// Rewritten reads a line of a file and writes it again.
func Rewritten(line []byte) ([]byte, bool) {
	r, ok := readRecord(line)
	if !ok {
		return nil, false
	}
	b, err := json.Marshal(r)
	return b, err == nil
}
