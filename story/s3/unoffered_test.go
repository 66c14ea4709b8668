package s3_test

import (
	"html"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"strait/api"
)

// TestUnoffered: an operation that is not offered says so, and is never taken
// for another one on the object or bucket itself: PutObjectAnnotation, newer
// than this server, must not overwrite the object, nor DeleteObjectAnnotation
// delete it. Nor may what comes after both.
func TestUnoffered(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	b := h.bucket(c, "unoffered")
	key, secret := h.keys()
	admin := aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}
	put(h, c, b, "k", "body")
	h.bucket(c, "unoffered-empty")
	ask := func(method, path string) (int, string) {
		t.Helper()
		bucket, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if bucket, query, ok := strings.Cut(bucket, "?"); ok {
			return h.as(admin, h.request(method, "/"+bucket, "?"+query, "<x/>"))
		}
		return h.as(admin, h.request(method, "/"+bucket, "/"+rest, "<x/>"))
	}
	refused, err := api.Refused()
	h.must(err)
	routes := []string{"PUT /{Bucket}/{Key+}?newest", "DELETE /{Bucket}/{Key+}?newest&versionId=null", "POST /{Bucket}/{Key+}?newest", "DELETE /{Bucket}?newest", "PUT /{Bucket}?newest=1"}
	why := make([]string, len(routes))
	for _, r := range refused {
		if r.Service == "s3" && r.Route != "" {
			routes, why = append(routes, r.Route), append(why, r.Why)
		}
	}
	if len(routes) < 50 {
		t.Fatalf("%d routes", len(routes))
	}
	for i, route := range routes {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{Key+}", "k", "{Bucket}", "unoffered").Replace(path)
		if method == "DELETE" && !strings.Contains(path, "/k?") {
			path = strings.Replace(path, "unoffered", "unoffered-empty", 1)
		}
		status, said := ask(method, path)
		if status != 501 && !(status == 405 && why[i] == "") || !strings.Contains(html.UnescapeString(said), why[i]) {
			t.Errorf("%s %s: %d %s, want 501 and %q", method, path, status, said, why[i])
		}
	}
	// Nor is a header passed over that would have it write otherwise.
	for _, c := range []struct{ bucket, path, header, value string }{
		{"/unoffered", "/k", "X-Amz-Write-Offset-Bytes", "4"},
		{"/unoffered-namespace", "", "X-Amz-Bucket-Namespace", "account-regional"},
	} {
		r := h.request("PUT", c.bucket, c.path, "")
		r.Header.Set(c.header, c.value)
		if status, said := h.as(admin, r); status != 501 {
			t.Errorf("PUT with %s: %d %s", c.header, status, said)
		}
	}
	// What S3 passes over does no harm.
	for _, query := range []string{"x-id=PutObject", "x-for-the-log=1", "X-Custom=1"} {
		if status, said := ask("PUT", "/unoffered/other?"+query); status != 200 {
			t.Errorf("PUT ?%s: %d %s", query, status, said)
		}
	}
	if status, said := ask("GET", "/unoffered/k?cache=7&v"); status != 200 {
		t.Errorf("GET with words of its own: %d %s", status, said)
	}
	if got := get(h, c, b, "k"); got != "body" {
		t.Errorf("the object is %q now", got)
	}
	if _, said := ask("GET", "/unoffered-empty?location"); !strings.Contains(said, "LocationConstraint") {
		t.Errorf("the bucket is gone: %s", said)
	}
}
