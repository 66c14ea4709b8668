package wire_test

import (
	"net/url"
	"os"
	"strings"
	"testing"

	"strait/api"
)

// operation finds the row that a request of a talk is for, nil for none.
func operation(s api.Service, lines []string) *api.Operation {
	first, rest, _ := strings.Cut(strings.TrimPrefix(lines[0], "> "), " ")
	if s.Protocol == "query" || s.Protocol == "json-1.1" {
		return s.Find(first)
	}
	path, query, _ := strings.Cut(rest, "?")
	best, literals := (*api.Operation)(nil), -1
	for i := range s.Operations {
		o := &s.Operations[i]
		if n, ok := routed(o.Route, first, path, query); ok && n > literals {
			best, literals = o, n
		}
	}
	return best
}

// routed tells whether a request fits a row's route, and how many of its
// segments are not variable.
func routed(route, method, path, query string) (literals int, ok bool) {
	m, template, _ := strings.Cut(route, " ")
	template, keys, _ := strings.Cut(template, "?")
	// A variable may stand for any keys.
	if q, err := url.ParseQuery(query); m != method || err != nil || keys != "" && !q.Has(keys) && !strings.HasPrefix(query, "${") {
		return 0, false
	}
	want, have := strings.Split(template, "/"), strings.Split(path, "/")
	for i, s := range want {
		switch {
		case i >= len(have):
			return 0, false
		case strings.HasSuffix(s, "+}"):
			return literals, true
		case strings.HasPrefix(s, "{"):
		case s != have[i]:
			return 0, false
		default:
			literals++
		}
	}
	return literals, len(want) == len(have)
}

// TestEveryRow: each row of each service has a talk with an answer that is a
// success and one that is a refusal, or a line in testdata/rows that says
// where else it is shown.
func TestEveryRow(t *testing.T) {
	good, bad := map[string]bool{}, map[string]bool{}
	for _, file := range talks(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var s api.Service
		var request []string
		for line := range strings.Lines(string(text)) {
			line = strings.TrimRight(line, "\n")
			switch {
			case strings.HasPrefix(line, "service "):
				s = table(t, strings.TrimPrefix(line, "service "))
			case strings.HasPrefix(line, "> ") && !follows(line):
				request = []string{line}
			case strings.HasPrefix(line, "< ") && request != nil:
				o := operation(s, request)
				switch name := ""; {
				case o == nil:
				case strings.HasPrefix(line, "< 2"):
					name = s.Name + " " + o.Name
					good[name] = true
				default:
					name = s.Name + " " + o.Name
					bad[name] = true
				}
				request = nil
			}
		}
	}
	elsewhere := exceptions(t)
	for _, s := range api.Tables() {
		for _, o := range s.Operations {
			name := s.Name + " " + o.Name
			if elsewhere[name] || elsewhere[s.Name+" *"] {
				continue
			}
			if !good[name] && !elsewhere[name+" answer"] {
				t.Errorf("no talk shows what %s answers", name)
			}
			if !bad[name] && !elsewhere[name+" refusal"] {
				t.Errorf("no talk shows how %s is refused", name)
			}
		}
	}
}

// exceptions reads testdata/rows: lines "service Operation: file", where * is
// all of a service; "service Operation answer: why" says that it has only
// refusals, and "service Operation refusal: why" that it has none.
func exceptions(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("testdata/rows")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		what, where, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			t.Fatalf("testdata/rows: %q says nothing", line)
		}
		if len(strings.Fields(what)) == 2 {
			if _, err := os.Stat("../../" + where); err != nil {
				t.Errorf("testdata/rows: %v", err)
			}
		}
		out[what] = true
	}
	return out
}
