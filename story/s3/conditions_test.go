package s3_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"strait/server"
)

// TestConditionalDelete: an object goes only as the one that was meant, alone
// and among many; one who may not read it may not ask for its ETag so.
func TestConditionalDelete(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	b := h.bucket(c, "deletes")
	del := func(key, etag string) error {
		_, err := c.DeleteObject(h.ctx, &s3.DeleteObjectInput{Bucket: &b, Key: &key, IfMatch: &etag})
		return err
	}
	put(h, c, b, "k", "x")
	const etag = `"9dd4e461268c8034f5c8564e155c67a6"`
	refused(t, "another ETag", del("k", `"0"`), "PreconditionFailed", 412)
	refused(t, "the ETag of nothing", del("none", etag), "NoSuchKey", 404)
	refused(t, "any of nothing", del("none", "*"), "PreconditionFailed", 412)
	_, err := c.DeleteObject(h.ctx, &s3.DeleteObjectInput{Bucket: &b, Key: ptr("k"), IfMatchSize: ptr(int64(1))})
	refused(t, "a size", err, "NotImplemented", 501)
	if got := get(h, c, b, "k"); got != "x" {
		t.Errorf("a refused delete left %q", got)
	}
	h.must(del("k", etag))
	put(h, c, b, "k", "x")
	put(h, c, b, "l", "x")
	out, err := c.DeleteObjects(h.ctx, &s3.DeleteObjectsInput{Bucket: &b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{
		{Key: ptr("k"), ETag: ptr(`"0"`)}, {Key: ptr("l"), ETag: ptr(etag)}, {Key: ptr("none")}}}})
	h.must(err)
	if len(out.Deleted) != 2 || len(out.Errors) != 1 || *out.Errors[0].Key != "k" || *out.Errors[0].Code != "PreconditionFailed" {
		t.Errorf("deleted %+v, errors %+v", out.Deleted, out.Errors)
	}
	_, err = c.PutBucketPolicy(h.ctx, &s3.PutBucketPolicyInput{Bucket: &b, Policy: ptr(`{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::deletes/*"}]}`)})
	h.must(err)
	refused(t, "an ETag that may not be read", del("k", etag), "AccessDenied", 403)
	h.must(del("k", "*"))
}

// TestRequestKeys: what policies say of a request is really looked at: a Deny
// whose key nobody supplied would be none.
func TestRequestKeys(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	b := h.bucket(c, "keys")
	put(h, c, b, "k", "x")
	_, err := c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: ptr("secret"), Body: strings.NewReader("x"), Tagging: ptr("level=high")})
	h.must(err)
	read := func(key string) error {
		out, err := c.GetObject(h.ctx, &s3.GetObjectInput{Bucket: &b, Key: &key})
		if err == nil {
			out.Body.Close()
		}
		return err
	}
	write := func() error {
		_, err := c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: ptr("new"), Body: strings.NewReader("x")})
		return err
	}
	presigned := func(referer string) int {
		u, err := s3.NewPresignClient(c).PresignGetObject(h.ctx, &s3.GetObjectInput{Bucket: &b, Key: ptr("k")})
		h.must(err)
		r, err := http.NewRequestWithContext(h.ctx, "GET", u.URL, nil)
		h.must(err)
		r.Header.Set("Referer", referer)
		resp, err := h.web.Do(r)
		h.must(err)
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		h.must(err)
		return resp.StatusCode
	}
	deny := func(action, condition string) {
		t.Helper()
		_, err := c.PutBucketPolicy(h.ctx, &s3.PutBucketPolicyInput{Bucket: &b, Policy: ptr(`{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*",
			"Action": "` + action + `", "Resource": "arn:aws:s3:::keys/*", "Condition": {` + condition + `}}]}`)})
		h.must(err)
	}
	deny("s3:GetObject*", `"StringEquals": {"s3:ExistingObjectTag/level": "high"}`)
	refused(t, "a secret object", read("secret"), "AccessDenied", 403)
	h.must(read("k"))
	_, err = c.GetObjectTagging(h.ctx, &s3.GetObjectTaggingInput{Bucket: &b, Key: ptr("secret")})
	refused(t, "a secret object's tags", err, "AccessDenied", 403)
	_, err = c.CopyObject(h.ctx, &s3.CopyObjectInput{Bucket: &b, Key: ptr("copy"), CopySource: ptr("keys/secret")})
	refused(t, "a copy of a secret object", err, "AccessDenied", 403)
	deny("s3:GetObject", `"StringEquals": {"s3:authType": "REST-QUERY-STRING"}`)
	h.must(read("k"))
	if got := presigned(""); got != 403 {
		t.Errorf("a presigned URL: %d, want 403", got)
	}
	deny("s3:GetObject", `"NumericGreaterThanEquals": {"s3:signatureAge": "1000000"}`)
	if got := presigned(""); got != 200 {
		t.Errorf("a young signature: %d, want 200", got)
	}
	deny("s3:GetObject", `"NumericLessThan": {"s3:signatureAge": "1000000"}`)
	refused(t, "a young signature", read("k"), "AccessDenied", 403)
	deny("s3:GetObject", `"StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}`)
	refused(t, "a V4 signature", read("k"), "AccessDenied", 403)
	deny("s3:GetObject", `"StringLike": {"aws:Referer": "http://evil.example/*"}`)
	h.must(read("k"))
	if got := presigned("http://evil.example/x"); got != 403 {
		t.Errorf("an evil page's reader: %d, want 403", got)
	}
	deny("s3:PutObject", `"Bool": {"s3:ObjectCreationOperation": "true"}, "Null": {"s3:if-none-match": "true"}`)
	refused(t, "an unconditional write", write(), "AccessDenied", 403)
	u, err := c.CreateMultipartUpload(h.ctx, &s3.CreateMultipartUploadInput{Bucket: &b, Key: ptr("new")})
	h.must(err)
	p, err := c.UploadPart(h.ctx, &s3.UploadPartInput{Bucket: &b, Key: ptr("new"), UploadId: u.UploadId, PartNumber: ptr(int32(1)), Body: strings.NewReader("x")})
	h.must(err)
	done := &s3.CompleteMultipartUploadInput{Bucket: &b, Key: ptr("new"), UploadId: u.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: ptr(int32(1)), ETag: p.ETag}}}}
	_, err = c.CompleteMultipartUpload(h.ctx, done)
	refused(t, "an unconditional completion", err, "AccessDenied", 403)
	done.IfNoneMatch = ptr("*")
	_, err = c.CompleteMultipartUpload(h.ctx, done)
	h.must(err)
	secure := h.client(h.https)
	deny("s3:PutObject", `"NumericLessThan": {"s3:TlsVersion": "1.4"}`)
	h.must(write()) // not over TLS at all
	_, err = secure.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: ptr("new"), Body: strings.NewReader("x")})
	refused(t, "an old TLS", err, "AccessDenied", 403)
}

// TestNotModified: who has the object already is told so without it, and with
// what a cache brings its copy up to date by; the connection goes on.
func TestNotModified(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	b := h.bucket(c, "cached")
	made, err := c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: ptr("k"), Body: strings.NewReader("x"), CacheControl: ptr("max-age=60")})
	h.must(err)
	head, err := c.HeadObject(h.ctx, &s3.HeadObjectInput{Bucket: &b, Key: ptr("k")})
	h.must(err)
	modified := head.LastModified.UTC().Format(http.TimeFormat)
	for _, want := range []struct {
		header, value string
		status        int
	}{
		{"If-None-Match", *made.ETag, 304},
		{"If-None-Match", `"0", W/` + *made.ETag, 304},
		{"If-None-Match", "*", 304},
		{"If-Modified-Since", modified, 304},
		{"If-None-Match", `"0"`, 200},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			presign := s3.NewPresignClient(c)
			u, err := presign.PresignGetObject(h.ctx, &s3.GetObjectInput{Bucket: &b, Key: ptr("k")})
			if method == "HEAD" {
				u, err = presign.PresignHeadObject(h.ctx, &s3.HeadObjectInput{Bucket: &b, Key: ptr("k")})
			}
			h.must(err)
			r, err := http.NewRequestWithContext(h.ctx, method, u.URL, nil)
			h.must(err)
			r.Header.Set(want.header, want.value)
			resp, err := h.web.Do(r)
			h.must(err)
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			h.must(err)
			got := resp.Header
			if resp.StatusCode != want.status || got.Get("ETag") != *made.ETag || got.Get("Last-Modified") != modified || got.Get("Cache-Control") != "max-age=60" {
				t.Errorf("%s with %s: %s: %d %v", method, want.header, want.value, resp.StatusCode, got)
			}
			if sent := want.status == 200 && method == "GET"; (string(body) == "x") != sent || !sent && len(body) > 0 {
				t.Errorf("%s with %s: %s: the body %q", method, want.header, want.value, body)
			}
		}
	}
	_, err = c.CopyObject(h.ctx, &s3.CopyObjectInput{Bucket: &b, Key: ptr("l"), CopySource: ptr("cached/k"), CopySourceIfModifiedSince: head.LastModified})
	refused(t, "a copy of what has not changed", err, "PreconditionFailed", 412)
}

// TestErrorsName: an error names what is missing, or the condition that did not
// hold, as clients read it from S3's.
func TestErrorsName(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	b := h.bucket(c, "named")
	put(h, c, b, "k", "x")
	key, secret := h.keys()
	admin := aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}
	for _, x := range []struct{ method, path, header, value, want string }{
		{"GET", "/a%20b//c", "", "", "<Key>a b//c</Key>"},
		{"GET", "?policy", "", "", "<BucketName>named</BucketName>"},
		{"GET", "?tagging", "", "", "<BucketName>named</BucketName>"},
		{"GET", "?lifecycle", "", "", "<BucketName>named</BucketName>"},
		{"PUT", "/k", "If-None-Match", "*", "<Condition>If-None-Match</Condition>"},
		{"PUT", "/k", "If-Match", `"0"`, "<Condition>If-Match</Condition>"},
		{"DELETE", "/k", "If-Match", `"0"`, "<Condition>If-Match</Condition>"},
		{"GET", "/k", "If-Match", `"0"`, "<Condition>If-Match</Condition>"},
		{"GET", "/k", "If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT", "<Condition>If-Unmodified-Since</Condition>"},
	} {
		r := h.request(x.method, "/named", x.path, "")
		if x.header != "" {
			r.Header.Set(x.header, x.value)
		}
		if _, said := h.as(admin, r); strings.Count(said, x.want) != 1 {
			t.Errorf("%s %s: %s, want %s", x.method, x.path, said, x.want)
		}
	}
	if _, said := h.as(admin, h.request("GET", "/none", "", "")); !strings.Contains(said, "<BucketName>none</BucketName>") {
		t.Errorf("a bucket that is not there: %s", said)
	}
	// The source of a copy is not the key that was asked with.
	r := h.request("PUT", "/named", "/copy", "")
	r.Header.Set("X-Amz-Copy-Source", "/named/none")
	if _, said := h.as(admin, r); !strings.Contains(said, "NoSuchKey") || strings.Contains(said, "<Key>copy</Key>") {
		t.Errorf("a copy of nothing: %s", said)
	}
}

// TestExpectedOwner: a client that means another account's bucket gets nothing
// of this one.
func TestExpectedOwner(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	b := h.bucket(c, "owned")
	put(h, c, b, "k", "x")
	other, own := ptr("999999999999"), &h.ready.Account
	_, err := c.GetObject(h.ctx, &s3.GetObjectInput{Bucket: &b, Key: ptr("k"), ExpectedBucketOwner: other})
	refused(t, "get", err, "AccessDenied", 403)
	_, err = c.DeleteBucket(h.ctx, &s3.DeleteBucketInput{Bucket: &b, ExpectedBucketOwner: other})
	refused(t, "delete", err, "AccessDenied", 403)
	_, err = c.CopyObject(h.ctx, &s3.CopyObjectInput{Bucket: &b, Key: ptr("l"), CopySource: ptr("owned/k"), ExpectedSourceBucketOwner: other})
	refused(t, "copy", err, "AccessDenied", 403)
	_, err = c.CopyObject(h.ctx, &s3.CopyObjectInput{Bucket: &b, Key: ptr("l"), CopySource: ptr("owned/k"), ExpectedBucketOwner: own, ExpectedSourceBucketOwner: own})
	h.must(err)
}

// TestEncryption: nobody is told that an object is encrypted when it is not; an
// operator may say that the disk is.
func TestEncryption(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		h := raiseWith(t, server.Config{Data: t.TempDir(), EncryptedDisk: encrypted})
		c := h.client(h.http)
		b := h.bucket(c, "sealed")
		out, err := c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: ptr("k"), Body: strings.NewReader("x"), ServerSideEncryption: types.ServerSideEncryptionAes256})
		up, err2 := c.CreateMultipartUpload(h.ctx, &s3.CreateMultipartUploadInput{Bucket: &b, Key: ptr("u"), ServerSideEncryption: types.ServerSideEncryptionAes256})
		cfg, err3 := c.GetBucketEncryption(h.ctx, &s3.GetBucketEncryptionInput{Bucket: &b})
		if !encrypted {
			refused(t, "AES256", err, "NotImplemented", 501)
			refused(t, "an upload with AES256", err2, "NotImplemented", 501)
			refused(t, "the configuration", err3, "ServerSideEncryptionConfigurationNotFoundError", 404)
			put(h, c, b, "k", "x")
		} else {
			h.must(err)
			h.must(err2)
			h.must(err3)
			if out.ServerSideEncryption != "AES256" || up.ServerSideEncryption != "AES256" || cfg.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm != "AES256" {
				t.Errorf("told: %q %q %+v", out.ServerSideEncryption, up.ServerSideEncryption, cfg.ServerSideEncryptionConfiguration)
			}
		}
		head, err := c.HeadObject(h.ctx, &s3.HeadObjectInput{Bucket: &b, Key: ptr("k")})
		h.must(err)
		if (head.ServerSideEncryption == "AES256") != encrypted {
			t.Errorf("HeadObject tells %q", head.ServerSideEncryption)
		}
		_, err = c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: ptr("k"), Body: strings.NewReader("x"), ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: ptr("key")})
		refused(t, "KMS", err, "NotImplemented", 501)
		key := strings.Repeat("k", 32)
		_, err = h.client(h.https).PutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: ptr("k"), Body: strings.NewReader("x"), SSECustomerAlgorithm: ptr("AES256"), SSECustomerKey: &key})
		refused(t, "the customer's key", err, "NotImplemented", 501)
		_, err = h.client(h.https).GetObject(h.ctx, &s3.GetObjectInput{Bucket: &b, Key: ptr("k"), SSECustomerAlgorithm: ptr("AES256"), SSECustomerKey: &key})
		refused(t, "reading with the customer's key", err, "InvalidRequest", 400)
		h.leave()
	}
}
