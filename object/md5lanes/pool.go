// Package md5lanes computes MD5s of many streams at a time, eight side by side
// in one processor's registers. MD5 of one stream cannot be made faster; that of
// eight can, for each step of it is one instruction for all of them.
//
// There is no goroutine and no timer in it, and nobody waits for company. A
// Digest is given frames of bytes, keeps a few of them, and goes on only when
// somebody needs to: when it has too many, or its sum is asked for. Whoever
// needs to takes along what waits in other Digests. One that is alone is done
// at once, by crypto/md5, which also does what is left over, and everything
// where the processor has no such registers.
//
// It knows nothing of objects. Begin at Pool; digest.go is one stream, lanes.go
// the work.
package md5lanes

import (
	"sync"
)

const (
	// ahead is how many frames a Digest keeps: with fewer, fewer meet.
	ahead = 8
	// most is how many frames all Digests keep together: with many streams
	// there is company anyway.
	most = 64
	// least is how many bytes make it worth to take a stream along.
	least = 1 << 10
	// yields is how often goroutines that could run do so before a Digest goes
	// on in a smaller team than there might be.
	yields = 2
)

// A Pool is what Digests meet in.
type Pool struct {
	give  func(*[]byte)
	lanes bool

	mu   sync.Mutex
	open int // Digests that are not closed
	kept int // frames of all of them
	wait list
	busy int       // rounds under way
	turn sync.Cond // one has ended
}

// New returns a Pool that gives back frames with give, which must not block.
func New(give func(*[]byte)) *Pool {
	p := &Pool{give: give, lanes: able() && proven()}
	p.turn.L = &p.mu
	return p
}

// A list is of Digests that others may take along, the one that waits longest
// first. A Digest is in one list at most.
type list struct {
	first, last *Digest
	n           int
}

func (l *list) push(d *Digest) {
	d.listed, d.before, d.next = true, l.last, nil
	if l.last != nil {
		l.last.next = d
	} else {
		l.first = d
	}
	l.last = d
	l.n++
}

func (l *list) drop(d *Digest) {
	if !d.listed {
		return
	}
	if d.before != nil {
		d.before.next = d.next
	} else {
		l.first = d.next
	}
	if d.next != nil {
		d.next.before = d.before
	} else {
		l.last = d.before
	}
	d.listed, d.before, d.next = false, nil, nil
	l.n--
}

// lonely tells whether those that wait are fewer than they might be.
func (p *Pool) lonely() bool { return p.lanes && p.wait.n < min(width, p.open)-1 }

// A team is Digests that go on together, by the same number of bytes.
type team struct {
	members [width]*Digest
	data    [width][]byte // bytes of each; its frames are its owner's to add to
	n       int           // of members
	bytes   int
}

func (t *team) join(d *Digest) {
	d.pool.wait.drop(d)
	d.busy = true
	t.members[t.n], t.data[t.n] = d, d.frames[0].rest
	t.n++
}

// gather makes a team of d, which has a frame, and of others; p.mu is held.
func (p *Pool) gather(d *Digest) (t team) {
	t.join(d)
	if p.lanes && d.fits() {
		for t.n < width && p.wait.first != nil {
			t.join(p.wait.first)
		}
	}
	t.bytes = len(t.data[0])
	for _, data := range t.data[1:t.n] {
		t.bytes = min(t.bytes, len(data))
	}
	if t.n > 1 {
		t.bytes -= t.bytes % blockSize
	}
	return t
}

// round takes d, which has a frame and is not busy, on by up to this frame, and
// others with it. p.mu is held, but not all the time.
func (p *Pool) round(d *Digest) {
	t := p.gather(d)
	p.busy++
	p.mu.Unlock()
	done := false
	// Even if what comes panics (it is not known how), others must not wait for
	// ever: they are as they were.
	defer func() {
		p.mu.Lock()
		p.busy--
		p.turn.Broadcast()
		for _, m := range t.members[:t.n] {
			if done {
				m.advance(t.bytes)
			}
			m.busy = false
			if m.fits() {
				p.wait.push(m)
			}
			m.idle.Broadcast()
		}
	}()
	t.hash()
	done = true
}
