package policy_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"strait"
	"strait/policy"
)

var update = flag.Bool("update", false, "rewrite the prose of testdata/decide; verdicts are never rewritten")

// A golden is one file of testdata/decide: decisions, each citing the row of
// the reference that it follows. The prose stands beside it, in a .txt file.
type golden struct {
	Default   goldenCase // what cases leave out of as, do, on
	Documents map[string]struct {
		Kind string
		Text json.RawMessage
	}
	Cases []goldenCase
}

type goldenCase struct {
	Name, Row, As, Do, On                             string
	Context                                           map[string][]string
	Identity, Boundary, Session, Resource, Trust, IoT []string
	Has                                               []string
	// If is the condition of a statement that allows everything; DenyIf that
	// of one that denies everything, beside one that allows it.
	If, DenyIf json.RawMessage
	// Via and Aside are as in policy.Set.
	Via         map[string]string
	Aside       string
	Want, Layer string
	Refused     []string // when not allowed, and more than Layer
}

var kinds = map[string]policy.Kind{
	"Identity": policy.Identity, "Session": policy.Session, "Boundary": policy.Boundary,
	"Trust": policy.Trust, "Bucket": policy.Bucket, "Function": policy.Function, "IoT": policy.IoT,
}

const account = "123456789012"

func principal(t testing.TB, name string) strait.Principal {
	t.Helper()
	p := strait.Principal{Account: account}
	kind, rest, _ := strings.Cut(name, ":")
	switch kind {
	case "alice", "bob":
		p.Kind, p.Name, p.ARN, p.ID = strait.User, name, strait.ARN("arn:aws:iam::"+account+":user/"+name), "AIDAEXAMPLEUSER00001"
		if name == "bob" {
			p.ID = "AIDAEXAMPLEUSER00002"
		}
	case "session":
		p.Kind, p.Name, p.ARN = strait.AssumedRole, "device00", "arn:aws:sts::"+account+":assumed-role/s3-role/device00"
		p.RoleARN, p.ID = "arn:aws:iam::"+account+":role/app/s3-role", "AROAEXAMPLEROLE00001:device00"
	case "fn":
		p.Kind, p.Name, p.ARN = strait.AssumedRole, "fn", "arn:aws:sts::"+account+":assumed-role/create-token/fn"
		p.RoleARN, p.ID = "arn:aws:iam::"+account+":role/create-token", "AROAEXAMPLEROLE00002:fn"
	case "root":
		p.Kind, p.ARN, p.ID = strait.Root, "arn:aws:iam::"+account+":root", account
	case "anonymous":
		return strait.Principal{Kind: strait.Anonymous}
	case "service":
		return strait.Principal{Kind: strait.Service, ARN: strait.ARN(rest), Name: rest}
	case "cert":
		p.Kind, p.ARN, p.ID = strait.Certificate, "arn:aws:iot:ap-northeast-1:"+account+":cert/abc", "abc"
	case "nobody":
		return strait.Principal{Kind: "Ghost", ARN: "ghost", Account: account}
	default:
		t.Fatalf("no principal %q", name)
	}
	return p
}

// A story is a case made ready to be decided.
type story struct {
	goldenCase
	set     policy.Set
	request policy.Request
}

func stories(t testing.TB, file string) []story {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	docs := map[string]*policy.Document{}
	for name, d := range g.Documents {
		docs[name] = parse(t, kinds[d.Kind], name, string(d.Text))
	}
	var out []story
	for _, c := range g.Cases {
		c.fill(g.Default)
		pick := func(names []string) (list []*policy.Document) {
			for _, n := range names {
				if docs[n] == nil {
					t.Fatalf("%s: %s: no document %q", file, c.Name, n)
				}
				list = append(list, docs[n])
			}
			return list
		}
		s := policy.Set{
			Identity: pick(c.Identity), Boundary: pick(c.Boundary), Session: pick(c.Session),
			Resource: pick(c.Resource), Trust: pick(c.Trust), IoT: pick(c.IoT),
			HasBoundary: slices.Contains(c.Has, "boundary"), HasSession: slices.Contains(c.Has, "session"),
			HasTrust: slices.Contains(c.Has, "trust"), NarrowDirect: slices.Contains(c.Has, "narrow"),
			Via: c.Via, Aside: c.Aside,
		}
		const all = `{"Effect":"Allow","Action":"*","Resource":"*"`
		switch {
		case c.If != nil:
			s.Identity = append(s.Identity, parse(t, policy.Identity, "the policy", `{"Version":"2012-10-17","Statement":[`+all+`,"Condition":`+string(c.If)+`}]}`))
		case c.DenyIf != nil:
			s.Identity = append(s.Identity, parse(t, policy.Identity, "the policy", `{"Version":"2012-10-17","Statement":[`+all+`},{"Effect":"Deny","Action":"*","Resource":"*","Condition":`+string(c.DenyIf)+`}]}`))
		}
		ctx := policy.Context{}
		for k, v := range c.Context {
			ctx.Set(k, v...)
		}
		r := policy.Request{Principal: principal(t, c.As), Action: strait.Action(c.Do), Resource: strait.ARN(c.On), Context: ctx}
		out = append(out, story{c, s, r})
	}
	return out
}

// HasTrust tells whether the case is about taking on a role.
func (c *goldenCase) HasTrust() bool { return len(c.Trust) > 0 }

func (c *goldenCase) fill(from goldenCase) {
	or := func(field *string, value, last string) {
		if *field == "" {
			*field = value
		}
		if *field == "" {
			*field = last
		}
	}
	or(&c.As, from.As, "alice")
	or(&c.Do, from.Do, "s3:PutObject")
	or(&c.On, from.On, "arn:aws:s3:::bucket/x")
	if c.Refused == nil && c.Want != "allow" {
		c.Refused = []string{c.Layer}
	}
}

func parse(t testing.TB, kind policy.Kind, name, text string) *policy.Document {
	t.Helper()
	d, err := policy.Parse(kind, name, text)
	if err != nil {
		t.Fatalf("parse %s: %v\n%s", name, err, text)
	}
	return d
}

func files(t testing.TB) []string {
	t.Helper()
	list, err := filepath.Glob("testdata/decide/*/*.json")
	if err != nil || len(list) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	return list
}

// every calls fn for each decision of testdata/decide.
func every(t *testing.T, fn func(t *testing.T, s story)) {
	for _, file := range files(t) {
		for _, s := range stories(t, file) {
			name := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(file), "testdata/decide/"), ".json")
			t.Run(name+"/"+s.Name, func(t *testing.T) { fn(t, s) })
		}
	}
}

func TestDecide(t *testing.T) {
	every(t, func(t *testing.T, s story) {
		d := s.set.Decide(s.request)
		if d.Effect.String() != s.Want || string(d.Layer) != s.Layer {
			t.Errorf("decided %s by %s, want %s by %s (%s)\nreasons %+v", d.Effect, d.Layer, s.Want, s.Layer, s.Row, d.Reasons)
		}
		var refused []string
		for _, l := range d.Refused {
			refused = append(refused, string(l))
		}
		if !slices.Equal(refused, s.Refused) {
			t.Errorf("refused by %q, want %q (%s)", refused, s.Refused, s.Row)
		}
		if because := d.Because(s.request); (because == "") != d.Allowed() {
			t.Errorf("%s says because %q", d.Effect, because)
		}
	})
}

func TestProse(t *testing.T) {
	for _, file := range files(t) {
		var b strings.Builder
		for _, s := range stories(t, file) {
			fmt.Fprintf(&b, "== %s\n%s\n", s.Name, policy.Explain(s.set, s.request, s.set.Decide(s.request)).Text())
		}
		prose := strings.TrimSuffix(file, ".json") + ".txt"
		if *update {
			if err := os.WriteFile(prose, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(prose)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.String(); got != string(want) {
			t.Errorf("%s differs (go test -update rewrites it):\n%s", prose, firstDifference(got, string(want)))
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			return fmt.Sprintf("line %d: got %q, want %q", i+1, g[i], append(w, "")[min(i, len(w))])
		}
	}
	return "it has fewer lines"
}

// Taking every suggestion makes the request allowed, unless something denies
// it explicitly; so a suggestion is always a statement that parses.
func TestSuggestionsSuffice(t *testing.T) {
	every(t, func(t *testing.T, s story) {
		d := s.set.Decide(s.request)
		if d.Effect != policy.ImplicitDeny {
			return
		}
		e := policy.Explain(s.set, s.request, d)
		if len(e.Suggestions) == 0 {
			if s.As != "anonymous" && s.As != "nobody" && s.As != "root" && !(s.As == "cert" && s.HasTrust()) {
				t.Errorf("no suggestion for %s", s.As)
			}
			return
		}
		set := s.set
		for _, sg := range e.Suggestions {
			kind, list := place(&set, sg.Layer)
			text := `{"Version":"2012-10-17","Statement":[` + sg.Statement + `]}`
			*list = append(slices.Clone(*list), parse(t, kind, "suggestion", text))
		}
		if after := set.Decide(s.request); !after.Allowed() {
			t.Errorf("after all suggestions still %s by %v:\n%s", after.Effect, after.Refused, e.Text())
		}
	})
}

func place(s *policy.Set, l policy.Layer) (policy.Kind, *[]*policy.Document) {
	switch l {
	case policy.LayerBoundary:
		return policy.Boundary, &s.Boundary
	case policy.LayerSession:
		return policy.Session, &s.Session
	case policy.LayerResource:
		return policy.Bucket, &s.Resource
	case policy.LayerTrust:
		return policy.Trust, &s.Trust
	case policy.LayerIoT:
		return policy.IoT, &s.IoT
	}
	return policy.Identity, &s.Identity
}

// Properties of every decision (iam-evaluation §11).
func TestProperties(t *testing.T) {
	denyAll := `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"}}`
	sessionSome := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	every(t, func(t *testing.T, s story) {
		was := s.set.Decide(s.request)
		deny := s.set
		deny.Identity = append(slices.Clone(deny.Identity), parse(t, policy.Identity, "deny", denyAll))
		deny.IoT = append(slices.Clone(deny.IoT), parse(t, policy.IoT, "deny", denyAll))
		if !was.Allowed() && deny.Decide(s.request).Allowed() {
			t.Error("adding a Deny granted")
		}
		for _, text := range []string{denyAll, sessionSome} {
			session := s.set
			session.HasSession = true
			if !s.set.HasSession && len(session.Session) == 0 { // the first; more are one union
				session.Session = append(session.Session, parse(t, policy.Session, "session", text))
			}
			if !was.Allowed() && session.Decide(s.request).Allowed() {
				t.Error("adding a session policy granted")
			}
		}
		upper := s.request
		upper.Action = strait.Action(strings.ToUpper(string(upper.Action)))
		if got := s.set.Decide(upper); got.Effect != was.Effect {
			t.Errorf("the action in capitals gives %s, want %s", got.Effect, was.Effect)
		}
		turned := s.set
		for _, list := range []*[]*policy.Document{&turned.Identity, &turned.Boundary, &turned.Session, &turned.Resource, &turned.Trust, &turned.IoT} {
			*list = slices.Clone(*list)
			slices.Reverse(*list)
			for i, d := range *list {
				(*list)[i] = parse(t, d.Kind, d.Name, reverseStatements(t, d.Text()))
			}
		}
		if got := turned.Decide(s.request); got.Effect != was.Effect || got.Layer != was.Layer {
			t.Errorf("statements turned round give %s by %s, want %s by %s", got.Effect, got.Layer, was.Effect, was.Layer)
		}
	})
}

func reverseStatements(t *testing.T, text string) string {
	t.Helper()
	var doc map[string]json.RawMessage
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(doc["Statement"], &list); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(list)
	doc["Statement"], _ = json.Marshal(list)
	out, _ := json.Marshal(doc)
	return string(out)
}

// The guard of a connection and Decide give the same verdict.
func TestGuardEqualsDecide(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)
	every(t, func(t *testing.T, s story) {
		r := s.request
		r.Context = policy.Context{}
		for k, v := range s.request.Context {
			r.Context[k] = v
		}
		r.Context.SetTime(now)
		want := s.set.Decide(r)
		g := s.set.Guard(s.request)
		if got := g.Check(r.Action, r.Resource, now, nil); got != want.Allowed() {
			t.Errorf("guard says %t, decide says %s", got, want.Effect)
		}
		if got := g.Decide(r.Action, r.Resource, now, nil); got.Effect != want.Effect || got.Layer != want.Layer {
			t.Errorf("the guard decides %s by %s, want %s by %s", got.Effect, got.Layer, want.Effect, want.Layer)
		}
		bare := s.request
		bare.Context = nil
		if got := s.set.Guard(bare).Check(r.Action, r.Resource, now, s.request.Context); got != want.Allowed() {
			t.Errorf("with the context as extra the guard says %t, decide says %s", got, want.Effect)
		}
	})
}
