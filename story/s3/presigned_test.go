package s3_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// send makes a request and returns its status and body.
func send(h *house, method, url, contentType, body string) (int, string, http.Header) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.ctx, method, url, strings.NewReader(body))
	h.must(err)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	resp, err := h.web.Do(r)
	h.must(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	h.must(err)
	return resp.StatusCode, string(b), resp.Header
}

// TestPresigned: a URL is good for what was signed, and for nothing beside it.
func TestPresigned(t *testing.T) {
	h := raise(t)
	for _, endpoint := range []string{h.http, h.https} {
		c := h.client(endpoint)
		b := h.bucket(c, "signed-"+endpoint[:strings.Index(endpoint, ":")])
		p := s3.NewPresignClient(c)
		up, err := p.PresignPutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: ptr("a//ö+ b")})
		h.must(err)
		if status, body, _ := send(h, "PUT", up.URL, "", "hello"); status != 200 {
			t.Fatalf("presigned PUT: %d %s", status, body)
		}
		down, err := p.PresignGetObject(h.ctx, &s3.GetObjectInput{Bucket: &b, Key: ptr("a//ö+ b"), ResponseContentType: ptr("text/z")})
		h.must(err)
		status, body, header := send(h, "GET", down.URL, "", "")
		if status != 200 || body != "hello" || header.Get("Content-Type") != "text/z" {
			t.Errorf("presigned GET: %d %s %v", status, body, header)
		}
		for what, url := range map[string]string{"another key": strings.Replace(down.URL, "a//", "a/", 1), "another override": strings.Replace(down.URL, "text%2Fz", "text%2Fx", 1)} {
			if status, body, _ := send(h, "GET", url, "", ""); status != 403 || !strings.Contains(body, "<Code>SignatureDoesNotMatch</Code>") {
				t.Errorf("%s: %d %s", what, status, body)
			}
		}
	}
}

// post sends a form with a file behind its fields.
func post(h *house, url string, fields map[string]string, fileName, file string) (int, string, http.Header) {
	h.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for k, v := range fields {
		h.must(w.WriteField(k, v))
	}
	f, err := w.CreateFormFile("file", fileName)
	h.must(err)
	io.WriteString(f, file)
	h.must(w.Close())
	return send(h, "POST", url, w.FormDataContentType(), b.String())
}

// TestPost: a form uploads what the signed policy lets it, as the signer.
func TestPost(t *testing.T) {
	h := raise(t)
	c := h.client(h.https)
	b := h.bucket(c, "forms")
	sign := func(key string, conditions ...any) (string, map[string]string) {
		out, err := s3.NewPresignClient(c).PresignPostObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: &key}, func(o *s3.PresignPostOptions) {
			o.Conditions, o.Expires = conditions, time.Minute
		})
		h.must(err)
		return out.URL, out.Values
	}
	with := func(m map[string]string, more ...string) map[string]string {
		out := map[string]string{}
		for k, v := range m {
			out[k] = v
		}
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	url, fields := sign("up/${filename}", []any{"starts-with", "$Content-Type", "text/"}, []any{"starts-with", "$key", "up/"}, []any{"content-length-range", 2, 10}, map[string]string{"success_action_status": "201"},
		[]any{"starts-with", "$x-amz-meta-a", ""})
	delete(fields, "success_action_status")
	good := with(fields, "Content-Type", "text/x", "success_action_status", "201", "x-amz-meta-a", "b")
	status, body, _ := post(h, url, good, "a b.txt", "hello")
	if status != 201 || !strings.Contains(body, "<Key>up/a b.txt</Key>") {
		t.Fatalf("POST: %d %s", status, body)
	}
	head, err := c.HeadObject(h.ctx, &s3.HeadObjectInput{Bucket: &b, Key: ptr("up/a b.txt")})
	h.must(err)
	if *head.ContentType != "text/x" || head.Metadata["a"] != "b" || get(h, c, b, "up/a b.txt") != "hello" {
		t.Errorf("what was posted: %+v", head)
	}
	for _, x := range []struct {
		what, file string
		fields     map[string]string
		status     int
		code       string
	}{
		{"a type that is not allowed", "hello", with(good, "Content-Type", "image/png"), 403, "AccessDenied"},
		{"a key that is not allowed", "hello", with(good, "key", "down/x"), 403, "AccessDenied"},
		{"a field that no condition names", "hello", with(good, "acl", "private"), 403, "AccessDenied"},
		{"a large file", "hello, world", good, 400, "EntityTooLarge"},
		{"a small file", "h", good, 400, "EntityTooSmall"},
		{"another signature", "hello", with(good, "X-Amz-Signature", strings.Repeat("0", 64)), 403, "SignatureDoesNotMatch"},
		{"another policy", "hello", with(good, "policy", "e30="), 403, "SignatureDoesNotMatch"},
		{"a large field", "hello", with(good, "x-amz-meta-a", strings.Repeat("x", 21<<10)), 400, "MaxPostPreDataLengthExceeded"},
		{"no credentials", "hello", map[string]string{"key": "up/x"}, 403, "AccessDenied"},
	} {
		if status, body, _ := post(h, url, x.fields, "refused", x.file); status != x.status || !strings.Contains(body, "<Code>"+x.code+"</Code>") {
			t.Errorf("%s: got %d %s, want %d %s", x.what, status, body, x.status, x.code)
		}
	}
	_, err = c.HeadObject(h.ctx, &s3.HeadObjectInput{Bucket: &b, Key: ptr("up/refused")})
	refused(t, "what was refused", err, "NotFound", 404)
	if status, body, _ := send(h, "POST", url, "text/plain", "x"); status != 412 {
		t.Errorf("no form: %d %s", status, body)
	}
}

// TestTags: tags come with an object, are read and replaced by themselves, and
// go with a copy.
func TestTags(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	b := h.bucket(c, "tags")
	_, err := c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: ptr("k"), Body: strings.NewReader("x"), Tagging: ptr("a=1&b=%20")})
	h.must(err)
	tags := func(key string) string {
		out, err := c.GetObjectTagging(h.ctx, &s3.GetObjectTaggingInput{Bucket: &b, Key: &key})
		h.must(err)
		var s []string
		for _, t := range out.TagSet {
			s = append(s, *t.Key+"="+*t.Value)
		}
		return strings.Join(s, ",")
	}
	set := func(key string, ts ...types.Tag) error {
		_, err := c.PutObjectTagging(h.ctx, &s3.PutObjectTaggingInput{Bucket: &b, Key: &key, Tagging: &types.Tagging{TagSet: ts}})
		return err
	}
	if got := tags("k"); got != "a=1,b= " {
		t.Errorf("tags of a put: %q", got)
	}
	out, err := c.GetObject(h.ctx, &s3.GetObjectInput{Bucket: &b, Key: ptr("k")})
	h.must(err)
	out.Body.Close()
	if out.TagCount == nil || *out.TagCount != 2 {
		t.Errorf("tag count: %v", out.TagCount)
	}
	for _, d := range []types.TaggingDirective{types.TaggingDirectiveCopy, types.TaggingDirectiveReplace} {
		in := &s3.CopyObjectInput{Bucket: &b, Key: ptr("c" + string(d)), CopySource: ptr(b + "/k"), TaggingDirective: d}
		if d == types.TaggingDirectiveReplace {
			in.Tagging = ptr("n=2")
		}
		_, err := c.CopyObject(h.ctx, in)
		h.must(err)
	}
	if a, b := tags("cCOPY"), tags("cREPLACE"); a != "a=1,b= " || b != "n=2" {
		t.Errorf("tags of copies: %q, %q", a, b)
	}
	h.must(set("k", types.Tag{Key: ptr("z"), Value: ptr("")}))
	if got := tags("k"); got != "z=" {
		t.Errorf("tags put: %q", got)
	}
	_, err = c.DeleteObjectTagging(h.ctx, &s3.DeleteObjectTaggingInput{Bucket: &b, Key: ptr("k")})
	h.must(err)
	if got := tags("k"); got != "" {
		t.Errorf("tags deleted: %q", got)
	}
	var many []types.Tag
	for i := range 11 {
		many = append(many, types.Tag{Key: ptr(string(rune('a' + i))), Value: ptr("")})
	}
	refused(t, "11 tags", set("k", many...), "BadRequest", 400)
	refused(t, "one tag twice", set("k", many[0], many[0]), "InvalidTag", 400)
	refused(t, "a tag of AWS", set("k", types.Tag{Key: ptr("aws:x"), Value: ptr("")}), "InvalidTag", 400)
	refused(t, "tags of nothing", set("none", many[0]), "NoSuchKey", 404)
}
