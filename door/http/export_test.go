package http

import (
	"io"
	"net/http"
	"net/url"
	"reflect"

	"strait/api"
)

// Match is how a service's table finds a row and the values of its path.
func Match(s *api.Service, method, path string, rawQuery string, header ...string) (operation string, vars map[string]string, err error) {
	t, err := newTable(s, nil)
	if err != nil {
		return "", nil, err
	}
	_, q := splitURI(&http.Request{RequestURI: "/?" + rawQuery})
	h := http.Header{}
	for _, name := range header {
		h.Set(name, "there")
	}
	r, vars, err := t.match(method, path, q, h)
	if err != nil {
		return "", nil, err
	}
	return r.o.Name, vars, nil
}

// DecodeForm fills the shape that in points to from a form's body.
func DecodeForm(body string, in any) error {
	form, err := url.ParseQuery(body)
	if err != nil {
		return err
	}
	return decodeForm(form, "", reflect.ValueOf(in).Elem())
}

// Choose is which service a request is for, and the bucket in its host's name.
func Choose(d *Door, r *http.Request) (service, bucket string) {
	x := &exchange{r: r}
	x.path, x.query = splitURI(r)
	return d.choose(x), x.bucket
}

// ReadForm reads a POST form up to its file.
func ReadForm(body io.Reader, contentType string) (fields map[string]string, fileName string, file io.Reader, err error) {
	f, err := readForm(body, contentType)
	if err != nil {
		return nil, "", nil, err
	}
	return f.Fields, f.FileName, f.file, nil
}
