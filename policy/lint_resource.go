package policy

import (
	"strings"
)

// resources finds resources that can never be asked for, with any or with
// each of the actions beside them, and variables where they are plain text.
func (l *linter) resources() {
	_, items := l.element("Resource")
	for i, n := range items {
		l.placeOfVariables(n)
		if why, fix := neverARN(n.text); why != "" {
			l.add("never-matches", n.line, fix, "%s can never match: %s", n.text, why)
			continue
		}
		l.service(n)
		if part := lastPart(n.text); strings.HasPrefix(n.text, "arn:") && strings.Contains(n.text, ":iot:") &&
			strings.HasPrefix(part, "topic/") && strings.ContainsAny(part, "+#") {
			l.add("mqtt-wildcard", n.line, "Write * where any text is meant.",
				"In a policy + and # are plain characters, and no topic can hold them, so %s never matches", n.text)
		}
		for _, tok := range l.st.resources[i].tokens {
			if key := strings.ToLower(tok.text); tok.kind == tokenVariable && !Supplied(key) {
				l.add("unsupplied-key", n.line, "Use a key that is supplied, or write the text itself.",
					"${%s} is a key that Strait never supplies, so the resource never matches (in a Deny: always)", tok.text)
			}
		}
	}
	l.types(items)
}

// placeOfVariables finds ${...} that stays plain text.
func (l *linter) placeOfVariables(n *node) {
	if !strings.Contains(n.text, "${") {
		return
	}
	if l.doc.Version != "2012-10-17" {
		l.add("variable-2008", n.line, `Write "Version": "2012-10-17" at the beginning of the policy.`,
			"Under Version 2008-10-17 (also when none is written) ${...} is plain text, so %s matches nothing that is meant", n.text)
		return
	}
	if parts := strings.SplitN(n.text, ":", segments); len(parts) < segments || strings.Contains(strings.Join(parts[:segments-1], ":"), "${") {
		l.add("variable-place", n.line, "Move the variable behind the fifth colon; before it, write * or the value.",
			"A variable is filled in only in the last part of an ARN; in %s it is plain text", n.text)
	}
}

// neverARN says why no resource has an ARN that matches text.
func neverARN(text string) (why, fix string) {
	p := strings.SplitN(text, ":", segments)
	if len(p) < segments {
		return "", ""
	}
	wild := func(s string) bool { return strings.ContainsAny(s, "*?") }
	empty := func(i int) bool { return p[i] == "" || strings.Trim(p[i], "*") == "" }
	switch service := p[2]; {
	case service == "s3" && (!empty(3) || !empty(4)):
		return "ARNs of buckets and objects have neither region nor account", "Write arn:" + p[1] + ":s3:::" + p[5] + "."
	case (service == "iam" || service == "sts") && !empty(3):
		return "ARNs of " + service + " have no region", "Write arn:" + p[1] + ":" + service + "::" + p[4] + ":" + p[5] + "."
	case (service == "iot" || service == "lambda") && (p[3] == "" || p[4] == ""):
		return "ARNs of " + service + " have a region and an account", "Write arn:" + p[1] + ":" + service + ":*:*:" + p[5] + "."
	case !empty(4) && p[4] != "aws" && !wild(p[4]) && !strings.Contains(p[4], "${") && !isAccount(p[4]):
		return "an account is 12 digits", "Correct the account, the fifth part."
	case p[5] == "":
		return "its last part is empty", "Name the resource after the fifth colon, or write *."
	}
	return "", ""
}

// service finds a resource of a service that none of the actions belongs to.
func (l *linter) service(n *node) {
	parts := strings.SplitN(n.text, ":", segments)
	if len(parts) < 3 || l.st.notAction {
		return
	}
	for _, a := range l.st.actions {
		vendor, _, _ := strings.Cut(strings.ToLower(a), ":")
		if vendor == "*" || vendor == parts[2] || vendor == "sts" && parts[2] == "iam" ||
			strings.HasPrefix(vendor, "iot") && parts[2] == "iot" || strings.HasPrefix(vendor, "s3-") || vendor == "strait" {
			return
		}
	}
	l.add("never-matches", n.line, "Put it into a statement with the actions that it is meant for.",
		"%s can never match: none of the actions beside it is asked on a resource of %s", n.text, parts[2])
}

// types finds actions that none of the resources beside them fits.
func (l *linter) types(items []*node) {
	if l.st.notResource || l.st.notAction || len(items) == 0 {
		return
	}
	el, actions := l.element("Action")
	for _, a := range actions {
		want := typeOf(a.text)
		if want == "" {
			continue
		}
		fits, near := false, ""
		for _, n := range items {
			fits = fits || fitsType(n.text, want)
			if near == "" && strings.Contains(n.text, ":") {
				near = n.text
			}
		}
		if fits {
			continue
		}
		line := a.line
		if len(actions) == 1 {
			line = el.line
		}
		switch {
		case want == "topic" && strings.HasPrefix(lastPart(near), "topicfilter/"):
			l.add("topicfilter-for-publish", line, "Write "+strings.Replace(near, ":topicfilter/", ":topic/", 1)+" for it.",
				"%s is asked on topic/..., never on topicfilter/..., so it never matches here", a.text)
		case want == "topicfilter" && strings.HasPrefix(lastPart(near), "topic/"):
			l.add("topic-for-subscribe", line, "Write "+strings.Replace(near, ":topic/", ":topicfilter/", 1)+" for it.",
				"%s is asked on topicfilter/..., never on topic/..., so it never matches here", a.text)
		case want == "object":
			l.add("never-matches", line, "Write "+near+"/* for it.",
				"%s is asked on an object; %s is the bucket alone, so it never matches here", a.text, near)
		case want == "bucket":
			bucket, _, _ := strings.Cut(near, "/")
			l.add("never-matches", line, "Write "+bucket+" for it.",
				"%s is asked on the bucket itself, not on its objects, so it never matches on %s", a.text, near)
		case want == "*":
			l.add("never-matches", line, `Write "*" as its Resource, in a statement of its own.`,
				"%s is asked on no single resource; only Resource \"*\" allows it, not %s", a.text, near)
		default:
			l.add("never-matches", line, "Give it a resource "+want+"/....",
				"%s is asked on %s/..., so it never matches on %s", a.text, want, near)
		}
	}
}

// fitsType tells whether a resource pattern can match a resource of the type.
func fitsType(pattern, want string) bool {
	if pattern == "*" {
		return true
	}
	parts := strings.SplitN(pattern, ":", segments)
	if len(parts) < segments {
		return want != "*" || strings.TrimLeft(pattern, "*") == ""
	}
	last := parts[segments-1]
	if strings.Contains(strings.Join(parts[:segments-1], ":"), "${") {
		return true // said already
	}
	switch want {
	case "*":
		return false
	case "bucket":
		bucket, _, object := strings.Cut(last, "/")
		return !object || strings.Contains(bucket, "*")
	case "object":
		return strings.ContainsAny(last, "/*$")
	}
	head, _, _ := strings.Cut(last, "/")
	if i := strings.IndexAny(head, "*?$"); i >= 0 {
		return strings.HasPrefix(want, head[:i])
	}
	return head == want
}
