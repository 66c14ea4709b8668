package links_test

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// A finding is what strait doctor says of one link.
type finding struct {
	Link, Skipped, Layer, Document, Sentence string
	OK                                       bool
}

// doctor runs strait doctor and returns what it found broken.
func (h *house) doctor() (broken []finding, all []finding) {
	h.t.Helper()
	cmd := exec.CommandContext(h.ctx, program, "doctor", "upload", "--thing", thing, "--bucket", bucket,
		"--operator", string(h.place.IAM("user/"+operator)), "--json")
	raw, err := cmd.Output()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		h.t.Fatal(err)
	}
	var out struct{ Links []finding }
	if err := json.Unmarshal(raw, &out); err != nil {
		h.t.Fatalf("strait doctor: %v\n%s", err, failed.Stderr)
	}
	for _, f := range out.Links {
		if !f.OK && f.Skipped == "" {
			broken = append(broken, f)
		}
	}
	if (len(broken) > 0) != (failed != nil) {
		h.t.Errorf("%d links are broken, and strait doctor ends with %v", len(broken), err)
	}
	return broken, out.Links
}

// TestDoctor takes away each link of the upload pattern and asks the doctor,
// without any request: it names that link and no other.
func TestDoctor(t *testing.T) {
	for _, v := range []variant{byARN, byAccount} {
		t.Run(string(v), func(t *testing.T) {
			h := open(t, v)
			if broken, all := h.doctor(); len(broken) > 0 || len(all) < 16 {
				t.Fatalf("nothing is broken, and strait doctor says: %+v", all)
			}
			for _, l := range uploadLinks {
				t.Run(l.name, func(t *testing.T) {
					defer func(outer *testing.T) { h.t = outer }(h.t)
					h.t = t
					restore := l.take(h)
					broken, all := h.doctor()
					restore()
					switch {
					case l.redundant[v] != "":
						if len(broken) > 0 {
							t.Errorf("the link is redundant, %s; strait doctor says: %+v", l.redundant[v], broken)
						}
					case len(broken) != 1:
						t.Errorf("one link is broken, strait doctor names %d: %+v", len(broken), all)
					case broken[0].Layer != l.layer || !strings.Contains(broken[0].Document+" "+broken[0].Sentence, l.document):
						t.Errorf("strait doctor names %+v; want the layer %q and the words %q", broken[0], l.layer, l.document)
					}
				})
			}
		})
	}
}
