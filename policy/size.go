package policy

import (
	"unicode/utf8"

	"strait"
)

// Size returns how many characters of text count towards AWS's limits: all but
// white space between the words of JSON. (Whether AWS counts white space inside
// strings is unverified; we do, which is the stricter way.)
func Size(text string) int {
	n, inside := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inside && c == '\\' && i+1 < len(text):
			n++
			i++
		case c == '"':
			inside = !inside
		case !inside && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		case !utf8.RuneStart(text[i]):
			continue
		}
		n++
	}
	return n
}

// CheckSize refuses a text over the limit of its kind with a *strait.Error of
// kind Limit, whose message is AWS's where that is known (iam-evaluation §8).
// An Identity document is measured as a managed policy, 6,144 characters; the
// smaller totals of inline policies are for their owner to add up with Size.
func CheckSize(kind Kind, text string) error {
	switch kind {
	case Identity, Boundary:
		if Size(text) > 6144 {
			return strait.Errorf(strait.Limit, "managed policy", "Cannot exceed quota for PolicySize: 6144")
		}
	case Trust:
		if Size(text) > 2048 {
			return strait.Errorf(strait.Limit, "trust policy", "Cannot exceed quota for ACLSizePerRole: 2048")
		}
	case Session: // plain text: here white space counts (sts.md §2.1)
		if n := utf8.RuneCountInString(text); n > 2048 {
			return strait.Errorf(strait.Limit, "session policy",
				"The session policy has %d characters; at most 2048 are allowed, white space included.", n)
		}
	case IoT:
		if n := Size(text); n > 2048 {
			return strait.Errorf(strait.Limit, "iot policy",
				"The policy document has %d characters; at most 2048 are allowed, white space not counted.", n)
		}
	case Bucket, Function:
		if n := len(text); n > 20*1024 {
			return strait.Errorf(strait.Limit, "resource policy",
				"The policy document has %d bytes; at most 20480 are allowed.", n)
		}
	default:
		return strait.Errorf(strait.Internal, "policy", "unknown kind of policy %d", int(kind))
	}
	return nil
}
