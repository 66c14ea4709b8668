//go:build !mutant_holdsat

package policy

import "time"

// holdsAt is holds for a condition with onlyTime. Every set operator is the
// plain one here, as there is exactly one value.
func (c *condition) holdsAt(now time.Time) bool {
	found := time.Unix(now.Unix(), 0)
	good := c.negated
	for i := range c.values {
		v := &c.values[i]
		switch {
		case !v.valid:
			if c.negated {
				good = false
			}
		case c.compare.holds(found.Compare(v.date)):
			good = !c.negated
		}
	}
	return good
}
