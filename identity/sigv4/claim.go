// Package sigv4 verifies signatures of requests: Signature V4 in the
// Authorization header, in the query (presigned) and in S3's POST form, with
// S3's signed and unsigned chunked bodies; and V2 where boto3 still presigns
// with it.
//
// It is pure: it does not know who has which key, what a session token holds or
// whether the caller may do anything. It reads what a request claims (Read,
// ReadForm), compares the signature with the secret that the caller found for
// it (Claim.Verify), and checks the body against what was signed (Claim.Body).
//
// Failures are *strait.Error. Their Things, all of kind Unauthenticated unless
// another is named:
//
//	"authorization"    Authorization is of no kind that S3 has (S3 only)
//	"header"           Authorization cannot be read (AuthorizationHeaderMalformed)
//	"query"            a parameter of a presigned URL is missing or wrong
//	"form"             a field of a POST form is missing or wrong
//	"algorithm"        signed in a way that is not offered
//	"two credentials"  Invalid: more than one form of credentials at once
//	"date"             no date, or one that cannot be read
//	"scope"            the scope's date, region or service is not the request's
//	"signed headers"   host or an x-amz-* header is not signed; Detail HeadersNotSigned
//	"skew"             signed too long ago, or in the future
//	"expired request"  a presigned URL is over
//	"early request"    a presigned URL begins in the future
//	"signature"        the signature is another
//	"payload hash value"  Invalid (Unsupported for SigV4a): x-amz-content-sha256 is missing ("payload hash missing") or unknown
//
// and from reading a body:
//
//	"payload hash"     Invalid: the body is another than the one that was signed
//	"chunk signature"  a chunk or the trailer is not signed with this key
//	"chunk"            Invalid: framing cannot be read, or a chunk is too large
//	"chunk size"       Invalid: a signed chunk other than the last is too small
//	"length required"  Invalid: x-amz-decoded-content-length is missing or no number
//	"body length"      Invalid: the body is shorter or longer than announced
//	"trailer"          Invalid: a trailer is malformed, missing, or was not announced
package sigv4

import (
	"fmt"
	"log/slog"
	"time"
)

// A Form is where the credentials stand in a request.
type Form int

// Forms of credentials.
const (
	Header   Form = iota + 1 // Authorization: AWS4-HMAC-SHA256 ...
	Query                    // a presigned URL
	PostForm                 // the fields of S3's POST form
	QueryV2                  // a URL presigned with Signature V2 (S3 only)
	FormV2                   // a POST form signed with Signature V2 (S3 only)
)

// A Scope is what a signature is good for, such as 20150830/us-east-1/iam.
type Scope struct {
	Date, Region, Service string
}

// String returns the scope as it is signed.
func (s Scope) String() string {
	return s.Date + "/" + s.Region + "/" + s.Service + "/aws4_request"
}

// A Claim is what a request says about who signed it, and a copy of what was
// signed. Nothing of it is proven before Verify has returned nil.
type Claim struct {
	AccessKeyID string
	// Scope is zero for V2.
	Scope Scope
	// Token is the session token, "" when there is none.
	Token string
	Form  Form
	// SignedAt is zero for V2 and POST forms without a date.
	SignedAt time.Time
	// Expires is how long after SignedAt a presigned URL is good. 0 also when
	// it does not say; for V2 it is counted from the Unix epoch.
	Expires time.Duration
	// SignedHeaders are the names as the client listed them.
	SignedHeaders []string
	// PayloadHash is what the request says of its body, x-amz-content-sha256
	// in header or query; "" when it says nothing.
	PayloadHash string
	// TokenSigned tells, after Verify, whether the signature covers Token.
	TokenSigned bool

	s3        bool // read by S3's rules, told in S3's words
	signature string
	signed    signed
	hasExpiry bool
	proven    *proof
}

// String leaves token and signature out.
func (c Claim) String() string {
	return fmt.Sprintf("claim of %s (%s)", c.AccessKeyID, c.Scope)
}

// GoString is String: %#v must not print a secret either.
func (c Claim) GoString() string { return c.String() }

// LogValue is String, for log/slog.
func (c Claim) LogValue() slog.Value { return slog.StringValue(c.String()) }

// signed is what a signature may cover, taken from the request by Read.
type signed struct {
	method string
	path   string // as it was sent, up to the question mark
	query  []pair // without the signature
	date   string // as it is signed: 20150830T123600Z
	// terminator is the last part of the credential; Verify judges it.
	terminator string
	names      string // SignedHeaders as the client wrote them
	lines      string // their canonical lines
	// unsigned are the x-amz-* headers that are not in names.
	unsigned []string

	policy string // of a POST form, in base64, as it was sent
	v2     v2

	bodyHash string // what Body goes by; more than PayloadHash when it is stricter
	decoded  string // x-amz-decoded-content-length
	trailer  string // x-amz-trailer
}

// proof is what Verify leaves for Body.
type proof struct {
	s3   bool
	key  []byte // that chunks are signed with
	seed string // the signature that the first chunk's goes on from
}
