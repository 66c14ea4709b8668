package device

import (
	"slices"
	"time"
)

// A plan says which piece of a file is sent next as which part. Pieces follow
// each other without gaps and parts are numbered from 1; how large the next one
// is may change on the way. Guard it by a lock.
type plan struct {
	size    int64 // of the file
	pieces  []piece
	pending []int // pieces that a former process gave out but did not finish
	next    int64 // where the next new piece begins
	want    int64 // its size
	fixed   bool  // want never changes
}

type piece struct {
	partDone
	sent bool
}

// Sizes of parts when they are adapted: one that takes pieceTime on this link,
// so that a cut costs little and a part's overhead is small.
const (
	firstPiece = 8 << 20
	mostPiece  = 64 << 20
	pieceTime  = 4 * time.Second
)

func newPlan(size, want int64) *plan {
	p := &plan{size: size, want: want, fixed: want > 0}
	if !p.fixed {
		p.want = firstPiece
	}
	return p
}

// resume takes in the parts that are done. Where some are missing between them,
// their numbers are used for the missing bytes. It tells whether that fits.
func (p *plan) resume(done []partDone) bool {
	done = slices.Clone(done)
	slices.SortStableFunc(done, func(a, b partDone) int { return int(a.Number - b.Number) })
	for _, d := range done {
		if n := len(p.pieces); n > 0 && p.pieces[n-1].Number == d.Number {
			if p.pieces[n-1].partDone != d {
				return false
			}
			continue
		}
		// The last part may be small, but nothing follows it.
		if !p.fill(d) || d.Size < minPart && d.Offset+d.Size != p.size || d.Size > p.size-d.Offset {
			return false
		}
		p.pieces = append(p.pieces, piece{d, true})
		p.next = d.Offset + d.Size
	}
	return true
}

// fill makes pieces of what is missing before d.
func (p *plan) fill(d partDone) bool {
	missing, gap := int64(d.Number)-int64(len(p.pieces))-1, d.Offset-p.next
	if missing == 0 || gap == 0 {
		return missing == 0 && gap == 0
	}
	if gap < missing*minPart || gap > missing*maxPart {
		return false
	}
	for i := range missing {
		from, to := p.next+gap*i/missing, p.next+gap*(i+1)/missing
		p.pending = append(p.pending, len(p.pieces))
		p.pieces = append(p.pieces, piece{partDone: partDone{Number: int32(len(p.pieces) + 1), Offset: from, Size: to - from}})
	}
	return true
}

// take gives out the next piece, false when there is none.
func (p *plan) take() (partDone, bool) {
	if len(p.pending) > 0 {
		i := p.pending[0]
		p.pending = p.pending[1:]
		return p.pieces[i].partDone, true
	}
	left := p.size - p.next
	if left <= 0 {
		return partDone{}, false
	}
	// The numbers that are left must be enough.
	least := int64(minPart)
	if n := int64(maxParts - len(p.pieces)); n > 0 {
		least = max(least, (left+n-1)/n)
	}
	d := partDone{Number: int32(len(p.pieces) + 1), Offset: p.next, Size: min(left, max(p.want, least))}
	p.pieces = append(p.pieces, piece{partDone: d})
	p.next += d.Size
	return d, true
}

// finish remembers that a part is there, and how long it took.
func (p *plan) finish(d partDone, took time.Duration) {
	p.pieces[d.Number-1] = piece{d, true}
	if p.fixed || took <= 0 {
		return
	}
	fits := int64(float64(d.Size) * float64(pieceTime) / float64(took))
	// At most twice as large at a time: one fast part is no fast link.
	p.want = min(max(fits, minPart), 2*p.want, mostPiece)
}

// sum is the checksum of the whole, when all is sent.
func (p *plan) sum() (sum uint64) {
	for _, x := range p.pieces {
		sum = combineCRC(sum, x.Sum, x.Size)
	}
	return sum
}

// sent is how many bytes are done.
func (p *plan) sent() (n int64) {
	for _, x := range p.pieces {
		if x.sent {
			n += x.Size
		}
	}
	return n
}
