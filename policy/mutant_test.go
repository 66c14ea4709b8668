package policy_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// mutants are faults planted behind build tags, and the property that must
// catch each: a check that cannot fail would be green forever.
var mutants = []struct{ tag, caught string }{
	{"mutant_absent", "TestOracle"},               // the compiled decision is the oracle's
	{"mutant_lowered", "TestOracle"},              // also without reasons
	{"mutant_quoted", "FuzzParse|TestParseTakes"}, // printed and parsed again, it means the same
	{"mutant_holdsat", "TestGuardFollowsTime"},    // Guard(now) is Decide(now)
	{"mutant_literal", "TestSuggestionsAreNarrow|FuzzLiteral"},
	{"mutant_refused", "TestLeastIsLeast"},
	{"mutant_linear", "TestMatchStaysLinear"}, // caught by the clock
}

func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the package seven times")
	}
	for _, m := range mutants {
		t.Run(m.tag, func(t *testing.T) {
			timeout := "60s"
			if m.tag == "mutant_linear" {
				timeout = "3s"
			}
			cmd := exec.Command("go", "test", "-vet=off", "-count=1", "-timeout="+timeout, "-tags="+m.tag, "-run=^("+m.caught+")$", ".")
			cmd.Env = append(os.Environ(), "STRAIT_CASES=")
			out, err := cmd.CombinedOutput()
			caught := strings.Contains(string(out), "--- FAIL")
			if m.tag == "mutant_linear" {
				caught = caught || strings.Contains(string(out), "test timed out")
			}
			if err == nil || !caught {
				t.Errorf("%s is not caught: %v\n%s", m.caught, err, out)
			}
		})
	}
}
