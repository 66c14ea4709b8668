package identity_test

import (
	"context"
	"strings"
	"testing"

	"strait"
	"strait/credential"
	"strait/identity"
	"strait/policy"
)

// mayAssume asks the role's trust policy only.
func mayAssume(t testing.TB, h *house, role string, who strait.Principal) bool {
	t.Helper()
	r, err := h.Role(role)
	must(t, "find the role", err)
	doc, err := h.Trust(r.ARN(place))
	must(t, "read the trust policy", err)
	s := policy.Set{Trust: []*policy.Document{doc}, HasTrust: true}
	return s.Decide(policy.Request{Principal: who, Action: "sts:AssumeRole", Resource: r.ARN(place), Context: policy.Context{}}).Allowed()
}

// Someone deletes a role that another one trusts and makes it again under the
// same name: he is not trusted, and the policy shows the dead id.
func TestTrustOfRoleMadeAgain(t *testing.T) {
	h, ctx := open(t), context.Background()
	first := h.role("create-token", lambdaTrust)
	given := trusting(string(first.ARN(place)))
	h.role("s3-role", given)
	session := func(r *identity.Role) strait.Principal {
		return h.ForSession(&credential.Session{Kind: strait.AssumedRole, RoleARN: r.ARN(place), RoleID: r.ID, Name: "device00"})
	}
	text := func() string { r, _ := h.Role("s3-role"); return h.TrustText(r.Trust) }

	if !mayAssume(t, h, "s3-role", session(first)) || text() != given {
		t.Errorf("the trusted role: allowed %t, text %s", mayAssume(t, h, "s3-role", session(first)), text())
	}
	must(t, "delete the trusted role", h.DeleteRole(ctx, "create-token"))
	if !strings.Contains(text(), `"`+first.ID+`"`) || strings.Contains(text(), "create-token") {
		t.Errorf("the text after the trusted role was deleted: %s, want the id %s", text(), first.ID)
	}
	second := h.role("create-token", lambdaTrust)
	h.restart()
	if mayAssume(t, h, "s3-role", session(second)) {
		t.Error("a role made again under the same name is trusted")
	}
	if !strings.Contains(text(), first.ID) {
		t.Errorf("the text after the role was made again: %s, want the dead id", text())
	}
	// The same text again means the new role.
	must(t, "set the trust policy again", h.SetTrust(ctx, "s3-role", given))
	if !mayAssume(t, h, "s3-role", session(second)) || mayAssume(t, h, "s3-role", session(first)) {
		t.Error("after the policy was set again, it must mean the new role and not the old one")
	}
	// The dead id itself names nobody any more.
	refused(t, "trust a dead id", h.SetTrust(ctx, "s3-role", trusting(first.ID)), strait.Invalid, `Invalid principal in policy: "AWS":"`+first.ID+`"`)
	must(t, "trust a living id", h.SetTrust(ctx, "s3-role", trusting(second.ID)))
	if !mayAssume(t, h, "s3-role", session(second)) {
		t.Error("a role trusted by its id is not trusted")
	}
}

func TestTrustTexts(t *testing.T) {
	h, ctx := open(t), context.Background()
	u := h.user("alice")
	arn := string(u.ARN(place))
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":[{` + s + `}]}` }
	for _, c := range []struct {
		name, text string
		kind       strait.Kind
		want       string
	}{
		{"not JSON", `{`, strait.Invalid, "This policy contains invalid Json"},
		{"version", `{"Version":"2020-01-01","Statement":[]}`, strait.Invalid, "The policy must contain a valid version string"},
		{"empty", `{"Version":"2012-10-17","Statement":[]}`, strait.Invalid, "Could not parse the policy: Statement is empty!"},
		{"no principal", statement(`"Effect":"Allow","Action":"sts:AssumeRole"`), strait.Invalid, "Missing required field Principal"},
		{"resource", statement(`"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"`), strait.Invalid, "Has prohibited field Resource"},
		{"other action", statement(`"Effect":"Allow","Principal":"*","Action":"s3:GetObject"`), strait.Invalid, "AssumeRole policy may only specify STS AssumeRole actions."},
		{"unknown user", trusting("arn:aws:iam::123456789012:user/bob"), strait.Invalid, `Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:user/bob"`},
		{"unknown role", trusting("arn:aws:iam::123456789012:role/bob"), strait.Invalid, "Invalid principal in policy"},
		{"a user as a role", trusting("arn:aws:iam::123456789012:role/alice"), strait.Invalid, "Invalid principal in policy"},
		{"another case", trusting("arn:aws:iam::123456789012:user/ALICE"), strait.Invalid, "Invalid principal in policy"},
		{"another account", trusting("arn:aws:iam::210987654321:user/alice"), strait.Invalid, "Invalid principal in policy"},
		{"one of two", strings.Replace(trusting("X"), `"X"`, `["`+arn+`","arn:aws:iam::123456789012:user/bob"]`, 1), strait.Invalid, "user/bob"},
		{"too long", trusting(arn) + strings.Repeat(" ", 3000) + "", 0, ""},
		{"too long", statement(`"Sid":"` + strings.Repeat("x", 2048) + `","Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"`), strait.Limit, "Cannot exceed quota for ACLSizePerRole: 2048"},
	} {
		_, err := h.CreateRole(ctx, identity.Role{Name: "R"}, c.text)
		if c.want == "" {
			must(t, c.name, err)
			must(t, "delete", h.DeleteRole(ctx, "R"))
			continue
		}
		refused(t, c.name, err, c.kind, c.want)
		if _, err := h.Role("R"); err == nil {
			t.Fatalf("%s: the role is there", c.name)
		}
	}
	// A role cannot name itself before it exists, but afterwards it can.
	self := trusting("arn:aws:iam::123456789012:role/R")
	_, err := h.CreateRole(ctx, identity.Role{Name: "R"}, self)
	refused(t, "create a role that trusts itself", err, strait.Invalid, "Invalid principal in policy")
	h.role("R", lambdaTrust)
	must(t, "let a role trust itself", h.SetTrust(ctx, "R", self))
	refused(t, "a wrong policy", h.SetTrust(ctx, "R", "{"), strait.Invalid, "This policy contains invalid Json")
	if r, _ := h.Role("R"); h.TrustText(r.Trust) != self {
		t.Error("a refused policy has changed the role")
	}
}

// Putting ids in the place of ARNs changes nothing else: numbers keep their
// digits and the text does not grow over its quota.
func TestTrustKeepsTheRest(t *testing.T) {
	h, ctx := open(t), context.Background()
	u := h.user("alice")
	text := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + string(u.ARN(place)) + `"},"Action":"sts:AssumeRole",` +
		`"Condition":{"StringEquals":{"sts:ExternalId":[12345678901234567890,"` + strings.Repeat("<", 1700) + `"]}}}]}`
	h.role("R", lambdaTrust)
	must(t, "set the trust policy", h.SetTrust(ctx, "R", text))
	r, _ := h.Role("R")
	if got := r.Trust.Kept.Text; !strings.Contains(got, "12345678901234567890") || !strings.Contains(got, u.ID) {
		t.Errorf("kept: %s", got)
	}
	if h.TrustText(r.Trust) != text {
		t.Error("the text is not shown as it was given")
	}
}

// FuzzTrust: what is decided by the policy as it is kept is what the policy as
// it was given says, for those who exist; and it is shown as it was given.
func FuzzTrust(f *testing.F) {
	h := open(f)
	u, other := h.user("alice"), h.user("bob")
	h.role("R", lambdaTrust)
	arn := string(u.ARN(place))
	f.Add(trusting(arn))
	f.Add(trusting(u.ID))
	f.Add(trusting("123456789012"))
	f.Add(`{"Statement":[{"Effect":"Deny","Principal":{"AWS":["` + arn + `","*"]},"Action":"sts:*"},{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}]}`)
	f.Add(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + arn + `","Service":["a.b"]},"Action":"sts:AssumeRole","Condition":{"Bool":{"aws:x":true}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if err := h.SetTrust(context.Background(), "R", text); err != nil {
			return
		}
		r, _ := h.Role("R")
		if got := h.TrustText(r.Trust); got != text {
			t.Fatalf("shown %q, given %q", got, text)
		}
		given, err := policy.Parse(policy.Trust, "given", text)
		if err != nil {
			t.Fatalf("kept, although it cannot be read: %v", err)
		}
		for _, who := range []strait.Principal{h.ForUser(u), h.ForUser(other), h.Service("lambda.amazonaws.com", "", "").Principal} {
			s := policy.Set{Trust: []*policy.Document{given}, HasTrust: true}
			want := s.Decide(policy.Request{Principal: who, Action: "sts:AssumeRole", Resource: r.ARN(place), Context: policy.Context{}}).Allowed()
			if got := mayAssume(t, h, "R", who); got != want {
				t.Fatalf("%s: kept says %t, given says %t: %s", who.ARN, got, want, text)
			}
		}
	})
}
