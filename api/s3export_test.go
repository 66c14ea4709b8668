package api

import (
	"time"

	"strait"
	"strait/object"
)

// EventOf is what a function is told of an object.
func EventOf(place strait.Place, c *Caller, event, configuration string, i object.Info, now time.Time, sequence int64) []byte {
	return eventOf(place, c, event, configuration, i, now, sequence)
}

// ParseCopySource is how x-amz-copy-source names an object.
func ParseCopySource(s string) (bucket, key string, err error) {
	c, err := parseCopySource(s)
	return c.bucket, c.key, err
}

// ParseRange is how Range selects bytes of an object of that size.
func ParseRange(s string, size int64) (from, n int64, ok bool, err error) { return parseRange(s, size) }

// ParseCopyRange is ParseRange for the source of a part.
func ParseCopyRange(s string, size int64) (from, n int64, err error) { return parseCopyRange(s, size) }

// CheckPost holds a form to a policy in base64.
func CheckPost(policy, bucket string, fields map[string]string, now time.Time) error {
	p, err := parsePostPolicy(policy)
	if err == nil {
		_, err = p.check(bucket, fields, now)
	}
	return err
}
