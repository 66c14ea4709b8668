package strait_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// floors is the plan of the house: a package imports only from floors below its
// own. Rooms of one floor do not know each other.
var floors = [][]string{
	{"strait", "strait/metric", "strait/await"},
	// Rooms that stand on the words alone.
	{"strait/policy", "strait/credential", "strait/state", "strait/identity/sigv4", "strait/identity/ca", "strait/identity/template", "strait/vend",
		"strait/door/mqtt/packet", "strait/door/mqtt/websocket", "strait/device", "strait/object/md5lanes"},
	// Homes of facts, engines, and suites that homes run.
	{"strait/state/local", "strait/state/statetest", "strait/broker", "strait/rule", "strait/schedule", "strait/shadow", "strait/object", "strait/function", "strait/function/boot", "strait/logs"},
	{"strait/object/dir", "strait/object/s3", "strait/object/objecttest", "strait/object/settings"},
	{"strait/object/lifecycle", "strait/object/notify"},
	{"strait/identity"},
	{"strait/authz"},
	{"strait/api"},
	{"strait/door/http", "strait/door/mqtt"},
	{"strait/server", "strait/setup"},
	{"strait/cmd/strait", "strait/cmd/strait-agent", "strait/cmd/strait-vend"},
	{"strait/story", "strait/story/device", "strait/story/explain", "strait/story/links", "strait/story/power", "strait/story/s3", "strait/story/soak", "strait/story/wire"},
}

// engines do the work; only the corridor and the server know them.
var engines = []string{"strait/broker", "strait/rule", "strait/schedule", "strait/shadow", "strait/object", "strait/object/dir", "strait/object/s3", "strait/object/lifecycle", "strait/object/notify", "strait/function", "strait/logs"}

// outside are rooms that run on devices or speak AWS's public APIs only: they
// reach nothing of the server, not even indirectly.
var outside = []string{"strait/device", "strait/setup", "strait/vend", "strait/cmd/strait-agent", "strait/cmd/strait-vend"}

// public is what those may reach.
var public = []string{"strait", "strait/device", "strait/setup", "strait/vend", "strait/cmd/strait-agent", "strait/cmd/strait-vend"}

// doors reach api and the words; their own bytes, and how a signature is read.
var doors = map[string][]string{
	"strait/door/http": {"strait", "strait/api", "strait/identity/sigv4"},
	"strait/door/mqtt": {"strait", "strait/api", "strait/door/mqtt/packet", "strait/door/mqtt/websocket"},
}

func list(t *testing.T, format string) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", format, "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	m := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		pkg, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		m[pkg] = strings.Fields(rest)
	}
	return m
}

func TestImportsRunDown(t *testing.T) {
	floor := map[string]int{}
	for i, ps := range floors {
		for _, p := range ps {
			floor[p] = i
		}
	}
	for pkg, imports := range list(t, `{{.ImportPath}} {{join .Imports " "}}`) {
		if _, ok := floor[pkg]; !ok {
			t.Errorf("%s is on no floor: give it one in floors", pkg)
		}
		for _, imp := range imports {
			if f, ok := floor[imp]; ok && f >= floor[pkg] {
				t.Errorf("%s (floor %d) imports %s (floor %d): imports only run down", pkg, floor[pkg], imp, f)
			}
		}
	}
}

func TestEdges(t *testing.T) {
	for pkg, imports := range list(t, `{{.ImportPath}} {{join .Imports " "}}`) {
		for _, imp := range imports {
			if !strings.HasPrefix(imp, "strait") {
				continue
			}
			if allowed, ok := doors[pkg]; ok && !slices.Contains(allowed, imp) {
				t.Errorf("%s imports %s: a door knows the corridor and the words only", pkg, imp)
			}
			if !slices.Contains(engines, imp) {
				continue
			}
			own := strings.HasPrefix(pkg, imp+"/") // a home of the engine's contract
			main := pkg == "strait/cmd/strait" && imp == "strait/function"
			if pkg != "strait/api" && pkg != "strait/server" && !own && !main {
				t.Errorf("%s imports the engine %s: only api and server do", pkg, imp)
			}
			if slices.Contains(engines, pkg) && !own {
				t.Errorf("the engine %s imports the engine %s", pkg, imp)
			}
		}
	}
}

func TestOutsideReachesNoServer(t *testing.T) {
	deps := list(t, `{{.ImportPath}} {{join .Deps " "}}`)
	for _, pkg := range outside {
		for _, dep := range deps[pkg] {
			if (dep == "strait" || strings.HasPrefix(dep, "strait/")) && !slices.Contains(public, dep) {
				t.Errorf("%s reaches %s: it must run without the server", pkg, dep)
			}
		}
	}
}

// TestPolicyIsPure: the decision depends on nothing but its arguments.
func TestPolicyIsPure(t *testing.T) {
	for _, imp := range list(t, `{{.ImportPath}} {{join .Imports " "}}`)["strait/policy"] {
		for _, bad := range []string{"net", "os", "log", "io/fs", "math/rand", "crypto/rand"} {
			if imp == bad || strings.HasPrefix(imp, bad+"/") && imp != "net/netip" {
				t.Errorf("policy imports %s", imp)
			}
		}
	}
	files, err := filepath.Glob("policy/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(f, "_test.go") && (strings.Contains(string(b), "time.Now") || strings.Contains(string(b), "time.Since")) {
			t.Errorf("%s reads the clock", f)
		}
	}
}

// TestGuardsAreAPlace: no handler of the corridor asks for permission by
// itself; rows state what they need, and the corridor and the connection ask.
func TestGuardsAreAPlace(t *testing.T) {
	files, err := filepath.Glob("api/*.go")
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{
		"api/operation.go": true, // the corridor itself
		"api/mqtt.go":      true, // connections, whose rows are asked through their Guard
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !allowed[f] && (strings.Contains(string(b), ".Ask(") || strings.Contains(string(b), ".Check(")) {
			t.Errorf("%s asks for permission by hand", f)
		}
	}
}

// TestDeviceIsSmall: what a device links besides the standard library. Each
// module here was taken for a reason; another one needs one, too.
func TestDeviceIsSmall(t *testing.T) {
	library := map[string]string{
		"strait":                       "the words",
		"github.com/aws/aws-sdk-go-v2": "signatures, S3's shapes",
		"github.com/aws/smithy-go":     "what that SDK stands on",
		"github.com/eclipse/paho.mqtt": "MQTT 3.1.1",
		"github.com/gorilla/websocket": "signed WebSockets",
		"github.com/minio/crc64nvme":   "checksums by the processor",
		"github.com/klauspost/cpuid":   "what that asks the processor with",
		"golang.org/x/":                "locks of files, proxies, terminals",
	}
	program := map[string]string{
		"github.com/alecthomas/kong":    "flags",
		"github.com/dustin/go-humanize": "sizes for people",
	}
	deps := list(t, `{{.ImportPath}} {{join .Deps " "}}`)
	for _, pkg := range []string{"strait/device", "strait/cmd/strait-agent"} {
		if len(deps[pkg]) == 0 {
			t.Fatalf("%s is not there", pkg)
		}
		for _, dep := range deps[pkg] {
			host, _, _ := strings.Cut(dep, "/")
			if !strings.Contains(host, ".") && host != "strait" {
				continue // the standard library; those of strait are in TestOutsideReachesNoServer
			}
			known := func(m map[string]string) bool {
				for prefix := range m {
					if strings.HasPrefix(dep, prefix) {
						return true
					}
				}
				return false
			}
			if !known(library) && !(pkg == "strait/cmd/strait-agent" && known(program)) {
				t.Errorf("%s links %s: no device needs it", pkg, dep)
			}
		}
	}
}

// Pages of decisions are numbered one by one, so that a number names one page.
func TestDecisionsAreNumbered(t *testing.T) {
	pages, err := filepath.Glob("docs/decisions/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for i, page := range pages { // sorted
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		name, title := fmt.Sprintf("%04d-", i+1), fmt.Sprintf("# %d. ", i+1)
		if !strings.HasPrefix(filepath.Base(page), name) || !strings.HasPrefix(string(text), title) {
			t.Errorf("%s: page %d begins with %q and has a name that begins with %q", page, i+1, title, name)
		}
	}
}
