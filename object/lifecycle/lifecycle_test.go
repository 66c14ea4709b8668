package lifecycle_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"strait/object"
	"strait/object/dir"
	"strait/object/lifecycle"
	"strait/object/settings"
	"strait/state"
	"strait/state/local"
)

func ptr[T any](v T) *T { return &v }

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

// TestExpires: the midnight that follows the full days, of the rule that is
// first; only what the filter takes.
func TestExpires(t *testing.T) {
	i := object.Info{Key: "logs/a", Size: 100, Modified: at("2026-01-15T10:30:00Z"), Meta: object.Meta{Tags: map[string]string{"k": "v", "l": ""}}}
	rule := func(f lifecycle.Filter, days int) lifecycle.Configuration {
		return lifecycle.Configuration{Rules: []lifecycle.Rule{{ID: "r", Filter: f, Days: days}}}
	}
	for _, c := range []struct {
		name string
		c    lifecycle.Configuration
		want string
	}{
		{"three days", rule(lifecycle.Filter{}, 3), "2026-01-19T00:00:00Z"},
		{"prefix", rule(lifecycle.Filter{Prefix: "logs/"}, 1), "2026-01-17T00:00:00Z"},
		{"another prefix", rule(lifecycle.Filter{Prefix: "log/"}, 1), ""},
		{"tags", rule(lifecycle.Filter{Tags: map[string]string{"k": "v", "l": ""}}, 1), "2026-01-17T00:00:00Z"},
		{"a tag it has not", rule(lifecycle.Filter{Tags: map[string]string{"m": ""}}, 1), ""},
		{"another value", rule(lifecycle.Filter{Tags: map[string]string{"k": "w"}}, 1), ""},
		{"greater", rule(lifecycle.Filter{Greater: ptr(int64(99))}, 1), "2026-01-17T00:00:00Z"},
		{"not greater", rule(lifecycle.Filter{Greater: ptr(int64(100))}, 1), ""},
		{"less", rule(lifecycle.Filter{Less: ptr(int64(101))}, 1), "2026-01-17T00:00:00Z"},
		{"not less", rule(lifecycle.Filter{Less: ptr(int64(100))}, 1), ""},
		{"disabled", lifecycle.Configuration{Rules: []lifecycle.Rule{{ID: "r", Days: 1, Disabled: true}}}, ""},
		{"a date", lifecycle.Configuration{Rules: []lifecycle.Rule{{ID: "r", Date: at("2026-01-02T00:00:00Z")}}}, "2026-01-02T00:00:00Z"},
		{"the first", lifecycle.Configuration{Rules: []lifecycle.Rule{{ID: "late", Days: 9}, {ID: "r", Days: 2}}}, "2026-01-18T00:00:00Z"},
	} {
		got := ""
		if when, id, ok := c.c.Expires(i); ok {
			got = when.Format(time.RFC3339)
			if id != "r" {
				t.Errorf("%s: rule %s", c.name, id)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestValid(t *testing.T) {
	for name, r := range map[string]lifecycle.Rule{
		"no id": {Days: 1}, "long id": {ID: strings.Repeat("x", 256), Days: 1}, "both": {ID: "r", Days: 1, Date: at("2026-01-02T00:00:00Z")},
		"no midnight": {ID: "r", Date: at("2026-01-02T00:00:01Z")}, "negative": {ID: "r", Days: -1}, "an aeon": {ID: "r", Days: 1 << 40},
		"abort by tag": {ID: "r", AbortDays: 1, Filter: lifecycle.Filter{Tags: map[string]string{"a": "b"}}}, "abort by size": {ID: "r", AbortDays: 1, Filter: lifecycle.Filter{Less: ptr(int64(9))}},
		"no size between": {ID: "r", Days: 1, Filter: lifecycle.Filter{Greater: ptr(int64(9)), Less: ptr(int64(9))}}, "long prefix": {ID: "r", Days: 1, Filter: lifecycle.Filter{Prefix: strings.Repeat("x", 1025)}},
	} {
		if (lifecycle.Configuration{Rules: []lifecycle.Rule{r}}).Valid() == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if (lifecycle.Configuration{}).Valid() == nil || (lifecycle.Configuration{Rules: []lifecycle.Rule{{ID: "r", Days: 1}, {ID: "r", Days: 2}}}).Valid() == nil {
		t.Error("no rules, or two of one name, are taken")
	}
}

// TestSweep: what is due goes, what is not stays, and each removal is noted in
// its batch; rules hold after a restart.
func TestSweep(t *testing.T) {
	ctx := t.Context()
	var clock atomic.Int64
	clock.Store(at("2026-01-15T10:30:00Z").UnixNano())
	now := func() time.Time { return time.Unix(0, clock.Load()) }
	place, bytes := t.TempDir(), t.TempDir()
	var s *lifecycle.Sweeper
	var noted []string
	restart := func() (stop func()) {
		facts, err := local.Open(place, local.Options{})
		if err != nil {
			t.Fatal(err)
		}
		objects, err := dir.Open(bytes, facts, dir.Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		s = &lifecycle.Sweeper{Rules: settings.Open[lifecycle.Configuration](facts, "lifecycle"), Objects: objects, Now: now,
			Note: func(_ context.Context, bucket, key string) (object.Also, error) {
				return func(i object.Info) []state.Write { noted = append(noted, bucket+"/"+i.Key); return nil }, nil
			}}
		return func() { objects.Close(); facts.Close() }
	}
	stop := restart()
	if err := s.Objects.CreateBucket(ctx, "bucket", "owner"); err != nil {
		t.Fatal(err)
	}
	put := func(key string, tags map[string]string) {
		t.Helper()
		if _, err := s.Objects.Put(ctx, "bucket", key, strings.NewReader(key), object.PutOptions{Size: -1, Meta: object.Meta{Tags: tags}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		put(fmt.Sprintf("logs/%d", i), nil)
	}
	put("kept", nil)
	put("tagged", map[string]string{"short": "yes"})
	for _, key := range []string{"logs/u", "u"} {
		if _, err := s.Objects.CreateUpload(ctx, "bucket", key, object.UploadOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	c := lifecycle.Configuration{Rules: []lifecycle.Rule{{ID: "logs", Filter: lifecycle.Filter{Prefix: "logs/"}, Days: 2, AbortDays: 1},
		{ID: "tag", Filter: lifecycle.Filter{Tags: map[string]string{"short": "yes"}}, Date: at("2026-01-17T00:00:00Z")}}}
	if err := s.Rules.Set(ctx, "bucket", c); err != nil {
		t.Fatal(err)
	}
	if err := s.Rules.Set(ctx, "deleted-bucket", c); err != nil {
		t.Fatal(err)
	}
	sweep := func(when string, expired, aborted int) {
		t.Helper()
		clock.Store(at(when).UnixNano())
		if got, err := s.Sweep(ctx); err != nil || got != (lifecycle.Report{Expired: expired, Aborted: aborted}) {
			t.Errorf("at %s: %+v, %v; want %d and %d", when, got, err, expired, aborted)
		}
	}
	sweep("2026-01-16T23:59:59Z", 0, 0)
	stop()
	stop = restart()
	defer func() { stop() }()
	sweep("2026-01-17T00:00:00Z", 1, 1)
	put("logs/1", nil) // as new
	sweep("2026-01-18T00:00:00Z", 2, 0)
	sweep("2026-01-18T00:00:00Z", 0, 0)
	if want := []string{"bucket/tagged", "bucket/logs/0", "bucket/logs/2"}; !slices.Equal(noted, want) {
		t.Errorf("noted %q, want %q", noted, want)
	}
	page, err := s.Objects.List(ctx, "bucket", object.Query{})
	if err != nil || len(page.Objects) != 2 || page.Objects[0].Key != "kept" || page.Objects[1].Key != "logs/1" {
		t.Errorf("left: %+v, %v", page.Objects, err)
	}
	open, err := s.Objects.Uploads(ctx, "bucket", object.UploadQuery{})
	if err != nil || len(open.Uploads) != 1 || open.Uploads[0].Key != "u" {
		t.Errorf("uploads left: %+v, %v", open.Uploads, err)
	}
}
