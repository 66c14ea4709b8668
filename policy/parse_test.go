package policy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"strait"
	"strait/policy"
)

const good = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}]}`

func TestParseRefuses(t *testing.T) {
	st := func(fields string) string { return `{"Version":"2012-10-17","Statement":{` + fields + `}}` }
	const ok, trust = `"Effect":"Allow","Action":"s3:Get*","Resource":"*"`, `"Effect":"Allow","Action":"sts:AssumeRole"`
	const syntax = "Syntax errors in policy."
	for _, c := range []struct {
		name    string
		kind    policy.Kind
		text    string
		message string
		line    int
	}{
		{"empty", policy.Identity, ``, syntax, 1},
		{"no JSON", policy.Identity, `Hello`, syntax, 1},
		{"junk after", policy.Identity, good + "x", syntax, 1},
		{"second value", policy.Identity, good + "\n{}", syntax, 2},
		{"same key", policy.Identity, "{\"Version\":\"2012-10-17\",\n\"Version\":\"2008-10-17\",\"Statement\":[]}", syntax, 2},
		{"same key by escape", policy.Identity, st(ok + `,"Eff\u0065ct":"Deny"`), syntax, 1},
		{"same condition key", policy.Identity, st(ok + `,"Condition":{"Bool":{"aws:a":"1","aws:a":"2"}}`), syntax, 1},
		{"trailing comma", policy.Identity, st(ok + `,`), syntax, 1},
		{"bad UTF-8", policy.Identity, st(ok + ",\"Sid\":\"\xff\""), syntax, 1},
		{"lone surrogate", policy.Identity, st(ok + `,"Sid":"\ud800"`), syntax, 1},
		{"too deep", policy.Identity, strings.Repeat("[", 1000), syntax, 1},
		{"too long", policy.Identity, strings.Repeat(" ", policy.MaxText+1), syntax, 1},
		{"list", policy.Identity, `[]`, syntax, 1},
		{"Version", policy.Identity, `{"Version":"2012-10-18","Statement":[]}`, syntax, 1},
		{"unknown element", policy.Identity, `{"Statements":[]}`, syntax, 1},
		{"unknown element of a statement", policy.Identity, st(ok + `,"Resources":"*"`), syntax, 1},
		{"case of an element", policy.Identity, st(`"effect":"Allow","Action":"s3:*","Resource":"*"`), syntax, 1},
		{"Effect", policy.Identity, st(`"Effect":"allow","Action":"s3:*","Resource":"*"`), syntax, 1},
		{"no statement", policy.Identity, `{"Version":"2012-10-17","Statement":[]}`, syntax, 1},
		{"operator", policy.Identity, st(ok + `,"Condition":{"StringMatches":{"a":"b"}}`), syntax, 1},
		{"NullIfExists", policy.Identity, st(ok + `,"Condition":{"NullIfExists":{"a":"true"}}`), syntax, 1},
		{"operator case", policy.Identity, st(ok + `,"Condition":{"stringequals":{"a":"b"}}`), syntax, 1},
		{"null value", policy.Identity, st(ok + `,"Condition":{"StringEquals":{"a":null}}`), syntax, 1},
		{"both actions", policy.Identity, st(ok + `,"NotAction":"s3:*"`), syntax, 1},
		{"no action", policy.Identity, st(`"Effect":"Allow","Resource":"*"`), "Policy statement must contain actions.", 1},
		{"no resource", policy.Identity, st(`"Effect":"Allow","Action":"s3:*"`), "Policy statement must contain resources.", 1},
		{"empty resource", policy.Identity, st(`"Effect":"Allow","Action":"s3:*","Resource":[]`), "Policy statement must contain resources.", 1},
		{"principal", policy.Identity, st(ok + `,"Principal":"*"`), "Policy document should not specify a principal.", 1},
		{"vendor", policy.Identity, st(`"Effect":"Allow","Action":"PutObject","Resource":"*"`), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.", 1},
		{"wild vendor", policy.Identity, st(`"Effect":"Allow","Action":"s*:Put","Resource":"*"`), "The policy failed legacy parsing", 1},
		{"no ARN", policy.Session, st(`"Effect":"Allow","Action":"s3:*","Resource":"bucket/*"`), `Resource bucket/* must be in ARN format or "*".`, 1},
		{"wild service", policy.Session, st(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:*:::x"`), `Resource arn:aws:*:::x must be in ARN format or "*".`, 1},
		{"partition", policy.Identity, st(`"Effect":"Allow","Action":"s3:*","Resource":"arn:x:s3:::b"`), `Partition "x" is not valid for resource "arn:x:s3:::b".`, 1},
		{"same Sid", policy.Identity, `{"Statement":[{"Sid":"a",` + ok + "},\n{\"Sid\":\"a\"," + ok + `}]}`, "Statement IDs (SID) in a single policy must be unique.", 2},

		{"trust: no JSON", policy.Trust, `{`, "This policy contains invalid Json", 1},
		{"trust: Version", policy.Trust, `{"Version":"1","Statement":[]}`, "The policy must contain a valid version string", 1},
		{"trust: no statement", policy.Trust, `{"Version":"2012-10-17"}`, "Could not parse the policy: Statement is empty!", 1},
		{"trust: no Effect", policy.Trust, st(`"Action":"sts:AssumeRole","Principal":"*"`), "Missing required field Effect", 1},
		{"trust: Effect", policy.Trust, st(`"Effect":"X","Action":"sts:AssumeRole","Principal":"*"`), "Invalid effect: X", 1},
		{"trust: no Principal", policy.Trust, st(trust), "Missing required field Principal", 1},
		{"trust: empty Principal", policy.Trust, st(trust + `,"Principal":{}`), "Missing required field Principal cannot be empty!", 1},
		{"trust: Principal type", policy.Trust, st(trust + `,"Principal":"arn:aws:iam::123456789012:root"`), "Principal must be a JSON object.", 1},
		{"trust: wildcard in Principal", policy.Trust, st(trust + `,"Principal":{"AWS":"arn:aws:iam::123456789012:role/*"}`), `Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:role/*"`, 1},
		{"trust: Principal kind", policy.Trust, st(trust + `,"Principal":{"Aws":"123456789012"}`), `Invalid principal in policy: "Aws":"123456789012"`, 1},
		{"trust: NotPrincipal", policy.Trust, st(`"Effect":"Deny","Action":"sts:AssumeRole","NotPrincipal":{"AWS":"123456789012"}`), "AssumeRole policy must not contain NotPrincipal field.", 1},
		{"trust: Allow NotPrincipal", policy.Trust, st(trust + `,"NotPrincipal":{"AWS":"123456789012"}`), "Allow with NotPrincipal is not allowed.", 1},
		{"trust: Action", policy.Trust, st(`"Effect":"Allow","Action":"s3:*","Principal":"*"`), "AssumeRole policy may only specify STS AssumeRole actions.", 1},
		{"trust: no Action", policy.Trust, st(`"Effect":"Allow","Principal":"*"`), "Missing required field Action", 1},
		{"trust: Resource", policy.Trust, st(trust + `,"Principal":"*","Resource":"*"`), "Has prohibited field Resource", 1},
		{"trust: NotResource", policy.Trust, st(trust + `,"Principal":"*","NotResource":"*"`), "AssumeRole policy must not contain resources.", 1},
		{"trust: same Sid", policy.Trust, `{"Statement":[{"Sid":"a","Principal":"*",` + trust + `},{"Sid":"a","Principal":"*",` + trust + `}]}`, "The Statement Ids in the policy are not unique", 1},

		{"bucket: short ARN", policy.Bucket, st(`"Effect":"Allow","Action":"s3:*","Principal":"*","Resource":"arn:aws:s3"`), "Policy has invalid resource", 1},
		{"bucket: Allow NotPrincipal", policy.Bucket, st(ok + `,"NotPrincipal":{"AWS":"123456789012"}`), "Allow with NotPrincipal is not allowed.", 1},
		{"iot: Principal", policy.IoT, st(ok + `,"Principal":"*"`), "The policy document is malformed", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := policy.Parse(c.kind, "x", c.text)
			var s *policy.SyntaxError
			if !errors.As(err, &s) || d != nil {
				t.Fatalf("got %v, %v; want a SyntaxError and no document", d, err)
			}
			if s.Message != c.message || s.Line != c.line {
				t.Errorf("got %q in line %d (%s), want %q in line %d", s.Message, s.Line, s.Hint, c.message, c.line)
			}
		})
	}
}

func TestParseTakes(t *testing.T) {
	for _, text := range []string{
		good,
		`{"Statement":{"Effect":"Deny","NotAction":["S3:x"],"NotResource":["arn:aws:s3:::b/${aws:username}"],"Sid":""}}`,
		` { "Id" : "x" , "Statement":[{"Effect":"Allow","Action":"unknown:Thing","Resource":"*","Condition":{}}]}`,
		`{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"NumericLessThan":{"what:ever":[1,-2.5e3,"x"]},"Bool":{"aws:x":true}}}]}`,
		`{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"ForAllValues:StringNotLikeIfExists":{"a":"é\ud83d\ude00\n"}}}]}`,
		`{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/\"\\\u0000\/\t","Condition":{"StringLike":{"a\"b":"${x"}}}]}`,
	} {
		d, err := policy.Parse(policy.Identity, "x", text)
		if err != nil {
			t.Errorf("parse %s: %v", text, err)
			continue
		}
		if d.Text() != text {
			t.Errorf("the text came back as %q", d.Text())
		}
		again, err := policy.Parse(policy.Identity, "x", d.Compact())
		if err != nil || again.Compact() != d.Compact() || again.Version != d.Version {
			t.Errorf("compact %s: %v", d.Compact(), err)
		}
	}
}

// A document never panics, and printed and parsed again it decides the same.
func FuzzParse(f *testing.F) {
	for _, file := range files(f) {
		for i, s := range stories(f, file) {
			for k, list := range [][]*policy.Document{s.set.Identity, s.set.Session, s.set.Boundary, s.set.Trust, s.set.Resource, nil, s.set.IoT} {
				for _, d := range list {
					if i%8 == 0 {
						f.Add(uint8(k), d.Text())
					}
				}
			}
		}
	}
	f.Add(uint8(0), good)
	f.Add(uint8(3), `{"Statement":{"Effect":"Allow","Principal":{"AWS":["AROAEXAMPLEROLE00001","*"]},"Action":"sts:*","Condition":{"ArnLike":{"aws:SourceArn":"${aws:x}:*"}}}}`)
	r := policy.Request{
		Principal: principal(f, "session"), Action: "s3:PutObject", Resource: "arn:aws:s3:::bucket/x",
		Context: policy.Context{"aws:sourcearn": {"arn:aws:iot:r:123456789012:rule/x"}, "aws:sourceip": {"10.0.0.1"}, "s3:prefix": {"a", "b"}},
	}
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		k := policy.Kind(kind % 7)
		d, err := policy.Parse(k, "x", text)
		if err != nil {
			var s *policy.SyntaxError
			if !errors.As(err, &s) || s.Message == "" || s.Line < 1 || d != nil {
				t.Fatalf("error %#v, document %v", err, d)
			}
			return
		}
		again, err := policy.Parse(k, "x", d.Compact())
		if err != nil {
			t.Fatalf("printed %s: %v", d.Compact(), err)
		}
		set := func(d *policy.Document) (s policy.Set) {
			_, list := place(&s, k.Layer())
			*list = append(*list, d)
			return s
		}
		for _, who := range []string{"session", "cert", "service:iot.amazonaws.com", "anonymous", "root"} {
			r.Principal = principal(t, who)
			one, two := set(d).Decide(r), set(again).Decide(r)
			if one.Effect != two.Effect || one.Layer != two.Layer {
				t.Errorf("printed, it decides %s by %s, not %s by %s", two.Effect, two.Layer, one.Effect, one.Layer)
			}
			if e := policy.Explain(set(d), r, one); e.Summary == "" {
				t.Error("no summary")
			}
			if g := set(d).Guard(r); g.Check(r.Action, r.Resource, now, nil) != g.Decide(r.Action, r.Resource, now, nil).Allowed() {
				t.Error("the guard's check and decide differ")
			}
		}
	})
}

// A text of half-open variables is read in one go.
func TestParseStaysLinear(t *testing.T) {
	text := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::` + strings.Repeat("${", 200_000) + `"}}`
	start := processorTime()
	if _, err := policy.Parse(policy.Identity, "x", text); err != nil {
		t.Fatal(err)
	}
	if d := processorTime() - start; d > 2*time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestCheckSize(t *testing.T) {
	fill := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		kind policy.Kind
		text string
		want string // "" or the Thing
	}{
		{policy.Identity, fill(6144) + "  \n", ""},
		{policy.Identity, fill(6145), "managed policy"},
		{policy.Boundary, fill(6145), "managed policy"},
		{policy.Trust, fill(2048) + "\t", ""},
		{policy.Trust, fill(2049), "trust policy"},
		{policy.Session, fill(2048), ""},
		{policy.Session, fill(2048) + " ", "session policy"},
		{policy.Session, strings.Repeat("é", 2048), ""},
		{policy.IoT, " " + fill(2048), ""},
		{policy.IoT, fill(2049), "iot policy"},
		{policy.IoT, `"` + fill(2046) + ` "`, "iot policy"},
		{policy.Bucket, fill(20480), ""},
		{policy.Function, fill(20481), "resource policy"},
	} {
		err := policy.CheckSize(c.kind, c.text)
		var e *strait.Error
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &e) || e.Kind != strait.Limit || e.Thing != c.want) {
			t.Errorf("%s of %d bytes: got %v, want %q", c.kind, len(c.text), err, c.want)
		}
	}
}
