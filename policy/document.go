package policy

import "strings"

// A Document is one policy, parsed and compiled; it never changes and may be
// used by many goroutines.
type Document struct {
	Name    string // what a reason shows, such as an ARN or "inline policy put-objects"
	Kind    Kind
	Version string // "2012-10-17", or "2008-10-17" (also when none is written)

	text       string
	root       *node
	statements []*statement
	entries    []entry // of few statements
	index      *index  // of many
}

// Text returns the text exactly as it was given to Parse.
func (d *Document) Text() string { return d.text }

// Compact returns the document as JSON without white space. Parsed again it
// gives the same verdicts. It keeps the order of the text.
func (d *Document) Compact() string { return string(d.root.print(nil)) }

// A statement is one rule of a document.
type statement struct {
	sid    string
	number int // from 1
	line   int
	deny   bool

	hasPrincipal bool
	notPrincipal bool
	principals   []principal

	notAction bool
	actions   []string

	anyResource bool // trust policies: the role itself is the resource
	notResource bool
	resources   []*arnTemplate

	conditions []condition

	// what a Miss says they want
	wantPrincipal, wantAction string
	names                     []actionName // of actions
	blank                     Reason       // as it is when another action was asked
}

// prepare writes what every miss of the statement would write again.
func (st *statement) prepare(document string) {
	var who []string
	for _, p := range st.principals {
		who = append(who, p.show())
	}
	st.wantPrincipal, st.wantAction = strings.Join(who, ", "), strings.Join(st.actions, ", ")
	if st.notPrincipal {
		st.wantPrincipal = "anyone but " + st.wantPrincipal
	}
	if st.notAction {
		st.wantAction = "anything but " + st.wantAction
	}
	for _, a := range st.actions {
		st.names = append(st.names, readActionName(a))
	}
	st.blank = Reason{Document: document, Sid: st.sid, Statement: st.number, Line: st.line, Effect: Allow,
		Miss: &Miss{Part: "action", Want: st.wantAction}}
	if st.deny {
		st.blank.Effect = ExplicitDeny
	}
}

// A SyntaxError says why a text is no policy.
type SyntaxError struct {
	Message string // AWS's sentence, for the caller
	Hint    string // ours: what exactly is wrong
	Line    int    // of the text, from 1
}

// Error returns AWS's sentence, the line and the hint.
func (e *SyntaxError) Error() string { return e.Message + e.where() }
