package http

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"strait"
	"strait/api"
)

// maxForm bounds what stands in a form before its file, with all boundaries and
// part headers; maxFields bounds names and values alone (s3-upload.md, section 3).
const (
	maxForm   = 64 << 10
	maxFields = 20 << 10
)

// A form is a POST form read up to its file: the way in which browsers upload.
type form struct {
	api.Form
	file io.Reader
}

// isForm tells whether r is a browser's upload.
func isForm(r *http.Request) bool {
	if r.Method != http.MethodPost {
		return false
	}
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && t == "multipart/form-data"
}

// readForm reads the fields of a form. What follows the file is overlooked, as
// S3 does.
func readForm(body io.Reader, contentType string) (*form, error) {
	malformed := strait.Errorf(strait.Invalid, "form", "The body of your POST request is not well-formed multipart/form-data.")
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		return nil, malformed
	}
	m := &meter{r: body, left: maxForm}
	parts := multipart.NewReader(m, params["boundary"])
	f := &form{Form: api.Form{Fields: map[string]string{}}}
	total := 0
	for {
		p, err := parts.NextRawPart()
		switch {
		case errors.Is(err, errMeter):
			return nil, tooMuch()
		case err == io.EOF:
			return nil, strait.Errorf(strait.Invalid, "argument", "POST requires exactly one file upload per request.")
		case err != nil:
			return nil, malformed
		}
		name := strings.ToLower(p.FormName())
		if name == "" {
			return nil, malformed
		}
		if name == "file" {
			f.FileName, f.file = p.FileName(), p
			m.left = 1 << 62
			return f, nil
		}
		v, err := io.ReadAll(io.LimitReader(p, maxFields+1))
		if total += len(name) + len(v); errors.Is(err, errMeter) || total > maxFields {
			return nil, tooMuch()
		}
		if err != nil {
			return nil, malformed
		}
		if _, twice := f.Fields[name]; twice {
			return nil, strait.Errorf(strait.Invalid, "argument", "The form has more than one field named %q.", name)
		}
		f.Fields[name] = string(v)
	}
}

func tooMuch() error {
	return strait.Errorf(strait.TooLarge, "form", "Your POST request fields preceding the upload file were too large.")
}

// A meter reads so many bytes and no more.
type meter struct {
	r    io.Reader
	left int64
}

var errMeter = errors.New("the form is too large")

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, errMeter
	}
	if int64(len(p)) > m.left {
		p = p[:m.left]
	}
	n, err := m.r.Read(p)
	m.left -= int64(n)
	return n, err
}
