package identity

import (
	"maps"
	"regexp"
	"strings"
	"unicode/utf8"

	"strait"
)

// maxTags is how many tags one user, role or policy may have.
const maxTags = 50

var tagRE = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// A Tag is a word about a user, role or policy, with its value.
type Tag struct{ Key, Value string }

// Tagged returns old with tags added. Keys are told apart without regard to
// case, so a tag replaces the one whose key differs in case only.
func Tagged(old map[string]string, tags []Tag) (map[string]string, error) {
	out, added := maps.Clone(old), map[string]bool{}
	if out == nil {
		out = map[string]string{}
	}
	for _, t := range tags {
		if err := checkTag(t); err != nil {
			return nil, err
		}
		if k := strings.ToLower(t.Key); added[k] {
			return nil, strait.Errorf(strait.Invalid, "input", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		} else {
			added[k] = true
		}
		untag(out, t.Key)
		out[t.Key] = t.Value
	}
	if len(out) > maxTags {
		return nil, strait.Errorf(strait.Limit, "tag", "The number of tags has reached the maximum limit.")
	}
	return out, nil
}

// Untagged returns old without keys, whatever their case.
func Untagged(old map[string]string, keys []string) map[string]string {
	out := maps.Clone(old)
	for _, k := range keys {
		untag(out, k)
	}
	return out
}

func untag(tags map[string]string, key string) {
	maps.DeleteFunc(tags, func(k, _ string) bool { return strings.EqualFold(k, key) })
}

func checkTag(t Tag) error {
	bad := func(at, what string) error {
		return strait.Errorf(strait.Invalid, "parameter", "1 validation error detected: Value at 'tags.1.member.%s' failed to satisfy constraint: %s", at, what)
	}
	const pattern = `Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]`
	switch {
	case t.Key == "":
		return bad("key", "Member must have length greater than or equal to 1")
	case utf8.RuneCountInString(t.Key) > 128:
		return bad("key", "Member must have length less than or equal to 128")
	case utf8.RuneCountInString(t.Value) > 256:
		return bad("value", "Member must have length less than or equal to 256")
	case !tagRE.MatchString(t.Key):
		return bad("key", pattern+"+")
	case !tagRE.MatchString(t.Value):
		return bad("value", pattern+"*")
	case len(t.Key) >= 4 && strings.EqualFold(t.Key[:4], "aws:"):
		return strait.Errorf(strait.Invalid, "input", "Tag keys beginning with aws: are reserved.")
	}
	return nil
}
