//go:build mutant_absent

package policy

// A fault planted on purpose: a negated operator misses when its key is absent. See TestMutants.

// absent is the answer for a key without a value.
func (c *condition) absent() bool {
	switch {
	case c.ifExists:
		return true
	case c.set == forAllValues:
		return true
	case c.set == forAnyValue:
		return false
	}
	return false
}
