package s3_test

import (
	"encoding/xml"
	"fmt"

	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// TestRefusals: what S3 says, byte for byte, of requests that are wrong. The
// golden file is testdata/refusals.txt (-update writes it).
func TestRefusals(t *testing.T) {
	h := raise(t)
	key, secret := h.keys()
	admin := aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}
	send := func(method, path, headers, body string) string {
		t.Helper()
		r := h.request(method, "/refusals", path, body)
		for line := range strings.Lines(headers) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if r.Header.Set(name, value); value == "-" {
				r.Header.Del(name)
			}
		}
		status, said := h.as(admin, r)
		var e struct {
			Code, Message, ArgumentName, ArgumentValue, Header string
		}
		if said == "" || xml.Unmarshal([]byte(said), &e) != nil || e.Code == "" {
			return fmt.Sprintf("%d %.60s", status, said)
		}
		out := fmt.Sprintf("%d %s: %s", status, e.Code, e.Message)
		for _, more := range []string{e.ArgumentName, e.ArgumentValue, e.Header} {
			if more != "" {
				out += " | " + more
			}
		}
		return out
	}
	if got := send("PUT", "", "", ""); got != "200 " {
		t.Fatal(got)
	}
	if got := send("PUT", "/k", "", "body"); got != "200 " {
		t.Fatal(got)
	}
	id := func(headers string) string {
		t.Helper()
		r := h.request("POST", "/refusals", "/u?uploads", "")
		for line := range strings.Lines(headers) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			r.Header.Set(name, value)
		}
		_, said := h.as(admin, r)
		_, rest, _ := strings.Cut(said, "<UploadId>")
		id, _, ok := strings.Cut(rest, "<")
		if !ok {
			t.Fatalf("create upload: %s", said)
		}
		return id
	}
	composite, full, plain := id("x-amz-checksum-algorithm: SHA256"), id("x-amz-checksum-algorithm: CRC32\nx-amz-checksum-type: FULL_OBJECT"), id("")
	names := strings.NewReplacer("COMPOSITE", composite, "FULL", full, "PLAIN", plain)
	const crc = "26gLsg==" // of "body"
	etag := "841a2d689ad86bd1611447453c22c6fc"
	part := func(more string) string {
		return "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + etag + "</ETag>" + more + "</Part></CompleteMultipartUpload>"
	}
	var out strings.Builder
	for _, c := range []struct{ method, path, headers, body string }{
		{"PUT", "/k", "Content-MD5: x", "body"},
		{"PUT", "/k", "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==", "body"},
		{"PUT", "/k", "x-amz-checksum-crc32: AAAAAA==", "body"},
		{"PUT", "/k", "x-amz-checksum-crc32: ?", "body"},
		{"PUT", "/k", "x-amz-checksum-crc33: AAAAAA==", "body"},
		{"PUT", "/k", "x-amz-checksum-crc32: AAAAAA==\nx-amz-checksum-sha1: x", "body"},
		{"PUT", "/k", "x-amz-sdk-checksum-algorithm: CRC32", "body"},
		{"PUT", "/k", "x-amz-sdk-checksum-algorithm: CRC33", "body"},
		{"PUT", "/k", "If-None-Match: *", "body"},
		{"PUT", "/k", "If-None-Match: x", "body"},
		{"PUT", "/k", "If-Match: x\nIf-None-Match: *", "body"},
		{"PUT", "/k", "If-Match: x", "body"},
		{"PUT", "/none", "If-Match: x", "body"},
		{"PUT", "/" + strings.Repeat("k", 1025), "", ""},
		{"PUT", "/k", "x-amz-meta-a: " + strings.Repeat("m", 2048), ""},
		{"PUT", "/k", "x-amz-tagging: a=1&a=2", ""},
		{"PUT", "/k", "x-amz-tagging: a!=1", ""},
		{"PUT", "/k", "x-amz-tagging: a=" + strings.Repeat("v", 257), ""},
		{"PUT", "/k", "x-amz-tagging: a&b&c&d&e&f&g&h&i&j&k", ""},
		{"PUT", "/k?partNumber=0&uploadId=x", "", ""},
		{"PUT", "/k?partNumber=x&uploadId=x", "", ""},
		{"PUT", "/k?partNumber=1&uploadId=x", "", ""},
		{"PUT", "/u?partNumber=1&uploadId=COMPOSITE", "", "body"},
		{"PUT", "/u?partNumber=1&uploadId=COMPOSITE", "x-amz-checksum-crc32: " + crc, "body"},
		{"PUT", "/u?partNumber=1&uploadId=COMPOSITE", "x-amz-checksum-sha256: Iw2DWNyOiJC0xY3utikS7i8gNXrpKlzIYbmOaP4xrLU=", "body"},
		{"PUT", "/u?partNumber=1&uploadId=FULL", "", "body"},
		{"PUT", "/u?partNumber=1&uploadId=PLAIN", "", "body"},
		{"POST", "/u?uploads", "x-amz-checksum-algorithm: CRC33", ""},
		{"POST", "/u?uploads", "x-amz-checksum-algorithm: SHA1\nx-amz-checksum-type: FULL_OBJECT", ""},
		{"POST", "/u?uploads", "x-amz-checksum-type: COMPOSITE", ""},
		{"POST", "/u?uploadId=PLAIN", "", ""},
		{"POST", "/u?uploadId=PLAIN", "", "<CompleteMultipartUpload/>"},
		{"POST", "/u?uploadId=PLAIN", "", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>"},
		{"POST", "/u?uploadId=PLAIN", "", "<CompleteMultipartUpload><Part><PartNumber>0</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"},
		{"POST", "/u?uploadId=PLAIN", "", "<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>x</ETag></Part><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"},
		{"POST", "/u?uploadId=PLAIN", "", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"},
		{"POST", "/u?uploadId=PLAIN", "x-amz-mp-object-size: -1", part("")},
		{"POST", "/u?uploadId=PLAIN", "x-amz-mp-object-size: 5", part("")},
		{"POST", "/u?uploadId=PLAIN", "x-amz-checksum-type: COMPOSITE", part("")},
		{"POST", "/u?uploadId=COMPOSITE", "", part("")},
		{"POST", "/u?uploadId=FULL", "", part("<ChecksumCRC32>?</ChecksumCRC32>")},
		{"POST", "/u?uploadId=FULL", "", part("<ChecksumCRC32>AAAAAA==</ChecksumCRC32>")},
		{"POST", "/u?uploadId=FULL", "", part("<ChecksumCRC32C>AAAAAA==</ChecksumCRC32C>")},
		{"POST", "/u?uploadId=FULL", "x-amz-checksum-type: COMPOSITE", part("")},
		{"POST", "/u?uploadId=FULL", "x-amz-checksum-type: x", part("")},
		{"POST", "/u?uploadId=FULL", "x-amz-checksum-crc32: AAAAAA==", part("")},
		{"POST", "/u?uploadId=FULL", "x-amz-checksum-crc32: AAAAAA==-x", part("")},
		{"PUT", "/c", "x-amz-copy-source: %zz", ""},
		{"PUT", "/c", "x-amz-copy-source: refusals", ""},
		{"PUT", "/c", "x-amz-copy-source: RE/k", ""},
		{"PUT", "/c", "x-amz-copy-source: refusals/", ""},
		{"PUT", "/c", "x-amz-copy-source: refusals/k?versionId=x", ""},
		{"PUT", "/c", "x-amz-copy-source: refusals/k\nx-amz-metadata-directive: x", ""},
		{"PUT", "/k", "x-amz-copy-source: refusals/k", ""},
		{"PUT", "/u?partNumber=2&uploadId=FULL", "x-amz-copy-source: refusals/k\nx-amz-copy-source-range: bytes=1-", ""},
		{"PUT", "/u?partNumber=2&uploadId=FULL", "x-amz-copy-source: refusals/k\nx-amz-copy-source-range: bytes=0-4", ""},
		{"GET", "/k", "Range: bytes=4-", ""},
		{"GET", "/k?partNumber=2", "", ""},
		{"GET", "/k?partNumber=1", "Range: bytes=0-1", ""},
		{"GET", "/k?attributes", "x-amz-object-attributes: x", ""},
		{"GET", "?max-keys=-1", "", ""},
		{"GET", "?list-type=2&max-keys=x", "", ""},
		{"GET", "?list-type=2&continuation-token=?", "", ""},
		{"GET", "?encoding-type=x", "", ""},
		{"GET", "?uploads&max-uploads=-1", "", ""},
		{"POST", "?delete", "Content-MD5: -", "<Delete/>"},
		{"POST", "?delete", "", "<Delete/>"},
		{"POST", "?delete", "", "<Delete>" + strings.Repeat("<Object><Key>a</Key></Object>", 1001) + "</Delete>"},
		{"POST", "?delete", "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==", "<Delete/>"},
		{"PUT", "?tagging", "x-amz-checksum-crc32: AAAAAA==", tagBody},
	} {
		path := c.path
		if len(path) > 100 {
			path = path[:20] + "..."
		}
		headers, body := strings.ReplaceAll(c.headers, "\n", ", "), c.body
		if len(headers) > 120 {
			headers = headers[:60] + "..."
		}
		if len(body) > 160 {
			body = body[:60] + "..."
		}
		fmt.Fprintf(&out, "%s %s {%s} %s\n    %s\n", c.method, path, headers, body, send(c.method, names.Replace(c.path), c.headers, c.body))
	}
	text := strings.NewReplacer(composite, "COMPOSITE", full, "FULL", plain, "PLAIN").Replace(out.String())
	const golden = "testdata/refusals.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, expect := strings.Split(text, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(expect)) {
		if i >= len(got) || i >= len(expect) || got[i] != expect[i] {
			t.Fatalf("line %d of %s differs: got\n%s", i+1, golden, strings.Join(got[min(max(i-1, 0), len(got)):min(i+2, len(got))], "\n"))
		}
	}
}
