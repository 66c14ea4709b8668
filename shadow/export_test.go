package shadow

import "time"

// Imagine plays updates without a store, and returns the document that a get
// would tell, and the answer to the last update. Refused ones change nothing.
func Imagine(now time.Time, documents ...string) (got []byte, a Answer) {
	d := &document{}
	for _, s := range documents {
		a = Answer{Time: now}
		c, err := readChange([]byte(s))
		if a.Token, a.Err = c.token, err; err != nil {
			continue
		}
		if next := revise(&a, &c, d, d); a.Err == nil {
			d = next
		}
	}
	return encode(d.whole("", now)), a
}
