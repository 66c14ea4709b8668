package device

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"strait"
)

// web holds the HTTP connections of an Uploader, made when first needed.
type web struct {
	once   sync.Once
	err    error
	client *http.Client
}

func (w *web) close() {
	if w.client != nil {
		w.client.CloseIdleConnections()
	}
}

func (c *Uploader) http() (*http.Client, error) {
	w := &c.web
	w.once.Do(func() {
		// S3 may have another authority than MQTT: the system's count, too.
		var pool *x509.CertPool
		if len(c.cfg.CA) > 0 {
			if pool, w.err = x509.SystemCertPool(); w.err != nil {
				pool, w.err = x509.NewCertPool(), nil
			}
			pool.AppendCertsFromPEM(c.cfg.CA)
		}
		dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 15 * time.Second}
		t := &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 15 * time.Second, ResponseHeaderTimeout: 2 * c.cfg.Stall, ExpectContinueTimeout: 2 * time.Second,
			MaxIdleConnsPerHost: maxRuns, IdleConnTimeout: time.Minute, WriteBufferSize: 64 << 10, DisableCompression: true,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return stallingConn{conn, c.cfg.Stall}, nil
			},
		}
		w.client = &http.Client{
			Transport: counting{t, c.clock, newLimiter(c.cfg.Bandwidth)},
			// A redirect would carry the signature elsewhere, and break it.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	})
	return w.client, w.err
}

// stallingConn fails a write that makes no progress for a while: a dead
// network otherwise holds it for a quarter of an hour.
type stallingConn struct {
	net.Conn
	stall time.Duration
}

func (c stallingConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// storage makes an S3 client. Anything but AWS's own names is addressed by
// path, because a bucket's name may not resolve there.
func (c *Uploader) storage(creds aws.CredentialsProvider, region, endpoint string) (*s3.Client, error) {
	if region == "" {
		return nil, strait.Errorf(strait.Invalid, "region", "the function's answer names no region: say which")
	}
	hc, err := c.http()
	if err != nil {
		return nil, err
	}
	o := s3.Options{
		Region: region, Credentials: creds, HTTPClient: hc, HTTPSignerV4: clockSigner{v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }), c.clock.Now},
		// What is sent carries its checksum already.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		// Trying again is ours: it knows the journal, the credentials and the clock.
		Retryer: aws.NopRetryer{},
	}
	if endpoint != "" {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
			return nil, strait.Errorf(strait.Invalid, "endpoint", "the endpoint of S3 must be like https://host:port")
		}
		o.BaseEndpoint = &endpoint
		o.UsePathStyle = !strings.HasSuffix(u.Hostname(), ".amazonaws.com") && !strings.HasSuffix(u.Hostname(), ".amazonaws.com.cn")
	}
	return s3.New(o), nil
}

// unsignedBody leaves the body out of the signature where TLS protects it:
// its checksum is signed, and hashing it twice costs a device much.
func unsignedBody(o *s3.Options) {
	if o.BaseEndpoint == nil || strings.HasPrefix(*o.BaseEndpoint, "https:") {
		o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
	}
}

// clockSigner signs by the Client's clock.
type clockSigner struct {
	signer *v4.Signer
	now    func() time.Time
}

func (s clockSigner) SignHTTP(ctx context.Context, creds aws.Credentials, r *http.Request, hash, service, region string, _ time.Time, opts ...func(*v4.SignerOptions)) error {
	return s.signer.SignHTTP(ctx, creds, r, hash, service, region, s.now().UTC(), opts...)
}
