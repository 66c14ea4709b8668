package authz_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strait"
	"strait/authz"
	"strait/credential"
	"strait/identity"
	"strait/policy"
	"strait/state/local"
)

var place = strait.Place{Region: "ap-northeast-1", Account: "123456789012"}

// A house is a directory and who decides over it; its clock is set by hand.
type house struct {
	*authz.Authorizer
	d     *identity.Directory
	t     testing.TB
	clock time.Time
}

func open(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, clock: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	now := func() time.Time { return h.clock }
	store, err := local.Open(filepath.Join(t.TempDir(), "state"), local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if h.d, err = identity.Open(context.Background(), store, place, now); err != nil {
		t.Fatal(err)
	}
	h.Authorizer = &authz.Authorizer{Directory: h.d, Recorder: authz.NewRecorder(now), Now: now}
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func doc(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

func allow(action, resource string) string {
	return `{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}`
}

func deny(action, resource string) string {
	return `{"Effect":"Deny","Action":"` + action + `","Resource":"` + resource + `"}`
}

func trust(kind, principal, more string) string {
	return `{"Effect":"Allow","Principal":{"` + kind + `":"` + principal + `"},"Action":"sts:*"` + more + `}`
}

var lambdaTrust = doc(trust("Service", "lambda.amazonaws.com", ""))

// user makes a user with one inline policy, "" for none.
func (h *house) user(name, text string) *identity.Caller {
	h.t.Helper()
	ctx := context.Background()
	u, err := h.d.CreateUser(ctx, identity.User{Name: name})
	h.must(err)
	k, err := h.d.CreateAccessKey(ctx, name)
	h.must(err)
	if text != "" {
		h.must(h.d.ChangeUser(ctx, name, func(u *identity.User) error {
			return identity.SetInline(u.Inline, "user "+name, identity.MaxInlineUser, "p", text)
		}))
	}
	return &identity.Caller{Principal: h.d.ForUser(u), KeyID: k.ID, IP: netip.MustParseAddr("192.0.2.1"), Secure: true, Trace: "t-" + name}
}

// role makes a role with one inline policy, "" for none.
func (h *house) role(name, trust, text string) *identity.Role {
	h.t.Helper()
	r, err := h.d.CreateRole(context.Background(), identity.Role{Name: name}, trust)
	h.must(err)
	if text != "" {
		h.put(name, text)
	}
	return r
}

func (h *house) put(role, text string) {
	h.t.Helper()
	h.must(h.d.ChangeRole(context.Background(), role, func(r *identity.Role) error {
		return identity.SetInline(r.Inline, "role "+role, identity.MaxInlineRole, "p", text)
	}))
}

// session is a session of r narrowed by text, "" for not.
func (h *house) session(r *identity.Role, name, text string) *identity.Caller {
	s := &credential.Session{Kind: strait.AssumedRole, RoleID: r.ID, RoleARN: r.ARN(place), Name: name, Policy: text, Issued: h.clock, Expires: h.clock.Add(time.Hour)}
	return &identity.Caller{Principal: h.d.ForSession(s), KeyID: "ASIA", Session: s, Secure: true, Trace: "t-" + name}
}

// device registers a certificate with one IoT policy.
func (h *house) device(name, text string) *identity.Caller {
	h.t.Helper()
	ctx := context.Background()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: h.clock, NotAfter: h.clock.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	h.must(err)
	crt, err := x509.ParseCertificate(der)
	h.must(err)
	c, err := h.d.RegisterCertificate(ctx, identity.CertificateRecord{
		PEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), Status: identity.Active,
	})
	h.must(err)
	_, err = h.d.CreateIoTPolicy(ctx, name, text)
	h.must(err)
	h.must(h.d.AttachIoTPolicy(ctx, name, c.ARN(place)))
	return &identity.Caller{Principal: h.d.ForCertificate(c), Certificate: crt, ClientID: name, Secure: true, Trace: "t-" + name}
}

// check asks one thing and wants it allowed ("") or refused with these words.
func (h *house) check(what string, c *identity.Caller, action strait.Action, resource strait.ARN, want string) {
	h.t.Helper()
	_, err := h.Ask(c, "Test", authz.Ask{Action: action, Resource: resource})
	var e *strait.Error
	switch {
	case want == "" && err != nil:
		h.t.Errorf("%s: got %v, want it allowed", what, err)
	case want == "":
	case !errors.As(err, &e) || e.Kind != strait.Denied || e.Thing != "action" || !strings.Contains(e.Message, want):
		h.t.Errorf("%s: got %v, want a refusal with %q", what, err, want)
	default:
		id, ok := authz.IsRefusal(err)
		r := h.Recorder.Get(id)
		if !ok || r == nil || r.Action != action || r.Resource != resource || r.Principal != c.ARN || !strings.HasSuffix(e.Message, r.Because) {
			h.t.Errorf("%s: the refusal %q is recorded as %+v", what, id, r)
		}
	}
}

func TestUsers(t *testing.T) {
	h, ctx := open(t), context.Background()
	alice := h.user("alice", doc(allow("s3:*", "arn:aws:s3:::b/${aws:username}/*"), deny("s3:DeleteObject", "*")))
	const noIdentity = "because no identity-based policy allows the "
	h.check("alice's own object", alice, "s3:PutObject", "arn:aws:s3:::b/alice/x", "")
	h.check("bob's object", alice, "s3:PutObject", "arn:aws:s3:::b/bob/x",
		"User: arn:aws:iam::123456789012:user/alice is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::b/bob/x "+noIdentity+"s3:PutObject action")
	h.check("a denied action", alice, "s3:DeleteObject", "arn:aws:s3:::b/alice/x", "with an explicit deny in an identity-based policy")
	h.check("an action without a resource", alice, "s3:ListAllMyBuckets", "*", "is not authorized to perform: s3:ListAllMyBuckets because no")

	// A boundary limits, and one that is gone allows nothing.
	p, err := h.d.CreateManaged(ctx, identity.ManagedPolicy{Name: "B"}, doc(allow("s3:Get*", "*")))
	h.must(err)
	limit := func(arn strait.ARN) {
		h.must(h.d.ChangeUser(ctx, "alice", func(u *identity.User) error { u.Boundary = arn; return nil }))
	}
	limit(p.ARN)
	h.check("within the boundary", alice, "s3:GetObject", "arn:aws:s3:::b/alice/x", "")
	h.check("outside the boundary", alice, "s3:PutObject", "arn:aws:s3:::b/alice/x", "because no permissions boundary allows the s3:PutObject action")
	limit("arn:aws:iam::123456789012:policy/gone")
	h.check("a boundary that is gone", alice, "s3:GetObject", "arn:aws:s3:::b/alice/x", "because no permissions boundary")
	limit("")

	// A key that is made inactive, and a user that is deleted and made again,
	// are nobody, whatever policies of resources say.
	h.must(h.d.SetResourcePolicy(ctx, policy.Bucket, "arn:aws:s3:::b",
		doc(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/alice"},"Action":"s3:*","Resource":"arn:aws:s3:::b/*"}`), ""))
	h.check("a bucket that names alice", alice, "s3:PutObject", "arn:aws:s3:::b/bob/x", "")
	h.must(h.d.SetAccessKey(ctx, "alice", alice.KeyID, true))
	h.check("an inactive key", alice, "s3:PutObject", "arn:aws:s3:::b/bob/x", noIdentity)
	h.check("an inactive key", alice, "s3:PutObject", "arn:aws:s3:::b/alice/x", noIdentity)
	h.must(h.d.DeleteAccessKey(ctx, "alice", alice.KeyID))
	h.must(h.d.ChangeUser(ctx, "alice", func(u *identity.User) error { clear(u.Inline); return nil }))
	h.must(h.d.DeleteUser(ctx, "alice"))
	again := h.user("alice", doc(allow("*", "*")))
	old := *alice
	old.KeyID = again.KeyID
	h.check("alice from before", &old, "s3:PutObject", "arn:aws:s3:::b/alice/x", noIdentity)
	h.check("the new alice", again, "s3:PutObject", "arn:aws:s3:::b/alice/x", "")
}

func TestSessions(t *testing.T) {
	h, ctx := open(t), context.Background()
	r := h.role("s3-role", lambdaTrust, doc(allow("s3:PutObject", "arn:aws:s3:::bucket/*")))
	narrow := doc(allow("s3:PutObject", "arn:aws:s3:::bucket/device00/*"))
	wide, device := h.session(r, "wide", ""), h.session(r, "device00", narrow)
	h.check("no session policy", wide, "s3:PutObject", "arn:aws:s3:::bucket/x", "")
	h.check("inside both", device, "s3:PutObject", "arn:aws:s3:::bucket/device00/x", "")
	h.check("outside the session policy", device, "s3:PutObject", "arn:aws:s3:::bucket/device01/x",
		"User: arn:aws:sts::123456789012:assumed-role/s3-role/device00 is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::bucket/device01/x because no session policy allows the s3:PutObject action")
	h.check("outside the role's policies", h.session(r, "d", doc(allow("*", "*"))), "s3:GetObject", "arn:aws:s3:::bucket/x", "because no identity-based policy")
	h.check("a session policy that cannot be reached by a prefix", device, "s3:PutObject", "arn:aws:s3:::bucket/device001/x", "because no session policy")

	// Managed session policies narrow, too; those that are gone allow nothing.
	p, err := h.d.CreateManaged(ctx, identity.ManagedPolicy{Name: "P"}, narrow)
	h.must(err)
	managed := h.session(r, "m", "")
	managed.Session.PolicyARNs = []strait.ARN{p.ARN}
	h.check("inside a managed session policy", managed, "s3:PutObject", "arn:aws:s3:::bucket/device00/x", "")
	h.check("outside a managed session policy", managed, "s3:PutObject", "arn:aws:s3:::bucket/x", "because no session policy")
	h.must(h.d.DeleteManaged(ctx, p.ARN))
	h.check("a managed session policy that is gone", managed, "s3:PutObject", "arn:aws:s3:::bucket/device00/x", "because no session policy")

	// A change reaches sessions that exist.
	h.put("s3-role", doc(allow("s3:GetObject", "*")))
	h.check("after the role changed", wide, "s3:PutObject", "arn:aws:s3:::bucket/x", "because no identity-based policy")

	// A session policy that cannot be read refuses, and is the server's fault.
	_, err = h.Ask(h.session(r, "x", "{"), "Test", authz.Ask{Action: "s3:GetObject", Resource: "arn:aws:s3:::bucket/x"})
	if err == nil || strait.KindOf(err) == strait.Denied {
		t.Errorf("a session policy that cannot be read: %v, want an error that is no refusal", err)
	}

	// The role is deleted and made again: old sessions are nobody's, even for a
	// bucket whose policy names the role or the session.
	h.must(h.d.SetResourcePolicy(ctx, policy.Bucket, "arn:aws:s3:::bucket",
		doc(`{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::123456789012:role/s3-role","arn:aws:sts::123456789012:assumed-role/s3-role/wide"]},"Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"}`), ""))
	h.check("a bucket that names the session", wide, "s3:PutObject", "arn:aws:s3:::bucket/x", "")
	h.must(h.d.ChangeRole(ctx, "s3-role", func(r *identity.Role) error { clear(r.Inline); return nil }))
	h.must(h.d.DeleteRole(ctx, "s3-role"))
	h.check("a session of a deleted role", wide, "s3:PutObject", "arn:aws:s3:::bucket/x", "because no identity-based policy")
	again := h.role("s3-role", lambdaTrust, doc(allow("*", "*")))
	h.check("an old session after the role was made again", wide, "s3:PutObject", "arn:aws:s3:::bucket/x", "because no identity-based policy")
	h.check("a new session", h.session(again, "wide", ""), "s3:PutObject", "arn:aws:s3:::bucket/x", "")
}

func TestTrust(t *testing.T) {
	h := open(t)
	const action = "sts:AssumeRole"
	all, none := h.user("all", doc(allow("sts:*", "*"))), h.user("none", "")
	h.role("by-account", doc(trust("AWS", "arn:aws:iam::123456789012:root", "")), "")
	h.role("by-name", doc(trust("AWS", "arn:aws:iam::123456789012:user/none", "")), "")
	h.role("by-external-id", doc(trust("AWS", "123456789012", `,"Condition":{"StringEquals":{"sts:ExternalId":"secret"}}`)), "")
	exec := h.role("for-lambda", lambdaTrust, "")
	arn := func(name string) strait.ARN { return place.IAM("role/" + name) }
	const noTrust = "because no role trust policy allows the sts:AssumeRole action"

	h.check("the account is trusted and the user may", all, action, arn("by-account"), "")
	h.check("the account is trusted and the user may not", none, action, arn("by-account"), "because no identity-based policy allows the sts:AssumeRole action")
	h.check("the user is trusted by name", none, action, arn("by-name"), "")
	h.check("not named, although the user may everything", all, action, arn("by-name"), noTrust)
	h.check("a role that does not exist", all, action, arn("none"), noTrust)
	h.check("a role of another account", all, action, "arn:aws:iam::210987654321:role/by-account", noTrust)
	h.check("a name in another case", all, action, arn("BY-ACCOUNT"), noTrust)
	h.check("tags need to be trusted, too", none, "sts:TagSession", arn("by-name"), "")
	h.check("without the external id", all, action, arn("by-external-id"), noTrust)
	x := policy.Context{}
	x.Set("sts:ExternalId", "secret")
	if _, err := h.Ask(all, "AssumeRole", authz.Ask{Action: action, Resource: arn("by-external-id"), Context: x}); err != nil {
		t.Errorf("with the external id: %v", err)
	}

	lambda := h.d.Service("lambda.amazonaws.com", place.Lambda("f"), "t")
	iot := h.d.Service("iot.amazonaws.com", "", "t")
	h.check("the service that is trusted", &lambda, action, exec.ARN(place), "")
	h.check("another service", &iot, action, exec.ARN(place), noTrust)
	h.check("a service at a role that trusts the account", &lambda, action, arn("by-account"), noTrust)
	h.check("a user whose name is not trusted", all, action, exec.ARN(place), noTrust)
	h.check("nobody", &identity.Caller{Principal: strait.Principal{Kind: strait.Anonymous}}, action, arn("by-account"), "anonymous is not authorized")
	h.check("a device", h.device("d", doc(allow("*", "*"))), action, arn("by-account"), "is not authorized")
}

// A service may invoke a function only by the function's permissions, for the
// rule and the account that they name.
func TestFunctionPermission(t *testing.T) {
	h, ctx := open(t), context.Background()
	fn, rule := place.Lambda("create-token"), place.IoT("rule/token")
	iot := h.d.Service("iot.amazonaws.com", rule, "t")
	const noResource = "because no resource-based policy allows the lambda:InvokeFunction action"
	h.check("without permission", &iot, "lambda:InvokeFunction", fn, noResource)
	h.must(h.d.SetResourcePolicy(ctx, policy.Function, fn, doc(`{"Sid":"iot","Effect":"Allow","Principal":{"Service":"iot.amazonaws.com"},"Action":"lambda:InvokeFunction",`+
		`"Resource":"`+string(fn)+`","Condition":{"ArnLike":{"AWS:SourceArn":"`+string(rule)+`"},"StringEquals":{"AWS:SourceAccount":"123456789012"}}}`), "1"))
	h.check("with permission", &iot, "lambda:InvokeFunction", fn, "")
	other := h.d.Service("iot.amazonaws.com", place.IoT("rule/other"), "t")
	h.check("another rule", &other, "lambda:InvokeFunction", fn, noResource)
	nowhere := h.d.Service("iot.amazonaws.com", "", "t")
	h.check("no rule", &nowhere, "lambda:InvokeFunction", fn, noResource)
	events := h.d.Service("events.amazonaws.com", rule, "t")
	h.check("another service", &events, "lambda:InvokeFunction", fn, noResource)
	h.check("another action", &iot, "lambda:DeleteFunction", fn, "because no resource-based policy")
	h.check("another function", &iot, "lambda:InvokeFunction", place.Lambda("other"), noResource)
	h.check("a user without policies", h.user("u", ""), "lambda:InvokeFunction", fn, "is not authorized")
	h.check("a user with one", h.user("v", doc(allow("lambda:*", "*"))), "lambda:InvokeFunction", fn, "")
	h.must(h.d.DropResourcePolicy(ctx, fn))
	h.check("after the permission was removed", &iot, "lambda:InvokeFunction", fn, noResource)
}

func TestModes(t *testing.T) {
	h := open(t)
	alice := h.user("alice", doc(allow("s3:DeleteObject", "arn:aws:s3:::b/a"), allow("s3:PutObject", "*")))
	item := func(key string, mode authz.Mode) authz.Ask {
		return authz.Ask{Action: "s3:DeleteObject", Resource: strait.S3("b/" + key), Mode: mode}
	}
	v, err := h.Ask(alice, "DeleteObjects", item("a", authz.PerItem), item("b", authz.PerItem), item("c", authz.Probing))
	if err != nil || len(v) != 3 || !v[0].Allowed || v[1].Allowed || v[1].Err == nil || v[2].Allowed {
		t.Errorf("ask for items: %+v, %v", v, err)
	}
	for _, r := range h.Recorder.Records() {
		if r.Broken {
			t.Errorf("the refusal of an item is recorded as the end of a chain: %+v", r)
		}
	}
	v, err = h.Ask(alice, "Copy", item("a", authz.Required), item("b", authz.Required), item("c", authz.Required))
	if err == nil || v == nil || err.Error() != v[1].Err.Error() {
		t.Errorf("ask for three: %v; want the first refusal, %v", err, v[1].Err)
	}
	// Keys of one ask hold for this ask only.
	x := policy.Context{}
	x.Set("aws:username", "root")
	v, _ = h.Ask(h.user("bob", doc(allow("s3:GetObject", "arn:aws:s3:::b/${aws:username}"))), "Test",
		authz.Ask{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/bob", Context: policy.Context{"s3:prefix": {"x"}}, Mode: authz.Probing},
		authz.Ask{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/root", Context: x, Mode: authz.Probing},
		authz.Ask{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/root", Mode: authz.Probing})
	if !v[0].Allowed || !v[1].Allowed || v[2].Allowed {
		t.Errorf("keys of an ask: %+v", v)
	}
}
