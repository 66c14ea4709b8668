package sigv4_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"strait"
	"strait/identity/sigv4"
)

const (
	exampleID     = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

var exampleTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

func s3Options(now time.Time) sigv4.Options {
	return sigv4.Options{Now: now, Services: []string{"s3"}, Regions: []string{"us-east-1"}, S3: true}
}

// wire reads a request as a server does. Lines end with LF in text.
func wire(t testing.TB, text string) *http.Request {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	raw := strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatalf("ReadRequest of %q: %v", head, err)
	}
	return r
}

func read(t testing.TB, r *http.Request) *sigv4.Claim {
	t.Helper()
	c, err := sigv4.Read(r)
	if err != nil || c == nil {
		t.Fatalf("Read: got %v, %v; want a claim", c, err)
	}
	return c
}

func wantError(t testing.TB, what string, err error, kind strait.Kind, thing string) {
	t.Helper()
	var e *strait.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Thing != thing {
		t.Errorf("%s: got %v (%+v), want %v %q", what, err, e, kind, thing)
	}
}

// These tests sign with code of their own: a verifier that is checked with itself
// would agree with its own mistakes.

func hashHex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, text)
	return h.Sum(nil)
}

func exampleKey(date, service string) []byte {
	return mac(mac(mac(mac([]byte("AWS4"+exampleSecret), date), "us-east-1"), service), "aws4_request")
}

// put is a PUT of a chunked body, signed in the header.
func put(payload, trailer string, size int, extra ...string) (text, seed string) {
	lines := []string{"host:example.com", "x-amz-content-sha256:" + payload, "x-amz-date:20130524T000000Z",
		fmt.Sprintf("x-amz-decoded-content-length:%d", size)}
	names := "host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length"
	if trailer != "" {
		lines = append(lines, "x-amz-trailer:"+trailer)
		names += ";x-amz-trailer"
	}
	head := strings.Join(lines, "\n")
	canonical := "PUT\n/bucket/key\n\n" + head + "\n\n" + names + "\n" + payload
	toSign := "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n" + hashHex(canonical)
	seed = hex.EncodeToString(mac(exampleKey("20130524", "s3"), toSign))
	text = "PUT /bucket/key HTTP/1.1\n" + head + "\nauthorization:AWS4-HMAC-SHA256 Credential=" + exampleID +
		"/20130524/us-east-1/s3/aws4_request,SignedHeaders=" + names + ",Signature=" + seed
	for _, line := range extra {
		text += "\n" + line
	}
	return text + "\n\n", seed
}

// frame puts data into chunks of these sizes; signed when seed is given.
func frame(data string, sizes []int, seed string, trailer ...string) string {
	var b strings.Builder
	key, previous := exampleKey("20130524", "s3"), seed
	next := func(algorithm, hashes string) string {
		previous = hex.EncodeToString(mac(key, strings.Join([]string{algorithm, "20130524T000000Z", "20130524/us-east-1/s3/aws4_request", previous, hashes}, "\n")))
		return previous
	}
	chunk := func(part string) {
		fmt.Fprintf(&b, "%x", len(part))
		if seed != "" {
			b.WriteString(";chunk-signature=" + next("AWS4-HMAC-SHA256-PAYLOAD", hashHex("")+"\n"+hashHex(part)))
		}
		b.WriteString("\r\n" + part)
	}
	for _, n := range sizes {
		n = min(n, len(data))
		if n > 0 {
			chunk(data[:n])
			b.WriteString("\r\n")
			data = data[n:]
		}
	}
	if data != "" {
		chunk(data)
		b.WriteString("\r\n")
	}
	chunk("")
	for _, line := range trailer {
		b.WriteString(line + "\r\n")
	}
	if seed != "" && len(trailer) > 0 {
		b.WriteString("x-amz-trailer-signature:" + next("AWS4-HMAC-SHA256-TRAILER", hashHex(strings.Join(trailer, "\n")+"\n")) + "\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// verified is the claim of a request made by put.
func verified(t testing.TB, text string) *sigv4.Claim {
	t.Helper()
	c := read(t, wire(t, text))
	if err := c.Verify(exampleSecret, s3Options(exampleTime)); err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return c
}
