package policy

import (
	"fmt"
	"slices"
	"strings"

	"strait"
)

// An Explanation is a decision in prose, for the person who is stuck.
type Explanation struct {
	// Summary is one sentence: who, what, and which layer decided.
	Summary string
	// Intended is set when the refusal looks as if somebody meant it: who
	// narrowed it and where. It comes before any advice.
	Intended string
	// Lines say for each layer that refuses which statements came nearest and
	// where they missed; or, for an allowed request, which statements allow.
	Lines []string
	// Suggestions are the smallest changes, one for each layer that fails to
	// allow; all of them are needed. There is none against an explicit deny.
	Suggestions []Suggestion
}

// Explain says why d, which s decided about r, came out as it did. The prose
// shows names and statements of documents: it is for whoever may read them.
func Explain(s Set, r Request, d Decision) Explanation {
	var e Explanation
	ask := fmt.Sprintf("%s on %s", r.Action, r.Resource)
	if d.Effect == Allow {
		e.Summary = fmt.Sprintf("%s may do %s: allowed by the %s.", caller(r.Principal), ask, d.Layer)
		for _, reason := range d.Reasons {
			if reason.Matched && reason.Effect == Allow {
				e.Lines = append(e.Lines, "Allowed by "+reason.where()+namedAs(reason)+".")
			}
		}
		return e
	}
	e.Summary = fmt.Sprintf("%s may not do %s, %s.", caller(r.Principal), ask, d.Because(r))
	if len(d.Refused) > 1 {
		e.Summary += fmt.Sprintf(" %d layers refuse: %s.", len(d.Refused), list(d.Refused))
	}
	e.Intended = intended(r, d)
	if d.Note != "" {
		e.Lines = append(e.Lines, sentence(d.Note)+".")
	}
	for _, layer := range d.Refused {
		if denied := d.denials(layer); len(denied) > 0 {
			for _, reason := range denied {
				e.Lines = append(e.Lines, fmt.Sprintf("The %s denies it explicitly: %s.%s", layer, reason.where(), s.why(reason, r)))
			}
			continue
		}
		e.Lines = append(e.Lines, d.silence(s, layer, r)...)
		if layer == LayerIoT && s.Aside != "" {
			e.Lines = append(e.Lines, sentence(s.Aside)+".")
		}
		if sg, ok := suggest(s, r, d, layer); ok {
			if d.Effect == ExplicitDeny {
				sg.Also += " It helps only once nothing denies it explicitly."
			}
			e.Suggestions = append(e.Suggestions, sg)
		}
	}
	return e
}

// Text returns the whole explanation, lines ended by "\n", to be printed as
// it is.
func (e Explanation) Text() string {
	var b strings.Builder
	fmt.Fprintln(&b, e.Summary)
	if e.Intended != "" {
		fmt.Fprintf(&b, "\n%s\n", e.Intended)
	}
	if len(e.Lines) > 0 {
		b.WriteByte('\n')
	}
	for _, line := range e.Lines {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	if n := len(e.Suggestions); n > 1 {
		fmt.Fprintf(&b, "\nTo allow it, all %d of these changes are needed.\n", n)
	}
	for _, sg := range e.Suggestions {
		fmt.Fprintf(&b, "\nTo allow it, add this statement to %s (%s):\n  %s\n  %s\n", sg.Document, sg.Layer, sg.Statement, sg.Also)
	}
	return b.String()
}

// intended says that a refusal looks meant, and by whom; "" when it does not.
func intended(r Request, d Decision) string {
	var out []string
	if d.Effect == ExplicitDeny {
		out = append(out, "This looks intended: somebody wrote a statement that denies it. No further Allow helps against that; the statement itself would have to change.")
	}
	if slices.Contains(d.Refused, LayerSession) && len(d.denials(LayerSession)) == 0 {
		out = append(out, fmt.Sprintf("This looks intended: the session %swas narrowed by the session policy that whoever called AssumeRole passed along (for a device's credentials, the vending function), not by %s. Change it there, for the next credentials; those that exist stay as they are.",
			quoted(r.Principal.Name), role(r.Principal)))
	}
	for _, layer := range [...]Layer{LayerIoT, LayerIdentity} {
		if near := d.near(layer); slices.Contains(d.Refused, layer) && len(d.denials(layer)) == 0 && len(near) > 0 && near[0].anothers() {
			out = append(out, fmt.Sprintf("This looks intended: %s gives every caller a place of its own, which here is %s; asked was a place outside it.",
				near[0].where(), near[0].Miss.Want))
		}
	}
	if slices.Contains(d.Refused, LayerBoundary) && len(d.denials(LayerBoundary)) == 0 {
		out = append(out, "This may be intended: a permissions boundary is there to cap what its user or role can be given.")
	}
	return strings.Join(out, " ")
}

// anothers tells whether an Allow missed only because the resource is not the
// caller's own: the pattern names him by a variable that has a value.
func (r Reason) anothers() bool {
	if r.Miss == nil || r.Miss.Part != "resource" || r.Miss.Segment != segments {
		return false
	}
	note := strings.ToLower(r.Miss.Note)
	for _, key := range [...]string{"iot:connection.thing.thingname", "iot:clientid", "iot:certificate.subject.commonname", "credentials-iot:thingname", "aws:username", "aws:userid"} {
		if strings.Contains(note, "${"+key+"} is \"") {
			return true
		}
	}
	return false
}

// denials returns the reasons by which a layer denies explicitly.
func (d Decision) denials(layer Layer) (out []Reason) {
	for _, r := range d.Reasons {
		if r.Layer == layer && r.Matched && r.Effect == ExplicitDeny {
			out = append(out, r)
		}
	}
	return out
}

const nearest = 3 // statements shown of a layer

// silence explains a layer that has no Allow for the request.
func (d Decision) silence(s Set, layer Layer, r Request) []string {
	near := d.near(layer)
	docs := s.documents(layer)
	switch {
	case len(docs) == 0:
		return []string{nothing(layer, r)}
	case len(near) == 0 && d.delegates(layer):
		return []string{fmt.Sprintf("The %s names the whole account, which only leaves the choice to the caller's own policies.", layer)}
	case len(near) == 0:
		return []string{fmt.Sprintf("No Allow of the %s (%s) is about the action %s.%s", layer, docNames(docs), r.Action, beside(string(r.Action)))}
	}
	var out []string
	for i, reason := range near {
		if i == nearest {
			out = append(out, fmt.Sprintf("%d more statements of the %s are about it and miss, too.", len(near)-i+d.Untold[layer], layer))
			break
		}
		out = append(out, reason.missed(string(r.Action)))
	}
	return out
}

// near returns the Allows of a layer that came near, the nearest first: those
// that reached a condition, then a resource, then (where the principal was the
// first hurdle) those for somebody else.
func (d Decision) near(layer Layer) (out []Reason) {
	for _, r := range d.Reasons {
		if r.Layer == layer && r.Effect == Allow && r.Miss != nil && r.Miss.Part != "action" {
			out = append(out, r)
		}
	}
	rank := func(r Reason) int {
		switch r.Miss.Part {
		case "condition":
			return 0
		case "resource":
			return 10 - r.Miss.Segment
		}
		return 20
	}
	slices.SortStableFunc(out, func(a, b Reason) int {
		if n := rank(a) - rank(b); n != 0 || a.Miss.Part != "resource" {
			return n
		}
		return common(b.Miss.Want, b.Miss.Found) - common(a.Miss.Want, a.Miss.Found)
	})
	return out
}

func (d Decision) delegates(layer Layer) bool {
	return slices.ContainsFunc(d.Reasons, func(r Reason) bool {
		return r.Layer == layer && r.Matched && r.Named == namesAccount.String()
	})
}

// missed says in a sentence where an Allow missed.
func (r Reason) missed(action string) string {
	m := r.Miss
	var b strings.Builder
	fmt.Fprintf(&b, "%s ", sentence(r.where()))
	switch m.Part {
	case "principal":
		fmt.Fprintf(&b, "is for %s; the caller is %s", m.Want, m.Found)
	case "resource":
		fmt.Fprintf(&b, "allows the action, but on %s; asked was %s", m.Want, m.Found)
		if m.Segment > 0 {
			fmt.Fprintf(&b, " (%s differs)", partName(m.Segment))
		}
	case "condition":
		found := "is " + quote(m.Found)
		if m.Found == "" {
			found = "has no value"
		}
		fmt.Fprintf(&b, "allows it only if %s %s %s; here it %s", m.Key, m.Operator, quote(m.Want), found)
	}
	b.WriteByte('.')
	if m.Note != "" {
		fmt.Fprintf(&b, " %s.", sentence(m.Note))
	}
	if hint := confusion(action, m.Want, m.Found); hint != "" && m.Part == "resource" {
		fmt.Fprintf(&b, " %s.", hint)
	}
	return b.String()
}

// where names the statement: number, Sid, document and line.
func (r Reason) where() string {
	sid := ""
	if r.Sid != "" {
		sid = " " + quote(r.Sid)
	}
	via := ""
	if r.Via != "" {
		via = " attached to " + r.Via
	}
	return fmt.Sprintf("statement %d%s of %s%s (%s, line %d)", r.Statement, sid, r.Document, via, r.Layer, r.Line)
}

func namedAs(r Reason) string {
	switch r.Named {
	case "directly":
		return ", which names the caller"
	case "role":
		return ", which names the caller's role"
	case "account":
		return ", which names the caller's account"
	}
	return ""
}

// nothing says plainly that a layer holds no document.
func nothing(layer Layer, r Request) string {
	switch layer {
	case LayerTrust:
		return "There is no trust policy for " + string(r.Resource) + ": the role does not exist, or names nobody who may assume it."
	case LayerResource:
		return fmt.Sprintf("There is no resource policy on %s: nobody gave %s a permission.", r.Resource, caller(r.Principal))
	case LayerIoT:
		return "There is no IoT policy at all: none is attached to the certificate or to a thing group that counts."
	case LayerBoundary:
		return "A permissions boundary is set, but its document is gone, so it allows nothing."
	case LayerSession:
		return "The session has a session policy that allows nothing at all."
	}
	return fmt.Sprintf("There is no identity policy at all: nothing is attached to %s.", holder(r.Principal))
}

func (s *Set) documents(layer Layer) []*Document {
	switch layer {
	case LayerIdentity:
		return s.Identity
	case LayerBoundary:
		return s.Boundary
	case LayerSession:
		return s.Session
	case LayerResource:
		return s.Resource
	case LayerTrust:
		return s.Trust
	case LayerIoT:
		return s.IoT
	}
	return nil
}

// partName names a part of an ARN, counted from 1.
func partName(n int) string {
	return [...]string{"", "the first part", "the partition", "the service", "the region", "the account", "the resource part"}[n]
}

func caller(p strait.Principal) string {
	if p.Kind == strait.Anonymous || p.ARN == "" {
		return "An anonymous caller"
	}
	return string(p.ARN)
}

// holder is what identity policies are attached to.
func holder(p strait.Principal) string {
	if p.Kind == strait.AssumedRole {
		return role(p)
	}
	return string(p.ARN)
}

func role(p strait.Principal) string {
	if p.RoleARN == "" {
		return "the role"
	}
	return "role " + string(p.RoleARN)
}

func quoted(name string) string {
	if name == "" {
		return ""
	}
	return quote(name) + " "
}

func list(layers []Layer) string {
	var out []string
	for _, l := range layers {
		out = append(out, string(l))
	}
	return strings.Join(out, ", ")
}

func docNames(docs []*Document) string {
	var out []string
	for i, d := range docs {
		if i == nearest {
			out = append(out, fmt.Sprintf("and %d more", len(docs)-i))
			break
		}
		out = append(out, d.Name)
	}
	return strings.Join(out, ", ")
}

// sentence returns s with its first letter large.
func sentence(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}
