package objecttest

import (
	"strings"
	"time"

	"strait"
	"strait/object"
	"strait/state"
)

func deleteConditions(s *stage) {
	del := func(o object.DeleteOptions) error { return s.Delete(s.ctx, "bucket", "k", o) }
	s.refused("if-match of nothing", del(object.DeleteOptions{IfMatch: "x"}), strait.NotFound, "key")
	s.refused("any of nothing", del(object.DeleteOptions{IfMatch: "*"}), strait.Precondition, "if-match")
	s.refused("modified of nothing", del(object.DeleteOptions{Modified: time.UnixMilli(1)}), strait.Precondition, "modified")
	info := s.look("k")
	s.refused("if-match", del(object.DeleteOptions{IfMatch: "x"}), strait.Precondition, "if-match")
	s.refused("modified", del(object.DeleteOptions{Modified: info.Modified.Add(-time.Millisecond)}), strait.Precondition, "modified")
	s.refused("one of two", del(object.DeleteOptions{IfMatch: "x", Modified: info.Modified}), strait.Precondition, "if-match")
	if string(s.get("k")) != "x" {
		s.Error("a refused delete changed the object")
	}
	for _, o := range []object.DeleteOptions{{IfMatch: info.ETag}, {IfMatch: "*"}, {Modified: info.Modified, IfMatch: info.ETag}} {
		info = s.look("k")
		if !o.Modified.IsZero() {
			o.Modified = info.Modified
		}
		if err := del(o); err != nil {
			s.Errorf("%+v: %v", o, err)
		}
		s.absent("k")
	}
}

// look puts an object and returns what a listing tells of it.
func (s *stage) look(key string) object.Info {
	s.Helper()
	s.put(key, []byte("x"))
	page, err := s.List(s.ctx, "bucket", object.Query{Prefix: key, Limit: 1})
	if err != nil || len(page.Objects) != 1 {
		s.Fatalf("list %q: %+v, %v", key, page, err)
	}
	return page.Objects[0]
}

// also: whoever asks is told of every change, and of nothing that was none.
func also(s *stage) {
	var told []string
	note := func(what string) object.Also {
		return func(i object.Info) []state.Write {
			told = append(told, what+" "+i.Bucket+"/"+i.Key+" "+i.ETag)
			return nil
		}
	}
	if _, err := s.Put(s.ctx, "bucket", "k", strings.NewReader("x"), object.PutOptions{Size: 1, Also: note("put")}); err != nil {
		s.Fatal(err)
	}
	if _, err := s.Put(s.ctx, "bucket", "k", strings.NewReader("y"), object.PutOptions{Size: 1, IfNoneMatch: true, Also: note("refused")}); err == nil {
		s.Fatal("put again")
	}
	u, err := s.CreateUpload(s.ctx, "bucket", "u", object.UploadOptions{})
	if err != nil {
		s.Fatal(err)
	}
	part, err := s.PutPart(s.ctx, "bucket", "u", u.ID, 1, strings.NewReader("x"), object.PutOptions{Size: 1, Also: note("part")})
	if err != nil {
		s.Fatal(err)
	}
	for range 2 {
		if _, err := s.Complete(s.ctx, "bucket", "u", u.ID, []object.CompletePart{{Number: 1, ETag: part.ETag}}, object.CompleteOptions{Size: -1, Also: note("complete")}); err != nil {
			s.Fatal(err)
		}
	}
	for range 2 {
		if err := s.Delete(s.ctx, "bucket", "k", object.DeleteOptions{Also: note("delete")}); err != nil {
			s.Fatal(err)
		}
	}
	const x = "9dd4e461268c8034f5c8564e155c67a6" // MD5 of "x"
	want := "put bucket/k " + x + "\ncomplete bucket/u " + head(s, "u") + "\ndelete bucket/k " + x
	if got := strings.Join(told, "\n"); got != want {
		s.Errorf("told:\n%s\nwant:\n%s", got, want)
	}
}

func head(s *stage, key string) string {
	s.Helper()
	info, err := s.Head(s.ctx, "bucket", key)
	if err != nil {
		s.Fatal(err)
	}
	return info.ETag
}
