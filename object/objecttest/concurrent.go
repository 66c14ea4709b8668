package objecttest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"strait"
	"strait/object"
)

// stamped makes n bytes that say of themselves whether they are whole.
func stamped(seed uint64, n int) []byte {
	b := make([]byte, 16+n)
	binary.BigEndian.PutUint64(b, seed)
	binary.BigEndian.PutUint64(b[8:], uint64(n))
	var key [32]byte
	copy(key[:], b)
	rand.NewChaCha8(key).Read(b[16:])
	return b
}

func whole(b []byte) bool {
	return len(b) >= 16 && bytes.Equal(b, stamped(binary.BigEndian.Uint64(b), int(binary.BigEndian.Uint64(b[8:]))))
}

// concurrent lets many put, get, list and delete a few keys: whoever reads
// finds one whole version or none.
func concurrent(s *stage) {
	var seed atomic.Uint64
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 9))
			for range 25 {
				key := fmt.Sprint("k", r.IntN(4))
				switch r.IntN(8) {
				case 0:
					if err := s.Delete(s.ctx, "bucket", key, object.DeleteOptions{}); err != nil {
						s.Errorf("delete: %v", err)
					}
				case 1, 2, 3:
					info, rd, err := s.Get(s.ctx, "bucket", key)
					if strait.KindOf(err) == strait.NotFound && err != nil {
						continue
					}
					if err != nil {
						s.Errorf("get: %v", err)
						continue
					}
					b, err := io.ReadAll(rd)
					if strait.KindOf(err) == strait.Unavailable && len(b) == 0 {
						rd.Close() // a home elsewhere could not hold it
						continue
					}
					if err != nil || !whole(b) || etag(b) != info.ETag {
						s.Errorf("read %d bytes of %+v: %v", len(b), info, err)
					}
					rd.Close()
				case 4:
					if _, err := s.List(s.ctx, "bucket", object.Query{}); err != nil {
						s.Errorf("list: %v", err)
					}
				default:
					b := stamped(seed.Add(1), r.IntN(300_000)*r.IntN(2))
					if _, err := s.Put(s.ctx, "bucket", key, bytes.NewReader(b), unknown()); err != nil {
						s.Errorf("put: %v", err)
					}
				}
			}
		})
	}
	all.Wait()
}

// concurrentConditions: of many who create only what is not there, one wins.
func concurrentConditions(s *stage) {
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			o := object.PutOptions{Size: -1, IfNoneMatch: true}
			_, err := s.Put(s.ctx, "bucket", "k", bytes.NewReader(stamped(uint64(i), 10)), o)
			if err == nil {
				won.Add(1)
				return
			}
			s.refused("put", err, strait.Precondition, "if-none-match")
		})
	}
	all.Wait()
	if won.Load() != 1 {
		s.Errorf("%d have created it, want 1", won.Load())
	}
}

// concurrentComplete: parts that are overwritten while the upload is being
// completed are in it as a whole, or not at all; those who complete it at the
// same time get the same answer.
func concurrentComplete(s *stage) {
	for round := range 8 {
		u := s.begin("k", object.UploadOptions{})
		a, b := stamped(uint64(round), 1000), stamped(uint64(round), 2000)
		pa := s.part(u, 1, a)
		pb := object.CompletePart{Number: 1, ETag: etag(b)}
		var all sync.WaitGroup
		var done [3]object.CompletePart
		all.Go(func() {
			_, err := s.PutPart(s.ctx, "bucket", "k", u.ID, 1, bytes.NewReader(b), unknown())
			if err != nil {
				s.refused("part", err, strait.NotFound, "upload")
			}
		})
		for i, p := range []object.CompletePart{pa, pb, pa} {
			all.Go(func() {
				info, err := s.complete(u, p)
				if err == nil {
					done[i] = p
					if info.ETag != tag(a) && p == pa || info.ETag != tag(b) && p == pb {
						s.Errorf("complete: got %+v", info)
					}
					return
				}
				var e *strait.Error
				if !errors.As(err, &e) || e.Thing != "part" && e.Thing != "upload" {
					s.Errorf("complete: %v", err)
				}
			})
		}
		all.Wait()
		switch none := (object.CompletePart{}); {
		case done[1] != none:
			s.holds("k", b)
			if done[0] != none || done[2] != none {
				s.Error("an upload was completed in two ways")
			}
		case done[0] != none || done[2] != none:
			s.holds("k", a)
		default: // overwritten after pb had looked, before pa did
			if err := s.Abort(s.ctx, "bucket", "k", u.ID); err != nil {
				s.Error(err)
			}
		}
	}
}
