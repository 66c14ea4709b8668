package policy

import (
	"fmt"
	"strings"

	"strait"
)

// A Suggestion is the smallest change to one document that would make its
// layer allow the request.
type Suggestion struct {
	Layer     Layer
	Document  string // the document to add to, or a new one in words
	Statement string // JSON, ready to paste
	Also      string // what else it would allow
}

// suggest finds the change for a layer that does not allow r. There is none
// where no statement could help: an anonymous caller, root taking on a role,
// a resource that no document can name.
func suggest(s Set, r Request, d Decision, layer Layer) (Suggestion, bool) {
	m := s.modeOf(r.Principal.Kind, r.Action)
	vendor, name, _ := strings.Cut(string(r.Action), ":")
	if vendor == "" || name == "" || m == modeNobody || m == modeTrustNever || r.Principal.Kind == strait.Anonymous {
		return Suggestion{}, false
	}
	if r.Resource != "*" && !isARN(string(r.Resource)) || layer == LayerTrust && !takesRole(r.Action) {
		return Suggestion{}, false
	}
	doc := home(s, d, layer)
	sg := Suggestion{Layer: layer, Document: newHome(layer, r)}
	if doc != nil {
		sg.Document = doc.Name
	}
	fields := []member{{key: "Effect", value: textNode("Allow")}}
	if layer == LayerTrust || layer == LayerResource {
		kind, who := grantee(r.Principal)
		fields = append(fields, member{key: "Principal", value: objectNode(member{key: kind, value: textNode(who)})})
	}
	fields = append(fields, member{key: "Action", value: textNode(string(r.Action))})
	resource, exact := literalARN(string(r.Resource), doc == nil || doc.Version == "2012-10-17")
	if layer != LayerTrust {
		fields = append(fields, member{key: "Resource", value: textNode(resource)})
	}
	condition, bound := bind(r, layer)
	if condition != nil {
		fields = append(fields, member{key: "Condition", value: condition})
	}
	sg.Statement = string(objectNode(fields...).print(nil))
	sg.Also = also(r, layer, sg.Document, exact, bound)
	if via := s.Via[sg.Document]; via != "" {
		sg.Also += fmt.Sprintf(" The policy is attached to %s, so that means every thing in it.", via)
	}
	if near := d.near(layer); len(near) > 0 && near[0].Miss.Part == "condition" {
		sg.Also += fmt.Sprintf(" It would go round the condition %s %s of statement %d of %s; to meet that condition is better.",
			near[0].Miss.Operator, near[0].Miss.Key, near[0].Statement, near[0].Document)
	}
	return sg, true
}

// home returns the document of a layer to add to: the one that came nearest,
// else the first that can be edited; AWS's own cannot.
func home(s Set, d Decision, layer Layer) *Document {
	var best *Document
	near := d.near(layer)
	for _, doc := range s.documents(layer) {
		switch {
		case strings.Contains(doc.Name, "arn:aws:iam::aws:policy/"):
		case len(near) > 0 && near[0].Document == doc.Name:
			return doc
		case best == nil:
			best = doc
		}
	}
	return best
}

func newHome(layer Layer, r Request) string {
	switch layer {
	case LayerTrust:
		return "the trust policy of role " + string(r.Resource)
	case LayerResource:
		return "the resource policy of " + string(r.Resource)
	case LayerBoundary:
		return "the permissions boundary of " + holder(r.Principal)
	case LayerSession:
		return "the session policy given to AssumeRole"
	case LayerIoT:
		return "an IoT policy attached to " + string(r.Principal.ARN)
	}
	return "a new inline policy of " + holder(r.Principal)
}

// grantee is how a resource or trust policy should name the caller: the role,
// not one session of it.
func grantee(p strait.Principal) (kind, who string) {
	switch {
	case p.Kind == strait.Service:
		return "Service", string(p.ARN)
	case p.Kind == strait.AssumedRole && p.RoleARN != "":
		return "AWS", string(p.RoleARN)
	}
	return "AWS", string(p.ARN)
}

// bind ties a grant to a service to the one thing that it calls for.
func bind(r Request, layer Layer) (*node, string) {
	if r.Principal.Kind != strait.Service || layer != LayerResource {
		return nil, ""
	}
	source, account := one(r.Context, "aws:sourcearn"), one(r.Context, "aws:sourceaccount")
	var fields []member
	if source != "" && isARN(source) {
		text, exact := literalARN(source, true)
		if !exact {
			return nil, ""
		}
		fields = append(fields, member{key: "ArnLike", value: objectNode(member{key: "aws:SourceArn", value: textNode(text)})})
	}
	if account != "" {
		fields = append(fields, member{key: "StringEquals", value: objectNode(member{key: "aws:SourceAccount", value: textNode(account)})})
	}
	if len(fields) == 0 {
		return nil, ""
	}
	return objectNode(fields...), source
}

func one(c Context, key string) string {
	if v := c.get(key); len(v) == 1 {
		return v[0]
	}
	return ""
}

func also(r Request, layer Layer, document string, exact bool, source string) string {
	var who string
	switch layer {
	case LayerIdentity:
		who = holder(r.Principal) + sharing(document)
		if r.Principal.Kind == strait.AssumedRole {
			who = "every session of " + who + " that is not narrowed by a session policy of its own"
		}
	case LayerSession:
		who = "every session that is given this policy"
	case LayerBoundary:
		who = "everyone who has this boundary, as far as their own policies allow it"
	case LayerIoT:
		who = "every certificate and thing group that has this policy"
	case LayerTrust:
		who = string(r.Principal.ARN)
		if r.Principal.Kind == strait.AssumedRole {
			who = "every session of " + role(r.Principal)
		}
		return "It lets " + who + " do this to the role; as the role, they may do all that the role may."
	case LayerResource:
		who = string(r.Principal.ARN)
		switch {
		case source != "":
			who += " on behalf of " + source
		case r.Principal.Kind == strait.Service:
			who += " on behalf of anyone: add a condition on aws:SourceArn and aws:SourceAccount"
		}
	}
	switch {
	case r.Resource == "*":
		return "It allows this action on everything, to " + who + "."
	case !exact:
		return "The * and ? in the resource are wildcards in a document of Version 2008-10-17, so it allows more than this one resource, to " + who + "."
	}
	return "It allows nothing but this action on this one resource, to " + who + "."
}

func sharing(document string) string {
	if strings.HasPrefix(document, "arn:") {
		return " (and of everyone else the policy is attached to)"
	}
	return ""
}

// literalARN writes an ARN so that a policy matches just that one, and tells
// whether that was possible: literal * ? and ${ need Version 2012-10-17, and
// can be in the sixth part only.
func literalARN(arn string, variables bool) (string, bool) {
	if arn == "*" {
		return arn, true
	}
	parts := strings.SplitN(arn, ":", segments)
	head := strings.Join(parts[:len(parts)-1], ":") + ":"
	last := parts[len(parts)-1]
	exact := !strings.ContainsAny(head, "*?")
	if !variables {
		return arn, exact && !strings.ContainsAny(last, "*?")
	}
	return head + Literal(last), exact
}

func textNode(s string) *node { return &node{kind: nodeText, text: s} }

func objectNode(m ...member) *node { return &node{kind: nodeObject, members: m} }
