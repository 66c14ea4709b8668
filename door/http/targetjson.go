package http

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"strait"
	"strait/api"
)

// targetJSON is json 1.1: every request is a POST of a JSON document to "/",
// and the header X-Amz-Target names the operation (CloudWatch Logs).
type targetJSON struct{}

const targetType = "application/x-amz-json-1.1"

func (targetJSON) find(x *exchange) (*api.Operation, map[string]string, error) {
	if x.r.Method != http.MethodPost {
		return nil, nil, strait.Errorf(strait.Unsupported, "method", "The method %s is not allowed here.", x.r.Method)
	}
	target, name, _ := strings.Cut(x.r.Header.Get("X-Amz-Target"), ".")
	if o := x.service.Find(name); o != nil && target == x.service.Target {
		return o, nil, nil
	}
	if err := x.table.refusedByName(name); err != nil {
		return nil, nil, err
	}
	return nil, nil, strait.Errorf(strait.Unsupported, "operation", "The operation %q is not offered here.", name)
}

func (targetJSON) decode(x *exchange, in any, path map[string]string) error {
	return restJSON{}.decode(x, in, path)
}

func (targetJSON) encode(x *exchange, _ *api.Operation, out any) error {
	h := x.w.Header()
	h.Set("Content-Type", targetType)
	h.Set("x-amzn-RequestId", x.id)
	var doc []byte // operations without an answer have an empty body
	if _, nothing := out.(*api.Nothing); out != nil && !nothing {
		var err error
		if doc, err = json.Marshal(out); err != nil {
			return err
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(doc)))
	x.w.WriteHeader(http.StatusOK)
	_, err := x.w.Write(doc)
	return ignore(err)
}

func (targetJSON) fail(x *exchange, e *strait.Error) {
	code, status := lookup(targetCodes[x.service.Name], e)
	later(x.w.Header(), status)
	doc := map[string]string{"__type": code, "message": e.Message}
	if id := e.Detail["DecisionId"]; id != "" {
		doc["decisionId"] = id
	}
	b, err := json.Marshal(doc)
	if err != nil {
		b = []byte(`{"__type":"InternalFailure"}`)
	}
	h := x.w.Header()
	h.Set("Content-Type", targetType)
	h.Set("x-amzn-RequestId", x.id)
	x.w.WriteHeader(status)
	x.w.Write(b)
}
