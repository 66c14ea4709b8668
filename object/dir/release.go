package dir

import (
	"context"
	"sync"

	"strait/state"
)

// pins keep versions alive that someone reads.
type pins struct {
	mu      sync.Mutex
	readers map[id]int
	doomed  map[id]manifest // no longer named, but read
}

func (s *Store) pin(version id) {
	s.pins.mu.Lock()
	defer s.pins.mu.Unlock()
	s.pins.readers[version]++
}

func (s *Store) unpin(version id) {
	s.pins.mu.Lock()
	s.pins.readers[version]--
	if s.pins.readers[version] > 0 {
		s.pins.mu.Unlock()
		return
	}
	delete(s.pins.readers, version)
	m, dead := s.pins.doomed[version]
	delete(s.pins.doomed, version)
	s.pins.mu.Unlock()
	// A closed store leaves it to the next Open, which finds the orphans.
	if dead && s.enter() == nil {
		defer s.calls.Done()
		s.release(m)
	}
}

// doom takes a manifest that no name leads to any more, and gives its space
// back as soon as nobody reads it.
func (s *Store) doom(m manifest) {
	s.pins.mu.Lock()
	if s.pins.readers[m.version] > 0 {
		s.pins.doomed[m.version] = m
		s.pins.mu.Unlock()
		return
	}
	s.pins.mu.Unlock()
	s.release(m)
}

func (s *Store) release(m manifest) {
	s.segments.free(m.extents)
	if len(m.runs) > 0 {
		s.dropParts(m.version, func(int) bool { return true })
	}
}

// dropParts deletes parts of an upload that is over. What caused it is done
// already, so a failure is only logged; the next Open finds what is left.
func (s *Store) dropParts(v id, which func(number int) bool) {
	ctx := context.Background()
	var keys []string
	var dead []extent
	err := s.each(ctx, partsOf(v), func(f state.Fact) error {
		if _, number, ok := splitPartKey(f.Key); ok && which(number) {
			keys = append(keys, f.Key)
			if p, err := decodePart(f.Value); err == nil {
				dead = append(dead, p.extents...)
			}
		}
		return nil
	})
	if err == nil {
		err = s.erase(ctx, keys)
	}
	if err != nil {
		s.log.Warn("space of dropped parts is not reclaimed before the next start", "upload", v.String(), "err", err)
		return
	}
	s.segments.free(dead)
}
