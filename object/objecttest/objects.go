package objecttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing/iotest"
	"time"

	"strait"
	"strait/object"
)

func buckets(s *stage) {
	if err := s.CreateBucket(s.ctx, "another", "me"); err != nil {
		s.Fatal(err)
	}
	s.refused("create again", s.CreateBucket(s.ctx, "another", "you"), strait.Exists, "bucket")
	s.refused("bad name", s.CreateBucket(s.ctx, "Bad", "you"), strait.Invalid, "bucket name")
	b, err := s.Bucket(s.ctx, "another")
	if err != nil || b.Name != "another" || b.Owner != "me" || time.Since(b.Created).Abs() > time.Hour {
		s.Errorf("bucket: got %+v, %v", b, err)
	}
	all, err := s.Buckets(s.ctx)
	if err != nil || len(all) != 2 || all[0] != b || all[1].Name != "bucket" {
		s.Errorf("buckets: got %+v, %v", all, err)
	}
	if err := s.DeleteBucket(s.ctx, "another"); err != nil {
		s.Error(err)
	}
	_, err = s.Bucket(s.ctx, "another")
	s.refused("deleted", err, strait.NotFound, "bucket")
	s.refused("delete again", s.DeleteBucket(s.ctx, "another"), strait.NotFound, "bucket")
}

func bucketNotEmpty(s *stage) {
	s.put("a", nil)
	u := s.begin("b", object.UploadOptions{})
	s.part(u, 1, []byte("x"))
	s.refused("delete", s.DeleteBucket(s.ctx, "bucket"), strait.Conflict, "bucket not empty")
	if err := s.Delete(s.ctx, "bucket", "a", object.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
	// An open upload does not hold it, and is gone when the name comes back.
	if err := s.DeleteBucket(s.ctx, "bucket"); err != nil {
		s.Fatal(err)
	}
	if err := s.CreateBucket(s.ctx, "bucket", ""); err != nil {
		s.Fatal(err)
	}
	_, err := s.Upload(s.ctx, "bucket", "b", u.ID)
	s.refused("old upload", err, strait.NotFound, "upload")
}

func putGet(s *stage) {
	for _, n := range []int{0, 1, 4095, 128 << 10, 128<<10 + 1, 256 << 10, 3<<20 + 17} {
		b := s.bytes(n)
		key := fmt.Sprint("size ", n)
		info, err := s.Put(s.ctx, "bucket", key, iotest.HalfReader(bytes.NewReader(b)), object.PutOptions{Size: int64(n)})
		if err != nil {
			s.Fatalf("put %d bytes: %v", n, err)
		}
		if info.Bucket != "bucket" || info.Key != key || info.Size != int64(n) || info.ETag != etag(b) || info.Parts != 0 ||
			!s.right(info.Checksum, b) || time.Since(info.Modified).Abs() > time.Hour {
			s.Errorf("put %d bytes: got %+v", n, info)
		}
		head, err := s.Head(s.ctx, "bucket", key)
		if err != nil || !same(head, info) {
			s.Errorf("head: got %+v, %v, want %+v", head, err, info)
		}
		s.holds(key, b)
		if err := s.Delete(s.ctx, "bucket", key, object.DeleteOptions{}); err != nil {
			s.Error(err)
		}
		s.absent(key)
		if err := s.Delete(s.ctx, "bucket", key, object.DeleteOptions{}); err != nil {
			s.Errorf("delete what is missing: %v", err)
		}
	}
}

func exactKeys(s *stage) {
	keys := []string{"a", "a/", "a//b", "a/b", "a/../b", "b", "/", "//", "/a", ".", "..", "a\x00", "a\x00b", "\x00", " ", "é", "e\u0301",
		"A", "%41", "+", strings.Repeat("k", object.MaxKey)}
	for i, key := range keys {
		s.put(key, []byte(fmt.Sprint(i)))
	}
	for i, key := range keys {
		s.holds(key, []byte(fmt.Sprint(i)))
	}
	page, err := s.List(s.ctx, "bucket", object.Query{})
	if err != nil || len(page.Objects) != len(keys) {
		s.Errorf("list: got %d objects, %v, want %d", len(page.Objects), err, len(keys))
	}
}

func refusedKeys(s *stage) {
	for _, key := range []string{"", "\xff", strings.Repeat("k", object.MaxKey+1)} {
		_, err := s.Put(s.ctx, "bucket", key, strings.NewReader(""), unknown())
		s.refused(fmt.Sprintf("put %.10q", key), err, strait.Invalid, "key")
		_, err = s.CreateUpload(s.ctx, "bucket", key, object.UploadOptions{})
		s.refused(fmt.Sprintf("upload %.10q", key), err, strait.Invalid, "key")
	}
	// Names far beyond every limit, wherever a caller may give one.
	long := strings.Repeat("k", 100_000)
	_, err := s.Head(s.ctx, "bucket", long)
	s.refused("head", err, strait.Invalid, "key")
	_, _, err = s.Get(s.ctx, "bucket", long)
	s.refused("get", err, strait.Invalid, "key")
	s.refused("delete", s.Delete(s.ctx, "bucket", long, object.DeleteOptions{}), strait.Invalid, "key")
	_, err = s.Upload(s.ctx, "bucket", long, strings.Repeat("0", 32))
	s.refused("upload", err, strait.Invalid, "key")
	_, err = s.Head(s.ctx, long, "k")
	s.refused("head in a bucket", err, strait.NotFound, "bucket")
	if _, err := s.Uploads(s.ctx, "bucket", object.UploadQuery{Prefix: long, AfterKey: long, AfterID: long}); err != nil {
		s.Errorf("uploads: %v", err)
	}
	if _, err := s.Uploads(s.ctx, "bucket", object.UploadQuery{AfterKey: long, AfterID: long, Delimiter: long}); err != nil {
		s.Errorf("uploads: %v", err)
	}
}

func missing(s *stage) {
	_, err := s.Put(s.ctx, "nowhere", "k", failing{errors.New("was read")}, unknown())
	s.refused("put", err, strait.NotFound, "bucket")
	_, err = s.Head(s.ctx, "nowhere", "k")
	s.refused("head", err, strait.NotFound, "bucket")
	_, _, err = s.Get(s.ctx, "nowhere", "k")
	s.refused("get", err, strait.NotFound, "bucket")
	s.refused("delete", s.Delete(s.ctx, "nowhere", "k", object.DeleteOptions{}), strait.NotFound, "bucket")
	_, err = s.List(s.ctx, "nowhere", object.Query{})
	s.refused("list", err, strait.NotFound, "bucket")
	_, err = s.CreateUpload(s.ctx, "nowhere", "k", object.UploadOptions{})
	s.refused("create upload", err, strait.NotFound, "bucket")
	_, err = s.Uploads(s.ctx, "nowhere", object.UploadQuery{})
	s.refused("uploads", err, strait.NotFound, "bucket")
	_, _, err = s.Get(s.ctx, "bucket", "k")
	s.refused("get key", err, strait.NotFound, "key")
	for _, id := range []string{"", "x", strings.Repeat("0", 32), strings.Repeat("Z", 32)} {
		_, err = s.Upload(s.ctx, "bucket", "k", id)
		s.refused("upload "+id, err, strait.NotFound, "upload")
		s.refused("abort "+id, s.Abort(s.ctx, "bucket", "k", id), strait.NotFound, "upload")
		_, err = s.PutPart(s.ctx, "bucket", "k", id, 1, failing{errors.New("was read")}, unknown())
		s.refused("put part "+id, err, strait.NotFound, "upload")
		_, err = s.Parts(s.ctx, "bucket", "k", id, 0, 0)
		s.refused("parts "+id, err, strait.NotFound, "upload")
	}
}

// failing is a body that breaks off.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func overwrite(s *stage) {
	s.put("k", s.bytes(300_000))
	b := s.bytes(200_000)
	s.put("k", b)
	s.holds("k", b)
	s.put("k", nil)
	s.holds("k", nil)
}

func bodyErrors(s *stage) {
	wrong := errors.New("the signature is wrong")
	for _, n := range []int{0, 10, 128 << 10, 2 << 20} {
		body := io.MultiReader(bytes.NewReader(s.bytes(n)), failing{wrong})
		if _, err := s.Put(s.ctx, "bucket", "k", body, unknown()); err != wrong {
			s.Errorf("put that breaks after %d bytes: got %v, want the body's error itself", n, err)
		}
		s.absent("k")
		// Also when all the bytes have come that were announced: it may be the
		// signature of the whole that is wrong.
		body = io.MultiReader(bytes.NewReader(s.bytes(n)), failing{wrong})
		if _, err := s.Put(s.ctx, "bucket", "k", body, object.PutOptions{Size: int64(n)}); err != wrong {
			s.Errorf("put that breaks after all of %d bytes: got %v, want the body's error itself", n, err)
		}
		s.absent("k")
	}
	_, err := s.Put(s.ctx, "bucket", "k", io.MultiReader(strings.NewReader("abc"), failing{io.ErrUnexpectedEOF}), unknown())
	if err != io.ErrUnexpectedEOF {
		s.Errorf("put of a body broken off: got %v", err)
	}
	o := unknown()
	o.Want = func() (string, error) { return "", wrong }
	if _, err := s.Put(s.ctx, "bucket", "k", strings.NewReader("abc"), o); err != wrong {
		s.Errorf("put whose trailer fails: got %v", err)
	}
	s.absent("k")
	s.put("k", []byte("old"))
	if _, err := s.Put(s.ctx, "bucket", "k", failing{wrong}, unknown()); err != wrong {
		s.Errorf("got %v", err)
	}
	s.holds("k", []byte("old"))
}

func sizes(s *stage) {
	put := func(n int, announced int64) error {
		_, err := s.Put(s.ctx, "bucket", "k", bytes.NewReader(s.bytes(n)), object.PutOptions{Size: announced})
		return err
	}
	s.refused("too short", put(10, 11), strait.Invalid, "incomplete body")
	s.refused("too long", put(10, 9), strait.Invalid, "incomplete body")
	s.refused("not empty", put(1, 0), strait.Invalid, "incomplete body")
	s.refused("far too short", put(1<<20, 2<<20), strait.Invalid, "incomplete body")
	s.absent("k")
	_, err := s.Put(s.ctx, "bucket", "k", failing{errors.New("was read")}, object.PutOptions{Size: object.MaxBody + 1})
	s.refused("too large", err, strait.TooLarge, "object")
}

func digests(s *stage) {
	b := s.bytes(150_000)
	put := func(o object.PutOptions) (object.Info, error) {
		o.Size = -1
		return s.Put(s.ctx, "bucket", "k", bytes.NewReader(b), o)
	}
	want := func(v string) func() (string, error) { return func() (string, error) { return v, nil } }
	for _, a := range []string{object.CRC32, object.CRC32C, object.CRC64NVME, object.SHA1, object.SHA256} {
		v := checksum(s.T, a, b)
		_, err := put(object.PutOptions{Algorithm: a, Want: want(checksum(s.T, a, b[1:]))})
		s.refused(a, err, strait.Invalid, "digest")
		_, err = put(object.PutOptions{Algorithm: a, Want: want("?")})
		s.refused(a, err, strait.Invalid, "digest")
		s.absent("k")
		for _, w := range []func() (string, error){nil, want(""), want(v)} {
			info, err := put(object.PutOptions{Algorithm: a, Want: w})
			if err != nil || info.Checksum != (object.Checksum{Algorithm: a, Type: object.FullObject, Value: v}) {
				s.Errorf("put with %s: got %+v, %v, want %s", a, info.Checksum, err, v)
			}
			if head, _ := s.Head(s.ctx, "bucket", "k"); head.Checksum != info.Checksum {
				s.Errorf("head: got %+v, want %+v", head.Checksum, info.Checksum)
			}
		}
		if err := s.Delete(s.ctx, "bucket", "k", object.DeleteOptions{}); err != nil {
			s.Fatal(err)
		}
	}
	_, err := put(object.PutOptions{Algorithm: "MD6"})
	s.refused("unknown algorithm", err, strait.Invalid, "checksum algorithm")
	_, err = put(object.PutOptions{Want: want("AAAAAA==")})
	s.refused("no algorithm", err, strait.Invalid, "checksum algorithm")
	_, err = put(object.PutOptions{MD5: make([]byte, 16)})
	s.refused("wrong MD5", err, strait.Invalid, "digest")
	_, err = put(object.PutOptions{MD5: make([]byte, 3)})
	s.refused("short MD5", err, strait.Invalid, "digest")
	s.absent("k")
}

func conditions(s *stage) {
	put := func(o object.PutOptions) (object.Info, error) {
		o.Size = -1
		return s.Put(s.ctx, "bucket", "k", strings.NewReader("x"), o)
	}
	_, err := put(object.PutOptions{IfMatch: "x"})
	s.refused("if-match of nothing", err, strait.NotFound, "key")
	info, err := put(object.PutOptions{IfNoneMatch: true})
	if err != nil {
		s.Fatal(err)
	}
	_, err = put(object.PutOptions{IfNoneMatch: true})
	s.refused("if-none-match", err, strait.Precondition, "if-none-match")
	_, err = put(object.PutOptions{IfMatch: "x"})
	s.refused("if-match", err, strait.Precondition, "if-match")
	if _, err = put(object.PutOptions{IfMatch: info.ETag}); err != nil {
		s.Error(err)
	}
}

func metadata(s *stage) {
	m := object.Meta{ContentType: "a/b", ContentEncoding: "gzip", CacheControl: "no-cache", ContentDisposition: "inline",
		ContentLanguage: "de", Expires: "never", User: map[string]string{"a": "1", "b": "", "c": "\xff"}}
	info, err := s.Put(s.ctx, "bucket", "k", strings.NewReader("x"), object.PutOptions{Meta: m, Size: -1})
	if err != nil || !reflect.DeepEqual(info.Meta, m) {
		s.Errorf("put: got %+v, %v", info.Meta, err)
	}
	if head, err := s.Head(s.ctx, "bucket", "k"); err != nil || !reflect.DeepEqual(head.Meta, m) {
		s.Errorf("head: got %+v, %v", head.Meta, err)
	}
	m.User["d"] = strings.Repeat("x", object.MaxUserMeta)
	_, err = s.Put(s.ctx, "bucket", "k", strings.NewReader("x"), object.PutOptions{Meta: m, Size: -1})
	s.refused("user metadata", err, strait.TooLarge, "metadata")
	_, err = s.CreateUpload(s.ctx, "bucket", "k", object.UploadOptions{Meta: object.Meta{ContentType: strings.Repeat("x", object.MaxMeta+1)}})
	s.refused("metadata", err, strait.TooLarge, "metadata")
}

func readWhileChanged(s *stage) {
	old := s.bytes(1 << 20)
	s.put("k", old)
	for _, change := range []func() error{
		func() error { s.put("k", old); return nil },
		func() error { s.put("k", s.bytes(1000)); return nil },
		func() error { return s.Delete(s.ctx, "bucket", "k", object.DeleteOptions{}) },
	} {
		s.put("k", old)
		_, r, err := s.Get(s.ctx, "bucket", "k")
		if err != nil {
			s.Fatal(err)
		}
		head := make([]byte, 100)
		if _, err := io.ReadFull(r, head); err != nil {
			s.Fatal(err)
		}
		if err := change(); err != nil {
			s.Fatal(err)
		}
		s.put("other", s.bytes(2<<20)) // would land where space was given back
		rest, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(append(head, rest...), old) {
			s.Errorf("the version at Get was not what was read: %v", err)
		}
		if err := r.Close(); err != nil {
			s.Error(err)
		}
	}
}

func seek(s *stage) {
	b := s.bytes(400_000)
	s.put("k", b)
	_, r, err := s.Get(s.ctx, "bucket", "k")
	if err != nil {
		s.Fatal(err)
	}
	defer r.Close()
	if n, err := r.Seek(-10, io.SeekEnd); n != 399_990 || err != nil {
		s.Errorf("seek: got %d, %v", n, err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, b[399_990:]) {
		s.Errorf("read at the end: got %d bytes, %v", len(got), err)
	}
	if _, err := r.Seek(-1, io.SeekStart); err == nil {
		s.Error("seek before the beginning: no error")
	}
	for range 100 {
		from := s.random.IntN(len(b))
		p := make([]byte, s.random.IntN(200_000))
		n, err := r.ReadAt(p, int64(from))
		want := b[from:min(from+len(p), len(b))]
		if !bytes.Equal(p[:n], want) || n < len(p) && err != io.EOF || n == len(p) && err != nil {
			s.Fatalf("read %d at %d: got %d bytes, %v", len(p), from, n, err)
		}
	}
	if direct, ok := r.(object.RangeWriter); ok {
		writeRange(s, direct, b)
	}
	if offset, size, err := r.Part(1); offset != 0 || size != int64(len(b)) || err != nil {
		s.Errorf("part 1: got %d, %d, %v", offset, size, err)
	}
	_, _, err = r.Part(2)
	s.refused("part 2", err, strait.Invalid, "part number")
}

func writeRange(s *stage, r object.RangeWriter, b []byte) {
	for range 100 {
		var out bytes.Buffer
		from := s.random.IntN(len(b))
		size := s.random.IntN(len(b) - from + 1)
		n, err := r.WriteRange(&out, int64(from), int64(size))
		if err != nil || n != int64(size) || !bytes.Equal(out.Bytes(), b[from:from+size]) {
			s.Fatalf("write %d at %d: %d bytes, of which %d came, %v", size, from, n, out.Len(), err)
		}
	}
	if n, err := r.WriteRange(io.Discard, int64(len(b)-10), 11); n != 10 || err == nil {
		s.Errorf("write beyond the end: %d bytes, %v", n, err)
	}
	if n, err := r.WriteRange(brokenWriter{}, 0, 100); n != 0 || err != errBroken {
		s.Errorf("write to what is broken: %d bytes, %v", n, err)
	}
}

var errBroken = errors.New("broken")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func closed(s *stage) {
	if err := s.Close(); err != nil {
		s.Fatal(err)
	}
	_, err := s.Put(s.ctx, "bucket", "k", strings.NewReader("x"), unknown())
	s.refused("put", err, strait.Unavailable, "store")
}

func tags(s *stage) {
	first, second := map[string]string{"a": "1", "ü +/": ""}, map[string]string{"b": "2"}
	info, err := s.Put(s.ctx, "bucket", "k", strings.NewReader("x"), object.PutOptions{Meta: object.Meta{User: map[string]string{"a": "u"}, Tags: first}, Size: -1})
	if err != nil {
		s.Fatal(err)
	}
	for _, want := range []map[string]string{first, second, nil} {
		if !reflect.DeepEqual(want, first) {
			if err := s.SetTags(s.ctx, "bucket", "k", want); err != nil {
				s.Fatal(err)
			}
			info.Meta.Tags = want
		}
		if head, err := s.Head(s.ctx, "bucket", "k"); err != nil || !same(head, info) {
			s.Errorf("head with tags %v: got %+v, %v; want %+v", want, head, err, info)
		}
	}
	s.holds("k", []byte("x"))
	u := s.begin("multi", object.UploadOptions{Meta: object.Meta{Tags: first}})
	if info, err = s.complete(u, s.part(u, 1, []byte("y"))); err != nil || !reflect.DeepEqual(info.Meta.Tags, first) {
		s.Errorf("complete: got tags %v, %v", info.Meta.Tags, err)
	}
	s.refused("tags of nothing", s.SetTags(s.ctx, "bucket", "none", first), strait.NotFound, "key")
	s.refused("tags in no bucket", s.SetTags(s.ctx, "none", "k", first), strait.NotFound, "bucket")
	s.refused("large tags", s.SetTags(s.ctx, "bucket", "k", map[string]string{"k": strings.Repeat("x", object.MaxTags)}), strait.TooLarge, "tags")
}
