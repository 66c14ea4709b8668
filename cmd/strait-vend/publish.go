package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// publisher is vend's Publisher on IoT Data's HTTPS API. The SDK's module for
// it is not used: it is one request.
type publisher struct {
	endpoint    string // https://host[:port], no path
	region      string
	credentials aws.CredentialsProvider
	http        aws.HTTPClient
	signer      *v4.Signer
	now         func() time.Time
}

func newPublisher(cfg aws.Config, env func(string) string) *publisher {
	endpoint := ""
	for _, name := range []string{"STRAIT_VEND_IOT_ENDPOINT", "AWS_ENDPOINT_URL_IOT_DATA_PLANE", "AWS_ENDPOINT_URL"} {
		if endpoint = env(name); endpoint != "" {
			break
		}
	}
	if endpoint == "" {
		// The region's common name serves every account; the request's
		// signature says whose topic it is. (So no iot:DescribeEndpoint is needed.)
		endpoint = "data-ats.iot." + cfg.Region + ".amazonaws.com"
	}
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	client := cfg.HTTPClient
	if client == nil {
		client = http.DefaultClient
	}
	return &publisher{endpoint: strings.TrimSuffix(endpoint, "/"), region: cfg.Region, credentials: cfg.Credentials,
		http: client, signer: v4.NewSigner(), now: time.Now}
}

// Publish tries three times: what it carries is good for an hour, and the
// device waits. A refusal is not tried again.
func (p *publisher) Publish(ctx context.Context, topic string, payload []byte, qos byte) error {
	var err error
	for try := range 3 {
		if try > 0 {
			select {
			case <-time.After(time.Duration(try) * 300 * time.Millisecond):
			case <-ctx.Done():
				return errors.Join(err, ctx.Err())
			}
		}
		again := false
		if again, err = p.once(ctx, topic, payload, qos); err == nil || !again {
			return err
		}
	}
	return err
}

func (p *publisher) once(ctx context.Context, topic string, payload []byte, qos byte) (again bool, err error) {
	// The topic is one segment of the path, its slashes escaped; the signer
	// escapes that once more, as IoT expects.
	target := fmt.Sprintf("%s/topics/%s?qos=%d", p.endpoint, url.PathEscape(topic), qos)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(payload))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	creds, err := p.credentials.Retrieve(ctx)
	if err != nil {
		return false, fmt.Errorf("own credentials: %w", err)
	}
	sum := sha256.Sum256(payload)
	if err := p.signer.SignHTTP(ctx, creds, req, hex.EncodeToString(sum[:]), "iotdata", p.region, p.now()); err != nil {
		return false, fmt.Errorf("sign: %w", err)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if resp.StatusCode/100 != 2 {
		return resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests,
			fmt.Errorf("IoT Data answered %s: %s", resp.Status, bytes.TrimSpace(answer))
	}
	return false, nil
}
