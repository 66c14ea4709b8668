package s3_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// TestConditionKeys: a bucket policy may ask how a request was signed, how old
// the signature is, which TLS it came by, and whether it makes an object.
func TestConditionKeys(t *testing.T) {
	h := raise(t)
	c := h.client(h.https)
	b := h.bucket(c, "keys")
	var statements []string
	deny := func(prefix, condition string) {
		statements = append(statements, `{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::keys/`+prefix+`/*","Condition":{`+condition+`}}`)
	}
	deny("header", `"StringNotEquals":{"s3:authType":"REST-HEADER"}`)
	deny("query", `"StringNotEquals":{"s3:authType":"REST-QUERY-STRING"}`)
	deny("v4", `"StringNotEquals":{"s3:signatureversion":"AWS4-HMAC-SHA256"}`)
	deny("v2", `"StringNotEquals":{"s3:signatureversion":"AWS"}`)
	deny("young", `"NumericGreaterThan":{"s3:signatureAge":"600000"}`)
	deny("unborn", `"NumericGreaterThanEquals":{"s3:signatureAge":"0"}`)
	deny("tls13", `"NumericLessThan":{"s3:TlsVersion":"1.3"}`)
	deny("tls", `"Null":{"s3:TlsVersion":"true"}`)
	deny("once", `"Null":{"s3:if-none-match":"true"},"Bool":{"s3:ObjectCreationOperation":"true"}`)
	deny("from", `"StringNotLike":{"aws:Referer":"https://example.com/*"}`)
	_, err := c.PutBucketPolicy(h.ctx, &s3.PutBucketPolicyInput{Bucket: &b, Policy: ptr(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`)})
	h.must(err)

	old := h.client(h.https, func(o *s3.Options) {
		transport := h.web.Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.MaxVersion = tls.VersionTLS12
		o.HTTPClient = &http.Client{Transport: transport}
	})
	signed := func(c *s3.Client, key string, also ...func(*s3.Options)) error {
		_, err := c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: &key, Body: strings.NewReader("x")}, also...)
		return err
	}
	may := func(want bool, what string, err error) {
		t.Helper()
		if want && err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if !want {
			refused(t, what, err, "AccessDenied", 403)
		}
	}
	for prefix, want := range map[string]bool{"header": true, "query": false, "v4": true, "v2": false, "young": true, "unborn": false, "tls13": true, "tls": true, "from": false} {
		may(want, "a header signs "+prefix, signed(c, prefix+"/a"))
	}
	may(false, "TLS 1.2", signed(old, "tls13/a"))
	may(true, "TLS 1.2", signed(old, "tls/a"))
	may(false, "no TLS", signed(h.client(h.http), "tls/a"))
	may(true, "no TLS has no version", signed(h.client(h.http), "tls13/a"))
	for prefix, want := range map[string]int{"header": 403, "query": 200, "v4": 200, "v2": 403, "young": 200, "unborn": 403} {
		up, err := s3.NewPresignClient(c).PresignPutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: ptr(prefix + "/b")})
		h.must(err)
		if status, body, _ := send(h, "PUT", up.URL, "", "x"); status != want {
			t.Errorf("a URL signs %s: %d %s, want %d", prefix, status, body, want)
		}
	}

	// A part is no object: the condition is asked for when one is made.
	may(false, "without If-None-Match", signed(c, "once/a"))
	_, err = c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: ptr("once/a"), Body: strings.NewReader("x"), IfNoneMatch: ptr("*")})
	h.must(err)
	up, err := c.CreateMultipartUpload(h.ctx, &s3.CreateMultipartUploadInput{Bucket: &b, Key: ptr("once/b")})
	h.must(err)
	part, err := c.UploadPart(h.ctx, &s3.UploadPartInput{Bucket: &b, Key: ptr("once/b"), UploadId: up.UploadId, PartNumber: ptr(int32(1)), Body: strings.NewReader("x")})
	h.must(err)
	complete := &s3.CompleteMultipartUploadInput{Bucket: &b, Key: ptr("once/b"), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: ptr(int32(1)), ETag: part.ETag}}}}
	_, err = c.CompleteMultipartUpload(h.ctx, complete)
	refused(t, "complete without If-None-Match", err, "AccessDenied", 403)
	complete.IfNoneMatch = ptr("*")
	_, err = c.CompleteMultipartUpload(h.ctx, complete)
	h.must(err)
}
