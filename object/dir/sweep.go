package dir

import (
	"cmp"
	"context"
	"os"
	"slices"

	"strait/state"
)

const (
	page = 4096 // of file systems; holes are made of whole ones
	// waste is how much more than it holds a segment may take before a sweep
	// looks at it.
	waste = 1 << 20
)

// A candidate is a segment that takes more space than it holds.
type candidate struct {
	segment *segment
	changes int // of the segment when the sweep began
	living  []extent
	size    int64
}

// sweep gives back what is dead inside living segments: many small objects side
// by side, each not worth a call when it went, and what a crash has left
// between the change of a record and the hole. Segments that are still appended
// to are left alone. It returns how many bytes it has given back.
func (s *Store) sweep(ctx context.Context) (freed int64, err error) {
	all := s.segments.wasteful()
	if len(all) == 0 {
		return 0, nil
	}
	// 1. All that is named in them.
	count := func(xs []extent) {
		for _, x := range xs {
			if c := all[x.segment]; c != nil {
				c.living = append(c.living, x)
			}
		}
	}
	err = s.each(ctx, objectPrefix, func(f state.Fact) error {
		m, err := skimManifest(f.Value)
		count(m.extents)
		return err
	})
	if err == nil {
		err = s.each(ctx, partPrefix, func(f state.Fact) error {
			p, err := skimPart(f.Value)
			count(p.extents)
			return err
		})
	}
	if err != nil {
		return 0, err // a record that cannot be read may name anything
	}

	// 2. The rest of those that nobody has changed meanwhile.
	for number, c := range all {
		if ctx.Err() != nil {
			return freed, ctx.Err()
		}
		if !s.segments.settled(c) {
			continue
		}
		n, err := s.segments.hollowOut(number, c)
		if err != nil {
			s.log.Warn("space inside segments cannot be given back on this file system", "err", err)
			return freed, nil
		}
		freed += n
	}
	return freed, nil
}

// wasteful returns the segments that are worth a look.
func (s *segments) wasteful() map[uint64]*candidate {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[uint64]*candidate{}
	if s.frozen {
		return all
	}
	for number, g := range s.all {
		if !g.sealed || g.holders > 0 || g.swept == g.changes {
			continue
		}
		info, err := os.Stat(s.path(number))
		if err == nil && taken(info) > g.living+waste {
			all[number] = &candidate{segment: g, changes: g.changes, size: info.Size()}
		}
	}
	return all
}

// settled tells whether what was found to be named is all that lives. Nobody
// appends to a sealed segment. A body that no record names yet, or no longer
// while someone reads it, counts as living and is not among those found; one
// that was found is living as long as nothing was freed. So equal sums over a
// time without changes mean that both are the same.
func (s *segments) settled(c *candidate) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum int64
	for _, x := range c.living {
		sum += inFile(x.length)
	}
	g := c.segment
	return g.sealed && g.holders == 0 && g.changes == c.changes && g.living == sum
}

// hollowOut makes holes of all that lies between the living.
func (s *segments) hollowOut(number uint64, c *candidate) (freed int64, err error) {
	f, err := os.OpenFile(s.path(number), os.O_RDWR, 0)
	if err != nil {
		return 0, nil // gone meanwhile
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return 0, err
	}
	slices.SortFunc(c.living, func(a, b extent) int { return cmp.Compare(a.offset, b.offset) })
	from := int64(0)
	for _, x := range append(c.living, extent{offset: c.size}) {
		begin, end := (from+page-1)/page*page, x.offset/page*page
		if x.offset == c.size {
			end = (c.size + page - 1) / page * page
		}
		if end > begin {
			if err := punch(f, begin, end-begin); err != nil {
				return 0, err
			}
		}
		from = max(from, x.offset+inFile(x.length))
	}
	s.mu.Lock()
	c.segment.swept = c.changes
	s.mu.Unlock()
	after, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return taken(before) - taken(after), nil
}
