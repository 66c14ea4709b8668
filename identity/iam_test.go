package identity_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"strait"
	"strait/identity"
)

func TestNames(t *testing.T) {
	h, ctx := open(t), context.Background()
	for _, c := range []struct{ name, path, text string }{
		{"", "", "The request must contain the parameter UserName."},
		{strings.Repeat("a", 65), "", "Value at 'userName' failed to satisfy constraint: Member must have length less than or equal to 64"},
		{"a/b", "", "The specified value for userName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"},
		{"a*", "", "The specified value for userName is invalid."},
		{"ä", "", "The specified value for userName is invalid."},
		{"a\n", "", "The specified value for userName is invalid."},
		{"a", "x", "It must begin and end with /"},
		{"a", "/x", "It must begin and end with /"},
		{"a", "/x y/", "It must begin and end with /"},
		{"a", "/" + strings.Repeat("x", 511) + "/", "The specified value for path is invalid."},
	} {
		_, err := h.CreateUser(ctx, identity.User{Name: c.name, Path: c.path})
		refused(t, fmt.Sprintf("create the user %q in %q", c.name, c.path), err, strait.Invalid, c.text)
	}

	// Names are unique and found whatever the case; ARNs keep the case.
	u, err := h.CreateUser(ctx, identity.User{Name: "Alice+=,.@_-1", Path: "/a/B/"})
	must(t, "create a user", err)
	if got, want := u.ARN(place), strait.ARN("arn:aws:iam::123456789012:user/a/B/Alice+=,.@_-1"); got != want {
		t.Errorf("ARN: got %s, want %s", got, want)
	}
	if !strings.HasPrefix(u.ID, "AIDA") || len(u.ID) != 21 {
		t.Errorf("the id %q: want AIDA and 17 more", u.ID)
	}
	_, err = h.CreateUser(ctx, identity.User{Name: "alice+=,.@_-1"})
	refused(t, "create a user whose name differs in case", err, strait.Exists, "User with name alice+=,.@_-1 already exists.")
	if got, err := h.User("ALICE+=,.@_-1"); err != nil || got != u {
		t.Errorf("find a user in another case: %v, %v", got, err)
	}
	_, err = h.User("bob")
	refused(t, "find a user that is not there", err, strait.NotFound, "The user with name bob cannot be found.")

	h.role("Writer", lambdaTrust)
	_, err = h.CreateRole(ctx, identity.Role{Name: "WRITER", Path: "/other/"}, lambdaTrust)
	refused(t, "create a role whose name differs in case", err, strait.Exists, "Role with name WRITER already exists.")
	if h.RoleByARN("arn:aws:iam::123456789012:role/Writer") == nil {
		t.Error("the role is not found by its ARN")
	}
	for _, arn := range []strait.ARN{"arn:aws:iam::123456789012:role/writer", "arn:aws:iam::123456789012:role/x/Writer", "arn:aws:iam::210987654321:role/Writer", "Writer", ""} {
		if h.RoleByARN(arn) != nil {
			t.Errorf("a role is found by %q, which is not its ARN", arn)
		}
	}
	_, err = h.CreateManaged(ctx, identity.ManagedPolicy{Name: "P"}, allowAll)
	must(t, "create a policy", err)
	_, err = h.CreateManaged(ctx, identity.ManagedPolicy{Name: "p", Path: "/x/"}, allowAll)
	refused(t, "create a policy whose name differs in case and path", err, strait.Exists, "A policy called p already exists. Duplicate names are not allowed.")
	_, err = h.CreateManaged(ctx, identity.ManagedPolicy{Name: "AWSIoTFullAccess"}, allowAll)
	must(t, "create a policy with the name of one of AWS's", err)
}

func TestAccessKeys(t *testing.T) {
	h, ctx := open(t), context.Background()
	h.user("alice")
	h.user("bob")
	var wg sync.WaitGroup
	var mu sync.Mutex
	made, limit := []*identity.AccessKey{}, 0
	for range 8 { // at once: the quota holds all the same
		wg.Go(func() {
			k, err := h.CreateAccessKey(ctx, "ALICE")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made = append(made, k)
			} else {
				limit++
				refused(t, "create a third key", err, strait.Limit, "Cannot exceed quota for AccessKeysPerUser: 2")
			}
		})
	}
	wg.Wait()
	if len(made) != 2 || limit != 6 || len(h.AccessKeys("Alice")) != 2 {
		t.Fatalf("%d keys made, %d refused, %d there; want 2, 6, 2", len(made), limit, len(h.AccessKeys("alice")))
	}
	k := made[0]
	if !strings.HasPrefix(k.ID, "AKIA") || len(k.ID) != 20 || len(k.Secret) != 40 || k.Secret == made[1].Secret {
		t.Errorf("the key has id %q and a secret of %d characters", k.ID, len(k.Secret))
	}
	refused(t, "another user's key", h.SetAccessKey(ctx, "bob", k.ID, true), strait.NotFound, "The Access Key with id "+k.ID+" cannot be found")
	refused(t, "another user's key", h.DeleteAccessKey(ctx, "bob", k.ID), strait.NotFound, "cannot be found")
	refused(t, "delete a user with keys", h.DeleteUser(ctx, "alice"), strait.Conflict, "Cannot delete entity, must delete access keys first.")

	u, _ := h.User("alice")
	c := &identity.Caller{Principal: h.ForUser(u), KeyID: k.ID}
	if !h.Exists(c) {
		t.Error("alice with an active key does not exist")
	}
	must(t, "make the key inactive", h.SetAccessKey(ctx, "alice", k.ID, true))
	if h.Exists(c) {
		t.Error("alice with an inactive key exists")
	}
	must(t, "make the key active", h.SetAccessKey(ctx, "alice", k.ID, false))
	if !h.Exists(c) {
		t.Error("alice with a key that is active again does not exist")
	}
	must(t, "delete the key", h.DeleteAccessKey(ctx, "alice", k.ID))
	if h.Exists(c) {
		t.Error("alice with a deleted key exists")
	}
}

// A user made again under the same name is another one.
func TestUserMadeAgain(t *testing.T) {
	h, ctx := open(t), context.Background()
	old := &identity.Caller{Principal: h.ForUser(h.user("alice"))}
	must(t, "delete the user", h.DeleteUser(ctx, "alice"))
	h.user("alice")
	must(t, "allow the new user all", h.ChangeUser(ctx, "alice", func(u *identity.User) error {
		return identity.SetInline(u.Inline, "user alice", identity.MaxInlineUser, "p", allowAll)
	}))
	s, err := h.Policies(old)
	if h.Exists(old) || err != nil || len(s.Identity) != 0 {
		t.Errorf("the old alice: exists %t, policies %v, %v", h.Exists(old), s.Identity, err)
	}
}

func TestDeleteConflicts(t *testing.T) {
	h, ctx := open(t), context.Background()
	h.role("R", lambdaTrust)
	p, err := h.CreateManaged(ctx, identity.ManagedPolicy{Name: "P"}, allowAll)
	must(t, "create a policy", err)
	change := func(fn func(r *identity.Role) error) {
		t.Helper()
		must(t, "change the role", h.ChangeRole(ctx, "R", fn))
	}
	attach := func(r *identity.Role) (err error) { r.Attached, err = h.Attach(r.Attached, p.ARN, "Role"); return err }

	change(attach)
	change(attach) // once more changes nothing
	change(func(r *identity.Role) error { r.Boundary = p.ARN; return nil })
	if got, want := h.Uses()[p.ARN], (identity.Uses{Attached: 1, Boundaries: 1}); got != want {
		t.Errorf("uses of the policy: got %+v, want %+v", got, want)
	}
	refused(t, "delete a role with policies", h.DeleteRole(ctx, "R"), strait.Conflict, "Cannot delete entity, must detach all policies first.")
	refused(t, "delete a policy in use", h.DeleteManaged(ctx, p.ARN), strait.Conflict, "Cannot delete a policy attached to entities.")
	change(func(r *identity.Role) (err error) { r.Attached, err = identity.Detach(r.Attached, p.ARN); return err })
	refused(t, "delete a policy that is a boundary", h.DeleteManaged(ctx, p.ARN), strait.Conflict, "Cannot delete a policy attached to entities.")
	change(func(r *identity.Role) error { r.Boundary = ""; return nil })
	refused(t, "detach a policy that is not attached", h.ChangeRole(ctx, "R", func(r *identity.Role) (err error) {
		r.Attached, err = identity.Detach(r.Attached, p.ARN)
		return err
	}), strait.NotFound, "Policy "+string(p.ARN)+" was not found.")
	change(func(r *identity.Role) error {
		return identity.SetInline(r.Inline, "role R", identity.MaxInlineRole, "i", allowAll)
	})
	refused(t, "delete a role with an inline policy", h.DeleteRole(ctx, "R"), strait.Conflict, "Cannot delete entity, must delete policies first.")
	change(func(r *identity.Role) error { delete(r.Inline, "i"); return nil })
	must(t, "delete the role", h.DeleteRole(ctx, "R"))
	must(t, "delete the policy", h.DeleteManaged(ctx, p.ARN))
	refused(t, "delete the role again", h.DeleteRole(ctx, "R"), strait.NotFound, "The role with name R cannot be found.")
}

func TestBoundaryMustExist(t *testing.T) {
	h, ctx := open(t), context.Background()
	const none = "arn:aws:iam::123456789012:policy/none"
	_, err := h.CreateRole(ctx, identity.Role{Name: "R", Boundary: none}, lambdaTrust)
	refused(t, "create a role with a boundary that does not exist", err, strait.NotFound, "Policy "+none+" does not exist or is not attachable.")
	_, err = h.CreateUser(ctx, identity.User{Name: "u", Boundary: none})
	refused(t, "create a user with a boundary that does not exist", err, strait.NotFound, none)
}

func TestQuotas(t *testing.T) {
	h, ctx := open(t), context.Background()
	h.role("R", lambdaTrust)
	// A document of n characters that count, and white space that does not.
	sized := func(n int) string {
		head, tail := `{"Version":"2012-10-17","Statement":[{"Sid":"`, `","Effect":"Allow","Action":"*","Resource":"*"}]}`
		return head + strings.Repeat("x", n-len(head)-len(tail)) + tail[:2] + strings.Repeat(" \n", 4000) + tail[2:]
	}
	put := func(name, text string) error {
		return h.ChangeRole(ctx, "R", func(r *identity.Role) error {
			return identity.SetInline(r.Inline, "role R", identity.MaxInlineRole, name, text)
		})
	}
	must(t, "an inline policy as long as all may be", put("a", sized(10240)))
	refused(t, "one more character", put("a", sized(10241)), strait.Limit, "Maximum policy size of 10240 bytes exceeded for role R")
	refused(t, "one more policy", put("b", sized(200)), strait.Limit, "Maximum policy size of 10240 bytes exceeded for role R")
	must(t, "a shorter one in its place", put("a", sized(10040)))
	must(t, "and another", put("b", sized(200)))

	h.user("alice")
	refused(t, "a user's inline policy", h.ChangeUser(ctx, "alice", func(u *identity.User) error {
		return identity.SetInline(u.Inline, "user alice", identity.MaxInlineUser, "a", sized(2049))
	}), strait.Limit, "Maximum policy size of 2048 bytes exceeded for user alice")

	_, err := h.CreateManaged(ctx, identity.ManagedPolicy{Name: "big"}, sized(6145))
	refused(t, "a managed policy that is too long", err, strait.Limit, "Cannot exceed quota for PolicySize: 6144")
	p, err := h.CreateManaged(ctx, identity.ManagedPolicy{Name: "P"}, sized(6144))
	must(t, "a managed policy as long as it may be", err)

	for i := 2; i <= 5; i++ {
		_, err := h.AddVersion(ctx, p.ARN, allowAll, false)
		must(t, "add a version", err)
	}
	_, err = h.AddVersion(ctx, p.ARN, allowAll, false)
	refused(t, "a sixth version", err, strait.Limit, "A managed policy can have up to 5 versions.")
	refused(t, "delete the default version", h.DeleteVersion(ctx, p.ARN, "v1"), strait.Conflict, "Cannot delete the default version of a policy.")
	refused(t, "delete a policy with versions", h.DeleteManaged(ctx, p.ARN), strait.Conflict, "more than one version")
	must(t, "delete the newest version", h.DeleteVersion(ctx, p.ARN, "v5"))
	v, err := h.AddVersion(ctx, p.ARN, allowAll, true)
	if err != nil || v.ID != "v6" {
		t.Errorf("the version after v5 was deleted: %s, %v; numbers are never used again", v.ID, err)
	}
	if m, _ := h.Managed(p.ARN); m.Default != "v6" {
		t.Errorf("the default version is %s, want v6", m.Default)
	}
	refused(t, "a version that is not there", h.SetDefaultVersion(ctx, p.ARN, "v5"), strait.NotFound, "Policy "+string(p.ARN)+" version v5 does not exist")
	if m, _ := h.Managed(p.ARN); m.Default != "v6" {
		t.Errorf("after a refused change the default version is %s, want v6", m.Default)
	}

	var attached []strait.ARN
	for i := range 11 {
		m, err := h.CreateManaged(ctx, identity.ManagedPolicy{Name: fmt.Sprintf("P%d", i)}, allowAll)
		must(t, "create a policy", err)
		next, err := h.Attach(attached, m.ARN, "Role")
		if i == 10 {
			refused(t, "attach an eleventh policy", err, strait.Limit, "Cannot exceed quota for PoliciesPerRole: 10")
			break
		}
		must(t, "attach a policy", err)
		attached = next
	}
	_, err = h.Attach(nil, "arn:aws:iam::aws:policy/None", "Role")
	refused(t, "attach a policy that does not exist", err, strait.NotFound, "Policy arn:aws:iam::aws:policy/None does not exist or is not attachable.")
}

func TestBuiltinPoliciesStay(t *testing.T) {
	h, ctx := open(t), context.Background()
	const arn = "arn:aws:iam::aws:policy/AWSIoTFullAccess"
	_, err := h.AddVersion(ctx, arn, allowAll, true)
	refused(t, "add a version to a policy of AWS", err, strait.Denied, "belongs to AWS")
	refused(t, "delete a policy of AWS", h.DeleteManaged(ctx, arn), strait.Denied, "belongs to AWS")
	for _, p := range h.ManagedPolicies() {
		if v, err := p.Version(p.Default); err != nil {
			t.Errorf("%s: %v", p.ARN, err)
		} else if _, err := v.Document.Parsed(); err != nil {
			t.Errorf("%s: %v", p.ARN, err)
		}
	}
}

func TestTags(t *testing.T) {
	old := map[string]string{"Team": "a", "x": "1"}
	got, err := identity.Tagged(old, []identity.Tag{{Key: "team", Value: "b"}, {Key: "größe", Value: "1 m"}})
	must(t, "tag", err)
	if len(got) != 3 || got["team"] != "b" || got["größe"] != "1 m" || old["Team"] != "a" {
		t.Errorf("tags: got %v, the old ones are %v", got, old)
	}
	if left := identity.Untagged(got, []string{"TEAM", "none"}); len(left) != 2 || len(got) != 3 {
		t.Errorf("untag: left %v of %v", left, got)
	}
	if left := identity.Untagged(nil, []string{"a"}); len(left) != 0 {
		t.Errorf("untag nothing: %v", left)
	}
	for _, c := range []struct {
		tags []identity.Tag
		kind strait.Kind
		text string
	}{
		{[]identity.Tag{{Key: "a"}, {Key: "A"}}, strait.Invalid, "Duplicate tag keys found. Please note that Tag keys are case insensitive."},
		{[]identity.Tag{{Key: ""}}, strait.Invalid, "length greater than or equal to 1"},
		{[]identity.Tag{{Key: strings.Repeat("a", 129)}}, strait.Invalid, "less than or equal to 128"},
		{[]identity.Tag{{Key: "a", Value: strings.Repeat("a", 257)}}, strait.Invalid, "less than or equal to 256"},
		{[]identity.Tag{{Key: "a*"}}, strait.Invalid, "regular expression"},
		{[]identity.Tag{{Key: "a", Value: "<"}}, strait.Invalid, "regular expression"},
		{[]identity.Tag{{Key: "AWS:x"}}, strait.Invalid, "reserved"},
	} {
		_, err := identity.Tagged(nil, c.tags)
		refused(t, fmt.Sprintf("tag with %v", c.tags), err, c.kind, c.text)
	}
	many := map[string]string{}
	for i := range 50 {
		many[fmt.Sprint(i)] = ""
	}
	_, err = identity.Tagged(many, []identity.Tag{{Key: "one more"}})
	refused(t, "a 51st tag", err, strait.Limit, "The number of tags has reached the maximum limit.")
	_, err = identity.Tagged(many, []identity.Tag{{Key: "7", Value: "x"}})
	must(t, "replace one of 50 tags", err)
}
