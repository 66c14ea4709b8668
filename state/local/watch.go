package local

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"

	"strait/state"
)

// Watch is documented at state.Store. Within one revision changes come in the
// order of their keys. The last pair carries the error that ended the watch:
// the context's, state.ErrClosed, or a strait.Error (kind Unavailable) when the
// disk fails or when deletes since from are no longer remembered. Whoever is
// slow holds nobody up, and is told of the last change of each key only.
func (s *Store) Watch(ctx context.Context, prefix string, from state.Revision) iter.Seq2[state.Change, error] {
	return func(yield func(state.Change, error) bool) {
		w, err := s.history.join(prefix, from)
		if err != nil {
			yield(state.Change{}, err)
			return
		}
		defer s.history.leave(w)
		for {
			n, err := s.history.next(w)
			var changes iter.Seq2[state.Change, error]
			switch {
			case err != nil:
			case n.list:
				changes, err = s.reread(ctx, prefix, n)
			default:
				changes = each(n.changes)
			}
			if err == nil {
				for c, e := range changes {
					if e == nil {
						e = s.ended(ctx)
					}
					if e != nil {
						err = e
						break
					}
					if !yield(c, nil) {
						return
					}
				}
			}
			if err == nil && n.wake != nil && len(n.changes) == 0 {
				err = s.wait(ctx, n.wake)
			}
			if err != nil {
				yield(state.Change{}, err)
				return
			}
		}
	}
}

// wait returns when wake is closed, or with the reason to end.
func (s *Store) wait(ctx context.Context, wake <-chan struct{}) error {
	select {
	case <-wake:
	case <-ctx.Done():
	case <-s.closing:
	}
	return s.ended(ctx)
}

// ended returns why a watch must end, if it must.
func (s *Store) ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed() {
		return state.ErrClosed
	}
	return nil
}

func each(changes []state.Change) iter.Seq2[state.Change, error] {
	return func(yield func(state.Change, error) bool) {
		for _, c := range changes {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// maxReread is how many bytes of values are kept while a watcher is told what
// is there; those beyond are read again one by one when their turn comes.
const maxReread = 4 << 20

// reread tells what the facts themselves, and n's deletes, say about the
// revisions in (n.after, n.upTo]. What was changed again since then is left
// out: it comes later, and only its last change has to.
func (s *Store) reread(ctx context.Context, prefix string, n news) (iter.Seq2[state.Change, error], error) {
	changes := n.changes
	size := 0
	err := s.scan(ctx, s.read.changes, func(f state.Fact) {
		if f.Revision > n.upTo {
			return
		}
		if size += len(f.Value); size > maxReread {
			f.Value = nil
		}
		changes = append(changes, state.Change{Fact: f})
	}, []byte(prefix), upper(prefix), int64(n.after))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(changes, func(a, b state.Change) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), strings.Compare(a.Key, b.Key))
	})
	return func(yield func(state.Change, error) bool) {
		for _, c := range changes {
			if c.Value == nil && !c.Deleted { // was left behind above
				f, err := s.readFact(c.Key)
				if err == nil && f.Revision != c.Revision {
					continue
				}
				c.Fact = f
				if err != nil {
					yield(state.Change{}, err)
					return
				}
			}
			if !yield(c, nil) {
				return
			}
		}
	}, nil
}
