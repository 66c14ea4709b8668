package api_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"strait/api"
	"strait/object"
)

// FuzzCopySource: what is read names a valid object, and written back, escaped,
// it names the same.
func FuzzCopySource(f *testing.F) {
	for _, s := range []string{"bucket/k", "/bucket/a//b", "bucket/a%2Fb%20c", "bucket/../x?versionId=null", "bucket/k?versionId=1", "bucket/%", "/", "bucket/%3FversionId%3Dx", "bucket/a+b", "//k", "bucket/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		bucket, key, err := api.ParseCopySource(s)
		if err != nil {
			if bucket+key != "" {
				t.Fatalf("%q: failed and named %q %q", s, bucket, key)
			}
			return
		}
		if object.ValidBucket(bucket) != nil || object.ValidKey(key) != nil {
			t.Fatalf("%q named %q %q", s, bucket, key)
		}
		b, k, err := api.ParseCopySource("/" + bucket + "/" + url.PathEscape(key))
		if err != nil || b != bucket || k != key {
			t.Fatalf("%q: %q %q came back as %q %q, %v", s, bucket, key, b, k, err)
		}
	})
}

// FuzzRange: what is selected lies inside the object.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-", "bytes=-5", "bytes=5-4", "bytes=0-0,2-3", "bytes=-0", "bytes=9223372036854775807-", "bytes=0-9223372036854775807", "bytes= 1-2", "lines=1-2"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, s string, size int64) {
		if size < 0 {
			t.Skip()
		}
		if from, n, ok, err := api.ParseRange(s, size); ok && (err != nil || from < 0 || n < 1 || n > size || from > size-n) {
			t.Fatalf("%q of %d: %d bytes from %d, %v", s, size, n, from, err)
		}
		if from, n, err := api.ParseCopyRange(s, size); err == nil && (from < 0 || n < 0 || n > size || from > size-n) {
			t.Fatalf("copy %q of %d: %d bytes from %d", s, size, n, from)
		}
	})
}

// FuzzPostPolicy: a form that passes names no field that its policy does not.
func FuzzPostPolicy(f *testing.F) {
	for _, s := range []string{
		`{"expiration": "2100-01-01T00:00:00Z", "conditions": [{"bucket": "b"}, ["starts-with", "$key", ""], ["content-length-range", 1, 10]]}`,
		`{"expiration": "2100-01-01T00:00:00Z", "conditions": [["eq", "$key", "k"], ["eq", "$x", "v"]]}`,
		`{"expiration": "2000-01-01T00:00:00Z", "conditions": []}`, `{"conditions": null}`, `[]`, `{"expiration": "2100-01-01T00:00:00Z", "conditions": [null, {}, [[]]]}`,
	} {
		f.Add(s, "x", "v")
		f.Add(s, "q", "v") // a letter that is in none of them
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text, name, value string) {
		name = strings.ToLower(name)
		policy := base64.StdEncoding.EncodeToString([]byte(text))
		if api.CheckPost(policy, "b", map[string]string{"key": "k", name: value}, now) != nil || name == "key" {
			return
		}
		// Without a backslash, a name in the document is written as it is.
		known := strings.Contains(strings.ToLower(text), name) || strings.Contains(text, `\`) || strings.HasPrefix(name, "x-ignore-")
		for _, free := range []string{"policy", "x-amz-signature", "signature", "awsaccesskeyid", "file"} {
			known = known || name == free
		}
		if !known {
			t.Fatalf("%s let the field %q pass", text, name)
		}
	})
}
