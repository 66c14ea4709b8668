package api_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"strait/api"
)

// TestPostPolicyShape: a policy is read by the exact names that it has, and each
// of its conditions says one thing.
func TestPostPolicyShape(t *testing.T) {
	const good = `{"expiration": "2100-01-01T00:00:00Z", "conditions": [{"bucket": "b"}, ["eq", "$key", "k"]]}`
	check := func(text string) error {
		return api.CheckPost(base64.StdEncoding.EncodeToString([]byte(text)), "b", map[string]string{"key": "k"}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	if err := check(good); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ old, new, why string }{
		{`"conditions"`, `"CONDITIONS"`, `Unexpected: "CONDITIONS"`},
		{`"expiration"`, `"Expiration"`, `Unexpected: "Expiration"`},
		{`"conditions"`, `"conditions": [], "more"`, `Unexpected: "more"`},
		{`"expiration": "2100-01-01T00:00:00Z", `, ``, `Invalid 'expiration' value`},
		{`"2100-01-01T00:00:00Z"`, `5`, `Invalid JSON`},
		{`[{"bucket"`, `{}, [{"bucket"`, `Invalid JSON`},
		{`]]}`, `]]} {}`, `Invalid JSON`},
		{`, "conditions": [{"bucket": "b"}, ["eq", "$key", "k"]]`, ``, `Policy missing conditions.`},
		{`[{"bucket": "b"}, ["eq", "$key", "k"]]`, `null`, `Policy missing conditions.`},
		{`{"bucket": "b"}`, `{}`, `exactly one property`},
		{`{"bucket": "b"}`, `{"bucket": "b", "key": "k"}`, `exactly one property`},
	} {
		if err := check(strings.Replace(good, x.old, x.new, 1)); err == nil || !strings.Contains(err.Error(), x.why) {
			t.Errorf("%s for %s: got %v, want %q", x.new, x.old, err, x.why)
		}
	}
}
