//go:build mutant_refused

package policy

import "strings"

// A fault planted on purpose: folders are gathered whatever was refused in them. See TestMutants.

func (g *grant) refusedIn(folder *arnTemplate, refused []Request) bool {
	for _, r := range refused {
		if strings.EqualFold(string(r.Action), g.action) && r.Resource == "*" {
			return true
		}
	}
	return false
}
