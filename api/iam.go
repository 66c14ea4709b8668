package api

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"strait"
	"strait/identity"
	"strait/policy"
)

// IAM returns the table of Identity and Access Management
// (iam-control-plane.md): roles in iamrole.go, users in iamuser.go, their keys
// in iamkey.go, what roles and users have in common in iamholder.go, managed
// policies in iampolicy.go and iamversion.go, simulations in iamsimulate.go.
func IAM(d *identity.Directory) Service {
	k := iamDesk{d}
	return Service{
		Name: "iam", Scopes: []string{"iam"}, Version: "2010-05-08", Protocol: "query", Namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
		Operations: slices.Concat(k.roles(), k.users(), k.keys(), k.policies(), k.versions(), k.simulations(),
			iamHolder{d, "Role"}.operations(), iamHolder{d, "User"}.operations()),
	}
}

type iamDesk struct{ directory *identity.Directory }

// missing is how AWS says that a parameter is not there.
func missing(parameter string) error {
	return strait.Errorf(strait.Invalid, "missing parameter", "The request must contain the parameter %s.", parameter)
}

// unfit is constraint without the value.
func unfit(at, what string) error {
	return strait.Errorf(strait.Invalid, "parameter", "1 validation error detected: Value at '%s' failed to satisfy constraint: %s", at, what)
}

// checkDocument judges the letters of a policy text, not what it says.
func checkDocument(parameter, text string) error {
	switch {
	case text == "":
		return missing(parameter)
	case len(text) > 131072:
		return unfit(strings.ToLower(parameter[:1])+parameter[1:], "Member must have length less than or equal to 131072")
	case !policyTextRE.MatchString(text):
		return unfit(strings.ToLower(parameter[:1])+parameter[1:], `Member must satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u00FF]+`)
	}
	return nil
}

var (
	descriptionRE = regexp.MustCompile("^[\t\n\r\u0020-\u007e\u00a1-\u00ff]*$")
	prefixRE      = regexp.MustCompile(`^/[\x21-\x7f]*$`)
)

func checkDescription(s *string) error {
	switch {
	case s == nil:
	case len([]rune(*s)) > 1000:
		return unfit("description", "Member must have length less than or equal to 1000")
	case !descriptionRE.MatchString(*s):
		return unfit("description", `Member must satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*`)
	}
	return nil
}

// checkPolicyARN judges the form of a managed policy's ARN.
func checkPolicyARN(parameter string, arn strait.ARN) error {
	at := strings.ToLower(parameter[:1]) + parameter[1:]
	switch {
	case arn == "":
		return missing(parameter)
	case len(arn) < 20:
		return unfit(at, "Member must have length greater than or equal to 20")
	case len(arn) > 2048:
		return unfit(at, "Member must have length less than or equal to 2048")
	}
	switch p, err := arn.Parse(); {
	case err != nil:
		return strait.Errorf(strait.Invalid, "parameter", "Invalid ARN:  Could not be parsed!") // two blanks, as AWS has it
	case p.Service != "iam" || !strings.HasPrefix(p.Resource, "policy/"):
		return strait.Errorf(strait.Invalid, "input", "ARN %s is not valid.", arn)
	}
	return nil
}

// checkPrefix judges a PathPrefix, "" meaning all.
func checkPrefix(prefix string) error {
	if prefix != "" && (len(prefix) > 512 || !prefixRE.MatchString(prefix)) {
		return unfit("pathPrefix", `Member must satisfy regular expression pattern: (\u002F)|(\u002F[\u0021-\u007E]+\u002F)`)
	}
	return nil
}

// checkOneOf judges a member of an enumeration, "" meaning its default.
func checkOneOf(at, value string, values ...string) error {
	if value != "" && !slices.Contains(values, value) {
		return unfit(at, "Member must satisfy enum value set: ["+strings.Join(values, ", ")+"]")
	}
	return nil
}

// below is the resource of asking for a list: "role/" and the path prefix.
func below(p strait.Place, kind, prefix string) strait.ARN {
	return p.IAM(kind + "/" + strings.TrimPrefix(prefix, "/"))
}

// A pager cuts lists. Marker is opaque to callers: the key of the last item
// that they have.
type pager struct {
	Marker   string
	MaxItems *int
}

// cut returns the items of all that the request asks for, by key, and the
// marker for the rest, "" when there is none. Keys must differ.
func cut[T any](p pager, all []T, key func(T) string) (items []T, next string, err error) {
	limit := 100
	if p.MaxItems != nil {
		limit = *p.MaxItems
	}
	switch {
	case limit < 1:
		return nil, "", unfit("maxItems", "Member must have value greater than or equal to 1")
	case limit > 1000:
		return nil, "", unfit("maxItems", "Member must have value less than or equal to 1000")
	}
	after, err := base64.RawURLEncoding.DecodeString(p.Marker)
	if err != nil || p.Marker != "" && len(after) == 0 {
		return nil, "", strait.Errorf(strait.Invalid, "parameter", "Invalid Marker.")
	}
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	if p.Marker != "" {
		all = slices.DeleteFunc(all, func(t T) bool { return key(t) <= string(after) })
	}
	if len(all) <= limit {
		return all, "", nil
	}
	all = all[:limit]
	return all, base64.RawURLEncoding.EncodeToString([]byte(key(all[limit-1]))), nil
}

// encodeDocument writes a policy document as IAM's answers have it: encoded
// as RFC 3986 says. A blank as "+" would be taken for a plus by some clients.
func encodeDocument(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// stamp is a time that may be unknown.
func stamp(t time.Time) *Stamp {
	if t.IsZero() {
		return nil
	}
	s := Stamp(t)
	return &s
}

func tagList(tags map[string]string) members[tag] {
	var out members[tag]
	for k, v := range tags {
		out = append(out, tag{k, v})
	}
	slices.SortFunc(out, func(a, b tag) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// tagged judges tags and adds them to old.
func tagged(old map[string]string, tags []tag) (map[string]string, error) {
	if len(tags) > 50 {
		return nil, unfit("tags", "Member must have length less than or equal to 50")
	}
	add := make([]identity.Tag, len(tags))
	for i, t := range tags {
		add[i] = identity.Tag(t)
	}
	return identity.Tagged(old, add)
}

// setRequestTags sets the keys of a request that brings tags.
func setRequestTags(x policy.Context, tags []tag) {
	if len(tags) == 0 {
		return
	}
	keys := make([]string, len(tags))
	for i, t := range tags {
		keys[i] = t.Key
		x.Set("aws:RequestTag/"+t.Key, t.Value)
	}
	x.Set("aws:TagKeys", keys...)
}

// A boundary is a permissions boundary as answers show it.
type boundary struct {
	PermissionsBoundaryType string
	PermissionsBoundaryArn  strait.ARN
}

func boundaryOf(arn strait.ARN) *boundary {
	if arn == "" {
		return nil
	}
	return &boundary{"Policy", arn}
}

// An emptyResult is a Result element with nothing in it; Nothing has none.
type emptyResult struct{}
