package metric_test

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"strait/metric"
)

func written(t *testing.T, s *metric.Set) string {
	t.Helper()
	var b strings.Builder
	n, err := s.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo: %d of %d bytes, %v", n, b.Len(), err)
	}
	return b.String()
}

func TestText(t *testing.T) {
	s := &metric.Set{}
	c := s.Counter("a_total", "What \\ is\ncounted.", "kind", "verdict")
	c.Add(2, `quo"te`, "new\nline")
	c.Add(3, "b", `back\slash`)
	c.Add(1, "b", `back\slash`)
	h := s.Histogram("h_seconds", "How long.")
	for _, d := range []time.Duration{0, 50 * time.Microsecond, 51 * time.Microsecond, time.Minute} {
		h.Observe(d)
	}
	s.Gauge("g", "Now.", func(tell func(float64, ...string)) { tell(1.5); tell(1, "a label too many") })
	got := written(t, s)
	for _, want := range []string{
		"# HELP a_total What \\\\ is\\ncounted.\n# TYPE a_total counter\n",
		"a_total{kind=\"b\",verdict=\"back\\\\slash\"} 4\n", "a_total{kind=\"quo\\\"te\",verdict=\"new\\nline\"} 2\n",
		"# TYPE h_seconds histogram\nh_seconds_bucket{le=\"5e-05\"} 2\nh_seconds_bucket{le=\"0.0001\"} 3\n", "h_seconds_bucket{le=\"30\"} 3\nh_seconds_bucket{le=\"+Inf\"} 4\nh_seconds_sum 60.000101\nh_seconds_count 4\n",
		"# TYPE g gauge\ng 1.5\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nlacks %q", got, want)
		}
	}
	line := regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="([^"\\]|\\.)*",?)+\})? [0-9.e+-]+)$`)
	for l := range strings.Lines(got) {
		if !line.MatchString(strings.TrimSuffix(l, "\n")) {
			t.Errorf("no line of the format: %q", l)
		}
	}
}

// TestSeriesAreBounded: whoever chooses labels cannot fill the memory.
func TestSeriesAreBounded(t *testing.T) {
	s := &metric.Set{}
	c := s.Counter("a_total", "x", "name", "more")
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 2000 {
				c.Add(1, fmt.Sprint(g, i), "y")
			}
		})
	}
	all.Wait()
	got := written(t, s)
	if n := strings.Count(got, "\n"); n > 2003 {
		t.Errorf("%d lines", n)
	}
	if !strings.Contains(got, "a_total{name=\"other\",more=\"other\"} 6000\n") {
		t.Error("what is beyond the bound is not counted")
	}
}

func TestProcess(t *testing.T) {
	s := &metric.Set{}
	s.Process(time.Unix(1700000000, 0))
	got := written(t, s)
	for _, want := range []string{"\nprocess_start_time_seconds 1.7e+09\n", "\ngo_goroutines ", "\ngo_memory_heap_bytes "} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nlacks %q", got, want)
		}
	}
}
