package notify_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"strait"
	"strait/await"
	"strait/object"
	"strait/object/dir"
	"strait/object/notify"
	"strait/object/settings"
	"strait/state/local"
)

// A room is a store of objects and what its engine's Teller is given.
type room struct {
	t       *testing.T
	facts   *local.Store
	objects *dir.Store
	targets *settings.Kept[notify.Configuration]
	told    chan notify.Delivery
	answer  func(notify.Delivery) error
	failed  chan error
}

func (r *room) Tell(ctx context.Context, d notify.Delivery) error {
	if err := r.answer(d); err != nil {
		return err
	}
	r.told <- d
	return nil
}

func open(t *testing.T) *room {
	t.Helper()
	facts, err := local.Open(t.TempDir(), local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { facts.Close() })
	objects, err := dir.Open(t.TempDir(), facts, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { objects.Close() })
	r := &room{t: t, facts: facts, objects: objects, targets: settings.Open[notify.Configuration](facts, "notification"),
		told: make(chan notify.Delivery, 100), failed: make(chan error, 100), answer: func(notify.Delivery) error { return nil }}
	r.must(objects.CreateBucket(t.Context(), "bucket", "owner"))
	return r
}

func (r *room) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// engine opens an engine; run starts it.
func (r *room) engine(max int) *notify.Engine {
	e := notify.Open(notify.Config{Facts: r.facts, Targets: r.targets, Teller: r, First: time.Millisecond, MaxPending: max,
		Failed: func(_ notify.Delivery, err error) { r.failed <- err }})
	r.t.Cleanup(func() { e.Close() })
	return e
}

// put stores an object and notes that.
func (r *room) put(e *notify.Engine, key string) error {
	r.t.Helper()
	also, err := e.Note(r.t.Context(), "bucket", key, "ObjectCreated:Put", "trace", func(t notify.Target, i object.Info, n int64) []byte {
		return []byte(`"` + t.ID + " " + i.Key + " " + i.ETag[:4] + `"`)
	})
	if err == nil {
		_, err = r.objects.Put(r.t.Context(), "bucket", key, strings.NewReader("x"), object.PutOptions{Size: 1, Also: also})
	}
	return err
}

func (r *room) next() notify.Delivery {
	r.t.Helper()
	select {
	case d := <-r.told:
		return d
	case <-time.After(await.Patience):
		r.t.Fatal("nobody was told")
		panic("not reached")
	}
}

func (r *room) set(ts ...notify.Target) {
	r.t.Helper()
	c := notify.Configuration{Targets: ts}
	r.must(c.Valid())
	r.must(r.targets.Set(r.t.Context(), "bucket", c))
}

// emptied waits until nothing is left in the journal.
func (r *room) emptied() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), await.Patience)
	defer cancel()
	for _, err := range r.facts.Watch(ctx, "", 0) {
		r.must(err)
		if left, err := r.facts.List(ctx, "notify/", "", 1); err != nil || len(left) == 0 {
			r.must(err)
			return
		}
	}
}

// TestTold: those who want to hear of a key are told, with what is known of the
// object; the others are not.
func TestTold(t *testing.T) {
	r := open(t)
	e := r.engine(0)
	e.Run()
	r.set(notify.Target{ID: "a", Function: "fa", Events: []string{"ObjectCreated:*"}, Prefix: "in%2Fä/", Suffix: ".gz"},
		notify.Target{ID: "b", Function: "fb", Events: []string{"ObjectCreated:Put", "ObjectRemoved:*"}, Prefix: "other"},
		notify.Target{ID: "c", Function: "fc", Events: []string{"ObjectCreated:Copy"}, Prefix: "x"})
	for _, key := range []string{"in/ä/x.bin", "in/ä/x.gz", "x", "other/1"} {
		r.must(r.put(e, key))
	}
	got := map[string]notify.Delivery{}
	for range 2 {
		d := r.next()
		got[string(d.Message)] = d
	}
	for message, fn := range map[string]strait.ARN{`"a in/ä/x.gz 9dd4"`: "fa", `"b other/1 9dd4"`: "fb"} {
		if d := got[message]; d.Function != fn || d.Bucket != "bucket" || d.Trace != "trace" {
			t.Errorf("%s: got %+v", message, got)
		}
	}
	r.emptied()
	if len(r.told) > 0 {
		t.Errorf("somebody else was told: %+v", <-r.told)
	}
}

// TestRestart: what was noted is told by a later engine, if the first one did
// not come to it; what is refused for now is tried again.
func TestRestart(t *testing.T) {
	r := open(t)
	first := r.engine(0)
	r.set(notify.Target{ID: "a", Function: "fa", Events: []string{"ObjectCreated:*"}})
	asked := make(chan struct{}, 100)
	r.answer = func(notify.Delivery) error {
		asked <- struct{}{}
		return strait.Errorf(strait.Unavailable, "queue", "not now")
	}
	first.Run()
	r.must(r.put(first, "k"))
	<-asked
	<-asked
	r.must(first.Close())
	if len(r.told) > 0 {
		t.Fatal("told although it was refused")
	}
	r.answer = func(notify.Delivery) error { return nil }
	r.engine(0).Run()
	if d := r.next(); string(d.Message) != `"a k 9dd4"` {
		t.Errorf("got %s", d.Message)
	}
	r.emptied()
}

// TestGivenUp: a refusal for good is told to the house and forgotten.
func TestGivenUp(t *testing.T) {
	r := open(t)
	e := r.engine(0)
	r.set(notify.Target{ID: "a", Function: "fa", Events: []string{"ObjectCreated:*"}})
	refusal := strait.Errorf(strait.Denied, "action", "no")
	r.answer = func(notify.Delivery) error { return refusal }
	e.Run()
	r.must(r.put(e, "k"))
	if err := <-r.failed; !errors.Is(err, refusal) {
		t.Errorf("got %v", err)
	}
	r.emptied()
}

// TestFull: when too much waits, a change that somebody is to be told of is
// refused; others go on.
func TestFull(t *testing.T) {
	r := open(t)
	e := r.engine(2)
	r.set(notify.Target{ID: "a", Function: "fa", Events: []string{"ObjectCreated:*"}, Prefix: "in/"})
	stop := make(chan struct{})
	defer close(stop)
	entered := make(chan struct{}, 10)
	r.answer = func(notify.Delivery) error { entered <- struct{}{}; <-stop; return nil }
	e.Run()
	r.must(r.put(e, "in/1"))
	r.must(r.put(e, "in/2"))
	<-entered
	<-entered
	if err := r.put(e, "in/3"); strait.KindOf(err) != strait.Unavailable {
		t.Errorf("a third: %v, want Unavailable", err)
	}
	r.must(r.put(e, "out/1"))
	if _, err := r.objects.Head(t.Context(), "bucket", "in/3"); strait.KindOf(err) != strait.NotFound {
		t.Errorf("what was refused is there: %v", err)
	}
}

func TestValid(t *testing.T) {
	put := []string{"ObjectCreated:Put"}
	for _, c := range []struct {
		name string
		ts   []notify.Target
		want string
	}{
		{"two ends", []notify.Target{{ID: "a", Events: put, Suffix: ".jpg"}, {ID: "b", Events: put, Suffix: ".png"}}, ""},
		{"two events", []notify.Target{{ID: "a", Events: put}, {ID: "b", Events: []string{"ObjectCreated:Copy", "ObjectRemoved:*"}}}, ""},
		{"the same", []notify.Target{{ID: "a", Events: put}, {ID: "b", Events: put}}, "ambiguous"},
		{"all and one", []notify.Target{{ID: "a", Events: []string{"ObjectCreated:*"}, Prefix: "a"}, {ID: "b", Events: put, Prefix: "a/b"}}, "ambiguous"},
		{"one and all, encoded", []notify.Target{{ID: "a", Events: put, Prefix: "a%2Fb"}, {ID: "b", Events: []string{"ObjectCreated:*"}, Prefix: "a/"}}, "ambiguous"},
		{"one id", []notify.Target{{ID: "a", Events: put, Prefix: "a"}, {ID: "a", Events: put, Prefix: "b"}}, "Same ID"},
		{"no event", []notify.Target{{ID: "a"}}, "at least one"},
		{"unknown event", []notify.Target{{ID: "a", Events: []string{"ObjectRestore:*"}}}, "not implemented"},
		{"no such event", []notify.Target{{ID: "a", Events: []string{"ObjectCreated:Paste"}}}, "not implemented"},
		{"a long prefix", []notify.Target{{ID: "a", Events: put, Prefix: strings.Repeat("x", 1025)}}, "longer"},
	} {
		err := notify.Configuration{Targets: c.ts}.Valid()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
