package authz_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strait"
	"strait/authz"
)

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Many refusals of one client, in requests and on topics that are all
// different, leave the memory bounded: the recorder holds a share of them.
func TestFloodMemory(t *testing.T) {
	if race {
		t.Skip("too slow with the race detector")
	}
	h := open(t)
	c := h.device("mallory", doc(allow("iot:Connect", "*")))
	flood := func(n int) {
		g := h.Guard(*c)
		for i := range n {
			if i%100 == 0 {
				h.clock = h.clock.Add(time.Millisecond) // 100,000 a second
			}
			g.Check("Publish", "iot:Publish", place.IoT(fmt.Sprint("topic/", i)), "", true, nil)
		}
	}
	flood(5_000) // its share is full
	before := heap()
	flood(30_000)
	grown := heap() - before
	t.Logf("the heap grew by %d KiB in 30,000 refusals after the first 5,000", grown>>10)
	if grown > 4<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
}

// BenchmarkFlood measures what others feel of a client that is refused 100,000
// times a second: the p99 of their allowed checks, quiet and in the flood,
// interleaved, and the ratio of the medians. The clock is the machine's.
func BenchmarkFlood(b *testing.B) {
	h := open(b)
	h.Authorizer.Now = time.Now
	h.Recorder = authz.NewRecorder(time.Now)
	l := h.keep(b.TempDir(), authz.LogLimits{})
	defer l.Close()
	bob := h.Guard(*h.device("bob", doc(allow("iot:*", "*"))))
	mallory := h.Guard(*h.device("mallory", doc(allow("iot:Connect", "*"))))
	topic := place.IoT("topic/a")
	p99 := func() time.Duration {
		times := make([]time.Duration, 0, 20_000)
		for i := range cap(times) {
			start := time.Now()
			// Every tenth belongs to a story and is recorded.
			if err := bob.Check("Publish", "iot:Publish", topic, fmt.Sprint("t", i), i%10 == 0, nil); err != nil {
				b.Fatal(err)
			}
			times = append(times, time.Since(start))
			if i%100 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		slices.Sort(times)
		return times[len(times)*99/100]
	}
	var ratios, quiets, floods []float64
	var refused atomic.Int64
	var took time.Duration
	for b.Loop() {
		quiet := p99()
		stop := make(chan struct{})
		var done sync.WaitGroup
		begin := time.Now()
		done.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				mallory.Check("Publish", "iot:Publish", place.IoT(fmt.Sprint("topic/", n%512)), "", true, nil)
				refused.Add(1)
				// No more than 100,000 a second.
				if ahead := time.Duration(n)*10*time.Microsecond - time.Since(begin); ahead > time.Millisecond {
					time.Sleep(ahead)
				}
			}
		})
		loud := p99()
		close(stop)
		done.Wait()
		took += time.Since(begin)
		quiets, floods = append(quiets, float64(quiet.Nanoseconds())), append(floods, float64(loud.Nanoseconds()))
		ratios = append(ratios, float64(loud)/float64(max(quiet, 1)))
	}
	median := func(xs []float64) float64 { slices.Sort(xs); return xs[len(xs)/2] }
	b.ReportMetric(float64(refused.Load())/took.Seconds(), "refusals/s")
	b.ReportMetric(median(quiets), "quiet-p99-ns")
	b.ReportMetric(median(floods), "flood-p99-ns")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(float64(heap())/(1<<20), "heap-MiB")
}

// BenchmarkRefusal is what one refusal costs, with all reasons and recorded.
func BenchmarkRefusal(b *testing.B) {
	h := open(b)
	g := h.Guard(*h.device("mallory", doc(allow("iot:Connect", "*"))))
	var resources []strait.ARN
	for i := range 1000 {
		resources = append(resources, place.IoT(fmt.Sprint("topic/", i)))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		g.Check("Publish", "iot:Publish", resources[i%1000], "", true, nil)
	}
}
