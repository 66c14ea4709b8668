package wire_test

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"strait/api"
)

// TestInputs: no member that AWS's model has in a request is passed over
// silently. What is not even read stands in testdata/unread, with the reason.
func TestInputs(t *testing.T) {
	models := botocore(t)
	if models == nil || !models.whole {
		t.Skip("AWS's models are not here, or too old")
	}
	known := unread(t)
	found := map[string]bool{}
	for _, s := range api.Tables() {
		model := models.of(s.Name)
		if model == nil {
			continue
		}
		for _, o := range s.Operations {
			if m := model.Operations[o.Name].Input; m != nil {
				in := inputs{model, found}
				in.compare(s.Name+" "+o.Name, m.Shape, reflect.TypeOf(o.Input()))
			}
		}
	}
	for name := range found {
		if !known[name] {
			t.Errorf("%s is not read: read it, refuse it, or say in testdata/unread why not", name)
		}
	}
	for name := range known {
		if !found[name] {
			t.Errorf("testdata/unread has %s, which is read, or which there is not", name)
		}
	}
}

// unread reads lines "service Operation.member.member: why".
func unread(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("testdata/unread")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		name, why, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if !ok || why == "" {
			t.Fatalf("testdata/unread: %q says nothing", line)
		}
		out[name] = true
	}
	return out
}

type inputs struct {
	model *model
	found map[string]bool // members that are not read
}

// compare holds a shape of ours against the model's.
func (in inputs) compare(where, name string, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s := in.model.Shapes[name]
	switch {
	case s.Type == "list" && t.Kind() == reflect.Slice:
		in.compare(where+"[]", s.Member.Shape, t.Elem())
	case s.Type == "structure" && t.Kind() == reflect.Struct:
		have := map[string]reflect.Type{}
		if members(t, have) {
			return // the whole body, which somebody else reads
		}
		for name, m := range s.Members {
			told := strings.ToLower(name)
			if _, ok := have[told]; !ok && m.Name != "" {
				told = strings.ToLower(m.Name)
			}
			if f, ok := have[told]; !ok {
				in.found[fmt.Sprintf("%s.%s", where, name)] = true
			} else if m.Where == "" {
				in.compare(where+"."+name, m.Shape, f)
			}
		}
	}
}

// members collects those of t by how they are called on the wire, in lower
// case, and tells whether one of them is the body.
func members(t reflect.Type, have map[string]reflect.Type) (body bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			body = members(f.Type, have) || body
			continue
		}
		name := f.Name
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != "" && tag != "-" {
			name = tag
		}
		where, tag, ok := strings.Cut(f.Tag.Get("aws"), ",")
		switch {
		case where == "payload":
			body = true
		case ok:
			name = tag
		case where != "":
			name = where
		}
		have[strings.ToLower(name)] = f.Type
	}
	return body
}
