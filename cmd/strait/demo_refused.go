package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
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
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// refusedActs tries what is forbidden. Each is refused, and each refusal says
// which layer refused and which statement came nearest.
func (d *demo) refusedActs(ctx context.Context) error {
	d.tell.title("What is forbidden, and who says so")
	own, other := d.up.creds, d.topicCreds
	mine := demoThing + "/" + d.up.key
	for _, try := range []struct {
		what string
		do   func() (string, error)
	}{
		{"the device reads its own object back (neither role nor session lets it)", func() (string, error) {
			return d.wantDenied(ctx, "identity policy", request{method: "GET", key: mine, creds: own})
		}},
		{"the device writes below another thing's prefix", func() (string, error) {
			return d.wantDenied(ctx, "session policy", request{method: "PUT", key: "device01/x", creds: own, body: []byte("x")})
		}},
		{"the device publishes to another topic: its connection is closed", func() (string, error) { return d.otherTopic(ctx) }},
		{"a session policy wider than its role: AssumeRole succeeds, the role refuses the use", func() (string, error) { return d.widerThanRole(ctx) }},
		{"a tampered signature", func() (string, error) {
			return d.wantCode(ctx, "SignatureDoesNotMatch", request{method: "PUT", key: mine, creds: own, body: []byte("x"), change: func(r *http.Request) {
				a := r.Header.Get("Authorization")
				last := "0"
				if strings.HasSuffix(a, "0") {
					last = "1"
				}
				r.Header.Set("Authorization", a[:len(a)-1]+last)
			}})
		}},
		{"one session's key with another session's token", func() (string, error) {
			mixed := own
			mixed.SessionToken = other.SessionToken
			return d.wantCode(ctx, "InvalidToken", request{method: "PUT", key: mine, creds: mixed, body: []byte("x")})
		}},
		{"an expired token (the clock of server and client is moved on by 61 minutes)", func() (string, error) {
			d.offset.Add(int64(61 * time.Minute))
			defer d.offset.Add(-int64(61 * time.Minute))
			return d.wantCode(ctx, "ExpiredToken", request{method: "PUT", key: mine, creds: own, body: []byte("x")})
		}},
	} {
		if err := d.tell.mustRefuse(try.what, try.do); err != nil {
			return err
		}
	}
	return nil
}

// A request is one call of S3, signed by hand: the clock may have been moved.
type request struct {
	method, key string
	creds       aws.Credentials
	body        []byte
	change      func(*http.Request) // after signing
}

// An answer is what S3 said.
type answer struct {
	status        int
	code, message string
	decision      string
}

func (d *demo) web() (*http.Client, error) {
	pem, err := os.ReadFile(d.server.Ready().CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}, nil
}

func (d *demo) s3(ctx context.Context, q request) (answer, error) {
	web, err := d.web()
	if err != nil {
		return answer{}, err
	}
	r, err := http.NewRequestWithContext(ctx, q.method, d.url()+"/"+demoBucket+"/"+q.key, bytes.NewReader(q.body))
	if err != nil {
		return answer{}, err
	}
	sum := sha256.Sum256(q.body)
	hash := hex.EncodeToString(sum[:])
	r.Header.Set("X-Amz-Content-Sha256", hash)
	plain := func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }
	if err := v4.NewSigner().SignHTTP(ctx, q.creds, r, hash, "s3", d.server.Ready().Region, d.now(), plain); err != nil {
		return answer{}, err
	}
	if q.change != nil {
		q.change(r)
	}
	resp, err := web.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return answer{}, err
	}
	var e struct{ Code, Message string }
	if resp.StatusCode >= 300 {
		if err := xml.Unmarshal(text, &e); err != nil {
			return answer{}, fmt.Errorf("read S3's error: %w", err)
		}
	}
	return answer{resp.StatusCode, e.Code, e.Message, resp.Header.Get("X-Strait-Decision-Id")}, nil
}

// wantCode is for what fails before any policy is asked: the layer is the
// proof of who is calling.
func (d *demo) wantCode(ctx context.Context, code string, q request) (string, error) {
	a, err := d.s3(ctx, q)
	switch {
	case err != nil:
		return "", err
	case a.status < 300:
		return "", errNotRefused
	case a.code != code:
		return "", fmt.Errorf("want %s, got %s: %s", code, a.code, a.message)
	}
	return fmt.Sprintf("%s (%d), before any policy was asked: %s", a.code, a.status, firstSentence(a.message)), nil
}

func firstSentence(s string) string {
	if i := strings.Index(s, ". "); i > 0 {
		return s[:i+1]
	}
	return s
}

// wantDenied is for what a policy refuses.
func (d *demo) wantDenied(ctx context.Context, layer string, q request) (string, error) {
	a, err := d.s3(ctx, q)
	switch {
	case err != nil:
		return "", err
	case a.status < 300:
		return "", errNotRefused
	case a.code != "AccessDenied" || a.decision == "":
		return "", fmt.Errorf("want AccessDenied with a decision, got %s: %s", a.code, a.message)
	}
	return d.whoRefused(ctx, a.decision, layer)
}

// whoRefused reads a decision as anyone would, and tells layer and statement.
func (d *demo) whoRefused(ctx context.Context, id, layer string) (string, error) {
	raw, err := d.admin.Strait(ctx, "/_strait/decisions/"+url.PathEscape(id))
	if err != nil {
		return "", err
	}
	var dec decision
	if err := json.Unmarshal(raw, &dec); err != nil {
		return "", err
	}
	if dec.Layer != layer {
		return "", fmt.Errorf("want a refusal by the %s, got one by the %s: %s", layer, dec.Layer, dec.Because)
	}
	return dec.refusedBy(), nil
}

// refusedBy is the layer, and what the statements that came near said.
func (d *decision) refusedBy() string {
	lines := []string{fmt.Sprintf("by the %s: %s %s", d.Layer, d.Action, d.Because)}
	for line := range strings.Lines(d.Explanation) {
		if strings.HasPrefix(line, "- ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, "\n")
}

// lastRefusal waits for the refusal of an MQTT action: there is no answer that
// could name it.
func (d *demo) lastRefusal(ctx context.Context, action, layer string) (string, error) {
	recorder := d.server.Recorder()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		wake := recorder.Wait()
		rs := recorder.Records()
		for i := len(rs) - 1; i >= 0; i-- {
			if rs[i].Broken && string(rs[i].Action) == action {
				return d.whoRefused(ctx, rs[i].ID, layer)
			}
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return "", errors.New("no refusal of " + action + " was recorded")
		}
	}
}

// widerThanRole takes the role of the second pattern with a session policy
// that allows S3, which the role itself does not.
func (d *demo) widerThanRole(ctx context.Context) (string, error) {
	out, err := d.admin.STS.AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: aws.String(string(d.topicRole)), RoleSessionName: aws.String("wide"),
		Policy: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`),
	})
	if err != nil {
		return "", fmt.Errorf("AssumeRole must succeed here: %w", err)
	}
	c := out.Credentials
	return d.wantDenied(ctx, "identity policy", request{method: "PUT", key: "wide/x", body: []byte("x"), creds: aws.Credentials{
		AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken}})
}
