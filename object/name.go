package object

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"strait"
)

// ValidKey returns nil when key may name an object: 1 to MaxKey bytes of valid
// UTF-8. Everything else is the caller's: "..", "//", a leading "/" and even
// NUL are ordinary bytes. Otherwise it returns Invalid "key".
func ValidKey(key string) error {
	switch {
	case key == "":
		return strait.Errorf(strait.Invalid, "key", "an object's key must not be empty")
	case len(key) > MaxKey:
		return strait.Errorf(strait.Invalid, "key", "an object's key has at most %d bytes; this one has %d", MaxKey, len(key))
	case !utf8.ValidString(key):
		return strait.Errorf(strait.Invalid, "key", "an object's key must be valid UTF-8")
	}
	return nil
}

// ValidBucket returns nil when name follows AWS's rules for bucket names
// (s3-upload.md section 1); otherwise Invalid "bucket name".
func ValidBucket(name string) error {
	if why := badBucket(name); why != "" {
		return strait.Errorf(strait.Invalid, "bucket name", "a bucket's name %s", why)
	}
	return nil
}

func badBucket(name string) string {
	if len(name) < 3 || len(name) > 63 {
		return "has 3 to 63 characters"
	}
	for i := range len(name) {
		if c := name[i]; !letterOrDigit(c) && c != '-' && c != '.' {
			return "holds lower-case letters, digits, dots and hyphens only"
		}
	}
	if !letterOrDigit(name[0]) || !letterOrDigit(name[len(name)-1]) {
		return "begins and ends with a letter or a digit"
	}
	if strings.Contains(name, "..") {
		return "must not hold two dots in a row"
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "must not be an IP address"
	}
	for _, p := range []string{"xn--", "sthree-"} {
		if strings.HasPrefix(name, p) {
			return "must not begin with " + p
		}
	}
	for _, s := range []string{"-s3alias", "--ol-s3"} {
		if strings.HasSuffix(name, s) {
			return "must not end with " + s
		}
	}
	return ""
}

func letterOrDigit(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// Valid returns nil when m is within MaxUserMeta, MaxMeta and MaxTags; otherwise
// TooLarge "metadata" or "tags". A name must not begin with NUL: Invalid
// "metadata".
func (m Meta) Valid() error {
	n := 0
	for k, v := range m.User {
		if strings.HasPrefix(k, "\x00") {
			return strait.Errorf(strait.Invalid, "metadata", "the name of a user's metadata must not begin with NUL")
		}
		n += len(k) + len(v)
	}
	if n > MaxUserMeta {
		return strait.Errorf(strait.TooLarge, "metadata", "the user's metadata have at most %d bytes; these have %d", MaxUserMeta, n)
	}
	if err := ValidTags(m.Tags); err != nil {
		return err
	}
	n = len(m.ContentType) + len(m.ContentEncoding) + len(m.CacheControl) +
		len(m.ContentDisposition) + len(m.ContentLanguage) + len(m.Expires)
	if n > MaxMeta {
		return strait.Errorf(strait.TooLarge, "metadata", "content type, encoding and the like have at most %d bytes together; these have %d", MaxMeta, n)
	}
	return nil
}

// ValidTags returns nil when tags are within MaxTags.
func ValidTags(tags map[string]string) error {
	n := 0
	for k, v := range tags {
		n += len(k) + len(v)
	}
	if n > MaxTags {
		return strait.Errorf(strait.TooLarge, "tags", "tags have at most %d bytes; these have %d", MaxTags, n)
	}
	return nil
}
