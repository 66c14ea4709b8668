package policy_test

import (
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"strait"
	"strait/policy"
)

// The oracle decides slowly and plainly, from the JSON text and the sentences
// of the reference alone. It shares nothing with the package but the list of
// keys that Strait supplies. It reads only what the generator writes.

// A page is a document as the oracle reads it.
type page struct {
	text      string
	Version   string
	Statement []clause
}

type clause struct {
	Effect                string
	Principal             any
	NotPrincipal          any
	Action, NotAction     any
	Resource, NotResource any
	Condition             map[string]map[string]any
}

// texts makes a list of a string, number, boolean or list of them.
func texts(v any) (out []string) {
	switch v := v.(type) {
	case nil:
	case string:
		return []string{v}
	case bool:
		return []string{strconv.FormatBool(v)}
	case json.Number:
		return []string{v.String()}
	case []any:
		for _, x := range v {
			out = append(out, texts(x)...)
		}
	}
	return out
}

func read(text string) (p page) {
	var raw struct {
		Version   string
		Statement json.RawMessage
	}
	number := func(b []byte, to any) error {
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.UseNumber()
		return d.Decode(to)
	}
	if err := number([]byte(text), &raw); err != nil {
		panic(err)
	}
	p.text, p.Version = text, raw.Version
	if err := number(raw.Statement, &p.Statement); err != nil {
		var one clause
		if err := number(raw.Statement, &one); err != nil {
			panic(err)
		}
		p.Statement = []clause{one}
	}
	return p
}

// A layers is what the oracle decides about: the documents of each layer.
type layers struct {
	identity, boundary, session, resource, trust, iot []page
	hasBoundary, hasSession, hasTrust                 bool
	narrow                                            bool
}

// judge returns the effect and the layer that decided (iam-evaluation §6).
func (l layers) judge(r policy.Request) (policy.Effect, policy.Layer) {
	o := oracle{r}
	kind := r.Principal.Kind
	taking := false
	for _, a := range []string{"sts:assumerole", "sts:assumerolewithwebidentity", "sts:assumerolewithsaml", "sts:tagsession", "sts:setsourceidentity"} {
		taking = taking || strings.ToLower(string(r.Action)) == a
	}
	taking = taking || l.hasTrust || len(l.trust) > 0
	member := kind == strait.User || kind == strait.AssumedRole
	// Which documents count (iot-policies §1, iam-evaluation §6, §6.1, §7).
	type part struct {
		layer policy.Layer
		pages []page
	}
	var parts []part
	if taking {
		parts = append(parts, part{policy.LayerTrust, l.trust})
	}
	if member {
		parts = append(parts, part{policy.LayerIdentity, l.identity})
	}
	if !taking && kind != strait.Certificate {
		parts = append(parts, part{policy.LayerResource, l.resource})
	}
	if member {
		parts = append(parts, part{policy.LayerBoundary, l.boundary}, part{policy.LayerSession, l.session})
	}
	if kind == strait.Certificate && !taking {
		parts = append(parts, part{policy.LayerIoT, l.iot})
	}
	denied := policy.Layer("")
	allows := map[policy.Layer]string{} // the strongest naming: "caller", "role", "account"
	for _, p := range parts {
		for _, d := range p.pages {
			for _, c := range d.Statement {
				how := o.matches(c, d.Version == "2012-10-17")
				switch {
				case how == "":
				case c.Effect == "Deny":
					if denied == "" {
						denied = p.layer
					}
				case rank(how) > rank(allows[p.layer]):
					allows[p.layer] = how
				}
			}
		}
	}
	// 1. An explicit deny anywhere ends it. Its layers are told in the order
	// identity, trust, resource, boundary, session, IoT.
	if denied != "" {
		if denied == policy.LayerTrust && o.deniedIn(l.identity, member) {
			denied = policy.LayerIdentity
		}
		return policy.ExplicitDeny, denied
	}
	has := func(l policy.Layer) bool { return allows[l] != "" }
	switch {
	case taking && kind == strait.Service:
		if allows[policy.LayerTrust] == "caller" {
			return policy.Allow, policy.LayerTrust
		}
		return policy.ImplicitDeny, policy.LayerTrust
	case taking && !member:
		return policy.ImplicitDeny, policy.LayerTrust
	case kind == strait.Root:
		return policy.Allow, policy.LayerRoot
	case kind == strait.Certificate:
		if has(policy.LayerIoT) {
			return policy.Allow, policy.LayerIoT
		}
		return policy.ImplicitDeny, policy.LayerIoT
	case !member:
		if allows[policy.LayerResource] == "caller" {
			return policy.Allow, policy.LayerResource
		}
		return policy.ImplicitDeny, policy.LayerResource
	}
	narrow := l.narrow && kind == strait.AssumedRole
	boundary := !l.hasBoundary && len(l.boundary) == 0 || has(policy.LayerBoundary)
	session := !l.hasSession && len(l.session) == 0 || has(policy.LayerSession)
	named := policy.LayerResource
	if taking {
		named = policy.LayerTrust
		if !has(policy.LayerTrust) {
			return policy.ImplicitDeny, policy.LayerTrust
		}
	}
	direct, role := allows[named] == "caller", allows[named] == "role" || allows[named] == "caller"
	granter := func() policy.Layer {
		if taking {
			return policy.LayerTrust
		}
		if direct || !has(policy.LayerIdentity) {
			return policy.LayerResource
		}
		return policy.LayerIdentity
	}
	switch {
	case direct && !narrow: // 2. allow now
		return policy.Allow, granter()
	case !has(policy.LayerIdentity) && !role: // 3.
		return policy.ImplicitDeny, policy.LayerIdentity
	case !boundary: // 4.
		return policy.ImplicitDeny, policy.LayerBoundary
	case !session: // 5.
		return policy.ImplicitDeny, policy.LayerSession
	}
	return policy.Allow, granter()
}

func rank(how string) int { return map[string]int{"": 0, "account": 1, "role": 2, "caller": 3}[how] }

// An oracle judges the statements of one request.
type oracle struct{ r policy.Request }

func (o oracle) deniedIn(list []page, counts bool) bool {
	for _, d := range list {
		for _, c := range d.Statement {
			if counts && c.Effect == "Deny" && o.matches(c, d.Version == "2012-10-17") != "" {
				return true
			}
		}
	}
	return false
}

// matches returns how the statement names the caller, "" when it misses.
func (o oracle) matches(c clause, variables bool) string {
	deny := c.Effect == "Deny"
	how := "caller"
	if c.Principal != nil {
		how = o.names(c.Principal, deny)
	}
	if c.NotPrincipal != nil && o.exempt(c.NotPrincipal) {
		how = ""
	}
	if how == "" || !o.action(c) || !o.resource(c, deny, variables) {
		return ""
	}
	for op, keys := range c.Condition {
		for key, want := range keys {
			if !o.condition(op, key, texts(want), deny, variables) {
				return ""
			}
		}
	}
	return how
}

// names: iam-evaluation §2.1.
func (o oracle) names(v any, deny bool) (best string) {
	m, _ := v.(map[string]any)
	if v == "*" {
		m = map[string]any{"AWS": "*"}
	}
	for kind, list := range m {
		for _, p := range texts(list) {
			if how := o.namedBy(kind, p, deny); rank(how) > rank(best) {
				best = how
			}
		}
	}
	return best
}

func (o oracle) namedBy(kind, p string, deny bool) string {
	who := o.r.Principal
	member := who.Kind == strait.User || who.Kind == strait.AssumedRole || who.Kind == strait.Root
	account, isRoot := strings.CutSuffix(strings.TrimPrefix(p, "arn:aws:iam::"), ":root")
	if !isRoot {
		account = p
	}
	switch {
	case kind == "Service":
		if who.Kind == strait.Service && string(who.ARN) == p {
			return "caller"
		}
	case kind == "CanonicalUser":
		if deny && member {
			return "caller"
		}
	case kind != "AWS":
	case p == "*":
		if member || who.Kind == strait.Anonymous || deny {
			return "caller"
		}
	case !member:
	case account == who.Account:
		if who.Kind == strait.Root {
			return "caller"
		}
		return "account"
	case p == string(who.ARN):
		return "caller"
	case who.Kind == strait.AssumedRole && (p == string(who.RoleARN) || p == strings.Split(who.ID, ":")[0]):
		return "role"
	case who.Kind == strait.User && p == who.ID:
		return "caller"
	}
	return ""
}

// exempt: a NotPrincipal must list account, role and session.
func (o oracle) exempt(v any) bool {
	m, _ := v.(map[string]any)
	found := map[string]bool{}
	for kind, list := range m {
		for _, p := range texts(list) {
			if kind == "CanonicalUser" {
				continue
			}
			if how := o.namedBy(kind, p, true); how != "" {
				found[how] = true
				if p == "*" {
					found["role"], found["account"] = true, true
				}
			}
		}
	}
	switch o.r.Principal.Kind {
	case strait.AssumedRole:
		return found["caller"] && found["role"] && found["account"]
	case strait.User:
		return found["caller"] && found["account"]
	}
	return found["caller"]
}

func (o oracle) action(c clause) bool {
	list, not := texts(c.Action), c.NotAction != nil
	if not {
		list = texts(c.NotAction)
	}
	for _, p := range list {
		if wild(letters(strings.ToLower(p)), strings.ToLower(string(o.r.Action))) {
			return !not
		}
	}
	return not
}

// A letter of a pattern: a star, a question mark, or one character.
type letter struct {
	star, one bool
	is        rune
}

func letters(p string) (out []letter) {
	for _, c := range p {
		out = append(out, letter{c == '*', c == '?', c})
	}
	return out
}

func literally(p string) (out []letter) {
	for _, c := range p {
		out = append(out, letter{is: c})
	}
	return out
}

// wild tries everything.
func wild(p []letter, s string) bool {
	text := []rune(s)
	seen := map[[2]int]bool{}
	var try func(i, j int) bool
	try = func(i, j int) bool {
		if seen[[2]int{i, j}] {
			return false
		}
		seen[[2]int{i, j}] = true
		switch {
		case i == len(p):
			return j == len(text)
		case p[i].star:
			return try(i+1, j) || j < len(text) && try(i, j+1)
		}
		return j < len(text) && (p[i].one || p[i].is == text[j]) && try(i+1, j+1)
	}
	return try(0, 0)
}

// What came of the variables in a text.
const (
	known = iota
	lacking
	unknown
)

// expand makes letters of a text with variables (§4). A variable that nobody
// supplies is any text when guess is set.
func (o oracle) expand(p string, wildcards, variables, guess bool) ([]letter, int) {
	var out []letter
	plain := literally
	if wildcards {
		plain = letters
	}
	for variables {
		before, rest, ok := strings.Cut(p, "${")
		name, after, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			break
		}
		out = append(out, plain(before)...)
		p = after
		if name == "*" || name == "?" || name == "$" {
			out = append(out, literally(name)...)
			continue
		}
		key, fallback, hasDefault := strings.Cut(name, ",")
		key = strings.ToLower(strings.TrimSpace(key))
		values := o.r.Context.Get(key)
		spoiled := strings.HasPrefix(key, "iot:certificate.") && len(values) == 1 && strings.ContainsAny(values[0], "*$+?#")
		switch {
		case len(values) == 1 && !spoiled:
			out = append(out, literally(values[0])...)
		case len(values) == 0 && !policy.Supplied(key) && guess:
			out = append(out, letter{star: true})
		case len(values) == 0 && !policy.Supplied(key):
			return nil, unknown
		case len(values) == 0 && hasDefault:
			out = append(out, literally(strings.Trim(strings.TrimSpace(fallback), "'"))...)
		default:
			return nil, lacking
		}
	}
	return append(out, plain(p)...), known
}

// arn compares six parts, one by one; of is a list of letters split at colons
// of the pattern itself.
func arnParts(p string) []string {
	var parts []string
	for len(parts) < 5 {
		i, depth := -1, 0
		for j := 0; j < len(p); j++ {
			switch {
			case strings.HasPrefix(p[j:], "${"):
				depth = 1
			case p[j] == '}':
				depth = 0
			case p[j] == ':' && depth == 0:
				i = j
			}
			if i >= 0 {
				break
			}
		}
		if i < 0 {
			break
		}
		parts, p = append(parts, p[:i]), p[i+1:]
	}
	return append(parts, p)
}

func (o oracle) resource(c clause, deny, variables bool) bool {
	if c.Resource == nil && c.NotResource == nil {
		return true
	}
	list, not := texts(c.Resource), c.NotResource != nil
	if not {
		list = texts(c.NotResource)
	}
	hit, unsure := false, false
	for _, p := range list {
		one, state := o.oneResource(p, deny && !not, variables)
		hit = hit || one
		unsure = unsure || state != known
	}
	switch {
	case !not:
		return hit
	case unsure: // it cannot be told what is left out
		return deny
	}
	return !hit
}

func (o oracle) oneResource(p string, guess, variables bool) (bool, int) {
	if p == "*" {
		return true, known
	}
	parts := strings.SplitN(p, ":", 6)
	asked := strings.SplitN(string(o.r.Resource), ":", 6)
	last, state := letters("*"), known
	if len(parts) == 6 {
		last, state = o.expand(parts[5], true, variables, guess)
	}
	if state != known || len(asked) < 6 {
		return false, state
	}
	for i := range 5 {
		pattern := letters("*")
		if i < len(parts) {
			pattern = letters(parts[i])
		}
		if !wild(pattern, asked[i]) {
			return false, known
		}
	}
	return wild(last, asked[5]), known
}

// condition: iam-evaluation §3.
func (o oracle) condition(name, key string, want []string, deny, variables bool) bool {
	set := ""
	for _, s := range []string{"ForAllValues:", "ForAnyValue:"} {
		if rest, ok := strings.CutPrefix(name, s); ok {
			set, name = s, rest
		}
	}
	name, ifExists := strings.CutSuffix(name, "IfExists")
	found := o.r.Context.Get(key)
	if len(found) == 0 && !policy.Supplied(key) {
		return deny
	}
	if name == "Null" {
		for _, w := range want {
			if strings.ToLower(w) == strconv.FormatBool(len(found) == 0) {
				return true
			}
		}
		return false
	}
	negated := strings.Contains(name, "Not")
	name = strings.Replace(name, "Not", "", 1)
	if len(found) == 0 {
		switch {
		case ifExists || set == "ForAllValues:":
			return true
		case set == "ForAnyValue:":
			return false
		}
		return negated
	}
	all, any := true, false
	for _, f := range found {
		ok := negated
		for _, w := range want {
			match, readable, state := o.compare(name, w, f, variables)
			if state == unknown { // nothing can be said, whatever the others say
				return deny
			}
			if match {
				ok = !negated
			} else if !readable && negated && ok {
				ok = false
			}
		}
		all, any = all && ok, any || ok
	}
	if set == "ForAnyValue:" || set == "" && !negated {
		return any
	}
	return all
}

// compare compares one value wanted with one found.
func (o oracle) compare(name, want, found string, variables bool) (match, readable bool, state int) {
	switch {
	case strings.HasPrefix(name, "String") || name == "Bool":
		like := name == "StringLike"
		p, state := o.expand(want, like, variables, false)
		if state != known {
			return false, true, state
		}
		if name == "Bool" || strings.HasSuffix(name, "IgnoreCase") {
			for i := range p {
				p[i].is = []rune(strings.ToLower(string(p[i].is)))[0]
			}
			found = strings.ToLower(found)
		}
		return wild(p, found), true, known
	case strings.HasPrefix(name, "Arn"):
		return o.compareARN(want, found, variables)
	case name == "BinaryEquals":
		a, err := base64.StdEncoding.DecodeString(want)
		b, err2 := base64.StdEncoding.DecodeString(found)
		return err == nil && err2 == nil && string(a) == string(b), err == nil && err2 == nil, known
	case name == "IpAddress":
		a, err := netip.ParseAddr(found)
		p, err2 := netip.ParsePrefix(want)
		if one, err := netip.ParseAddr(want); err == nil {
			p, err2 = netip.PrefixFrom(one, one.BitLen()), nil
		}
		return err == nil && err2 == nil && p.Contains(a), err == nil && err2 == nil, known
	}
	var sign int
	if rest, ok := strings.CutPrefix(name, "Numeric"); ok {
		a, err := strconv.ParseFloat(found, 64)
		b, err2 := strconv.ParseFloat(want, 64)
		if err != nil || err2 != nil {
			return false, false, known
		}
		sign, name = sgn(a-b), rest
	} else {
		a, ok := moment(found)
		b, ok2 := moment(want)
		if !ok || !ok2 {
			return false, false, known
		}
		sign, name = a.Compare(b), strings.TrimPrefix(name, "Date")
	}
	switch name {
	case "Equals":
		match = sign == 0
	case "LessThan":
		match = sign < 0
	case "LessThanEquals":
		match = sign <= 0
	case "GreaterThan":
		match = sign > 0
	case "GreaterThanEquals":
		match = sign >= 0
	}
	return match, true, known
}

func (o oracle) compareARN(want, found string, variables bool) (match, readable bool, state int) {
	isARN := strings.HasPrefix(found, "arn:") && strings.Count(found, ":") >= 5
	if want == "*" {
		return isARN, true, known
	}
	if variables && strings.HasPrefix(want, "${") && strings.Count(want, "}") == 1 && strings.HasSuffix(want, "}") && len(want) > 4 {
		p, state := o.expand(want, true, true, false)
		return state == known && isARN && wild(p, found), true, state
	}
	parts := []string(nil)
	if variables {
		parts = arnParts(want)
	} else {
		parts = strings.SplitN(want, ":", 6)
	}
	asked := strings.SplitN(found, ":", 6)
	match = isARN && len(parts) == 6
	for i, part := range parts {
		p, state := o.expand(part, true, variables, false)
		if state != known {
			return false, true, state
		}
		match = match && i < len(asked) && wild(p, asked[i])
	}
	return match, true, known
}

func sgn(f float64) int {
	switch {
	case f < 0:
		return -1
	case f > 0:
		return 1
	}
	return 0
}

func moment(s string) (time.Time, bool) {
	if n, err := strconv.ParseFloat(s, 64); err == nil && (len(s) != 4 || strings.Trim(s, "0123456789") != "") { // four digits are a year
		return time.Unix(int64(n), 0), true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02", "2006"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
