package sigv4

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// A pair is one parameter of the query: decoded, and as it is signed.
type pair struct {
	name, value string
	bare        bool // there was no "="
	signedName  string
	signedValue string
}

var errEscape = errors.New("a percent sign is not followed by two hexadecimal digits")

// parseQuery is not url.ParseQuery, which drops pairs with ";" in them.
func parseQuery(raw string) ([]pair, error) {
	var query []pair
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, found := strings.Cut(part, "=")
		p := pair{bare: !found}
		var err error
		if p.name, err = unescape(name, true); err != nil {
			return nil, err
		}
		if p.value, err = unescape(value, true); err != nil {
			return nil, err
		}
		p.signedName, p.signedValue = escape(p.name, false), escape(p.value, false)
		query = append(query, p)
	}
	return query, nil
}

// values returns all values of a parameter.
func values(query []pair, name string) (all []string) {
	for _, p := range query {
		if p.name == name {
			all = append(all, p.value)
		}
	}
	return all
}

// canonicalQuery is sorted by what is signed, and leaves out the parameter called
// except ("" for none).
func canonicalQuery(query []pair, except string) string {
	sorted := slices.DeleteFunc(slices.Clone(query), func(p pair) bool { return except != "" && p.name == except })
	slices.SortStableFunc(sorted, func(a, b pair) int {
		if c := strings.Compare(a.signedName, b.signedName); c != 0 {
			return c
		}
		return strings.Compare(a.signedValue, b.signedValue)
	})
	var b strings.Builder
	for i, p := range sorted {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.signedName + "=" + p.signedValue)
	}
	return b.String()
}

// canonicalPaths are the forms of a path that clients sign. S3's is the path that
// was sent, with AWS's choice of escapes or with the client's own. The others'
// is made tidy and escaped once more; but aws-sdk-go-v2 does not tidy.
func canonicalPaths(path string, s3 bool) ([]string, error) {
	if path == "" {
		path = "/"
	}
	if !s3 {
		return slices.Compact([]string{escape(tidy(path), true), escape(path, true)}), nil
	}
	plain, err := unescape(path, false)
	if err != nil {
		return nil, err
	}
	return slices.Compact([]string{escape(plain, true), path}), nil
}

// tidy removes dot segments (RFC 3986, 5.2.4) and doubled slashes.
func tidy(path string) string {
	var kept []string
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "", ".":
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, segment)
		}
	}
	out := "/" + strings.Join(kept, "/")
	if len(kept) > 0 && (strings.HasSuffix(path, "/") || strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/..")) {
		out += "/"
	}
	return out
}

// canonicalLines returns the canonical lines of the named headers. A name whose
// header is not in r is an error: something took it away, or it never was.
func canonicalLines(r *http.Request, names []string) (string, error) {
	var b strings.Builder
	for _, name := range names {
		all := headerValues(r, name)
		if len(all) == 0 {
			return "", unproven("signed headers", "The header '%s' is signed and is not in the request.", name)
		}
		b.WriteString(name + ":")
		for i, v := range all {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(collapse(v))
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// headerValues knows where net/http puts what it takes out of the header.
func headerValues(r *http.Request, name string) []string {
	if all := r.Header[http.CanonicalHeaderKey(name)]; len(all) > 0 && name != "host" {
		return all
	}
	switch {
	case name == "host" || name == ":authority":
		return []string{r.Host}
	case name == "content-length" && r.ContentLength >= 0:
		return []string{strconv.FormatInt(r.ContentLength, 10)}
	case name == "transfer-encoding" && len(r.TransferEncoding) > 0:
		return r.TransferEncoding
	case name == "trailer" && len(r.Trailer) > 0:
		// In which order and case they were sent is lost.
		var all []string
		for name := range r.Trailer {
			all = append(all, name)
		}
		slices.Sort(all)
		return all
	}
	return nil
}

// collapse trims and makes runs of white space one space.
func collapse(s string) string { return strings.Join(strings.Fields(s), " ") }

// escape writes all bytes but AWS's unreserved ones as %XX; slashes too unless
// slash is set.
func escape(s string, slash bool) string {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, len(s)+8)
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '/' && slash:
			out = append(out, c)
		default:
			out = append(out, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(out)
}

// unescape decodes once. In a query a plus is a space, as everyone reads it who
// acts on the request: taken for a plus, %2B could be changed into a space.
func unescape(s string, query bool) (string, error) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%':
			if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
				return "", errEscape
			}
			out = append(out, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		case s[i] == '+' && query:
			out = append(out, ' ')
		default:
			out = append(out, s[i])
		}
	}
	return string(out), nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
