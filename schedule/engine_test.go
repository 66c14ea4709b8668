package schedule_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"strait"
	"strait/await"
	"strait/schedule"
	"strait/state/local"
)

const patience = await.Patience

// A house is an engine on a real store with a clock that is moved by hand, and
// a target that writes down how it was called.
type house struct {
	*schedule.Engine
	t   *testing.T
	dir string
	s   *local.Store

	probes int
	mu     sync.Mutex
	now    time.Time
	fail   func(d schedule.Due) error
	called chan string
	gaveUp chan string
}

func start(t *testing.T, at string) *house {
	t.Helper()
	h := &house{t: t, dir: filepath.Join(t.TempDir(), "state"), called: make(chan string, 1000), gaveUp: make(chan string, 1000)}
	h.now = when(t, at)
	h.open()
	t.Cleanup(h.close)
	return h
}

func when(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func (h *house) open() {
	h.t.Helper()
	var err error
	if h.s, err = local.Open(h.dir, local.Options{}); err != nil {
		h.t.Fatal(err)
	}
	h.Engine, err = schedule.Open(h.t.Context(), schedule.Config{
		Store: h.s, Now: h.clock, Invoker: h, MaxDue: 20,
		Events: func(d schedule.Due, err error) { h.gaveUp <- fmt.Sprint(d.Schedule.Name, " ", err) },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.Start()
}

func (h *house) close() {
	h.Engine.Close()
	h.s.Close()
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// move moves the clock, and has the engine look at it.
func (h *house) move(to string) {
	h.t.Helper()
	h.mu.Lock()
	h.now = when(h.t, to)
	h.mu.Unlock()
	h.Wake()
}

// Invoke is schedule.Invoker.
func (h *house) Invoke(_ context.Context, d schedule.Due) error {
	h.mu.Lock()
	fail := h.fail
	h.mu.Unlock()
	if fail != nil {
		if err := fail(d); err != nil {
			return err
		}
	}
	h.called <- fmt.Sprintf("%s/%s %s %s", d.Schedule.Name, d.Target.ID, d.Time.UTC().Format("2006-01-02 15:04:05"), d.Target.Input)
	return nil
}

func (h *house) failWith(fail func(schedule.Due) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail = fail
}

func (h *house) want(ch chan string, want string) {
	h.t.Helper()
	select {
	case got := <-ch:
		if !strings.HasPrefix(got, want) {
			h.t.Fatalf("got %s, want %s", got, want)
		}
	case <-time.After(patience):
		h.t.Fatalf("waited in vain for %s", want)
	}
}

func (h *house) take() string {
	h.t.Helper()
	select {
	case got := <-h.called:
		return got
	case <-time.After(patience):
		h.t.Fatal("waited in vain for a call")
		return ""
	}
}

// quiet fails when something was called. A call that is always due, and is
// waited for, shows that the engine has looked.
func (h *house) quiet() {
	h.t.Helper()
	h.probes++
	probe := h.timer(fmt.Sprint("probe", h.probes), "rate(36500 days)")
	h.create(probe)
	h.want(h.called, probe.Name+"/")
	if err := h.Delete(h.t.Context(), probe.Key, ""); err != nil {
		h.t.Fatal(err)
	}
	select {
	case got := <-h.called:
		h.t.Fatalf("called: %s", got)
	default:
	}
}

func (h *house) timer(name, expression string) schedule.Schedule {
	return schedule.Schedule{Key: schedule.Key{Family: "timer", Group: "default", Name: name}, Expression: expression,
		Targets: []schedule.Target{{ID: "t", Input: "{}", Retry: schedule.Retry{Attempts: 3, Age: time.Hour}}}}
}

func (h *house) create(s schedule.Schedule) {
	h.t.Helper()
	if err := h.Create(h.t.Context(), s); err != nil {
		h.t.Fatalf("create %s: %v", s.Name, err)
	}
}

func TestEngine(t *testing.T) {
	h := start(t, "2026-11-22 10:00:10")
	// A rate is due when it begins, and then at its rate.
	h.create(h.timer("rate", "rate(5 minutes)"))
	h.want(h.called, "rate/t 2026-11-22 10:00:10 {}")
	h.move("2026-11-22 10:05:09")
	h.quiet()
	h.move("2026-11-22 10:05:10")
	h.want(h.called, "rate/t 2026-11-22 10:05:10")
	// One that others begin after a period; two targets.
	later := h.timer("later", "rate(1 minute)")
	later.FirstAfter = true
	later.Targets = append(later.Targets, schedule.Target{ID: "u", Input: "2", Retry: later.Targets[0].Retry})
	h.create(later)
	h.quiet()
	h.move("2026-11-22 10:06:10")
	a, b := h.take(), h.take()
	if got := min(a, b) + ", " + max(a, b); got != "later/t 2026-11-22 10:06:10 {}, later/u 2026-11-22 10:06:10 2" {
		t.Errorf("two targets: %s", got)
	}
	// Disabled it is quiet; enabled it makes up for nothing.
	enable := func(name string, on bool) {
		t.Helper()
		if err := h.Change(t.Context(), h.timer(name, "").Key, func(s *schedule.Schedule) error { s.Disabled = !on; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	enable("later", false)
	enable("rate", false)
	h.move("2026-11-22 11:00:00")
	h.quiet()
	enable("rate", true)
	h.quiet()
	h.move("2026-11-22 11:00:10")
	h.want(h.called, "rate/t 2026-11-22 11:00:10")
	// A change of when it is due begins it anew.
	if err := h.Change(t.Context(), h.timer("rate", "").Key, func(s *schedule.Schedule) error {
		s.Expression = "cron(30 12 * * ? *)"
		s.Zone = "Europe/Berlin"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	h.move("2026-11-22 11:30:00")
	h.want(h.called, "rate/t 2026-11-22 11:30:00")
	if err := h.Delete(t.Context(), h.timer("rate", "").Key, ""); err != nil {
		t.Fatal(err)
	}
	h.move("2026-11-24 11:30:00")
	h.quiet()
}

// TestBounds: a moment, a start and an end; and who is deleted afterwards.
func TestBounds(t *testing.T) {
	h := start(t, "2026-11-22 10:00:00")
	once := h.timer("once", "at(2026-11-22T12:00:00)")
	once.Zone = "Europe/London"
	once.DeleteAfter = true
	h.create(once)
	bounded := h.timer("bounded", "rate(1 hours)")
	bounded.Start, bounded.End = when(t, "2026-11-22 11:30:00"), when(t, "2026-11-22 13:00:00")
	h.create(bounded)
	past := h.timer("past", "at(2026-11-22T09:00:00)")
	h.create(past)
	h.quiet()
	h.move("2026-11-22 11:30:00")
	h.want(h.called, "bounded/t 2026-11-22 11:30:00")
	h.move("2026-11-22 12:00:00")
	h.want(h.called, "once/t 2026-11-22 12:00:00")
	h.move("2026-11-22 12:30:00")
	h.want(h.called, "bounded/t 2026-11-22 12:30:00")
	h.move("2026-11-22 23:00:00")
	h.quiet()
	h.until("the schedule that is over is gone", func() bool {
		_, err := h.Get(once.Key)
		return strait.KindOf(err) == strait.NotFound
	})
	if _, err := h.Get(bounded.Key); err != nil {
		t.Errorf("one that is over and stays: %v", err)
	}
	// In a window it is begun once, within it.
	window := h.timer("window", "cron(0 0 23 11 ? 2026)")
	window.Window = 30 * time.Minute
	h.create(window)
	h.move("2026-11-22 23:59:59")
	h.quiet()
	h.move("2026-11-23 00:30:00")
	h.want(h.called, "window/t 2026-11-23 00:00:00")
	h.quiet()
	// A window that is longer than the period keeps nobody waiting for ever.
	often := h.timer("often", "rate(1 minutes)")
	often.Window = 15 * time.Minute
	often.Start = when(t, "2026-11-23 01:00:00")
	h.create(often)
	for i := range 20 {
		h.move(fmt.Sprintf("2026-11-23 01:%02d:59", 15+i))
		h.want(h.called, "often/t 2026-11-23 01:")
	}
}

func (h *house) until(what string, ok func() bool) {
	h.t.Helper()
	await.Until(h.t, what, ok)
}

// TestRestart: what was missed while nobody ran is made up for once, unless it
// is too old; what was written down and not over is called again.
func TestRestart(t *testing.T) {
	h := start(t, "2026-11-22 10:00:30")
	for name, expression := range map[string]string{"minutely": "cron(* * * * ? *)", "once": "at(2026-11-22T10:30:00)", "daily": "cron(0 8 * * ? *)"} {
		h.create(h.timer(name, expression))
	}
	h.move("2026-11-22 10:01:00")
	h.want(h.called, "minutely/t 2026-11-22 10:01:00")
	h.quiet()
	h.close()
	h.now = when(t, "2026-11-22 10:40:20")
	h.open()
	a, b := h.take(), h.take()
	if got := min(a, b) + ", " + max(a, b); got != "minutely/t 2026-11-22 10:40:00 {}, once/t 2026-11-22 10:30:00 {}" {
		t.Errorf("made up for: %s", got)
	}
	h.quiet()
	// Years later one is made up for, quickly, and the daily one is too old.
	h.close()
	h.now = when(t, "2029-11-22 12:00:30")
	h.open()
	h.want(h.gaveUp, "daily it was due at 2029-11-22T08:00:00Z, which is too long ago")
	h.want(h.called, "minutely/t 2029-11-22 12:00:00")
	h.quiet()
	// A call that fails is tried again after a restart, as the same one.
	var ids []string
	tries := make(chan bool, 10)
	h.failWith(func(d schedule.Due) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		ids = append(ids, fmt.Sprint(d.ID, " ", d.Attempt))
		tries <- true
		return strait.Errorf(strait.Unavailable, "target", "not now")
	})
	h.move("2029-11-22 12:01:00")
	<-tries
	h.close()
	h.failWith(func(d schedule.Due) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		ids = append(ids, fmt.Sprint(d.ID, " ", d.Attempt))
		return nil
	})
	h.now = when(t, "2029-11-22 12:01:30")
	h.open()
	h.want(h.called, "minutely/t 2029-11-22 12:01:00")
	// Whether the try that was cut off counts is left to chance.
	if len(ids) != 2 || ids[0][:36] != ids[1][:36] {
		t.Errorf("tries: %v", ids)
	}
	h.quiet()
}

// TestRetry: what may pass is tried again until it is too often, or too late;
// what will not pass is given up at once.
func TestRetry(t *testing.T) {
	h := start(t, "2026-11-22 10:00:00")
	n := make(chan int, 100)
	h.failWith(func(d schedule.Due) error {
		if strings.HasPrefix(d.Schedule.Name, "probe") {
			return nil
		}
		n <- d.Attempt
		if d.Schedule.Name == "denied" {
			return strait.Errorf(strait.Denied, "action", "you may not")
		}
		return strait.Errorf(strait.Unavailable, "target", "not now")
	})
	h.create(h.timer("denied", "rate(1 days)"))
	h.want(h.gaveUp, "denied you may not")
	if got := <-n; got != 0 {
		t.Errorf("try %d", got)
	}
	busy := h.timer("busy", "rate(9000 days)")
	busy.Targets[0].Retry.Age = 8000 * 24 * time.Hour
	h.create(busy)
	for i := range 4 {
		select {
		case got := <-n:
			if got != i {
				t.Fatalf("try %d, want %d", got, i)
			}
		case <-time.After(patience):
			t.Fatalf("no try %d", i)
		}
		// Each pause is longer than the last; the clock goes past it.
		h.until("the try is over", func() bool { h.step(10 * time.Minute); return len(n) > 0 || len(h.gaveUp) > 0 })
	}
	h.want(h.gaveUp, "busy not now")
	// Age bounds it, too.
	old := h.timer("old", "rate(1 days)")
	old.Targets[0].Retry = schedule.Retry{Attempts: 100, Age: time.Minute}
	h.create(old)
	<-n
	h.until("it is given up", func() bool { h.step(20 * time.Second); return len(h.gaveUp) > 0 })
	h.want(h.gaveUp, "old not now")
	if f, err := h.s.List(t.Context(), "schedule/due/", "", 0); err != nil || len(f) != 0 {
		t.Errorf("%d calls are left (%v)", len(f), err)
	}
}

func (h *house) step(d time.Duration) {
	h.mu.Lock()
	h.now = h.now.Add(d)
	h.mu.Unlock()
	h.Wake()
}

func TestManage(t *testing.T) {
	h := start(t, "2026-11-22 10:00:00")
	ctx := t.Context()
	kind := func(what string, err error, want strait.Kind) {
		t.Helper()
		if err == nil || strait.KindOf(err) != want {
			t.Errorf("%s: %v, want kind %d", what, err, want)
		}
	}
	s := h.timer("a", "cron(0 0 1 1 ? *)")
	h.create(s)
	kind("the same again", h.Create(ctx, s), strait.Exists)
	for what, change := range map[string]func(*schedule.Schedule){
		"a name":        func(s *schedule.Schedule) { s.Name = "a b" },
		"no name":       func(s *schedule.Schedule) { s.Name = "" },
		"an expression": func(s *schedule.Schedule) { s.Expression = "cron(* * * * * *)" },
		"a zone":        func(s *schedule.Schedule) { s.Zone = "Mars/Base" },
		"a path":        func(s *schedule.Schedule) { s.Zone = "../../etc/passwd" },
		"the host's":    func(s *schedule.Schedule) { s.Zone = "Local" },
		"bounds":        func(s *schedule.Schedule) { s.Start, s.End = h.now, h.now },
		"a window":      func(s *schedule.Schedule) { s.Window = 25 * time.Hour },
		"a description": func(s *schedule.Schedule) { s.Description = strings.Repeat("x", 513) },
	} {
		c := s
		c.Name = "b"
		change(&c)
		kind(what, h.Create(ctx, c), strait.Invalid)
	}
	large := s
	large.Name, large.Targets = "large", []schedule.Target{{Input: strings.Repeat("x", 256<<10)}, {Input: strings.Repeat("x", 256<<10)}}
	kind("large inputs", h.Create(ctx, large), strait.TooLarge)
	if err := h.Change(ctx, s.Key, func(s *schedule.Schedule) error { s.Expression = "x"; return nil }); strait.KindOf(err) != strait.Invalid {
		t.Errorf("a change to what cannot be: %v", err)
	}
	got, err := h.Get(s.Key)
	if err != nil || got.Expression != s.Expression || !got.Created.Equal(h.now) {
		t.Errorf("got %+v, %v", got, err)
	}
	// Groups.
	inGroup := s
	inGroup.Group = "g"
	kind("no such group", h.Create(ctx, inGroup), strait.NotFound)
	if err := h.CreateGroup(ctx, schedule.Group{Name: "g", Tags: map[string]string{"k": "v"}, Token: "t"}); err != nil {
		t.Fatal(err)
	}
	kind("the group again", h.CreateGroup(ctx, schedule.Group{Name: "g"}), strait.Exists)
	kind("the default", h.CreateGroup(ctx, schedule.Group{Name: "default"}), strait.Exists)
	kind("a name", h.CreateGroup(ctx, schedule.Group{Name: "g/h"}), strait.Invalid)
	h.create(inGroup)
	if all, one := h.List("timer", ""), h.List("timer", "g"); len(all) != 2 || len(one) != 1 || one[0].Group != "g" || len(h.List("other", "")) != 0 {
		t.Errorf("listed %v and %v", all, one)
	}
	h.close()
	h.open()
	if g, err := h.Group("g"); err != nil || g.Tags["k"] != "v" || len(h.Groups()) != 2 {
		t.Errorf("the group after a restart: %+v, %v", g, err)
	}
	if err := h.DeleteGroup(ctx, "timer", "g", ""); err != nil {
		t.Fatal(err)
	}
	kind("in a deleted group", h.Change(ctx, inGroup.Key, func(*schedule.Schedule) error { return nil }), strait.NotFound)
	kind("the default group", h.DeleteGroup(ctx, "timer", "default", ""), strait.Invalid)
	kind("a group twice", h.DeleteGroup(ctx, "timer", "g", ""), strait.NotFound)
	if err := h.Delete(ctx, s.Key, ""); err != nil {
		t.Fatal(err)
	}
	kind("twice", h.Delete(ctx, s.Key, ""), strait.NotFound)
	if f, err := h.s.List(ctx, "schedule/", "", 0); err != nil || len(f) != 0 {
		t.Errorf("%d facts are left (%v)", len(f), err)
	}
}

// A client that lost the answer to a creation asks for it once more, with the
// same token; another one's creation stays refused. Both outlive a restart.
func TestCreatedOnce(t *testing.T) {
	h := start(t, "2026-01-01 00:00:00")
	ctx := context.Background()
	s := schedule.Schedule{
		Key: schedule.Key{Family: "timer", Group: "g", Name: "a"}, Expression: "rate(5 minutes)", Token: "t",
		Start: h.now.Add(time.Hour), Targets: []schedule.Target{{ID: "1", ARN: "arn:x", Input: "{}"}},
	}
	g := schedule.Group{Name: "g", Tags: map[string]string{"k": "v"}, Token: "t"}
	for range 2 { // before and after a restart
		for range 2 {
			if err := h.CreateGroup(ctx, g); err != nil {
				t.Errorf("the group once more: %v", err)
			}
			if err := h.Create(ctx, s); err != nil {
				t.Errorf("the schedule once more: %v", err)
			}
		}
		for what, change := range map[string]func(*schedule.Schedule){
			"without a token": func(s *schedule.Schedule) { s.Token = "" },
			"another token":   func(s *schedule.Schedule) { s.Token = "u" },
			"something else":  func(s *schedule.Schedule) { s.Expression = "rate(6 minutes)" },
		} {
			c := s
			change(&c)
			if err := h.Create(ctx, c); strait.KindOf(err) != strait.Exists {
				t.Errorf("%s: %v, want that it exists", what, err)
			}
		}
		other := g
		other.Tags = nil
		if err := h.CreateGroup(ctx, other); strait.KindOf(err) != strait.Exists {
			t.Errorf("a group with other tags: %v, want that it exists", err)
		}
		h.close()
		h.open()
	}
}
