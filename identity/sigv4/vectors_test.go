package sigv4_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strait/identity/sigv4"
)

// vectorsDir is beside the repository, not in it: the data are another project's.
const vectorsDir = "../../../shared/vectors/sigv4"

type vector struct {
	Credentials struct {
		AccessKeyID     string `json:"access_key_id"`
		SecretAccessKey string `json:"secret_access_key"`
		Token           string `json:"token"`
	} `json:"credentials"`
	Region, Service string
	Timestamp       time.Time
	OmitToken       bool `json:"omit_session_token"`
}

func TestVectors(t *testing.T) {
	cases, _ := filepath.Glob(filepath.Join(vectorsDir, "*", "context.json"))
	if len(cases) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatalf("NO VECTORS in %s: Signature V4 IS NOT CHECKED against the official suite", vectorsDir)
		}
		t.Skipf("NO VECTORS in %s: Signature V4 IS NOT CHECKED against the official suite", vectorsDir)
	}
	for _, file := range cases {
		dir := filepath.Dir(file)
		for _, form := range []string{"header", "query"} {
			t.Run(filepath.Base(dir)+"/"+form, func(t *testing.T) { testVector(t, dir, form) })
		}
	}
	t.Logf("%d cases in two forms", len(cases))
}

func testVector(t *testing.T, dir, form string) {
	text, err := os.ReadFile(filepath.Join(dir, "context.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	request, err := os.ReadFile(filepath.Join(dir, form+"-signed-request.txt"))
	if err != nil {
		t.Fatal(err)
	}
	r, body := parseVector(string(request))
	sum := sha256.Sum256([]byte(body))
	o := sigv4.Options{
		Now: v.Timestamp, Services: []string{v.Service}, Regions: []string{v.Region},
		PayloadHash: hex.EncodeToString(sum[:]), UnsignedToken: v.OmitToken,
	}
	c := read(t, r)
	if c.AccessKeyID != v.Credentials.AccessKeyID || c.Token != v.Credentials.Token || !c.SignedAt.Equal(v.Timestamp) {
		t.Fatalf("Read: got %v, token %q, at %v", c, c.Token, c.SignedAt)
	}
	if err := c.Verify(v.Credentials.SecretAccessKey, o); err != nil {
		t.Fatalf("Verify: %v", err)
	}
	if want := v.Credentials.Token != "" && !v.OmitToken; c.TokenSigned != want {
		t.Errorf("TokenSigned: got %v, want %v", c.TokenSigned, want)
	}
	if err := c.Verify(v.Credentials.SecretAccessKey+"x", o); err == nil {
		t.Error("Verify took another secret")
	}
	o.PayloadHash = hashHex(body + "x")
	if err := c.Verify(v.Credentials.SecretAccessKey, o); err == nil {
		t.Error("Verify took another body")
	}
}

// parseVector reads what net/http does not: paths with spaces and raw UTF-8.
func parseVector(text string) (*http.Request, string) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	first := lines[0]
	r := &http.Request{Method: first[:strings.Index(first, " ")], Header: http.Header{}, ContentLength: int64(len(body))}
	r.RequestURI = first[strings.Index(first, " ")+1 : strings.LastIndex(first, " ")]
	name := ""
	for _, line := range lines[1:] {
		if strings.HasPrefix(line, " ") { // a value goes on
			all := r.Header[name]
			all[len(all)-1] += " " + strings.TrimSpace(line)
			continue
		}
		var value string
		name, value, _ = strings.Cut(line, ":")
		name = http.CanonicalHeaderKey(name)
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	return r, strings.TrimSuffix(body, "\n")
}
