package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"strings"

	cedar "github.com/cedar-policy/cedar-go"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"strait"
	"strait/policy"
)

// An engine answers the requests of one set, by number.
type engine struct {
	name string
	ask  func(i int) bool
}

func engines(s set) []engine {
	set, requests := ours(s)
	return []engine{
		{"Allowed", func(i int) bool { return set.Allowed(requests[i]) }},
		{"Decide", func(i int) bool { return set.Decide(requests[i]).Allowed() }},
		{"cedar-go", forCedar(s)},
		{"OPA", forOPA(s)},
	}
}

func ours(s set) (policy.Set, []policy.Request) {
	var out policy.Set
	who := strait.Principal{Kind: strait.AssumedRole, ARN: "arn:aws:sts::123456789012:assumed-role/r/s",
		RoleARN: "arn:aws:iam::123456789012:role/r", ID: "AROAEXAMPLEROLE00001:s", Name: "s", Account: "123456789012"}
	if s.device {
		who = strait.Principal{Kind: strait.Certificate, ARN: iot + "cert/abc", ID: "abc", Account: "123456789012"}
		out.IoT = []*policy.Document{document(policy.IoT, s.identity)}
	} else {
		out.Identity = []*policy.Document{document(policy.Identity, s.identity)}
	}
	if len(s.session) > 0 {
		out.HasSession, out.Session = true, []*policy.Document{document(policy.Session, s.session)}
	}
	ctx := policy.Context{}
	ctx.SetPrincipal(who)
	for k, v := range s.context {
		ctx.Set(k, v)
	}
	var requests []policy.Request
	for _, r := range s.requests {
		requests = append(requests, policy.Request{Principal: who, Action: strait.Action(r.action), Resource: strait.ARN(r.resource), Context: ctx})
	}
	return out, requests
}

func document(kind policy.Kind, list []statement) *policy.Document {
	var sts []map[string]any
	for _, st := range list {
		m := map[string]any{"Effect": "Allow", "Action": st.actions, "Resource": st.resources}
		if st.deny {
			m["Effect"] = "Deny"
		}
		if st.notAction {
			m["NotAction"] = m["Action"]
			delete(m, "Action")
		}
		cond := map[string]map[string]any{}
		for _, w := range st.when {
			if cond[w.op] == nil {
				cond[w.op] = map[string]any{}
			}
			cond[w.op][w.key] = w.values
		}
		if len(cond) > 0 {
			m["Condition"] = cond
		}
		sts = append(sts, m)
	}
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": sts})
	if err != nil {
		log.Fatal(err)
	}
	d, err := policy.Parse(kind, "p", string(text))
	if err != nil {
		log.Fatal(err)
	}
	return d
}

// filled is a resource with the variables' values in it.
func (s set) filled(resource string) string {
	for k, v := range s.context {
		resource = strings.ReplaceAll(resource, "${"+k+"}", v)
	}
	return resource
}

// field is a condition key as a name of the peers.
func field(key string) string { return strings.NewReplacer(":", "_", "/", "_").Replace(key) }

// forCedar makes one policy set of each layer; both must allow.
func forCedar(s set) func(int) bool {
	var layers []*cedar.PolicySet
	for _, list := range [][]statement{s.identity, s.session} {
		if len(list) == 0 {
			continue
		}
		var text strings.Builder
		for _, st := range list {
			text.WriteString(s.cedar(st))
		}
		ps, err := cedar.NewPolicySetFromBytes(s.name, []byte(text.String()))
		if err != nil {
			log.Fatalf("%v\n%s", err, text.String())
		}
		layers = append(layers, ps)
	}
	var requests []cedar.Request
	for _, r := range s.requests {
		rec := cedar.RecordMap{"resource": cedar.String(r.resource), "action": cedar.String(r.action)}
		for k, v := range s.context {
			rec[cedar.String(field(k))] = cedar.String(v)
		}
		requests = append(requests, cedar.Request{Principal: cedar.NewEntityUID("Role", "r"), Action: cedar.NewEntityUID("Action", cedar.String(r.action)),
			Resource: cedar.NewEntityUID("Resource", cedar.String(r.resource)), Context: cedar.NewRecord(rec)})
	}
	entities := cedar.EntityMap{}
	return func(i int) bool {
		for _, ps := range layers {
			if ok, _ := cedar.Authorize(ps, entities, requests[i]); ok != cedar.Allow {
				return false
			}
		}
		return true
	}
}

func (s set) cedar(st statement) string {
	effect := "permit"
	if st.deny {
		effect = "forbid"
	}
	scope, conds := "action", []string{}
	wild := st.notAction
	var exact, any []string
	for _, a := range st.actions {
		wild = wild || strings.Contains(a, "*")
		exact = append(exact, "Action::"+quote(a))
		any = append(any, "context.action like "+quote(a))
	}
	switch {
	case len(st.actions) == 1 && st.actions[0] == "*":
	case st.notAction:
		conds = append(conds, "!("+strings.Join(any, " || ")+")")
	case wild:
		conds = append(conds, "("+strings.Join(any, " || ")+")")
	case len(exact) == 1:
		scope = "action == " + exact[0]
	default:
		scope = "action in [" + strings.Join(exact, ", ") + "]"
	}
	any = nil
	scopeR := "resource"
	for _, r := range st.resources {
		if r = s.filled(r); r == "*" {
			any = nil
			break
		}
		if !strings.Contains(r, "*") {
			any = append(any, "context.resource == "+quote(r))
			continue
		}
		any = append(any, "context.resource like "+quote(r))
	}
	if len(any) > 0 {
		conds = append(conds, "("+strings.Join(any, " || ")+")")
	}
	for _, w := range st.when {
		any = nil
		for _, v := range w.values {
			if w.op == "StringLike" {
				any = append(any, "context."+field(w.key)+" like "+quote(v))
			} else {
				any = append(any, "context."+field(w.key)+" == "+quote(v))
			}
		}
		conds = append(conds, "("+strings.Join(any, " || ")+")")
	}
	when := ""
	if len(conds) > 0 {
		when = " when { " + strings.Join(conds, " && ") + " }"
	}
	return fmt.Sprintf("%s (principal, %s, %s)%s;\n", effect, scope, scopeR, when)
}

// forOPA makes one module; what a layer allows is a rule.
func forOPA(s set) func(int) bool {
	var text strings.Builder
	text.WriteString("package p\n\ndefault allow := false\n")
	need := []string{"identity", "not denied"}
	if len(s.session) > 0 {
		need = append(need, "session")
	}
	fmt.Fprintf(&text, "allow if {\n\t%s\n}\n", strings.Join(need, "\n\t"))
	some := false
	for layer, list := range map[string][]statement{"identity": s.identity, "session": s.session} {
		for _, st := range list {
			head := layer
			if st.deny {
				head, some = "denied", true
			}
			text.WriteString(s.rego(head, st))
		}
	}
	if !some {
		text.WriteString("denied if false\n")
	}
	ctx := context.Background()
	q, err := rego.New(rego.Query("data.p.allow"), rego.Module("p.rego", text.String())).PrepareForEval(ctx)
	if err != nil {
		log.Fatalf("%v\n%s", err, text.String())
	}
	var inputs []ast.Value
	for _, r := range s.requests {
		in := map[string]any{"resource": r.resource, "action": r.action}
		for k, v := range s.context {
			in[field(k)] = v
		}
		v, err := ast.InterfaceToValue(in)
		if err != nil {
			log.Fatal(err)
		}
		inputs = append(inputs, v)
	}
	return func(i int) bool {
		rs, err := q.Eval(ctx, rego.EvalParsedInput(inputs[i]))
		if err != nil {
			log.Fatal(err)
		}
		return rs.Allowed()
	}
}

func (s set) rego(head string, st statement) string {
	var b strings.Builder
	list := func(values []string) string {
		var out []string
		for _, v := range values {
			out = append(out, quote(v))
		}
		return "{" + strings.Join(out, ", ") + "}"
	}
	match := func(what, pattern string) string {
		switch star := strings.IndexByte(pattern, '*'); {
		case star < 0:
			return what + " == " + quote(pattern)
		case star == len(pattern)-1:
			return "startswith(" + what + ", " + quote(pattern[:star]) + ")"
		}
		return "glob.match(" + quote(pattern) + ", [], " + what + ")"
	}
	// Each of several patterns is a rule of its own, the way Rego says or.
	actions := []string{""}
	wild := strings.Contains(strings.Join(st.actions, ""), "*")
	switch {
	case len(st.actions) == 1 && st.actions[0] == "*":
	case st.notAction:
		actions[0] = ""
		for _, a := range st.actions {
			actions[0] += "\tnot " + match("input.action", a) + "\n"
		}
	case wild:
		actions = nil
		for _, a := range st.actions {
			actions = append(actions, "\t"+match("input.action", a)+"\n")
		}
	case len(st.actions) == 1:
		actions[0] = "\tinput.action == " + quote(st.actions[0]) + "\n"
	default:
		actions[0] = "\tinput.action in " + list(st.actions) + "\n"
	}
	var conds strings.Builder
	for _, w := range st.when {
		name := "input." + field(w.key)
		if w.op != "StringLike" {
			fmt.Fprintf(&conds, "\t%s in %s\n", name, list(w.values))
			continue
		}
		var any []string
		for _, v := range w.values {
			any = append(any, quote(strings.TrimSuffix(v, "*")))
		}
		fmt.Fprintf(&conds, "\tsome x in [%s]\n\tstartswith(%s, x)\n", strings.Join(any, ", "), name)
	}
	for _, a := range actions {
		for _, r := range st.resources {
			resource := ""
			if r = s.filled(r); r != "*" {
				resource = "\t" + match("input.resource", r) + "\n"
			}
			body := a + resource + conds.String()
			if body == "" {
				body = "\ttrue\n"
			}
			fmt.Fprintf(&b, "%s if {\n%s}\n", head, body)
		}
	}
	return b.String()
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}
