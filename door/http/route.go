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
}

func newTable(s *api.Service) (*table, error) {
	t := &table{service: s, keys: map[string]bool{}}
	for i := range s.Operations {
		o := &s.Operations[i]
		if s.Protocol == "query" || s.Protocol == "json-1.1" {
			continue
		}
		method, rest, ok := strings.Cut(o.Route, " ")
		rest, header, _ := strings.Cut(rest, " ")
		if !ok || !strings.HasPrefix(rest, "/") {
			return nil, fmt.Errorf("operation %s of %s has no readable route: %q", o.Name, s.Name, o.Route)
		}
		path, raw, _ := strings.Cut(rest, "?")
		r := route{o: o, method: method, segments: strings.Split(strings.TrimPrefix(path, "/"), "/"), header: header,
			greedy: strings.HasSuffix(path, "+}")}
		for _, part := range strings.Split(raw, "&") {
			if part == "" {
				continue
			}
			k, v, _ := strings.Cut(part, "=")
			r.query = append(r.query, pair{k, v})
			t.keys[k] = true
		}
		t.routes = append(t.routes, r)
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
	return nil, nil, strait.Errorf(strait.NotFound, "operation", "There is no such operation here: %s %s", method, path)
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
