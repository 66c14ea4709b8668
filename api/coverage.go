package api

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// Tables returns the tables of all services that AWS has, for reading only:
// there is nothing behind their rows.
func Tables() []Service {
	return []Service{
		IoT(nil, nil, nil, nil, nil, nil), IoTData(nil), Provider(nil, nil, nil, nil), STS(nil, nil, nil), IAM(nil), S3(S3Config{}),
		Lambda(nil, nil, nil, nil), Logs(nil, nil), Scheduler(nil, nil), Events(nil, nil),
	}
}

// refusedText says what is not offered, and why: lines "service: reason", each
// with the names of operations behind a tab on the next.
//
//go:embed coverage.txt
var refusedText string

// A Covered is one operation of AWS: offered here, or why not.
type Covered struct {
	Service, Operation string
	Offered            bool
	Why                string // of what is not offered
}

// Coverage returns all operations of the services that are offered, those of
// one service together and sorted. What is offered is read from the tables
// themselves. An error is a mistake in the list of what is not.
func Coverage() ([]Covered, error) {
	var out []Covered
	offered := map[string]bool{}
	for _, s := range Tables() {
		for _, o := range s.Operations {
			if !o.Own {
				offered[s.Name+" "+o.Name] = true
			}
		}
	}
	for name := range offered {
		s, o, _ := strings.Cut(name, " ")
		out = append(out, Covered{s, o, true, ""})
	}
	var service, why string
	for line := range strings.Lines(refusedText) {
		line = strings.TrimRight(line, "\n")
		names, isNames := strings.CutPrefix(line, "\t")
		if !isNames {
			service, why, _ = strings.Cut(line, ": ")
			continue
		}
		for _, o := range strings.Fields(names) {
			if offered[service+" "+o] {
				return nil, fmt.Errorf("%s %s is offered, but listed as refused: %s", service, o, why)
			}
			out = append(out, Covered{service, o, false, why})
		}
	}
	slices.SortFunc(out, func(a, b Covered) int {
		return strings.Compare(a.Service+" "+a.Operation, b.Service+" "+b.Operation)
	})
	return out, nil
}
