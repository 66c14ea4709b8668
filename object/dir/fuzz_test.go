package dir_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"strait/object"
	"strait/object/dir"
	"strait/state"
)

// spoil damages the value of a fact.
func spoil(t *testing.T, facts state.Store, key string) {
	t.Helper()
	f, err := facts.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := facts.Apply(t.Context(), state.Write{Key: key, Value: f.Value[:len(f.Value)-1]}); err != nil {
		t.Fatal(err)
	}
}

// A record decodes to what encodes to the very same bytes, or not at all, and is
// skimmed alike.
func FuzzRecord(f *testing.F) {
	for _, s := range records(f) {
		f.Add(s)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if again, ok := dir.Recode(b); ok && !bytes.Equal(again, b) {
			t.Errorf("%x decodes, and encodes as %x", b, again)
		}
		if !dir.SkimAgrees(b) {
			t.Errorf("%x is not skimmed as it is decoded", b)
		}
	})
}

// records are the facts of a store that has something of everything.
func records(t testing.TB) (all [][]byte) {
	facts := openFacts(t, t.TempDir())
	s := openStore(t, t.TempDir(), facts, dir.Options{SegmentSize: 300_000})
	ctx := t.Context()
	if err := s.CreateBucket(ctx, "bucket", "owner"); err != nil {
		t.Fatal(err)
	}
	o := object.PutOptions{Size: -1, Algorithm: object.SHA256, Meta: object.Meta{ContentType: "a", User: map[string]string{"b": "c", "d": ""}, Tags: map[string]string{"t": "v"}}}
	if _, err := s.Put(ctx, "bucket", "k", bytes.NewReader(make([]byte, 700_000)), o); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := putEitherWay(ctx, s, "u", []byte("x"), true); err != nil {
			t.Fatal(err)
		}
	}
	u, err := s.CreateUpload(ctx, "bucket", "v", object.UploadOptions{Algorithm: object.CRC32, Initiator: "me"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutPart(ctx, "bucket", "v", u.ID, 2, strings.NewReader("x"), object.PutOptions{Size: -1}); err != nil {
		t.Fatal(err)
	}
	list, err := facts.List(ctx, "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		all = append(all, f.Value)
	}
	return all
}

func TestRecordsRecode(t *testing.T) {
	all := records(t)
	if len(all) < 7 {
		t.Errorf("only %d records", len(all))
	}
	for _, b := range all {
		if again, ok := dir.Recode(b); !ok || !bytes.Equal(again, b) {
			t.Errorf("%s decodes: %v, to %s", hex.EncodeToString(b), ok, hex.EncodeToString(again))
		}
		if !dir.SkimAgrees(b) {
			t.Errorf("%x is not skimmed as it is decoded", b)
		}
		for n := range b {
			if _, ok := dir.Recode(b[:n]); ok {
				t.Errorf("%x decodes, though cut short", b[:n])
			}
		}
	}
}

// Two names are stored as given and never meet, as objects or as uploads.
func FuzzKey(f *testing.F) {
	f.Add("a", "a/")
	f.Add("a", "a\x00")
	f.Add("a\x00b", "a")
	f.Add("a/../b", "b")
	f.Add("e\u0301", "é")
	f.Add("a\x000123456789abcdef0123456789abcdef", "a")
	f.Add("\xff", "")
	facts := openFacts(f, f.TempDir())
	s := openStore(f, f.TempDir(), facts, dir.Options{})
	if err := s.CreateBucket(f.Context(), "bucket", ""); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		ctx := t.Context()
		keys := []string{a, b}
		stored := map[string]bool{}
		for i, key := range keys {
			_, err := s.Put(ctx, "bucket", key, strings.NewReader(key+" "), object.PutOptions{Size: -1})
			if (err == nil) != (object.ValidKey(key) == nil) {
				t.Fatalf("put %d %q: %v", i, key, err)
			}
			if err == nil {
				stored[key] = true
			}
		}
		page, err := s.List(ctx, "bucket", object.Query{})
		if err != nil || len(page.Objects) != len(stored) {
			t.Fatalf("list: %+v, %v, want %v", page, err, stored)
		}
		for _, o := range page.Objects {
			if got, err := read(s, o.Key); !stored[o.Key] || err != nil || string(got) != o.Key+" " {
				t.Fatalf("%q holds %q, %v", o.Key, got, err)
			}
		}
		for key := range stored {
			if _, err := s.CreateUpload(ctx, "bucket", key, object.UploadOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		uploads, err := s.Uploads(ctx, "bucket", object.UploadQuery{})
		if err != nil || len(uploads.Uploads) != len(stored) {
			t.Fatalf("uploads: %+v, %v, want %v", uploads, err, stored)
		}
		for _, u := range uploads.Uploads {
			if !stored[u.Key] {
				t.Fatalf("an upload of %q", u.Key)
			}
			if err := s.Abort(ctx, "bucket", u.Key, u.ID); err != nil {
				t.Fatal(err)
			}
		}
		for key := range stored {
			if err := s.Delete(ctx, "bucket", key, object.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
