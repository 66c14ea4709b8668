package s3

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

// connect makes the client.
func connect(o Options) (*awss3.Client, error) {
	web := o.HTTP
	if web == nil {
		web = &http.Client{Transport: transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	region := o.Region
	if region == "" {
		region = "us-east-1"
	}
	options := awss3.Options{
		Region: region, Credentials: o.Credentials, UsePathStyle: !o.VirtualHost && o.Endpoint != "",
		// Sums are computed when somebody asked for them, and never doubted twice.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	if o.Endpoint != "" {
		u, err := url.Parse(o.Endpoint)
		switch {
		case err != nil || u.Host == "" || u.User != nil:
			return nil, fmt.Errorf("the endpoint %q of the far object store is no URL like https://host:port", o.Endpoint)
		case u.Scheme == "http":
			u.Scheme, web = "https", plainly{web}
		case u.Scheme != "https":
			return nil, errors.New("the endpoint of the far object store must be http or https")
		}
		endpoint := u.String()
		options.BaseEndpoint = &endpoint
	}
	options.HTTPClient = web
	return awss3.New(options), nil
}

func transport() *http.Transport {
	return &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		// Objects come as they are, also those that are compressed.
		DisableCompression: true, ForceAttemptHTTP2: true,
		MaxIdleConns: 256, MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, ExpectContinueTimeout: time.Second,
		WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10,
	}
}

// plainly sends without TLS what the SDK believes to go with it. It sends a
// stream with its checksum behind only when it believes that; servers take it
// either way, and the signature does not cover the scheme.
type plainly struct{ aws.HTTPClient }

func (p plainly) Do(r *http.Request) (*http.Response, error) {
	u := *r.URL
	u.Scheme = "http"
	r = r.WithContext(r.Context())
	r.URL = &u
	return p.HTTPClient.Do(r)
}

// streaming is for requests whose body can be read once only.
func streaming(o *awss3.Options) { o.Retryer = aws.NopRetryer{} }

// unsigned is for bodies that are streamed without a checksum behind.
func unsigned(o *awss3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}
