package sigv4

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"strait"
)

const timeFormat = "20060102T150405Z"

// unproven says why a claim does not hold, or cannot be read.
func unproven(thing, format string, args ...any) error {
	return strait.Errorf(strait.Unauthenticated, thing, format, args...)
}

func invalid(thing, format string, args ...any) error {
	return strait.Errorf(strait.Invalid, thing, format, args...)
}

// misused is for our own callers' mistakes; it fails closed.
func misused(format string, args ...any) error {
	return strait.Errorf(strait.Internal, "signature", "sigv4: "+format, args...)
}

// skewed is worded as S3 or as the others word it (sigv4.md section 6).
func (c *Claim) skewed(o Options) error {
	now, at := o.Now.UTC(), c.SignedAt
	if o.S3 {
		return &strait.Error{
			Kind: strait.Unauthenticated, Thing: "skew",
			Message: "The difference between the request time and the current time is too large.",
			Detail: map[string]string{
				"RequestTime": at.Format(timeFormat), "ServerTime": now.Format(time.RFC3339),
				"MaxAllowedSkewMilliseconds": strconv.FormatInt(o.skew().Milliseconds(), 10),
			},
		}
	}
	minutes := int(o.skew().Minutes())
	if at.Before(now) {
		return unproven("skew", "Signature expired: %s is now earlier than %s (%s - %d min.)",
			at.Format(timeFormat), now.Add(-o.skew()).Format(timeFormat), now.Format(timeFormat), minutes)
	}
	return unproven("skew", "Signature not yet current: %s is still later than %s (%s + %d min.)",
		at.Format(timeFormat), now.Add(o.skew()).Format(timeFormat), now.Format(timeFormat), minutes)
}

func expired(expires string, end, now time.Time) error {
	return &strait.Error{
		Kind: strait.Unauthenticated, Thing: "expired request", Message: "Request has expired.",
		Detail: map[string]string{
			"X-Amz-Expires": expires, "Expires": end.UTC().Format(time.RFC3339), "ServerTime": now.UTC().Format(time.RFC3339),
		},
	}
}

// mismatch is the error of a wrong signature. S3 tells what it has signed itself,
// session token included: it goes to whoever sent it.
func (c *Claim) mismatch(s3 bool, canonical, toSign string) error {
	if !s3 {
		return unproven("signature", "The request signature we calculated does not match the signature you provided. "+
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	detail := map[string]string{
		"AWSAccessKeyId": c.AccessKeyID, "SignatureProvided": c.signature,
		"StringToSign": toSign, "StringToSignBytes": hexBytes(toSign),
	}
	if canonical != "" {
		detail["CanonicalRequest"], detail["CanonicalRequestBytes"] = canonical, hexBytes(canonical)
	}
	return &strait.Error{
		Kind: strait.Unauthenticated, Thing: "signature", Detail: detail,
		Message: "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
	}
}

// hexBytes writes bytes as S3 does: "47 45 54".
func hexBytes(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(hex.EncodeToString([]byte{s[i]}))
	}
	return b.String()
}

func unsignedHeaders(names []string) error {
	return &strait.Error{
		Kind: strait.Unauthenticated, Thing: "signed headers",
		Message: "There were headers present in the request which were not signed",
		Detail:  map[string]string{"HeadersNotSigned": strings.Join(names, ", ")},
	}
}

func parameterMissing(name string) error {
	return unproven("query", "AWS query-string parameters must include '%s'. Re-examine the query-string parameters.", name)
}

func headerMissing(name string) error {
	return unproven("header", "Authorization header requires '%s' parameter.", name)
}

func repeated(what, name string) error {
	return unproven(what, "%s", fmt.Sprintf("'%s' is given more than once.", name))
}
