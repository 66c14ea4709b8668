package power_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
)

const (
	region = "ap-northeast-1"
	bucket = "bucket"
)

// A client speaks to one server with unmodified SDKs. It never tries twice, so
// that each try is one answer.
type client struct {
	addr   string
	creds  aws.Credentials
	s3     *s3.Client
	iam    *iam.Client
	iot    *iot.Client
	lambda *lambda.Client
	http   *http.Client
}

func newClient(addr, key, secret string) *client {
	creds := aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}
	web := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 2 * time.Minute}
	cfg := aws.Config{
		Region: region, BaseEndpoint: aws.String("http://" + addr), HTTPClient: web,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return creds, nil }),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	}
	return &client{addr: addr, creds: creds, http: web,
		s3:  s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }),
		iam: iam.NewFromConfig(cfg), iot: iot.NewFromConfig(cfg), lambda: lambda.NewFromConfig(cfg)}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// An ack is what a client knows of an acknowledgement, enough to find it among
// the answers in a trace.
type ack struct {
	got     bool
	request string // of HTTP
	addr    string // of MQTT: the client's end, and the packet
	kind    byte
	packet  uint16
}

// by takes the acknowledgement out of an SDK's result.
func (a *ack) by(m middleware.Metadata, err error) error {
	if err != nil {
		return err
	}
	id, ok := awsmiddleware.GetRequestIDMetadata(m)
	if !ok {
		return errors.New("an answer without a request id")
	}
	a.got, a.request = true, id
	return nil
}

// is tells whether err has AWS's code.
func is(err error, code string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == code
}

// publish is Publish of IoT Data, for which there is no SDK here: signed by
// hand, with the SDK's signer.
func (c *client) publish(ctx context.Context, topic, payload string) (string, error) {
	_, id, err := c.ask(ctx, "iotdata", http.MethodPost, "/topics/"+topic+"?qos=1", payload)
	return id, err
}

// ask is a signed request to a service that has no SDK here; id is the
// request's.
func (c *client) ask(ctx context.Context, service, method, path, body string) (answer []byte, id string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.addr+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(ctx, c.creds, r, hex.EncodeToString(sum[:]), service, region, time.Now()); err != nil {
		return nil, "", err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	return b, resp.Header.Get("x-amzn-RequestId"), err
}

// body is size bytes that depend on seed.
func body(seed uint64, size int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

func etag(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// get reads a whole object.
func (c *client) get(ctx context.Context, key string) (etag string, b []byte, err error) {
	out, err := c.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		return "", nil, err
	}
	defer out.Body.Close()
	b, err = io.ReadAll(out.Body)
	return unquote(out.ETag), b, err
}

func unquote(s *string) string {
	q := aws.ToString(s)
	if len(q) >= 2 && q[0] == '"' {
		q = q[1 : len(q)-1]
	}
	return q
}
