package http

import (
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"strait"
)

// Members of shapes say by the tag `aws` where they stand:
//
//	`aws:"path,thingName"`      a variable of the path
//	`aws:"query,qos"`           a parameter of the query
//	`aws:"header,Content-Type"` a header
//	`aws:"headers,X-Amz-Meta-"` all headers with that prefix, as a map
//	`aws:"payload"`             the body: []byte, string, io.Reader
//	`aws:"status"`              the HTTP status of the answer (int)
//	`aws:"xml"`                 the body as XML (S3)
//	`aws:"form"`                the fields of a POST form (S3), nil for none
//
// All others are members of the JSON document. In an input, the members of an
// embedded struct count as the shape's own.

// A member is where one field of a shape stands.
type member struct {
	index       int
	where, name string
	header      string   // name as net/http keeps it
	embedded    []member // of an embedded struct
}

// shapes remembers the members of types: looking through tags costs more than
// what is then read.
var shapes sync.Map // of reflect.Type to []member

func membersOf(t reflect.Type) []member {
	if known, ok := shapes.Load(t); ok {
		return known.([]member)
	}
	all := make([]member, t.NumField())
	for i := range all {
		f := t.Field(i)
		m := member{index: i}
		m.where, m.name, _ = strings.Cut(f.Tag.Get("aws"), ",")
		m.header = http.CanonicalHeaderKey(m.name)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			m.embedded = membersOf(f.Type)
		}
		all[i] = m
	}
	shapes.Store(t, all)
	return all
}

// bind fills the members of in that stand in path, query and headers.
func (x *exchange) bind(in any, path map[string]string) error {
	v := reflect.ValueOf(in).Elem()
	return x.bindInto(v, membersOf(v.Type()), path)
}

func (x *exchange) bindInto(v reflect.Value, members []member, path map[string]string) error {
	for i := range members {
		m := &members[i]
		f := v.Field(m.index)
		if m.embedded != nil {
			if err := x.bindInto(f, m.embedded, path); err != nil {
				return err
			}
			continue
		}
		var s string
		ok := false
		switch m.where {
		case "path":
			s, ok = path[m.name]
		case "query":
			if f.Kind() == reflect.Slice {
				for _, p := range x.query {
					if p.key == m.name {
						f.Set(reflect.Append(f, reflect.ValueOf(p.value)))
					}
				}
				continue
			}
			s, ok = x.query.lookup(m.name)
		case "header":
			s, ok = headerOf(x.r, m.header)
		case "headers":
			f.Set(reflect.ValueOf(prefixed(x.r.Header, m.name)))
			continue
		}
		if !ok {
			continue
		}
		if err := setScalar(f, s, m.name); err != nil {
			return err
		}
	}
	return nil
}

// headerOf finds a header by its canonical name, with those that net/http keeps
// elsewhere.
func headerOf(r *http.Request, name string) (string, bool) {
	switch name {
	case "Host":
		return r.Host, true
	case "Content-Length":
		if r.ContentLength < 0 {
			return "", false
		}
		return strconv.FormatInt(r.ContentLength, 10), true
	}
	v := r.Header[name]
	if len(v) == 0 {
		return "", false
	}
	return strings.Join(v, ","), true
}

// prefixed returns the headers that begin with prefix, by the lower-case rest.
func prefixed(h http.Header, prefix string) map[string]string {
	var m map[string]string
	for k, v := range h {
		if len(k) > len(prefix) && strings.EqualFold(k[:len(prefix)], prefix) {
			if m == nil {
				m = map[string]string{}
			}
			m[strings.ToLower(k[len(prefix):])] = strings.Join(v, ",")
		}
	}
	return m
}

// An answer is what a shape says beside its document.
type answer struct {
	status  int
	payload any // nil when the document is the body
	found   bool
}

// headers writes the members of out that are headers, and finds the payload.
func (x *exchange) headers(out any, status int) answer {
	a := answer{status: status}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if out == nil {
		return a
	}
	v := reflect.ValueOf(out).Elem()
	h := x.w.Header()
	for _, m := range membersOf(v.Type()) {
		f := v.Field(m.index)
		switch m.where {
		case "header":
			if s := headerText(f); s != "" {
				h[m.header] = []string{s}
			}
		case "headers":
			// In lower case, as S3 sends them: boto3 takes the names of metadata
			// from here as they are.
			for k, s := range f.Interface().(map[string]string) {
				h[strings.ToLower(m.name+k)] = []string{s}
			}
		case "status":
			if f.Int() != 0 {
				a.status = int(f.Int())
			}
		case "payload":
			a.payload, a.found = f.Interface(), true
		}
	}
	return a
}

func headerText(f reflect.Value) string {
	switch f.Kind() {
	case reflect.String:
		return f.String()
	case reflect.Int, reflect.Int64:
		return strconv.FormatInt(f.Int(), 10)
	case reflect.Bool:
		if f.Bool() {
			return "true"
		}
		return ""
	case reflect.Pointer:
		if f.IsNil() {
			return ""
		}
		return headerText(f.Elem())
	}
	if t, ok := f.Interface().(time.Time); ok && !t.IsZero() {
		return t.UTC().Format(http.TimeFormat)
	}
	return ""
}

// send writes the head and the payload.
func (x *exchange) send(a answer) error {
	switch p := a.payload.(type) {
	case nil:
		x.w.WriteHeader(a.status)
		return nil
	case []byte:
		x.w.Header().Set("Content-Length", strconv.Itoa(len(p)))
		x.w.WriteHeader(a.status)
		_, err := x.w.Write(p)
		return ignore(err)
	case string:
		a.payload = []byte(p)
		return x.send(a)
	case io.Reader:
		if c, ok := p.(io.Closer); ok {
			defer c.Close()
		}
		if x.r.Method == http.MethodHead {
			x.w.WriteHeader(a.status)
			return nil
		}
		begun, err := x.copyOut(a.status, p)
		if err != nil && begun {
			// The head is gone already: only a broken connection tells the
			// client that what it has is not the whole.
			panic(http.ErrAbortHandler)
		}
		if err != nil { // what cannot be read at all is still told as an error
			clear(x.w.Header())
			return err
		}
		return nil
	}
	return strait.Errorf(strait.Internal, "server", "a payload of an unknown kind")
}

// ignore drops the error of a client that went away.
func ignore(error) error { return nil }
