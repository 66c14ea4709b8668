package sigv4_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"strait/identity/sigv4"
)

// An unmodified SDK puts an object, with and without TLS (the framing differs, see
// sigv4.md section 5), and calls STS.
func TestSDKOverTheWire(t *testing.T) {
	t.Setenv("AWS_CA_BUNDLE", "") // the test's server has a certificate of its own
	type seen struct {
		form    string
		body    string
		trailer map[string]string
		err     error
	}
	got := make(chan seen, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := seen{form: r.Header.Get("X-Amz-Content-Sha256")}
		defer func() { got <- s }()
		c, err := sigv4.Read(r)
		if err != nil {
			s.err = err
			return
		}
		o := sigv4.Options{Now: time.Now(), Services: []string{"s3"}, S3: true}
		if c.Scope.Service == "sts" {
			raw, _ := io.ReadAll(r.Body)
			sum := sha256.Sum256(raw)
			o = sigv4.Options{Now: time.Now(), Services: []string{"sts"}, PayloadHash: hex.EncodeToString(sum[:])}
			s.body = string(raw)
		}
		if s.err = c.Verify(exampleSecret, o); s.err != nil || !o.S3 {
			return
		}
		b, err := c.Body(r.Body)
		if err != nil {
			s.err = err
			return
		}
		raw, err := io.ReadAll(b)
		s.body, s.err, s.trailer = string(raw), err, b.Trailer()
	})
	for name, start := range map[string]func(http.Handler) *httptest.Server{"http": httptest.NewServer, "https": httptest.NewTLSServer} {
		server := start(handler)
		defer server.Close()
		ctx := context.Background()
		cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion("eu-west-3"), config.WithHTTPClient(server.Client()), config.WithBaseEndpoint(server.URL),
			config.WithSharedConfigFiles(nil), config.WithSharedCredentialsFiles(nil),
			config.WithCredentialsProvider(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return sdkCredentials, nil })))
		if err != nil {
			t.Fatal(err)
		}
		client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
		body := strings.Repeat("large data ", 200_000)
		if _, err := client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: aws.String("bucket"), Key: aws.String("device00/a b//../ü+%20"), Body: strings.NewReader(body),
			ContentType: aws.String("text/plain"), ContentEncoding: aws.String("gzip"), Metadata: map[string]string{"a": "b  c"},
		}); err != nil {
			t.Fatalf("%s: PutObject: %v", name, err)
		}
		s := <-got
		if s.err != nil || s.body != body {
			t.Errorf("%s: put: %d bytes, %v", name, len(s.body), s.err)
		}
		if streamed := s.form == unsignedTrailer; streamed != (name == "https") || streamed && s.trailer[crc] == "" {
			t.Errorf("%s: payload %q, trailer %v", name, s.form, s.trailer)
		}
		// The answer is empty; only what was asked counts here.
		_, _ = sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if s := <-got; s.err != nil || !strings.Contains(s.body, "GetCallerIdentity") {
			t.Errorf("%s: sts: %q, %v", name, s.body, s.err)
		}
	}
}
