package identity_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	"strait"
	"strait/policy"
)

// A user with another name is the same user: to its keys, its policies, those
// who trust it and the resources that name it. Its old name is anybody's.
func TestRenameUser(t *testing.T) {
	h, ctx := open(t), context.Background()
	alice := h.user("alice")
	arn := alice.ARN(place)
	key, err := h.CreateAccessKey(ctx, "alice")
	must(t, "make a key", err)
	h.role("R", trusting(string(arn)))
	bucket, other := strait.ARN("arn:aws:s3:::b"), strait.ARN("arn:aws:s3:::c")
	names := func(who strait.ARN) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["` + string(who) + `"]},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"},` +
			`{"Effect":"Deny","NotPrincipal":{"AWS":"` + string(who) + `"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::b/` + string(who) + `"}]}`
	}
	must(t, "set a bucket's policy", h.SetResourcePolicy(ctx, policy.Bucket, bucket, names(arn), "1"))
	third := names(h.user("carol").ARN(place))
	must(t, "set a policy that names another", h.SetResourcePolicy(ctx, policy.Bucket, other, third, "1"))

	must(t, "rename", h.RenameUser(ctx, arn, "Bob", "/people/"))
	now := strait.ARN("arn:aws:iam::123456789012:user/people/Bob")
	again := h.user("alice") // another one of that name
	for _, when := range []string{"at once", "after a restart"} {
		bob, err := h.User("bob")
		must(t, "find the user "+when, err)
		if bob.ID != alice.ID || bob.ARN(place) != now || !maps.Equal(bob.Tags, alice.Tags) {
			t.Errorf("%s: %+v, want the user %+v as %s", when, bob, alice, now)
		}
		if k := h.AccessKey(key.ID); k == nil || k.User != "Bob" || len(h.AccessKeys("alice")) != 0 {
			t.Errorf("%s: the key belongs to %+v", when, k)
		}
		if !mayAssume(t, h, "R", h.ForUser(bob)) || mayAssume(t, h, "R", h.ForUser(again)) {
			t.Errorf("%s: the role must trust the user and not the other one of its old name", when)
		}
		r, err := h.Role("R")
		must(t, "find the role", err)
		if shown := h.TrustText(r.Trust); !strings.Contains(shown, `{"AWS":"`+string(now)+`"}`) {
			t.Errorf("%s: the trust policy is shown as %s, want the new ARN", when, shown)
		}
		text := h.ResourcePolicy(bucket).Document.Text
		if strings.Count(text, string(now)) != 2 || strings.Count(text, string(arn)) != 1 {
			t.Errorf("%s: the bucket's policy is %s, want the principals renamed and nothing else", when, text)
		}
		if got := h.ResourcePolicy(other).Document.Text; got != third {
			t.Errorf("%s: the policy that names another became %s", when, got)
		}
		h.restart()
	}
}

func TestRenameUserRefused(t *testing.T) {
	h, ctx := open(t), context.Background()
	alice, bob := h.user("alice"), h.user("bob")
	refused(t, "take another's name", h.RenameUser(ctx, alice.ARN(place), "BOB", ""), strait.Exists, "User with name BOB already exists.")
	refused(t, "rename nobody", h.RenameUser(ctx, place.IAM("user/none"), "x", ""), strait.NotFound, "The user with name none cannot be found.")
	must(t, "move", h.RenameUser(ctx, alice.ARN(place), "", "/a/"))
	refused(t, "rename by the old path", h.RenameUser(ctx, alice.ARN(place), "x", ""), strait.Conflict, "try again")
	must(t, "change the case", h.RenameUser(ctx, bob.ARN(place), "BOB", ""))
	must(t, "change nothing", h.RenameUser(ctx, place.IAM("user/BOB"), "", ""))
	for _, want := range []strait.ARN{"arn:aws:iam::123456789012:user/a/alice", "arn:aws:iam::123456789012:user/BOB"} {
		u, err := h.User(want.Resource()[strings.LastIndex(want.Resource(), "/")+1:])
		must(t, "find "+string(want), err)
		if u.ARN(place) != want {
			t.Errorf("the user is %s, want %s", u.ARN(place), want)
		}
	}
}

// Whoever a policy of a resource names can outgrow what a batch takes.
func TestRenameUserTooMuch(t *testing.T) {
	h, ctx := open(t), context.Background()
	u := h.user("alice")
	long := `{"Version":"2012-10-17","Statement":[{"Sid":"` + strings.Repeat("x", 19000) + `","Effect":"Allow","Principal":{"AWS":"` + string(u.ARN(place)) + `"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}]}`
	for i := range 40 {
		must(t, "set a policy", h.SetResourcePolicy(ctx, policy.Bucket, strait.ARN("arn:aws:s3:::b"+string(rune('A'+i))), long, "1"))
	}
	refused(t, "rename", h.RenameUser(ctx, u.ARN(place), "bob", ""), strait.Limit, "too large together")
	if got, err := h.User("alice"); err != nil || got.ID != u.ID {
		t.Errorf("after the refusal: %v, %v", got, err)
	}
}
