package api_test

import (
	"strings"
	"testing"

	"strait"
	"strait/api"
)

var namePlace = strait.Place{Account: "123456789012", Region: "ap-northeast-1"}

// What a name means, by AWS's pattern of it.
func TestFunctionNames(t *testing.T) {
	const arn = "arn:aws:lambda:ap-northeast-1:123456789012:function:f"
	for _, c := range []struct{ name, qualifier, want string }{
		{"f", "", arn},
		{"f", "$LATEST", arn},
		{"f", "7", arn + ":7"},
		{"f:live", "", arn + ":live"},
		{"f:live", "live", arn + ":live"},
		{"function:f", "", arn},
		{"123456789012:function:f:7", "", arn + ":7"},
		{"ap-northeast-1:123456789012:function:f", "", arn},
		{arn, "", arn},
		{arn + ":$LATEST", "", arn},
		{"function", "", "arn:aws:lambda:ap-northeast-1:123456789012:function:function"},
		{"f", "$latest", arn + ":$latest"},

		{"f:1", "2", "The derived qualifier from the function name does not match the specified qualifier."},
		{"arn:aws:lambda:eu-west-1:123456789012:function:f", "", "Functions from 'eu-west-1' are not reachable in this region ('ap-northeast-1')"},
		{"arn:aws:lambda:ap-northeast-1:999999999999:function:f", "", "Function not found: arn:aws:lambda:ap-northeast-1:999999999999:function:f"},
		{"arn:aws:lambda::123456789012:function:f", "", "at 'functionName' failed"},
		{"arn:aws:lambda:ap-northeast-1::function:f", "", "at 'functionName' failed"},
		{"arn:aws:ec2:ap-northeast-1:123456789012:function:f", "", "at 'functionName' failed"},
		{arn + ":1:2", "", "at 'functionName' failed"},
		{arn + ":$LATES", "", "at 'functionName' failed"},
		{"x:function:f", "", "at 'functionName' failed"},
		{"f!", "", "at 'functionName' failed"},
		{"f\n", "", "at 'functionName' failed"},
		{"", "", "at 'functionName' failed"},
		{"f", "a!", "at 'qualifier' failed"},
		{"f", strings.Repeat("a", 129), "at 'qualifier' failed to satisfy constraint: Member must have length less than or equal to 128"},
	} {
		got, err := api.FunctionARN(namePlace, c.name, c.qualifier)
		if err != nil {
			got = strait.ARN(err.Error())
		}
		if err == nil && string(got) != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q, %q: %s, want %s", c.name, c.qualifier, got, c.want)
		}
	}
}

// FuzzFunctionName: what a name means is a function of this place, and its ARN
// means the same.
func FuzzFunctionName(f *testing.F) {
	for _, name := range []string{"f", "f:1", "function:f:$LATEST", "123456789012:function:f", "arn:aws:lambda:ap-northeast-1:123456789012:function:f:a", "arn:aws:lambda:eu-west-1:1:function:f"} {
		f.Add(name, "")
		f.Add(name, "1")
	}
	f.Fuzz(func(t *testing.T, name, qualifier string) {
		arn, err := api.FunctionARN(namePlace, name, qualifier)
		if err != nil {
			return
		}
		rest, ok := strings.CutPrefix(string(arn), string(namePlace.Lambda("")))
		if !ok || rest == "" || strings.Count(rest, ":") > 1 || strings.ContainsAny(rest, "*?/ \n") {
			t.Fatalf("%q, %q: %s", name, qualifier, arn)
		}
		if strings.Contains(rest, "$") {
			return // a qualifier that no ARN can have
		}
		if again, err := api.FunctionARN(namePlace, string(arn), ""); err != nil || again != arn {
			t.Fatalf("%q, %q: %s, which means %s (%v)", name, qualifier, arn, again, err)
		}
	})
}
