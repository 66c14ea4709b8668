package http

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"strait"
	"strait/api"
)

// restJSON: path, query, headers and a JSON document in; the same out (IoT,
// IoT Data, Lambda).
type restJSON struct{}

func (restJSON) find(x *exchange) (*api.Operation, map[string]string, error) {
	r, vars, err := x.table.match(x.r.Method, x.path, x.query, x.r.Header)
	if err != nil {
		return nil, nil, err
	}
	return r.o, vars, nil
}

func (restJSON) decode(x *exchange, in any, path map[string]string) error {
	v := reflect.ValueOf(in).Elem()
	if f, ok := payloadOf(v); ok {
		f.SetBytes(x.body)
		return x.bind(in, path)
	}
	if len(bytes.TrimSpace(x.body)) > 0 && hasDocument(v.Type()) {
		dec := json.NewDecoder(bytes.NewReader(x.body))
		if err := dec.Decode(in); err != nil {
			return strait.Errorf(strait.Invalid, "json", "The request's JSON cannot be read: %s", jsonProblem(err))
		}
		if _, err := dec.Token(); err != io.EOF {
			return strait.Errorf(strait.Invalid, "json", "The request's JSON is followed by something else.")
		}
	}
	// Path, query and headers last: a document cannot speak over them.
	return x.bind(in, path)
}

func jsonProblem(err error) string {
	if t, ok := err.(*json.UnmarshalTypeError); ok {
		// Only the last word: those before it may be names of ours.
		return "the member " + t.Field[strings.LastIndex(t.Field, ".")+1:] + " has the wrong type"
	}
	return "it is not valid JSON"
}

func payloadOf(v reflect.Value) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("aws") == "payload" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// hasDocument tells whether any member stands in the document.
func hasDocument(t reflect.Type) bool {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("aws") == "" && t.Field(i).IsExported() {
			return true
		}
	}
	return false
}

func (restJSON) encode(x *exchange, o *api.Operation, out any) error {
	a := x.headers(out, o.Status)
	h := x.w.Header()
	h.Set("x-amzn-RequestId", x.id)
	if a.found {
		if h.Get("Content-Type") == "" {
			h.Set("Content-Type", "application/json")
		}
		return x.send(a)
	}
	if a.status == http.StatusNoContent {
		x.w.WriteHeader(a.status)
		return nil
	}
	h.Set("Content-Type", "application/json")
	doc := []byte("{}")
	if out != nil {
		var err error
		if doc, err = json.Marshal(out); err != nil {
			return err
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(doc)))
	x.w.WriteHeader(a.status)
	_, err := x.w.Write(doc)
	return ignore(err)
}

func (restJSON) fail(x *exchange, e *strait.Error) {
	codes := restCodes[x.service.Name]
	code, status := lookup(codes, e)
	later(x.w.Header(), status)
	doc := map[string]any{"message": e.Message}
	switch x.service.Name {
	case "lambda":
		doc["Message"], doc["Type"] = e.Message, "User"
		if status >= 500 {
			doc["Type"] = "Service"
		}
		if r := e.Detail["Reason"]; r != "" {
			doc["Reason"] = r
		}
	case "scheduler":
		doc["Message"] = e.Message
	case "iotdata":
		doc["traceId"] = x.id
		switch {
		case e.Kind == strait.Unauthenticated && e.Thing == "credentials":
			doc["message"] = "Missing Authentication Token"
		case e.Kind == strait.Denied:
			// AWS says no more than this here; ours adds the id of the decision.
			doc["message"] = "Forbidden"
		}
	case "credentials":
		// The provider's own sentences, and beside them what is behind them.
		switch {
		case e.Kind == strait.Denied && e.Thing == "action":
			doc["message"], doc["reason"] = "Access Denied", e.Message
		case e.Kind == strait.Unauthenticated:
			doc["message"], doc["reason"] = "Certificate is invalid on this endpoint", e.Message
		case e.Detail["Reason"] != "":
			doc["reason"] = e.Detail["Reason"]
		}
	case "iot":
		for _, k := range []string{"resourceId", "resourceArn"} {
			if s := e.Detail[k]; s != "" {
				doc[k] = s
			}
		}
	}
	if id := e.Detail["DecisionId"]; id != "" {
		doc["decisionId"] = id
	}
	b, err := json.Marshal(doc)
	if err != nil {
		b = []byte(`{"message":"internal error"}`)
	}
	h := x.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("x-amzn-RequestId", x.id)
	h.Set("x-amzn-ErrorType", strings.TrimSpace(code))
	x.w.WriteHeader(status)
	x.w.Write(b)
}
