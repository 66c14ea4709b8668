package setup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"strait"
)

// A Session is who sets up, and where.
type Session struct {
	Config   aws.Config
	Endpoint string // AWS_ENDPOINT_URL without a trailing slash; "" is AWS itself
	CAFile   string // AWS_CA_BUNDLE; "" when not set

	IAM    *iam.Client
	IoT    *iot.Client
	Lambda *lambda.Client
	S3     *s3.Client // path style with an Endpoint of one's own
	STS    *sts.Client

	caller *Caller
}

// A Caller is whom the session's credentials belong to.
type Caller struct {
	ARN   strait.ARN
	Place strait.Place // the session's region, the caller's account
}

// NewSession takes everything from the environment, as every AWS tool does:
// AWS_ENDPOINT_URL, AWS_CA_BUNDLE, AWS_REGION and credentials of any form
// (strait env prints the lines for a Strait server). Options are for callers
// with settings of their own. It fails with a sentence on what is missing; it
// asks nobody yet.
func NewSession(ctx context.Context, options ...func(*config.LoadOptions) error) (*Session, error) {
	if os.Getenv("AWS_ENDPOINT_URL") != "" {
		// Not on a machine of AWS's: looking for its metadata service would
		// only take long.
		options = append([]func(*config.LoadOptions) error{config.WithEC2IMDSClientEnableState(imds.ClientDisabled)}, options...)
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("read the AWS settings: %w", err)
	}
	if cfg.Region == "" {
		return nil, errors.New("no region is set: set AWS_REGION, or for a Strait server run eval \"$(strait env --data DIR)\"")
	}
	s := &Session{Config: cfg, Endpoint: strings.TrimSuffix(aws.ToString(cfg.BaseEndpoint), "/"), CAFile: os.Getenv("AWS_CA_BUNDLE")}
	if s.Endpoint != "" {
		if u, err := url.Parse(s.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("AWS_ENDPOINT_URL must be like https://127.0.0.1:8443, not %q", s.Endpoint)
		}
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("no AWS credentials are set: for a Strait server run eval \"$(strait env --data DIR)\": %w", err)
	}
	s.IAM, s.IoT, s.Lambda, s.STS = iam.NewFromConfig(cfg), iot.NewFromConfig(cfg), lambda.NewFromConfig(cfg), sts.NewFromConfig(cfg)
	s.S3 = s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = s.Endpoint != "" })
	return s, nil
}

// Caller asks STS whom the credentials belong to, once.
func (s *Session) Caller(ctx context.Context) (Caller, error) {
	if s.caller != nil {
		return *s.caller, nil
	}
	out, err := s.STS.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return Caller{}, fmt.Errorf("ask who the credentials belong to: %w", plain(err))
	}
	c := Caller{strait.ARN(aws.ToString(out.Arn)), strait.Place{Region: s.Config.Region, Account: aws.ToString(out.Account)}}
	p, err := c.ARN.Parse()
	if err != nil {
		return Caller{}, fmt.Errorf("ask who the credentials belong to: %w", err)
	}
	if p.Partition != "aws" {
		return Caller{}, fmt.Errorf("the partition %s is not offered yet, only aws", p.Partition)
	}
	s.caller = &c
	return c, nil
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// Strait gets pathAndQuery, such as "/_strait/decisions?last=1", from Strait's
// own API and returns the body. Its error is the server's own sentence. AWS
// has no such API: without an endpoint it is an error.
func (s *Session) Strait(ctx context.Context, pathAndQuery string) ([]byte, error) {
	return s.strait(ctx, http.MethodGet, pathAndQuery, nil)
}

// PostStrait posts in, as JSON, and returns the body, as Strait does.
func (s *Session) PostStrait(ctx context.Context, path string, in any) ([]byte, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return s.strait(ctx, http.MethodPost, path, body)
}

func (s *Session) strait(ctx context.Context, method, pathAndQuery string, in []byte) ([]byte, error) {
	if s.Endpoint == "" {
		return nil, errors.New("AWS_ENDPOINT_URL is not set: only a Strait server can tell; run eval \"$(strait env --data DIR)\"")
	}
	r, err := http.NewRequestWithContext(ctx, method, s.Endpoint+pathAndQuery, bytes.NewReader(in))
	if err != nil {
		return nil, err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	creds, err := s.Config.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(in)
	if err := v4.NewSigner().SignHTTP(ctx, creds, r, hex.EncodeToString(sum[:]), "strait", s.Config.Region, time.Now()); err != nil {
		return nil, fmt.Errorf("sign the request: %w", err)
	}
	answer, err := s.client().Do(r)
	if err != nil {
		return nil, fmt.Errorf("reach the server: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the server's answer: %w", err)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("the server's answer is larger than %d bytes", maxAnswer)
	case answer.StatusCode/100 != 2:
		return nil, refusal(answer.Status, body)
	}
	return body, nil
}

func (s *Session) client() aws.HTTPClient {
	if s.Config.HTTPClient != nil {
		return s.Config.HTTPClient
	}
	return http.DefaultClient
}

// refusal is the sentence in an answer that is no success.
func refusal(status string, body []byte) error {
	var told struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &told) == nil && told.Message != "" {
		return errors.New(told.Message)
	}
	return fmt.Errorf("the server answered %s; is AWS_ENDPOINT_URL a Strait server?", status)
}
