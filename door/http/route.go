package http

import (
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"

	"strait"
	"strait/api"
)

// values are the parameters of a query, decoded once, in the order in which
// they came. (url.Values would lose pairs with a semicolon.)
type values []pair

type pair struct{ key, value string }

func (v values) get(key string) string {
	s, _ := v.lookup(key)
	return s
}

func (v values) lookup(key string) (string, bool) {
	for _, p := range v {
		if p.key == key {
			return p.value, true
		}
	}
	return "", false
}

// splitURI returns the path exactly as it was sent, not decoded and not
// cleaned, and the decoded query.
func splitURI(r *http.Request) (path string, q values) {
	uri := r.RequestURI
	if i := strings.Index(uri, "://"); i >= 0 && !strings.HasPrefix(uri, "/") {
		// The absolute form, as proxies send it.
		uri = uri[i+3:]
		if j := strings.IndexAny(uri, "/?"); j >= 0 {
			uri = uri[j:]
		} else {
			uri = "/"
		}
	}
	path, raw, _ := strings.Cut(uri, "?")
	if path == "" {
		path = "/"
	}
	for _, part := range strings.Split(raw, "&") {
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		q = append(q, pair{unescapeQuery(k), unescapeQuery(v)})
	}
	return path, q
}

// unescapeQuery decodes s, in which "+" is a plus when signed by AWS's rules
// but a blank in forms; SDKs never send a raw plus, browsers mean a blank.
func unescapeQuery(s string) string {
	u, err := url.QueryUnescape(s)
	if err != nil {
		return s
	}
	return u
}

// A route is a template of a row: method, path segments and query keys.
type route struct {
	o        *api.Operation
	method   string
	segments []string // "{X}" and "{X+}" are variables
	query    []pair   // keys that must be there; with a value, that value
	header   string   // a header that must be there; "" for none
	greedy   bool     // the last segment takes all that are left
}

// A table finds rows by route.
type table struct {
	service *api.Service
	routes  []route
	keys    map[string]bool // every query key that a route names
	refused []refusal
}

// A refusal is an operation of AWS that is not offered.
type refusal struct {
	api.Covered
	route route // without a row
}

// newTable reads the routes of s, and those of refused that are of its kind.
func newTable(s *api.Service, refused []api.Covered) (*table, error) {
	t := &table{service: s, keys: map[string]bool{}}
	for i := range s.Operations {
		o := &s.Operations[i]
		if s.Protocol == "query" || s.Protocol == "json-1.1" {
			continue
		}
		r, err := readRoute(o.Route)
		if err != nil {
			return nil, fmt.Errorf("operation %s of %s: %w", o.Name, s.Name, err)
		}
		r.o = o
		for _, q := range r.query {
			t.keys[q.key] = true
		}
		t.routes = append(t.routes, r)
	}
	for _, c := range refused {
		if c.Service != s.Name {
			continue
		}
		n := refusal{Covered: c}
		if c.Route != "" {
			var err error
			if n.route, err = readRoute(c.Route); err != nil {
				return nil, fmt.Errorf("refused operation %s of %s: %w", c.Operation, s.Name, err)
			}
		}
		t.refused = append(t.refused, n)
	}
	// The one with most query keys, a header and most literal segments is
	// tried first.
	sort.SliceStable(t.routes, func(i, j int) bool {
		a, b := t.routes[i], t.routes[j]
		if len(a.query) != len(b.query) {
			return len(a.query) > len(b.query)
		}
		if (a.header == "") != (b.header == "") {
			return a.header != ""
		}
		return a.literals() > b.literals()
	})
	return t, nil
}

// readRoute reads an Operation's Route.
func readRoute(text string) (route, error) {
	method, rest, ok := strings.Cut(text, " ")
	rest, header, _ := strings.Cut(rest, " ")
	if !ok || !strings.HasPrefix(rest, "/") {
		return route{}, fmt.Errorf("the route %q cannot be read", text)
	}
	path, raw, _ := strings.Cut(rest, "?")
	r := route{method: method, segments: strings.Split(strings.TrimPrefix(path, "/"), "/"), header: header,
		greedy: strings.HasSuffix(path, "+}")}
	for _, part := range strings.Split(raw, "&") {
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		r.query = append(r.query, pair{k, v})
	}
	return r, nil
}

// refusedByName says why the operation called name is not offered, nil for one
// that AWS does not have either.
func (t *table) refusedByName(name string) error {
	for i := range t.refused {
		if t.refused[i].Operation == name {
			return t.refused[i].err()
		}
	}
	return nil
}

// refusedByRoute does the same for a request.
func (t *table) refusedByRoute(method, path string, q values) error {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	var found *refusal
	for i := range t.refused {
		n := &t.refused[i]
		if n.Route == "" || n.route.method != method || !n.route.wants(q) {
			continue
		}
		// Of several, the one that wants most.
		if found != nil && (len(n.route.query) < len(found.route.query) || n.route.literals() < found.route.literals()) {
			continue
		}
		if _, ok, err := n.route.bind(segments); ok && err == nil {
			found = n
		}
	}
	if found == nil {
		return nil
	}
	return found.err()
}

func (n *refusal) err() error {
	return strait.Errorf(strait.Unsupported, "operation", "%s is not offered here (%s).", n.Operation, n.Why)
}

func (r route) literals() int {
	n := 0
	for _, s := range r.segments {
		if !strings.HasPrefix(s, "{") {
			n++
		}
	}
	return n
}

// match finds the row for a method, raw path and query. Segments are decoded
// once, after the path has been split.
func (t *table) match(method, path string, q values, h http.Header) (*route, map[string]string, error) {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	// What is cheap to see comes first: most rows are of another kind.
	for i := range t.routes {
		r := &t.routes[i]
		if r.method != method || !r.asked(q, h) {
			continue
		}
		if vars, ok, err := r.bind(segments); ok || err != nil {
			return r, vars, err
		}
	}
	if err := t.refusedByRoute(method, path, q); err != nil {
		return nil, nil, err
	}
	for i := range t.routes {
		r := &t.routes[i]
		if r.method == method || !r.asked(q, h) {
			continue
		}
		_, ok, err := r.bind(segments)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			return nil, nil, strait.Errorf(strait.Unsupported, "method", "The specified method is not allowed against this resource.")
		}
	}
	return nil, nil, strait.Errorf(strait.Unsupported, "operation", "There is no such operation here: %s %s", method, path)
}

// asked tells whether what the row wants beside its path is there.
func (r *route) asked(q values, h http.Header) bool {
	return r.wants(q) && (r.header == "" || h.Get(r.header) != "")
}

func (r *route) wants(q values) bool {
	for _, want := range r.query {
		v, ok := q.lookup(want.key)
		if !ok || want.value != "" && v != want.value {
			return false
		}
	}
	return true
}

func (r *route) bind(segments []string) (map[string]string, bool, error) {
	if len(segments) < len(r.segments) || len(segments) > len(r.segments)+1 && !r.greedy {
		return nil, false, nil
	}
	vars := make(map[string]string, len(r.segments))
	for i, s := range r.segments {
		name, isVar := strings.CutPrefix(s, "{")
		name = strings.TrimSuffix(name, "}")
		if greedy, ok := strings.CutSuffix(name, "+"); isVar && ok {
			if i >= len(segments) {
				return nil, false, nil
			}
			v, err := unescapePath(strings.Join(segments[i:], "/"))
			if v == "" {
				return nil, false, err
			}
			vars[greedy] = v
			return vars, true, err
		}
		if i >= len(segments) {
			return nil, false, nil
		}
		if !isVar {
			if segments[i] != s {
				return nil, false, nil
			}
			continue
		}
		v, err := unescapePath(segments[i])
		if err != nil {
			return nil, false, err
		}
		if v == "" {
			return nil, false, nil
		}
		vars[name] = v
	}
	// One trailing slash is overlooked, as old SDKs add it to some paths.
	rest := segments[len(r.segments):]
	return vars, len(rest) == 0 || len(rest) == 1 && rest[0] == "", nil
}

func unescapePath(s string) (string, error) {
	u, err := url.PathUnescape(s)
	if err != nil {
		return "", strait.Errorf(strait.Invalid, "uri", "Couldn't parse the specified URI.")
	}
	return u, nil
}
