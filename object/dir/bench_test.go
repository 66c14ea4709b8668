package dir_test

import (
	"bytes"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"strait/object"
	"strait/object/dir"
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
