package local

import (
	"sync"

	"strait/state"
)

// A cache holds hot facts, and hot absences (Revision 0), in a bounded number
// of bytes. It is two generations: what is used moves to the young one; when
// that is full, it becomes the old one and what the old one held is forgotten.
//
// The cache never tells more, or less, than SQLite would tell a reader at that
// moment: the writer holds the keys of a group while it is being committed (they
// are then read from SQLite) and releases them with their new values, and a
// reader may only fill in what it read if no commit has begun or ended since.
type cache struct {
	limit int // bytes of one generation
	large int // an entry of more bytes is not kept

	mu         sync.RWMutex
	young, old map[string]state.Fact
	size       int                 // bytes of young
	held       map[string]struct{} // keys being committed
	epoch      uint64              // grows with each hold and release
}

func newCache(bytes int) *cache {
	return &cache{limit: bytes / 2, large: bytes / 64, young: map[string]state.Fact{}, old: map[string]state.Fact{}}
}

// weight is about what an entry costs, with the map's share.
func weight(f state.Fact) int { return len(f.Key) + len(f.Value) + 128 }

// get returns the fact under key, with Revision 0 when it is known that there
// is none. When it is not known, ok is false, and epoch is for fill.
func (c *cache) get(key string) (f state.Fact, ok bool, epoch uint64) {
	c.mu.RLock()
	f, ok = c.young[key]
	epoch = c.epoch
	if ok {
		c.mu.RUnlock()
		return f, true, epoch
	}
	f, ok = c.old[key]
	c.mu.RUnlock()
	if ok {
		c.fill(f, epoch)
	}
	return f, ok, epoch
}

// fill keeps what was read from SQLite, unless a commit came in between.
func (c *cache) fill(f state.Fact, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return
	}
	if _, held := c.held[f.Key]; !held {
		c.keep(f)
	}
}

// hold forgets the keys of changes until release.
func (c *cache) hold(changes []state.Change) {
	held := make(map[string]struct{}, len(changes))
	for _, ch := range changes {
		held[ch.Key] = struct{}{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	c.held = held
	for key := range held {
		c.drop(key)
	}
}

// release ends the hold and keeps the last of changes for each key; without
// changes (nothing was committed) it just ends the hold.
func (c *cache) release(changes []state.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	c.held = nil
	for _, ch := range changes {
		if ch.Deleted {
			ch.Fact = state.Fact{Key: ch.Key}
		}
		c.keep(ch.Fact)
	}
}

// keep puts f into the young generation in place of what either holds.
func (c *cache) keep(f state.Fact) {
	c.drop(f.Key)
	w := weight(f)
	if w > c.large {
		return
	}
	if c.size+w > c.limit {
		c.old, c.young, c.size = c.young, make(map[string]state.Fact), 0
	}
	c.young[f.Key] = f
	c.size += w
}

func (c *cache) drop(key string) {
	if f, ok := c.young[key]; ok {
		c.size -= weight(f)
		delete(c.young, key)
	}
	delete(c.old, key)
}
