package sigv4_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"strait"
	"strait/identity/sigv4"
)

// AWS IoT's WebSocket: the SDKs put the token behind the signed URL, generic
// signers into it; services iotdevicegateway and iotdata; X-Amz-Expires may be
// absent (clients.md).
func TestWebSocket(t *testing.T) {
	o := sigv4.Options{Now: sdkTime, Services: []string{"iotdevicegateway", "iotdata"}, PayloadHash: sigv4.EmptyPayload, UnsignedToken: true}
	link := func(service, expires, token string) string {
		r, err := http.NewRequest("GET", "wss://iot.example.com/mqtt"+expires, nil)
		if err != nil {
			t.Fatal(err)
		}
		creds := aws.Credentials{AccessKeyID: sdkCredentials.AccessKeyID, SecretAccessKey: exampleSecret, SessionToken: token}
		signed, _, err := v4.NewSigner().PresignHTTP(context.Background(), creds, r, sigv4.EmptyPayload, service, "ap-northeast-1", sdkTime)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimPrefix(signed, "wss://iot.example.com")
	}
	handshake := func(target string) *sigv4.Claim {
		return read(t, wire(t, "GET "+target+" HTTP/1.1\nHost: iot.example.com\nUpgrade: websocket\nConnection: Upgrade\n\n"))
	}
	const token = "to+ken/with=all"
	for name, test := range map[string]struct {
		target string
		signed bool
		after  time.Duration
		thing  string
	}{
		"outside":            {link("iotdevicegateway", "", "") + "&X-Amz-Security-Token=" + url.QueryEscape(token), false, 0, ""},
		"outside, raw slash": {link("iotdata", "", "") + "&X-Amz-Security-Token=to%2Bken/with%3Dall", false, 0, ""},
		"inside":             {link("iotdata", "?X-Amz-Expires=86400", token), true, 0, ""},
		"no token":           {link("iotdata", "", ""), false, 0, ""},
		"a day":              {link("iotdata", "?X-Amz-Expires=86400", ""), false, 24 * time.Hour, ""},
		"over a day":         {link("iotdata", "?X-Amz-Expires=86400", ""), false, 25 * time.Hour, "expired request"},
		"no end: 15 minutes": {link("iotdata", "", ""), false, 16 * time.Minute, "skew"},
		"another service":    {link("s3", "", ""), false, 0, "scope"},
		"another parameter":  {link("iotdata", "", "") + "&x=y", false, 0, "signature"},
		"path":               {"/other" + strings.TrimPrefix(link("iotdata", "", ""), "/mqtt"), false, 0, "signature"},
	} {
		c := handshake(test.target)
		o := o
		o.Now = o.Now.Add(test.after)
		err := c.Verify(exampleSecret, o)
		if test.thing != "" {
			wantError(t, name, err, strait.Unauthenticated, test.thing)
			continue
		}
		if err != nil || c.TokenSigned != test.signed || c.Token != "" && c.Token != token {
			t.Errorf("%s: %v, signed %v, token %q", name, err, c.TokenSigned, c.Token)
		}
	}
	// Elsewhere a token outside the signature is refused.
	o.UnsignedToken = false
	c := handshake(link("iotdata", "", "") + "&X-Amz-Security-Token=x")
	wantError(t, "outside elsewhere", c.Verify(exampleSecret, o), strait.Unauthenticated, "signature")
	// Two tokens are never a choice.
	_, err := sigv4.Read(wire(t, "GET "+link("iotdata", "", token)+"&X-Amz-Security-Token=x HTTP/1.1\nHost: iot.example.com\n\n"))
	wantError(t, "two tokens", err, strait.Unauthenticated, "query")
}
