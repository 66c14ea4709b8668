package local

import (
	"slices"
	"sort"
	"strings"
	"sync"

	"strait"
	"strait/state"
)

// A history remembers recent changes for watchers, within limits: the latest
// ones in full (log), and of older ones the deletes (gone), because everything
// else about those can be read from the facts themselves. A delete that has to
// be forgotten is handed to the watchers that have not come to it yet.
type history struct {
	maxLog, maxGone           int // entries
	maxLogBytes, maxGoneBytes int
	opened                    state.Revision // the revision at which the store was opened

	mu       sync.Mutex
	wake     chan struct{} // closed and replaced with each publish
	revision state.Revision

	log      []state.Change // every change after floor
	logBytes int
	floor    state.Revision

	gone      map[string]state.Revision // last changes that are deletes, after horizon up to floor
	order     []tombstone               // of gone, oldest first; holds stale ones, too
	goneBytes int
	horizon   state.Revision

	watchers map[*watcher]struct{}
}

type tombstone struct {
	key      string
	revision state.Revision
}

// A watcher is where one Watch stands.
type watcher struct {
	prefix string
	at     state.Revision            // everything up to here has been taken
	gone   map[string]state.Revision // deletes after at that the history has forgotten
	lost   bool                      // gone grew beyond its limit
}

// maxWatcherGone is how many forgotten deletes are kept for one watcher that
// does not read; then its watch ends with an error.
const maxWatcherGone = 1 << 18

func newHistory(revision state.Revision, changes int) *history {
	return &history{
		maxLog: changes, maxLogBytes: 4 << 20,
		maxGone: 4 * changes, maxGoneBytes: 4 << 20,
		opened: revision, revision: revision, floor: revision, horizon: revision,
		wake: make(chan struct{}), gone: map[string]state.Revision{}, watchers: map[*watcher]struct{}{},
	}
}

// current returns the revision up to which changes are published.
func (h *history) current() state.Revision {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.revision
}

// publish adds the changes up to revision and wakes all watchers.
func (h *history) publish(changes []state.Change, revision state.Revision) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range changes {
		h.log = append(h.log, c)
		h.logBytes += changeWeight(c)
	}
	h.revision = revision
	h.trimLog()
	h.trimGone()
	close(h.wake)
	h.wake = make(chan struct{})
}

func changeWeight(c state.Change) int { return len(c.Key) + len(c.Value) + 96 }
func goneWeight(key string) int       { return 2*len(key) + 96 }

// trimLog moves the oldest batches, whole, out of the log. It frees an eighth
// at once, so that it need not copy the log each time.
func (h *history) trimLog() {
	if len(h.log) <= h.maxLog && h.logBytes <= h.maxLogBytes {
		return
	}
	n := 0
	for n < len(h.log) && (len(h.log)-n > h.maxLog*7/8 || h.logBytes > h.maxLogBytes*7/8) {
		for h.floor = h.log[n].Revision; n < len(h.log) && h.log[n].Revision == h.floor; n++ {
			h.logBytes -= changeWeight(h.log[n])
			h.remember(h.log[n])
		}
	}
	h.log = slices.Clone(h.log[n:])
}

// remember keeps of a change that left the log what cannot be read elsewhere.
func (h *history) remember(c state.Change) {
	if _, ok := h.gone[c.Key]; ok {
		delete(h.gone, c.Key)
		h.goneBytes -= goneWeight(c.Key)
	}
	if c.Deleted {
		h.gone[c.Key] = c.Revision
		h.goneBytes += goneWeight(c.Key)
		h.order = append(h.order, tombstone{c.Key, c.Revision})
	}
}

// trimGone forgets the oldest deletes.
func (h *history) trimGone() {
	n := 0
	for ; n < len(h.order); n++ {
		t := h.order[n]
		if h.gone[t.key] != t.revision {
			continue // stale
		}
		if len(h.gone) <= h.maxGone && h.goneBytes <= h.maxGoneBytes {
			break
		}
		delete(h.gone, t.key)
		h.goneBytes -= goneWeight(t.key)
		h.horizon = t.revision
		h.bequeath(t)
	}
	h.order = h.order[n:]
	if len(h.order) > 2*len(h.gone)+1024 {
		h.order = slices.DeleteFunc(slices.Clone(h.order), func(t tombstone) bool { return h.gone[t.key] != t.revision })
	}
}

// bequeath gives a forgotten delete to every watcher that has yet to see it.
func (h *history) bequeath(t tombstone) {
	for w := range h.watchers {
		if w.at >= t.revision || w.lost || !strings.HasPrefix(t.key, w.prefix) {
			continue
		}
		if w.gone == nil {
			w.gone = map[string]state.Revision{}
		}
		w.gone[t.key] = t.revision
		if len(w.gone) > maxWatcherGone {
			w.lost, w.gone = true, nil
		}
	}
}

// join adds a watcher that knows everything up to from. It fails when deletes
// since then have been forgotten; from before the store was opened nobody can
// expect them.
func (h *history) join(prefix string, from state.Revision) (*watcher, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if from > 0 && from >= h.opened && from < h.horizon {
		return nil, lostError(from)
	}
	w := &watcher{prefix: prefix, at: from}
	h.watchers[w] = struct{}{}
	return w, nil
}

func (h *history) leave(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, w)
}

// news is what a watcher is to be told next.
type news struct {
	changes []state.Change // to be told
	// Then, if list is set: every fact written by revisions in (after, upTo],
	// and changes are the deletes in there, to be merged with them.
	list        bool
	after, upTo state.Revision
	wake        <-chan struct{} // if there is nothing, closed when there may be
}

// next moves w forward and returns what it passed.
func (h *history) next(w *watcher) (news, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w.lost {
		return news{}, lostError(w.at)
	}
	if w.at < h.floor {
		n := news{list: true, after: w.at, upTo: h.revision, changes: h.deletes(w)}
		w.at, w.gone = h.revision, nil
		return n, nil
	}
	n := news{wake: h.wake}
	i := sort.Search(len(h.log), func(i int) bool { return h.log[i].Revision > w.at })
	for ; i < len(h.log); i++ {
		if c := h.log[i]; strings.HasPrefix(c.Key, w.prefix) {
			n.changes = append(n.changes, c)
		}
	}
	w.at = max(w.at, h.revision)
	return n, nil
}

// deletes returns all remembered deletes that w has not seen. Some may have
// been written again since; the facts know.
func (h *history) deletes(w *watcher) []state.Change {
	last := map[string]state.Revision{}
	add := func(key string, r state.Revision) {
		if r > w.at && strings.HasPrefix(key, w.prefix) {
			last[key] = r
		}
	}
	for key, r := range w.gone {
		add(key, r)
	}
	for key, r := range h.gone {
		add(key, r)
	}
	for _, c := range h.log {
		if c.Deleted {
			add(c.Key, c.Revision)
		} else {
			delete(last, c.Key)
		}
	}
	deletes := make([]state.Change, 0, len(last))
	for key, r := range last {
		deletes = append(deletes, state.Change{Fact: state.Fact{Key: key, Revision: r}, Deleted: true})
	}
	return deletes
}

func lostError(from state.Revision) error {
	return strait.Errorf(strait.Unavailable, "watch",
		"too much has changed since revision %d to tell what was deleted: list the facts again and watch from the present", from)
}
