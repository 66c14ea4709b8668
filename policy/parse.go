package policy

import (
	"errors"
	"fmt"
	"strings"
)

// A parser builds a Document; its first fault ends it.
type parser struct {
	kind      Kind
	variables bool // Version 2012-10-17
}

// Parse reads a document. name is what a reason shows, such as an ARN or
// "inline policy put-objects". Unknown elements, operators and Versions are
// refused; unknown actions and condition keys are not, as in AWS. Sizes are not
// checked beyond MaxText: see CheckSize. The error is a *SyntaxError.
func Parse(kind Kind, name, text string) (*Document, error) {
	p := &parser{kind: kind}
	root, err := readJSON(text)
	var broken *jsonError
	if errors.As(err, &broken) {
		return nil, p.fail(faultJSON, broken.line, "", "%s", broken.text)
	}
	d := &Document{Name: name, Kind: kind, text: text, root: root}
	if err := p.document(d); err != nil {
		return nil, err
	}
	return d, nil
}

func (p *parser) fail(f fault, line int, about, hint string, args ...any) error {
	return &SyntaxError{p.kind.message(f, about), fmt.Sprintf(hint, args...), line}
}

func (p *parser) document(d *Document) error {
	root := d.root
	if root.kind != nodeObject {
		return p.fail(faultJSON, root.line, "", "a policy is an object")
	}
	d.Version = "2008-10-17"
	var list *node
	for _, m := range root.members {
		switch m.key {
		case "Version":
			if m.value.kind != nodeText || m.value.text != "2012-10-17" && m.value.text != "2008-10-17" {
				return p.fail(faultVersion, m.line, "", `Version is "2012-10-17" or "2008-10-17"`)
			}
			if d.Version = m.value.text; p.kind == IoT && d.Version != "2012-10-17" { // iot-policies §2
				return p.fail(faultVersion, m.line, "", `IoT policies have Version "2012-10-17"`)
			}
		case "Id":
			if m.value.kind != nodeText {
				return p.fail(faultSyntax, m.line, "", "Id is a string")
			}
		case "Statement":
			list = m.value
		default:
			return p.fail(faultSyntax, m.line, "", "unknown element %s", quote(m.key))
		}
	}
	if list == nil || list.kind == nodeList && len(list.items) == 0 {
		return p.fail(faultNoStatement, root.line, "", "there is no Statement")
	}
	items := list.items
	if list.kind == nodeObject {
		items = []*node{list}
	} else if list.kind != nodeList {
		return p.fail(faultSyntax, list.line, "", "Statement is an object or a list of them")
	}
	p.variables = d.Version == "2012-10-17"
	sids := map[string]bool{}
	for i, n := range items {
		st, err := p.statement(n, i+1)
		if err != nil {
			return err
		}
		if st.sid != "" && sids[st.sid] {
			return p.fail(faultSameSid, n.line, "", "the Sid %s is there twice", quote(st.sid))
		}
		sids[st.sid] = true
		st.prepare(d.Name)
		d.statements = append(d.statements, st)
	}
	d.prepare()
	return nil
}

func (p *parser) statement(n *node, number int) (*statement, error) {
	st := &statement{number: number, line: n.line}
	if n.kind != nodeObject {
		return nil, p.fail(faultSyntax, n.line, "", "statement %d is no object", number)
	}
	for _, m := range n.members {
		switch m.key {
		case "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition":
		default:
			return nil, p.fail(faultSyntax, m.line, "", "unknown element %s in statement %d", quote(m.key), number)
		}
	}
	for _, step := range []func(*node, *statement) error{p.sid, p.effect, p.principal, p.action, p.resource, p.condition} {
		if err := step(n, st); err != nil {
			return nil, err
		}
	}
	return st, nil
}

func (p *parser) sid(n *node, st *statement) error {
	v := n.member("Sid")
	if v == nil {
		return nil
	}
	if v.kind != nodeText {
		return p.fail(faultSyntax, v.line, "", "Sid is a string")
	}
	st.sid = v.text
	if p.kind == Bucket || p.kind == Function || p.kind == IoT {
		return nil
	}
	for _, c := range v.text {
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z') {
			return p.fail(faultSid, v.line, "", "the Sid %s may hold letters and digits only", quote(v.text))
		}
	}
	return nil
}

func (p *parser) effect(n *node, st *statement) error {
	v := n.member("Effect")
	switch {
	case v == nil:
		return p.fail(faultNoEffect, n.line, "", "statement %d has no Effect", st.number)
	case v.kind != nodeText || v.text != "Allow" && v.text != "Deny":
		return p.fail(faultEffect, v.line, v.text, `Effect is "Allow" or "Deny"`)
	}
	st.deny = v.text == "Deny"
	return nil
}

// either returns the one of two elements that is there, and whether it is the
// second; nil when neither is, an error when both are.
func (p *parser) either(n *node, first, second string) (v *node, isSecond bool, err error) {
	a, b := n.member(first), n.member(second)
	switch {
	case a != nil && b != nil:
		return nil, false, p.fail(faultSyntax, b.line, "", "both %s and %s are there", first, second)
	case b != nil:
		return b, true, nil
	}
	return a, false, nil
}

// texts returns a string, or a list of strings, that is not empty.
func (p *parser) texts(v *node, what string, f fault) ([]string, error) {
	if v.kind == nodeText {
		return []string{v.text}, nil
	}
	if v.kind != nodeList {
		return nil, p.fail(faultSyntax, v.line, "", "%s is a string or a list of strings", what)
	}
	if len(v.items) == 0 {
		return nil, p.fail(f, v.line, "", "%s is empty", what)
	}
	var out []string
	for _, n := range v.items {
		if n.kind != nodeText {
			return nil, p.fail(faultSyntax, n.line, "", "%s is a string or a list of strings", what)
		}
		out = append(out, n.text)
	}
	return out, nil
}

func (p *parser) action(n *node, st *statement) error {
	v, not, err := p.either(n, "Action", "NotAction")
	if err != nil {
		return err
	}
	if v == nil || not && p.kind == Trust {
		return p.fail(faultNoAction, n.line, "", "statement %d has no Action", st.number)
	}
	st.notAction = not
	if st.actions, err = p.texts(v, "Action", faultNoAction); err != nil {
		return err
	}
	for _, a := range st.actions {
		vendor, name, found := strings.Cut(a, ":")
		switch {
		case p.kind == Trust && (!strings.EqualFold(vendor, "sts") || !found):
			return p.fail(faultAction, v.line, "", "%s is no action of STS", quote(a))
		case a == "*":
		case !found || vendor == "":
			return p.fail(faultVendor, v.line, "", "%s has no vendor before the colon", quote(a))
		case strings.ContainsAny(vendor, "*?"):
			return p.fail(faultAction, v.line, "", "the vendor of %s may hold no wildcard", quote(a))
		case name == "":
			return p.fail(faultAction, v.line, "", "%s names no action", quote(a))
		}
	}
	return nil
}

func (p *parser) resource(n *node, st *statement) error {
	v, not, err := p.either(n, "Resource", "NotResource")
	if err != nil {
		return err
	}
	if p.kind == Trust {
		st.anyResource = true
		switch {
		case v == nil:
			return nil
		case not:
			return p.fail(faultUnwantedNotResource, v.line, "", "the role itself is the resource")
		}
		return p.fail(faultUnwantedResource, v.line, "", "the role itself is the resource")
	}
	if v == nil {
		return p.fail(faultNoResource, n.line, "", "statement %d has no Resource", st.number)
	}
	st.notResource = not
	list, err := p.texts(v, "Resource", faultNoResource)
	if err != nil {
		return err
	}
	for _, text := range list {
		if err := p.checkResource(text, v.line); err != nil {
			return err
		}
		st.resources = append(st.resources, readResource(text, p.variables))
	}
	return nil
}

// checkResource refuses what could match nothing or more than it seems to.
func (p *parser) checkResource(text string, line int) error {
	if text == "*" {
		return nil
	}
	parts := strings.SplitN(text, ":", segments)
	short := len(parts) < segments
	switch {
	case parts[0] != "arn" || len(parts) < 2:
		return p.fail(faultResource, line, text, "%s is neither an ARN nor *", quote(text))
	case short && (p.kind == Bucket || p.kind == Function):
		return p.fail(faultResource, line, text, "%s has fewer than six parts", quote(text))
	case len(parts) > 2 && (parts[2] == "" || strings.ContainsAny(parts[2], "*?")):
		return p.fail(faultResource, line, text, "the service in %s must be written out", quote(text))
	}
	switch part := parts[1]; {
	case part == "aws", part == "aws-cn", part == "aws-us-gov", strings.ContainsAny(part, "*?"):
		return nil
	default:
		return p.fail(faultPartition, line, fmt.Sprintf(`Partition "%s" is not valid for resource "%s".`, part, text),
			"the partition in %s is not known", quote(text))
	}
}

func (p *parser) condition(n *node, st *statement) error {
	v := n.member("Condition")
	if v == nil {
		return nil
	}
	if v.kind != nodeObject {
		return p.fail(faultSyntax, v.line, "", "Condition is an object of operators")
	}
	for _, m := range v.members {
		op, ok := readOperator(m.key)
		if !ok {
			return p.fail(faultSyntax, m.line, "", "unknown condition operator %s", quote(m.key))
		}
		if m.value.kind != nodeObject {
			return p.fail(faultSyntax, m.line, "", "%s is an object of condition keys", m.key)
		}
		for _, k := range m.value.members {
			c, err := p.key(op, k)
			if err != nil {
				return err
			}
			st.conditions = append(st.conditions, c)
		}
	}
	return nil
}

func (p *parser) key(op operator, m member) (condition, error) {
	c := condition{operator: op, key: m.key, lower: strings.ToLower(m.key), line: m.line}
	c.known = Supplied(c.lower)
	items := []*node{m.value}
	if m.value.kind == nodeList {
		items = m.value.items
	}
	if m.key == "" || len(items) == 0 {
		return c, p.fail(faultSyntax, m.line, "", "the condition key %s has no value", quote(m.key))
	}
	for _, n := range items {
		switch n.kind {
		case nodeText, nodeNumber, nodeBool:
			c.values = append(c.values, readValue(op, n.text, p.variables))
		default:
			return c, p.fail(faultSyntax, n.line, "", "a value of %s is no string, number or boolean", quote(m.key))
		}
	}
	return c, nil
}

// principal reads Principal or NotPrincipal: required in resource and trust
// policies, forbidden in all others.
func (p *parser) principal(n *node, st *statement) error {
	v, not, err := p.either(n, "Principal", "NotPrincipal")
	if err != nil {
		return err
	}
	if p.kind != Trust && p.kind != Bucket && p.kind != Function {
		if v != nil {
			return p.fail(faultUnwantedPrincipal, v.line, "", "%s applies to whoever it is attached to", p.kind)
		}
		return nil
	}
	switch {
	case v == nil:
		return p.fail(faultNoPrincipal, n.line, "", "statement %d has no Principal", st.number)
	case not && !st.deny:
		return p.fail(faultAllowNotPrincipal, v.line, "", "it would allow everyone else on earth")
	case not && p.kind == Trust:
		return p.fail(faultNotPrincipal, v.line, "", "name the principals that may assume the role")
	}
	st.hasPrincipal, st.notPrincipal = true, not
	if v.kind == nodeText && v.text == "*" {
		st.principals = []principal{{kind: principalAny}}
		return nil
	}
	switch {
	case v.kind != nodeObject:
		return p.fail(faultPrincipalType, v.line, quote(v.text), `Principal is "*" or an object such as {"AWS": "arn:..."}`)
	case len(v.members) == 0:
		return p.fail(faultEmptyPrincipal, v.line, "", "Principal names nobody")
	}
	for _, m := range v.members {
		list, err := p.texts(m.value, m.key, faultEmptyPrincipal)
		if err != nil {
			return err
		}
		for _, text := range list {
			one, ok := readPrincipal(m.key, text)
			if !ok || m.key == "CanonicalUser" && p.kind != Bucket {
				return p.fail(faultPrincipal, m.line, quote(m.key)+":"+quote(text), "%s under %s names no principal", quote(text), quote(m.key))
			}
			st.principals = append(st.principals, one)
		}
	}
	return nil
}
