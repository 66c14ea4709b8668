package power

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// A Chance says what becomes of changes that no sync has covered when the
// current fails. A real disk may keep any of them.
type Chance struct {
	Keep float64    // how likely one is there: 0 for none, 1 for all
	Tear float64    // how likely a write that would be there has only some of its sectors
	Rand *rand.Rand // may be nil when Keep is 0 or 1 and Tear is 0
}

func (c Chance) keep() bool { return c.Keep > 0 && (c.Keep >= 1 || c.Rand.Float64() < c.Keep) }
func (c Chance) tear() bool { return c.Tear > 0 && c.Rand.Float64() < c.Tear }

// sectors that a disk writes whole: old ones and new ones.
var sectors = []int{512, 4096}

// Rebuild lays out below dir what the disk may hold when the current fails
// right before the line moment of the trace. It returns how many changes were
// at the mercy of chance, and how many of those were lost or torn.
//
// A change is safe when it ended before a sync began of the file (for bytes) or
// the directory (for names), and that sync ended before the moment. Renaming is
// one change: its two names come and go together.
func (d *Disk) Rebuild(dir string, moment int, chance Chance) (unsafe, lost int, err error) {
	r := &rebuilding{moment: moment, chance: chance, kept: map[*change]bool{}}
	err = r.directory(dir, d.root)
	return r.unsafe, r.lost, err
}

type rebuilding struct {
	moment       int
	chance       Chance
	kept         map[*change]bool // those of names that chance has decided
	unsafe, lost int
}

// safe tells whether syncs cover ch before the moment.
func (r *rebuilding) safe(ch *change) bool {
	for _, n := range ch.in {
		covered := false
		for _, s := range n.syncs {
			if ch.exit < s.enter && s.exit < r.moment {
				covered = true
				break
			}
		}
		if !covered {
			return false
		}
	}
	return true
}

func (r *rebuilding) directory(at string, n *inode) error {
	names := map[string]*inode{}
	for _, ch := range n.changes {
		if ch.enter >= r.moment || !r.name(ch) {
			continue
		}
		for _, e := range ch.remove {
			if e.in == n {
				delete(names, e.name)
			}
		}
		for _, e := range ch.add {
			if e.in == n {
				names[e.name] = e.to
			}
		}
	}
	if err := os.MkdirAll(at, 0o700); err != nil {
		return err
	}
	for name, to := range names {
		var err error
		if to.dir {
			err = r.directory(filepath.Join(at, name), to)
		} else {
			err = os.WriteFile(filepath.Join(at, name), r.bytes(to), 0o600)
		}
		if err != nil {
			return fmt.Errorf("rebuild %s: %w", name, err)
		}
	}
	return nil
}

// name decides about a change of names, once.
func (r *rebuilding) name(ch *change) bool {
	if kept, decided := r.kept[ch]; decided {
		return kept
	}
	kept := r.safe(ch)
	if !kept {
		r.unsafe++
		if kept = r.chance.keep(); !kept {
			r.lost++
		}
	}
	r.kept[ch] = kept
	return kept
}

// bytes are what a file holds.
func (r *rebuilding) bytes(n *inode) []byte {
	b := make([]byte, 0, n.length)
	for _, ch := range n.changes {
		if ch.enter >= r.moment {
			continue
		}
		if r.safe(ch) {
			b = ch.apply(b)
			continue
		}
		r.unsafe++
		switch {
		case !r.chance.keep():
			r.lost++
		case len(ch.data) > 0 && r.chance.tear():
			r.lost++
			b = r.torn(ch, b)
		default:
			b = ch.apply(b)
		}
	}
	return b
}

func (ch *change) apply(b []byte) []byte {
	switch {
	case ch.resize:
		return extend(b, ch.size)[:ch.size]
	case ch.hole > 0:
		clear(b[min(ch.offset, int64(len(b))):min(ch.offset+ch.hole, int64(len(b)))])
		return b
	default:
		b = extend(b, ch.offset+int64(len(ch.data)))
		copy(b[ch.offset:], ch.data)
		return b
	}
}

func extend(b []byte, size int64) []byte {
	if more := size - int64(len(b)); more > 0 {
		return append(b, make([]byte, more)...)
	}
	return b
}

// torn applies some sectors of a write; the others are as before, zero where
// there was nothing. The length may have grown without the bytes, or not.
func (r *rebuilding) torn(ch *change, b []byte) []byte {
	size := int64(sectors[r.chance.Rand.IntN(len(sectors))])
	end := ch.offset + int64(len(ch.data))
	if r.chance.Rand.IntN(2) == 0 {
		b = extend(b, end)
	}
	for from := ch.offset; from < end; {
		to := min((from/size+1)*size, end)
		if r.chance.Rand.IntN(2) == 0 {
			b = extend(b, to)
			copy(b[from:to], ch.data[from-ch.offset:to-ch.offset])
		}
		from = to
	}
	return b
}
