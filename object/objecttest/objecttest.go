// Package objecttest is the suite that every home of object.Store runs: one
// test for each promise of the contract. It looks at stores from outside only
// and knows no home. Begin at Run.
package objecttest

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"strait"
	"strait/object"
)

// Run plays the suite. Each test calls open once for an empty store, which it
// closes.
func Run(t *testing.T, open func(t *testing.T) object.Store) {
	for _, c := range []struct {
		name string
		test func(*stage)
	}{
		{"Buckets", buckets},
		{"BucketNotEmpty", bucketNotEmpty},
		{"PutGet", putGet},
		{"ExactKeys", exactKeys},
		{"RefusedKeys", refusedKeys},
		{"Missing", missing},
		{"Overwrite", overwrite},
		{"BodyErrors", bodyErrors},
		{"Sizes", sizes},
		{"Digests", digests},
		{"Conditions", conditions},
		{"DeleteConditions", deleteConditions},
		{"Also", also},
		{"Metadata", metadata},
		{"Tags", tags},
		{"ReadWhileChanged", readWhileChanged},
		{"Seek", seek},
		{"List", list},
		{"ListEqualsModel", listEqualsModel},
		{"Upload", upload},
		{"UploadChecksums", uploadChecksums},
		{"UploadRefusals", uploadRefusals},
		{"UploadAgain", uploadAgain},
		{"UploadAbort", uploadAbort},
		{"UploadLists", uploadLists},
		{"UploadConditions", uploadConditions},
		{"UploadOverwritten", uploadOverwritten},
		{"Concurrent", concurrent},
		{"ConcurrentConditions", concurrentConditions},
		{"ConcurrentComplete", concurrentComplete},
		{"Closed", closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &stage{T: t, Store: open(t), ctx: t.Context(), random: rand.New(rand.NewPCG(1, 2)), noise: rand.NewChaCha8([32]byte{1})}
			if err := s.CreateBucket(s.ctx, "bucket", "owner"); err != nil {
				t.Fatal(err)
			}
			c.test(s)
			if t.Failed() || c.name == "Closed" {
				s.Close()
				return
			}
			if err := s.Check(s.ctx, func(p object.Problem) { t.Errorf("check: %+v", p) }); err != nil {
				t.Errorf("check: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// A stage is what a test plays on: a store with a bucket called "bucket".
type stage struct {
	*testing.T
	object.Store
	ctx    context.Context
	random *rand.Rand
	noise  *rand.ChaCha8
}

// bytes returns n random bytes.
func (s *stage) bytes(n int) []byte {
	b := make([]byte, n)
	s.noise.Read(b)
	return b
}

func unknown() object.PutOptions { return object.PutOptions{Size: -1} }

func (s *stage) put(key string, b []byte) object.Info {
	s.Helper()
	info, err := s.Put(s.ctx, "bucket", key, bytes.NewReader(b), unknown())
	if err != nil {
		s.Fatalf("put %q: %v", key, err)
	}
	return info
}

func (s *stage) get(key string) []byte {
	s.Helper()
	info, r, err := s.Get(s.ctx, "bucket", key)
	if err != nil {
		s.Fatalf("get %q: %v", key, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != info.Size {
		s.Fatalf("get %q: read %d of %d bytes: %v", key, len(b), info.Size, err)
	}
	return b
}

func (s *stage) holds(key string, want []byte) {
	s.Helper()
	if got := s.get(key); !bytes.Equal(got, want) {
		s.Errorf("%q holds %d bytes (MD5 %s), want %d (MD5 %s)", key, len(got), etag(got), len(want), etag(want))
	}
}

// refused wants an error of this kind and thing.
func (s *stage) refused(what string, err error, kind strait.Kind, thing string) {
	s.Helper()
	var e *strait.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Thing != thing {
		s.Errorf("%s: got error %v (%+v), want kind %d, thing %q", what, err, e, kind, thing)
	}
}

// same compares what two calls tell of one object. Homes that are asked over
// HTTP know its time by the second only, and some keep a checksum that nobody
// has asked for.
func same(a, b object.Info) bool {
	if a.Modified.Sub(b.Modified).Abs() > 2*time.Second {
		return false
	}
	a.Modified = b.Modified
	if b.Checksum == (object.Checksum{}) {
		a.Checksum = b.Checksum
	}
	return reflect.DeepEqual(a, b)
}

func (s *stage) absent(key string) {
	s.Helper()
	_, err := s.Head(s.ctx, "bucket", key)
	s.refused("head "+key, err, strait.NotFound, "key")
}

func etag(b []byte) string {
	m := md5.Sum(b)
	return hex.EncodeToString(m[:])
}

func checksum(t *testing.T, algorithm string, b []byte) string {
	t.Helper()
	h, err := object.NewHash(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	h.Write(b)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// right tells whether c is the checksum of b, or none: homes choose by
// themselves when nobody has asked for one.
func (s *stage) right(c object.Checksum, b []byte) bool {
	s.Helper()
	return c == (object.Checksum{}) || c.Type == object.FullObject && c.Value == checksum(s.T, c.Algorithm, b)
}

// begin creates an upload of key.
func (s *stage) begin(key string, o object.UploadOptions) object.Upload {
	s.Helper()
	u, err := s.CreateUpload(s.ctx, "bucket", key, o)
	if err != nil {
		s.Fatalf("create upload of %q: %v", key, err)
	}
	return u
}

// part puts a part and returns how Complete names it.
func (s *stage) part(u object.Upload, number int, b []byte) object.CompletePart {
	s.Helper()
	p, err := s.PutPart(s.ctx, u.Bucket, u.Key, u.ID, number, bytes.NewReader(b), unknown())
	if err != nil {
		s.Fatalf("put part %d: %v", number, err)
	}
	if p.Number != number || p.Size != int64(len(b)) || p.ETag != etag(b) {
		s.Errorf("put part %d of %d bytes: got %+v", number, len(b), p)
	}
	return object.CompletePart{Number: number, ETag: p.ETag, Checksum: p.Checksum.Value}
}

func (s *stage) complete(u object.Upload, parts ...object.CompletePart) (object.Info, error) {
	return s.Complete(s.ctx, u.Bucket, u.Key, u.ID, parts, object.CompleteOptions{Size: -1})
}
