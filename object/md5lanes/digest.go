package md5lanes

import (
	"crypto/md5"
	"hash"
	"runtime"
	"sync"
)

// A Digest is the MD5 of one stream. Its methods are for one goroutine at a
// time. Close it, whatever happens.
type Digest struct {
	pool *Pool
	sum  hash.Hash // crypto/md5's, which holds the state between rounds

	// Guarded by pool.mu.
	frames       []frame
	hashed       int64
	busy         bool // somebody goes on with it, and alone touches sum
	closed       bool
	idle         sync.Cond
	listed       bool
	before, next *Digest // in pool.wait
}

// A frame is bytes that are not hashed yet.
type frame struct {
	all  *[]byte
	rest []byte
}

// Open begins a stream.
func (p *Pool) Open() *Digest {
	d := &Digest{pool: p, sum: md5.New(), frames: make([]frame, 0, ahead+1)}
	d.idle.L = &p.mu
	p.mu.Lock()
	p.open++
	p.mu.Unlock()
	return d
}

// Add takes over a frame, the first n bytes of which come next. It is given
// back when they are hashed, or with Close.
func (d *Digest) Add(f *[]byte, n int) {
	d.pool.mu.Lock()
	defer d.pool.mu.Unlock()
	if n == 0 || d.closed {
		d.pool.give(f)
		return
	}
	d.frames = append(d.frames, frame{f, (*f)[:n]})
	d.pool.kept++
	left := ahead
	if d.pool.open == 1 || !d.pool.lanes || d.pool.kept > most {
		left = 0 // if nobody is there to meet: now the bytes are in the cache
	}
	if d.fits() && !d.busy && !d.listed {
		d.pool.wait.push(d)
	}
	d.settle(left)
}

// Sum returns the MD5 of all that was added.
func (d *Digest) Sum() (sum [md5.Size]byte) {
	d.pool.mu.Lock()
	defer d.pool.mu.Unlock()
	d.settle(0)
	d.sum.Sum(sum[:0])
	return sum
}

// Close gives the frames back that are not hashed. It may be called twice.
func (d *Digest) Close() {
	d.pool.mu.Lock()
	defer d.pool.mu.Unlock()
	if d.closed {
		return
	}
	for d.busy {
		d.idle.Wait()
	}
	d.closed = true
	d.pool.open--
	d.pool.wait.drop(d)
	d.pool.kept -= len(d.frames)
	for _, f := range d.frames {
		d.pool.give(f.all)
	}
	d.frames = nil
}

// settle returns when no more than so many frames are left; pool.mu is held.
func (d *Digest) settle(left int) {
	// A short stream is not worth the wait; others of its kind are here already.
	short := d.hashed == 0 && len(d.frames) == 1
	for yielded := 0; len(d.frames) > left; {
		alone := !short && d.fits() && d.pool.lonely()
		switch {
		case d.busy:
			d.idle.Wait()
		case alone && d.pool.busy > 0:
			// Those at work may come along next time; d waits among them, so
			// the next round is its own or takes it along.
			d.pool.turn.Wait()
		case alone && yielded < yields:
			yielded++
			d.pool.mu.Unlock()
			runtime.Gosched()
			d.pool.mu.Lock()
		default:
			d.pool.round(d)
		}
	}
}

// fits tells whether the next bytes may go side by side with others'.
func (d *Digest) fits() bool {
	return !d.closed && len(d.frames) > 0 && len(d.frames[0].rest) >= least && d.hashed%blockSize == 0
}

// advance says that n bytes of the first frame are hashed.
func (d *Digest) advance(n int) {
	d.hashed += int64(n)
	f := &d.frames[0]
	if f.rest = f.rest[n:]; len(f.rest) > 0 {
		return
	}
	d.pool.give(f.all)
	d.pool.kept--
	copy(d.frames, d.frames[1:])
	d.frames[len(d.frames)-1] = frame{}
	d.frames = d.frames[:len(d.frames)-1]
}
