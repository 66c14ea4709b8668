package http

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"strait"
	"strait/api"
)

// query: a form in, XML out (STS, IAM).
type query struct{}

// form returns the parameters: of the body, or of the query for GET.
func (query) form(x *exchange) (url.Values, error) {
	if x.r.Method == http.MethodGet {
		v := url.Values{}
		for _, p := range x.query {
			v.Add(p.key, p.value)
		}
		return v, nil
	}
	v, err := url.ParseQuery(string(x.body))
	if err != nil {
		return nil, strait.Errorf(strait.Invalid, "request", "The request's parameters cannot be read.")
	}
	return v, nil
}

func (p query) find(x *exchange) (*api.Operation, map[string]string, error) {
	if x.r.Method != http.MethodPost && x.r.Method != http.MethodGet {
		return nil, nil, strait.Errorf(strait.Unsupported, "method", "The method %s is not allowed here.", x.r.Method)
	}
	v, err := p.form(x)
	if err != nil {
		return nil, nil, err
	}
	action := v.Get("Action")
	if o := x.service.Find(action); o != nil && (v.Get("Version") == x.service.Version || v.Get("Version") == "") {
		return o, nil, nil
	}
	if action == "" {
		return nil, nil, strait.Errorf(strait.Invalid, "action", "The request must contain the parameter Action.")
	}
	if err := x.table.refusedByName(action); err != nil {
		return nil, nil, strait.Errorf(strait.Invalid, "action", "%s", plain(err))
	}
	return nil, nil, strait.Errorf(strait.Invalid, "action", "Could not find operation %s for version %s", action, v.Get("Version"))
}

func (p query) decode(x *exchange, in any, _ map[string]string) error {
	v, err := p.form(x)
	if err != nil {
		return err
	}
	return decodeForm(v, "", reflect.ValueOf(in).Elem())
}

// maxMembers bounds a list in a form: the longest that AWS takes has far less.
const maxMembers = 1000

// decodeForm fills v from the parameters that begin with prefix:
// "Tags.member.1.Key" and so on.
func decodeForm(form url.Values, prefix string, v reflect.Value) error {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		name := f.Name
		if tag := f.Tag.Get("aws"); tag != "" {
			name = tag
		}
		if err := decodeMember(form, prefix+name, v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func decodeMember(form url.Values, name string, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Struct:
		return decodeForm(form, name+".", v)
	case reflect.Slice:
		for n := 1; ; n++ {
			item := name + ".member." + strconv.Itoa(n)
			if !has(form, item) {
				return nil
			}
			if n > maxMembers {
				return strait.Errorf(strait.Invalid, "parameter", "The list %s is too long.", name)
			}
			e := reflect.New(v.Type().Elem()).Elem()
			if err := decodeMember(form, item, e); err != nil {
				return err
			}
			v.Set(reflect.Append(v, e))
		}
	}
	s, ok := form[name]
	if !ok {
		return nil
	}
	return setScalar(v, s[0], name)
}

// has tells whether the form has name itself or something below it.
func has(form url.Values, name string) bool {
	if _, ok := form[name]; ok {
		return true
	}
	for k := range form {
		if strings.HasPrefix(k, name+".") {
			return true
		}
	}
	return false
}

// setScalar sets a string, number, bool, or a pointer to one, from text.
func setScalar(v reflect.Value, s, name string) error {
	bad := func() error {
		e := strait.Errorf(strait.Invalid, "malformed input", "The value of %s cannot be read.", name)
		e.Detail = map[string]string{"ArgumentName": name, "ArgumentValue": s[:min(len(s), 1024)]}
		return e
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if err := setScalar(p.Elem(), s, name); err != nil {
			return err
		}
		v.Set(p)
	case reflect.String:
		v.SetString(s)
	case reflect.Int, reflect.Int64, reflect.Int32:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || v.OverflowInt(n) {
			return bad()
		}
		v.SetInt(n)
	case reflect.Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return bad()
		}
		v.SetBool(b)
	default:
		return fmt.Errorf("shape member %s has a kind that cannot be read: %s", name, v.Kind())
	}
	return nil
}

func (query) encode(x *exchange, o *api.Operation, out any) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "<%sResponse xmlns=%q>", o.Name, x.service.Namespace)
	if out != nil {
		if _, empty := out.(*api.Nothing); !empty {
			enc := xml.NewEncoder(&b)
			if err := enc.EncodeElement(out, xml.StartElement{Name: xml.Name{Local: o.Name + "Result"}}); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(&b, "<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>", x.id, o.Name)
	x.w.Header().Set("Content-Type", "text/xml")
	x.w.Header().Set("x-amzn-RequestId", x.id)
	x.w.WriteHeader(http.StatusOK)
	_, err := x.w.Write(b.Bytes())
	return err
}

func (query) fail(x *exchange, e *strait.Error) {
	code, status := lookup(queryCodes, e)
	later(x.w.Header(), status)
	ns := x.service.Namespace
	if code == "InvalidAction" {
		ns = "http://webservices.amazon.com/AWSFault/2005-15-09"
	}
	kind := "Sender"
	if status >= 500 {
		kind = "Receiver"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "<ErrorResponse xmlns=%q><Error><Type>%s</Type><Code>%s</Code><Message>", ns, kind, code)
	xml.EscapeText(&b, []byte(e.Message))
	b.WriteString("</Message>")
	if id := e.Detail["DecisionId"]; id != "" {
		element(&b, "DecisionId", id) // ours; SDKs pass over it
	}
	fmt.Fprintf(&b, "</Error><RequestId>%s</RequestId></ErrorResponse>", x.id)
	x.w.Header().Set("Content-Type", "text/xml")
	x.w.Header().Set("x-amzn-RequestId", x.id)
	x.w.WriteHeader(status)
	x.w.Write(b.Bytes())
}
