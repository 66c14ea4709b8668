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

// refusedRoutes are how operations of the rest protocols that are not offered
// would be called, as in Operation.Route: lines "service operation route".
//
//go:embed refused.txt
var refusedRoutes string

// A Covered is one operation of AWS: offered here, or why not.
type Covered struct {
	Service, Operation string
	Offered            bool
	Why                string // of what is not offered
	Route              string // likewise, where its protocol has routes and AWS's models tell it
}

// Coverage returns all operations of the services that are offered, those of
// one service together and sorted. What is offered is read from the tables
// themselves. An error is a mistake in the lists of what is not.
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
		out = append(out, Covered{Service: s, Operation: o, Offered: true})
	}
	refused, err := Refused()
	if err != nil {
		return nil, err
	}
	for _, c := range refused {
		if offered[c.Service+" "+c.Operation] {
			return nil, fmt.Errorf("%s %s is offered, but listed as refused: %s", c.Service, c.Operation, c.Why)
		}
	}
	out = append(out, refused...)
	slices.SortFunc(out, func(a, b Covered) int {
		return strings.Compare(a.Service+" "+a.Operation, b.Service+" "+b.Operation)
	})
	return out, nil
}

// Refused returns all operations that are not offered. An error is a mistake in
// the lists.
func Refused() ([]Covered, error) {
	routes := map[string]string{}
	for line := range strings.Lines(refusedRoutes) {
		service, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, route, ok := strings.Cut(rest, " ")
		if !ok {
			return nil, fmt.Errorf("the route of what is refused cannot be read: %s", line)
		}
		routes[service+" "+name] = route
	}
	var out []Covered
	var service, why string
	for line := range strings.Lines(refusedText) {
		line = strings.TrimRight(line, "\n")
		names, isNames := strings.CutPrefix(line, "\t")
		if !isNames {
			service, why, _ = strings.Cut(line, ": ")
			continue
		}
		for _, o := range strings.Fields(names) {
			name := service + " " + o
			out = append(out, Covered{Service: service, Operation: o, Why: why, Route: routes[name]})
			delete(routes, name)
		}
	}
	for name := range routes {
		return nil, fmt.Errorf("%s has a route, but is not listed as refused", name)
	}
	return out, nil
}
