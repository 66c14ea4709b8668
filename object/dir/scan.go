package dir

import (
	"context"

	"strait/state"
)

// scan takes stock at open: which bytes of which segment are named. It also
// deletes records of parts that belong to nothing any more, which a crash
// between ending an upload and dropping its parts leaves behind.
func (s *Store) scan(ctx context.Context) error {
	living, ends := map[uint64]int64{}, map[uint64]int64{}
	count := func(xs []extent) {
		for _, x := range xs {
			n := inFile(x.length)
			living[x.segment] += n
			ends[x.segment] = max(ends[x.segment], x.offset+n)
		}
	}
	unreadable := func(f state.Fact) {
		s.segments.frozen = true
		s.log.Error("a record of the object store is damaged; no space is reclaimed until it is gone", "key", f.Key)
	}

	// 1. Objects; those made of uploads are remembered for their parts.
	made := map[id]manifest{}
	err := s.each(ctx, objectPrefix, func(f state.Fact) error {
		m, err := decodeManifest(f.Value)
		if err != nil {
			unreadable(f)
			return nil
		}
		count(m.extents)
		if len(m.runs) > 0 {
			made[m.version] = manifest{runs: m.runs}
		}
		return nil
	})
	if err != nil {
		return err
	}

	// 2. Open uploads.
	open := map[id]bool{}
	err = s.each(ctx, uploadPrefix, func(f state.Fact) error {
		if _, _, v, ok := splitUploadKey(f.Key); ok {
			open[v] = true
		} else {
			unreadable(f)
		}
		return nil
	})
	if err != nil {
		return err
	}

	// 3. Parts of either.
	var orphans []string
	err = s.each(ctx, partPrefix, func(f state.Fact) error {
		v, number, ok := splitPartKey(f.Key)
		p, err := decodePart(f.Value)
		if err != nil || !ok {
			unreadable(f)
			return nil
		}
		if m := made[v]; open[v] || m.has(number) {
			count(p.extents)
		} else {
			orphans = append(orphans, f.Key)
		}
		return nil
	})
	if err != nil {
		return err
	}

	// 4. Act on it; with something unreadable, touch nothing.
	if !s.segments.frozen {
		if err := s.erase(ctx, orphans); err != nil {
			return err
		}
		if err := s.forget(ctx); err != nil {
			return err
		}
	}
	return s.segments.load(living, ends)
}
