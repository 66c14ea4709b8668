package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"strait/await"
)

// TestImpatientClient: a client that asks for 100-continue, does not wait for it
// and sends 20 MiB is still told why it was refused, over TLS. (botocore waits
// for one second.)
func TestImpatientClient(t *testing.T) {
	h := newHouse(t)
	// Somebody who is proven, and may do nothing.
	name := aws.String("nobody")
	if _, err := h.admin.IAM.CreateUser(t.Context(), &iam.CreateUserInput{UserName: name}); err != nil {
		t.Fatal(err)
	}
	key, err := h.admin.IAM.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: name})
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("x"), 20<<20)
	r, err := http.NewRequestWithContext(t.Context(), "PUT", "https://"+h.Ready().HTTPS[0]+"/bucket/key", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	creds := aws.Credentials{AccessKeyID: *key.AccessKey.AccessKeyId, SecretAccessKey: *key.AccessKey.SecretAccessKey}
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, r, "UNSIGNED-PAYLOAD", "s3", h.Ready().Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	c := dialTLS(t, h)
	var head strings.Builder
	fmt.Fprintf(&head, "PUT /bucket/key HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n", r.URL.Host, len(body))
	for k, v := range r.Header {
		fmt.Fprintf(&head, "%s: %s\r\n", k, v[0])
	}
	head.WriteString("\r\n")
	if _, err := io.WriteString(c, head.String()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(body); err != nil {
		t.Fatalf("send the body: %v", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), r)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 403 || !bytes.Contains(said, []byte("AccessDenied")) {
		t.Errorf("got %d %s, %v; want 403 AccessDenied", resp.StatusCode, said, err)
	}
}

// TestPatientClient: a client that waits for 100-continue, and sends nothing
// without it, is told at once that it is refused, whoever it is.
func TestPatientClient(t *testing.T) {
	h := newHouse(t)
	for _, length := range []int{1, 20 << 20} {
		c := dialTLS(t, h)
		if _, err := fmt.Fprintf(c, "PUT /bucket/key HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", h.Ready().HTTPS[0], length); err != nil {
			t.Fatal(err)
		}
		from := bufio.NewReader(c)
		resp, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatalf("%d bytes announced: %v", length, err)
		}
		said, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 403 || !bytes.Contains(said, []byte("AccessDenied")) {
			t.Errorf("%d bytes announced: got %d %s, %v; want 403 AccessDenied", length, resp.StatusCode, said, err)
		}
		// What the client might send yet must not be taken for a request.
		if b, err := from.ReadByte(); err != io.EOF || !resp.Close {
			t.Errorf("the connection goes on with %q, %v", b, err)
		}
	}
}

// dialTLS is a connection to the server that says whatever it is told to.
func dialTLS(t *testing.T, h *house) *tls.Conn {
	t.Helper()
	ca, err := os.ReadFile(h.Ready().CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	c, err := tls.Dial("tcp", h.Ready().HTTPS[0], &tls.Config{RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(await.Patience)); err != nil {
		t.Fatal(err)
	}
	return c
}
