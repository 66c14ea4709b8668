package authz_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"strait"
	"strait/authz"
	"strait/identity"
)

// The tags of what is asked for are keys of every decision about it.
func TestResourceTags(t *testing.T) {
	h, ctx := open(t), context.Background()
	tags := map[string]string{"team": "a"}
	r := h.role("tagged", lambdaTrust, "")
	h.must(h.d.ChangeRole(ctx, "tagged", func(r *identity.Role) error { r.Tags = tags; return nil }))
	h.role("plain", lambdaTrust, "")
	_, err := h.d.CreateUser(ctx, identity.User{Name: "bob", Tags: tags})
	h.must(err)
	p, err := h.d.CreateManaged(ctx, identity.ManagedPolicy{Name: "P", Tags: tags}, doc(allow("s3:*", "*")))
	h.must(err)
	g, err := h.d.CreateThingGroup(ctx, identity.ThingGroup{Name: "g"}, []identity.Tag{{Key: "team", Value: "a"}})
	h.must(err)
	function := place.Lambda("f")
	h.EngineTags = func(arn strait.ARN) (map[string]string, error) {
		if arn == function {
			return tags, nil
		}
		return nil, nil
	}
	const condition = `"Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}}`
	alice := h.user("alice", doc(`{"Effect":"Allow","Action":["iam:Get*","iam:PassRole","iot:*","lambda:*"],"Resource":"*",`+condition))
	for _, arn := range []strait.ARN{r.ARN(place), place.IAM("user/bob"), p.ARN, g.ARN(place), function} {
		h.check("tagged", alice, "iam:Get", arn, "")
	}
	for _, arn := range []strait.ARN{place.IAM("role/plain"), place.IAM("role/other/tagged"), place.IAM("user/alice"), place.IoT("thinggroup/none"), place.Lambda("other"), "*"} {
		h.check("not tagged", alice, "iam:Get", arn, "because no identity-based policy allows")
	}
	mallory := h.user("mallory", doc(allow("*", "*"), `{"Effect":"Deny","Action":"*","Resource":"*",`+condition))
	h.check("denied by the tag", mallory, "lambda:InvokeFunction", function, "with an explicit deny in an identity-based policy")
	h.check("of another function", mallory, "lambda:InvokeFunction", place.Lambda("other"), "")
	carol := h.user("carol", doc(`{"Effect":"Allow","Action":"iam:*","Resource":"*","Condition":{"StringEquals":{"iam:ResourceTag/team":"a"}}}`))
	h.check("IAM's own key", carol, "iam:GetRole", r.ARN(place), "")
	h.check("IAM's own key", carol, "iam:GetRole", place.IAM("role/plain"), "because no identity-based policy allows")

	// Tags that cannot be read could be denied by: nothing is allowed then.
	h.EngineTags = func(strait.ARN) (map[string]string, error) { return nil, os.ErrClosed }
	if _, err := h.Ask(h.user("dave", doc(allow("*", "*"))), "Test", authz.Ask{Action: "lambda:InvokeFunction", Resource: function}); err == nil || strait.KindOf(err) == strait.Denied {
		t.Errorf("tags that cannot be read: %v", err)
	}
}

// Every condition key that counts as supplied is set somewhere, so that a
// policy which names it means something; but for those that nobody here has.
func TestSuppliedIsSet(t *testing.T) {
	keys, err := os.ReadFile("../policy/keys.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, dir := range []string{"../api", "../identity", "../policy", "."} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") || strings.HasSuffix(f, "policy/keys.go") || strings.Contains(f, "policy/lint") || strings.HasSuffix(f, "hint.go") {
				continue
			}
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			source.WriteString(strings.ToLower(string(b)))
		}
	}
	never := []string{"aws:multifactorauthage", "aws:calledvia", "lambda:functionarn"}
	found := regexp.MustCompile(`"((?:aws|sts|s3|iam|lambda|iot|credentials-iot):[^"]*)"`).FindAllStringSubmatch(string(keys), -1)
	if len(found) < 50 {
		t.Fatalf("only %d keys are read from keys.go", len(found))
	}
	for _, m := range found {
		if set := strings.Contains(source.String(), `"`+m[1]); set == slices.Contains(never, m[1]) {
			t.Errorf("%s: set somewhere is %t", m[1], set)
		}
	}
}
