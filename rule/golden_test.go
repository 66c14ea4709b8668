package rule_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strait"
	"strait/rule"
)

// TestGoldens reads testdata/sql, one file a topic. A line is
//
//	payload JSON | version V       what the lines after it are applied to
//	STATEMENT or EXPRESSION => WHAT IT GIVES   ("undefined"; "nothing": WHERE is not true)
//	STATEMENT or EXPRESSION ! the sentence of a failure at run time
//	refuse STATEMENT or EXPRESSION ! the sentence with which Parse refuses it
//
// The expectations are the reference's; what it leaves open is marked in the
// code as unverified.
func TestGoldens(t *testing.T) {
	files, err := filepath.Glob("testdata/sql/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens", err)
	}
	count := 0
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			version, payload := rule.Version2016, ""
			for n, line := range strings.Split(string(data), "\n") {
				word, rest, _ := strings.Cut(line, " ")
				switch word {
				case "", "#":
				case "version":
					version = rest
				case "payload":
					payload = rest
				default:
					count++
					golden(t, n+1, line, version, payload)
				}
			}
		})
	}
	if count < 250 {
		t.Errorf("%d goldens, want at least 250", count)
	}
	t.Logf("%d goldens", count)
}

func golden(t *testing.T, n int, line, version, payload string) {
	t.Helper()
	sql, refused := strings.CutPrefix(line, "refuse ")
	sql, want, fails := cutLast(sql, " ! ")
	if !fails {
		sql, want, _ = cutLast(line, " => ")
	}
	if !strings.HasPrefix(sql, "SELECT ") {
		sql = "SELECT VALUE " + sql + " FROM 't'"
	}
	s, err := rule.Parse(sql, version)
	if refused {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("line %d: %s\n got %v\nwant a refusal with %q", n, sql, err, want)
		}
		return
	}
	if err != nil {
		t.Errorf("line %d: %s: %v", n, sql, err)
		return
	}
	got := given(s, payload)
	if fails && (!strings.HasPrefix(got, "error: ") || !strings.Contains(got, want)) || !fails && got != want {
		t.Errorf("line %d: %s\n got %s\nwant %s", n, sql, got, want)
	}
	// Written back it is the same.
	again, err := rule.Parse(s.String(), version)
	if err != nil || again.String() != s.String() {
		t.Errorf("line %d: written back as %s: %v, %v", n, s, again, err)
		return
	}
	if !strings.Contains(sql, "rand()") && given(again, payload) != got {
		t.Errorf("line %d: written back as %s it gives %s, not %s", n, s, given(again, payload), got)
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if at := strings.LastIndex(s, sep); at >= 0 {
		return s[:at], s[at+len(sep):], true
	}
	return s, "", false
}

func given(s *rule.Statement, payload string) string {
	in := input(payload)
	in.Ask = answer
	doc, ok, err := s.Eval(in)
	switch {
	case err != nil:
		return "error: " + err.Error()
	case !ok:
		return "nothing"
	case len(doc) == 0:
		return "undefined"
	}
	return string(doc)
}

// answer tells back what was asked.
func answer(q rule.Question) ([]byte, error) {
	if strings.HasSuffix(string(q.ARN), ":broken") {
		return nil, strait.Errorf(strait.Unavailable, "function", "the function is broken")
	}
	switch q.Function {
	case "aws_lambda":
		return json.Marshal(struct {
			Function strait.ARN      `json:"function"`
			Event    json.RawMessage `json:"event"`
		}{q.ARN, q.Payload})
	case "get_thing_shadow", "get_registry_data":
		return json.Marshal(struct {
			Thing  string     `json:"thing"`
			Shadow string     `json:"shadow"`
			Role   strait.ARN `json:"role"`
		}{q.Thing, q.Shadow, q.Role})
	}
	return nil, errors.New("what?")
}
