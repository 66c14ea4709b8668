package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"strait/api"
)

// FuzzExtent: whatever the text, nothing panics; and where a statement is
// found, what lies between its beginning and its end is one JSON value.
func FuzzExtent(f *testing.F) {
	for _, s := range []string{
		`{"Version":"2012-10-17","Statement":[{"Sid":"a"},` + "\n" + `{"Sid":"]}"}]}`, `{"Statement":{"Effect":"Allow"}}`, `{"Statement":`, `[]`, `{"a":{"Statement":1},"Statement":[[1],2]}`,
	} {
		f.Add(s, 1)
		f.Add(s, 2)
	}
	f.Fuzz(func(t *testing.T, text string, n int) {
		if n < 1 || n > 100 {
			t.Skip()
		}
		from, to := api.Extent(text, n)
		if from == to {
			return
		}
		begin, end := offset(text, from), offset(text, to)
		if begin < 0 || end < begin || end > len(text) || !json.Valid([]byte(text[begin:end])) {
			t.Errorf("statement %d of %q is found from %v to %v", n, text, from, to)
		}
	})
}

// offset is where a line and column stand.
func offset(text string, p api.Position) int {
	at := 0
	for range p.Line - 1 {
		next := strings.IndexByte(text[at:], '\n')
		if next < 0 {
			return -1
		}
		at += next + 1
	}
	return at + p.Column - 1
}
