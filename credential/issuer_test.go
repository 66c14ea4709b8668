package credential_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"strait"
	"strait/credential"
)

// A clock that a test moves.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newClock() *clock { return &clock{time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

func open(t testing.TB, dir string, c *clock) *credential.Issuer {
	t.Helper()
	i, err := credential.Open(dir, c.now)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return i
}

func issue(t testing.TB, i *credential.Issuer, s credential.Session) strait.Credentials {
	t.Helper()
	creds, _, err := i.Issue(s)
	if err != nil {
		t.Fatalf("Issue: %v", err)
	}
	return creds
}

const uploadPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/device00/*"}]}`

func full(c *clock) credential.Session {
	return credential.Session{
		Kind: strait.AssumedRole, RoleID: "AROA2222222222222222", RoleARN: "arn:aws:iam::123456789012:role/a/b/s3-role",
		Name: "device00", Policy: uploadPolicy,
		PolicyARNs: []strait.ARN{"arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::123456789012:policy/x"},
		Tags:       map[string]string{"team": "blue", "Empty": "", "hex": "00ff"},
		Transitive: []string{"hex", "team"}, SourceIdentity: "someone",
		Context: map[string]string{"credentials-iot:ThingName": "device00", "credentials-iot:AwsCertificateId": strings.Repeat("0a", 32)},
		Trace:   "0123456789abcdef", Issued: c.t.Add(-1500 * time.Millisecond), Expires: c.t.Add(time.Hour), Chained: true,
	}
}

func refused(t testing.TB, what string, i *credential.Issuer, id, token string) {
	t.Helper()
	s, secret, err := i.Open(id, token)
	var e *strait.Error
	if !errors.As(err, &e) || e.Kind != strait.Unauthenticated || e.Thing != "token" {
		t.Fatalf("%s: Open: got error %v, want Unauthenticated token", what, err)
	}
	if secret != "" || !reflect.DeepEqual(s, credential.Session{}) {
		t.Fatalf("%s: Open returned something beside its error", what)
	}
}

func TestRoundTrip(t *testing.T) {
	c := newClock()
	i := open(t, t.TempDir(), c)
	least := credential.Session{Kind: strait.AssumedRole, RoleID: "AROA2", RoleARN: "arn:aws:iam::1:role/r", Name: "n", Issued: c.t, Expires: c.t.Add(time.Second)}
	for _, s := range []credential.Session{full(c), least} {
		creds, percent, err := i.Issue(s)
		if err != nil {
			t.Fatalf("Issue: %v", err)
		}
		if len(creds.AccessKeyID) != 20 || !strings.HasPrefix(creds.AccessKeyID, "ASIA") || len(creds.SecretAccessKey) != 40 {
			t.Fatalf("Issue: got key id %q and a secret of %d characters", creds.AccessKeyID, len(creds.SecretAccessKey))
		}
		if !creds.Expiration.Equal(s.Expires) || (percent == 0) != (s.Policy == "") {
			t.Fatalf("Issue: got expiration %v, %d %%", creds.Expiration, percent)
		}
		got, secret, err := i.Open(creds.AccessKeyID, creds.SessionToken)
		if err != nil || secret != creds.SecretAccessKey {
			t.Fatalf("Open: error %v, same secret %v", err, secret == creds.SecretAccessKey)
		}
		if !reflect.DeepEqual(got, s) {
			t.Fatalf("Open: got %+v\nwant %+v", got, s)
		}
	}
}

func TestOpenDoesNotJudgeExpiry(t *testing.T) {
	c := newClock()
	i := open(t, t.TempDir(), c)
	creds := issue(t, i, full(c))
	c.t = c.t.Add(100 * time.Hour)
	if s, _, err := i.Open(creds.AccessKeyID, creds.SessionToken); err != nil || s.Expires.After(c.t) {
		t.Fatalf("Open of an expired session: got %v, %v; want it, expired", s.Expires, err)
	}
}

func TestPrincipal(t *testing.T) {
	got := full(newClock()).Principal()
	want := strait.Principal{
		Kind: strait.AssumedRole, ARN: "arn:aws:sts::123456789012:assumed-role/s3-role/device00",
		RoleARN: "arn:aws:iam::123456789012:role/a/b/s3-role", ID: "AROA2222222222222222:device00", Name: "device00", Account: "123456789012",
	}
	if got != want {
		t.Fatalf("Principal: got %+v, want %+v", got, want)
	}
}

func TestTamper(t *testing.T) {
	c := newClock()
	i := open(t, t.TempDir(), c)
	creds := issue(t, i, full(c))
	for n := range len(creds.SessionToken) {
		for _, b := range []byte("Ab=\n\r+/ ") {
			token := []byte(creds.SessionToken)
			if token[n] != b {
				token[n] = b
				refused(t, fmt.Sprintf("byte %d of the token to %q", n, b), i, creds.AccessKeyID, string(token))
			}
		}
		refused(t, "newline put in", i, creds.AccessKeyID, creds.SessionToken[:n]+"\n"+creds.SessionToken[n:])
		refused(t, "cut off", i, creds.AccessKeyID, creds.SessionToken[:n])
	}
	for n := range len(creds.AccessKeyID) {
		id := []byte(creds.AccessKeyID)
		id[n] ^= 1
		refused(t, "key id", i, string(id), creds.SessionToken)
	}
	for _, tail := range []string{"A", "=", "\n", " ", "AAAA"} {
		refused(t, "tail", i, creds.AccessKeyID, creds.SessionToken+tail)
	}
	refused(t, "no token", i, creds.AccessKeyID, "")
	refused(t, "long", i, creds.AccessKeyID, strings.Repeat("A", credential.MaxToken+1))
	refused(t, "lower case", i, strings.ToLower(creds.AccessKeyID), creds.SessionToken)
}

// Attack: the holder of a narrow session puts its own key id or secret beside the
// token of a wide one. Verified: no mix opens, and no two secrets are the same,
// even for equal sessions.
func TestMixes(t *testing.T) {
	c := newClock()
	i := open(t, t.TempDir(), c)
	a, b := issue(t, i, full(c)), issue(t, i, full(c))
	refused(t, "id of a, token of b", i, a.AccessKeyID, b.SessionToken)
	refused(t, "id of b, token of a", i, b.AccessKeyID, a.SessionToken)
	if a.SecretAccessKey == b.SecretAccessKey || a.AccessKeyID == b.AccessKeyID {
		t.Fatal("two issues share a key id or a secret")
	}
	other := open(t, t.TempDir(), c)
	refused(t, "another house", other, a.AccessKeyID, a.SessionToken)
}

func TestRestart(t *testing.T) {
	c, dir := newClock(), filepath.Join(t.TempDir(), "data")
	creds := issue(t, open(t, dir, c), full(c))
	if _, secret, err := open(t, dir, c).Open(creds.AccessKeyID, creds.SessionToken); err != nil || secret != creds.SecretAccessKey {
		t.Fatalf("Open after restart: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "master-key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode of master-key: %v, %v; want 0600", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".master-key-*")); len(left) > 0 {
		t.Fatalf("temporary files left: %v", left)
	}
}

func TestFirstStartTwiceAtOnce(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	issuers := make([]*credential.Issuer, 8)
	var wg sync.WaitGroup
	for n := range issuers {
		wg.Go(func() { issuers[n], _ = credential.Open(dir, c.now) })
	}
	wg.Wait()
	creds := issue(t, issuers[0], full(c))
	for n, i := range issuers {
		if _, _, err := i.Open(creds.AccessKeyID, creds.SessionToken); err != nil {
			t.Fatalf("issuer %d has another key: %v", n, err)
		}
	}
}

func TestRotate(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	i := open(t, dir, c)
	old := issue(t, i, full(c))
	if err := i.Rotate(false); err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	fresh := issue(t, i, full(c))
	for name, i := range map[string]*credential.Issuer{"same": i, "restarted": open(t, dir, c)} {
		for _, creds := range []strait.Credentials{old, fresh} {
			if _, secret, err := i.Open(creds.AccessKeyID, creds.SessionToken); err != nil || secret != creds.SecretAccessKey {
				t.Fatalf("%s issuer after Rotate: %v", name, err)
			}
		}
	}

	// After the longest lifetime the old key is gone, at run time too.
	c.t = c.t.Add(credential.MaxLifetime + time.Second)
	refused(t, "retired key", i, old.AccessKeyID, old.SessionToken)
	refused(t, "retired key after restart", open(t, dir, c), old.AccessKeyID, old.SessionToken)
	if _, _, err := i.Open(fresh.AccessKeyID, fresh.SessionToken); err != nil {
		t.Fatalf("key in use: %v", err)
	}
}

func TestRotateInEmergency(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	i := open(t, dir, c)
	old := issue(t, i, full(c))
	if err := i.Rotate(true); err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	refused(t, "dropped key", i, old.AccessKeyID, old.SessionToken)
	refused(t, "dropped key after restart", open(t, dir, c), old.AccessKeyID, old.SessionToken)
	creds := issue(t, i, full(c))
	if _, _, err := open(t, dir, c).Open(creds.AccessKeyID, creds.SessionToken); err != nil {
		t.Fatalf("Open after emergency: %v", err)
	}
}

func TestOpenRefusesBadFiles(t *testing.T) {
	c := newClock()
	good := filepath.Join(t.TempDir())
	open(t, good, c)
	text, err := os.ReadFile(filepath.Join(good, "master-key"))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		text string
		mode os.FileMode
	}{
		"readable":    {string(text), 0o640},
		"empty":       {"", 0o600},
		"cut off":     {string(text[:len(text)/2]), 0o600},
		"no keys":     {`{"version":1,"keys":[]}`, 0o600},
		"version":     {strings.Replace(string(text), `"version": 1`, `"version": 2`, 1), 0o600},
		"short key":   {`{"version":1,"keys":[{"number":1,"key":"AAAA"}]}`, 0o600},
		"no number":   {strings.Replace(string(text), `"number": 1`, `"number": 0`, 1), 0o600},
		"none in use": {strings.Replace(string(text), `"number": 1`, `"retired": "2020-01-01T00:00:00Z", "number": 1`, 1), 0o600},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "master-key")
		if err := os.WriteFile(file, []byte(test.text), test.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, test.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := credential.Open(dir, c.now); err == nil {
			t.Errorf("%s: Open took it", name)
		}
		if now, _ := os.ReadFile(file); string(now) != test.text {
			t.Errorf("%s: Open changed the file", name)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	c := newClock()
	i := open(t, t.TempDir(), c)
	for name, test := range map[string]struct {
		change func(*credential.Session)
		kind   strait.Kind
		thing  string
	}{
		"kind":       {func(s *credential.Session) { s.Kind = strait.User }, strait.Invalid, "session"},
		"no role id": {func(s *credential.Session) { s.RoleID = "" }, strait.Invalid, "session"},
		"no name":    {func(s *credential.Session) { s.Name = "" }, strait.Invalid, "session"},
		"no end":     {func(s *credential.Session) { s.Expires = time.Time{} }, strait.Invalid, "session"},
		"too long":   {func(s *credential.Session) { s.Expires = s.Issued.Add(credential.MaxLifetime + time.Second) }, strait.Invalid, "session"},
		"late": {func(s *credential.Session) {
			s.Issued = c.t.Add(time.Hour)
			s.Expires = s.Issued.Add(credential.MaxLifetime)
		}, strait.Invalid, "session"},
		"transitive":  {func(s *credential.Session) { s.Transitive = []string{"nobody"} }, strait.Invalid, "session"},
		"big context": {func(s *credential.Session) { s.Context["x"] = strings.Repeat("y", credential.MaxToken) }, strait.Invalid, "session"},
		"packed":      {func(s *credential.Session) { s.Tags["x"] = distinct(4000) }, strait.TooLarge, "packed policy"},
		"huge":        {func(s *credential.Session) { s.Policy = strings.Repeat(" ", 70<<10) }, strait.TooLarge, "packed policy"},
	} {
		s := full(c)
		test.change(&s)
		creds, _, err := i.Issue(s)
		var e *strait.Error
		if !errors.As(err, &e) || e.Kind != test.kind || e.Thing != test.thing || creds != (strait.Credentials{}) {
			t.Errorf("%s: Issue: got %v, want %v %q", name, err, test.kind, test.thing)
		}
	}
}

// distinct returns n characters that deflate badly.
func distinct(n int) string {
	out, x := make([]byte, n), uint32(1)
	for i := range out {
		x = x*1664525 + 1013904223
		out[i] = 33 + byte(x>>24)%94
	}
	return string(out)
}

// The X.509 provider of aws-c-auth rejects an answer over 2,048 bytes
// (iot-shadow-and-data.md section 7).
func TestX509AnswerFits(t *testing.T) {
	c := newClock()
	i := open(t, t.TempDir(), c)
	s := credential.Session{
		Kind: strait.AssumedRole, RoleID: "AROA2222222222222222",
		RoleARN: strait.ARN("arn:aws:iam::123456789012:role/" + distinct(511) + "/" + distinct(64)),
		Name:    strings.Repeat("0123456789abcdef", 4),
		Context: map[string]string{
			"credentials-iot:ThingName": distinct(128), "credentials-iot:ThingTypeName": distinct(128),
			"credentials-iot:AwsCertificateId": strings.Repeat("0123456789abcdef", 4),
		},
		Trace: strings.Repeat("0123456789abcdef", 2), Expires: c.t.Add(credential.MaxLifetime),
	}
	creds := issue(t, i, s)
	answer, err := json.Marshal(map[string]any{"credentials": map[string]string{
		"accessKeyId": creds.AccessKeyID, "secretAccessKey": creds.SecretAccessKey,
		"sessionToken": creds.SessionToken, "expiration": creds.Expiration.Format(time.RFC3339),
	}})
	if err != nil || len(answer) > 2048 {
		t.Fatalf("answer: %d bytes, %v; want at most 2048", len(answer), err)
	}
	t.Logf("worst answer: %d bytes", len(answer))
	// P1's own token: what a device must hold.
	p1 := issue(t, i, credential.Session{
		Kind: s.Kind, RoleID: s.RoleID, RoleARN: "arn:aws:iam::123456789012:role/s3-role", Name: "device00",
		Policy: uploadPolicy, Trace: s.Trace, Expires: c.t.Add(time.Hour), Chained: true,
	})
	t.Logf("P1's token: %d characters", len(p1.SessionToken))
	if len(p1.SessionToken) > 400 {
		t.Errorf("P1's token: %d characters, want at most 400", len(p1.SessionToken))
	}
}

// A session policy of 2,048 characters, the most that STS takes as text, fits.
func TestLongestPolicyFits(t *testing.T) {
	c := newClock()
	i := open(t, t.TempDir(), c)
	s := full(c)
	s.Policy = distinct(2048)
	s.PolicyARNs, s.Tags, s.Transitive = nil, nil, nil
	creds, percent, err := i.Issue(s)
	if err != nil || percent < 80 || percent > 100 {
		t.Fatalf("Issue: %d %%, %v", percent, err)
	}
	if got, _, err := i.Open(creds.AccessKeyID, creds.SessionToken); err != nil || got.Policy != s.Policy {
		t.Fatalf("Open: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	c := newClock()
	i := open(f, f.TempDir(), c)
	creds := issue(f, i, full(c))
	f.Add(uint16(0), uint8(0), "A", "")
	f.Add(uint16(9), uint8(0), "\n", creds.SessionToken)
	f.Add(uint16(30), uint8(2), "", creds.AccessKeyID)
	f.Fuzz(func(t *testing.T, at uint16, cut uint8, with, any string) {
		token := creds.SessionToken
		from := int(at) % (len(token) + 1)
		to := min(from+int(cut), len(token))
		if changed := token[:from] + with + token[to:]; changed != token {
			refused(t, "changed", i, creds.AccessKeyID, changed)
		}
		if any != token {
			refused(t, "any text", i, creds.AccessKeyID, any)
		}
		if any != creds.AccessKeyID {
			refused(t, "any key id", i, any, token)
		}
	})
}

// Whatever Issue takes, Open returns.
func FuzzRoundTrip(f *testing.F) {
	c := newClock()
	i := open(f, f.TempDir(), c)
	f.Add("name", uploadPolicy, "arn:aws:iam::aws:policy/x", "key", "value", int64(60), true)
	f.Add("00ff", "", "", "", "00", int64(1), false)
	f.Fuzz(func(t *testing.T, name, policy, arn, key, value string, seconds int64, chained bool) {
		s := full(c)
		s.Name, s.Policy, s.Chained = name, policy, chained
		s.PolicyARNs = []strait.ARN{strait.ARN(arn), "x"}
		s.Tags, s.Transitive = map[string]string{key: value, "a" + key: value}, []string{key}
		s.Context = map[string]string{key: name}
		s.Expires = c.t.Add(time.Duration(seconds%40000) * time.Second)
		creds, _, err := i.Issue(s)
		if err != nil {
			return
		}
		got, secret, err := i.Open(creds.AccessKeyID, creds.SessionToken)
		if err != nil || secret != creds.SecretAccessKey || !reflect.DeepEqual(got, s) {
			t.Fatalf("Open: got %+v, %v\nwant %+v", got, err, s)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	c := newClock()
	i := open(b, b.TempDir(), c)
	creds := issue(b, i, full(c))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := i.Open(creds.AccessKeyID, creds.SessionToken); err != nil {
			b.Fatal(err)
		}
	}
}
