package device

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"strait"
)

// X509 gets credentials from AWS IoT's credentials provider: one HTTPS request
// with the device's certificate, no MQTT, no function. What they are for is the
// role alias' affair.
type X509 struct {
	url    string
	alias  string
	thing  string
	client *http.Client
	clock  *clock
	kept   *Credentials
}

var _ aws.CredentialsProvider = (*X509)(nil)

// aliasName tells whether s may be a role alias; what it may hold needs no
// escaping in a path.
func aliasName(s string) bool {
	return s != "" && len(s) <= 128 && strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ=,@-_") == ""
}

// NewX509 makes a provider. cfg.Endpoint is the credentials endpoint, "host" or
// "host:port" (AWS: iot:DescribeEndpoint of type iot:CredentialProvider); its
// certificate, key, authority and Thing are used.
func NewX509(cfg Config, roleAlias string) (*X509, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if !aliasName(roleAlias) {
		return nil, strait.Errorf(strait.Invalid, "role alias", "%q is no name of a role alias", roleAlias)
	}
	if !strings.Contains(cfg.Endpoint, ":") {
		cfg.Endpoint += ":443"
	}
	host, port, err := cfg.hostPort()
	if err != nil {
		return nil, err
	}
	if err := cfg.read(); err != nil {
		return nil, err
	}
	t, err := cfg.deviceTLS(host, "")
	if err != nil {
		return nil, err
	}
	t.MinVersion = tls.VersionTLS12
	x := &X509{
		url:   "https://" + net.JoinHostPort(host, port) + "/role-aliases/" + url.PathEscape(roleAlias) + "/credentials",
		alias: roleAlias, thing: cfg.Thing, clock: &clock{now: cfg.Now},
		client: &http.Client{
			Timeout: cfg.Timeout, Transport: &http.Transport{TLSClientConfig: t, Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	x.kept = newCredentials(&cfg, x.clock, x.ask)
	return x, nil
}

// Retrieve is aws.CredentialsProvider. Credentials are kept and asked for anew
// before they expire. Denied is a refusal, Unavailable may work later.
func (x *X509) Retrieve(ctx context.Context) (aws.Credentials, error) { return x.kept.Retrieve(ctx) }

// Invalidate throws the kept credentials away.
func (x *X509) Invalidate() {
	x.kept.mu.Lock()
	defer x.kept.mu.Unlock()
	x.kept.grant, x.kept.has = Grant{}, false
}

func (x *X509) ask(ctx context.Context) (Grant, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, x.url, nil)
	if err != nil {
		return Grant{}, err
	}
	if x.thing != "" {
		req.Header.Set("x-amzn-iot-thingname", x.thing)
	}
	answer, err := x.client.Do(req)
	if err != nil {
		return Grant{}, strait.Errorf(strait.Unavailable, "credentials", "ask the credentials provider: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxReply))
	if err != nil {
		return Grant{}, strait.Errorf(strait.Unavailable, "credentials", "ask the credentials provider: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return Grant{}, x.refused(answer, body)
	}
	var said struct {
		Credentials struct {
			AccessKeyID     string    `json:"accessKeyId"`
			SecretAccessKey string    `json:"secretAccessKey"`
			SessionToken    string    `json:"sessionToken"`
			Expiration      time.Time `json:"expiration"`
		} `json:"credentials"`
	}
	c := &said.Credentials
	if json.Unmarshal(body, &said) != nil || !printable(c.AccessKeyID, c.SecretAccessKey, c.SessionToken) {
		return Grant{}, strait.Errorf(strait.Unsupported, "credentials", "the credentials provider's answer holds no credentials")
	}
	return Grant{Credentials: strait.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken, Expiration: c.Expiration}}, nil
}

func (x *X509) refused(answer *http.Response, body []byte) error {
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &said) != nil || said.Message == "" {
		said.Message = answer.Status
	}
	said.Message = strings.TrimSuffix(said.Message, ".")
	const told = "the credentials provider refused (%d): %s. "
	switch n := answer.StatusCode; {
	case n == http.StatusNotFound:
		return strait.Errorf(strait.NotFound, "role alias", told+"Is %s the role alias' name? Upper and lower case differ", n, said.Message, x.alias)
	case n == http.StatusTooManyRequests, n < 400, n >= 500:
		return strait.Errorf(strait.Unavailable, "credentials", told+"It may work later", n, said.Message)
	}
	return strait.Errorf(strait.Denied, "credentials", told+"The certificate's policy must allow iot:AssumeRoleWithCertificate on the role alias, and the role must trust credentials.iot.amazonaws.com%s",
		answer.StatusCode, said.Message, x.thingHint())
}

func (x *X509) thingHint() string {
	if x.thing == "" {
		return ""
	}
	return fmt.Sprintf("; the certificate must be attached to %s. %s", x.thing, hintIoT(x.url, x.thing))
}
