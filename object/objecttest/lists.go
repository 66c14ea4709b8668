package objecttest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"strait/object"
)

// names flattens a page.
func names(p object.Page) (all []string) {
	for _, o := range p.Objects {
		all = append(all, o.Key)
	}
	return append(all, p.Prefixes...)
}

func list(s *stage) {
	for _, key := range []string{"a", "a/1", "a/2", "a0", "b/c/d", "b/c/e", "b/f", "c/", "d", "é/x"} {
		s.put(key, []byte(key))
	}
	for _, c := range []struct {
		q       object.Query
		objects string
		folded  string
		next    string
	}{
		{object.Query{}, "a a/1 a/2 a0 b/c/d b/c/e b/f c/ d é/x", "", ""},
		{object.Query{Limit: 3}, "a a/1 a/2", "", "a/2"},
		{object.Query{Limit: 10}, "a a/1 a/2 a0 b/c/d b/c/e b/f c/ d é/x", "", ""},
		{object.Query{After: "b/c/d", Limit: 2}, "b/c/e b/f", "", "b/f"},
		{object.Query{After: "b/c"}, "b/c/d b/c/e b/f c/ d é/x", "", ""},
		{object.Query{Prefix: "a/"}, "a/1 a/2", "", ""},
		{object.Query{Prefix: "a/", After: "a/1"}, "a/2", "", ""},
		{object.Query{Prefix: "a/", After: "b"}, "", "", ""},
		{object.Query{Prefix: "nothing"}, "", "", ""},
		{object.Query{Prefix: strings.Repeat("x", 5000)}, "", "", ""},
		{object.Query{After: strings.Repeat("x", 5000)}, "é/x", "", ""},
		{object.Query{Delimiter: "/"}, "a a0 d", "a/ b/ c/ é/", ""},
		{object.Query{Delimiter: "/", Limit: 2}, "a", "a/", "a/"},
		{object.Query{Delimiter: "/", Limit: 2, After: "a/"}, "a0", "b/", "b/"},
		{object.Query{Delimiter: "/", Limit: 2, After: "b/"}, "d", "c/", "d"},
		{object.Query{Delimiter: "/", After: "a/1"}, "a0 d", "a/ b/ c/ é/", ""},
		{object.Query{Delimiter: "/", Prefix: "b/"}, "b/f", "b/c/", ""},
		{object.Query{Delimiter: "c/", Prefix: "b/"}, "b/f", "b/c/", ""},
		{object.Query{Delimiter: "/", Prefix: "c/"}, "c/", "", ""},
		{object.Query{Delimiter: "zz"}, "a a/1 a/2 a0 b/c/d b/c/e b/f c/ d é/x", "", ""},
	} {
		page, err := s.List(s.ctx, "bucket", c.q)
		var keys []string
		for _, o := range page.Objects {
			keys = append(keys, o.Key)
			if o.ETag != etag([]byte(o.Key)) || o.Bucket != "bucket" {
				s.Errorf("list: got %+v", o)
			}
		}
		objects, folded := strings.Join(keys, " "), strings.Join(page.Prefixes, " ")
		if err != nil || objects != c.objects || folded != c.folded || page.Next != c.next || page.Truncated != (c.next != "") {
			s.Errorf("list %+.60v: got %q, %q, next %q, %v; want %q, %q, next %q", c.q, objects, folded, page.Next, err, c.objects, c.folded, c.next)
		}
	}
}

// listEqualsModel pages through random listings and compares with what a
// sorted slice gives.
func listEqualsModel(s *stage) {
	alphabet := []string{"a", "b", "/", "é", "\x00", "/"}
	word := func(most int) string {
		var b strings.Builder
		for range s.random.IntN(most + 1) {
			b.WriteString(alphabet[s.random.IntN(len(alphabet))])
		}
		return b.String()
	}
	var keys []string
	for range 60 {
		if key := word(6); key != "" {
			s.put(key, nil)
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	for range 150 {
		q := object.Query{Prefix: word(2), After: word(3) + word(2), Limit: 1 + s.random.IntN(12)}
		if s.random.IntN(3) > 0 {
			q.Delimiter = []string{"/", "a", "//", "/a", "é"}[s.random.IntN(5)]
		}
		want := model(keys, q)
		var got []string
		for at, pages := q, 0; ; pages++ {
			page, err := s.List(s.ctx, "bucket", at)
			if err != nil {
				s.Fatal(err)
			}
			all := names(page)
			slices.Sort(all)
			got = append(got, all...)
			if len(all) > q.Limit || page.Truncated && len(all) != q.Limit || pages > len(keys) {
				s.Fatalf("list %+v: a page of %d, truncated %v", at, len(all), page.Truncated)
			}
			if !page.Truncated {
				break
			}
			at.After = page.Next
		}
		if !reflect.DeepEqual(got, want) {
			s.Fatalf("list %+q: got %q, want %q", fmt.Sprint(q), got, want)
		}
	}
}

// model is the contract of List, without pages.
func model(keys []string, q object.Query) (all []string) {
	fold := func(name string) string {
		rest, ok := strings.CutPrefix(name, q.Prefix)
		if i := strings.Index(rest, q.Delimiter); ok && q.Delimiter != "" && i >= 0 {
			return q.Prefix + rest[:i+len(q.Delimiter)]
		}
		return ""
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, q.Prefix) || key <= q.After && q.After != "" {
			continue
		}
		if f := fold(key); f != "" {
			if f != q.After && !slices.Contains(all, f) {
				all = append(all, f)
			}
			continue
		}
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}
