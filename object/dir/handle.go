package dir

import (
	"os"
	"sync"
)

// maxHandles is how many segments stay open for reading when nobody reads.
const maxHandles = 32

// handles are segments open for reading. Opening one for each small object
// costs as much as reading it.
type handles struct {
	mu     sync.Mutex
	open   map[uint64]*handle
	idle   []*handle // of open, without users; the one that waits longest first
	closed bool
}

// A handle is shared, and closed by the last who gives it back once it is stale.
type handle struct {
	*os.File
	number uint64
	users  int
	stale  bool
}

// take opens a segment, or shares one that is open. The caller gives it back.
func (h *handles) take(number uint64, path string) (*handle, error) {
	if g := h.shared(number); g != nil {
		return g, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	g := &handle{File: f, number: number, users: 1}
	if h.closed || h.open[number] != nil { // another one was as quick: this stays the caller's own
		g.stale = true
		return g, nil
	}
	if h.open == nil {
		h.open = map[uint64]*handle{}
	}
	h.open[number] = g
	return g, nil
}

func (h *handles) shared(number uint64) *handle {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.open[number]
	if g == nil {
		return nil
	}
	if g.users == 0 {
		h.wake(g)
	}
	g.users++
	return g
}

// wake takes g out of the idle ones; h.mu is held.
func (h *handles) wake(g *handle) {
	for i, o := range h.idle {
		if o == g {
			h.idle = append(h.idle[:i], h.idle[i+1:]...)
			return
		}
	}
}

func (h *handles) giveBack(g *handle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if g.users--; g.users > 0 {
		return
	}
	if g.stale {
		g.Close()
		return
	}
	h.idle = append(h.idle, g)
	if len(h.idle) > maxHandles {
		old := h.idle[0]
		h.idle = append(h.idle[:0], h.idle[1:]...)
		delete(h.open, old.number)
		old.Close()
	}
}

// forget lets go of a segment whose file is unlinked, so that its space comes
// back at once, or with its last reader.
func (h *handles) forget(number uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(h.open[number])
}

// drop takes g, which may be nil, out of what is shared; h.mu is held.
func (h *handles) drop(g *handle) {
	if g == nil {
		return
	}
	delete(h.open, g.number)
	g.stale = true
	if g.users == 0 {
		h.wake(g)
		g.Close()
	}
}

func (h *handles) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, g := range h.open {
		h.drop(g)
	}
}
