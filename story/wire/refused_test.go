package wire_test

import (
	"strings"
	"testing"

	"strait/api"
)

// TestRefused: whoever calls an operation of AWS that is not offered is told
// which one that is and why, and with no code that means something else: what
// "is not found" many clients take for deleted.
func TestRefused(t *testing.T) {
	k := open(t)
	refused, err := api.Refused()
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, c := range refused {
		k.service = table(t, c.Service)
		want, first := "< 400 InvalidAction ", c.Operation
		switch k.service.Protocol {
		case "rest-xml":
			continue // story/s3 has them
		case "json-1.1":
			want = "< 400 UnknownOperationException "
		case "rest-json":
			want, first = "< 501 UnknownOperationException ", values.Replace(c.Route)
		}
		if first == "" {
			continue // newer than the models that routes are from
		}
		told++
		got := k.ask([]string{"> " + first})
		if !strings.HasPrefix(got, want) || !strings.Contains(got, " is not offered here ("+c.Why+")") {
			t.Errorf("%s %s:\ngot  %s\nwant %s... is not offered here (%s)", c.Service, c.Operation, got, want, c.Why)
		}
	}
	if told < 400 {
		t.Errorf("%d operations were asked for, want all", told)
	}
	k.service = table(t, "iot")
	if got := k.ask([]string{"> GET /nothing/of/aws"}); !strings.HasPrefix(got, "< 501 UnknownOperationException ") {
		t.Errorf("what AWS does not have either: %s", got)
	}
	k.as([]string{"AKIAX", "x"})
	if got := k.ask([]string{"> PUT /jobs/x"}); !strings.HasPrefix(got, "< 403 UnrecognizedClientException") {
		t.Errorf("a stranger is told what there is: %s", got)
	}
}

// values stand for the variables of routes.
var values = strings.NewReplacer("{", "", "}", "", "+}", "")
