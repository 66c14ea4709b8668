package md5lanes_test

import (
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"strait/object/md5lanes"
)

// frames counts those that are out, and spoils what comes back: nobody may read
// from it any more.
type frames struct{ out atomic.Int64 }

func (f *frames) pool() *md5lanes.Pool {
	return md5lanes.New(func(b *[]byte) {
		f.out.Add(-1)
		for i := range *b {
			(*b)[i] = 0xee
		}
	})
}

func (f *frames) add(d *md5lanes.Digest, data []byte) {
	f.out.Add(1)
	b := append(append([]byte{}, data...), 1, 2, 3, 4)
	d.Add(&b, len(data))
}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

func TestLanesAreUsed(t *testing.T) {
	if runtime.GOARCH == "amd64" && !md5lanes.Able() {
		t.Skip("this processor has no AVX2")
	}
	if md5lanes.Able() && !md5lanes.Proven() {
		t.Error("lanes do not come to what crypto/md5 comes to")
	}
}

// Any number of streams, given in pieces of any length in any order, asked for
// or abandoned at any time, have the sums that crypto/md5 gives, and all frames
// come back.
func FuzzInterleaved(f *testing.F) {
	f.Add([]byte{8, 0, 255, 1, 255, 2, 255, 3, 255, 4, 255, 0, 255, 1, 254, 2, 3})
	f.Add([]byte{2, 0, 9, 1, 9, 0, 0, 1, 255, 0, 64, 1, 64})
	f.Add([]byte{20, 1, 100, 17, 100, 3, 128, 5, 127, 1, 200})
	data := noise(1, 1<<20)
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) == 0 || len(script) > 2000 {
			return
		}
		var fr frames
		p := fr.pool()
		n := int(script[0])%20 + 1
		digests := make([]*md5lanes.Digest, n)
		plain := make([][]byte, n)
		for i := range digests {
			digests[i] = p.Open()
			defer digests[i].Close()
		}
		for at := 1; at+1 < len(script); at += 2 {
			i, size := int(script[at])%n, int(script[at+1])
			switch {
			case size == 13: // asked for in between
				if got, want := digests[i].Sum(), md5.Sum(plain[i]); got != want {
					t.Fatalf("stream %d after %d bytes: %x, not %x", i, len(plain[i]), got, want)
				}
				continue
			case size == 14: // abandoned, and another one in its place
				digests[i].Close()
				digests[i] = p.Open()
				defer digests[i].Close()
				plain[i] = nil
				continue
			case size > 128:
				size = (size - 128) * 64 * 3
			}
			from := (at * 7919) % (len(data) - size)
			fr.add(digests[i], data[from:from+size])
			plain[i] = append(plain[i], data[from:from+size]...)
		}
		for i := range digests {
			if got, want := digests[i].Sum(), md5.Sum(plain[i]); got != want {
				t.Fatalf("stream %d of %d bytes: %x, not %x", i, len(plain[i]), got, want)
			}
			digests[i].Close()
		}
		if n := fr.out.Load(); n != 0 {
			t.Fatalf("%d frames did not come back", n)
		}
		if n := p.Waiting(); n != 0 {
			t.Fatalf("%d streams are still known", n)
		}
	})
}

// Many goroutines, of which some break off and some panic, get their own sums,
// and nothing is left.
func TestManyAtOnce(t *testing.T) {
	var fr frames
	p := fr.pool()
	data := noise(2, 1<<20)
	var g sync.WaitGroup
	for i := range 40 {
		g.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 7))
			for range 6 {
				one(t, r, &fr, p, data)
			}
		})
	}
	g.Wait()
	if n := fr.out.Load(); n != 0 {
		t.Errorf("%d frames did not come back", n)
	}
	if n := p.Waiting(); n != 0 {
		t.Errorf("%d streams are still known", n)
	}
}

func one(t *testing.T, r *rand.Rand, fr *frames, p *md5lanes.Pool, data []byte) {
	defer func() {
		if v := recover(); v != nil && v != "as planned" {
			panic(v)
		}
	}()
	d := p.Open()
	defer d.Close()
	h := md5.New()
	for range r.IntN(12) {
		size := []int{r.IntN(200), 64 * r.IntN(64), 32 << 10, 64 << 10}[r.IntN(4)]
		from := r.IntN(len(data) - size)
		h.Write(data[from : from+size])
		fr.add(d, data[from:from+size])
		switch r.IntN(40) {
		case 0:
			return
		case 1:
			panic("as planned")
		}
	}
	if got := d.Sum(); string(got[:]) != string(h.Sum(nil)) {
		t.Errorf("%x, not %x", got, h.Sum(nil))
	}
}

// What is held is bounded: a stream that goes on alone among others that stand
// still keeps no more than a few frames.
func TestFramesAreBounded(t *testing.T) {
	var fr frames
	p := fr.pool()
	idle := p.Open()
	defer idle.Close()
	fr.add(idle, noise(3, 4096))
	d := p.Open()
	defer d.Close()
	data := noise(4, 8192)
	for range 100 {
		fr.add(d, data)
		if n := fr.out.Load(); n > 1+md5lanes.Ahead {
			t.Fatalf("%d frames are held", n)
		}
	}
}

// Against crypto/md5: bytes of so many streams, by one goroutine each.
func BenchmarkStreams(b *testing.B) {
	const size, frame = 4 << 20, 128 << 10
	data := noise(5, size)
	for _, n := range []int{1, 2, 3, 4, 8, 16} {
		for _, lanes := range []bool{false, true} {
			b.Run(fmt.Sprintf("streams=%d/lanes=%v", n, lanes), func(b *testing.B) {
				pool := sync.Pool{New: func() any { v := make([]byte, frame); return &v }}
				p := md5lanes.New(func(f *[]byte) { pool.Put(f) })
				b.SetBytes(int64(n) * size)
				before := processorTime()
				for b.Loop() {
					var g sync.WaitGroup
					for range n {
						g.Go(func() {
							h, d := md5.New(), p.Open()
							defer d.Close()
							for at := 0; at < size; at += frame {
								f := pool.Get().(*[]byte)
								copy(*f, data[at:])
								if lanes {
									d.Add(f, frame)
								} else {
									h.Write(*f)
									pool.Put(f)
								}
							}
							d.Sum()
						})
					}
					g.Wait()
				}
				b.ReportMetric((processorTime()-before).Seconds()*(1<<30)/float64(b.N*n*size), "CPU-s/GiB")
			})
		}
	}
}

// processorTime is what this process has used: on a busy machine it says more
// than the clock.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
