package broker

import (
	"strings"
	"unicode/utf8"

	"strait"
)

// Limits of AWS IoT Core for names ("AWS IoT Core endpoints and quotas").
const (
	maxTopic    = 256 // bytes of a topic or filter, prefix not counted
	maxSlashes  = 7   // in a topic or filter, prefix not counted
	maxPrefix   = 128 // bytes of the rule's or share's name in a prefix
	maxClientID = 128 // bytes
)

// ValidTopic returns nil when a message may be published to topic: UTF-8, 1 to
// 256 bytes, at most 7 slashes, no wildcard and no NUL. The prefix
// "$aws/rules/NAME/" is not counted. The error is strait.Invalid, "topic".
func ValidTopic(topic string) error {
	if err := validName("topic", topic, stripRule(topic)); err != nil {
		return err
	}
	if strings.ContainsAny(topic, "+#") {
		return strait.Errorf(strait.Invalid, "topic", "a topic to publish to must not contain + or #")
	}
	return nil
}

// ValidFilter returns nil when filter may be subscribed to: as for ValidTopic,
// but "+" may stand for one level and "#" for the last ones. Of
// "$share/NAME/FILTER" the first two levels are not counted. The error is
// strait.Invalid, "topic filter".
func ValidFilter(filter string) error {
	const thing = "topic filter"
	rest := stripRule(filter)
	if share, ok := strings.CutPrefix(filter, sharePrefix); ok {
		name, f, ok := strings.Cut(share, "/")
		if !ok || name == "" || len(name) > maxPrefix || strings.ContainsAny(name, "+#") {
			return strait.Errorf(strait.Invalid, thing, "a shared subscription must be $share/NAME/FILTER, its name 1 to %d bytes without + and #", maxPrefix)
		}
		rest = f
	}
	if err := validName(thing, filter, rest); err != nil {
		return err
	}
	for left, more := filter, true; more; {
		var level string
		level, left, more = strings.Cut(left, "/")
		if len(level) > 1 && strings.ContainsAny(level, "+#") {
			return strait.Errorf(strait.Invalid, thing, "+ and # must stand alone between slashes")
		}
		if level == "#" && more {
			return strait.Errorf(strait.Invalid, thing, "# must be the last level of a topic filter")
		}
	}
	return nil
}

// ValidClientID returns nil when id may connect: UTF-8, 1 to 128 bytes, not
// beginning with "$", no NUL. The error is strait.Invalid, "client id".
func ValidClientID(id string) error {
	switch {
	case id == "" || len(id) > maxClientID:
		return strait.Errorf(strait.Invalid, "client id", "a client id must have 1 to %d bytes", maxClientID)
	case id[0] == '$':
		return strait.Errorf(strait.Invalid, "client id", "a client id must not begin with $")
	case !utf8.ValidString(id) || strings.IndexByte(id, 0) >= 0:
		return strait.Errorf(strait.Invalid, "client id", "a client id must be UTF-8 without NUL")
	}
	return nil
}

// Match tells whether a message published to topic reaches a subscription to
// filter; both must be valid. "+" matches one level, "#" one or more, so that
// "a/#" matches "a/" and "a/b" and not "a" (AWS; the MQTT standard differs).
// Neither matches a first level that begins with "$". Match knows no shared
// subscriptions: "$share/n/f" is matched by its f.
func Match(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && (strings.HasPrefix(filter, "+") || strings.HasPrefix(filter, "#")) {
		return false
	}
	for {
		f, frest, fmore := strings.Cut(filter, "/")
		if f == "#" {
			return true
		}
		t, trest, tmore := strings.Cut(topic, "/")
		if f != "+" && f != t {
			return false
		}
		if !fmore || !tmore {
			return fmore == tmore
		}
		filter, topic = frest, trest
	}
}

// validName judges what topics and filters have in common; counted is the part
// of name to which the limits apply.
func validName(thing, name, counted string) error {
	switch {
	case counted == "":
		return strait.Errorf(strait.Invalid, thing, "a %s must not be empty", thing)
	case len(counted) > maxTopic:
		return strait.Errorf(strait.Invalid, thing, "a %s must not be longer than %d bytes", thing, maxTopic)
	case strings.Count(counted, "/") > maxSlashes:
		return strait.Errorf(strait.Invalid, thing, "a %s must not have more than %d slashes", thing, maxSlashes)
	case !utf8.ValidString(name) || strings.IndexByte(name, 0) >= 0:
		return strait.Errorf(strait.Invalid, thing, "a %s must be UTF-8 without NUL", thing)
	}
	return nil
}

// stripRule cuts "$aws/rules/NAME/" off. What has no such prefix, or a name
// that is too long for a rule, is returned whole and so counted whole.
func stripRule(topic string) string {
	if !strings.HasPrefix(topic, rulePrefix) {
		return topic
	}
	name, rest, ok := strings.Cut(topic[len(rulePrefix):], "/")
	if !ok || name == "" || len(name) > maxPrefix {
		return topic
	}
	return rest
}

// rulePrefix begins the topics of Basic Ingest.
const rulePrefix = "$aws/rules/"

// wild tells whether filter has a wildcard.
func wild(filter string) bool { return strings.ContainsAny(filter, "+#") }
