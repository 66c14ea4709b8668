package schedule_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"strait"
	"strait/schedule"
	"strait/state"
)

// A client that lost the answer to a deletion asks once more, with the same
// token: it is told that it is done, and what has the name since then stays.
func TestDeletedOnce(t *testing.T) {
	h := start(t, "2026-01-01 00:00:00")
	ctx := context.Background()
	s := h.timer("a", "rate(36500 days)")
	s.Start, s.Group = h.now.AddDate(1, 0, 0), "g"
	fresh := func() {
		t.Helper()
		if err := h.CreateGroup(ctx, schedule.Group{Name: "g"}); err != nil && strait.KindOf(err) != strait.Exists {
			t.Fatal(err)
		}
		if _, err := h.Get(s.Key); err != nil {
			h.create(s)
		}
	}
	there := func(what string, want bool) {
		t.Helper()
		if _, err := h.Get(s.Key); (err == nil) != want {
			t.Errorf("%s: the schedule: %v, want it there: %t", what, err, want)
		}
	}
	for _, c := range []struct {
		name   string
		remove func(token string) error
	}{
		{"a schedule", func(token string) error { return h.Delete(ctx, s.Key, token) }},
		{"a group", func(token string) error { return h.DeleteGroup(ctx, "timer", "g", token) }},
	} {
		fresh()
		if err := c.remove("t"); err != nil {
			t.Fatalf("delete %s: %v", c.name, err)
		}
		h.close()
		h.open()
		there(c.name+" that was deleted", false)
		if err := c.remove("t"); err != nil {
			t.Errorf("%s once more: %v", c.name, err)
		}
		for _, token := range []string{"", "u"} {
			if err := c.remove(token); strait.KindOf(err) != strait.NotFound {
				t.Errorf("%s that is gone, with the token %q: %v, want that it is not found", c.name, token, err)
			}
		}
		fresh()
		if err := c.remove("t"); err != nil {
			t.Errorf("%s made anew, and the old request: %v", c.name, err)
		}
		there("the old request for "+c.name, true)
	}
	h.move("2026-01-01 01:00:00")
	if err := h.DeleteGroup(ctx, "timer", "g", "t"); err != nil {
		t.Fatal(err)
	}
	there("an hour later", false)
}

// What is remembered of deletions is bounded: by an hour, and by number.
func TestDeletionsAreForgotten(t *testing.T) {
	h := start(t, "2026-01-01 00:00:00")
	ctx := context.Background()
	remove := func(group string) {
		t.Helper()
		if err := h.CreateGroup(ctx, schedule.Group{Name: group}); err != nil {
			t.Fatal(err)
		}
		if err := h.DeleteGroup(ctx, "timer", group, "t"); err != nil {
			t.Fatal(err)
		}
	}
	facts := func() []state.Fact {
		t.Helper()
		all, err := h.s.List(ctx, "schedule/deleted/", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	// 1,000 deletions, made of the first one to save time.
	remove("g0000")
	first := facts()[0]
	var writes []state.Write
	for n := 1; n < 1000; n++ {
		name := strings.NewReplacer("g0000", fmt.Sprintf("g%04d", n))
		writes = append(writes, state.Write{Key: name.Replace(first.Key), Value: []byte(name.Replace(string(first.Value)))})
	}
	if _, err := h.s.Apply(ctx, writes...); err != nil {
		t.Fatal(err)
	}
	h.close()
	h.open()
	remove("g1000")
	remove("g1001")
	if n := len(facts()); n != 1000 {
		t.Errorf("%d deletions are remembered, want 1000", n)
	}
	if err := h.DeleteGroup(ctx, "timer", "g0002", "t"); err != nil {
		t.Errorf("the oldest deletion that is remembered, again: %v", err)
	}
	if err := h.DeleteGroup(ctx, "timer", "g0001", "t"); strait.KindOf(err) != strait.NotFound {
		t.Errorf("one that is not remembered: %v, want that it is not found", err)
	}
	h.move("2026-01-01 01:00:00")
	remove("g2000")
	if n := len(facts()); n != 1 {
		t.Errorf("%d deletions are remembered an hour later, want 1", n)
	}
}
