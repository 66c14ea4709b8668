package links_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A decision is a record as Strait tells it.
type decision struct {
	ID, Trace, Thing, Operation, Principal, Action, Resource, Effect, Layer, Document, Event string
	Broken                                                                                   bool
}

// step is the part of a chain that a record is about; "" for none.
func (d *decision) step() step {
	function := strings.Contains(d.Principal, ":assumed-role/"+functionRole+"/")
	switch {
	case d.Action == "iam:PassRole":
		return wire
	case d.Action == "iot:Connect", d.Operation == "Connect" && d.Event != "":
		return connect
	case d.Action == "iot:Subscribe":
		return subscribe
	case d.Action == "iot:Publish" && function:
		return answer
	case d.Action == "iot:Publish":
		return publish
	case d.Operation == "Rule":
		return match
	case d.Action == "lambda:InvokeFunction":
		return invoke
	case d.Action == "sts:AssumeRole" && d.Principal == "lambda.amazonaws.com":
		return start
	case d.Action == "sts:AssumeRole":
		return assume
	case d.Action == "iot:Receive":
		return receive
	case d.Action == "s3:PutObject":
		return put
	}
	return ""
}

// A story is the chain of a thing's last request.
type story struct {
	Decisions []*decision
	Broken    *decision
}

func (s *story) broken() *decision {
	if s == nil {
		return nil
	}
	return s.Broken
}

// passed tells whether the story holds that a step was allowed.
func (s *story) passed(at step) bool {
	for _, d := range s.Decisions {
		if d.step() == at && !d.Broken && (d.Effect == "allow" || d.Event != "") {
			return true
		}
	}
	return false
}

// story asks for the story of a thing, nil when there is none yet.
func (h *house) story(thing string) *story {
	h.t.Helper()
	raw, err := h.admin.Strait(h.ctx, "/_strait/things/"+thing+"/trace")
	if err != nil {
		if strings.Contains(err.Error(), "Nothing is recorded") {
			return nil
		}
		h.t.Fatal(err)
	}
	s := &story{}
	h.must(json.Unmarshal(raw, s))
	return s
}

// last asks for the last refusal of all.
func (h *house) last() *decision {
	h.t.Helper()
	raw, err := h.admin.Strait(h.ctx, "/_strait/decisions?denied=true&last=1")
	h.must(err)
	var s story
	h.must(json.Unmarshal(raw, &s))
	if len(s.Decisions) == 0 {
		h.t.Fatal("no refusal is recorded")
	}
	return s.Decisions[0]
}

// program is the strait binary, built once.
var program string

// explain is what strait explain prints about a thing, or without one about
// the last refusal.
func (h *house) explain(thing string) string {
	h.t.Helper()
	args := []string{"explain", "--last"}
	if thing != "" {
		args = []string{"explain", "--thing", thing}
	}
	out, err := exec.CommandContext(h.ctx, program, args...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("strait %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// explains checks that the first line of what strait explain says has all of
// these words.
func (h *house) explains(thing string, words []string) {
	h.t.Helper()
	text := h.explain(thing)
	first, _, _ := strings.Cut(text, "\n")
	h.t.Log(first)
	for _, w := range words {
		if !strings.Contains(first, w) {
			h.t.Errorf("the first line of strait explain lacks %q:\n%s", w, text)
		}
	}
}

func build() (remove func(), err error) {
	dir, err := os.MkdirTemp("", "strait-links-")
	if err != nil {
		return nil, err
	}
	program = filepath.Join(dir, "strait")
	cmd := exec.Command("go", "build", "-o", program, "strait/cmd/strait")
	cmd.Stderr = os.Stderr
	return func() { os.RemoveAll(dir) }, cmd.Run()
}
