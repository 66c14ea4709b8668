package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Finding is something in a policy that is allowed and probably not meant.
type Finding struct {
	Code      string `json:"code"` // stable, such as "topicfilter-for-publish"
	Line      int    `json:"line"` // of the text, from 1
	Statement int    `json:"statement,omitempty"`
	Sid       string `json:"sid,omitempty"`
	Sentence  string `json:"sentence"` // what is wrong
	Fix       string `json:"fix"`      // what to write instead
}

// Lint reads a policy as somebody would who has seen such policies go wrong.
// The findings come in the order of their lines; none means that nothing is
// suspicious. A text that is no policy has one finding, with code "syntax".
func Lint(kind Kind, text string) []Finding {
	d, err := Parse(kind, "policy", text)
	var broken *SyntaxError
	if errors.As(err, &broken) {
		return []Finding{{Code: "syntax", Line: broken.Line, Sentence: broken.Message, Fix: sentence(broken.Hint) + "."}}
	}
	l := &linter{kind: kind, doc: d}
	items := []*node{d.root.member("Statement")}
	if items[0].kind == nodeList {
		items = items[0].items
	}
	for i, st := range d.statements {
		if len(l.found) >= mostFindings {
			break
		}
		l.st, l.node = st, items[i]
		l.openness()
		l.actions()
		l.resources()
		l.conditions()
		l.clientID()
	}
	l.st = nil
	l.pairs()
	slices.SortStableFunc(l.found, func(a, b Finding) int { return a.Line - b.Line })
	return l.found
}

// mostFindings is where a linter stops: whoever has so many begins with these.
const mostFindings = 200

// A linter reads one document, statement by statement.
type linter struct {
	kind  Kind
	doc   *Document
	st    *statement
	node  *node // of the statement
	found []Finding

	isBound *bool // what bound found, once
}

func (l *linter) add(code string, line int, fix, format string, args ...any) {
	f := Finding{Code: code, Line: line, Fix: fix, Sentence: fmt.Sprintf(format, args...)}
	if l.st != nil {
		f.Statement, f.Sid = l.st.number, l.st.sid
	}
	if len(l.found) >= mostFindings || slices.Contains(l.found, f) {
		return
	}
	l.found = append(l.found, f)
}

// element returns the member of the statement, "X" or "NotX", and its items.
func (l *linter) element(name string) (*node, []*node) {
	n := l.node.member(name)
	if n == nil {
		n = l.node.member("Not" + name)
	}
	if n == nil {
		return nil, nil
	}
	if n.kind == nodeList {
		return n, n.items
	}
	return n, []*node{n}
}

// openness finds Allows that reach further than they look.
func (l *linter) openness() {
	st := l.st
	if st.deny {
		return
	}
	if st.notAction {
		n, _ := l.element("Action")
		l.add("allow-not-action", n.line, "List what is meant in Action; or deny the exceptions in a statement of their own.",
			"NotAction with Allow allows every other action there is, also those that come later")
	}
	if st.notResource {
		n, _ := l.element("Resource")
		l.add("allow-not-resource", n.line, "List what is meant in Resource; or deny the exceptions in a statement of their own.",
			"NotResource with Allow allows the action on everything else, also on what is made later")
	}
	for _, p := range st.principals {
		n, _ := l.element("Principal")
		switch {
		case p.kind == principalAny && len(st.conditions) == 0:
			l.add("open-principal", n.line, `Name the principals, or add a Condition such as {"StringEquals": {"aws:PrincipalAccount": "123456789012"}}.`,
				"This is for everyone%s", map[Kind]string{Bucket: ", also for callers who sign nothing", Function: ", also for callers who sign nothing"}[l.kind])
		case p.kind == principalService && l.kind == Function && !st.asks("aws:sourcearn") && !st.asks("aws:sourceaccount"):
			l.add("confused-deputy", n.line, `Add a Condition: {"ArnLike": {"aws:SourceArn": "arn:..."}, "StringEquals": {"aws:SourceAccount": "123456789012"}}.`,
				"Whoever gets %s to call can use this permission, whatever it calls for", p.value)
		case p.kind == principalCanonical:
			l.add("canonical-user", n.line, "Name the account, user or role by its ARN.",
				"Strait does not know canonical user ids: in an Allow they name nobody, in a Deny everyone who signs")
		}
	}
}

// asks tells whether the statement has a condition on the key.
func (st *statement) asks(key string) bool {
	return slices.ContainsFunc(st.conditions, func(c condition) bool { return c.lower == key })
}

// actions finds names that no service has.
func (l *linter) actions() {
	_, items := l.element("Action")
	for _, n := range items {
		if n.text == "*" || len(l.found) >= mostFindings {
			continue
		}
		vendor, name, _ := strings.Cut(strings.ToLower(n.text), ":")
		known, listed := knownActions(vendor)
		switch {
		case !listed && !slices.Contains(otherVendors, vendor):
			l.add("unknown-action", n.line, "Check the part before the colon; it is a service's short name, such as iot, s3 or iam.",
				"No service is called %s, so %s never matches", quote(vendor), n.text)
		case listed && !slices.ContainsFunc(known, func(k string) bool { return foldMatch(name, k) }):
			fix := "Check the name after the colon."
			if near := nearestName(name, known); near != "" {
				fix = fmt.Sprintf("Did you mean %s:%s?", vendor, near)
			}
			l.add("unknown-action", n.line, fix, "There is no action %s, so it never matches", n.text)
		}
	}
}

// nearestName returns the known name that differs in the fewest letters, if
// these are few.
func nearestName(name string, known []string) string {
	best, least := "", 4
	for _, k := range known {
		if n := distance(name, strings.ToLower(k)); n < least {
			best, least = k, n
		}
	}
	return best
}

// distance counts the letters to insert, drop or change to make b of a. Names
// beyond 64 letters are as far away as can be.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// pairs finds what is of no use alone.
func (l *linter) pairs() {
	if l.kind != IoT {
		return
	}
	line := map[string]int{}
	for _, st := range l.doc.statements {
		for _, a := range [...]string{"iot:Subscribe", "iot:Receive", "iot:Publish", "iot:RetainPublish"} {
			if !st.deny && st.covers(a) && line[a] == 0 {
				line[a] = st.line
			}
		}
	}
	if n := line["iot:Subscribe"]; n > 0 && line["iot:Receive"] == 0 {
		l.add("subscribe-without-receive", n, "Allow iot:Receive on the topics (topic/...) of these filters.",
			"The policy allows iot:Subscribe and no iot:Receive: subscribing will succeed and no message will arrive")
	}
	if n := line["iot:RetainPublish"]; n > 0 && line["iot:Publish"] == 0 {
		l.add("retain-without-publish", n, "Allow iot:Publish on the same topics.",
			"The policy allows iot:RetainPublish and no iot:Publish: it is asked besides iot:Publish, so nothing can be published")
	}
}
