package sigv4_test

import (
	"errors"
	"strings"
	"testing"

	"strait"
	"strait/identity/sigv4"
)

// What clients of S3 are told of credentials that cannot be read.
func TestWordsOfS3(t *testing.T) {
	const (
		date   = "\nX-Amz-Date: 20130524T000000Z"
		scope  = "Credential=AKID/20130524/us-east-1/s3/aws4_request"
		rest   = ",SignedHeaders=host,Signature=s"
		url    = "GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID/20130524/r/s3/aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=s HTTP/1.1"
		header = "The authorization header is malformed; "
		query  = "Error parsing the X-Amz-Credential parameter; "
	)
	auth := func(text string) string { return "GET / HTTP/1.1\nAuthorization: " + text + date }
	for name, test := range map[string]struct{ head, thing, says string }{
		"no space":    {auth("nonsense"), "authorization", "Authorization header is invalid -- one and only one ' ' (space) required"},
		"bearer":      {auth("Bearer x"), "authorization", "Unsupported Authorization Type"},
		"V2":          {auth("AWS AKID:sig"), "algorithm", "Please use AWS4-HMAC-SHA256."},
		"two parts":   {auth("AWS4-HMAC-SHA256 " + scope + ",Signature=s"), "header", header + "the authorization header requires three components: Credential, SignedHeaders, and Signature."},
		"a bad part":  {auth("AWS4-HMAC-SHA256 " + scope + ",SignedHeaders,Signature=s"), "header", header + `the authorization component "SignedHeaders" is malformed.`},
		"twice":       {auth("AWS4-HMAC-SHA256 " + scope + "," + scope + ",Signature=s"), "header", "is malformed."},
		"empty part":  {auth("AWS4-HMAC-SHA256 " + scope + ",SignedHeaders=,Signature=s"), "header", header + "missing SignedHeaders."},
		"credential":  {auth("AWS4-HMAC-SHA256 Credential=AKID/x" + rest), "header", header + "the Credential is mal-formed;"},
		"terminator":  {auth("AWS4-HMAC-SHA256 Credential=AKID/20130524/r/s3/x" + rest), "scope", header + `incorrect terminal "x". This endpoint uses "aws4_request".`},
		"service":     {auth("AWS4-HMAC-SHA256 Credential=AKID/20130524/r/ec2/aws4_request" + rest), "scope", header + `incorrect service "ec2". This endpoint belongs to "s3".`},
		"day":         {auth("AWS4-HMAC-SHA256 Credential=AKID/x/r/s3/aws4_request" + rest), "scope", header + `incorrect date format "x".`},
		"another day": {auth("AWS4-HMAC-SHA256 Credential=AKID/20130525/r/s3/aws4_request" + rest), "scope", header + `Invalid credential date "20130525".`},
		"no date":     {"GET / HTTP/1.1\nAuthorization: AWS4-HMAC-SHA256 " + scope + rest, "date", "AWS authentication requires a valid Date or x-amz-date header."},
		"bad date":    {"GET / HTTP/1.1\nX-Amz-Date: 2013\nAuthorization: AWS4-HMAC-SHA256 " + scope + rest, "date", "AWS authentication requires a valid Date or x-amz-date header."},

		"query: missing":     {strings.Replace(url, "X-Amz-Date", "X", 1), "query", "Query-string authentication version 4 requires the X-Amz-Algorithm,"},
		"query: V4A":         {strings.Replace(url, "AWS4-HMAC", "AWS4-ECDSA-P256", 1), "query", `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`},
		"query: algorithm":   {strings.Replace(url, "AWS4-HMAC", "AWS4-X", 1), "query", `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and`},
		"query: date":        {strings.Replace(url, "T000000Z", "", 1), "query", "X-Amz-Date must be in the ISO8601 Long Format"},
		"query: another day": {strings.Replace(url, "20130524/r", "20130525/r", 1), "query", `Invalid credential date "20130525". This date is not the same as X-Amz-Date: "20130524".`},
		"query: service":     {strings.Replace(url, "/s3/", "/sts/", 1), "query", query + `incorrect service "sts".`},
		"query: credential":  {strings.Replace(url, "AKID/", "", 1), "query", query + "the Credential is mal-formed;"},
	} {
		c, err := sigv4.ReadS3(wire(t, test.head+"\nHost: h\n\n"))
		wantError(t, name, err, strait.Unauthenticated, test.thing)
		var e *strait.Error
		if c != nil || !errors.As(err, &e) || !strings.Contains(e.Message, test.says) {
			t.Errorf("%s: got %v, %v, want %q", name, c, err, test.says)
		}
	}
	if c, err := sigv4.ReadS3(wire(t, url+"\nHost: h\n\n")); c == nil || err != nil {
		t.Errorf("a good one: got %v, %v", c, err)
	}
}
