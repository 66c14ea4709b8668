package policy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"strait"
)

// A Batch answers hypothetical requests, one line of JSON each, and keeps the
// documents it has parsed, because the lines of a batch mostly repeat them.
// The zero Batch is ready. It is for one goroutine; a second one takes a Batch
// of its own.
type Batch struct {
	docs map[batchKey]*Document
	size int
}

type batchKey struct {
	kind       Kind
	name, text string
}

// maxBatchCache bounds the texts that a Batch keeps, in bytes; over it, it
// forgets them all and begins anew.
const maxBatchCache = 64 << 20

const maxFields = 32 // of a line; it knows ten

// An Answer is what a Batch says to one line.
type Answer struct {
	Decision string   `json:"decision"` // "allow", "implicitDeny" or "explicitDeny"
	Layer    string   `json:"layer"`    // in words, such as "session policy"
	Reasons  []string `json:"reasons"`  // the lines of the explanation
	// Expect is what the line expected, "" when nothing; Differs tells whether
	// the decision is another.
	Expect  string `json:"expect,omitempty"`
	Differs bool   `json:"differs,omitempty"`
}

// Line decides one line:
//
//	{"principal": ARN, "action": .., "resource": .., "context": {KEY: [VALUES]},
//	 "identity": [POLICY..], "session": [POLICY..]|null, "boundary": POLICY|null,
//	 "resource_policy": POLICY|null, "iot": [POLICY..]|null,
//	 "expect": "allow|implicitDeny|explicitDeny"}
//
// All but principal and action may be left out. A POLICY is an object, or a
// string that holds its text. A session or boundary that is there limits, also
// when it is an empty list. resource_policy is a trust policy when the action
// takes on a role, a function's for lambda, else a bucket's. See
// ReadPrincipal for the forms of a principal. A line is at most MaxText bytes.
// The error is a *SyntaxError or says in one sentence what is wrong.
func (b *Batch) Line(text string) (Answer, error) {
	s, r, expect, err := b.Read(text)
	if err != nil {
		return Answer{}, err
	}
	d := s.Decide(r)
	a := Answer{Decision: d.Effect.Code(), Layer: string(d.Layer), Reasons: Explain(s, r, d).Lines, Expect: expect}
	a.Differs = expect != "" && expect != a.Decision
	if a.Reasons == nil {
		a.Reasons = []string{}
	}
	return a, nil
}

// Code returns the effect as programs read it: "allow", "implicitDeny" or
// "explicitDeny".
func (e Effect) Code() string {
	switch e {
	case Allow:
		return "allow"
	case ExplicitDeny:
		return "explicitDeny"
	}
	return "implicitDeny"
}

// Read decodes one line into the question it asks, and what it expects.
func (b *Batch) Read(text string) (s Set, r Request, expect string, err error) {
	fields, err := readRaw(text)
	if err != nil {
		return s, r, "", err
	}
	in := &batchLine{batch: b, fields: fields}
	who := in.text("principal")
	r.Action, r.Resource = strait.Action(in.text("action")), strait.ARN(in.text("resource"))
	expect = in.text("expect")
	r.Context = in.context()
	kind := resourceKind(r.Action)
	s.Identity, _ = in.policies("identity", Identity)
	s.Session, s.HasSession = in.policies("session", Session)
	s.Boundary, s.HasBoundary = in.policies("boundary", Boundary)
	s.IoT, _ = in.policies("iot", IoT)
	given, _ := in.policies("resource_policy", kind)
	if kind == Trust {
		s.Trust, s.HasTrust = given, true
	} else {
		s.Resource = given
	}
	for _, f := range fields {
		if !f.used {
			in.fail("unknown field %s", quote(f.key))
		}
	}
	var known bool
	r.Principal, known = ReadPrincipal(who, strait.ARN(one(r.Context, "aws:principalarn")))
	switch {
	case in.err != nil:
	case !known:
		in.fail("%s is no principal: want the ARN of a user, role, session or certificate, a service's name, or anonymous", quote(who))
	case !strings.Contains(string(r.Action), ":"):
		in.fail("%s is no action: want vendor:Name", quote(string(r.Action)))
	case expect != "" && expect != "allow" && expect != "implicitDeny" && expect != "explicitDeny":
		in.fail(`expect is "allow", "implicitDeny" or "explicitDeny", not %s`, quote(expect))
	}
	if in.err != nil {
		return Set{}, Request{}, "", in.err
	}
	if r.Resource == "" {
		r.Resource = "*"
	}
	own := Context{}
	own.SetPrincipal(r.Principal)
	for k, v := range own {
		if !r.Context.has(k) {
			r.Context[k] = v
		}
	}
	return s, r, expect, nil
}

func resourceKind(action strait.Action) Kind {
	switch {
	case takesRole(action):
		return Trust
	case len(action) > 7 && strings.EqualFold(string(action[:7]), "lambda:"):
		return Function
	}
	return Bucket
}

// ReadPrincipal makes a principal of its ARN, for questions about callers that
// are not there: a user, a role (some session of it), a session, a
// certificate, the root user, a service by its name ("iot.amazonaws.com"), or
// "anonymous". role is the role of a session, which its ARN tells without the
// path only; "" takes it to have none. Unique ids are unknown, so a trust
// policy that names one names nobody read here.
func ReadPrincipal(text string, role strait.ARN) (strait.Principal, bool) {
	if text == "anonymous" || text == "*" {
		return strait.Principal{Kind: strait.Anonymous}, true
	}
	if strings.HasSuffix(text, ".amazonaws.com") && !strings.ContainsAny(text, ":/ ") {
		return strait.Principal{Kind: strait.Service, ARN: strait.ARN(text), Name: text}, true
	}
	arn := strait.ARN(text)
	p, err := arn.Parse()
	if err != nil || !isAccount(p.Account) {
		return strait.Principal{}, false
	}
	who := strait.Principal{ARN: arn, Account: p.Account}
	kind, name, _ := strings.Cut(p.Resource, "/")
	last := name[strings.LastIndexByte(name, '/')+1:]
	switch {
	case p.Service == "iam" && p.Resource == "root":
		who.Kind, who.ID = strait.Root, p.Account
	case p.Service == "iam" && kind == "user" && last != "":
		who.Kind, who.Name = strait.User, last
	case p.Service == "iam" && kind == "role" && last != "":
		who.Kind, who.Name, who.RoleARN = strait.AssumedRole, "session", arn
		who.ARN = strait.ARN("arn:" + p.Partition + ":sts::" + p.Account + ":assumed-role/" + last + "/session")
	case p.Service == "sts" && kind == "assumed-role":
		short, session, ok := strings.Cut(name, "/")
		if !ok || short == "" || session == "" {
			return strait.Principal{}, false
		}
		who.Kind, who.Name, who.RoleARN = strait.AssumedRole, session, role
		if !strings.HasSuffix(string(role), "/"+short) { // none, or another's
			who.RoleARN = strait.ARN("arn:" + p.Partition + ":iam::" + p.Account + ":role/" + short)
		}
	case p.Service == "iot" && kind == "cert" && name != "":
		who.Kind, who.ID = strait.Certificate, name
	default:
		return strait.Principal{}, false
	}
	return who, true
}

// A rawField is a member of a line, its value not read yet.
type rawField struct {
	key, text string
	used      bool
}

// readRaw splits a JSON object into its members.
func readRaw(text string) ([]rawField, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("the line is longer than %d bytes", MaxText)
	}
	r := &reader{text: text, line: 1}
	fields := make([]rawField, 0, 12)
	broken := func(err error) ([]rawField, error) { return nil, fmt.Errorf("the line is no JSON object: %w", err) }
	if r.peek() != '{' {
		return broken(errors.New("it does not begin with {"))
	}
	r.pos++
	for more := r.peek() != '}'; more; {
		if r.peek() != '"' {
			return broken(r.fail("a key must be a string"))
		}
		key, err := r.str()
		if err != nil {
			return broken(err)
		}
		if r.peek() != ':' {
			return broken(r.fail("a colon must follow a key"))
		}
		r.pos++
		r.space()
		start := r.pos
		if !r.skip() {
			return broken(r.fail("the value of %s has no end", quote(key)))
		}
		for _, f := range fields {
			if f.key == key {
				return broken(r.fail("the key %s is there twice", quote(key)))
			}
		}
		if len(fields) == maxFields {
			return broken(r.fail("it has more than %d members", maxFields))
		}
		fields = append(fields, rawField{key: key, text: text[start:r.pos]})
		if more = r.peek() == ','; more {
			r.pos++
		}
	}
	if r.peek() != '}' {
		return broken(r.fail("a comma or } must follow a value"))
	}
	r.pos++
	if r.space(); r.pos < len(text) {
		return broken(r.fail("something follows its end"))
	}
	return fields, nil
}

// skip goes to the end of one value without judging it: whoever reads the
// value does.
func (r *reader) skip() bool {
	depth := 0
	for start := r.pos; r.pos < len(r.text); r.pos++ {
		switch c := r.text[r.pos]; c {
		case '"':
			for r.pos++; r.pos < len(r.text) && r.text[r.pos] != '"'; r.pos++ {
				if r.text[r.pos] == '\\' {
					r.pos++
				}
			}
			if r.pos >= len(r.text) {
				return false
			}
			if depth == 0 {
				r.pos++
				return true
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return r.pos > start
			}
			if depth--; depth == 0 {
				r.pos++
				return true
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return r.pos > start
			}
		}
	}
	return false
}

// A batchLine reads the members of a line; its first fault stays in err.
type batchLine struct {
	batch  *Batch
	fields []rawField
	err    error
}

func (in *batchLine) fail(format string, args ...any) {
	if in.err == nil {
		in.err = fmt.Errorf(format, args...)
	}
}

// raw returns the text of a member, "" when it is missing or null.
func (in *batchLine) raw(key string) string {
	for i := range in.fields {
		if f := &in.fields[i]; f.key == key {
			f.used = true
			if f.text == "null" {
				return ""
			}
			return f.text
		}
	}
	return ""
}

func (in *batchLine) node(key string) *node {
	raw := in.raw(key)
	if raw == "" {
		return nil
	}
	n, err := readJSON(raw)
	if err != nil {
		in.fail("%s: %w", key, err)
		return nil
	}
	return n
}

func (in *batchLine) text(key string) string {
	n := in.node(key)
	if n == nil {
		return ""
	}
	if n.kind != nodeText {
		in.fail("%s is a string", key)
	}
	return n.text
}

func (in *batchLine) context() Context {
	ctx := Context{}
	n := in.node("context")
	if n == nil {
		return ctx
	}
	if n.kind != nodeObject {
		in.fail("context is an object of lists of strings")
		return ctx
	}
	for _, m := range n.members {
		items := []*node{m.value}
		if m.value.kind == nodeList {
			items = m.value.items
		}
		values := make([]string, 0, len(items))
		for _, v := range items {
			if v.kind != nodeText && v.kind != nodeNumber && v.kind != nodeBool {
				in.fail("the values of %s in context are strings", quote(m.key))
			}
			values = append(values, v.text)
		}
		if ctx.has(strings.ToLower(m.key)) {
			in.fail("the context key %s is there twice", quote(m.key))
		}
		ctx.Set(m.key, values...)
	}
	return ctx
}

// policies reads one policy or a list, and tells whether the member is there.
func (in *batchLine) policies(key string, kind Kind) ([]*Document, bool) {
	raw := in.raw(key)
	if raw == "" {
		return nil, false
	}
	if raw[0] != '[' {
		if d := in.policy(key, key, kind, raw); d != nil {
			return []*Document{d}, true
		}
		return nil, true
	}
	r := &reader{text: raw, pos: 1, line: 1}
	var docs []*Document
	for more := r.peek() != ']'; more; {
		start := r.pos
		if !r.skip() {
			in.fail("%s: a policy has no end", key)
			return nil, true
		}
		name := key + "[" + strconv.Itoa(len(docs)) + "]"
		d := in.policy(key, name, kind, raw[start:r.pos])
		if d == nil {
			return nil, true
		}
		docs = append(docs, d)
		if more = r.peek() == ','; more {
			r.pos++
			r.space()
		}
	}
	if r.peek() != ']' || r.pos+1 != len(raw) {
		in.fail("%s is a policy or a list of policies", key)
	}
	return docs, true
}

func (in *batchLine) policy(key, name string, kind Kind, raw string) *Document {
	b := in.batch
	k := batchKey{kind, name, raw}
	if d := b.docs[k]; d != nil {
		return d
	}
	raw = strings.Clone(raw) // so that the whole line is not kept with it
	text := raw
	if raw[0] == '"' {
		n, err := readJSON(raw)
		if err != nil {
			in.fail("%s: %w", key, err)
			return nil
		}
		text = n.text
	}
	d, err := Parse(kind, name, text)
	if err != nil {
		in.fail("%s: %w", name, err)
		return nil
	}
	if b.size += len(raw); b.size > maxBatchCache || b.docs == nil {
		b.docs, b.size = map[batchKey]*Document{}, len(raw)
	}
	b.docs[batchKey{kind, name, raw}] = d
	return d
}
