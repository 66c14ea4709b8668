package objecttest

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"strait"
	"strait/object"
)

const minPart = object.MinPart

// tag is the ETag of an upload (s3-upload.md section 4).
func tag(parts ...[]byte) string {
	h := md5.New()
	for _, p := range parts {
		m := md5.Sum(p)
		h.Write(m[:])
	}
	return fmt.Sprintf("%s-%d", hex.EncodeToString(h.Sum(nil)), len(parts))
}

func upload(s *stage) {
	m := object.Meta{ContentType: "a/b", User: map[string]string{"x": "y"}}
	u := s.begin("k", object.UploadOptions{Meta: m, Initiator: "who"})
	if u.Bucket != "bucket" || u.Key != "k" || u.ID == "" || u.Initiator != "who" || !reflect.DeepEqual(u.Meta, m) ||
		time.Since(u.Initiated).Abs() > time.Hour {
		s.Errorf("create upload: got %+v", u)
	}
	if again, err := s.Upload(s.ctx, "bucket", "k", u.ID); err != nil || !reflect.DeepEqual(again, u) {
		s.Errorf("upload: got %+v, %v", again, err)
	}
	// Gaps, any order, one number twice, one part not named, a short last one.
	three, seven, eight := s.bytes(minPart), s.bytes(minPart+1), s.bytes(10)
	p8 := s.part(u, 8, eight)
	s.part(u, 7, s.bytes(minPart))
	p7 := s.part(u, 7, seven)
	s.part(u, 5, []byte("not named"))
	p3 := s.part(u, 3, three)
	s.absent("k")
	info, err := s.complete(u, p3, p7, p8)
	if err != nil {
		s.Fatal(err)
	}
	all := bytes.Join([][]byte{three, seven, eight}, nil)
	if info.ETag != tag(three, seven, eight) || info.Size != int64(len(all)) || info.Parts != 3 || !reflect.DeepEqual(info.Meta, m) {
		s.Errorf("complete: got %+v", info)
	}
	if head, err := s.Head(s.ctx, "bucket", "k"); err != nil || !same(head, info) {
		s.Errorf("head: got %+v, %v, want %+v", head, err, info)
	}
	s.holds("k", all)
	_, err = s.Upload(s.ctx, "bucket", "k", u.ID)
	s.refused("upload when completed", err, strait.NotFound, "upload")
	_, err = s.PutPart(s.ctx, "bucket", "k", u.ID, 1, strings.NewReader("x"), unknown())
	s.refused("part when completed", err, strait.NotFound, "upload")

	_, r, err := s.Get(s.ctx, "bucket", "k")
	if err != nil {
		s.Fatal(err)
	}
	defer r.Close()
	if offset, size, err := r.Part(2); offset != minPart || size != minPart+1 || err != nil {
		s.Errorf("part 2: got %d, %d, %v", offset, size, err)
	}
	for range 50 {
		from := s.random.IntN(len(all))
		p := make([]byte, s.random.IntN(300_000))
		n, err := r.ReadAt(p, int64(from))
		if !bytes.Equal(p[:n], all[from:min(from+len(p), len(all))]) || n < len(p) && err != io.EOF {
			s.Fatalf("read %d at %d: got %d bytes, %v", len(p), from, n, err)
		}
	}
}

func uploadChecksums(s *stage) {
	a, b := s.bytes(minPart), s.bytes(1234)
	for _, c := range []struct{ algorithm, typ, want string }{
		{object.CRC32, "", object.Composite},
		{object.CRC32, object.FullObject, object.FullObject},
		{object.CRC32C, object.FullObject, object.FullObject},
		{object.CRC32C, object.Composite, object.Composite},
		{object.CRC64NVME, "", object.FullObject},
		{object.SHA1, "", object.Composite},
		{object.SHA256, object.Composite, object.Composite},
	} {
		u := s.begin("k", object.UploadOptions{Algorithm: c.algorithm, Type: c.typ})
		if u.Algorithm != c.algorithm || u.Type != c.want {
			s.Errorf("create upload: got %+v, want %+v", u, c)
		}
		parts := []object.CompletePart{s.part(u, 1, a), s.part(u, 2, b)}
		va, vb := checksum(s.T, c.algorithm, a), checksum(s.T, c.algorithm, b)
		if parts[0].Checksum != va || parts[1].Checksum != vb {
			s.Errorf("%s of parts: got %+v, want %s, %s", c.algorithm, parts, va, vb)
		}
		want := checksum(s.T, c.algorithm, append(bytes.Clone(a), b...))
		if c.want == object.Composite {
			ra, _ := base64.StdEncoding.DecodeString(va)
			rb, _ := base64.StdEncoding.DecodeString(vb)
			want = checksum(s.T, c.algorithm, append(ra, rb...)) + "-2"
		}
		// Wrong expectations are refused and leave the upload as it was.
		try := func(parts []object.CompletePart, o object.CompleteOptions) (object.Info, error) {
			return s.Complete(s.ctx, "bucket", "k", u.ID, parts, o)
		}
		_, err := try(parts, object.CompleteOptions{Size: -1, Checksum: va})
		s.refused("wrong checksum", err, strait.Invalid, "digest")
		_, err = try(parts, object.CompleteOptions{Size: -1, Type: "x"})
		s.refused("wrong type", err, strait.Invalid, "checksum type")
		_, err = try(parts, object.CompleteOptions{Size: 1})
		s.refused("wrong size", err, strait.Invalid, "object size")
		bad := []object.CompletePart{parts[0], {Number: 2, ETag: parts[1].ETag, Checksum: va}}
		_, err = try(bad, object.CompleteOptions{Size: -1})
		s.refused("wrong part checksum", err, strait.Invalid, "part")
		bad[1].Checksum, bad[1].Algorithm = vb, object.XXHASH3
		_, err = try(bad, object.CompleteOptions{Size: -1})
		s.refused("part checksum of another algorithm", err, strait.Invalid, "digest")
		_, err = try(parts, object.CompleteOptions{Size: -1, Checksum: want, Algorithm: object.XXHASH3})
		s.refused("checksum of another algorithm", err, strait.Invalid, "digest")
		// Parts that do not say their checksum make no composite one.
		none := []object.CompletePart{parts[0], {Number: 2, ETag: parts[1].ETag}}
		if _, err = try(none, object.CompleteOptions{Size: 1}); c.want == object.Composite {
			s.refused("part without checksum", err, strait.Invalid, "part checksum")
		} else {
			s.refused("part without checksum, and the wrong size", err, strait.Invalid, "object size")
		}
		o := unknown()
		o.Demand = true
		if _, err = s.PutPart(s.ctx, "bucket", "k", u.ID, 2, bytes.NewReader(b), o); c.want == object.Composite {
			s.refused("put part without checksum", err, strait.Invalid, "checksum algorithm")
		} else if err != nil {
			s.Errorf("put part without checksum to a full object: %v", err)
		}
		info, err := try(parts, object.CompleteOptions{Size: int64(len(a) + len(b)), Checksum: want, Type: c.want})
		if err != nil || info.Checksum != (object.Checksum{Algorithm: c.algorithm, Type: c.want, Value: want}) {
			s.Errorf("%s %s: got %+v, %v, want %s", c.algorithm, c.want, info.Checksum, err, want)
		}
	}
	_, err := s.CreateUpload(s.ctx, "bucket", "k", object.UploadOptions{Algorithm: object.SHA1, Type: object.FullObject})
	s.refused("type", err, strait.Invalid, "checksum type")
	_, err = s.CreateUpload(s.ctx, "bucket", "k", object.UploadOptions{Algorithm: "x"})
	s.refused("algorithm", err, strait.Invalid, "checksum algorithm")
	// One that named no algorithm takes parts with any and with none.
	u := s.begin("k", object.UploadOptions{})
	o := unknown()
	o.Algorithm, o.Want = object.CRC32, func() (string, error) { return "AAAAAA==", nil }
	_, err = s.PutPart(s.ctx, "bucket", "k", u.ID, 1, bytes.NewReader(a), o)
	s.refused("a wrong checksum where the upload has none", err, strait.Invalid, "digest")
	o.Want = func() (string, error) { return checksum(s.T, object.CRC32, a), nil }
	p, err := s.PutPart(s.ctx, "bucket", "k", u.ID, 1, bytes.NewReader(a), o)
	if err != nil || p.Checksum.Value != checksum(s.T, object.CRC32, a) {
		s.Errorf("part with a checksum where the upload has none: got %+v, %v", p, err)
	}
	parts := []object.CompletePart{{Number: 1, ETag: p.ETag, Checksum: p.Checksum.Value, Algorithm: object.CRC32}, s.part(u, 2, b)}
	_, err = s.Complete(s.ctx, "bucket", "k", u.ID, parts, object.CompleteOptions{Size: -1, Type: object.Composite})
	s.refused("composite where the upload has none", err, strait.Invalid, "checksum type")
	info, err := s.complete(u, parts...)
	if err != nil || parts[1].Checksum != "" || !s.right(info.Checksum, append(bytes.Clone(a), b...)) {
		s.Errorf("upload without an algorithm: got %+v of %+v, %v", info.Checksum, parts, err)
	}

	u = s.begin("k", object.UploadOptions{Algorithm: object.CRC32})
	o = unknown()
	o.Algorithm = object.SHA256
	_, err = s.PutPart(s.ctx, "bucket", "k", u.ID, 1, strings.NewReader("x"), o)
	s.refused("another algorithm", err, strait.Invalid, "checksum algorithm")
	o.Algorithm, o.Want = object.CRC32, func() (string, error) { return "AAAAAA==", nil }
	_, err = s.PutPart(s.ctx, "bucket", "k", u.ID, 1, strings.NewReader("x"), o)
	s.refused("wrong part", err, strait.Invalid, "digest")
}

func uploadRefusals(s *stage) {
	u := s.begin("k", object.UploadOptions{})
	wrong := errors.New("broken")
	if _, err := s.PutPart(s.ctx, "bucket", "k", u.ID, 1, io.MultiReader(strings.NewReader("x"), failing{wrong}), unknown()); err != wrong {
		s.Errorf("part that breaks off: got %v", err)
	}
	for _, number := range []int{-1, 0, object.MaxParts + 1} {
		_, err := s.PutPart(s.ctx, "bucket", "k", u.ID, number, strings.NewReader("x"), unknown())
		s.refused(fmt.Sprint("part ", number), err, strait.Invalid, "part number")
		_, err = s.complete(u, object.CompletePart{Number: number})
		s.refused(fmt.Sprint("complete ", number), err, strait.Invalid, "part")
	}
	one, two := s.part(u, 1, s.bytes(minPart-1)), s.part(u, 2, []byte("x"))
	_, err := s.complete(u)
	s.refused("no parts", err, strait.Invalid, "part")
	_, err = s.complete(u, two, one)
	s.refused("order", err, strait.Invalid, "part order")
	_, err = s.complete(u, one, one)
	s.refused("twice", err, strait.Invalid, "part order")
	_, err = s.complete(u, one, object.CompletePart{Number: 3, ETag: two.ETag})
	s.refused("unknown", err, strait.Invalid, "part")
	_, err = s.complete(u, one, object.CompletePart{Number: 2, ETag: one.ETag})
	s.refused("etag", err, strait.Invalid, "part")
	_, err = s.complete(u, one, two)
	s.refused("small", err, strait.Invalid, "part size")
	var e *strait.Error
	want := map[string]string{"ProposedSize": "5242879", "MinSizeAllowed": "5242880", "PartNumber": "1", "ETag": one.ETag}
	if errors.As(err, &e); !reflect.DeepEqual(e.Detail, want) {
		s.Errorf("small: got detail %v, want %v", e.Detail, want)
	}
	other := u
	other.Key = "other"
	_, err = s.complete(other, two)
	s.refused("another key", err, strait.NotFound, "upload")
	s.absent("k")
	// An empty last part is a part.
	empty := s.part(u, 1, nil)
	if info, err := s.complete(u, empty); err != nil || info.Size != 0 || info.ETag != tag(nil) {
		s.Errorf("empty: got %+v, %v", info, err)
	}
	s.holds("k", nil)
}

func uploadAgain(s *stage) {
	u := s.begin("k", object.UploadOptions{})
	one, two := s.part(u, 1, s.bytes(minPart)), s.part(u, 2, s.bytes(5))
	info, err := s.complete(u, one, two)
	if err != nil {
		s.Fatal(err)
	}
	s.put("k", []byte("newer"))
	again, err := s.complete(u, one, two)
	if err != nil || !reflect.DeepEqual(again, info) {
		s.Errorf("complete again: got %+v, %v, want %+v", again, err, info)
	}
	s.holds("k", []byte("newer"))
	_, err = s.complete(u, one)
	s.refused("other parts", err, strait.NotFound, "upload")
	other := u
	other.Key = "other"
	_, err = s.complete(other, one, two)
	s.refused("other key", err, strait.NotFound, "upload")
	s.refused("abort when completed", s.Abort(s.ctx, "bucket", "k", u.ID), strait.NotFound, "upload")
}

func uploadAbort(s *stage) {
	u := s.begin("k", object.UploadOptions{})
	one := s.part(u, 1, []byte("x"))
	for range 2 {
		if err := s.Abort(s.ctx, "bucket", "k", u.ID); err != nil {
			s.Error(err)
		}
	}
	s.refused("other key", s.Abort(s.ctx, "bucket", "other", u.ID), strait.NotFound, "upload")
	_, err := s.complete(u, one)
	s.refused("complete", err, strait.NotFound, "upload")
	_, err = s.Parts(s.ctx, "bucket", "k", u.ID, 0, 0)
	s.refused("parts", err, strait.NotFound, "upload")

	s.begin("a", object.UploadOptions{})
	s.begin("b", object.UploadOptions{})
	if n, err := s.AbortOlder(s.ctx, time.Now().Add(-time.Hour)); n != 0 || err != nil {
		s.Errorf("abort older than an hour: got %d, %v", n, err)
	}
	if n, err := s.AbortOlder(s.ctx, time.Now().Add(time.Hour)); n != 2 || err != nil {
		s.Errorf("abort all: got %d, %v", n, err)
	}
}

func uploadLists(s *stage) {
	u := s.begin("k", object.UploadOptions{Algorithm: object.CRC32})
	for _, n := range []int{1, 2, 10, 9999, 10000} {
		s.part(u, n, []byte(fmt.Sprint(n)))
	}
	var got []int
	for after := 0; ; {
		page, err := s.Parts(s.ctx, "bucket", "k", u.ID, after, 2)
		if err != nil || !reflect.DeepEqual(page.Upload, u) || len(page.Parts) > 2 {
			s.Fatalf("parts after %d: got %+v, %v", after, page, err)
		}
		for _, p := range page.Parts {
			got = append(got, p.Number)
			if want := []byte(fmt.Sprint(p.Number)); p.ETag != etag(want) || p.Checksum.Value != checksum(s.T, object.CRC32, want) {
				s.Errorf("parts: got %+v", p)
			}
		}
		if !page.Truncated {
			break
		}
		after = page.Next
	}
	if fmt.Sprint(got) != "[1 2 10 9999 10000]" {
		s.Errorf("parts: got %v", got)
	}
	if page, err := s.Parts(s.ctx, "bucket", "k", u.ID, 1<<40, 0); err != nil || len(page.Parts) > 0 {
		s.Errorf("parts after the end: got %+v, %v", page, err)
	}

	// Uploads: by key, then by age; folded; in pages of any size.
	want := []string{}
	for _, key := range []string{"a/1", "a/2", "b"} {
		for range 2 {
			want = append(want, key+" "+s.begin(key, object.UploadOptions{}).ID)
			time.Sleep(2 * time.Millisecond) // ids of one millisecond have no order
		}
	}
	want = append(want, "k "+u.ID)
	for limit := 1; limit < 9; limit++ {
		for _, q := range []object.UploadQuery{{}, {Delimiter: "/"}, {Prefix: "a/", Delimiter: "/"}, {AfterKey: "a/1"}, {AfterKey: "a/", Delimiter: "/"}} {
			expect := want
			switch {
			case q.Prefix != "":
				expect = want[:4]
			case q.AfterKey == "a/1":
				expect = want[2:]
			case q.AfterKey == "a/":
				expect = want[4:]
			case q.Delimiter != "":
				expect = append([]string{"a/"}, want[4:]...)
			}
			var got []string
			for q.Limit = limit; ; {
				page, err := s.Uploads(s.ctx, "bucket", q)
				if err != nil || len(page.Uploads)+len(page.Prefixes) > limit {
					s.Fatalf("uploads %+v: %+v, %v", q, page, err)
				}
				got = append(got, page.Prefixes...)
				for _, u := range page.Uploads {
					got = append(got, u.Key+" "+u.ID)
				}
				if !page.Truncated {
					break
				}
				q.AfterKey, q.AfterID = page.NextKey, page.NextID
			}
			if !reflect.DeepEqual(got, expect) {
				s.Errorf("uploads %+v: got %q, want %q", q, got, expect)
			}
		}
	}
}

func uploadConditions(s *stage) {
	u := s.begin("k", object.UploadOptions{})
	one := s.part(u, 1, []byte("x"))
	try := func(o object.CompleteOptions) error {
		o.Size = -1
		_, err := s.Complete(s.ctx, "bucket", "k", u.ID, []object.CompletePart{one}, o)
		return err
	}
	s.refused("if-match of nothing", try(object.CompleteOptions{IfMatch: "x"}), strait.NotFound, "key")
	info := s.put("k", []byte("there"))
	s.refused("if-none-match", try(object.CompleteOptions{IfNoneMatch: true}), strait.Precondition, "if-none-match")
	s.refused("if-match", try(object.CompleteOptions{IfMatch: "x"}), strait.Precondition, "if-match")
	s.holds("k", []byte("there"))
	if err := try(object.CompleteOptions{IfMatch: info.ETag}); err != nil {
		s.Error(err)
	}
	s.holds("k", []byte("x"))
}

// uploadOverwritten reads an object made of parts while it goes away.
func uploadOverwritten(s *stage) {
	a, b := s.bytes(minPart), s.bytes(1000)
	u := s.begin("k", object.UploadOptions{})
	if _, err := s.complete(u, s.part(u, 1, a), s.part(u, 2, b)); err != nil {
		s.Fatal(err)
	}
	_, r, err := s.Get(s.ctx, "bucket", "k")
	if err != nil {
		s.Fatal(err)
	}
	head := make([]byte, 1) // from here on every home holds it
	if _, err := io.ReadFull(r, head); err != nil {
		s.Fatal(err)
	}
	s.put("k", []byte("new"))
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(append(head, got...), append(a, b...)) {
		s.Errorf("read %d bytes, %v", len(got), err)
	}
	if err := r.Close(); err != nil {
		s.Error(err)
	}
	s.holds("k", []byte("new"))
}
