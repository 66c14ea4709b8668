//go:build !mutant_refused

package policy

import "strings"

func (g *grant) refusedIn(folder *arnTemplate, refused []Request) bool {
	for _, r := range refused {
		if strings.EqualFold(string(r.Action), g.action) && folder.fixedMatch(string(r.Resource)) {
			return true
		}
	}
	return false
}
