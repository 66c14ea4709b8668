package s3_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"strait"
	"strait/object"
	"strait/object/s3"
	"strait/state"
)

// deaf is a state.Store that stops keeping anything, as one whose process was
// killed.
type deaf struct {
	state.Store
	dead bool
}

func (d *deaf) Apply(ctx context.Context, w ...state.Write) (state.Revision, error) {
	if d.dead {
		return 0, context.DeadlineExceeded
	}
	return d.Store.Apply(ctx, w...)
}

// The other store has completed the upload, and a crash came before that was
// written down here: asked again, Complete finds the object that it made.
func TestCompleteAgainAfterACrash(t *testing.T) {
	o := behind(t)
	facts := &deaf{Store: openFacts(t)}
	open := func() *s3.Store {
		s, err := s3.Open(facts, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	s, ctx := open(), t.Context()
	if err := s.CreateBucket(ctx, "bucket", ""); err != nil {
		t.Fatal(err)
	}
	u, err := s.CreateUpload(ctx, "bucket", "k", object.UploadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.PutPart(ctx, "bucket", "k", u.ID, 1, strings.NewReader("x"), object.PutOptions{Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	complete := func() (object.Info, error) {
		return s.Complete(ctx, "bucket", "k", u.ID, []object.CompletePart{{Number: 1, ETag: p.ETag}}, object.CompleteOptions{Size: -1})
	}
	facts.dead = true
	first, err := complete()
	if err != nil {
		t.Fatal(err)
	}
	facts.dead = false
	s = open()
	// What the store behind remembers of itself must not help: its own memory
	// is for its own callers.
	again, err := complete()
	if err != nil || again.ETag != first.ETag {
		t.Errorf("complete again: got %+v, %v, want %+v", again, err, first)
	}
}

// What others have begun in the other store is none of ours to abort, but can
// be seen and used.
func TestUploadsOfOthers(t *testing.T) {
	o := behind(t)
	theirs, ours, ctx := openStore(t, o), openStore(t, o), t.Context()
	if err := theirs.CreateBucket(ctx, "bucket", ""); err != nil {
		t.Fatal(err)
	}
	u, err := theirs.CreateUpload(ctx, "bucket", "k", object.UploadOptions{Algorithm: object.CRC32})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := ours.AbortOlder(ctx, time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("abort old ones: got %d, %v", n, err)
	}
	page, err := ours.Uploads(ctx, "bucket", object.UploadQuery{})
	if err != nil || len(page.Uploads) != 1 || page.Uploads[0].ID != u.ID {
		t.Errorf("uploads: got %+v, %v", page, err)
	}
	p, err := ours.PutPart(ctx, "bucket", "k", u.ID, 1, bytes.NewReader(make([]byte, 1<<20)), object.PutOptions{Size: 1 << 20})
	if err != nil || p.Checksum.Algorithm != object.CRC32 {
		t.Errorf("put part: got %+v, %v", p, err)
	}
	if info, err := ours.Complete(ctx, "bucket", "k", u.ID, []object.CompletePart{{Number: 1, ETag: p.ETag, Checksum: p.Checksum.Value}}, object.CompleteOptions{Size: -1}); err != nil || info.Size != 1<<20 {
		t.Errorf("complete: got %+v, %v", info, err)
	}
}

// A store that cannot be reached is no fault of the caller's, and no reason to
// believe that something is not there.
func TestNobodyBehind(t *testing.T) {
	o := behind(t)
	o.Endpoint = "http://127.0.0.1:1"
	s, ctx := openStore(t, o), t.Context()
	_, head := s.Head(ctx, "bucket", "k")
	_, list := s.List(ctx, "bucket", object.Query{})
	_, put := s.Put(ctx, "bucket", "k", strings.NewReader("x"), object.PutOptions{Size: 1})
	for what, err := range map[string]error{"head": head, "list": list, "put": put, "create": s.CreateBucket(ctx, "bucket", "")} {
		if strait.KindOf(err) != strait.Unavailable {
			t.Errorf("%s: got %v", what, err)
		}
	}
}
