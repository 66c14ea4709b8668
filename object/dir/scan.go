package dir

import (
	"context"

	"strait/state"
)

// A stock is what the records name.
type stock struct {
	living, ends map[uint64]int64 // of each segment: bytes named, and how far they reach
	orphans      []string         // keys of parts that belong to nothing any more
	unreadable   []string         // keys of records that do not decode
}

// scan takes stock at open: which bytes of which segment are named. It also
// deletes records of parts that belong to nothing any more, which a crash
// between ending an upload and dropping its parts leaves behind.
func (s *Store) scan(ctx context.Context) error {
	k, err := s.takeStock(ctx)
	if err != nil {
		return err
	}
	for _, key := range k.unreadable {
		s.segments.frozen = true
		s.log.Error("a record of the object store is damaged; no space is reclaimed until it is gone", "key", key)
	}
	// With something unreadable, touch nothing.
	if !s.segments.frozen {
		if err := s.erase(ctx, k.orphans); err != nil {
			return err
		}
		if err := s.forget(ctx); err != nil {
			return err
		}
	}
	return s.segments.load(k.living, k.ends)
}

func (s *Store) takeStock(ctx context.Context) (*stock, error) {
	k := &stock{living: map[uint64]int64{}, ends: map[uint64]int64{}}
	count := func(xs []extent) {
		for _, x := range xs {
			n := inFile(x.length)
			k.living[x.segment] += n
			k.ends[x.segment] = max(k.ends[x.segment], x.offset+n)
		}
	}
	unreadable := func(f state.Fact) { k.unreadable = append(k.unreadable, f.Key) }

	// 1. Objects; those made of uploads are remembered for their parts.
	made := map[id]manifest{}
	err := s.eachAhead(ctx, objectPrefix, func(f state.Fact) error {
		m, err := skimManifest(f.Value)
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
		return nil, err
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
		return nil, err
	}

	// 3. Parts of either.
	err = s.eachAhead(ctx, partPrefix, func(f state.Fact) error {
		v, number, ok := splitPartKey(f.Key)
		p, err := skimPart(f.Value)
		if err != nil || !ok {
			unreadable(f)
			return nil
		}
		if m := made[v]; open[v] || m.has(number) {
			count(p.extents)
		} else {
			k.orphans = append(k.orphans, f.Key)
		}
		return nil
	})
	return k, err
}

// eachAhead is each, but reads a page while fn is called for the one before it.
// fn is called by the caller's goroutine.
func (s *Store) eachAhead(ctx context.Context, prefix string, fn func(state.Fact) error) error {
	const page = 1000
	type answer struct {
		facts []state.Fact
		err   error
	}
	ask := func(after string) <-chan answer {
		c := make(chan answer, 1)
		go func() {
			facts, err := s.facts.List(ctx, prefix, after, page)
			c <- answer{facts, err}
		}()
		return c
	}
	for next := ask(""); next != nil; {
		a := <-next
		if a.err != nil {
			return a.err
		}
		if next = nil; len(a.facts) == page {
			next = ask(a.facts[page-1].Key)
		}
		for _, f := range a.facts {
			if err := fn(f); err != nil {
				if next != nil {
					<-next // the store of facts may be closed after us
				}
				return err
			}
		}
	}
	return nil
}
