package local_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"strait/state"
	"strait/state/local"
)

// BenchmarkDurableWrites compares one fact of 256 bytes written by each of 64
// writers with what it costs to append 256 bytes to a file and fsync, one after
// the other. Read it as a ratio of the two in one run.
func BenchmarkDurableWrites(b *testing.B) {
	value := make([]byte, 256)
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("apply/writers=%d", writers), func(b *testing.B) {
			s := open(b, b.TempDir(), local.Options{})
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for {
						n := next.Add(1)
						if n > int64(b.N) {
							return
						}
						if _, err := s.Apply(context.Background(), state.Write{Key: fmt.Sprintf("queue/%09d", n), Value: value}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
		})
	}
	b.Run("append+fsync", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "log"))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		for b.Loop() {
			if _, err := f.Write(value); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
	})
}

// BenchmarkGet compares a hot fact with one that must be read from SQLite.
func BenchmarkGet(b *testing.B) {
	for name, opts := range map[string]local.Options{"hot": {}, "cold": {CacheBytes: 1}} {
		b.Run(name, func(b *testing.B) {
			s := open(b, b.TempDir(), opts)
			for i := range 1000 {
				if _, err := s.Apply(b.Context(), state.Write{Key: fmt.Sprint(i % 100), Value: make([]byte, 256)}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				ctx := context.Background()
				for pb.Next() {
					if _, err := s.Get(ctx, "42"); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkList lists a page of 100 facts among 20,000.
func BenchmarkList(b *testing.B) {
	s := open(b, b.TempDir(), local.Options{})
	for i := range 20 {
		var writes []state.Write
		for k := range 1000 {
			writes = append(writes, state.Write{Key: fmt.Sprintf("%02d/%03d", i, k), Value: make([]byte, 100)})
		}
		if _, err := s.Apply(b.Context(), writes...); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if l, err := s.List(b.Context(), "07/", "07/100", 100); err != nil || len(l) != 100 {
			b.Fatal(len(l), err)
		}
	}
}
