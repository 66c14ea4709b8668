package sigv4_test

import (
	"strings"
	"testing"
	"time"

	"strait"
	"strait/identity/sigv4"
)

// Made by boto3 1.43.11 as it is: V2 is its default for presigning in us-east-1.
func TestV2(t *testing.T) {
	signedAt := time.Unix(1700000000, 0)
	for name, test := range map[string]struct{ text, bucket string }{
		"get":                {"GET /bucket/a%20b/%C3%BC%2Bc?response-content-type=text%2Fplain%3B%20x%3Dy&AWSAccessKeyId=ASIA2222222222222222&Signature=Aog%2BGAGL8VA7v52ySoRUohZKPfc%3D&Expires=1700003600 HTTP/1.1\nHost: s3.example.com:4566\n", ""},
		"put with headers":   {"PUT /bucket/k?AWSAccessKeyId=ASIA2222222222222222&Signature=IUUcAQUpKONNl%2BRcF%2BoI5%2BnMScU%3D&content-type=text%2Fplain&x-amz-acl=private&x-amz-meta-m=v%20w&Expires=1700003600 HTTP/1.1\nHost: s3.example.com:4566\nContent-Type: text/plain\n", ""},
		"part":               {"PUT /bucket/k?partNumber=2&uploadId=u%2B%2F%3D&AWSAccessKeyId=ASIA2222222222222222&Signature=04cojd6TypWGmoyRLI90fuXeTuY%3D&Expires=1700003600 HTTP/1.1\nHost: s3.example.com:4566\n", ""},
		"create":             {"POST /bucket/k?uploads&AWSAccessKeyId=ASIA2222222222222222&Signature=OWaDhsp3f0tMindAH%2BGcWGi1b4E%3D&Expires=1700003600 HTTP/1.1\nHost: s3.example.com:4566\n", ""},
		"list, path style":   {"GET /bucket?list-type=2&prefix=p%2F&encoding-type=url&AWSAccessKeyId=ASIA2222222222222222&Signature=YYcnqA5G0YX6MlWKoOcxF2CPXyg%3D&Expires=1700003600 HTTP/1.1\nHost: s3.example.com:4566\n", ""},
		"list, virtual host": {"GET /?list-type=2&prefix=p%2F&encoding-type=url&AWSAccessKeyId=ASIA2222222222222222&Signature=YYcnqA5G0YX6MlWKoOcxF2CPXyg%3D&Expires=1700003600 HTTP/1.1\nHost: bucket.s3.example.com:4566\n", "bucket"},
		"put, virtual host":  {"PUT /k?AWSAccessKeyId=ASIA2222222222222222&Signature=IUUcAQUpKONNl%2BRcF%2BoI5%2BnMScU%3D&content-type=text%2Fplain&x-amz-acl=private&x-amz-meta-m=v%20w&Expires=1700003600 HTTP/1.1\nHost: bucket.s3.example.com:4566\nContent-Type: text/plain\n", "bucket"},
		"put with token":     {"PUT /bucket/k?AWSAccessKeyId=ASIA2222222222222222&Signature=VFy%2BqVt0QyGte8U7FJFUKQX7jDw%3D&content-type=text%2Fplain&x-amz-acl=private&x-amz-meta-m=v%20w&x-amz-security-token=to%2Bken%2Fwith%3Dall&Expires=1700003600 HTTP/1.1\nHost: s3.example.com:4566\nContent-Type: text/plain\n", ""},
		"part with token":    {"PUT /bucket/k?partNumber=2&uploadId=u%2B%2F%3D&AWSAccessKeyId=ASIA2222222222222222&Signature=fe%2FY72dnjt2J%2Frj3M2zQFWMlvno%3D&x-amz-security-token=to%2Bken%2Fwith%3Dall&Expires=1700003600 HTTP/1.1\nHost: s3.example.com:4566\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			verify := func(text string, after time.Duration) error {
				c, err := sigv4.Read(wire(t, text+"\n"))
				if err != nil {
					return err
				}
				o := s3Options(signedAt.Add(after))
				o.Bucket = test.bucket
				return c.Verify(exampleSecret, o)
			}
			if err := verify(test.text, 0); err != nil {
				t.Fatalf("Verify: %v", err)
			}
			wantError(t, "over", verify(test.text, 3601*time.Second), strait.Unauthenticated, "expired request")
			for what, change := range map[string][2]string{
				"longer":        {"Expires=1700003600", "Expires=1700003601"},
				"another key":   {"?", "x?"},
				"method":        {test.text[:strings.Index(test.text, " ")], "DELETE"},
				"part":          {"?", "?partNumber=3&"},
				"header":        {"\nHost", "\nx-amz-acl: public-read\nHost"},
				"parameter":     {"?", "?x-amz-storage-class=GLACIER&"},
				"another token": {"?", "?x-amz-security-token=x&"},
				"line break":    {"?", "?x-amz-meta-a=b%0Ax-amz-meta-c:d&"},
			} {
				if err := verify(strings.Replace(test.text, change[0], change[1], 1), 0); strait.KindOf(err) != strait.Unauthenticated {
					t.Errorf("%s: got %v, want a refusal", what, err)
				}
			}
		})
	}
}

func TestV2Form(t *testing.T) {
	fields := map[string]string{
		"key":                  "k",
		"awsaccesskeyid":       "ASIA2222222222222222",
		"x-amz-security-token": "to+ken/with=all",
		"policy":               "eyJleHBpcmF0aW9uIjogIjIwMjYtMTEtMjFUMjI6MTY6MzBaIiwgImNvbmRpdGlvbnMiOiBbeyJidWNrZXQiOiAiYnVja2V0In0sIHsia2V5IjogImsifSwgeyJ4LWFtei1zZWN1cml0eS10b2tlbiI6ICJ0bytrZW4vd2l0aD1hbGwifV19",
		"signature":            "4C5b+2diCkQHgxJoas54QA1RKEM=",
	}
	c, err := sigv4.ReadForm(fields)
	if err != nil || c.Token != "to+ken/with=all" {
		t.Fatalf("ReadForm: %v", err)
	}
	if err := c.Verify(exampleSecret, s3Options(time.Now())); err != nil {
		t.Fatalf("Verify: %v", err)
	}
	fields["policy"] += "A"
	c, err = sigv4.ReadForm(fields)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, "other policy", c.Verify(exampleSecret, s3Options(time.Now())), strait.Unauthenticated, "signature")
}

// V2 is S3's alone.
func TestV2ElsewhereRefused(t *testing.T) {
	c := read(t, wire(t, "GET /?AWSAccessKeyId=AKID&Signature=x&Expires=1700003600 HTTP/1.1\nHost: h\n\n"))
	err := c.Verify(exampleSecret, sigv4.Options{Now: time.Unix(1700000000, 0), Services: []string{"sts"}, PayloadHash: sigv4.EmptyPayload})
	wantError(t, "V2 for sts", err, strait.Unauthenticated, "algorithm")
}
