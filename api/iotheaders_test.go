package api_test

import (
	"slices"
	"testing"
	"unicode/utf8"

	"strait/api"
)

// FuzzUserProperties: what is read is text that a packet can carry, within its
// limit, and comes back the same when it is written; an error comes with nothing.
func FuzzUserProperties(f *testing.F) {
	for _, s := range []string{`[]`, `[{"a":"b"}]`, `[{"a":"1","b":"2"},{"a":"3"}]`, `[{}]`, `[{"a":1}]`, `[{"\u0000":""}]`, `[{"a":"b"}] x`, `{"a":"b"}`, `[`, "[{\"\xff\":\"\"}]", `[{"\ud800":"x"}]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := api.DecodeUser([]byte(s))
		if err != nil {
			if list != nil {
				t.Fatalf("%q: an error and %q", s, list)
			}
			return
		}
		sum := 0
		for _, u := range list {
			sum += len(u[0]) + len(u[1])
			if !utf8.ValidString(u[0]+u[1]) || slices.Contains([]byte(u[0]+u[1]), 0) {
				t.Fatalf("%q: %q cannot stand in a packet", s, u)
			}
		}
		if sum > 8<<10 {
			t.Fatalf("%d bytes of user properties", sum)
		}
		if len(list) == 0 {
			return
		}
		again, err := api.DecodeUser(api.EncodeUser(list))
		if err != nil || !slices.Equal(list, again) {
			t.Fatalf("%q: read as %q, written and read as %q, %v", s, list, again, err)
		}
	})
}
