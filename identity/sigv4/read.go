package sigv4

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"strait"
)

// Limits of what Read takes; all are far above what clients send.
const (
	maxQuery         = 64 << 10
	maxAuthorization = 8 << 10
	maxSignedHeaders = 100
	maxExpires       = 604800 // seconds, a week
)

const algorithm = "AWS4-HMAC-SHA256"

// Read finds the one form of credentials in r. It returns nil, nil for an
// anonymous request, and an error for one whose credentials cannot be read: that
// is never anonymous. It does not touch r.Body. It reads r.RequestURI, so nothing
// may have cleaned the path before.
func Read(r *http.Request) (*Claim, error) { return read(r, false) }

func read(r *http.Request, s3 bool) (*Claim, error) {
	path, raw := target(r)
	if len(raw) > maxQuery {
		return nil, unproven("query", "The query is longer than %d bytes.", maxQuery)
	}
	query, err := parseQuery(raw)
	if err != nil {
		return nil, unproven("query", "The query cannot be read: %w.", err)
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(query, func(p pair) bool { return slices.Contains(names, p.name) })
	}
	inHeader := len(r.Header["Authorization"]) > 0
	inQuery := has("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature")
	inQueryV2 := has("AWSAccessKeyId")
	c := &Claim{s3: s3, signed: signed{method: r.Method, path: path, query: query}}
	switch {
	case !inHeader && !inQuery && !inQueryV2:
		return nil, nil
	case inHeader && (inQuery || inQueryV2), inQuery && inQueryV2:
		return nil, invalid("two credentials", "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified.")
	case inHeader:
		err = c.readHeader(r)
	case inQuery:
		err = c.readQuery(r)
	default:
		err = c.readQueryV2(r)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// target returns path and query as they were sent.
func target(r *http.Request) (path, query string) {
	uri := r.RequestURI
	if uri == "" { // a request that no server has read
		return r.URL.EscapedPath(), r.URL.RawQuery
	}
	if !strings.HasPrefix(uri, "/") { // absolute form, as for a proxy
		if _, rest, ok := strings.Cut(uri, "://"); ok {
			uri = strings.TrimLeftFunc(rest, func(c rune) bool { return c != '/' && c != '?' })
		}
	}
	path, query, _ = strings.Cut(uri, "?")
	return path, query
}

// readHeader reads Authorization and the headers that belong to it.
func (c *Claim) readHeader(r *http.Request) (err error) {
	c.Form = Header
	// 1. The header's three parameters.
	text, err := single(r, "Authorization")
	if err != nil {
		return err
	}
	parse := parseAuthorization
	if c.s3 {
		parse = parseAuthorizationS3
	}
	parameters, err := parse(text)
	if err != nil {
		return err
	}
	if err := c.setCredential(parameters["Credential"], "header"); err != nil {
		return err
	}
	c.signature = parameters["Signature"]
	// 2. The date, in its own header or the common one.
	date, err := single(r, "X-Amz-Date")
	if err == nil && date == "" {
		date, err = c.commonDate(r)
	}
	if err != nil {
		return err
	}
	if err := c.setDate(date); err != nil {
		return err
	}
	if c.s3 {
		if err := c.scopeS3(); err != nil {
			return err
		}
	}
	// 3. Token, headers, payload.
	if c.Token, err = single(r, "X-Amz-Security-Token"); err != nil {
		return err
	}
	if err := c.setHeaders(r, parameters["SignedHeaders"], "header"); err != nil {
		return err
	}
	if c.PayloadHash, err = single(r, "X-Amz-Content-Sha256"); err != nil {
		return err
	}
	c.signed.bodyHash = c.PayloadHash
	return c.setFraming(r)
}

func parseAuthorization(text string) (map[string]string, error) {
	if len(text) > maxAuthorization {
		return nil, unproven("header", "Authorization is longer than %d bytes.", maxAuthorization)
	}
	scheme, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	if scheme != algorithm {
		return nil, wrongAlgorithm()
	}
	parameters := make(map[string]string, 3)
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if _, again := parameters[name]; !ok || again {
			return nil, unproven("header", "The authorization header is malformed; '%s' is not one of Credential=, SignedHeaders=, Signature=.", name)
		}
		parameters[name] = value
	}
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if parameters[name] == "" {
			return nil, headerMissing(name)
		}
	}
	if len(parameters) > 3 {
		return nil, unproven("header", "The authorization header is malformed; it has a parameter that is not known.")
	}
	return parameters, nil
}

func wrongAlgorithm() error {
	return unproven("algorithm", "The authorization mechanism you have provided is not supported. Please use %s.", algorithm)
}

// readQuery reads the parameters of a presigned URL.
func (c *Claim) readQuery(r *http.Request) (err error) {
	c.Form = Query
	// 1. Each parameter at most once.
	given := make(map[string]string)
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature",
		"X-Amz-Expires", "X-Amz-Security-Token", "X-Amz-Content-Sha256"} {
		all := values(c.signed.query, name)
		if len(all) > 1 {
			return repeated("query", name)
		}
		if len(all) == 1 {
			given[name] = all[0]
		}
	}
	if c.s3 {
		if err := queryS3(given); err != nil {
			return err
		}
	}
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders"} {
		if given[name] == "" {
			return parameterMissing(name)
		}
	}
	if given["X-Amz-Algorithm"] != algorithm {
		return wrongAlgorithm()
	}
	// 2. Who, when and how long.
	if err := c.setCredential(given["X-Amz-Credential"], "query"); err != nil {
		return err
	}
	if err := c.setDate(given["X-Amz-Date"]); err != nil {
		return err
	}
	if c.s3 {
		if err := c.scopeS3(); err != nil {
			return err
		}
	}
	if text, ok := given["X-Amz-Expires"]; ok {
		if c.Expires, err = parseExpires(text); err != nil {
			return err
		}
		c.hasExpiry = true
	}
	c.Token, c.signature = given["X-Amz-Security-Token"], given["X-Amz-Signature"]
	c.signed.query = slices.DeleteFunc(c.signed.query, func(p pair) bool { return p.name == "X-Amz-Signature" })
	// 3. Headers and payload.
	if err := c.setHeaders(r, given["X-Amz-SignedHeaders"], "query"); err != nil {
		return err
	}
	header, err := single(r, "X-Amz-Content-Sha256")
	if err != nil {
		return err
	}
	c.PayloadHash = given["X-Amz-Content-Sha256"]
	if slices.Contains(c.SignedHeaders, "x-amz-content-sha256") {
		c.PayloadHash = header
	}
	c.signed.bodyHash = c.PayloadHash
	if (c.PayloadHash == "" || c.PayloadHash == unsignedPayload) && (isHash(header) || header == unsignedPayload) {
		// Not signed, yet a promise about the body: holding it to that is safe.
		c.signed.bodyHash = header
		c.signed.unsigned = slices.DeleteFunc(c.signed.unsigned, func(name string) bool { return name == "x-amz-content-sha256" })
	}
	return c.setFraming(r)
}

func parseExpires(text string) (time.Duration, error) {
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, unproven("query", "X-Amz-Expires should be a number")
	}
	if digits != text {
		return 0, unproven("query", "X-Amz-Expires must be non-negative")
	}
	seconds := 0
	for _, d := range []byte(digits) {
		if seconds = seconds*10 + int(d-'0'); seconds > maxExpires {
			return 0, unproven("query", "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
		}
	}
	return time.Duration(seconds) * time.Second, nil
}

// setCredential reads keyid/date/region/service/aws4_request.
func (c *Claim) setCredential(text, thing string) error {
	parts := strings.Split(text, "/")
	if len(parts) != 5 || !isKeyID(parts[0]) {
		return c.malformedCredential(text, thing)
	}
	c.signed.terminator = parts[4]
	c.AccessKeyID, c.Scope = parts[0], Scope{Date: parts[1], Region: parts[2], Service: parts[3]}
	return nil
}

// isKeyID bounds what is looked up and logged (STS's model: 16 to 128 of \w).
func isKeyID(id string) bool {
	return id != "" && len(id) <= 128 && !strings.ContainsFunc(id, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.')
	})
}

func (c *Claim) setDate(text string) error {
	at, err := time.Parse(timeFormat, text)
	if err != nil || len(text) != len(timeFormat) {
		switch {
		case c.s3 && c.Form == Header:
			return noDateS3()
		case c.s3 && c.Form == Query:
			return unproven("query", `X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
		case c.s3:
			e := strait.Errorf(strait.Unauthenticated, "form", "X-Amz-Date must be formated via ISO8601 Long format")
			e.Detail = map[string]string{"ArgumentName": "X-Amz-Date", "ArgumentValue": printable(text)}
			return e
		}
		return unproven("date", "Date must be in ISO-8601 'basic format'. Got '%s'.", printable(text))
	}
	c.SignedAt, c.signed.date = at, text
	return nil
}

func noDateS3() error {
	return unproven("date", "AWS authentication requires a valid Date or x-amz-date header.")
}

// commonDate returns the Date header as it is signed.
func (c *Claim) commonDate(r *http.Request) (string, error) {
	text, err := single(r, "Date")
	if err != nil {
		return "", err
	}
	if text == "" && c.s3 {
		return "", noDateS3()
	}
	if text == "" {
		return "", unproven("date", "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	at, err := http.ParseTime(text)
	if err != nil { // botocore writes the zone as -0000
		at, err = time.Parse(time.RFC1123Z, text)
	}
	if err == nil {
		return at.UTC().Format(timeFormat), nil
	}
	return text, nil
}

// setHeaders takes the client's own list; it is never computed anew.
func (c *Claim) setHeaders(r *http.Request, list, thing string) (err error) {
	names := strings.Split(list, ";")
	if len(names) > maxSignedHeaders {
		return unproven(thing, "SignedHeaders has more than %d names.", maxSignedHeaders)
	}
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if name == "" || name != strings.ToLower(name) || strings.ContainsAny(name, "\n\r\t ,") || seen[name] {
			return unproven(thing, "SignedHeaders is malformed at '%s'.", printable(name))
		}
		seen[name] = true
	}
	if !seen["host"] && !seen[":authority"] {
		return unproven("signed headers", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range r.Header {
		if name := strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !seen[name] {
			c.signed.unsigned = append(c.signed.unsigned, name)
		}
	}
	slices.Sort(c.signed.unsigned)
	c.SignedHeaders, c.signed.names = names, list
	c.signed.lines, err = canonicalLines(r, names)
	return err
}

// setFraming reads what the headers say of a chunked body.
func (c *Claim) setFraming(r *http.Request) (err error) {
	c.signed.trailer = strings.Join(r.Header["X-Amz-Trailer"], ",")
	c.signed.decoded, err = single(r, "X-Amz-Decoded-Content-Length")
	return err
}

// single returns the value of a header that may be there once.
func single(r *http.Request, name string) (string, error) {
	all := r.Header[name]
	if len(all) > 1 {
		return "", repeated("header", name)
	}
	if len(all) == 0 {
		return "", nil
	}
	return strings.TrimSpace(all[0]), nil
}

// ReadForm is Read for the fields of an S3 POST form, by lower-case name, without
// the file; nil, nil when it is anonymous. The policy document is not read: only
// its text is signed, and whoever acts on the form must hold it to its policy.
func ReadForm(fields map[string]string) (*Claim, error) {
	_, v4 := fields["x-amz-signature"]
	_, alg := fields["x-amz-algorithm"]
	_, v2 := fields["awsaccesskeyid"]
	v4 = v4 || alg
	c := &Claim{s3: true, Form: PostForm, Token: fields["x-amz-security-token"]}
	need := []string{"policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"}
	switch {
	case !v4 && !v2:
		return nil, nil
	case v4 && v2:
		return nil, invalid("two credentials", "Only one auth mechanism allowed.")
	case v2:
		c.Form, need = FormV2, []string{"policy", "awsaccesskeyid", "signature"}
	}
	for _, name := range need {
		if fields[name] == "" {
			e := strait.Errorf(strait.Unauthenticated, "form", "Bucket POST must contain a field named '%s'.  If it is specified, please check the order of the fields.", name)
			e.Detail = map[string]string{"ArgumentName": name}
			return nil, e
		}
	}
	c.signed.policy = fields["policy"]
	if v2 {
		c.AccessKeyID, c.signature = fields["awsaccesskeyid"], fields["signature"]
		if !isKeyID(c.AccessKeyID) {
			return nil, unproven("form", "AWSAccessKeyId is malformed.")
		}
		return c, nil
	}
	if a := fields["x-amz-algorithm"]; a != algorithm {
		e := strait.Errorf(strait.Unauthenticated, "form", "Only %s is supported", algorithm)
		e.Detail = map[string]string{"ArgumentName": "x-amz-algorithm", "ArgumentValue": printable(a)}
		return nil, e
	}
	c.signature = fields["x-amz-signature"]
	if err := c.setCredential(fields["x-amz-credential"], "form"); err != nil {
		return nil, err
	}
	if err := c.setDate(fields["x-amz-date"]); err != nil {
		return nil, err
	}
	if err := c.scopeS3(); err != nil {
		return nil, err
	}
	return c, nil
}

// printable bounds what of a request is said back.
func printable(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	return strings.Trim(fmt.Sprintf("%+q", s), `"`)
}
