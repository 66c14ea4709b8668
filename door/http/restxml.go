package http

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"

	"strait"
	"strait/api"
)

// restXML: path, query, headers and a body that streams in; headers, XML or
// bytes out (S3).
type restXML struct{}

// maxXML bounds a body that is XML: 10,000 parts with checksums fit.
const maxXML = 4 << 20

// subresources are the query keys with which S3 means something else than the
// object or bucket itself (s3-upload.md, section 1).
var subresources = strings.Fields(`accelerate acl analytics attributes cors delete encryption intelligent-tiering
	inventory legal-hold lifecycle list-type location logging metrics notification object-lock ownershipControls
	partNumber policy policyStatus publicAccessBlock replication requestPayment restore retention select select-type
	session tagging torrent uploadId uploads versionId versioning versions website metadataTable metadataConfiguration
	renameObject append rename annotation abac metadataInventoryTable metadataJournalTable`)

func (restXML) find(x *exchange) (*api.Operation, map[string]string, error) {
	path := x.path
	if x.bucket != "" {
		path = "/" + x.bucket + path
	}
	r, vars, err := x.table.match(x.r.Method, path, x.query, x.r.Header)
	if err != nil {
		return nil, nil, err
	}
	for _, q := range x.query {
		if !meant(x.r.Method, q.key) || r.knows(q.key) {
			continue
		}
		if err := x.table.refusedByRoute(x.r.Method, path, x.query); err != nil {
			return nil, nil, err
		}
		return nil, nil, strait.Errorf(strait.Unsupported, "operation", "The sub-resource %.100q is not implemented here.", q.key)
	}
	return r.o, vars, nil
}

// meant tells whether a query key may turn a request into another one. What
// begins with "x-" S3 passes over [UG Server access logs, custom information].
// Of what reads, only known words count: browsers put anything behind an
// address. What writes is refused with any unknown one: operations that S3 gets
// later (PUT ?annotation, DELETE ?annotation) must not do it to the object.
func meant(method, key string) bool {
	switch {
	case len(key) > 1 && (key[0] == 'x' || key[0] == 'X') && key[1] == '-':
		return false
	case method == http.MethodGet || method == http.MethodHead:
		return slices.Contains(subresources, key)
	}
	switch strings.ToLower(key) {
	case "awsaccesskeyid", "signature", "expires", "content-type", "content-md5": // of V2, as boto3 presigns
		return false
	}
	return !strings.HasPrefix(key, "response-")
}

// knows tells whether the row reads the query key: in its route or its shape.
func (r *route) knows(key string) bool {
	for _, q := range r.query {
		if q.key == key {
			return true
		}
	}
	return r.o.Reads(key)
}

func (restXML) decode(x *exchange, in any, path map[string]string) error {
	if err := x.expected(); err != nil {
		return err
	}
	if err := x.bind(in, path); err != nil {
		return err
	}
	v := reflect.ValueOf(in).Elem()
	for _, m := range membersOf(v.Type()) {
		f := v.Field(m.index)
		switch m.where {
		case "form":
			if x.form != nil {
				f.Set(reflect.ValueOf(&x.form.Form))
			}
		case "payload":
			f.Set(reflect.ValueOf(x.payload()))
		case "xml":
			if err := x.readXML(f.Addr().Interface(), in); err != nil {
				return err
			}
		}
	}
	return nil
}

// expected refuses a request that expects a bucket of somebody else: all that are
// here belong to one account.
func (x *exchange) expected() error {
	for _, name := range []string{"X-Amz-Expected-Bucket-Owner", "X-Amz-Source-Expected-Bucket-Owner"} {
		if v := x.r.Header.Get(name); v != "" && v != x.service.Account {
			return strait.Errorf(strait.Denied, "owner", "Access Denied")
		}
	}
	return nil
}

// payload is the body taken out of its framing, whose hash, signatures and
// trailer are checked as it is read. Nobody has read from it yet: net/http asks
// the client to go on (100-continue) with the first read.
func (x *exchange) payload() *api.Payload {
	p := &api.Payload{Reader: x.r.Body, Size: x.r.ContentLength, Trailer: func() map[string]string { return nil }}
	if x.form != nil {
		p.Reader, p.Size = x.form.file, -1
		return p
	}
	if x.stream == nil {
		return p
	}
	p.Reader, p.Trailer = x.stream, x.stream.Trailer
	if n := x.stream.Size(); n >= 0 {
		p.Size = n
	} else if x.framed() {
		p.Size = -1
	}
	return p
}

// framed tells whether Content-Length counts more than the body itself.
func (x *exchange) framed() bool {
	return strings.HasPrefix(x.claim.PayloadHash, "STREAMING-")
}

// readXML reads the body into a member of in, which may want to judge it first.
func (x *exchange) readXML(into, in any) error {
	p := x.payload()
	b, err := io.ReadAll(io.LimitReader(p.Reader, maxXML+1))
	if err != nil {
		return err
	}
	if len(b) > maxXML {
		return strait.Errorf(strait.TooLarge, "xml", "Your request was too big.")
	}
	if c, ok := in.(interface {
		CheckBody(body []byte, trailer map[string]string) error
	}); ok {
		if err := c.CheckBody(b, p.Trailer()); err != nil {
			return err
		}
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	dec := xml.NewDecoder(bytes.NewReader(b))
	dec.Strict = true
	if err := dec.Decode(into); err != nil {
		return strait.Errorf(strait.Invalid, "xml", "The XML you provided was not well-formed or did not validate against our published schema")
	}
	return nil
}

func (restXML) encode(x *exchange, o *api.Operation, out any) error {
	a := x.headers(out, o.Status)
	h := x.w.Header()
	h.Set("x-amz-request-id", x.id)
	h.Set("x-amz-id-2", x.id)
	if a.found {
		return x.send(a)
	}
	doc := document(out)
	if doc == nil || a.status == http.StatusNoContent || x.r.Method == http.MethodHead {
		if doc == nil && h.Get("Content-Length") == "" && a.status != http.StatusNoContent {
			h.Set("Content-Length", "0")
		}
		x.w.WriteHeader(a.status)
		return nil
	}
	var b bytes.Buffer
	b.WriteString(xml.Header)
	if err := xml.NewEncoder(&b).Encode(doc); err != nil {
		return err
	}
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	x.w.WriteHeader(a.status)
	_, err := x.w.Write(b.Bytes())
	return ignore(err)
}

// document returns what of a shape is XML: its member with the tag "xml".
func document(out any) any {
	if out == nil {
		return nil
	}
	v := reflect.ValueOf(out).Elem()
	for _, m := range membersOf(v.Type()) {
		if m.where == "xml" {
			if f := v.Field(m.index); f.Kind() == reflect.Pointer && f.IsNil() {
				return nil
			}
			return v.Field(m.index).Interface()
		}
	}
	return nil
}

func (restXML) fail(x *exchange, e *strait.Error) {
	code, status := lookup(s3Codes, e)
	later(x.w.Header(), status)
	h := x.w.Header()
	h.Set("x-amz-request-id", x.id)
	h.Set("x-amz-id-2", x.id)
	if x.region != "" {
		h.Set("x-amz-bucket-region", x.region)
	}
	if x.r.Method == http.MethodHead {
		x.w.WriteHeader(status)
		return
	}
	var b bytes.Buffer
	b.WriteString(xml.Header + "<Error>")
	element(&b, "Code", code)
	element(&b, "Message", s3Message(e, code))
	names := make([]string, 0, len(e.Detail))
	for k := range e.Detail {
		names = append(names, k)
	}
	sort.Strings(names)
	if name, value := x.about(code); name != "" && e.Detail[name] == "" {
		element(&b, name, value)
	}
	for _, k := range names {
		switch k {
		case "Principal", "Action", "Because", "Resource":
			continue // parts of the sentence
		}
		element(&b, k, e.Detail[k])
	}
	element(&b, "Resource", x.path)
	element(&b, "RequestId", x.id)
	element(&b, "HostId", x.id)
	b.WriteString("</Error>")
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	x.w.WriteHeader(status)
	x.w.Write(b.Bytes())
}

// conditions are the headers that a PreconditionFailed names, in the order in
// which they are judged.
var conditions = []string{"If-Match", "If-Unmodified-Since", "If-None-Match"}

// about is what S3 names beside an error of the code: what is missing, or which
// condition did not hold. Of a copy it may be the source's, and stays unsaid.
func (x *exchange) about(code string) (name, value string) {
	if x.r.Header.Get("X-Amz-Copy-Source") != "" {
		return "", ""
	}
	bucket, key := x.bucket, strings.TrimPrefix(x.path, "/")
	if bucket == "" {
		bucket, key, _ = strings.Cut(key, "/")
	}
	switch code {
	case "NoSuchKey":
		name, value = "Key", key
	case "NoSuchBucket", "NoSuchBucketPolicy", "NoSuchTagSet", "NoSuchLifecycleConfiguration":
		name, value = "BucketName", bucket
	case "PreconditionFailed":
		for _, h := range conditions {
			if x.r.Header.Get(h) != "" {
				return "Condition", h
			}
		}
	}
	if u, err := unescapePath(value); err == nil {
		value = u
	}
	return name, value
}

// s3Message is the sentence for the caller; S3 alone puts the resource of a
// refusal in double quotes (iam-evaluation.md, section 9).
func s3Message(e *strait.Error, code string) string {
	if r := e.Detail["Resource"]; e.Kind == strait.Denied && r != "" {
		return strings.Replace(e.Message, " on resource: "+r, ` on resource: "`+r+`"`, 1)
	}
	if e.Kind == strait.Invalid && e.Thing == "malformed input" {
		return "Provided " + e.Detail["ArgumentName"] + " not an integer or within integer range"
	}
	// Who proves callers says it as most services do, sometimes with more behind.
	if more, ok := strings.CutPrefix(e.Message, "The security token included in the request is "); ok && s3Texts[code] != "" {
		_, more, _ = strings.Cut(more, ": ")
		return strings.TrimSpace(s3Texts[code] + " " + more)
	}
	if code == "BadDigest" && strings.HasPrefix(e.Message, "the MD5 ") {
		return "The Content-MD5 you specified did not match what we received."
	}
	if text := s3Texts[code]; text != "" && e.Message != "" && unicode.IsLower([]rune(e.Message)[0]) {
		return text
	}
	return e.Message
}

func element(b *bytes.Buffer, name, text string) {
	b.WriteString("<" + name + ">")
	xml.EscapeText(b, []byte(text))
	b.WriteString("</" + name + ">")
}
