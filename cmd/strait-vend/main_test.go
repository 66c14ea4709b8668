package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
)

// fakeAWS is a server that speaks as much STS and IoT Data as this command needs.
type fakeAWS struct {
	assumed url.Values
	path    string
	body    []byte
	auth    string
	date    string
	signed  map[string]string
	fail    int
	tries   int
}

func (a *fakeAWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.URL.Path == "/" {
		a.assumed, _ = url.ParseQuery(string(body))
		if a.fail == 403 {
			w.WriteHeader(403)
			io.WriteString(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>`)
			return
		}
		io.WriteString(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIANEW</AccessKeyId><SecretAccessKey>new</SecretAccessKey><SessionToken>tok</SessionToken><Expiration>2033-05-18T03:33:20Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`)
		return
	}
	a.tries++
	if a.fail > 0 && a.fail < 10 {
		a.fail--
		w.WriteHeader(500)
		return
	}
	a.path, a.body, a.auth, a.date = r.RequestURI, body, r.Header.Get("Authorization"), r.Header.Get("X-Amz-Date")
	a.signed = map[string]string{"host": r.Host, "content-length": fmt.Sprint(len(body)), "content-type": r.Header.Get("Content-Type"), "x-amz-date": a.date, "x-amz-security-token": r.Header.Get("X-Amz-Security-Token")}
	io.WriteString(w, `{"message":"OK"}`)
}

// expect computes the signature on its own, with the path escaped twice.
func (a *fakeAWS) expect(path string) string {
	m := regexp.MustCompile(`Credential=AKIDX/(\S+), SignedHeaders=(\S+),`).FindStringSubmatch(a.auth)
	if m == nil {
		return "no authorization"
	}
	text := "POST\n" + path + "\nqos=1\n"
	for _, h := range strings.Split(m[2], ";") {
		text += h + ":" + a.signed[h] + "\n"
	}
	text += "\n" + m[2] + "\n" + fmt.Sprintf("%x", sha256.Sum256(a.body))
	text = "AWS4-HMAC-SHA256\n" + a.date + "\n" + m[1] + "\n" + fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	key := []byte("AWS4" + "own-secret")
	for _, part := range append(strings.Split(m[1], "/"), text) {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	return hex.EncodeToString(key)
}

func start(t *testing.T) *fakeAWS {
	a := &fakeAWS{}
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	for k, v := range map[string]string{"AWS_ENDPOINT_URL": srv.URL, "AWS_REGION": "ap-northeast-1", "AWS_ACCESS_KEY_ID": "AKIDX", "AWS_SECRET_ACCESS_KEY": "own-secret",
		"AWS_SESSION_TOKEN": "own-token", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_CA_BUNDLE": "",
		"AWS_ENDPOINT_URL_STS": "", "AWS_ENDPOINT_URL_IOT_DATA_PLANE": "", "AWS_PROFILE": "", "AWS_MAX_ATTEMPTS": "1",
		"STRAIT_VEND_ROLE_ARN": "arn:aws:iam::123456789012:role/s3-role", "STRAIT_VEND_BUCKET": "bucket"} {
		t.Setenv(k, v)
	}
	return a
}

func vendOnce(t *testing.T, event string) error {
	t.Helper()
	v, err := newVendor(context.Background(), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Vend(context.Background(), []byte(event))
	return err
}

func TestThroughTheWire(t *testing.T) {
	a := start(t)
	a.fail = 1 // once
	if err := vendOnce(t, `{"name":"device:00"}`); err != nil {
		t.Fatal(err)
	}
	if a.assumed.Get("RoleSessionName") != "device=3A00" || !strings.Contains(a.assumed.Get("Policy"), "arn:aws:s3:::bucket/device:00/*") || a.assumed.Get("DurationSeconds") != "3600" {
		t.Errorf("AssumeRole: got %v", a.assumed)
	}
	if a.path != "/topics/device:00%2Ftoken%2Fres?qos=1" || a.tries != 2 {
		t.Errorf("publish: got %s after %d tries", a.path, a.tries)
	}
	want := a.expect("/topics/device%3A00%252Ftoken%252Fres")
	if !strings.HasSuffix(a.auth, "Signature="+want) || !strings.Contains(a.auth, "/ap-northeast-1/iotdata/aws4_request") {
		t.Errorf("signature: got %s, want %s", a.auth, want)
	}
	var reply map[string]any
	if err := json.Unmarshal(a.body, &reply); err != nil || reply["AccessKeyId"] != "ASIANEW" || reply["Prefix"] != "device:00/" {
		t.Errorf("reply: got %s", a.body)
	}
}

func TestDenied(t *testing.T) {
	a := start(t)
	a.fail = 403
	if err := vendOnce(t, `{"name":"d","clientToken":"t"}`); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(string(a.body), `"code":"AccessDenied"`) || !strings.Contains(string(a.body), `"clientToken":"t"`) {
		t.Errorf("reply: got %s", a.body)
	}
}
