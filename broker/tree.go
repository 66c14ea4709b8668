package broker

import (
	"strings"
	"sync"
	"sync/atomic"
)

// A subscriber is a mailbox that wants a topic, and how it wants it; or a
// group, of which one member gets it.
type subscriber struct {
	box     *mailbox
	group   *group // not nil: box and options mean nothing
	options options
}

// A tree finds the subscribers of a topic. Looking a topic up again costs one
// read of a concurrent map until a subscription that could concern it changes.
//
// A mailbox whose filters overlap is found once, with the highest QoS: MQTT
// 3.1.1 (3.3.5) leaves the choice, and once is what costs a device least.
type tree struct {
	mu     sync.RWMutex // guards root; held while the cache is filled or invalidated
	root   node
	groups int
	epoch  atomic.Uint64 // counts changes of filters with wildcards
	cache  atomic.Pointer[matchCache]
}

// A node is one level of filters. Subscribers are kept in slices, which cost
// little for the usual one or two.
type node struct {
	next map[string]*node // by the literal level
	plus *node
	here []subscriber // filters that end here
	deep []subscriber // filters that end in "#" below here
}

// A matchCache holds what find returned. Its weight is the number of
// topics and subscribers in it; a full one is thrown away as a whole.
type matchCache struct {
	topics sync.Map // string → *match
	weight atomic.Int64
}

const maxCacheWeight = 1 << 20 // 16 bytes each

type match struct {
	epoch uint64
	subs  []subscriber // never changed
}

func newTree() *tree {
	t := &tree{}
	t.cache.Store(&matchCache{})
	return t
}

// find returns the subscribers of topic. The slice is shared: read it only.
func (t *tree) find(topic string) []subscriber {
	c := t.cache.Load()
	if v, ok := c.topics.Load(topic); ok {
		if m := v.(*match); m.epoch == t.epoch.Load() {
			return m.subs
		}
	}
	// The lock is held until the answer is in the cache, so that a change
	// of subscriptions, which waits for it, finds and invalidates it there.
	t.mu.RLock()
	defer t.mu.RUnlock()
	m := &match{epoch: t.epoch.Load(), subs: t.search(topic)}
	weight := int64(1 + len(m.subs))
	if c = t.cache.Load(); c.weight.Add(weight) > maxCacheWeight {
		c = &matchCache{}
		c.weight.Store(weight)
		t.cache.Store(c)
	}
	c.topics.Store(strings.Clone(topic), m)
	return m.subs
}

// wanted tells whether topic has subscribers, and leaves the cache alone.
func (t *tree) wanted(topic string) (yes bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	t.root.search(topic, topic[0] == '$', func([]subscriber) { yes = true })
	return yes
}

// add subscribes box to filter; change says that it did so already, with
// other options. It fails only for shared subscriptions, with strait.Limit.
func (t *tree) add(filter string, box *mailbox, o options, change bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if name, inner, ok := cutShare(filter); ok {
		return t.join(name, inner, subscriber{box: box, options: o})
	}
	defer t.invalidate(filter)
	list := t.root.list(filter)
	if change {
		for i := range *list {
			if (*list)[i].box == box {
				(*list)[i].options = o
				return nil
			}
		}
	}
	*list = append(*list, subscriber{box: box, options: o})
	return nil
}

// remove ends the subscription of box to filter.
func (t *tree) remove(filter string, box *mailbox) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if name, inner, ok := cutShare(filter); ok {
		t.leave(name, inner, box)
		return
	}
	defer t.invalidate(filter)
	t.root.remove(filter, func(s subscriber) bool { return s.box == box })
}

// invalidate is called with mu held: one topic for an exact filter, which is
// what fleets of devices use, and all of them for a wildcard.
func (t *tree) invalidate(filter string) {
	if wild(filter) {
		t.epoch.Add(1)
		return
	}
	t.cache.Load().topics.Delete(filter)
}

// search walks the tree; mu is held.
func (t *tree) search(topic string) []subscriber {
	var found []subscriber
	lists := 0
	t.root.search(topic, topic[0] == '$', func(subs []subscriber) {
		lists++
		found = append(found, subs...)
	})
	if lists < 2 {
		return found
	}
	at := make(map[*mailbox]int, len(found))
	once := found[:0]
	for _, s := range found {
		i, seen := at[s.box]
		if s.group != nil {
			once = append(once, s) // each group for itself
			continue
		}
		if !seen {
			at[s.box] = len(once)
			once = append(once, s)
			continue
		}
		once[i].options = once[i].options.merge(s.options)
	}
	return once
}

// search calls yield with each list of subscribers that topic reaches below n;
// dollar forbids wildcards on this first level.
func (n *node) search(topic string, dollar bool, yield func([]subscriber)) {
	if len(n.deep) > 0 && !dollar {
		yield(n.deep)
	}
	level, rest, more := strings.Cut(topic, "/")
	step := func(n *node) {
		switch {
		case n == nil:
		case more:
			n.search(rest, false, yield)
		case len(n.here) > 0:
			yield(n.here)
		}
	}
	step(n.next[level])
	if !dollar {
		step(n.plus)
	}
}

// list returns the place for subscribers of filter, made if need be.
func (n *node) list(filter string) *[]subscriber {
	for {
		level, rest, more := strings.Cut(filter, "/")
		if level == "#" {
			return &n.deep
		}
		n = n.child(level)
		if !more {
			return &n.here
		}
		filter = rest
	}
}

func (n *node) child(level string) *node {
	if level == "+" {
		if n.plus == nil {
			n.plus = &node{}
		}
		return n.plus
	}
	c := n.next[level]
	if c == nil {
		if n.next == nil {
			n.next = make(map[string]*node)
		}
		c = &node{}
		n.next[strings.Clone(level)] = c
	}
	return c
}

// remove takes a subscriber off filter and cuts branches that have become empty.
func (n *node) remove(filter string, is func(subscriber) bool) {
	level, rest, more := strings.Cut(filter, "/")
	if level == "#" {
		n.deep = without(n.deep, is)
		return
	}
	c := n.next[level]
	if level == "+" {
		c = n.plus
	}
	if c == nil {
		return
	}
	if more {
		c.remove(rest, is)
	} else {
		c.here = without(c.here, is)
	}
	if len(c.next) > 0 || c.plus != nil || len(c.here) > 0 || len(c.deep) > 0 {
		return
	}
	if level == "+" {
		n.plus = nil
	} else {
		delete(n.next, level)
	}
}

// without removes one subscriber from list in place; nobody else holds the
// list, since search copies.
func without(list []subscriber, is func(subscriber) bool) []subscriber {
	for i := range list {
		if !is(list[i]) {
			continue
		}
		last := len(list) - 1
		list[i] = list[last]
		list[last] = subscriber{}
		return list[:last:cap(list)]
	}
	return list
}
