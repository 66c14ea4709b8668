package sigv4

import (
	"net/http"
	"strings"

	"strait"
)

// This file is how S3 words what is wrong with credentials; the other services
// have words of their own (sigv4.md, section 7). Clients and their users search
// for these sentences.

// ReadS3 is Read for S3: it says in S3's words what cannot be read, and judges
// the scope before anybody looks for the key.
func ReadS3(r *http.Request) (*Claim, error) { return read(r, true) }

// wrong is an error of the credential's place: Authorization, the query or a form.
func (c *Claim) wrong(thing, format string, args ...any) error {
	switch c.Form {
	case Query:
		return unproven("query", "Error parsing the X-Amz-Credential parameter; "+format, args...)
	case PostForm:
		e := strait.Errorf(strait.Unauthenticated, "form", format, args...)
		e.Detail = map[string]string{"ArgumentName": "x-amz-credential"}
		return e
	}
	return unproven(thing, "The authorization header is malformed; "+format, args...)
}

// malformedCredential is for one that is not made of five parts.
func (c *Claim) malformedCredential(text, thing string) error {
	if c.s3 {
		return c.wrong(thing, `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`)
	}
	return unproven(thing, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", printable(text))
}

// scopeS3 judges what a scope for S3 must be, whoever the key belongs to.
func (c *Claim) scopeS3() error {
	day := c.Scope.Date
	switch {
	case c.signed.terminator != "aws4_request":
		return c.wrong("scope", "incorrect terminal %q. This endpoint uses \"aws4_request\".", printable(c.signed.terminator))
	case c.Scope.Service != "s3":
		return c.wrong("scope", "incorrect service %q. This endpoint belongs to \"s3\".", printable(c.Scope.Service))
	case len(day) != 8 || strings.Trim(day, "0123456789") != "":
		return c.wrong("scope", "incorrect date format %q. This date in the credential must be in the format \"yyyyMMdd\".", printable(day))
	case day == c.signed.date[:8]:
		return nil
	case c.Form == Query:
		return unproven("query", "Invalid credential date %q. This date is not the same as X-Amz-Date: %q.", day, c.signed.date[:8])
	}
	return c.wrong("scope", "Invalid credential date %q. This date is not the same as X-Amz-Date: %q.", day, c.signed.date[:8])
}

// authorization is an Authorization header that is none of S3's.
func authorization(text, format string) error {
	e := strait.Errorf(strait.Unauthenticated, "authorization", "%s", format)
	e.Detail = map[string]string{"ArgumentName": "Authorization", "ArgumentValue": printable(text)}
	return e
}

// parseAuthorizationS3 takes the header apart.
func parseAuthorizationS3(text string) (map[string]string, error) {
	scheme, rest, found := strings.Cut(strings.TrimSpace(text), " ")
	switch {
	case len(text) > maxAuthorization:
		return nil, unproven("header", "The authorization header is malformed; it is longer than %d bytes.", maxAuthorization)
	case !found:
		return nil, authorization(text, "Authorization header is invalid -- one and only one ' ' (space) required")
	case scheme == "AWS":
		return nil, wrongAlgorithm()
	case scheme != algorithm:
		return nil, authorization(scheme, "Unsupported Authorization Type")
	}
	parts := strings.Split(rest, ",")
	if len(parts) != 3 {
		return nil, unproven("header", "The authorization header is malformed; the authorization header requires three components: Credential, SignedHeaders, and Signature.")
	}
	parameters := make(map[string]string, 3)
	for _, part := range parts {
		part = strings.TrimSpace(part)
		name, value, ok := strings.Cut(part, "=")
		if _, again := parameters[name]; !ok || again {
			return nil, unproven("header", "The authorization header is malformed; the authorization component %q is malformed.", printable(part))
		}
		parameters[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if parameters[name] == "" {
			return nil, unproven("header", "The authorization header is malformed; missing %s.", name)
		}
	}
	return parameters, nil
}

// queryS3 judges the parameters of a presigned URL as a whole.
func queryS3(given map[string]string) error {
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires"} {
		if _, there := given[name]; !there {
			return unproven("query", "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
		}
	}
	switch a := given["X-Amz-Algorithm"]; a {
	case algorithm:
		return nil
	case "AWS4-ECDSA-P256-SHA256": // S3 has it; we do not
		return unproven("query", "X-Amz-Algorithm only supports %q", algorithm)
	}
	return unproven("query", `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"`)
}
