package sigv4_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"strait"
	"strait/identity/sigv4"
)

// The examples of the S3 API reference (sig-v4-header-based-auth,
// sigv4-query-string-auth).
func TestS3Examples(t *testing.T) {
	const auth = "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
	for name, text := range map[string]string{
		"get": "GET /test.txt HTTP/1.1\nHost: examplebucket.s3.amazonaws.com\nRange: bytes=0-9\nx-amz-content-sha256: " + sigv4.EmptyPayload +
			"\nx-amz-date: 20130524T000000Z\n" + auth + "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41\n\n",
		"put": "PUT /test$file.text HTTP/1.1\nHost: examplebucket.s3.amazonaws.com\nDate: Fri, 24 May 2013 00:00:00 GMT\nx-amz-date: 20130524T000000Z\nx-amz-storage-class: REDUCED_REDUNDANCY\n" +
			"x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072\nContent-Length: 21\n" + auth +
			"SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd\n\nWelcome to Amazon S3.",
		"lifecycle": "GET /?lifecycle HTTP/1.1\nHost: examplebucket.s3.amazonaws.com\nx-amz-date: 20130524T000000Z\nx-amz-content-sha256: " + sigv4.EmptyPayload + "\n" + auth +
			"SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543\n\n",
		"list": "GET /?max-keys=2&prefix=J HTTP/1.1\nHost: examplebucket.s3.amazonaws.com\nx-amz-date: 20130524T000000Z\nx-amz-content-sha256: " + sigv4.EmptyPayload + "\n" + auth +
			"SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7\n\n",
		"presigned": "GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400" +
			"&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 HTTP/1.1\nHost: examplebucket.s3.amazonaws.com\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := wire(t, text)
			c := read(t, r)
			if err := c.Verify(exampleSecret, s3Options(exampleTime)); err != nil {
				t.Fatalf("Verify: %v", err)
			}
			b, err := c.Body(r.Body)
			if err != nil {
				t.Fatalf("Body: %v", err)
			}
			if got, err := io.ReadAll(b); err != nil || (name == "put") != (string(got) == "Welcome to Amazon S3.") {
				t.Fatalf("ReadAll: got %q, %v", got, err)
			}
		})
	}
}

// The 66,560 bytes of examplebucket/chunkObject.txt (sigv4-streaming and
// sigv4-streaming-trailers).
func TestChunkExamples(t *testing.T) {
	const head = "PUT /examplebucket/chunkObject.txt HTTP/1.1\nHost: s3.amazonaws.com\nx-amz-date: 20130524T000000Z\nx-amz-storage-class: REDUCED_REDUNDANCY\n" +
		"Content-Encoding: aws-chunked\nx-amz-decoded-content-length: 66560\n" +
		"Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
	long, short := strings.Repeat("a", 65536), strings.Repeat("a", 1024)
	for name, test := range map[string]struct{ head, body, crc string }{
		"signed": {
			"x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\nContent-Length: 66824",
			"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + long +
				"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + short +
				"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n", "",
		},
		"signed with trailer": {
			"x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER\nx-amz-trailer: x-amz-checksum-crc32c",
			"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + long +
				"\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + short +
				"\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
				"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n", "sOO8/Q==",
		},
	} {
		t.Run(name, func(t *testing.T) {
			sign := "SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class," +
				"Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9\n"
			if test.crc != "" {
				sign = "SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer," +
					"Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e\n"
			}
			c := read(t, wire(t, head+sign+test.head+"\n\n"))
			if err := c.Verify(exampleSecret, s3Options(exampleTime)); err != nil {
				t.Fatalf("Verify: %v", err)
			}
			b, err := c.Body(iotest.HalfReader(strings.NewReader(test.body)))
			if err != nil || b.Size() != 66560 {
				t.Fatalf("Body: size %d, %v", b.Size(), err)
			}
			got, err := io.ReadAll(b)
			if err != nil || string(got) != long+short || b.Trailer()["x-amz-checksum-crc32c"] != test.crc {
				t.Fatalf("ReadAll: %d bytes, %v, trailer %v", len(got), err, b.Trailer())
			}
		})
	}
}

func TestPresignedLimits(t *testing.T) {
	const (
		url = "GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400" +
			"&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 HTTP/1.1\nHost: examplebucket.s3.amazonaws.com\n"
	)
	for name, test := range map[string]struct {
		now   time.Duration
		from  string
		to    string
		thing string
	}{
		"at the end":     {24 * time.Hour, "", "", ""},
		"over":           {24*time.Hour + time.Second, "", "", "expired request"},
		"early":          {-16 * time.Minute, "", "", "early request"},
		"clock behind":   {-14 * time.Minute, "", "", ""},
		"no number":      {0, "Expires=86400", "Expires=x", "query"},
		"negative":       {0, "Expires=86400", "Expires=-1", "query"},
		"over a week":    {0, "Expires=86400", "Expires=604801", "query"},
		"endless":        {0, "Expires=86400", "Expires=99999999999999999999999999", "query"},
		"no end":         {0, "&X-Amz-Expires=86400", "", "query"},
		"other end":      {0, "Expires=86400", "Expires=86401", "signature"},
		"no signature":   {0, "&X-Amz-Signature=", "&Y=", "query"},
		"twice":          {0, "&X-Amz-Date=", "&X-Amz-Date=20130524T000000Z&X-Amz-Date=", "query"},
		"algorithm":      {0, "HMAC-SHA256&", "HMAC-SHA512&", "algorithm"},
		"V4A":            {0, "AWS4-HMAC-SHA256&", "AWS4-ECDSA-P256-SHA256&", "algorithm"},
		"date":           {0, "Date=20130524T000000Z", "Date=20130524", "date"},
		"scope's date":   {0, "%2F20130524", "%2F20130525", "scope"},
		"service":        {0, "%2Fs3%2F", "%2Fsts%2F", "scope"},
		"region":         {0, "us-east-1", "us-east-2", "scope"},
		"terminator":     {0, "aws4_request", "aws5_request", "scope"},
		"credential":     {0, "%2Faws4_request", "", "query"},
		"host unsigned":  {0, "SignedHeaders=host", "SignedHeaders=range", "signed headers"},
		"header gone":    {0, "SignedHeaders=host", "SignedHeaders=host;range", "signed headers"},
		"header put in":  {0, "amazonaws.com\n", "amazonaws.com\nX-Amz-Acl: public-read\n", "signed headers"},
		"framing put in": {0, "amazonaws.com\n", "amazonaws.com\nX-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\n", "signed headers"},
		"promise put in": {0, "amazonaws.com\n", "amazonaws.com\nX-Amz-Content-Sha256: " + sigv4.EmptyPayload + "\n", ""},
		"bad escape":     {0, "&X-Amz-Date", "&x=%zz&X-Amz-Date", "query"},
		"semicolon":      {0, "&X-Amz-Date", "&x;y=1&X-Amz-Date", "signature"},
		"path":           {0, "/test.txt", "//test.txt", "signature"},
		"dots":           {0, "/test.txt", "/a/../test.txt", "signature"},
		"escaped path":   {0, "/test.txt", "/%74est.txt", ""},
		"absolute form":  {0, "GET /", "GET http://examplebucket.s3.amazonaws.com/", ""},
	} {
		c, err := sigv4.Read(wire(t, strings.Replace(url, test.from, test.to, 1)+"\n"))
		if err == nil {
			err = c.Verify(exampleSecret, s3Options(exampleTime.Add(test.now)))
		}
		if test.thing == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wantError(t, name, err, strait.Unauthenticated, test.thing)
	}
}

// What a refusal of S3 tells, so that a client's author can compare.
func TestMismatchTells(t *testing.T) {
	text, _ := put("UNSIGNED-PAYLOAD", "", 0)
	err := read(t, wire(t, text)).Verify("another", s3Options(exampleTime))
	wantError(t, "wrong secret", err, strait.Unauthenticated, "signature")
	d := err.(*strait.Error).Detail
	if !strings.HasPrefix(d["CanonicalRequest"], "PUT\n/bucket/key\n\nhost:example.com\n") || !strings.HasPrefix(d["StringToSignBytes"], "41 57 53 34 2d") ||
		d["AWSAccessKeyId"] != exampleID || d["SignatureProvided"] == "" || strings.Contains(err.Error(), "another") {
		t.Errorf("Detail: got %v", d)
	}
}

func TestForms(t *testing.T) {
	const policy = "eyJleHBpcmF0aW9uIjoiMjAxMy0wNS0yNVQwMDowMDowMFoifQ=="
	fields := map[string]string{
		"policy": policy, "x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-credential": exampleID + "/20130524/us-east-1/s3/aws4_request",
		"x-amz-date": "20130524T000000Z", "x-amz-signature": hexMac(exampleKey("20130524", "s3"), policy),
	}
	check := func() error {
		c, err := sigv4.ReadForm(fields)
		if err != nil {
			return err
		}
		return c.Verify(exampleSecret, s3Options(exampleTime.Add(20*time.Hour)))
	}
	if err := check(); err != nil {
		t.Fatalf("Verify: %v", err)
	}
	fields["policy"] = "eyJ9"
	wantError(t, "other policy", check(), strait.Unauthenticated, "signature")
	delete(fields, "policy")
	wantError(t, "no policy", check(), strait.Unauthenticated, "form")
	if c, err := sigv4.ReadForm(map[string]string{"key": "x"}); c != nil || err != nil {
		t.Errorf("anonymous form: got %v, %v", c, err)
	}
}

func TestAnonymousAndAmbiguous(t *testing.T) {
	if c, err := sigv4.Read(wire(t, "GET /x?y=1 HTTP/1.1\nHost: h\n\n")); c != nil || err != nil {
		t.Errorf("anonymous: got %v, %v", c, err)
	}
	for name, test := range map[string]struct {
		head  string
		kind  strait.Kind
		thing string
	}{
		"bearer":        {"GET / HTTP/1.1\nAuthorization: Bearer x", strait.Unauthenticated, "algorithm"},
		"empty":         {"GET / HTTP/1.1\nAuthorization:", strait.Unauthenticated, "algorithm"},
		"V2 header":     {"GET / HTTP/1.1\nAuthorization: AWS AKID:c2ln", strait.Unauthenticated, "algorithm"},
		"both":          {"GET /?X-Amz-Signature=1 HTTP/1.1\nAuthorization: AWS4-HMAC-SHA256 x", strait.Invalid, "two credentials"},
		"both queries":  {"GET /?X-Amz-Signature=1&AWSAccessKeyId=2 HTTP/1.1", strait.Invalid, "two credentials"},
		"two headers":   {"GET / HTTP/1.1\nAuthorization: AWS4-HMAC-SHA256 x\nAuthorization: AWS4-HMAC-SHA256 x", strait.Unauthenticated, "header"},
		"nothing in it": {"GET / HTTP/1.1\nAuthorization: AWS4-HMAC-SHA256 x", strait.Unauthenticated, "header"},
		"no date":       {"GET / HTTP/1.1\nAuthorization: AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=x", strait.Unauthenticated, "date"},
		"half":          {"GET /?X-Amz-Credential=1 HTTP/1.1", strait.Unauthenticated, "query"},
		"half V2":       {"GET /?AWSAccessKeyId=1 HTTP/1.1", strait.Unauthenticated, "query"},
	} {
		c, err := sigv4.Read(wire(t, test.head+"\nHost: h\n\n"))
		if c != nil {
			t.Errorf("%s: got a claim", name)
		}
		wantError(t, name, err, test.kind, test.thing)
	}
}

// Nothing may be asked of a claim that is not proven, and no rule has a default
// that allows.
func TestMisuseFailsClosed(t *testing.T) {
	text, _ := put("UNSIGNED-PAYLOAD", "", 0)
	c := read(t, wire(t, text))
	_, err := c.Body(http.NoBody)
	wantError(t, "body before Verify", err, strait.Internal, "signature")
	for name, change := range map[string]func(*sigv4.Options){
		"no time":     func(o *sigv4.Options) { o.Now = time.Time{} },
		"no services": func(o *sigv4.Options) { o.Services = nil },
		"no hash":     func(o *sigv4.Options) { o.S3 = false },
	} {
		o := s3Options(exampleTime)
		change(&o)
		wantError(t, name, c.Verify(exampleSecret, o), strait.Internal, "signature")
	}
	wantError(t, "no secret", c.Verify("", s3Options(exampleTime)), strait.Internal, "signature")

	if err := c.Verify(exampleSecret, s3Options(exampleTime)); err != nil {
		t.Fatal(err)
	}
	if err := c.Verify("x", s3Options(exampleTime)); err == nil {
		t.Fatal("Verify took another secret")
	}
	_, err = c.Body(http.NoBody)
	wantError(t, "body after a failed Verify", err, strait.Internal, "signature")
}

func TestSkew(t *testing.T) {
	text, _ := put("UNSIGNED-PAYLOAD", "", 0)
	c := read(t, wire(t, text))
	for d, thing := range map[time.Duration]string{15 * time.Minute: "", -15 * time.Minute: "", 15*time.Minute + time.Second: "skew", -15*time.Minute - time.Second: "skew"} {
		err := c.Verify(exampleSecret, s3Options(exampleTime.Add(d)))
		if thing == "" && err != nil {
			t.Errorf("%v: %v", d, err)
		} else if thing != "" {
			wantError(t, d.String(), err, strait.Unauthenticated, thing)
		}
	}
}
