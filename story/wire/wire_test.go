package wire_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strait/function"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

func TestMain(m *testing.M) {
	function.MaybeSandboxMain()
	os.Exit(m.Run())
}

// A file of testdata is a talk with a fresh server, line by line:
//
//	# a comment
//	service iot               whose requests follow
//	as ${key} ${secret}       who asks from here on (and a token); admin, or nobody
//	> PUT /things/${name}     a request, its headers and its body
//	> X-Amzn-Principal: ${arn}
//	{"a": 1}
//	> CreateRole RoleName=x   a request of a service that knows operations only:
//	Description=of all        its parameters, or its JSON
//	< 200 ...                 the answer: status, kind of error, body
//	< X-Amz-Function-Error: Unhandled
//	= name member.member.0    keeps a member of the answer as a variable; of an
//	                          address, ${name.query} is what comes after "?"
//
// Other lines make what requests need (props_test.go). In answers, what differs
// each time is written as ID, TIME, HEX, PEM, or as the variable that it is.
// Every answer is also held against AWS's model (model_test.go).
func TestWire(t *testing.T) {
	models := botocore(t)
	for _, file := range talks(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			k := open(t)
			k.models = models
			got := k.play(string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			have, want := strings.Split(got, "\n"), strings.Split(string(text), "\n")
			for i := range min(len(have), len(want)) {
				if have[i] != want[i] {
					t.Fatalf("%s:%d:\ngot  %s\nwant %s", file, i+1, have[i], want[i])
				}
			}
			if len(have) != len(want) {
				t.Fatalf("%s: %d lines, want %d", file, len(have), len(want))
			}
		})
	}
}

func talks(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no talks: %v", err)
	}
	return files
}
