package http_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"strait/api"
	door "strait/door/http"
)

func s3Table() api.Service { return api.S3(api.S3Config{Region: "ap-northeast-1"}) }

// TestRows: what S3 clients send finds its row, with the query keys that mean
// another operation than the plain one.
func TestRows(t *testing.T) {
	s3 := s3Table()
	for _, c := range []struct{ method, path, query, want, bucket, key string }{
		{"GET", "/", "", "ListBuckets", "", ""},
		{"PUT", "/b", "", "CreateBucket", "b", ""},
		{"PUT", "/b/", "", "CreateBucket", "b", ""},
		{"GET", "/b", "list-type=2&prefix=", "ListObjectsV2", "b", ""},
		{"GET", "/b", "location", "GetBucketLocation", "b", ""},
		{"GET", "/b/", "uploads=", "ListMultipartUploads", "b", ""},
		{"PUT", "/b/k", "x-id=PutObject", "PutObject", "b", "k"},
		{"PUT", "/b/k", "partNumber=1&uploadId=u", "UploadPart", "b", "k"},
		{"POST", "/b/k", "uploads", "CreateMultipartUpload", "b", "k"},
		{"POST", "/b/k", "uploadId=u", "CompleteMultipartUpload", "b", "k"},
		{"DELETE", "/b/k", "uploadId=u", "AbortMultipartUpload", "b", "k"},
		{"GET", "/b/k", "uploadId=u", "ListParts", "b", "k"},
		{"POST", "/b", "delete", "DeleteObjects", "b", ""},
		{"POST", "/b", "", "PostObject", "b", ""},
		{"GET", "/b", "", "ListObjects", "b", ""},
		{"GET", "/b", "versions&prefix=", "ListObjectVersions", "b", ""},
		{"GET", "/b/k", "tagging", "GetObjectTagging", "b", "k"},
		{"PUT", "/b/a//b", "", "PutObject", "b", "a//b"},
		{"PUT", "/b/a/../b", "", "PutObject", "b", "a/../b"},
		{"PUT", "/b/.", "", "PutObject", "b", "."},
		{"PUT", "/b//k", "", "PutObject", "b", "/k"},
		{"PUT", "/b/k/", "", "PutObject", "b", "k/"},
		{"PUT", "/b/a%2Fb%20c", "", "PutObject", "b", "a/b c"},
		{"PUT", "/b/a+b", "", "PutObject", "b", "a+b"},
	} {
		name, vars, err := door.Match(&s3, c.method, c.path, c.query)
		if err != nil || name != c.want || vars["Bucket"] != c.bucket || vars["Key"] != c.key {
			t.Errorf("%s %s?%s: got %s %v, %v; want %s bucket %q key %q", c.method, c.path, c.query, name, vars, err, c.want, c.bucket, c.key)
		}
	}
}

// FuzzKey: the name that is authorized and stored is the raw path, split once at
// the first slash and decoded once, and nothing else.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"b/k", "b/a//b", "b/a/../b", "b/%2e%2e/x", "b/%", "b/a%00", "b//", "b/ä", "b/%2F"} {
		f.Add(s)
	}
	s3 := s3Table()
	f.Fuzz(func(t *testing.T, raw string) {
		if strings.ContainsAny(raw, "?#") {
			t.Skip()
		}
		_, vars, err := door.Match(&s3, "PUT", "/"+raw, "")
		if err != nil {
			return
		}
		b, k, _ := strings.Cut(raw, "/")
		bucket, err1 := url.PathUnescape(b)
		key, err2 := url.PathUnescape(k)
		if err1 != nil || err2 != nil {
			t.Fatalf("%q was matched although it cannot be decoded", raw)
		}
		if vars["Bucket"] != bucket || vars["Key"] != key {
			t.Fatalf("%q: got %q, want bucket %q, key %q", raw, vars, bucket, key)
		}
	})
}

// FuzzForm: a form never panics, and a list holds what was numbered from 1
// without a gap.
func FuzzForm(f *testing.F) {
	f.Add("RoleArn=x&Tags.member.1.Key=a&Tags.member.1.Value=b&DurationSeconds=900")
	f.Add("Tags.member.2.Key=a&PolicyArns.member.1.arn=z&DurationSeconds=99999999999999999999")
	f.Add("Tags.member.1=&Tags=&TransitiveTagKeys.member.1=k")
	f.Fuzz(func(t *testing.T, body string) {
		var in api.AssumeRoleInput
		if err := door.DecodeForm(body, &in); err != nil {
			return
		}
		form, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("%q was read although it is no form", body)
		}
		if got, want := string(in.RoleArn), form.Get("RoleArn"); got != want {
			t.Fatalf("RoleArn: got %q, want %q", got, want)
		}
		for i, k := range in.TransitiveTagKeys {
			if want := form.Get("TransitiveTagKeys.member." + itoa(i+1)); k != want {
				t.Fatalf("TransitiveTagKeys %d: got %q, want %q", i+1, k, want)
			}
		}
	})
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

// TestChoose: the service is chosen by scope, else by host, else by path.
func TestChoose(t *testing.T) {
	d := &door.Door{Hosts: []string{"localhost", "sts.ap-northeast-1.amazonaws.com", "s3.ap-northeast-1.amazonaws.com", "amazonaws.com"}}
	auth := func(service string) string {
		return "AWS4-HMAC-SHA256 Credential=AKIA/20260101/ap-northeast-1/" + service + "/aws4_request, SignedHeaders=host, Signature=00"
	}
	for _, c := range []struct{ method, url, host, auth, service, bucket string }{
		{"POST", "/", "localhost", auth("sts"), "sts", ""},
		{"POST", "/", "localhost", auth("iam"), "iam", ""},
		{"PUT", "/b/k", "localhost:8443", auth("s3"), "s3", ""},
		{"PUT", "/k", "b.localhost:8443", auth("s3"), "s3", "b"},
		{"PUT", "/k", "b.c.localhost", auth("s3"), "s3", "b.c"},
		{"PUT", "/k", "bucket.s3.ap-northeast-1.amazonaws.com", auth("s3"), "s3", "bucket"},
		{"PUT", "/b/k", "s3.ap-northeast-1.amazonaws.com", auth("s3"), "s3", ""},
		{"GET", "/things/x", "localhost", auth("execute-api"), "iot", ""},
		{"POST", "/topics/a", "localhost", auth("iotdata"), "iotdata", ""},
		{"GET", "/_strait/decisions", "localhost", auth("strait"), "strait", ""},
		{"GET", "/mqtt?X-Amz-Credential=a", "localhost", "", "/mqtt", ""},
		// Without a signature: by host, then by path.
		{"POST", "/", "sts.ap-northeast-1.amazonaws.com", "", "sts", ""},
		{"GET", "/k", "b.s3.ap-northeast-1.amazonaws.com", "", "s3", "b"},
		{"POST", "/topics/a", "data-ats.iot.ap-northeast-1.amazonaws.com", "", "iotdata", ""},
		{"GET", "/things", "iot.ap-northeast-1.amazonaws.com", "", "iot", ""},
		{"GET", "/b/k?X-Amz-Credential=AK%2F20260101%2Fap-northeast-1%2Fs3%2Faws4_request", "localhost", "", "s3", ""},
		{"GET", "/b/k?AWSAccessKeyId=AK&Signature=x&Expires=1", "localhost", "", "s3", ""},
		{"GET", "/2015-03-31/functions", "localhost", "", "lambda", ""},
		{"GET", "/b/k", "127.0.0.1:4566", "", "s3", ""},
	} {
		r := httptest.NewRequest(c.method, "http://"+c.host+c.url, nil)
		r.RequestURI, r.Host = c.url, c.host
		if c.auth != "" {
			r.Header.Set("Authorization", c.auth)
		}
		if service, bucket := door.Choose(d, r); service != c.service || bucket != c.bucket {
			t.Errorf("%s %s at %s: got %q bucket %q, want %q bucket %q", c.method, c.url, c.host, service, bucket, c.service, c.bucket)
		}
	}
}
