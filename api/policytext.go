package api

import (
	"encoding/json"
	"regexp"
	"sort"
	"strings"

	"strait/policy"
)

// variableRE finds the key of a policy variable, without its default.
var variableRE = regexp.MustCompile(`\$\{([A-Za-z][^},]*)`)

// missingKeys are the condition keys and variables that documents use and x
// lacks, each once, in order.
func missingKeys(x policy.Context, groups ...[]*policy.Document) []string {
	found := map[string]string{} // as written, by the key in lower case
	add := func(key string) {
		key = strings.TrimSpace(key)
		if len(x.Get(key)) == 0 && found[strings.ToLower(key)] == "" {
			found[strings.ToLower(key)] = key
		}
	}
	for _, docs := range groups {
		for _, d := range docs {
			if d.Version == "2012-10-17" {
				for _, m := range variableRE.FindAllStringSubmatch(d.Text(), -1) {
					add(m[1])
				}
			}
			var text struct{ Statement json.RawMessage }
			if json.Unmarshal([]byte(d.Text()), &text) != nil {
				continue
			}
			type statement struct{ Condition map[string]map[string]any }
			var list []statement
			if json.Unmarshal(text.Statement, &list) != nil {
				var one statement
				if json.Unmarshal(text.Statement, &one) != nil {
					continue
				}
				list = []statement{one}
			}
			for _, s := range list {
				for _, keys := range s.Condition {
					for key := range keys {
						add(key)
					}
				}
			}
		}
	}
	out := make([]string, 0, len(found))
	for _, key := range found {
		out = append(out, key)
	}
	sort.Strings(out)
	return out
}

// extent says where the n-th statement (from 1) begins and ends in a policy
// text, each line and column from 1; zero when it is not found.
func extent(text string, n int) (start, end position) {
	dec := json.NewDecoder(strings.NewReader(text))
	// 1. To the value of Statement.
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return
	}
	for {
		t, err := dec.Token()
		if err != nil || t == json.Delim('}') {
			return
		}
		if t == "Statement" {
			break
		}
		var skipped json.RawMessage
		if dec.Decode(&skipped) != nil {
			return
		}
	}
	// 2. To the statement: in a list, or the only one.
	var raw json.RawMessage
	begin := int(dec.InputOffset())
	rest := strings.TrimLeft(text[begin:], ": \t\r\n")
	if strings.HasPrefix(rest, "[") {
		if _, err := dec.Token(); err != nil {
			return
		}
		for range n - 1 {
			if dec.Decode(&raw) != nil {
				return
			}
		}
	} else if n != 1 {
		return
	}
	if dec.Decode(&raw) != nil {
		return
	}
	to := int(dec.InputOffset())
	return at(text, to-len(raw)), at(text, to)
}

func at(text string, offset int) position {
	before := text[:offset]
	return position{1 + strings.Count(before, "\n"), offset - strings.LastIndexByte(before, '\n')}
}
