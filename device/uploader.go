package device

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"strait"
)

// An Uploader sends files with credentials from anywhere. A Client has one that
// asks over MQTT; NewUploader makes one that needs no MQTT.
type Uploader struct {
	cfg    *Config
	clock  *clock
	web    web
	grants func(CredentialsOptions) *Credentials
	ended  context.Context // its cause ends every upload
}

func newUploader(cfg *Config, k *clock, grants func(CredentialsOptions) *Credentials, ended context.Context) *Uploader {
	return &Uploader{cfg: cfg, clock: k, grants: grants, ended: ended}
}

// NewUploader makes an Uploader that takes credentials from p, such as an X509
// or the environment's. Of cfg it uses Thing, CA, Region, Stall, Bandwidth, Now
// and Log. When a server calls credentials expired and p has a method
// Invalidate(), as aws.CredentialsCache has, that is called before asking again.
func NewUploader(cfg Config, p aws.CredentialsProvider) (*Uploader, error) {
	if p == nil {
		return nil, strait.Errorf(strait.Invalid, "credentials", "credentials are needed")
	}
	cfg.CertFile, cfg.KeyFile = "", "" // of no use here
	if err := cfg.read(); err != nil {
		return nil, err
	}
	cfg.defaults()
	k := &clock{now: cfg.Now}
	if x, ok := p.(*X509); ok {
		k = x.clock // what S3 says of the time is true there, too
	}
	c := newCredentials(&cfg, k, func(ctx context.Context) (Grant, error) { return provided(ctx, p, k) })
	return newUploader(&cfg, k, func(CredentialsOptions) *Credentials { return c }, context.Background()), nil
}

// provided asks p anew.
func provided(ctx context.Context, p aws.CredentialsProvider, k *clock) (Grant, error) {
	if cache, ok := p.(interface{ Invalidate() }); ok {
		cache.Invalidate()
	}
	v, err := p.Retrieve(ctx)
	if err != nil {
		var known *strait.Error
		if errors.As(err, &known) {
			return Grant{}, known
		}
		return Grant{}, strait.Errorf(strait.Unavailable, "credentials", "get credentials: %w", err)
	}
	g := Grant{Credentials: strait.Credentials{AccessKeyID: v.AccessKeyID, SecretAccessKey: v.SecretAccessKey, SessionToken: v.SessionToken, Expiration: v.Expires}}
	if !v.CanExpire {
		g.Expiration = k.Now().Add(longest - time.Minute)
	}
	return g, nil
}

// Close closes idle connections. Uploads that run are not ended: their contexts
// are for that.
func (c *Uploader) Close() error {
	c.web.close()
	return nil
}

// hint says where a refusal is explained.
func (c *Uploader) hint(endpoint string) string {
	if endpoint == "" || isAWS(endpoint) {
		return "Look in CloudTrail for the refused call and its errorMessage"
	}
	thing := first(c.cfg.Thing, c.cfg.ClientID)
	if thing == "" {
		return "See: strait explain --last"
	}
	return "See: strait explain --thing " + thing
}

func first(s ...string) string {
	for _, x := range s {
		if x != "" {
			return x
		}
	}
	return ""
}
