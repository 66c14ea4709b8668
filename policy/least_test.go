package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"strait"
	"strait/policy"
)

// checkLeast records requests, some allowed and some refused, and looks at the
// least policy: it allows what was needed, nothing that was refused, and, where
// it did not have to gather, nothing else at all.
func checkLeast(t *testing.T, d *dice) {
	actions := []string{"s3:PutObject", "s3:GetObject", "iot:Publish", "S3:putobject"}
	many := d.in(4)
	var needed, refused []policy.Request
	seen := map[string]bool{}
	ask := func() policy.Request {
		r := policy.Request{Principal: principal(t, "session"), Action: strait.Action(d.of(actions...)), Resource: strait.ARN(d.of(diceAsked...))}
		if many || d.in(3) {
			r.Resource = strait.ARN(fmt.Sprintf("arn:aws:s3:::bucket/%s/%d/%s", d.of("a", "b", "${x}"), d.n(6), strings.Repeat(d.of("k", "l*", "mm?"), 1+d.n(9))))
		}
		return r
	}
	key := func(r policy.Request) string { return strings.ToLower(string(r.Action)) + " " + string(r.Resource) }
	for range d.n(60) {
		r := ask()
		needed = append(needed, r)
		seen[key(r)] = true
	}
	for range d.n(10) {
		if r := ask(); !seen[key(r)] && !seen[strings.ToLower(string(r.Action))+" *"] {
			refused = append(refused, r)
		}
	}
	kind := []policy.Kind{policy.Identity, policy.Session, policy.IoT, policy.Bucket}[d.n(4)]
	text := policy.Least(kind, needed, refused...)
	if text == "" {
		return // nothing needed that a policy can say
	}
	doc := parse(t, kind, "least", text)
	var set policy.Set
	_, list := place(&set, kind.Layer())
	*list = []*policy.Document{doc}
	allowed := func(r policy.Request) bool {
		s := set
		switch kind {
		case policy.IoT:
			r.Principal = principal(t, "cert")
		case policy.Session:
			s.Identity = []*policy.Document{parse(t, policy.Identity, "all", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)}
		}
		return s.Allowed(r)
	}
	writable := func(r policy.Request) bool { return true }
	exact := policy.CheckSize(kind, policy.Least(policy.Bucket, needed)) == nil && !strings.Contains(text, "/*\"")
	for _, r := range needed {
		if writable(r) && !allowed(r) {
			t.Fatalf("%s on %s is needed and refused by %s", r.Action, r.Resource, text)
		}
	}
	for _, r := range refused {
		if allowed(r) {
			t.Fatalf("%s on %s was refused and is allowed by %s", r.Action, r.Resource, text)
		}
	}
	for range 20 {
		if r := ask(); exact && allowed(r) && !seen[key(r)] && !seen[strings.ToLower(string(r.Action))+" *"] {
			t.Fatalf("%s on %s was never needed and is allowed by %s", r.Action, r.Resource, text)
		}
	}
}

func TestLeastIsLeast(t *testing.T) {
	for seed := range throws(700) {
		checkLeast(t, roll(seed, 400))
	}
}

func FuzzLeast(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(roll(seed, 400).bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkLeast(t, &dice{b}) })
}

func TestLeast(t *testing.T) {
	ask := func(who, action, resource string) policy.Request {
		return policy.Request{Principal: principal(t, who), Action: strait.Action(action), Resource: strait.ARN(resource)}
	}
	rule := ask("service:iot.amazonaws.com", "lambda:InvokeFunction", "arn:aws:lambda:r:123456789012:function:f")
	rule.Context = policy.Context{"aws:sourcearn": {"arn:aws:iot:r:123456789012:rule/x"}, "aws:sourceaccount": {account}}
	var long []policy.Request
	for i := range 200 {
		long = append(long, ask("session", "s3:PutObject", fmt.Sprintf("arn:aws:s3:::bucket/device00/2026/%d", i)))
	}
	for _, c := range []struct {
		name   string
		kind   policy.Kind
		needed []policy.Request
		want   string
	}{
		{"nothing", policy.Identity, nil, ""},
		{"together", policy.Identity, []policy.Request{
			ask("session", "s3:PutObject", "arn:aws:s3:::b/k"), ask("session", "s3:GetObject", "arn:aws:s3:::b/k"), ask("session", "s3:PutObject", "arn:aws:s3:::b/k"),
			ask("session", "s3:ListBucket", "arn:aws:s3:::b"),
		}, `[{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::b/k"},{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b"}]`},
		{"literal", policy.IoT, []policy.Request{ask("cert", "iot:Publish", topic+"a*")}, `[{"Effect":"Allow","Action":"iot:Publish","Resource":"` + topic + `a${*}"}]`},
		{"service", policy.Function, []policy.Request{rule}, `[{"Effect":"Allow","Principal":{"Service":"iot.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:r:123456789012:function:f","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:iot:r:123456789012:rule/x"},"StringEquals":{"aws:SourceAccount":"123456789012"}}}]`},
		{"trust", policy.Trust, []policy.Request{ask("fn", "sts:AssumeRole", "arn:aws:iam::123456789012:role/r")}, `[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/create-token"},"Action":"sts:AssumeRole"}]`},
		{"gathered", policy.Session, long, `[{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/device00/2026/*"}]`},
	} {
		got := policy.Least(c.kind, c.needed)
		if c.want != "" {
			c.want = `{"Version":"2012-10-17","Statement":` + c.want + `}`
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	got := policy.Least(policy.Session, long, ask("session", "s3:PutObject", "arn:aws:s3:::bucket/device00/2026/no"))
	if strings.Contains(got, "*") {
		t.Errorf("a folder in which one was refused is gathered: %s", got)
	}
}

func TestBatch(t *testing.T) {
	const (
		putAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/*"}]}`
		narrow = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/device00/*"}]}`
		trust  = `{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/create-token"},"Action":"sts:AssumeRole"}}`
		lambda = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"iot.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:iot:*:*:rule/x"}}}}`
		device = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/${iot:ClientId}"}}`
	)
	session := `"principal":"arn:aws:sts::123456789012:assumed-role/r/s","action":"s3:PutObject","resource":"arn:aws:s3:::bucket/device01/x"`
	var b policy.Batch
	for _, c := range []struct{ name, line, want, layer string }{
		{"identity", `{` + session + `,"identity":[` + putAll + `],"session":null}`, "allow", "identity policy"},
		{"session", `{` + session + `,"identity":[` + putAll + `],"session":[` + narrow + `]}`, "implicitDeny", "session policy"},
		{"empty session", `{` + session + `,"identity":[` + putAll + `],"session":[]}`, "implicitDeny", "session policy"},
		{"text", `{` + session + `,"identity":[` + policy.Quote(putAll) + `]}`, "allow", "identity policy"},
		{"boundary", `{` + session + `,"identity":[` + putAll + `],"boundary":` + narrow + `}`, "implicitDeny", "permissions boundary"},
		{"trust", `{"principal":"arn:aws:iam::123456789012:role/create-token","action":"sts:AssumeRole","resource":"arn:aws:iam::123456789012:role/r","resource_policy":` + trust + `}`, "allow", "trust policy"},
		{"no trust", `{"principal":"arn:aws:iam::123456789012:role/create-token","action":"sts:AssumeRole","resource":"arn:aws:iam::123456789012:role/r"}`, "implicitDeny", "trust policy"},
		{"service", `{"principal":"iot.amazonaws.com","action":"lambda:InvokeFunction","resource":"arn:aws:lambda:r:1:function:f","context":{"aws:SourceArn":"arn:aws:iot:r:1:rule/x"},"resource_policy":` + lambda + `}`, "allow", "resource policy"},
		{"certificate", ` { "principal":"arn:aws:iot:r:123456789012:cert/abc" , "action":"iot:Publish","resource":"arn:aws:iot:r:1:topic/a","context":{"iot:ClientId":["a"]},"iot":[ ` + device + ` ], "expect":"allow"}`, "allow", "iot policy"},
	} {
		for range 2 { // parsed, and from the cache
			a, err := b.Line(c.line)
			if err != nil || a.Decision != c.want || a.Layer != c.layer || len(a.Reasons) == 0 || a.Differs {
				t.Errorf("%s: got %+v, %v; want %s by %s", c.name, a, err, c.want, c.layer)
			}
		}
	}
	if a, err := b.Line(`{` + session + `,"expect":"allow"}`); err != nil || !a.Differs {
		t.Errorf("a false expectation: got %+v, %v", a, err)
	}
	for _, line := range []string{
		``, `[]`, `{`, `{}`, `{` + session, `{` + session + `} x`, `{` + session + `,}`, `{` + session + `,"identity":[` + putAll + `}`, `{` + session + `,"identity":[{}]}`,
		`{` + session + `,"identitty":[]}`, `{` + session + `,"expect":"yes"}`, `{` + session + `,"action":"s3:GetObject"}`, `{` + session + `,"context":{"a":[{}]}}`,
		`{` + session + `,"context":{"a":"1","A":"2"}}`, `{"principal":"me","action":"s3:PutObject"}`, `{"principal":"anonymous","action":"PutObject"}`, `{` + session + `,"session":5}`,
	} {
		if a, err := b.Line(line); err == nil {
			t.Errorf("%s: got %+v, want an error", line, a)
		}
	}
}

// What is no line gives an error, never a panic, and a line gives the same
// answer from the cache and to whoever decides by himself.
func FuzzBatch(f *testing.F) {
	f.Add(`{"principal":"arn:aws:sts::123456789012:assumed-role/r/s","action":"s3:PutObject","resource":"arn:aws:s3:::b/k","context":{"aws:username":["a"]},"identity":[{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}],"session":null}`)
	f.Add(`{"principal":"iot.amazonaws.com","action":"sts:AssumeRole","resource_policy":"{}","expect":"allow"}`)
	f.Fuzz(func(t *testing.T, line string) {
		var b policy.Batch
		one, err := b.Line(line)
		two, again := b.Line(line)
		if (err == nil) != (again == nil) || one.Decision != two.Decision || one.Layer != two.Layer {
			t.Fatalf("twice: %+v %v, %+v %v", one, err, two, again)
		}
		if err == nil && !json.Valid([]byte(line)) {
			t.Fatalf("taken, and no JSON: %s", line)
		}
	})
}

func BenchmarkBatch(b *testing.B) {
	line := `{"principal":"arn:aws:sts::123456789012:assumed-role/s3-role/device00","action":"s3:PutObject","resource":"arn:aws:s3:::bucket/device01/x","context":{"aws:SourceIp":["10.0.0.1"]},"identity":[{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/*"}]}],"session":[{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/device00/*"}]}],"expect":"implicitDeny"}`
	var batch policy.Batch
	b.ReportAllocs()
	for b.Loop() {
		if a, err := batch.Line(line); err != nil || a.Differs {
			b.Fatal(a, err)
		}
	}
}
