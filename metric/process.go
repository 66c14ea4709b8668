package metric

import (
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// Process adds what every process has to show, by the usual names.
func (s *Set) Process(start time.Time) {
	one := func(f func() (float64, bool)) func(func(float64, ...string)) {
		return func(tell func(float64, ...string)) {
			if v, ok := f(); ok {
				tell(v)
			}
		}
	}
	s.Gauge("process_start_time_seconds", "When the server was started, in Unix seconds.", one(func() (float64, bool) { return float64(start.UnixMilli()) / 1000, true }))
	s.Gauge("process_resident_memory_bytes", "Resident memory.", one(resident))
	s.Gauge("process_open_fds", "Open file descriptors.", one(files))
	s.Count("process_cpu_seconds_total", "User and system CPU time.", one(cpu))
	s.Gauge("go_goroutines", "Goroutines.", one(func() (float64, bool) { return float64(runtime.NumGoroutine()), true }))
	s.Gauge("go_memory_heap_bytes", "Bytes of live and not yet collected objects.", one(func() (float64, bool) { return sampled("/memory/classes/heap/objects:bytes") }))
	s.Count("go_gc_cycles_total", "Completed garbage collections.", one(func() (float64, bool) { return sampled("/gc/cycles/total:gc-cycles") }))
}

func sampled(name string) (float64, bool) {
	m := []metrics.Sample{{Name: name}}
	metrics.Read(m)
	if m[0].Value.Kind() != metrics.KindUint64 {
		return 0, false
	}
	return float64(m[0].Value.Uint64()), true
}

// The rest is Linux's; elsewhere these have no value.

func resident() (float64, bool) {
	b, err := os.ReadFile("/proc/self/statm")
	f := strings.Fields(string(b))
	if err != nil || len(f) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseFloat(f[1], 64)
	return pages * float64(os.Getpagesize()), err == nil
}

func files() (float64, bool) {
	d, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0, false
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	return float64(len(names) - 1), err == nil // d is among them
}

// ticks is what Linux counts CPU time in; it tells user space nothing else.
const ticks = 100

func cpu() (float64, bool) {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, false
	}
	// The name in parentheses may hold anything.
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 13 {
		return 0, false
	}
	user, err1 := strconv.ParseFloat(f[11], 64)
	system, err2 := strconv.ParseFloat(f[12], 64)
	return (user + system) / ticks, err1 == nil && err2 == nil
}
