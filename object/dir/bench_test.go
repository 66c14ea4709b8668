package dir_test

import (
	"bytes"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"strait/object"
	"strait/object/dir"
	"strait/state"
)

// Durable puts by many at once.
func BenchmarkPut(b *testing.B) {
	for _, c := range []struct{ size, writers int }{{4 << 10, 2}, {4 << 10, 64}, {8 << 20, 2}, {8 << 20, 8}} {
		b.Run(fmt.Sprintf("size=%d/writers=%d", c.size, c.writers), func(b *testing.B) {
			s := openStore(b, b.TempDir(), openFacts(b, b.TempDir()), dir.Options{})
			if err := s.CreateBucket(b.Context(), "bucket", ""); err != nil {
				b.Fatal(err)
			}
			body := make([]byte, c.size)
			var n atomic.Int64
			b.SetBytes(int64(c.size))
			b.SetParallelism(max(1, c.writers/runtime.GOMAXPROCS(0)))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					key := fmt.Sprint(n.Add(1) % 50)
					if _, err := s.Put(b.Context(), "bucket", key, bytes.NewReader(body), object.PutOptions{Size: -1}); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// Opening a directory with many objects: their records are one and the same
// under many names, which opening does not mind.
func BenchmarkOpen(b *testing.B) {
	const objects, batch = 200_000, 1000
	facts, path := openFacts(b, b.TempDir()), b.TempDir()
	s := openStore(b, path, facts, dir.Options{})
	if err := s.CreateBucket(b.Context(), "bucket", ""); err != nil {
		b.Fatal(err)
	}
	o := object.PutOptions{Size: -1, Meta: object.Meta{ContentType: "application/octet-stream", User: map[string]string{"thing": "device00"}}}
	if _, err := s.Put(b.Context(), "bucket", "k", bytes.NewReader(make([]byte, 4<<10)), o); err != nil {
		b.Fatal(err)
	}
	record, err := facts.Get(b.Context(), "object/o/bucket\x00k")
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < objects; i += batch {
		writes := make([]state.Write, batch)
		for j := range writes {
			writes[j] = state.Write{Key: fmt.Sprintf("object/o/bucket\x00device%05d/2026-01-01/%d", (i+j)%3000, i+j), Value: record.Value}
		}
		if _, err := facts.Apply(b.Context(), writes...); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := dir.Open(path, facts, dir.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N)*1e6/objects, "ms/million")
}
