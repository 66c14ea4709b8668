package policy_test

import (
	"slices"
	"strings"
	"testing"

	"strait"
	"strait/policy"
)

func TestContext(t *testing.T) {
	c := policy.Context{}
	c.Set("AWS:TagKeys", "a", "b")
	if got := c.Get("aws:tagkeys"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("tag keys are %q", got)
	}
	c.Set("iot:Certificate.Subject.CommonName", "x")
	if got := c.Get("iot:Certificate.Subject.CommonName.0"); !slices.Equal(got, []string{"x"}) {
		t.Errorf("field 0 is %q, want the one without number", got)
	}
	if got := c.Get("iot:Certificate.Subject.CommonName.1"); got != nil {
		t.Errorf("field 1 is %q", got)
	}
}

// The keys of a principal are those of iam-evaluation §5.
func TestSetPrincipal(t *testing.T) {
	keys := []string{"aws:PrincipalType", "aws:PrincipalArn", "aws:PrincipalAccount", "aws:userid", "aws:username"}
	for who, want := range map[string][]string{
		"session":                 {"AssumedRole", "arn:aws:iam::123456789012:role/app/s3-role", account, "AROAEXAMPLEROLE00001:device00", ""},
		"alice":                   {"User", "arn:aws:iam::123456789012:user/alice", account, "AIDAEXAMPLEUSER00001", "alice"},
		"root":                    {"Account", "arn:aws:iam::123456789012:root", account, account, ""},
		"anonymous":               {"Anonymous", "", "", "", ""},
		"cert":                    {"", "", "", "", ""},
		"service:x.amazonaws.com": {"", "", "", "", ""},
	} {
		c := policy.Context{}
		c.SetPrincipal(principal(t, who))
		for i, k := range keys {
			got := ""
			if v := c.Get(k); len(v) == 1 {
				got = v[0]
			}
			if got != want[i] {
				t.Errorf("%s: %s is %q, want %q", who, k, got, want[i])
			}
			if !policy.Supplied(k) {
				t.Errorf("%s counts as never supplied", k)
			}
		}
	}
}

func TestSupplied(t *testing.T) {
	for key, want := range map[string]bool{
		"aws:CurrentTime": true, "AWS:SourceArn": true, "aws:PrincipalTag/Team": true, "aws:PrincipalTag/": false,
		"iot:Certificate.Subject.CommonName.1": true, "iot:Connection.Thing.Attributes[site]": true,
		"credentials-iot:ThingName": true, "aws:PrincipalOrgID": false, "aws:SourceVpce": false, "": false,
	} {
		if got := policy.Supplied(key); got != want {
			t.Errorf("Supplied(%q) is %t, want %t", key, got, want)
		}
	}
}

// Whatever a thing is called, its name written into a policy matches that only.
func FuzzLiteral(f *testing.F) {
	for _, s := range []string{"device00", "*", "a?b", "${aws:username}", "$", "${*}", "a/../b", "$$}"} {
		f.Add(s, "x/k")
	}
	f.Fuzz(func(t *testing.T, name, other string) {
		quoted := policy.Quote(policy.Literal(name))
		d, err := policy.Parse(policy.Session, "s", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:PutObject","Resource":`+policy.Quote("arn:aws:s3:::b/"+policy.Literal(name)+"/*")+`}}`)
		if err != nil {
			t.Fatalf("%s: %v", quoted, err)
		}
		all := parse(t, policy.Identity, "all", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
		s := policy.Set{Identity: []*policy.Document{all}, Session: []*policy.Document{d}, HasSession: true}
		r := policy.Request{Principal: principal(t, "session"), Action: "s3:PutObject", Context: policy.Context{"aws:username": {"u"}}}
		r.Resource = strait.ARN("arn:aws:s3:::b/" + clean(name) + "/k")
		if !s.Decide(r).Allowed() {
			t.Errorf("%q does not match itself", name)
		}
		r.Resource = strait.ARN("arn:aws:s3:::b/" + clean(other))
		if s.Decide(r).Allowed() && !strings.HasPrefix(clean(other), clean(name)+"/") {
			t.Errorf("%q matches %q", name, other)
		}
	})
}

// clean is what Quote makes of bytes that are no UTF-8.
func clean(s string) string { return string([]rune(s)) }
