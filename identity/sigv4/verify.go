package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"strait"
)

// EmptyPayload is the SHA-256 of no bytes.
const EmptyPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// DefaultSkew is how far a request's clock may be from ours.
const DefaultSkew = 15 * time.Minute

// Options are the rules of the service that a request is for.
type Options struct {
	Now time.Time
	// Skew is how far a request's clock may be off; 0 is DefaultSkew.
	Skew time.Duration
	// Services are the service names that the scope may have. None is an error.
	Services []string
	// Regions are the regions that the scope may have; none allows any, because
	// clients of a custom endpoint sign with whatever region they are set to.
	Regions []string
	// S3 takes S3's rules: the path is signed as it was sent, the payload's
	// hash is what the request says of it (Body checks it), presigned URLs say
	// when they end, V2 is accepted where the Form says so, and errors are told in
	// S3's words, with Detail.
	S3 bool
	// PayloadHash is the lower-case hexadecimal SHA-256 of the body (EmptyPayload
	// when there is none). It must be given except for S3.
	PayloadHash string
	// UnsignedToken lets the token stand outside the signature, as in the URL of
	// AWS IoT's WebSocket; one inside is accepted, too. It is safe only with
	// tokens that no other key's secret goes with, as ours.
	UnsignedToken bool
	// Keys remembers signing keys from one request to the next; may be nil.
	Keys *KeyRing
	// Bucket is the bucket that the host names; only V2 needs it, which signs
	// /bucket/key even when the path is /key.
	Bucket string
}

func (o Options) skew() time.Duration {
	if o.Skew == 0 {
		return DefaultSkew
	}
	return o.Skew
}

// Verify returns nil when c was signed with secret under the rules of o, and at
// a time that fits. It does not know whether the key or its session is over.
func (c *Claim) Verify(secret string, o Options) error {
	c.proven, c.TokenSigned = nil, false
	switch {
	case secret == "" || o.Now.IsZero() || len(o.Services) == 0:
		return misused("Verify needs a secret, the time and the services")
	case !o.S3 && o.PayloadHash == "":
		return misused("Verify needs the hash of the body")
	case !o.S3 && c.Form != Header && c.Form != Query:
		return wrongAlgorithm()
	}
	switch c.Form {
	case QueryV2, FormV2:
		return c.verifyV2(secret, o)
	case PostForm:
		return c.verifyForm(secret, o)
	case Header, Query:
		return c.verifyRequest(secret, o)
	}
	return misused("a claim that Read has not made")
}

func (c *Claim) verifyRequest(secret string, o Options) error {
	for _, check := range []func(Options) error{c.checkScope, c.checkHeaders, c.checkTime} {
		if err := check(o); err != nil {
			return err
		}
	}
	payload, err := c.payload(o)
	if err != nil {
		return err
	}
	paths, err := canonicalPaths(c.signed.path, o.S3)
	if err != nil {
		return unproven("signature", "The path cannot be read: %w.", err)
	}
	key := o.Keys.key(secret, c.Scope)
	var first, firstToSign string
	for _, query := range c.queries(o) {
		for _, path := range paths {
			canonical := strings.Join([]string{c.signed.method, path, query.text, c.signed.lines, c.signed.names, payload}, "\n")
			toSign := c.stringToSign(canonical)
			if c.signedBy(key, toSign) {
				c.TokenSigned = query.token
				o.Keys.keep(secret, c.Scope, key)
				c.proven = &proof{s3: o.S3, key: key, seed: c.signature}
				return nil
			}
			if first == "" {
				first, firstToSign = canonical, toSign
			}
		}
	}
	return c.mismatch(o.S3, first, firstToSign)
}

// checkScope checks what the key is derived from, so that a refusal has a reason.
func (c *Claim) checkScope(o Options) error {
	switch {
	case c.signed.terminator != "aws4_request":
		return unproven("scope", "Credential should be scoped with a valid terminator: 'aws4_request'.")
	case c.Scope.Date != c.signed.date[:8]:
		return unproven("scope", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s'.",
			printable(c.Scope.Date), c.signed.date[:8])
	case !slices.Contains(o.Services, c.Scope.Service):
		return unproven("scope", "Credential should be scoped to correct service: '%s'.", o.Services[0])
	case len(o.Regions) > 0 && !slices.Contains(o.Regions, c.Scope.Region):
		return &strait.Error{
			Kind: strait.Unauthenticated, Thing: "scope", Detail: map[string]string{"Region": o.Regions[0]},
			Message: "Credential should be scoped to a valid region; the region '" + printable(c.Scope.Region) + "' is wrong; expecting '" + o.Regions[0] + "'.",
		}
	}
	return nil
}

// checkHeaders refuses x-amz-* headers that the signature does not cover, with
// few exceptions.
func (c *Claim) checkHeaders(o Options) error {
	var left []string
	for _, name := range c.signed.unsigned {
		switch {
		case name == "x-amz-security-token" && c.Form == Header && !o.S3:
			// Appended after signing, as the IAM guide allows.
		case name == "x-amz-user-agent" && c.Form == Query:
			// What a browser says of itself.
		default:
			left = append(left, name)
		}
	}
	if len(left) > 0 {
		return unsignedHeaders(left)
	}
	return nil
}

func (c *Claim) checkTime(o Options) error {
	if c.Form == Query && (c.hasExpiry || o.S3) {
		if !c.hasExpiry {
			return parameterMissing("X-Amz-Expires")
		}
		if c.SignedAt.After(o.Now.Add(o.skew())) {
			return unproven("early request", "Request is not valid yet.")
		}
		if end := c.SignedAt.Add(c.Expires); o.Now.After(end) {
			return expired(strconv.Itoa(int(c.Expires.Seconds())), end, o.Now)
		}
		return nil
	}
	if d := o.Now.Sub(c.SignedAt); d > o.skew() || d < -o.skew() {
		return c.skewed(o)
	}
	return nil
}

// payload returns the last line of the canonical request.
func (c *Claim) payload(o Options) (string, error) {
	switch {
	case !o.S3:
		if c.PayloadHash != "" && c.PayloadHash != o.PayloadHash {
			// The signature may be right, but for another body.
			return "", c.mismatch(false, "", "")
		}
		return o.PayloadHash, nil
	case c.PayloadHash == "" && c.Form == Query:
		return unsignedPayload, nil
	case c.PayloadHash == "":
		return "", invalid("payload hash missing", "Missing required header for this request: x-amz-content-sha256")
	}
	return c.PayloadHash, checkPayloadHash(c.PayloadHash)
}

// A signedQuery is one query that the client may have signed.
type signedQuery struct {
	text  string
	token bool // the signature covers the token
}

func (c *Claim) queries(o Options) []signedQuery {
	if c.Form == Header {
		token := c.Token != "" && slices.Contains(c.SignedHeaders, "x-amz-security-token")
		return []signedQuery{{canonicalQuery(c.signed.query, ""), token}}
	}
	all := []signedQuery{{canonicalQuery(c.signed.query, ""), c.Token != ""}}
	if o.UnsignedToken && c.Token != "" {
		all = append(all, signedQuery{canonicalQuery(c.signed.query, "X-Amz-Security-Token"), false})
	}
	return all
}

func (c *Claim) stringToSign(canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return algorithm + "\n" + c.signed.date + "\n" + c.Scope.String() + "\n" + hex.EncodeToString(sum[:])
}

// signedBy compares in constant time.
func (c *Claim) signedBy(key []byte, toSign string) bool {
	return hmac.Equal([]byte(hex.EncodeToString(hmac256(key, toSign))), []byte(c.signature))
}

// verifyForm checks a POST form. How long it is good stands in its policy.
func (c *Claim) verifyForm(secret string, o Options) error {
	if err := c.checkScope(o); err != nil {
		return err
	}
	if c.SignedAt.After(o.Now.Add(o.skew())) {
		return unproven("early request", "Request is not valid yet.")
	}
	key := signingKey(secret, c.Scope)
	if !c.signedBy(key, c.signed.policy) {
		return c.mismatch(true, "", c.signed.policy)
	}
	c.proven = &proof{s3: true, key: key, seed: c.signature}
	return nil
}

func signingKey(secret string, s Scope) []byte {
	key := hmac256([]byte("AWS4"+secret), s.Date)
	for _, part := range []string{s.Region, s.Service, "aws4_request"} {
		key = hmac256(key, part)
	}
	return key
}

func hmac256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
