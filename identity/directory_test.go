package identity_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strait"
	"strait/identity"
	"strait/state"
	"strait/state/local"
)

var place = strait.Place{Region: "ap-northeast-1", Account: "123456789012"}

func clock() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// A house is a directory over a store that can be closed and opened again.
type house struct {
	*identity.Directory
	t     testing.TB
	dir   string
	store state.Store
}

func open(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, dir: filepath.Join(t.TempDir(), "state")}
	h.start()
	t.Cleanup(func() { h.store.Close() })
	return h
}

func (h *house) start() {
	h.t.Helper()
	store, err := local.Open(h.dir, local.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	h.store = store
	if h.Directory, err = identity.Open(context.Background(), store, place, clock); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) restart() {
	h.t.Helper()
	if err := h.store.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.start()
}

func (h *house) user(name string) *identity.User {
	h.t.Helper()
	u, err := h.CreateUser(context.Background(), identity.User{Name: name})
	if err != nil {
		h.t.Fatalf("create the user %s: %v", name, err)
	}
	return u
}

func (h *house) role(name, trust string) *identity.Role {
	h.t.Helper()
	r, err := h.CreateRole(context.Background(), identity.Role{Name: name}, trust)
	if err != nil {
		h.t.Fatalf("create the role %s: %v", name, err)
	}
	return r
}

// refused checks the kind of an error and what it says.
func refused(t testing.TB, what string, err error, kind strait.Kind, text string) {
	t.Helper()
	var e *strait.Error
	if !errors.As(err, &e) || e.Kind != kind || !strings.Contains(e.Message, text) {
		t.Errorf("%s: got %v, want kind %d and %q", what, err, kind, text)
	}
}

func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

const (
	lambdaTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	allowAll    = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
)

func trusting(principal string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":"sts:AssumeRole"}]}`
}

// What was answered once is there after a restart, to the letter.
func TestReopen(t *testing.T) {
	h, ctx := open(t), context.Background()
	u := h.user("Alice")
	k, err := h.CreateAccessKey(ctx, "alice")
	must(t, "create a key", err)
	text := "{ \"Version\":\"2012-10-17\",\n \"Statement\":{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::a+b <&> é/*\"}}"
	p, err := h.CreateManaged(ctx, identity.ManagedPolicy{Name: "P", Path: "/x/"}, text)
	must(t, "create a policy", err)
	v, err := h.AddVersion(ctx, p.ARN, allowAll, true)
	must(t, "add a version", err)
	r := h.role("R", trusting(string(u.ARN(place))))
	must(t, "change the role", h.ChangeRole(ctx, "r", func(r *identity.Role) (err error) {
		if err := identity.SetInline(r.Inline, "role R", identity.MaxInlineRole, "inline", text); err != nil {
			return err
		}
		r.Tags, err = identity.Tagged(r.Tags, []identity.Tag{{Key: "team", Value: "a b"}})
		r.Boundary = p.ARN
		return err
	}))

	h.restart()

	if got, err := h.User("ALICE"); err != nil || got.ID != u.ID || got.Name != "Alice" {
		t.Errorf("the user after a restart: %+v, %v", got, err)
	}
	if got := h.AccessKey(k.ID); got == nil || *got != *k {
		t.Errorf("the key after a restart: %v, want %v", got, k)
	}
	got, err := h.Role("R")
	must(t, "read the role", err)
	if got.ID != r.ID || got.Inline["inline"].Text != text || got.Tags["team"] != "a b" || got.Boundary != p.ARN || got.MaxSession != time.Hour {
		t.Errorf("the role after a restart: %+v", got)
	}
	if text := h.TrustText(got.Trust); text != trusting(string(u.ARN(place))) {
		t.Errorf("the trust policy after a restart: %s", text)
	}
	m, err := h.Managed(p.ARN)
	must(t, "read the policy", err)
	if m.Versions["v1"].Document.Text != text || m.Default != v.ID || m.Last != 2 {
		t.Errorf("the policy after a restart: %+v", m)
	}
	if _, err := h.Managed("arn:aws:iam::aws:policy/AWSIoTFullAccess"); err != nil {
		t.Errorf("AWS's own policies after a restart: %v", err)
	}
	// A record read from the store can be changed like any other.
	must(t, "delete the key", h.DeleteAccessKey(ctx, "Alice", k.ID))
	must(t, "delete the user", h.DeleteUser(ctx, "Alice"))
	h.restart()
	if _, err := h.User("Alice"); strait.KindOf(err) != strait.NotFound {
		t.Errorf("a deleted user after a restart: %v", err)
	}
}

// A change is told to watchers, raises the epoch, and happens whole or not at all.
func TestChanges(t *testing.T) {
	h, ctx := open(t), context.Background()
	told := 0
	h.OnChange(func() { told++ })
	before := h.Epoch()
	h.user("alice")
	if told != 1 || h.Epoch() <= before {
		t.Errorf("after a change: told %d times, epoch %d (was %d)", told, h.Epoch(), before)
	}
	before = h.Epoch()
	fault := errors.New("changed my mind")
	err := h.ChangeUser(ctx, "alice", func(u *identity.User) error {
		u.Tags = map[string]string{"a": "b"}
		_ = identity.SetInline(u.Inline, "user alice", identity.MaxInlineUser, "p", allowAll)
		return fault
	})
	u, _ := h.User("alice")
	if err != fault || told != 1 || h.Epoch() != before || len(u.Tags)+len(u.Inline) != 0 {
		t.Errorf("a change that failed: %v, told %d, epoch %d, user %+v", err, told, h.Epoch(), u)
	}
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.CreateUser(ctx, identity.User{Name: "bob"}); !errors.Is(err, state.ErrClosed) {
		t.Errorf("a change that cannot be stored: %v, want ErrClosed", err)
	}
	if _, err := h.User("bob"); err == nil {
		t.Error("a change that could not be stored is visible")
	}
}

// A stored policy that this version cannot read is an error, never left out:
// it could hold a Deny.
func TestUnreadable(t *testing.T) {
	h, ctx := open(t), context.Background()
	u := h.user("alice")
	must(t, "add a policy", h.ChangeUser(ctx, "alice", func(u *identity.User) error {
		return identity.SetInline(u.Inline, "user alice", identity.MaxInlineUser, "p", allowAll)
	}))
	f, err := h.store.Get(ctx, "identity/user/alice")
	must(t, "read the fact", err)
	broken := strings.Replace(string(f.Value), `\"Effect\"`, `\"Newer\"`, 1)
	if broken == string(f.Value) {
		t.Fatal("the fact does not look as this test thinks")
	}
	_, err = h.store.Apply(ctx, state.Write{Key: f.Key, Value: []byte(broken)})
	must(t, "write the fact", err)
	h.restart()
	c := identity.Caller{Principal: h.ForUser(u)}
	if s, err := h.Policies(&c); err == nil {
		t.Errorf("the policies of alice with one that cannot be read: %+v, want an error", s)
	}
	_, err = h.store.Apply(ctx, state.Write{Key: "identity/novelty/x", Value: []byte("{}")})
	must(t, "write a fact", err)
	if _, err := identity.Open(ctx, h.store, place, clock); err == nil {
		t.Error("a fact of an unknown kind was passed over")
	}
}
