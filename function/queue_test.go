package function_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"strait/function"
)

// recorder is a native function that fails as often as it is told.
type recorder struct {
	mu    sync.Mutex
	fail  int
	seen  []string
	ids   []string
	block chan struct{}
}

func (r *recorder) run(ctx context.Context, inv function.Invocation) ([]byte, error) {
	r.mu.Lock()
	block := r.block
	r.seen, r.ids = append(r.seen, string(inv.Event)), append(r.ids, inv.RequestID)
	fail := r.fail > 0
	r.fail--
	r.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if fail {
		return nil, context.DeadlineExceeded
	}
	return []byte("null"), nil
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

func queueHouse(t *testing.T, r *recorder) *house {
	h := open(t, func(c *function.Config) {
		c.Natives = map[string]function.Native{"record": r.run}
		c.Backoff = func(n int) time.Duration { return time.Duration(n) * 10 * time.Millisecond }
	})
	if _, err := h.Create(context.Background(), spec("q", "provided.al2023", ""), zipOf(t, file{"strait-native", 0o644, "record"})); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) stored(t *testing.T) int {
	t.Helper()
	items, err := h.cfg.Store.List(context.Background(), "function/q/", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := h.cfg.Store.List(context.Background(), "function/p/", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return len(items) + len(parts)
}

func TestQueueRetries(t *testing.T) {
	t.Parallel()
	r := &recorder{fail: 2}
	h := queueHouse(t, r)
	id, err := h.Enqueue(context.Background(), "q", []byte(`{"name":"device00"}`), "story")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the queue is empty", func() bool { return h.stored(t) == 0 })
	if r.count() != 3 || r.ids[0] != id || r.ids[2] != id || r.seen[2] != `{"name":"device00"}` {
		t.Errorf("attempts: got %v with ids %v, want 3 with id %s", r.seen, r.ids, id)
	}
	r.mu.Lock()
	r.fail = 100
	r.mu.Unlock()
	if _, err := h.Enqueue(context.Background(), "q", []byte(`1`), "story"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the event is dropped", func() bool { return len(h.told("dropped")) == 1 && h.stored(t) == 0 })
	if e := h.told("dropped")[0]; e.Trace != "story" || e.Attempt != 3 || r.count() != 6 {
		t.Errorf("dropped: got %+v after %d attempts, want attempt 3 of the trace", e, r.count()-3)
	}
}

func TestQueueSurvivesARestart(t *testing.T) {
	t.Parallel()
	r := &recorder{block: make(chan struct{})}
	h := queueHouse(t, r)
	big := `"` + strings.Repeat("x", function.MaxAsync-2) + `"` // more than a batch of the store
	for _, p := range []string{big, `"small"`} {
		if _, err := h.Enqueue(context.Background(), "q", []byte(p), ""); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both run", func() bool { return r.count() == 2 })
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	r.block, r.seen = nil, nil
	r.mu.Unlock()
	h.reopen(t)
	eventually(t, "the queue is empty after a restart", func() bool { return h.stored(t) == 0 })
	got := map[string]bool{}
	for _, s := range r.seen {
		got[s] = true
	}
	if !got[big] || !got[`"small"`] {
		t.Errorf("after a restart: %d events came, want both", len(r.seen))
	}
}

func TestQueueOfADeletedFunction(t *testing.T) {
	t.Parallel()
	r := &recorder{fail: 100}
	h := queueHouse(t, r)
	h.Close()
	h.cfg.Backoff = func(int) time.Duration { return time.Hour }
	h.reopen(t)
	if _, err := h.Enqueue(context.Background(), "q", nil, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first attempt has failed", func() bool { return len(h.told("failed")) == 1 })
	if err := h.Delete(context.Background(), "q"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its events are gone", func() bool { return h.stored(t) == 0 })
}

func TestQueueThroughAProcess(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.create(t, "p")
	for range 5 {
		data, _ := json.Marshal(do{Do: "echo"})
		if _, err := h.Enqueue(context.Background(), "p", data, ""); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the queue is empty", func() bool { return h.stored(t) == 0 })
	eventually(t, "five runs are in the log", func() bool { return strings.Count(logText(h, "p"), "END RequestId") == 5 })
}

func logText(h *house, name string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b strings.Builder
	for _, l := range h.lines {
		if l.function == name {
			b.WriteString(l.text + "\n")
		}
	}
	return b.String()
}
