package dir_test

import (
	"context"
	"strings"
	"testing"

	"strait"
	"strait/object"
	"strait/object/dir"
	"strait/state"
)

// cuttingIn does something once, right before a batch is applied: after the
// store has looked, before it acts.
type cuttingIn struct {
	state.Store
	first func()
}

func (c *cuttingIn) Apply(ctx context.Context, w ...state.Write) (state.Revision, error) {
	if do := c.first; do != nil {
		c.first = nil
		do()
	}
	return c.Store.Apply(ctx, w...)
}

// Each case lets one call of an upload cut in on another.
func TestUploadCallsCutIn(t *testing.T) {
	for name, play := range map[string]func(t *testing.T, ctx context.Context, s *dir.Store, cut func(func()), id string, etag string){
		"a part is overwritten while Complete looks": func(t *testing.T, ctx context.Context, s *dir.Store, cut func(func()), id, etag string) {
			cut(func() { putPart(t, s, id, "other", nil) })
			_, err := complete(ctx, s, id, etag)
			wantKind(t, err, strait.Invalid)
		},
		"the upload is completed while a part is put": func(t *testing.T, ctx context.Context, s *dir.Store, cut func(func()), id, etag string) {
			cut(func() {
				if _, err := complete(ctx, s, id, etag); err != nil {
					t.Error(err)
				}
			})
			_, err := s.PutPart(ctx, "bucket", "k", id, 2, strings.NewReader("late"), object.PutOptions{Size: -1})
			wantKind(t, err, strait.NotFound)
			if b, err := read(s, "k"); err != nil || string(b) != "first" {
				t.Errorf("the object holds %q, %v", b, err)
			}
		},
		"the upload is completed while its part is overwritten": func(t *testing.T, ctx context.Context, s *dir.Store, cut func(func()), id, etag string) {
			cut(func() {
				if _, err := complete(ctx, s, id, etag); err != nil {
					t.Error(err)
				}
			})
			_, err := s.PutPart(ctx, "bucket", "k", id, 1, strings.NewReader("late"), object.PutOptions{Size: -1})
			wantKind(t, err, strait.NotFound)
			if b, err := read(s, "k"); err != nil || string(b) != "first" {
				t.Errorf("the object holds %q, %v", b, err)
			}
		},
		"the upload is aborted while a part is put": func(t *testing.T, ctx context.Context, s *dir.Store, cut func(func()), id, etag string) {
			cut(func() {
				if err := s.Abort(ctx, "bucket", "k", id); err != nil {
					t.Error(err)
				}
			})
			_, err := s.PutPart(ctx, "bucket", "k", id, 2, strings.NewReader("late"), object.PutOptions{Size: -1})
			wantKind(t, err, strait.NotFound)
		},
		"the upload is completed while it is completed": func(t *testing.T, ctx context.Context, s *dir.Store, cut func(func()), id, etag string) {
			var first object.Info
			cut(func() { first, _ = complete(ctx, s, id, etag) })
			if second, err := complete(ctx, s, id, etag); err != nil || second.ETag != first.ETag || !second.Modified.Equal(first.Modified) {
				t.Errorf("got %+v, %v, and first %+v", second, err, first)
			}
		},
		"the upload is aborted while it is completed": func(t *testing.T, ctx context.Context, s *dir.Store, cut func(func()), id, etag string) {
			cut(func() { s.Abort(ctx, "bucket", "k", id) })
			_, err := complete(ctx, s, id, etag)
			wantKind(t, err, strait.NotFound)
		},
		"an object appears while Complete looks": func(t *testing.T, ctx context.Context, s *dir.Store, cut func(func()), id, etag string) {
			cut(func() {
				if _, err := s.Put(ctx, "bucket", "k", strings.NewReader("x"), object.PutOptions{Size: -1}); err != nil {
					t.Error(err)
				}
			})
			_, err := s.Complete(ctx, "bucket", "k", id, []object.CompletePart{{Number: 1, ETag: etag}}, object.CompleteOptions{Size: -1, IfNoneMatch: true})
			wantKind(t, err, strait.Precondition)
		},
	} {
		t.Run(name, func(t *testing.T) {
			facts := &cuttingIn{Store: openFacts(t, t.TempDir())}
			s := openStore(t, t.TempDir(), facts, dir.Options{})
			if err := s.CreateBucket(t.Context(), "bucket", ""); err != nil {
				t.Fatal(err)
			}
			u, err := s.CreateUpload(t.Context(), "bucket", "k", object.UploadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var etag string
			putPart(t, s, u.ID, "first", &etag)
			play(t, t.Context(), s, func(do func()) { facts.first = do }, u.ID, etag)
			if err := s.Check(t.Context(), func(p object.Problem) { t.Errorf("check: %+v", p) }); err != nil {
				t.Error(err)
			}
			// No part is left that belongs to nothing.
			s.Abort(t.Context(), "bucket", "k", u.ID)
			if err := s.Delete(t.Context(), "bucket", "k", object.DeleteOptions{}); err != nil {
				t.Error(err)
			}
			if left, err := facts.List(t.Context(), "object/p/", "", 0); err != nil || len(left) > 0 {
				t.Errorf("%d parts are left, %v", len(left), err)
			}
		})
	}
}

func putPart(t *testing.T, s *dir.Store, id, body string, etag *string) {
	t.Helper()
	p, err := s.PutPart(t.Context(), "bucket", "k", id, 1, strings.NewReader(body), object.PutOptions{Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	if etag != nil {
		*etag = p.ETag
	}
}

func complete(ctx context.Context, s *dir.Store, id, etag string) (object.Info, error) {
	return s.Complete(ctx, "bucket", "k", id, []object.CompletePart{{Number: 1, ETag: etag}}, object.CompleteOptions{Size: -1})
}

func wantKind(t *testing.T, err error, kind strait.Kind) {
	t.Helper()
	if err == nil || strait.KindOf(err) != kind {
		t.Errorf("got error %v, want kind %d", err, kind)
	}
}
