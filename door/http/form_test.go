package http_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"strings"
	"testing"

	door "strait/door/http"
)

// FuzzPostForm: a form of a browser is read back as it was written; anything
// else fails or is bounded, and never panics.
func FuzzPostForm(f *testing.F) {
	f.Add("key", "a/${filename}", "x.txt", []byte("hello"), []byte("--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--b--"))
	f.Add("Policy", "", "", []byte{}, []byte("--b\r\n\r\n"))
	f.Fuzz(func(t *testing.T, name, value, fileName string, file, raw []byte) {
		if fields, _, body, err := door.ReadForm(bytes.NewReader(raw), "multipart/form-data; boundary=b"); err == nil {
			io.Copy(io.Discard, body)
			total := 0
			for k, v := range fields {
				total += len(k) + len(v)
			}
			if total > 20<<10 {
				t.Fatalf("%d bytes of fields were taken", total)
			}
		}
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		if name == "" || strings.ToLower(name) == "file" || strings.ContainsAny(name+fileName, "\r\n\"\\%\x00") || len(name)+len(value) > 10<<10 || len(fileName) > 1000 {
			t.Skip()
		}
		for _, c := range name + fileName {
			if c < ' ' || c > '~' {
				t.Skip() // how such names are written differs from browser to browser
			}
		}
		if w.WriteField(name, value) != nil {
			t.Skip()
		}
		p, _ := w.CreateFormFile("file", fileName)
		p.Write(file)
		w.Close()
		fields, got, body, err := door.ReadForm(&b, w.FormDataContentType())
		if err != nil {
			t.Fatalf("a form with the field %q: %v", name, err)
		}
		back, err := io.ReadAll(body)
		if kept, ok := fields[strings.ToLower(name)]; !ok || kept != value || err != nil || !bytes.Equal(back, file) || len(fields) != 1 {
			t.Fatalf("field %q: got %q, file %q with %q, %v", name, fields, got, back, err)
		}
	})
}
