package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"strait"
	"strait/policy"
)

// alike is a document of n statements about one action, each on a bucket of its
// own; more is put at the end.
func alike(t testing.TB, n int, more string) *policy.Document {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf(`{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::b%d/*"}`, i))
	}
	if more != "" {
		out = append(out, more)
	}
	return parse(t, policy.Identity, "many", `{"Version":"2012-10-17","Statement":[`+strings.Join(out, ",")+`]}`)
}

// Of a thousand statements those are told of that matter, and the verdict is
// that of all.
func TestManyStatements(t *testing.T) {
	r := policy.Request{Principal: principal(t, "alice"), Action: "s3:PutObject", Resource: "arn:aws:s3:::c/k/x", Context: policy.Context{"aws:username": {"alice"}}}
	const near = `{"Sid":"Near","Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::c/%s*"}`
	for _, x := range []struct {
		name, more, want string
		count            int
	}{
		{"near", fmt.Sprintf(near, "k/y"), `Statement 1001 "Near" of many`, 998},
		{"a variable", fmt.Sprintf(near, "k/${aws:username}/"), `Statement 1001 "Near" of many`, 998},
		{"a condition", `{"Sid":"Near","Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}`, `Statement 1001 "Near" of many`, 998},
		{"a wildcard before", `{"Sid":"Near","Effect":"Allow","Action":"s3:PutObject","Resource":["arn:aws:s3:::c/z","arn:aws:s3:::c/k/z"]}`, `Statement 1001 "Near" of many`, 998},
		{"nothing near", "", "Statement 1 of many", 997},
	} {
		s := policy.Set{Identity: []*policy.Document{alike(t, 1000, x.more)}}
		d := s.Decide(r)
		e := policy.Explain(s, r, d)
		if d.Effect != policy.ImplicitDeny || len(e.Lines) != 4 || !strings.HasPrefix(e.Lines[0], x.want) ||
			!strings.HasPrefix(e.Lines[3], fmt.Sprintf("%d more statements of the identity policy are about it", x.count)) {
			t.Errorf("%s: %s\n%s", x.name, d.Effect, strings.Join(e.Lines, "\n"))
		}
		if len(d.Reasons) > 64 || len(d.Reasons)+d.Untold[policy.LayerIdentity] < 1000 {
			t.Errorf("%s: %d reasons, %v untold", x.name, len(d.Reasons), d.Untold)
		}
		if !slices.IsSortedFunc(d.Reasons, func(a, b policy.Reason) int { return a.Statement - b.Statement }) {
			t.Errorf("%s: the reasons are out of order", x.name)
		}
	}
	// Whatever is between them, what matches is told of: a Deny, too.
	for on, want := range map[strait.ARN]int{"arn:aws:s3:::b0/x": 1, "arn:aws:s3:::b500/x": 1, "arn:aws:s3:::b999/x": 1, "arn:aws:s3:::b7/no": 2, "arn:aws:s3:::none/x": 0} {
		s := policy.Set{Identity: []*policy.Document{alike(t, 1000, `{"Effect":"Deny","Action":"s3:PutObject","Resource":"arn:aws:s3:::b7/no"}`)}}
		r.Resource = on
		d := s.Decide(r)
		matched := 0
		for _, reason := range d.Reasons {
			if reason.Matched {
				matched++
				if reason.Miss != nil {
					t.Errorf("%s: matched, and missed: %+v", on, reason)
				}
			} else if reason.Miss == nil || reason.Miss.Want == "" {
				t.Errorf("%s: neither matched nor missed: %+v", on, reason)
			}
		}
		if matched != want || d.Allowed() != s.Allowed(r) {
			t.Errorf("%s: %d statements matched, want %d; %s", on, matched, want, d.Effect)
		}
	}
}

func BenchmarkDecideAlike(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		s := policy.Set{Identity: []*policy.Document{alike(b, n, "")}}
		for _, on := range []strait.ARN{strait.ARN(fmt.Sprintf("arn:aws:s3:::b%d/k", n/2)), "arn:aws:s3:::c/k"} {
			r := policy.Request{Principal: principal(b, "alice"), Action: "s3:PutObject", Resource: on, Context: policy.Context{}}
			b.Run(fmt.Sprintf("%d/%t", n, s.Allowed(r)), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s.Decide(r)
				}
			})
		}
	}
}
