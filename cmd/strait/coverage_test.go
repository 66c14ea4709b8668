package main

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"strait/api"
)

var update = flag.Bool("update", false, "rewrite docs/coverage.md")

// TestCoverage: docs/coverage.md is what the tables say, and no operation is
// both offered and refused.
func TestCoverage(t *testing.T) {
	all, err := api.Coverage()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, o := range all {
		if name := o.Service + " " + o.Operation; seen[name] {
			t.Errorf("%s is listed twice", name)
		} else {
			seen[name] = true
		}
		if !o.Offered && o.Why == "" {
			t.Errorf("%s %s is refused for no reason", o.Service, o.Operation)
		}
	}
	var b bytes.Buffer
	if err := printCoverage(&b, all); err != nil {
		t.Fatal(err)
	}
	const file = "../../docs/coverage.md"
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("docs/coverage.md is not what the tables say (%v): go test ./cmd/strait -update", err)
	}
}
