// Package metric counts what a running server does and writes it as text that
// Prometheus reads (exposition format 0.0.4).
//
// A Set holds families: a Counter and a Histogram are counted up where things
// happen, a Read is asked when somebody reads. Counting takes no lock. The
// number of series of a family is bounded, so that nobody who chooses a
// label's value can fill the memory.
//
// It is a room of our own because a server must start within 150 ms and stay
// small; see docs/decisions.
//
// Begin with Set.
package metric

import (
	"bufio"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Set is what one server shows. Families are added before it is read.
type Set struct {
	mu       sync.Mutex
	families []family
}

type family interface {
	write(w *text)
}

func (s *Set) add(f family) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.families = append(s.families, f)
}

// WriteTo writes all families, in the order in which they were added.
func (s *Set) WriteTo(w io.Writer) (int64, error) {
	s.mu.Lock()
	families := slices.Clone(s.families)
	s.mu.Unlock()
	t := &text{w: bufio.NewWriter(w)}
	for _, f := range families {
		f.write(t)
	}
	err := t.w.Flush()
	return t.n, err
}

// maxSeries bounds the series of a family; what comes beyond is counted in one
// whose labels are all "other".
const maxSeries = 2000

// A head is what all families have.
type head struct {
	name, help, kind string
	labels           []string
}

// series are the values of a family by their labels.
type series[T any] struct {
	head
	mu   sync.RWMutex
	all  map[string]*T // by the values of the labels, joined
	make func() *T
}

const joint = "\x00"

// with returns the value for labels, made when it is new.
func (s *series[T]) with(values []string) *T {
	if len(values) != len(s.labels) {
		panic("metric: " + s.name + " has other labels") // a mistake in the code
	}
	key := strings.Join(values, joint)
	s.mu.RLock()
	v := s.all[key]
	s.mu.RUnlock()
	if v != nil {
		return v
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.all[key]; v != nil {
		return v
	}
	if len(s.all) >= maxSeries {
		other := strings.TrimSuffix(strings.Repeat("other"+joint, len(s.labels)), joint)
		if s.all[other] == nil {
			s.all[other] = s.make()
		}
		return s.all[other]
	}
	v = s.make()
	s.all[strings.Clone(key)] = v
	return v
}

// each calls fn for every value, sorted by labels.
func (s *series[T]) each(fn func(values []string, v *T)) {
	s.mu.RLock()
	keys := make([]string, 0, len(s.all))
	for k := range s.all {
		keys = append(keys, k)
	}
	s.mu.RUnlock()
	slices.Sort(keys)
	for _, k := range keys {
		s.mu.RLock()
		v := s.all[k]
		s.mu.RUnlock()
		var values []string
		if len(s.labels) > 0 {
			values = strings.Split(k, joint)
		}
		fn(values, v)
	}
}

// A Counter only goes up.
type Counter struct{ s series[atomic.Uint64] }

// Counter adds a counter with labels.
func (s *Set) Counter(name, help string, labels ...string) *Counter {
	c := &Counter{series[atomic.Uint64]{head: head{name, help, "counter", labels}, all: map[string]*atomic.Uint64{}, make: func() *atomic.Uint64 { return new(atomic.Uint64) }}}
	s.add(c)
	return c
}

// Add counts n of what the labels' values say.
func (c *Counter) Add(n uint64, values ...string) { c.s.with(values).Add(n) }

func (c *Counter) write(w *text) {
	w.head(c.s.head)
	c.s.each(func(values []string, v *atomic.Uint64) { w.sample(c.s.name, c.s.labels, values, "", float64(v.Load())) })
}

// A Histogram says how long things take.
type Histogram struct{ s series[buckets] }

type buckets struct {
	counts []atomic.Uint64 // one more than bounds
	nanos  atomic.Uint64
}

// bounds are the upper bounds of buckets, from what memory takes to what a
// client waits for.
var bounds = []time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// Histogram adds a histogram of durations, in seconds.
func (s *Set) Histogram(name, help string, labels ...string) *Histogram {
	h := &Histogram{series[buckets]{head: head{name, help, "histogram", labels}, all: map[string]*buckets{}, make: func() *buckets {
		return &buckets{counts: make([]atomic.Uint64, len(bounds)+1)}
	}}}
	s.add(h)
	return h
}

// Observe counts one thing that took d.
func (h *Histogram) Observe(d time.Duration, values ...string) {
	b := h.s.with(values)
	i, _ := slices.BinarySearch(bounds, d)
	b.counts[i].Add(1)
	b.nanos.Add(uint64(max(d, 0)))
}

func (h *Histogram) write(w *text) {
	w.head(h.s.head)
	h.s.each(func(values []string, b *buckets) {
		n := uint64(0)
		for i := range b.counts {
			n += b.counts[i].Load()
			le := math.Inf(1)
			if i < len(bounds) {
				le = bounds[i].Seconds()
			}
			w.sample(h.s.name+"_bucket", append(slices.Clone(h.s.labels), "le"), append(slices.Clone(values), number(le)), "", float64(n))
		}
		w.sample(h.s.name, h.s.labels, values, "_sum", time.Duration(b.nanos.Load()).Seconds())
		w.sample(h.s.name, h.s.labels, values, "_count", float64(n))
	})
}

// A reading is a family that is asked for when it is read.
type reading struct {
	head
	read func(tell func(value float64, labels ...string))
}

// Gauge adds what goes up and down; read tells the values there are now.
func (s *Set) Gauge(name, help string, read func(tell func(value float64, labels ...string)), labels ...string) {
	s.add(&reading{head{name, help, "gauge", labels}, read})
}

// Count adds counters that are kept elsewhere; read tells their values.
func (s *Set) Count(name, help string, read func(tell func(value float64, labels ...string)), labels ...string) {
	s.add(&reading{head{name, help, "counter", labels}, read})
}

func (r *reading) write(w *text) {
	w.head(r.head)
	r.read(func(value float64, values ...string) {
		if len(values) == len(r.labels) {
			w.sample(r.name, r.labels, values, "", value)
		}
	})
}

// text writes lines of the format.
type text struct {
	w *bufio.Writer
	n int64
}

func (t *text) put(parts ...string) {
	for _, p := range parts {
		n, _ := t.w.WriteString(p) // Flush has the error
		t.n += int64(n)
	}
}

var (
	helpEscapes  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func (t *text) head(h head) {
	t.put("# HELP ", h.name, " ", helpEscapes.Replace(h.help), "\n# TYPE ", h.name, " ", h.kind, "\n")
}

func (t *text) sample(name string, labels, values []string, suffix string, v float64) {
	t.put(name, suffix)
	for i, l := range labels {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		t.put(sep, l, `="`, labelEscapes.Replace(strings.ToValidUTF8(values[i], "\uFFFD")), `"`)
	}
	if len(labels) > 0 {
		t.put("}")
	}
	t.put(" ", number(v), "\n")
}

func number(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
