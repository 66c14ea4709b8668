package sigv4_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"strait/identity/sigv4"
)

var sdkTime = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

var sdkCredentials = aws.Credentials{AccessKeyID: "ASIA2222222222222222", SecretAccessKey: exampleSecret, SessionToken: "to+ken/with=all"}

// signedBySDK makes a request that aws-sdk-go-v2 has signed, as bytes of the wire.
func signedBySDK(t testing.TB, rnd *rand.Rand, s3, presigned bool) ([]byte, sigv4.Options) {
	t.Helper()
	text := func(n int) string {
		const chars = "aZ09-._~ !*'();:@&=+$,/?%#[]é\"<>\\^`{|}"
		runes, out := []rune(chars), []rune{}
		for range rnd.IntN(n + 1) {
			out = append(out, runes[rnd.IntN(len(runes))])
		}
		return string(out)
	}
	escaped := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	// 1. A request with a path, a query, headers and a body.
	path := "/b"
	for range rnd.IntN(4) {
		path += "/x" + escaped(text(8))
	}
	if s3 && rnd.IntN(3) == 0 {
		path += "//a/../b" // a key like any other
	}
	var query []string
	for n := range rnd.IntN(4) {
		query = append(query, fmt.Sprintf("%d%s=%s", n, escaped(text(4)), escaped(text(8))))
	}
	if presigned {
		query = append(query, "X-Amz-Expires=900")
	}
	body := text(20)
	if presigned {
		body = ""
	}
	r, err := http.NewRequest([]string{"GET", "PUT", "POST", "DELETE"}[rnd.IntN(4)], "https://example.com:8443"+path+"?"+strings.Join(query, "&"), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Meta-A", " a   b ")
	r.Header.Add("X-Amz-Meta-B", "2")
	r.Header.Add("X-Amz-Meta-B", "1")
	r.Header.Set("User-Agent", "test")
	// 2. Its signature.
	o := sigv4.Options{Now: sdkTime.Add(time.Minute), Services: []string{"iotdata"}, PayloadHash: hashHex(body)}
	if s3 {
		o.Services, o.S3 = []string{"s3"}, true
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = s3 })
	hash := o.PayloadHash
	if s3 && presigned {
		hash = "UNSIGNED-PAYLOAD"
	}
	if presigned {
		link, header, err := signer.PresignHTTP(context.Background(), sdkCredentials, r, hash, o.Services[0], "eu-west-3", sdkTime)
		if err != nil {
			t.Fatal(err)
		}
		if r, err = http.NewRequest(r.Method, link, http.NoBody); err != nil {
			t.Fatal(err)
		}
		for name, all := range header {
			if name != "Host" {
				r.Header[name] = all
			}
		}
	} else {
		if s3 {
			r.Header.Set("X-Amz-Content-Sha256", hash)
		}
		if err := signer.SignHTTP(context.Background(), sdkCredentials, r, hash, o.Services[0], "eu-west-3", sdkTime); err != nil {
			t.Fatal(err)
		}
	}
	// 3. The bytes.
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), o
}

// accept is nil when the request on the wire is proven, body and all.
func accept(raw []byte, o sigv4.Options) (*http.Request, error) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return nil, err
	}
	c, err := sigv4.Read(r)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, fmt.Errorf("anonymous")
	}
	if c.AccessKeyID != sdkCredentials.AccessKeyID || c.Token != sdkCredentials.SessionToken {
		return nil, fmt.Errorf("another key or token") // whose secret would be another
	}
	if !o.S3 {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		o.PayloadHash = hashHex(string(body))
	}
	if err := c.Verify(exampleSecret, o); err != nil {
		return nil, err
	}
	if o.S3 {
		b, err := c.Body(r.Body)
		if err != nil {
			return nil, err
		}
		if _, err := io.ReadAll(b); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// meaning is what a server acts on, of all that a signature covers.
func meaning(r *http.Request) string {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	plain, _ := url.PathUnescape(path)
	values, err := url.ParseQuery(query)
	delete(values, "X-Amz-Signature")
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %v %s", r.Method, plain, values.Encode(), err, r.Host)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if strings.HasPrefix(name, "X-Amz-") {
			fmt.Fprintf(&b, "\n%s:%s", name, strings.Join(strings.Fields(strings.Join(r.Header[name], ",")), " "))
		}
	}
	return b.String()
}

// What aws-sdk-go-v2 signs is accepted; with any one byte changed, it is refused
// or means the same (as "%2f" for "%2F").
func TestSDKAndOneByteChanged(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	changed := 0
	for n := range 160 {
		raw, o := signedBySDK(t, rnd, n&1 == 0, n&2 == 0)
		r, err := accept(raw, o)
		if err != nil {
			t.Fatalf("refused: %v\n%s", err, raw)
		}
		want := meaning(r)
		for range 60 {
			i, with := rnd.IntN(len(raw)), byte(rnd.IntN(256))
			if rnd.IntN(2) == 0 {
				with = "/.%+&=? ;A0a"[rnd.IntN(12)]
			}
			if raw[i] == with {
				continue
			}
			mutant := bytes.Clone(raw)
			mutant[i] = with
			changed++
			if r, err := accept(mutant, o); err == nil && meaning(r) != want {
				t.Fatalf("byte %d changed to %q was taken:\n%s\nmeans\n%s\nwant\n%s", i, with, mutant, meaning(r), want)
			}
		}
	}
	t.Logf("%d changes", changed)
}

// Read takes anything without a panic, and what it takes verifies with no secret.
func FuzzRead(f *testing.F) {
	const credential = "Credential=AKID/20130524/us-east-1/s3/aws4_request"
	const presigned = "/a%2Fb?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=a"
	f.Add("/", "AWS4-HMAC-SHA256 "+credential+",SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=a", "20130524T000000Z", "UNSIGNED-PAYLOAD")
	f.Add(presigned+"&X-Amz-Expires=9&X-Amz-Security-Token=t", "", "", "")
	f.Add(presigned, "", "", sigv4.EmptyPayload)
	f.Add("/?AWSAccessKeyId=a&Signature=b&Expires=2000000000&x-amz-acl=c", "", "", "")
	f.Fuzz(func(t *testing.T, uri, authorization, date, hash string) {
		r := &http.Request{Method: "GET", RequestURI: uri, URL: &url.URL{}, Host: "h", Header: http.Header{}}
		for name, value := range map[string]string{"Authorization": authorization, "X-Amz-Date": date, "X-Amz-Content-Sha256": hash} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		c, err := sigv4.Read(r)
		if c != nil && err != nil || authorization != "" && c == nil && err == nil {
			t.Fatalf("Read: got %v, %v", c, err)
		}
		if c == nil {
			return
		}
		if c.SignedAt.IsZero() { // V2
			c.SignedAt = time.Unix(1, 0)
		}
		o := sigv4.Options{Now: c.SignedAt, Services: []string{c.Scope.Service}, S3: true, UnsignedToken: true}
		if c.Verify("not the secret", o) == nil {
			t.Fatal("Verify took a secret that nobody has")
		}
		o.S3, o.PayloadHash = false, sigv4.EmptyPayload
		if c.Verify("not the secret", o) == nil {
			t.Fatal("Verify took a secret that nobody has")
		}
	})
}
